// The calls of a process_pool: how one finds a worker, what is said while it runs, and how it ends.
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <system_error>

#include <eddy/cancel_scope.hpp>
#include <eddy/detail/external_work.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/timeout.hpp>

#include "process_pool_core.hpp"
#include "remote_registry.hpp"

namespace eddy::detail {
namespace {

constexpr int most_attempts = 4; // of a call whose workers die before they have read it

} // namespace

/// A worker that has a call, and its permit.
class process_pool_core::lease {
public:
    lease(process_pool_core& core, pool_worker& w, semaphore_permit& permit) noexcept : core_(&core), worker_(&w) { permit.detach(); }
    lease(const lease&) = delete;
    lease& operator=(const lease&) = delete;
    ~lease() {
        if (worker_) core_->give_back(*worker_);
    }
    [[nodiscard]] pool_worker* release() noexcept { return std::exchange(worker_, nullptr); }

private:
    process_pool_core* core_;
    pool_worker* worker_;
};

pool_request::pool_request(process_pool_core& core, const remote_function& f, const call_options& o)
    : function(&f), timeout(o.timeout), stop_grace(o.stop_grace.count() < 0 ? core.options.stop_grace : o.stop_grace),
      kill_grace(o.kill_grace.count() < 0 ? core.options.kill_grace : o.kill_grace), memory(o.memory != 0 ? o.memory : core.options.memory),
      progress(o.progress), bytes(core.take_buffer()) {
    bytes.resize(request_room);
}

pool_reply::~pool_reply() {
    if (worker_) core_->give_back(*worker_);
}

std::size_t usual_in_flight(const process_pool_core& core) noexcept {
    return 2 * core.options.workers;
}

task<pool_reply> perform(std::shared_ptr<process_pool_core> core, pool_request request, std::source_location site) {
    return process_pool_core::perform(std::move(core), std::move(request), site);
}

// --- one call

task<pool_reply> process_pool_core::perform(std::shared_ptr<process_pool_core> self, pool_request request, std::source_location site) {
    process_pool_core& pool = *self;
    pool.expect_open(request.function->name);
    pool.bind();
    const counted_use counted(pool);
    struct counts_at_end {
        std::uint64_t& calls;
        ~counts_at_end() { ++calls; }
    } finished{pool.counted_.calls};
    for (int attempt = 1;; ++attempt) {
        semaphore_permit permit = co_await pool.permits_.acquire();
        pool.expect_alive(request.function->name);
        pool_worker* w = pool.take_idle();
        if (!w) w = co_await pool.start_worker(request.function->name);
        lease held(pool, *w, permit);
        pool.expect_alive(request.function->name);
        pool_exchange x(*w, request, pool.next_call());
        std::exception_ptr ended_by; // a cancellation, or the time limit
        try {
            const external_work running(*current().loop);
            co_await pool.converse_at_most(x, request.timeout);
            if (!x.over()) throw timeout_error(request.timeout, site, std::string("process_pool: '") + request.function->name + "'");
        } catch (const operation_cancelled&) {
            ended_by = std::current_exception();
        } catch (const timeout_error&) {
            ended_by = std::current_exception();
            x.too_late = true;
        } catch (...) { // it cannot be sent, or its answer cannot be received
            w->spent = !x.untouched;
            throw;
        }
        if (!x.over() && !x.untouched) co_await shielded(pool.end_call(x));
        if (x.died) {
            w->kill(); // one that has merely closed its socket
            const external_work dying(*current().loop);
            co_await shielded(w->ended.wait());
            if (x.unread && !ended_by && !pool.killed_ && attempt < most_attempts) continue;
        }
        pool.keep_buffer(std::move(request.bytes));
        co_return pool.answer(x, held, ended_by);
    }
}

pool_reply process_pool_core::answer(pool_exchange& x, lease& held, const std::exception_ptr& ended_by) {
    const char* const name = x.request.function->name;
    if (!x.reply) {
        if (killed_) throw_closed(name);
        if (ended_by) std::rethrow_exception(ended_by);
        ++counted_.died;
        throw worker_died(name, x.worker.pid, x.worker.status);
    }
    if (x.too_late) std::rethrow_exception(ended_by); // whatever it has to say: the limit counts
    if (x.progress_failed) std::rethrow_exception(x.progress_failed);
    if (x.reply->header.kind == frame_kind::result) return {shared_from_this(), held.release(), x.reply->body};
    remote_failure failure = read_failure(wire::reader(x.reply->body));
    if (ended_by && failure.is_cancellation()) std::rethrow_exception(ended_by);
    ++counted_.failed;
    if (failure.is_bad_alloc() && x.request.memory > 0) throw memory_limit_error(name, x.request.memory);
    failure.raise();
}

/// From 1 on: 0 in the shared page says that no call has to stop.
std::uint32_t process_pool_core::next_call() noexcept {
    if (++last_call_ == 0) ++last_call_;
    return last_call_;
}

// --- what is said

task<> process_pool_core::send(pool_exchange& x) {
    std::vector<std::byte>& bytes = x.request.bytes;
    frame_header h{frame_kind::call, 0, x.call, bytes.size() - sizeof h};
    const call_header c{x.request.function->id, x.request.memory, x.request.items, x.request.progress ? 1U : 0U};
    std::memcpy(bytes.data() + sizeof h, &c, sizeof c);
    std::array<int, 1> passed{-1};
    unique_fd large;
    if (h.size > most_inline) {
        large = unique_fd(::memfd_create("eddy-arguments", MFD_CLOEXEC));
        if (!large || !write_all(large.get(), bytes.data() + sizeof h, h.size))
            throw std::system_error(errno, std::generic_category(), std::string("process_pool: arguments of '") + x.request.function->name + "'");
        passed[0] = large.get();
        h.in_memfd = 1;
    }
    std::memcpy(bytes.data(), &h, sizeof h);
    x.untouched = false;
    try {
        if (h.in_memfd != 0) {
            auto sending = x.worker.socket.send_descriptors(std::span(bytes).first(sizeof h), passed);
            co_await sending;
        } else {
            co_await x.worker.socket.write(bytes);
        }
        x.sent = true;
    } catch (const operation_cancelled& e) {
        x.untouched = e.partial() == 0;
        throw;
    } catch (const std::system_error& e) {
        if (!peer_is_gone(e)) throw;
        x.died = x.unread = true;
    } catch (const closed_resource&) {
        if (!killed_) throw;
        x.died = true;
    }
}

task<> process_pool_core::converse(pool_exchange& x) {
    if (!x.sent && !x.died) co_await send(x);
    while (!x.over()) {
        while (const std::optional<incoming_frame> f = x.worker.next_frame()) {
            note(x, *f);
            if (x.over()) co_return;
        }
        try {
            received_descriptors got = co_await x.worker.socket.receive_descriptors(x.worker.room());
            x.died = got.size == 0;
            x.worker.came(got);
        } catch (const std::system_error& e) { // what we have sent was not read
            if (!peer_is_gone(e)) throw;
            x.died = x.unread = true;
        } catch (const closed_resource&) { // the pool object has gone
            if (!killed_) throw;
            x.died = true;
        }
    }
}

task<> process_pool_core::converse_at_most(pool_exchange& x, std::chrono::nanoseconds limit) {
    if (limit.count() <= 0) {
        co_await converse(x);
        co_return;
    }
    auto body = [this, &x](cancel_scope&) { return converse(x); };
    co_await move_on_after(limit, body);
}

void process_pool_core::note(pool_exchange& x, const incoming_frame& f) {
    if (f.header.call != x.call) return; // from a thread that has outlived its call
    switch (f.header.kind) {
    case frame_kind::result:
    case frame_kind::failure: x.reply = f; return;
    case frame_kind::log: return log(x, std::string_view(reinterpret_cast<const char*>(f.body.data()), f.body.size()));
    case frame_kind::progress: break;
    case frame_kind::call: return;
    }
    if (!x.request.progress || x.progress_failed) return;
    try {
        wire::reader in(f.body);
        if (in.read<std::uint64_t>() != x.request.progress.type())
            throw std::logic_error(std::string("process_pool: '") + x.request.function->name + "' reports its progress in another type than progress_to was given");
        x.request.progress.take(in);
    } catch (...) { // the call goes on; its caller hears of it at the end
        x.progress_failed = std::current_exception();
    }
}

void process_pool_core::log(const pool_exchange& x, std::string_view text) {
    const char* const name = x.request.function->name;
    if (!log_handler) {
        std::fprintf(stderr, "[%s, process %d] %.*s\n", name, x.worker.pid, static_cast<int>(text.size()), text.data());
        return;
    }
    try {
        log_handler(worker_log(text, name, x.worker.pid));
    } catch (...) {
        event_loop::current()->call_exception_handler({.message = "a handler of process_pool::on_log failed", .exception = std::current_exception()});
    }
}

// --- the end of one that is not wanted any more

task<> process_pool_core::end_call(pool_exchange& x) {
    pool_worker& w = x.worker;
    if (x.sent && x.request.function->takes_stop) {
        page_[w.slot].call.store(x.call);
        ::syscall(SYS_futex, &page_[w.slot].call, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
        if (x.request.stop_grace.count() > 0) {
            const external_work stopping(*current().loop);
            co_await converse_at_most(x, x.request.stop_grace);
        }
        if (x.over()) {
            page_[w.slot].call.store(0); // in time the numbers come again
            co_return;
        }
    }
    w.spent = true;
    ++counted_.ended_by_us;
    if (x.sent && x.request.kill_grace.count() > 0) {
        w.signal(SIGTERM);
        co_await converse_at_most(x, x.request.kill_grace);
        if (x.over()) co_return;
    }
    w.kill();
    const external_work dying(*current().loop);
    co_await w.ended.wait();
    x.died = true;
}

task<> process_pool_core::warm_up(pool_worker& w) {
    pool_request request(*this, remote_at(options.warm_up), {});
    pool_exchange x(w, request, next_call());
    co_await converse(x);
    if (x.died) {
        w.kill();
        co_await shielded(w.ended.wait());
        expect_alive(request.function->name);
        throw worker_died(request.function->name, w.pid, w.status);
    }
    if (x.reply->header.kind == frame_kind::failure) read_failure(wire::reader(x.reply->body)).raise();
}

} // namespace eddy::detail

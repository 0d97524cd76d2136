#include "asio_engine.hpp"

#include <unistd.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <asio/basic_waitable_timer.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>

#include <eddy/detail/forks.hpp>
#include <eddy/detail/operation_memory.hpp>

namespace eddy::detail {
namespace {

using executor = asio::io_context::executor_type;

// With a thousand busy connections the tasks of one batch run before the next batch is received: what a connection uses
// is still in the cache when its task writes the answer (measured: 12 % of the CPU a message).
constexpr int most_handlers_a_poll = 48;

// Ours is used by the loop's thread alone, as I/O objects on it are; only what others post comes from other threads.
constexpr int one_thread = ASIO_CONCURRENCY_HINT_UNSAFE_IO;

/// In a forked process: taking it out of Asio's epoll set would take it out of the parent's. So it is never destroyed.
template <class Handle>
void leave_to_parent(Handle& h) noexcept {
    static_cast<void>(new (std::nothrow) Handle(std::move(h)));
}

/// Room for some of Asio's wait operations, used again for every wait of one side of a descriptor.
template <std::size_t Slots>
using wait_memory = operation_memory<192, Slots>;

// Handlers own what they belong to: an io_context of others may run or destroy them long after the engine has gone, on
// several threads then.
struct counted {
    std::atomic<std::size_t> references{1};
};
template <class T>
class counted_ref {
public:
    explicit counted_ref(T& t) noexcept : object_(&t) { t.references.fetch_add(1, std::memory_order_relaxed); }
    counted_ref(counted_ref&& o) noexcept : object_(std::exchange(o.object_, nullptr)) {}
    counted_ref& operator=(counted_ref&& o) noexcept {
        std::swap(object_, o.object_);
        return *this;
    }
    ~counted_ref() {
        if (object_) drop(*object_);
    }
    static void drop(T& t) noexcept {
        if (t.references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete &t;
    }
    [[nodiscard]] T* operator->() const noexcept { return object_; }
    [[nodiscard]] T& operator*() const noexcept { return *object_; }

private:
    T* object_;
};

class asio_engine;

// An operation that is cancelled leaves its wait behind in Asio: the system call is ours, so nothing happens to the operation;
// the next operation on that side inherits the wait. One that is released lives until its waits are gone.
class asio_descriptor final : public io_descriptor, public counted {
public:
    struct side {
        io_operation* op = nullptr;
        bool waiting = false; // a wait is queued in Asio
        wait_memory<1> memory;
    };
    using handle_type = asio::posix::basic_stream_descriptor<executor>;
    void set_drained(bool d) noexcept { drained_ = d; }
    asio_descriptor(asio_engine& e, asio::io_context& io, int number) : io_descriptor(number), engine(&e), handle(std::in_place, io) {
        short_read_empties_ = true; // or a wait is over at once: each one looks anew
    }
    void let_go() noexcept;

    asio_engine* engine; // null once it was released
    std::optional<handle_type> handle;
    side in;
    side out;
    asio_descriptor* prev = nullptr;
    asio_descriptor* next = nullptr;
};

// Where Asio itself has no memory for a wait, it asks the handler for its allocator after it has moved from it: so that is not
// found through the reference.
struct ready_handler {
    using allocator_type = memory_allocator<void, wait_memory<1>>;
    ready_handler(asio_descriptor& d, bool out) noexcept : descriptor(d), memory(out ? d.out.memory : d.in.memory), outgoing(out) {}
    counted_ref<asio_descriptor> descriptor;
    allocator_type memory;
    bool outgoing;
    [[nodiscard]] allocator_type get_allocator() const noexcept { return memory; }
    void operator()(const asio::error_code& ec) const noexcept;
};

using steady_timer = asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, executor>;
constexpr std::size_t own_waits = 3; // for the wake-up, for the timer, and one of the timer's that was taken back

// The engine's own waits.
struct own_parts final : counted {
    own_parts(asio_engine& e, asio::io_context& io, int wake_descriptor) : engine(&e) {
        timer.emplace(io);
        wake.emplace(io, wake_descriptor); // last: destroyed, it would close the mailbox's descriptor
    }
    void let_go() noexcept;
    asio_engine* engine; // null once it has gone
    wait_memory<own_waits> memory;
    std::optional<asio_descriptor::handle_type> wake;
    std::optional<steady_timer> timer;
};
struct own_handler {
    using allocator_type = memory_allocator<void, wait_memory<own_waits>>;
    own_handler(own_parts& p, bool timer) noexcept : parts(p), memory(p.memory), is_timer(timer) {}
    counted_ref<own_parts> parts;
    allocator_type memory;
    bool is_timer;
    [[nodiscard]] allocator_type get_allocator() const noexcept { return memory; }
    void operator()(const asio::error_code& ec) const noexcept;
};

void add_to_set(int set, int fd) {
#ifdef __linux__
    if (set < 0) return;
    epoll_event e{};
    e.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
    if (::epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == 0 || errno == EPERM) return; // a plain file is always ready
    throw std::system_error(errno, std::generic_category(), "cannot watch descriptor " + std::to_string(fd));
#else
    static_cast<void>(set), static_cast<void>(fd);
#endif
}

class asio_engine final : public engine {
public:
    asio_engine(const std::shared_ptr<mailbox>& mail, asio::io_context* shared, engine_host& host)
        : mail_(mail), host_(&host), own_(shared ? nullptr : std::make_unique<asio::io_context>(one_thread)), io_(shared ? *shared : *own_),
          parts_(new own_parts(*this, io_, mail_->wake_descriptor())) {
        if (io_.stopped()) io_.restart(); // it had run out of work before we came
        try {
            watch_wake();
        } catch (...) {
            parts_->let_go();
            counted_ref<own_parts>::drop(*parts_);
            throw;
        }
    }
    ~asio_engine() override {
        detach();
        while (asio_descriptor* d = all_) { // of streams that were left behind
            unlink(*d);
            counted_ref<asio_descriptor>::drop(*d);
        }
        counted_ref<own_parts>::drop(*parts_);
    }
    void detach() noexcept override {
        if (!std::exchange(host_, nullptr)) return;
        parts_->let_go();
        for (asio_descriptor* d = all_; d; d = d->next) d->let_go();
        if (set_ >= 0) ::close(std::exchange(set_, -1));
    }

    [[nodiscard]] engine_kind kind() const noexcept override { return engine_kind::asio; }
    [[nodiscard]] void* asio_context() override { return &io_; }
    void foreign_operation_started() noexcept override { ++pending_; }
    void foreign_operation_ended() noexcept override { --pending_; }

    [[nodiscard]] io_descriptor& adopt(int fd) override {
        if (!host_) throw std::logic_error("descriptor " + std::to_string(fd) + " comes too late: its event_loop is gone");
        if (forked()) throw_forked();
        auto d = std::make_unique<asio_descriptor>(*this, io_, fd);
        asio::error_code ec;
        d->handle->assign(fd, ec);
        if (ec) throw std::system_error(ec.value(), std::generic_category(), "cannot watch descriptor " + std::to_string(fd));
        try {
            add_to_set(set_, fd);
        } catch (...) {
            d->let_go();
            throw;
        }
        d->next = all_;
        if (all_) all_->prev = d.get();
        all_ = d.get();
        return *d.release();
    }
    void release(io_descriptor& base) noexcept override {
        auto& d = static_cast<asio_descriptor&>(base);
#ifdef __linux__
        if (set_ >= 0 && !forked()) ::epoll_ctl(set_, EPOLL_CTL_DEL, d.fd(), nullptr);
#endif
        unlink(d);
        d.let_go();
        counted_ref<asio_descriptor>::drop(d);
    }
    [[nodiscard]] bool start(io_descriptor& base, io_operation& op) override {
        auto& d = static_cast<asio_descriptor&>(base);
        auto& s = is_outgoing(op.opcode) ? d.out : d.in;
        if (!std::exchange(op.tried, false) && !(d.drained() && is_for_bytes(op.opcode)) && perform(d.fd(), op, false)) {
            note_drained(d, op);
            return true;
        }
        if (!d.handle || forked()) { // its loop is gone, or its parent's
            op.result = -1;
            op.error = EBADF;
            return true;
        }
        wait(d, is_outgoing(op.opcode)); // first: it needs memory, and an operation that was not started is not to be known here
        s.op = &op;
        ++pending_;
        return false;
    }
    [[nodiscard]] bool cancel(io_descriptor& base, io_operation& op) noexcept override {
        auto& d = static_cast<asio_descriptor&>(base);
        auto& s = is_outgoing(op.opcode) ? d.out : d.in;
        if (s.op == &op) {
            s.op = nullptr;
            --pending_;
        }
        return true;
    }
    void poll(deadline until) override {
        if (!host_) return;
        if (forked()) throw_forked();
        empty_set();
        if (!wake_watched_) watch_wake_again();
        if (until != at_once && wake_watched_) wait_for_event(until); // else nobody could wake us: the loop does not sleep until it can
        int n = 0;
        while (n < most_handlers_a_poll && handle_one(&asio::io_context::poll_one)) ++n;
        has_more_ = n == most_handlers_a_poll;
        if (io_.stopped()) { // by code beside us: there is always our own wait for it to go on with
            io_.restart();
            host_->stop_asked();
        }
    }
    [[nodiscard]] std::size_t pending() const noexcept override { return pending_; }
    [[nodiscard]] std::uint64_t events() const noexcept override { return events_; }
    [[nodiscard]] bool has_more() const noexcept override { return has_more_; }

    // Asio keeps its own set to itself. So all descriptors are in a second one, edge-triggered, for the one purpose that it
    // becomes readable; every `poll` empties it before it looks at Asio's.
    [[nodiscard]] int native_handle() noexcept override {
        if (set_ >= 0 || !own_ || !host_) return set_;
#ifdef __linux__
        set_ = ::epoll_create1(EPOLL_CLOEXEC);
        if (set_ < 0) return -1;
        try {
            add_to_set(set_, mail_->wake_descriptor());
            for (const asio_descriptor* d = all_; d; d = d->next) add_to_set(set_, d->fd());
        } catch (const std::exception&) {
            ::close(std::exchange(set_, -1));
        }
#endif
        return set_;
    }
    [[nodiscard]] bool foreign_driven() const noexcept override { return set_ >= 0; }

    void ready(asio_descriptor& d, bool outgoing, const asio::error_code& ec) noexcept {
        auto& s = outgoing ? d.out : d.in;
        if (!outgoing) d.set_drained(false);
        io_operation* op = s.op;
        if (!op) return; // cancelled meanwhile
        if (ec) {
            op->result = -1;
            op->error = ec.value();
        } else if (!perform(d.fd(), *op, true)) {
            if (waits_again(d, outgoing)) return;
            op->result = -1;
            op->error = ENOMEM;
        }
        note_drained(d, *op);
        s.op = nullptr;
        --pending_;
        op->complete(*op);
    }
    void timer_handled(const asio::error_code& ec) noexcept {
        idle_ = true;
        if (!ec) timer_set_ = false;
    }
    void woken(const asio::error_code& ec) noexcept {
        if (ec) return;
        std::uint64_t count = 0;
        while (::read(mail_->wake_descriptor(), &count, sizeof count) > 0) {}
        wake_watched_ = false;
        watch_wake_again();
    }

private:
    // A timer of Asio's, since io_context's own time-outs are rounded up to milliseconds. One that is set for an earlier
    // time stays: deadlines mostly move outwards, and taking back a wait costs more than waking once too early. Neither
    // that nor the handler of a wait that was taken back is an event that the loop waits for; every handler of others is,
    // since it may have made a task ready.
    void wait_for_event(deadline until) {
        const std::uint64_t before = events_;
        do {
            if (until != never) arm_timer(until);
            if (!handle_one(&asio::io_context::run_one)) return; // stopped
        } while (events_ == before && (until == never || deadline::clock::now() < until));
    }
    // What handlers of others throw must not hold up the loop (R10). Ours throw nothing.
    bool handle_one(asio::io_context::count_type (asio::io_context::*one)()) {
        idle_ = false;
        try {
            if ((io_.*one)() == 0) return false;
        } catch (...) {
            host_->foreign_handler_threw();
        }
        if (!idle_) ++events_;
        return true;
    }
    void arm_timer(deadline until) {
        if (timer_set_ && parts_->timer->expiry() <= until) return;
        timer_set_ = false;
        parts_->timer->expires_at(until);
        parts_->timer->async_wait(own_handler(*parts_, true));
        timer_set_ = true;
    }
    void empty_set() noexcept {
#ifdef __linux__
        if (set_ < 0) return;
        std::array<epoll_event, 64> events;
        constexpr int most = static_cast<int>(events.size());
        while (::epoll_wait(set_, events.data(), most, 0) == most) {}
#endif
    }
    // A short read has emptied the socket. Waiting looks at the socket anew, so what comes meanwhile is not missed.
    static void note_drained(asio_descriptor& d, const io_operation& op) noexcept {
        if (op.opcode == io_opcode::read) d.set_drained(op.result > 0 && static_cast<std::size_t>(op.result) < op.length);
    }
    static void wait(asio_descriptor& d, bool outgoing) {
        auto& s = outgoing ? d.out : d.in;
        if (s.waiting) return;
        using base = asio::posix::descriptor_base;
        d.handle->async_wait(outgoing ? base::wait_write : base::wait_read, ready_handler(d, outgoing));
        s.waiting = true;
    }
    /// Where nothing may be thrown. False for want of memory.
    static bool waits_again(asio_descriptor& d, bool outgoing) noexcept {
        try {
            wait(d, outgoing);
            return true;
        } catch (const std::exception&) {
            return false;
        }
    }
    void watch_wake_again() noexcept {
        try {
            watch_wake();
            wake_watched_ = true;
        } catch (const std::exception&) { // the next `poll` tries
        }
    }
    void watch_wake() {
        parts_->wake->async_wait(asio::posix::descriptor_base::wait_read, own_handler(*parts_, false));
    }
    void unlink(asio_descriptor& d) noexcept {
        (d.prev ? d.prev->next : all_) = d.next;
        if (d.next) d.next->prev = d.prev;
    }

    std::shared_ptr<mailbox> mail_; // keeps the wake-up descriptor open
    engine_host* host_;             // null once the loop is over
    std::unique_ptr<asio::io_context> own_;
    asio::io_context& io_;
    own_parts* parts_;
    bool timer_set_ = false;
    bool wake_watched_ = true;
    bool idle_ = false; // the handler that just ran meant nothing
    bool has_more_ = false;
    int set_ = -1; // for foreign loops
    std::uint64_t events_ = 0;
    asio_descriptor* all_ = nullptr;
    std::size_t pending_ = 0;
};

void asio_descriptor::let_go() noexcept {
    const asio_engine* const e = std::exchange(engine, nullptr);
    if (!handle) return;
    if (e && e->forked())
        leave_to_parent(*handle);
    else
        handle->release(); // aborts what waits; the number is the caller's
    handle.reset();
}

void own_parts::let_go() noexcept {
    const asio_engine* const e = std::exchange(engine, nullptr);
    if (wake && e && e->forked())
        leave_to_parent(*wake);
    else if (wake)
        wake->release();
    wake.reset();
    timer.reset();
}

void ready_handler::operator()(const asio::error_code& ec) const noexcept {
    (outgoing ? descriptor->out : descriptor->in).waiting = false;
    if (descriptor->engine) descriptor->engine->ready(*descriptor, outgoing, ec);
}

void own_handler::operator()(const asio::error_code& ec) const noexcept {
    if (!parts->engine) return;
    if (is_timer)
        parts->engine->timer_handled(ec);
    else
        parts->engine->woken(ec);
}

} // namespace

std::shared_ptr<engine> make_asio_engine(const std::shared_ptr<mailbox>& mail, engine_host& host, void* io_context) {
    return std::make_shared<asio_engine>(mail, static_cast<asio::io_context*>(io_context), host);
}

} // namespace eddy::detail

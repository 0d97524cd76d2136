// The task that keeps a client's connection: it connects, writes what waits, hands out the replies, and connects again.
#include "client_core.hpp"

#include <algorithm>
#include <stop_token>
#include <utility>

#include <eddy/gather.hpp>
#include <eddy/race.hpp>
#include <eddy/redis/error.hpp>
#include <eddy/sleep.hpp>
#include <eddy/spawn.hpp>
#include <eddy/timeout.hpp>

namespace eddy::redis::detail {
namespace {

// Bytes that go to the stream at once, if a single command is not longer.
constexpr std::size_t batch = std::size_t{256} << 10;
// The memory for them that is kept.
constexpr std::size_t largest_kept_batch = 2 * batch;

} // namespace

void client_core::close() noexcept {
    if (closed_) return;
    closed_ = true;
    const auto why = [this](const request&) {
        return std::make_exception_ptr(closed_resource("this redis::client of " + settings_->endpoint + " was closed"));
    };
    fail_waiting(why);
    for (; !flights_.empty(); flights_.pop())
        if (request* r = flights_.front().waiting) {
            flights_.front().waiting = nullptr;
            settle(*r, why(*r));
        }
    for (link* l : blocked_) l->abort();
    idle_.clear();
    cancel_if_over();
}

statistics client_core::stats() const noexcept {
    statistics s = counts_;
    s.in_flight = flights_.size();
    s.waiting = waiting_.size();
    s.idle = idle_.size();
    s.connected = link_ != nullptr && !lost_;
    return s;
}

void client_core::start_keeping(link_pointer first) {
    if (!first && settings_->over == transport::given) std::rethrow_exception(loss_of(*settings_, {}, failure_, false));
    home_ = &eddy::detail::require_open_loop("redis::client");
    failure_ = nullptr;
    ending_ = false;
    auto keeping = keep(shared_from_this(), std::move(first));
    spawn(std::move(keeping), {.name = settings_->endpoint});
    keeping_ = true;
}

// It runs in a shield, for those that clean up while the loop shuts down may need the connection. When the root group is
// cancelled it ends as soon as nothing is left to do; a command that comes after that starts it again.
task<> client_core::keep(core_pointer core, link_pointer first) {
    std::exception_ptr broken_off;
    auto shielded_part = [&](cancel_scope& own) -> task<> {
        core->scope_ = &own;
        core->cancel_if_over();
        co_await core->keep_connected(std::move(first));
    };
    auto all = [&](cancel_scope& outer) -> task<> {
        const std::stop_callback ending(outer.stop_token(), [&core] {
            core->ending_ = true;
            core->cancel_if_over();
        });
        co_await with_shield(shielded_part);
    };
    try {
        co_await with_scope(all);
    } catch (...) {
        broken_off = std::current_exception();
    }
    core->kept(broken_off != nullptr);
    if (broken_off) std::rethrow_exception(broken_off);
}

/// The task ends. What waits fails; or it has come just now.
void client_core::kept(bool broken_off) noexcept {
    scope_ = nullptr;
    keeping_ = false;
    lose_flights();
    if (failure_) {
        fail_waiting([this](const request& r) { return loss_of(*settings_, command_of(r.wire_), failure_, false); });
    } else if (!waiting_.empty() && !broken_off) {
        try {
            return start_keeping(nullptr);
        } catch (...) {
            broken_off = true;
        }
    }
    fail_waiting([this](const request&) {
        return std::make_exception_ptr(closed_resource("the loop of this redis::client (" + settings_->endpoint + ") shuts down"));
    });
}

/// The client may have been closed, and the loop's end have begun, before its task had its first turn.
void client_core::cancel_if_over() noexcept {
    if (!scope_) return;
    if (closed_) scope_->cancel("the client was closed");
    if (ending_ && live_ == 0) scope_->cancel("the loop shuts down");
}

task<> client_core::keep_connected(link_pointer l) {
    auto working = connect_and_use(std::move(l));
    auto watching = watch_time();
    static_cast<void>(co_await race(std::move(working), std::move(watching)));
}

task<> client_core::connect_and_use(link_pointer l) {
    eddy::detail::task_context& self = co_await eddy::detail::this_context();
    std::optional<eddy::detail::retry_course> course; // of connections that break at once
    try {
        for (;;) {
            if (!l) {
                l = co_await dial_patiently(settings_, purpose::commands);
                ++counts_.reconnects;
            }
            co_await use(*l);
            l.reset();
            if (settings_->over == transport::given) std::rethrow_exception(loss_);
            if (proven_ || !loss_ || self.loop().now() - connected_ >= short_life) {
                course.reset();
                continue;
            }
            if (!course) course.emplace(settings_->reconnect, self.loop().now());
            const std::chrono::nanoseconds pause = course->pause_after(loss_, self);
            co_await sleep_for(pause);
        }
    } catch (const operation_cancelled&) {
        throw;
    } catch (...) {
        failure_ = std::current_exception();
    }
}

task<> client_core::use(link& l) {
    eddy::detail::task_context& self = co_await eddy::detail::this_context();
    link_ = &l;
    ++connection_;
    loss_ = nullptr;
    lost_ = draining_ = proven_ = false;
    heard_ = connected_ = self.loop().now();
    std::exception_ptr cancelled;
    try {
        auto reading = read_replies(l);
        auto writing = write_commands(l);
        static_cast<void>(co_await gather(std::move(reading), std::move(writing)));
    } catch (...) {
        cancelled = std::current_exception();
    }
    link_ = nullptr;
    lose_flights();
    if (cancelled) std::rethrow_exception(cancelled);
}

task<> client_core::read_replies(link& l) {
    eddy::detail::task_context& self = co_await eddy::detail::this_context();
    try {
        for (;;) {
            co_await l.fill();
            heard_ = self.loop().now();
            while (std::optional<value> v = l.next()) deliver(std::move(*v));
            if (!waiting_.empty()) work_.set(); // there is room for more on the way
        }
    } catch (const operation_cancelled&) {
        throw;
    } catch (...) {
        note_loss(l, std::current_exception());
    }
}

task<> client_core::write_commands(link& l) {
    try {
        while (!lost_) {
            while (fill_batch()) {
                ++counts_.writes;
                co_await l.write(out_);
            }
            if (lost_) break;
            work_.clear();
            co_await work_.wait();
        }
    } catch (const operation_cancelled&) {
        throw;
    } catch (...) {
        note_loss(l, std::current_exception());
    }
}

/// Moves what waits into `out_`, as far as there is room. What is in it counts as sent: the stream may take any part of it.
bool client_core::fill_batch() {
    out_.clear();
    if (out_.capacity() > largest_kept_batch) std::string().swap(out_);
    if (lost_ || draining_) return false;
    while (!waiting_.empty() && flights_.size() < settings_->max_pending && out_.size() < batch) {
        request& r = *waiting_.front();
        flights_.reserve_one();
        out_.append(r.wire_);
        waiting_.erase(r);
        r.sent_ = true;
        r.connection_ = connection_;
        r.number_ = flights_.push({&r, r.replies_, r.deadline_});
        counts_.commands += r.replies_;
    }
    return !out_.empty();
}

void client_core::deliver(value v) {
    if (flights_.empty()) throw protocol_error("an answer that nobody asked for: " + v.describe(64));
    flight& f = flights_.front();
    ++counts_.replies;
    proven_ = true;
    if (f.waiting)
        f.waiting->add(std::move(v));
    else
        ++counts_.dropped;
    if (--f.replies > 0) return;
    request* const r = f.waiting;
    flights_.pop();
    if (r) settle(*r);
    if (draining_ && flights_.empty() && link_) note_loss(*link_, nullptr);
}

/// The first cause counts; the other half of the connection finds out by what `abort` does to it.
void client_core::note_loss(link& l, std::exception_ptr cause) noexcept {
    if (!lost_) loss_ = std::move(cause);
    lost_ = true;
    l.abort();
    work_.set();
}

void client_core::lose_flights() noexcept {
    for (; !flights_.empty(); flights_.pop()) {
        request* const r = flights_.front().waiting;
        if (!r) continue;
        flights_.front().waiting = nullptr;
        try {
            settle(*r, loss_of(*settings_, command_of(r->wire_), loss_, true));
        } catch (...) {
            settle(*r, std::current_exception());
        }
    }
}

template <class F>
void client_core::fail_waiting(F error_for) noexcept {
    while (request* r = waiting_.pop_front()) {
        try {
            settle(*r, error_for(*r));
        } catch (...) {
            settle(*r, std::current_exception());
        }
    }
}

// --- time limits

task<> client_core::watch_time() {
    eddy::detail::task_context& self = co_await eddy::detail::this_context();
    for (;;) {
        const loop_clock::time_point next = next_deadline();
        if (next == never) {
            timed_.clear();
            co_await timed_.wait();
        } else {
            co_await sleep_until(next);
            expire(self.loop().now());
        }
    }
}

/// Commands have the same limit, so that those that came first come to its end first.
loop_clock::time_point client_core::next_deadline() noexcept {
    const flight* sent = flights_.first_in_time();
    return std::min(sent ? sent->deadline : never, waiting_.empty() ? never : waiting_.front()->deadline_);
}

void client_core::expire(loop_clock::time_point now) noexcept {
    while (!waiting_.empty() && waiting_.front()->deadline_ <= now) {
        request& r = *waiting_.pop_front();
        settle(r, timeout_of(r));
    }
    bool late = false;
    for (flight* f = flights_.first_in_time(); f && f->deadline <= now; f = flights_.first_in_time()) {
        late = true;
        request* const r = std::exchange(f->waiting, nullptr);
        flights_.pass_first_in_time();
        if (r) settle(*r, timeout_of(*r));
    }
    if (!late || !link_ || now - heard_ < settings_->timeout) return;
    try {
        note_loss(*link_, std::make_exception_ptr(timeout_error(settings_->timeout, settings_->site, "silence of the server")));
    } catch (...) {
        note_loss(*link_, std::current_exception());
    }
}

std::exception_ptr client_core::timeout_of(const request& r) const noexcept {
    try {
        const std::string what = std::string(command_of(r.wire_)) + " at " + settings_->endpoint;
        return std::make_exception_ptr(timeout_error(settings_->timeout, settings_->site, what));
    } catch (...) {
        return std::current_exception();
    }
}

} // namespace eddy::redis::detail

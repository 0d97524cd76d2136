#include <eddy/thread_future.hpp>

#include <new>
#include <stdexcept>
#include <utility>

#include "loop_core.hpp"

namespace eddy::detail {

namespace {

struct cancel_message final : remote_node {
    explicit cancel_message(std::shared_ptr<thread_result_base> r) noexcept : remote_node(&run_it), result(std::move(r)) {}
    static void run_it(remote_node& n) {
        const std::unique_ptr<cancel_message> self(static_cast<cancel_message*>(&n));
        self->result->cancel_asked = true;
        if (self->result->task) self->result->task.cancel("cancelled by another thread");
    }
    std::shared_ptr<thread_result_base> result;
};

// Of an error that nobody can receive. On the loop's thread if there is one.
void report(const std::exception_ptr& error) noexcept {
    try {
        if (error) std::rethrow_exception(error);
    } catch (const operation_cancelled&) { // the end that somebody asked for
    } catch (...) {
        const error_context e{.message = "a task failed and its thread_future was dropped", .exception = error};
        if (current().loop)
            current().loop->report(e);
        else
            print_report(e);
    }
}

struct dropped_error final : remote_node {
    explicit dropped_error(std::exception_ptr e) noexcept : remote_node(&run_it), error(std::move(e)) {}
    static void run_it(remote_node& n) {
        const std::unique_ptr<dropped_error> self(static_cast<dropped_error*>(&n));
        report(self->error);
    }
    std::exception_ptr error;
};

} // namespace

bool thread_result_base::wait_until(const std::chrono::steady_clock::time_point* limit) const {
    std::unique_lock lock(mutex_);
    if (settled_) return true;
    const scheduler* const here = current().loop;
    if (here && &core_of(const_cast<scheduler&>(*here)).owner == loop)
        throw_logic_error("thread_future: waiting for a task on its own loop's thread would never end; co_await a task_handle there");
    const auto settled = [&] { return settled_; };
    if (limit) return there_.wait_until(lock, *limit, settled);
    there_.wait(lock, settled);
    return true;
}

void thread_result_base::throw_error() {
    std::unique_lock lock(mutex_);
    const std::exception_ptr error = std::exchange(error_, nullptr);
    lock.unlock();
    if (!error) return;
    try {
        std::rethrow_exception(error);
    } catch (const operation_cancelled& c) {
        throw child_cancelled(c.reason().empty() ? "the task was cancelled" : "the task was cancelled: " + std::string(c.reason()));
    }
}

void thread_result_base::settle(std::exception_ptr error, bool report_if_detached) noexcept {
    using unsettled = intrusive_list<thread_result_base, &thread_result_base::link>;
    if (unsettled::linked(*this)) loop->core().promised.erase(*this);
    std::unique_lock lock(mutex_);
    if (settled_) return;
    settled_ = true;
    if (detached_) {
        lock.unlock();
        if (report_if_detached) report(error);
        return;
    }
    error_ = std::move(error);
    there_.notify_all(); // with the lock: whoever waits may let go of us next
}

void thread_result_base::detach() noexcept {
    std::unique_lock lock(mutex_);
    detached_ = true;
    std::exception_ptr error = std::move(error_);
    error_ = nullptr;
    lock.unlock();
    if (!error) return;
    // Given away, so that the loop's thread is the one to destroy it, and not whoever is last.
    std::unique_ptr<dropped_error> message(new (std::nothrow) dropped_error(std::move(error)));
    if (message && mail->post(*message))
        static_cast<void>(message.release());
    else
        report(message ? message->error : error);
}

void expect_settlement(thread_result_base& r) noexcept {
    r.loop->core().promised.push_back(r);
}

std::exception_ptr ending_of(const task_context& t, std::exception_ptr e) {
    if (!e || t.cancel_pending()) return e;
    try {
        std::rethrow_exception(e);
    } catch (const operation_cancelled&) {
        return std::make_exception_ptr(std::logic_error(
            "a task ended with operation_cancelled, but nobody had cancelled it; only checkpoints throw it"));
    } catch (...) {
        return e;
    }
}

const std::shared_ptr<mailbox>& mailbox_of_loop(event_loop& loop) noexcept {
    return loop.core().mail;
}

void cancel_remotely(std::shared_ptr<thread_result_base> r) noexcept {
    mailbox& mail = *r->mail;
    const auto keep = r->mail;
    std::unique_ptr<cancel_message> message(new (std::nothrow) cancel_message(std::move(r)));
    if (message && mail.post(*message)) static_cast<void>(message.release());
}

void throw_get_timed_out(std::chrono::nanoseconds limit, std::source_location site) {
    throw timeout_error(limit, site, "thread_future::get");
}

} // namespace eddy::detail

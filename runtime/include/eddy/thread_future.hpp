// thread_future: what a plain thread gets for a task that it hands to a loop.
//
//     auto tf = loop.spawn_threadsafe(f(1));         // from any thread
//     int v = tf.get();                              // blocks this thread, not the loop
//
// Destroying the future neither waits nor cancels; an error that it did not receive goes to the loop's exception handler. All
// functions may be called from any thread but the loop's, which
// they would block for ever (`std::logic_error`); `cancel` and `valid` from everywhere.
#pragma once

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include <eddy/detail/duration.hpp>
#include <eddy/event_loop.hpp>

namespace eddy {

namespace detail {

/// Shared by the future and the task; the handle in it belongs to the loop's thread.
class thread_result_base {
public:
    thread_result_base() = default;
    thread_result_base(const thread_result_base&) = delete;
    thread_result_base& operator=(const thread_result_base&) = delete;
    virtual ~thread_result_base() = default;

    /// Any thread but the loop's. False if it is not there in time.
    bool wait_until(const std::chrono::steady_clock::time_point* limit) const;
    void throw_error(); // when it is settled, once: the caller owns the error then
    /// Loop thread; the first outcome stands.
    void settle(std::exception_ptr error) noexcept { settle(std::move(error), true); }
    /// The same for a task that the loop leaves behind, which was reported already.
    void give_up(std::exception_ptr error) noexcept { settle(std::move(error), false); }
    /// Any thread: nobody will ask. What the task throws goes to the loop's exception handler (R10).
    void detach() noexcept;

    list_link<thread_result_base> link; // loop thread only: among the loop's unsettled ones
    any_task task;                      // loop thread only
    bool cancel_asked = false;          // loop thread only: before the task was there
    event_loop* loop = nullptr;
    std::shared_ptr<mailbox> mail; // tells whether the loop is still there

private:
    mutable std::mutex mutex_;
    mutable std::condition_variable there_;
    void settle(std::exception_ptr error, bool report_if_detached) noexcept;
    std::exception_ptr error_;
    bool settled_ = false;
    bool detached_ = false;
};

template <class T>
class thread_result final : public thread_result_base {
public:
    result_slot<T> value;
};

/// The mailbox of a loop, from any thread.
[[nodiscard]] const std::shared_ptr<mailbox>& mailbox_of_loop(event_loop& loop) noexcept;
/// Loop thread: `r` is settled with an error should the loop give up on its task (R16).
void expect_settlement(thread_result_base& r) noexcept;
/// What a task ended with, as its own failure if nobody had cancelled it (C-10).
[[nodiscard]] std::exception_ptr ending_of(const task_context& t, std::exception_ptr e);
/// Any thread: cancels the task of `r` on its loop, if that is still open.
void cancel_remotely(std::shared_ptr<thread_result_base> r) noexcept;
/// `timeout_error` of a `get` with a limit.
[[noreturn]] void throw_get_timed_out(std::chrono::nanoseconds limit, std::source_location site);

} // namespace detail

template <class T = void>
class [[nodiscard("the task's value and error come through this future")]] thread_future {
public:
    thread_future() noexcept = default;
    thread_future(thread_future&& o) noexcept : result_(std::move(o.result_)) {}
    thread_future& operator=(thread_future&& o) noexcept {
        std::swap(result_, o.result_);
        return *this;
    }
    ~thread_future() {
        if (result_) result_->detach();
    }

    [[nodiscard]] bool valid() const noexcept { return result_ != nullptr; }
    /// Waits for the task; its value, once, or its error; `child_cancelled` if it ended cancelled.
    T get() { return take(nullptr, {}, {}); }
    /// The same for at most `limit`: then the task is cancelled and `timeout_error` thrown.
    template <class Rep, class Period>
    T get(std::chrono::duration<Rep, Period> limit, std::source_location site = std::source_location::current()) {
        const std::chrono::nanoseconds d = detail::to_nanoseconds(limit);
        const auto end = end_of(d);
        return take(&end, d, site);
    }
    void wait() const { state().wait_until(nullptr); }
    /// Only waits: the task goes on.
    template <class Rep, class Period>
    std::future_status wait_for(std::chrono::duration<Rep, Period> limit) const {
        const auto end = end_of(detail::to_nanoseconds(limit));
        return state().wait_until(&end) ? std::future_status::ready : std::future_status::timeout;
    }
    /// Cancels the task on its loop; without effect if it has ended.
    void cancel() const {
        static_cast<void>(state());
        detail::cancel_remotely(result_);
    }

    explicit thread_future(std::shared_ptr<detail::thread_result<T>> r) noexcept : result_(std::move(r)) {} // for the library

private:
    [[nodiscard]] static std::chrono::steady_clock::time_point end_of(std::chrono::nanoseconds d) noexcept {
        const auto now = std::chrono::steady_clock::now();
        return d > std::chrono::steady_clock::time_point::max() - now ? std::chrono::steady_clock::time_point::max() : now + d;
    }
    [[nodiscard]] detail::thread_result<T>& state() const {
        if (!result_) throw invalid_state("this thread_future is empty: its value was taken, or it never had a task");
        return *result_;
    }
    T take(const std::chrono::steady_clock::time_point* end, std::chrono::nanoseconds limit, std::source_location site) {
        if (!state().wait_until(end)) {
            const auto late = std::exchange(result_, nullptr);
            late->detach();
            detail::cancel_remotely(late);
            detail::throw_get_timed_out(limit, site);
        }
        const auto r = std::exchange(result_, nullptr);
        r->throw_error();
        return r->value.take();
    }
    std::shared_ptr<detail::thread_result<T>> result_;
};

// --- implementation

namespace detail {

/// `make` returns the task; what it holds lives as long as that.
template <class T, class Make>
task<> settle_from(std::shared_ptr<thread_result<T>> r, std::optional<Make> make) {
    const task_context& self = co_await this_context();
    std::exception_ptr error;
    try {
        if constexpr (std::is_void_v<T>) {
            co_await (*make)();
            r->value.emplace();
        } else {
            r->value.emplace(co_await (*make)());
        }
    } catch (...) {
        error = std::current_exception();
    }
    make.reset(); // before anybody goes on: it may refer to the caller's variables
    r->task = {};
    r->settle(ending_of(self, std::move(error)));
}

/// Loop thread: starts the task; what fails goes to the future only.
template <class T, class Make>
void start_for_thread(const std::shared_ptr<thread_result<T>>& r, Make& make) noexcept {
    std::exception_ptr error;
    try {
        r->task = r->loop->spawn(settle_from<T, Make>(r, std::optional<Make>(std::move(make))));
        expect_settlement(*r);
        if (r->cancel_asked) r->task.cancel("cancelled by another thread");
    } catch (...) {
        error = std::current_exception();
    }
    if (error) r->settle(std::move(error));
}

template <class T, class Make>
thread_future<T> post_for_thread(event_loop& loop, Make make) {
    auto r = std::make_shared<thread_result<T>>();
    r->loop = &loop;
    r->mail = mailbox_of_loop(loop);
    loop.call_soon_threadsafe([r, make = std::move(make)]() mutable { start_for_thread(r, make); });
    return thread_future<T>(std::move(r));
}

} // namespace detail

template <class T>
thread_future<T> event_loop::spawn_threadsafe(task<T> t) {
    return detail::post_for_thread<T>(*this, [t = std::move(t)]() mutable { return std::move(t); });
}
template <class F, class... A>
    requires(!detail::is_task<std::remove_cvref_t<F>>)
auto event_loop::spawn_threadsafe(F&& f, A&&... args) -> thread_future<detail::spawned_t<F, A...>> {
    return detail::post_for_thread<detail::spawned_t<F, A...>>(
        *this, [f = std::decay_t<F>(std::forward<F>(f)), ... a = std::decay_t<A>(std::forward<A>(args))]() mutable {
            return std::invoke(f, std::move(a)...);
        });
}

} // namespace eddy

// loop_thread: a loop on a thread of its own, called from plain threads.
//
//     loop_thread t;
//     int v = t.call(f(1));                          // runs f on the loop, blocks this thread until it is done
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include <eddy/detail/duration.hpp>
#include <eddy/run.hpp>
#include <eddy/thread_future.hpp>

namespace eddy {

/// Signals are left to the program: SIGINT and SIGTERM do not end this loop. All functions from any thread.
class loop_thread {
public:
    /// Starts the thread; returns when its loop runs. Throws what making the loop throws.
    loop_thread() : loop_thread(run_options{}) {}
    explicit loop_thread(const run_options& options);
    loop_thread(const loop_thread&) = delete;
    loop_thread& operator=(const loop_thread&) = delete;
    /// As `close`; what that would throw is printed. On the loop's own thread it does not wait: the loop is stopped, and its
    /// thread ends by itself.
    ~loop_thread();

    /// Runs a task, or `f(args...)` that returns one, and waits for it: its value or error; `child_cancelled` if it was
    /// cancelled. Throws `std::logic_error` on the loop's own thread, and once the loop was closed.
    template <class T>
    T call(task<T> t) {
        return spawn(std::move(t)).get();
    }
    template <class F, class... A>
        requires(!detail::is_task<std::remove_cvref_t<F>>)
    detail::spawned_t<F, A...> call(F&& f, A&&... args) {
        return spawn(std::forward<F>(f), std::forward<A>(args)...).get();
    }
    /// The same without waiting.
    template <class T>
    thread_future<T> spawn(task<T> t) {
        require_other_thread();
        return loop().spawn_threadsafe(std::move(t));
    }
    template <class F, class... A>
        requires(!detail::is_task<std::remove_cvref_t<F>>)
    auto spawn(F&& f, A&&... args) -> thread_future<detail::spawned_t<F, A...>> {
        require_other_thread();
        return loop().spawn_threadsafe(std::forward<F>(f), std::forward<A>(args)...);
    }
    [[nodiscard]] event_loop& loop() noexcept;
    /// Cancels and joins all tasks within the grace period and ends the thread. Idempotent. Throws `shutdown_timeout`, what
    /// had ended the loop before, if it failed, and `std::logic_error` on the loop's own thread.
    void close();
    /// The same with another grace period than that of the options.
    template <class Rep, class Period>
    void close(std::chrono::duration<Rep, Period> grace) {
        require_other_thread();
        begin_close(detail::to_nanoseconds(grace));
        close();
    }

private:
    friend class loop_group;
    class body;
    void require_other_thread() const;
    void begin_close(std::optional<std::chrono::nanoseconds> grace);
    std::shared_ptr<body> body_;
};

} // namespace eddy

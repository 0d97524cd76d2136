// event_loop: one thread's loop. Most programs need only `run` (<eddy/run.hpp>).
//
//     event_loop loop;
//     loop.call_later(5ms, [] { … });
//     int v = loop.run_until_complete(f(1));
//
// Everything here belongs to the thread that runs the loop (before the first run: to the thread that made it), except
// `call_soon_threadsafe`, `try_post` and `spawn_threadsafe`.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <eddy/detail/duration.hpp>
#include <eddy/detail/engine.hpp>
#include <eddy/detail/function.hpp>
#include <eddy/detail/local_context.hpp>
#include <eddy/detail/mailbox.hpp>
#include <eddy/histogram.hpp>
#include <eddy/loop_clock.hpp>
#include <eddy/spawn.hpp>

namespace eddy {

class worker_pool;
template <class T>
class thread_future;

namespace detail {
class loop_core;
class callback_base;
class virtual_clock;
template <class Context>
inline constexpr bool is_asio_context = false; // what it is says <eddy/asio.hpp>
} // namespace detail

/// How a loop is made.
struct loop_options {
    bool debug = false; // also switched on by EDDY_DEBUG=1
    engine_kind engine = engine_kind::automatic;
    std::optional<std::uint64_t> shuffle_seed = {}; // permutes each batch of ready callbacks: finds order bugs
    std::chrono::nanoseconds busy_poll{0};          // spin on the engine so long before sleeping
    detail::virtual_clock* clock = nullptr;         // for the testing kit
    /// Debug mode: a step that holds the loop so long is reported, with its task and await chain.
    std::chrono::nanoseconds slow_step = std::chrono::milliseconds(100);
};

/// Where system calls on files run: on the threads of the blocking pool, or in the kernel, by io_uring.
enum class file_back_end : std::uint8_t { pool, ring };

/// Counters since the loop was made.
struct loop_stats {
    std::uint64_t ticks = 0;
    std::uint64_t steps = 0; // callbacks and task steps
    std::uint64_t polls = 0; // times the kernel was asked
    std::uint64_t posts = 0; // messages from other threads
    std::size_t tasks = 0;
    std::size_t timers = 0;
    std::size_t pending_operations = 0;
    std::size_t pool_jobs = 0; // given to pools and not finished
    std::chrono::nanoseconds longest_step{0}; // debug mode only
    engine_kind engine = engine_kind::asio;
    file_back_end files = file_back_end::pool; // ring: once a file was used, on the native engine, where the kernel has it and allows it
    std::size_t ring_operations = 0;           // on files, given to the ring and not finished
    std::uint64_t ring_submissions = 0;        // system calls that gave it such, all of a tick together
    histogram ready_length; // callbacks and task steps a tick
    histogram tick_time;    // ns a tick, without its poll: how long a batch of steps keeps all others waiting
    histogram poll_time;    // ns a poll, waiting included: where an idle loop spends its time
};

/// A posted callback. Destroying the handle does not cancel it.
class callback_handle {
public:
    callback_handle() noexcept = default;
    callback_handle(const callback_handle& o) noexcept;
    callback_handle(callback_handle&& o) noexcept : callback_(std::exchange(o.callback_, nullptr)) {}
    callback_handle& operator=(callback_handle o) noexcept {
        std::swap(callback_, o.callback_);
        return *this;
    }
    ~callback_handle();
    /// The callback will not run, even if it is in the current batch; its callable is destroyed now. Idempotent.
    void cancel() noexcept;
    [[nodiscard]] bool cancelled() const noexcept;
    /// When a timed callback is due.
    [[nodiscard]] loop_clock::time_point when() const noexcept;

    explicit callback_handle(detail::callback_base* c) noexcept; // for the library

private:
    detail::callback_base* callback_ = nullptr;
};

class event_loop {
public:
    event_loop() : event_loop(loop_options{}) {}
    explicit event_loop(const loop_options& options) : event_loop(options, nullptr) {}
    /// Runs inside an `asio::io_context` that others use as well, on one thread: whoever runs the loop runs their handlers too.
    /// The context must outlive the loop. Defined in <eddy/asio.hpp>, which says the rest.
    template <class Context>
        requires detail::is_asio_context<Context>
    explicit event_loop(Context& io, const loop_options& options = {});
    event_loop(const event_loop&) = delete;
    event_loop& operator=(const event_loop&) = delete;
    /// Closes the loop: see `close`.
    ~event_loop();

    /// The loop that runs on this thread, or null.
    [[nodiscard]] static event_loop* current() noexcept;

    /// Runs until the task is done; its value or error. Throws `child_cancelled` if it ended cancelled, and
    /// `std::logic_error` if a loop already runs on this thread (the task is destroyed unstarted) or if `stop` came
    /// first (the task is still alive and goes on with the next run).
    template <class T>
    T run_until_complete(task<T> main);
    /// Runs until `stop`.
    void run_forever();
    /// Ends the running `run_forever` after the current batch; callbacks posted meanwhile run next time.
    void stop() noexcept;
    /// One tick; waits at most `timeout` for something to do. As everywhere, a long duration counts as "for ever", and
    /// NaN is `std::invalid_argument`.
    void run_once() { tick(std::chrono::nanoseconds(0)); }
    template <class Rep, class Period>
    void run_once(std::chrono::duration<Rep, Period> timeout) {
        tick(detail::to_nanoseconds(timeout));
    }
    /// Everything that can run without waiting, at most `ticks` ticks. For a foreign loop: see `native_handle`.
    void poll(std::size_t ticks = 1000);
    [[nodiscard]] bool is_running() const noexcept;
    /// Cancels and joins all tasks, then refuses posts, runs what it had accepted (tasks too: they start cancelled) and waits
    /// for calls on workers, all within the grace period, then lets everything go (R13, R14, R16). Idempotent;
    /// `std::logic_error` while running. Throws `shutdown_timeout` (see <eddy/run.hpp>).
    void close() { shut_down(std::chrono::seconds(10)); }
    template <class Rep, class Period>
    void close(std::chrono::duration<Rep, Period> grace) {
        shut_down(detail::to_nanoseconds(grace));
    }
    [[nodiscard]] bool is_closed() const noexcept;

    /// Spawns into the loop's root group, also while the loop does not run.
    template <class F>
    auto spawn(F&& f, spawn_options options = {}) -> detail::hazard_t<task_handle<detail::spawned_t<F>>, F>;

    /// From any thread: spawns a task, or `f(args...)` that returns one, into the loop's root group. The future is for the
    /// calling thread, and gets the task's error too. Throws `std::logic_error` if the loop is closed. Defined in
    /// <eddy/thread_future.hpp>.
    template <class T>
    thread_future<T> spawn_threadsafe(task<T> t);
    template <class F, class... A>
        requires(!detail::is_task<std::remove_cvref_t<F>>)
    auto spawn_threadsafe(F&& f, A&&... args) -> thread_future<detail::spawned_t<F, A...>>;

    /// `f()` in the next tick, in order of posting. An exception of it goes to the exception handler. This and all callbacks
    /// below run with a copy of the task-locals of the place that registered them (R11).
    template <class F>
    callback_handle call_soon(F&& f);
    /// `f()` when `delay` has passed; equal deadlines in order of setting, never early. Past deadlines: next tick.
    template <class Rep, class Period, class F>
    callback_handle call_later(std::chrono::duration<Rep, Period> delay, F&& f);
    template <class F>
    callback_handle call_at(loop_clock::time_point when, F&& f);
    /// From any thread. Throws `std::logic_error` if the loop is closed.
    template <class F>
    void call_soon_threadsafe(F&& f);
    /// From any thread; false if the loop is closed.
    template <class F>
    bool try_post(F&& f);

    [[nodiscard]] std::vector<any_task> all_tasks() const;
    /// Tells `o` what the loop's tasks do, until `o` is removed or destroyed. `std::logic_error` if it observes one already.
    void add_observer(task_observer& o);
    void remove_observer(task_observer& o) noexcept;
    [[nodiscard]] loop_clock::time_point now() const noexcept;
    /// The time of day: the system's clock, which can be set forward and back; under a virtual clock one that goes on with
    /// it (see <eddy/testing.hpp>). For deadlines use `now`.
    [[nodiscard]] std::chrono::system_clock::time_point wall_now() const noexcept;
    /// Called for errors that nobody can receive (R10); the default prints them to stderr with task and await site.
    /// A handler that throws falls back to the default.
    void set_exception_handler(detail::unique_function<void(const error_context&)> handler);
    void call_exception_handler(const error_context& e) noexcept;
    [[nodiscard]] loop_stats stats() const noexcept;
    /// For a foreign loop (GLib, Qt, one's own): a descriptor that becomes readable when `poll()` has something to do. Before it
    /// sleeps the foreign loop asks `next_deadline()`, and when one of the two has come, on the loop's thread, it calls `poll()`.
    /// The loop keeps the descriptor; the first call makes it. From then on the loop cannot wait for Asio's own operations
    /// (`use_eddy`). -1 inside an `asio::io_context` of others, once `io_context()` was used, without the descriptor's means, and for
    /// a closed loop.
    [[nodiscard]] int native_handle() const noexcept;
    /// When `poll()` is due at the latest: now if something is ready, the nearest timer, or nothing.
    [[nodiscard]] std::optional<loop_clock::time_point> next_deadline() const noexcept;
    /// The `asio::io_context&` that the loop waits in, for I/O objects of Asio's; with the native engine made by the first call.
    /// Throws `std::logic_error` if the engine has none, or a foreign loop drives. Defined in <eddy/asio.hpp>.
    auto& io_context();
    /// The pool that `offload(f)` uses: as many threads as the machine has cores, started when needed.
    [[nodiscard]] worker_pool& default_pool();
    /// A separate pool for calls that block in the kernel: files, the start of processes.
    [[nodiscard]] worker_pool& blocking_pool();

    [[nodiscard]] detail::loop_core& core() noexcept { return *core_; } // for the library

private:
    event_loop(const loop_options& options, void* io_context);
    [[nodiscard]] detail::scheduler& scheduler() noexcept;
    [[nodiscard]] void* require_io_context() const;
    void drive(detail::task_context& main);
    void tick(std::chrono::nanoseconds timeout);
    void shut_down(std::chrono::nanoseconds grace);
    void require_idle() const;
    void require_open(const char* what) const;
    void require_own_thread(const char* what) const;
    callback_handle post(detail::callback_base* c, std::optional<loop_clock::time_point> when);
    [[nodiscard]] bool post_remote(detail::callback_base* c) noexcept;
    std::unique_ptr<detail::loop_core> core_;
};

/// The loop that runs on this thread. Throws `std::logic_error` if there is none.
[[nodiscard]] event_loop& this_loop();

// --- implementation

namespace detail {

/// A callable in the ready list, in the timers or on its way from another thread. Reference counted on the loop thread.
class callback_base : public timer_node, public remote_node {
public:
    virtual ~callback_base() = default;
    void retain() noexcept { ++references_; }
    void release() noexcept {
        if (--references_ == 0) delete this;
    }
    /// Calls the function if there still is one; the loop catches.
    virtual void invoke() = 0;
    virtual void drop() noexcept = 0;

    /// For a loop that closes: lets go of a callback that will not run.
    static void discard_if_callback(timer_node& n) noexcept;

    scheduler* loop = nullptr;
    bool cancelled = false;

protected:
    callback_base() noexcept;

private:
    static void run_ready(ready_node& n);
    static void run_remote(remote_node& n);
    local_context locals_ = inherited_locals(); // of the place that registered it (R11)
    std::size_t references_ = 1; // the loop's
};

template <class F>
class callback final : public callback_base {
public:
    template <class G>
    explicit callback(G&& f) : f_(std::in_place, std::forward<G>(f)) {}
    void invoke() override {
        if (!f_) return;
        (*f_)();
    }
    void drop() noexcept override { f_.reset(); }

private:
    std::optional<F> f_;
};

template <class F>
[[nodiscard]] callback_base* make_callback(F&& f) {
    return new callback<std::decay_t<F>>(std::forward<F>(f));
}

} // namespace detail

template <class T>
T event_loop::run_until_complete(task<T> main) {
    require_idle();
    task_handle<T> h = spawn(std::move(main), spawn_options{.name = "main"});
    drive(h.context());
    return detail::result_operation<T, true>(h.context()).take();
}

template <class F>
auto event_loop::spawn(F&& f, spawn_options options) -> detail::hazard_t<task_handle<detail::spawned_t<F>>, F> {
    require_open("spawn");
    require_own_thread("event_loop::spawn belongs");
    detail::task_state<detail::spawned_t<F>>* state = detail::make_task_state(std::forward<F>(f));
    return detail::launch(state, scheduler(), nullptr, scheduler().root_scope(), options);
}

template <class F>
callback_handle event_loop::call_soon(F&& f) {
    return post(detail::make_callback(std::forward<F>(f)), std::nullopt);
}
template <class Rep, class Period, class F>
callback_handle event_loop::call_later(std::chrono::duration<Rep, Period> delay, F&& f) {
    const loop_clock::time_point when = detail::after(now(), detail::to_nanoseconds(delay));
    return post(detail::make_callback(std::forward<F>(f)), when);
}
template <class F>
callback_handle event_loop::call_at(loop_clock::time_point when, F&& f) {
    return post(detail::make_callback(std::forward<F>(f)), when);
}
template <class F>
void event_loop::call_soon_threadsafe(F&& f) {
    if (!try_post(std::forward<F>(f))) detail::throw_logic_error("call_soon_threadsafe: the loop is closed");
}
template <class F>
bool event_loop::try_post(F&& f) {
    return post_remote(detail::make_callback(std::forward<F>(f)));
}

} // namespace eddy

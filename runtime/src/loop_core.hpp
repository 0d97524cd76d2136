// The loop itself: the tick of asyncio (docs/design/tick.md) over an engine.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include <eddy/detail/engine.hpp>
#include <eddy/detail/mailbox.hpp>
#include <eddy/detail/task_context.hpp>
#include <eddy/detail/virtual_clock.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/offload.hpp>
#include <eddy/thread_future.hpp>
#include <eddy/worker_pool.hpp>

#include "signal_slot.hpp"
#include "timer_heap.hpp"
#include "watchdog.hpp"

namespace eddy::detail {

class loop_core final : public scheduler, private engine_host {
public:
    loop_core(event_loop& owner, const loop_options& options, void* io_context);
    ~loop_core() override;

    // --- scheduler
    [[nodiscard]] loop_clock::time_point now() const noexcept override;
    void arm(timer_node& t, loop_clock::time_point when) override { timers_.insert(t, when); }
    void disarm(timer_node& t) noexcept override {
        timers_.erase(t);
        t.unlink();
    }
    void report(const error_context& e) noexcept override;
    [[nodiscard]] bool on_own_thread() const noexcept override {
        return thread_id.load(std::memory_order_relaxed) == std::this_thread::get_id();
    }

    // --- driving
    enum class wait_policy : bool { no, yes };
    /// One tick of the loop; waits for something to do at most until `limit`.
    void tick_once(wait_policy wait, std::optional<loop_clock::time_point> limit = std::nullopt);
    /// Running a loop inside another one's step would hold the other one up, so it is refused; closing one there is not.
    enum class nesting : bool { refused, allowed };
    /// Ticks until `done()`, `stop` or the limit; true if done. A `stop` that came before counts: it leaves one tick.
    template <class Done>
    bool run_while_not(Done done, std::optional<loop_clock::time_point> limit = std::nullopt, nesting n = nesting::refused) {
        const entered here(*this, n);
        while (!done()) {
            if (limit && now() >= *limit) return false;
            tick_once(wait_policy::yes, limit);
            if (stop_requested) return done();
        }
        return true;
    }
    /// Marks this thread as the one that runs the loop. A `stop` ends with it.
    class entered {
    public:
        explicit entered(loop_core& c, nesting n = nesting::refused);
        entered(const entered&) = delete;
        entered& operator=(const entered&) = delete;
        ~entered();

    private:
        loop_core& core_;
        thread_state outer_;
    };

    // --- for a foreign loop, which sleeps between our ticks
    /// Has nothing happened in the last tick, so that nothing is left to do that no descriptor tells of?
    [[nodiscard]] bool settled() const noexcept { return settled_; }
    [[nodiscard]] int native_handle() noexcept;
    /// For I/O objects of Asio's. Throws `std::logic_error`.
    [[nodiscard]] void* require_io_context();

    [[nodiscard]] bool ready_empty() const noexcept { return ready_.empty(); }
    [[nodiscard]] std::optional<loop_clock::time_point> next_timer() const noexcept {
        if (timers_.empty()) return std::nullopt;
        return timers_.next();
    }
    [[nodiscard]] task_context* first_task() const noexcept { return first_task_; }
    [[nodiscard]] std::size_t task_count() const noexcept { return task_count_; }
    [[nodiscard]] loop_stats stats() const noexcept;

    // --- shutdown (shutdown.cpp)
    /// Cancels the root scope and runs until no task is left, R16; false if some are stuck for good.
    [[nodiscard]] bool join_all_tasks(loop_clock::time_point grace_end);
    /// Then: refuses posts, runs what had been accepted and waits for calls on workers. Clears `joined` if a task got stuck
    /// that this started; false if a call did not come back. Both were reported.
    [[nodiscard]] bool finish_accepted(bool& joined, loop_clock::time_point grace_end);
    /// Lets everything go. `abandon`: stuck tasks are leaked.
    void tear_down(bool abandon);
    /// Reports the tasks that are left, by name and await site, and lets cancellations through their shields.
    void report_and_break_shields();
    /// `run_while_not` during shutdown: a `stop` is not for us.
    template <class Done>
    [[nodiscard]] bool run_until_limit(Done done, loop_clock::time_point limit) {
        while (!run_while_not(done, limit, nesting::allowed)) {
            if (now() >= limit) return done();
        }
        return true;
    }
    void let_cancelled_unwind();

    event_loop& owner;
    std::shared_ptr<mailbox> mail = std::make_shared<mailbox>();
    std::shared_ptr<engine> io;
    std::shared_ptr<const unique_function<void(const error_context&)>> exception_handler; // shared: it may replace itself
    std::unique_ptr<worker_pool> default_pool;
    std::unique_ptr<worker_pool> blocking_pool;
    std::unique_ptr<worker_pool> look_up_pool;
    std::size_t pool_jobs = 0; // handed to pools, completion not seen yet
    std::size_t workers_waiting = 0; // for tasks that they started (in_loop)
    std::size_t served_calls = 0;    // pool jobs that such tasks wait for
    intrusive_list<thread_result_base, &thread_result_base::link> promised; // to other threads, see spawn_threadsafe
    std::size_t external_work = 0; // child processes and the like: real time has to pass for them
    intrusive_list<signal_listener, &signal_listener::link> signal_listeners;
    std::chrono::nanoseconds slow_step_limit = std::chrono::milliseconds(100); // debug mode
    std::chrono::nanoseconds busy_poll{0};
    virtual_clock* clock = nullptr;
    bool shutting_down = false; // grace runs in real time while a worker holds it up, whatever the clock
    bool stop_requested = false;
    bool running = false;
    bool refuses_posts = false; // being closed: what it had accepted runs, nothing new comes in
    std::atomic<std::thread::id> thread_id;
    intrusive_list<offload_call, &offload_call::outstanding> calls; // on workers, not seen back yet

private:
    void foreign_handler_threw() noexcept override;
    void stop_asked() noexcept override { stop_requested = true; }
    void ring_decided(bool there_is_one, const char* why) noexcept override;
    [[nodiscard]] std::size_t ring_operations() const noexcept;
    void poll_kernel(wait_policy wait, std::optional<loop_clock::time_point> limit);
    [[nodiscard]] bool signal_pending() const noexcept;
    void tell_of_signals();
    void tick_ended(std::chrono::steady_clock::time_point t) noexcept;
    void poll_or_wait(wait_policy wait, std::optional<loop_clock::time_point> limit);
    void wait_virtual(std::optional<loop_clock::time_point> limit);
    void wait_for_worker(bool something_came, std::optional<loop_clock::time_point> until);
    void wait_for_kernel(std::optional<loop_clock::time_point> limit);
    [[nodiscard]] bool found_by_spinning(std::optional<loop_clock::time_point> until);
    [[nodiscard]] bool worker_was_quick(std::optional<loop_clock::time_point> until);
    void learn_how_quick_workers_are(std::chrono::nanoseconds waited) noexcept;
    void drain_mail() noexcept;
    void collect_timers();
    void run_batch();
    void run_watched(ready_node& n);
    void tell_watchdog(const task_context* t) noexcept;
    void shuffle(ready_list& batch);

    timer_heap timers_;
    std::optional<std::mt19937_64> shuffle_;
    std::vector<ready_node*> shuffle_buffer_;
    std::unique_ptr<watchdog> watchdog_; // debug mode, while the loop runs
    bool settled_ = true;
    bool context_lent_ = false; // its io_context was asked for
    bool gave_up_ = false; // tasks were stuck after the grace period
    std::uint64_t steps_ = 0;
    std::uint64_t polls_ = 0;
    std::uint64_t posts_ = 0;
    std::uint64_t skipped_polls_ = 0;
    unsigned quick_workers_ = 0; // how often, lately, a worker's result came in less time than sleeping takes
    std::chrono::steady_clock::time_point last_poll_{};
    bool ticked_ = false; // since the loop was entered: a tick's time ends with the next one's beginning
    std::chrono::steady_clock::time_point batch_start_{}; // the end of the last tick's poll, or the loop's entry
    histogram ready_length_;
    histogram tick_time_;
    histogram poll_time_;
    std::optional<std::chrono::steady_clock::time_point> stalled_since_; // virtual clock: a worker holds time up
    std::chrono::nanoseconds longest_step_{0};
};

[[nodiscard]] inline loop_core& core_of(scheduler& s) noexcept {
    return static_cast<loop_core&>(s);
}

} // namespace eddy::detail

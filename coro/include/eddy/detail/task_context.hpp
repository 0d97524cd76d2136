// The task: the unit that is spawned, named, cancelled and listed. Coroutines run inside a task.
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/detail/frame.hpp>
#include <eddy/detail/local_context.hpp>
#include <eddy/detail/operation.hpp>
#include <eddy/detail/scheduler.hpp>
#include <eddy/detail/scope.hpp>

namespace eddy::detail {

/// Told when a task has ended: on the loop thread, in the order of registration, when the result is in place.
struct task_watcher {
    explicit task_watcher(void (*f)(task_watcher&) noexcept) noexcept : ended(f) {}
    void (*ended)(task_watcher&) noexcept;
    list_link<task_watcher> link;
};

/// Who a task reports to when it ends: a group. Free tasks have none.
class task_owner {
public:
    /// Loop thread; the task's frame is gone, its result is in place, its scope still attached.
    virtual void child_finished(task_context& child) noexcept = 0;
    [[nodiscard]] virtual std::string_view kind() const noexcept = 0;
    /// The task that waits for its members as if it did their work itself (gather, race); null for groups.
    [[nodiscard]] virtual const task_context* on_behalf_of() const noexcept { return nullptr; }

protected:
    ~task_owner() = default;
};

/// Checks that a ready leaf may finish without suspending, before the task lets the loop run (R12).
inline constexpr int budget_per_step = 128;
/// Coroutines of one task resumed inside each other before the task's trampoline takes over (trap T2).
inline constexpr int nesting_bound = 64;
/// Checkpoints in one cancelled scope after which debug mode names the task: it swallows its cancellation (C-13).
inline constexpr std::uint32_t suspicious_deliveries = 1000;

using task_watchers = intrusive_list<task_watcher, &task_watcher::link>;

class task_context : public ready_node, public in_frame_memory {
public:
    virtual ~task_context();

    // --- life cycle
    /// Registers the task with the loop and puts it at the end of the ready list. Cannot fail.
    void launch(scheduler& loop, task_owner* owner, scope_node& parent) noexcept;
    void retain() noexcept { ++references_; }
    void release() noexcept;
    /// Runs the first step here and now instead (eager tasks); the caller's task is current again afterwards.
    void start_now() noexcept;

    [[nodiscard]] bool done() const noexcept { return done_; }
    [[nodiscard]] bool was_cancelled() const noexcept { return cancelled_; }
    /// The error it ended with; null while it runs and if it did not fail. Does not count as "seen".
    [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }
    /// Somebody received the error (or nobody has to): no report when the last handle goes (R10).
    void mark_seen() noexcept { seen_ = true; }
    [[nodiscard]] bool seen() const noexcept { return seen_; }
    /// Gives the error it ended with to the exception handler unless somebody received it: exactly once (R10).
    void report_unseen(std::string_view message) noexcept;
    bool cancel(std::string_view reason) {
        if (done_) return false;
        root_.cancel_scope_now(reason);
        return true;
    }

    /// The task behind a node of the ready list, or null.
    [[nodiscard]] static task_context* of(ready_node& n) noexcept {
        return n.run == &run_step || n.run == &run_deferred ? static_cast<task_context*>(&n) : nullptr;
    }

    // --- used by promises and operations of this task, on the loop thread
    /// A checkpoint: false if the operation must first take a trip through the ready list.
    [[nodiscard]] bool spend() noexcept { return !cancel_pending_ && --budget_ >= 0; }
    /// What is left of the step's budget: less than before, or another tick, means that a checkpoint was passed.
    [[nodiscard]] int budget() const noexcept { return budget_; }
    /// Returns the leaf coroutine until now, for `unsuspend`: after it the frame of `p` may go without a word.
    promise_base* suspend(operation& op, promise_base& p, std::coroutine_handle<> h) noexcept {
        wait_ = &op;
        promise_base* const before = std::exchange(leaf_, &p);
        next_ = h;
        op.state_ = operation::state::waiting;
        return before;
    }
    void unsuspend(operation& op, promise_base* before) noexcept {
        leaf_ = before;
        wait_ = nullptr;
        next_ = nullptr;
        op.state_ = operation::state::done;
    }
    void defer(operation& op) noexcept;
    /// The coroutine that the trampoline resumes next, within this step.
    void continue_with(std::coroutine_handle<> h) noexcept { next_ = h; }
    /// The same for a coroutine that ends: whoever looks at the task from now on must not look into its frame.
    void return_to(std::coroutine_handle<> h, promise_base& caller) noexcept {
        next_ = h;
        leaf_ = &caller;
    }
    void root_finished() noexcept { root_finished_ = true; }
    /// Control leaves the coroutine of `p`, whose frame may go now, for the one that awaits it.
    inline void came_back(const promise_base& p) noexcept;
    void deliver_cancellation() noexcept;
    /// It has left the cancelled scopes it was in.
    void cancellation_over() noexcept {
        interrupted_ = false;
        deliveries_ = 0;
    }
    void make_ready() noexcept { loop_->make_ready(*this); }
    [[noreturn]] void throw_cancelled(std::size_t partial = 0);
    [[noreturn]] void rethrow_deferred_error();
    /// The same as a value.
    [[nodiscard]] std::shared_ptr<const std::string> note_cancelled() noexcept;

    [[nodiscard]] scheduler& loop() const noexcept { return *loop_; }
    [[nodiscard]] scope_node& scope() const noexcept { return *scope_; }
    [[nodiscard]] scope_node& root_scope() noexcept { return root_; }
    [[nodiscard]] bool cancel_pending() const noexcept { return cancel_pending_; }
    /// Cancellation has reached it, and it is still inside the cancelled scope: an operation was aborted or a checkpoint threw.
    [[nodiscard]] bool interrupted() const noexcept { return interrupted_; }

    /// Its task-locals: a copy of those of the place that spawned it, then its own.
    [[nodiscard]] local_context& locals() noexcept { return locals_; }

    // --- seeing
    [[nodiscard]] std::string name() const;
    /// The task that acts here: for a lifted awaitable, the one that awaits it.
    [[nodiscard]] const task_context& principal() const noexcept;
    /// Has something that it waited for come already, so that it will go on? It looks through so many nested sets of children.
    [[nodiscard]] bool in_flight(int levels) const noexcept;
    /// The task that reports name; for a member of gather or race without a name of its own, the one that waits for it.
    [[nodiscard]] const task_context& named_host() const noexcept;
    /// What it was named, empty if it was not; `name()` then makes one of its number.
    [[nodiscard]] std::string_view given_name() const noexcept { return name_ ? std::string_view(*name_) : default_name(); }
    void set_name(std::string_view n);
    [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
    [[nodiscard]] std::source_location spawn_site() const noexcept { return spawn_site_; }
    void set_spawn_site(std::source_location s) noexcept { spawn_site_ = s; }
    /// The innermost await site outside this library; the spawn site before the first.
    [[nodiscard]] std::source_location where() const noexcept;
    /// Those of all its coroutines, innermost first.
    [[nodiscard]] std::vector<std::source_location> await_sites() const;
    [[nodiscard]] const promise_base* leaf() const noexcept { return leaf_; }
    [[nodiscard]] const operation* wait() const noexcept { return wait_; }
    [[nodiscard]] task_owner* owner() const noexcept { return owner_; }
    [[nodiscard]] bool running() const noexcept { return running_; }
    [[nodiscard]] bool started() const noexcept { return started_; }
    [[nodiscard]] task_context* next_task() const noexcept { return next_task_; }
    [[nodiscard]] std::size_t handles() const noexcept { return references_ - (done_ ? 0u : 1u); }

    void watch(task_watcher& w) noexcept { watchers_.push_back(w); }
    void unwatch(task_watcher& w) noexcept { watchers_.erase(w); }

    // For its owner: in the lists of those that failed, and of those that ended and were not asked for yet.
    task_context* next_failed = nullptr;
    task_context* next_ended = nullptr;
    int depth = 0; // how many of our coroutines are on the machine stack
    bool kept_without_result = false; // its group's reference cannot reach its result
    bool serves_worker = false; // a worker waits for it (in_loop)
    bool stands_for_host = false; // it is an awaitable of another task's (race, gather), not a task of its own right
    bool on_its_way = false;      // when another member of its race failed
    bool on_probation = false; // its failure concerns only who starts it (task_group::start)

protected:
    task_context() noexcept;
    /// Takes the result out of the finished root coroutine, destroys its frame, then the callable it was made from.
    virtual void collect() noexcept = 0;
    virtual void destroy_frame() noexcept = 0;
    /// Nobody can ask for the result any more.
    virtual void drop_result() noexcept = 0;
    /// Of a kind of task whose tasks are many and have the name in common.
    [[nodiscard]] virtual std::string_view default_name() const noexcept { return {}; }
    std::coroutine_handle<> next_;
    std::exception_ptr error_; // it ended with; before that, for a moment, of an operation that could not begin in its turn

private:
    friend class scope_node;
    friend class operation;
    template <class Op>
    friend class leaf_awaiter;
    static void run_step(ready_node& n);
    static void run_deferred(ready_node& n);
    void step() noexcept;
    void resume(thread_state& here) noexcept;
    void end_observed_step(thread_state& here) noexcept;
    void complete() noexcept;

    // In an order that leaves no gaps: a program may have a million tasks.
    bool cancelled_ = false;
    bool cancel_pending_ = false;
    bool interrupted_ = false;
    bool root_finished_ = false;
    bool done_ = false;
    bool seen_ = false;
    bool started_ = false;
    bool running_ = false;
    int budget_ = budget_per_step;
    std::uint32_t references_ = 1; // the loop's own, until the task is done
    std::uint32_t deliveries_ = 0; // of cancellations, since it was last outside all cancelled scopes
    scheduler* loop_ = nullptr;
    scope_node* scope_ = nullptr;
    operation* wait_ = nullptr;
    promise_base* leaf_ = nullptr;
    task_owner* owner_ = nullptr;
    local_context locals_;
    root_scope_node root_;
    task_watchers watchers_;
    loop_link home_; // of a failed task: its handles may outlive the loop
    std::unique_ptr<std::string> name_;
    std::uint64_t id_ = 0;
    std::source_location spawn_site_;
    task_context* prev_task_ = nullptr;
    task_context* next_task_ = nullptr;
};

/// Whoever waits for `t` here and now would be woken on another thread, or never: `std::logic_error` if `t` is a task of
/// another loop, or the current task itself.
void require_awaitable_here(const task_context& t);

/// Waiting for a task to end. The result is taken by the typed operations of `task_handle`.
class join_operation_base : public operation, private task_watcher {
public:
    bool begin() final { return try_now() || start(); }
    bool abort() noexcept final {
        target_->unwatch(*this);
        return true;
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "task"; }
    [[nodiscard]] bool awaits(const task_context& t) const noexcept override { return target_ == &t; }
    bool try_now();
    bool start() {
        target_->watch(*this);
        return false;
    }

protected:
    explicit join_operation_base(task_context& t) noexcept : task_watcher(&target_ended), target_(&t) { t.retain(); }
    join_operation_base(join_operation_base&& o) noexcept
        : operation(std::move(o)), task_watcher(&target_ended), target_(std::exchange(o.target_, nullptr)) {}
    ~join_operation_base() {
        if (target_) target_->release();
    }
    task_context* target_;

private:
    static void target_ended(task_watcher& w) noexcept { static_cast<join_operation_base&>(w).finish(); }
};

} // namespace eddy::detail

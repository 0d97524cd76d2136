// What the task machine asks of a loop. The runtime layer implements it; tests can too.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>

#include <eddy/detail/ready_list.hpp>
#include <eddy/loop_clock.hpp>

namespace eddy {

class task_observer;

/// What reaches the loop's exception handler: an error that nobody can receive (rule R10).
/// The texts are valid during the call only.
struct error_context {
    std::string_view message = {};
    std::exception_ptr exception = {}; // may be null: a report without an exception
    std::string_view task_name = {};   // empty if no task is involved
    std::source_location where{};
};

namespace detail {

class task_context;
class scope_node;
class local_context;

/// A deadline in the loop's timer structure. When it is due, the node goes to the ready list.
struct timer_node : ready_node {
    using ready_node::ready_node;
    static constexpr std::size_t idle = static_cast<std::size_t>(-1);
    loop_clock::time_point when{};
    std::size_t position = idle; // where the timer structure keeps it
};

/// A message from another thread; `run` is called on the loop thread, or never if the loop was closed.
struct remote_node {
    explicit remote_node(void (*f)(remote_node&)) noexcept : run(f) {}
    remote_node* next = nullptr;
    void (*run)(remote_node&);
};

class scheduler;

/// What the current thread runs. Read through `current()` only, never cached across a suspension (trap T7).
struct thread_state {
    scheduler* loop = nullptr;
    task_context* task = nullptr;
    local_context* locals = nullptr; // of the callback or offloaded call that runs; outside those the thread's own count
};
[[nodiscard]] thread_state& current() noexcept;

/// The default way to report: a line on stderr with task and await site.
void print_report(const error_context& e) noexcept;

/// Where a loop is, for what may outlive it: null once it is gone. Loop thread only.
using loop_link = std::shared_ptr<scheduler*>;

/// What observers are told (<eddy/task_observer.hpp>).
enum class task_event : std::uint8_t { spawned, step_begins, step_ends, ended };

class scheduler {
public:
    scheduler();
    scheduler(const scheduler&) = delete;
    scheduler& operator=(const scheduler&) = delete;
    virtual ~scheduler();

    /// Puts the node at the end of the ready list unless it is queued already. Loop thread only.
    void make_ready(ready_node& n) noexcept {
        if (!n.linked()) ready_.push_back(n);
    }

    [[nodiscard]] virtual loop_clock::time_point now() const noexcept = 0;
    /// Puts `t` on the ready list at `when`, at once if that is not in the future. Throws `std::bad_alloc`.
    virtual void arm(timer_node& t, loop_clock::time_point when) = 0;
    /// Takes `t` out of the timers or out of the ready list.
    virtual void disarm(timer_node& t) noexcept = 0;
    virtual void report(const error_context& e) noexcept = 0;
    /// Is this the thread that runs the loop, or last did?
    [[nodiscard]] virtual bool on_own_thread() const noexcept { return true; }

    [[nodiscard]] scope_node& root_scope() noexcept { return *root_; }
    [[nodiscard]] std::uint64_t tick() const noexcept { return tick_; }
    [[nodiscard]] bool debug() const noexcept { return debug_; }
    /// Nothing more is accepted: what it had is being run, or it is over.
    [[nodiscard]] bool closed() const noexcept { return closed_; }
    [[nodiscard]] const loop_link& link() const noexcept { return link_; }

    void add_observer(task_observer& o);
    void remove_observer(task_observer& o) noexcept;

protected:
    void disconnect() noexcept { *link_ = nullptr; }

    friend class task_context;
    void tell(task_event e, task_context& t) noexcept;
    task_observer* observers_ = nullptr;
    task_observer* next_observer_ = nullptr; // to be told next
    ready_list ready_;
    scope_node* root_; // parent of every free-spawned task's scope; owned
    task_context* first_task_ = nullptr;
    task_context* last_task_ = nullptr;
    std::size_t task_count_ = 0;
    std::uint64_t next_task_id_ = 1;
    std::uint64_t tick_ = 0;
    thread_state* thread_ = nullptr; // of the thread that runs us, while it does
    bool debug_ = false;
    bool closed_ = false;

private:
    loop_link link_ = std::make_shared<scheduler*>(this);
};

/// The loop that runs on this thread; throws `std::logic_error` that names `what` if there is none.
[[nodiscard]] scheduler& require_loop(const char* what);
/// The same, and that loop has to accept new work.
[[nodiscard]] scheduler& require_open_loop(const char* what);

} // namespace detail
} // namespace eddy

// task_observer: sees what the tasks of a loop do, for profilers and tracers.
//
//     struct counter final : task_observer {
//         void step_begins(const any_task&) noexcept override { ++steps; }
//         int steps = 0;
//     };
//     counter c;
//     this_loop().add_observer(c);
//
// The functions are called on the loop's thread, where things happen: they must be quick, and must not spawn, cancel or
// await. A loop without observers pays one predictable branch a step.
#pragma once

#include <eddy/task_handle.hpp>

namespace eddy {

class task_observer {
public:
    task_observer() noexcept = default;
    task_observer(const task_observer&) = delete;
    task_observer& operator=(const task_observer&) = delete;
    /// Ends the observation.
    virtual ~task_observer();

    /// A task was put into the ready list for the first time; it has not run.
    virtual void spawned(const any_task&) noexcept {}
    /// A task is about to run, until it suspends or ends; then `step_ends`. Eager tasks run inside their spawner's step.
    virtual void step_begins(const any_task&) noexcept {}
    virtual void step_ends(const any_task&) noexcept {}
    /// A task has unwound; its outcome is there. It comes before the `step_ends` of its last step.
    virtual void ended(const any_task&) noexcept {}

private:
    friend class detail::scheduler;
    detail::loop_link home_; // of the loop it observes
    task_observer* next_ = nullptr;
};

} // namespace eddy

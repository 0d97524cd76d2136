// task_local<T>: a value that belongs to the current task, inherited by what the task starts.
//
//     task_local<int> user{0};             // usually a global
//     user.set(7);                         // for this task and whatever it spawns from now on
//     int u = user.get();                  // in any function the task calls, without a parameter
//
// A spawned task starts with a copy of its spawner's values; neither sees what the other sets afterwards. Callbacks
// (`call_soon`, `call_later`, `on_done`) run with a copy of the values of the place that registered them (R11). `offload`
// carries them to the worker: the function sees the task's values, the task does not see what the function sets. A task
// awaited inline is part of its task, and so is the body of a generator while the task awaits its next value.
//
// Outside tasks and callbacks the values are the thread's own; `run` gives its main task a copy, and the runs of one
// `runner` share them. Copying is one increment of a counter: values are shared, and never change once set.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include <eddy/detail/local_context.hpp>

namespace eddy {

/// Sets a task-local back at the end of a block. Made by `task_local::with_value`; belongs to the task that made it.
class [[nodiscard("the value is set back when this object goes: keep it in a variable")]] task_local_scope {
public:
    task_local_scope(const task_local_scope&) = delete;
    task_local_scope& operator=(const task_local_scope&) = delete;
    ~task_local_scope() { detail::current_locals().restore(key_, before_); }

    // for the library
    task_local_scope(std::uint64_t key, detail::local_context::value_ptr value) : key_(key), before_(detail::current_locals()) {
        detail::current_locals().set(key, std::move(value));
    }

private:
    std::uint64_t key_;
    detail::local_context before_;
};

/// T need not be copyable; its destructor may run wherever the last task that inherited the value goes. Values outlive
/// the `task_local` they were set through, in the tasks that have them, but cannot be reached any more. May be used on
/// any thread: what a worker sees at the same time as a task is `const`.
template <class T>
class task_local {
    static_assert(std::is_object_v<T> && !std::is_const_v<T>, "a task_local holds an object; use a pointer for a reference");

public:
    /// What `get` gives where nothing was set is made from `initial`.
    template <class... A>
        requires std::constructible_from<T, A...>
    explicit task_local(A&&... initial) : initial_(std::forward<A>(initial)...) {}
    task_local(const task_local&) = delete;
    task_local& operator=(const task_local&) = delete;
    ~task_local() = default;

    /// The value of the current task. The reference is good until this task sets the value again or ends.
    [[nodiscard]] const T& get() const noexcept {
        if (const void* v = detail::current_locals().find(key_)) return *static_cast<const T*>(v);
        return initial_;
    }
    /// Throws `std::bad_alloc` and what T's move throws; nothing has changed then.
    void set(T value) { detail::current_locals().set(key_, std::make_shared<T>(std::move(value))); }
    /// Back to the initial value.
    void reset() { detail::current_locals().set(key_, nullptr); }
    [[nodiscard]] bool is_set() const noexcept { return detail::current_locals().find(key_) != nullptr; }

    /// Sets the value until the returned object goes:  `auto as_root = user.with_value(0);`
    [[nodiscard]] task_local_scope with_value(T value) {
        return task_local_scope(key_, std::make_shared<T>(std::move(value)));
    }

private:
    T initial_;
    std::uint64_t key_ = detail::next_local_key();
};

} // namespace eddy

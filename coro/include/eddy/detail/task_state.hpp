// A task together with the storage of its result, and with the callable it was made from, if any.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <eddy/detail/task_context.hpp>
#include <eddy/task.hpp>

namespace eddy::detail {

template <class T>
class task_state : public task_context {
public:
    explicit task_state(task<T>&& root) noexcept { adopt(std::move(root)); }

    /// The result of a task that ended with a value.
    [[nodiscard]] result_slot<T>& result() noexcept { return result_; }

protected:
    task_state() noexcept = default;
    void adopt(task<T>&& root) noexcept {
        root_ = std::move(root);
        promise_base& p = root_.handle().promise();
        p.context = this;
        p.started = true;
        next_ = root_.handle();
    }
    void collect() noexcept override {
        task_promise<T>& p = root_.handle().promise();
        if (p.error) {
            error_ = std::move(p.error);
            return;
        }
        try { // a result whose move throws ends the task with that error
            if constexpr (std::is_void_v<T>)
                result_.emplace();
            else
                result_.emplace(p.slot.take());
        } catch (...) {
            error_ = std::current_exception();
        }
    }
    void destroy_frame() noexcept override { root_ = {}; }
    void drop_result() noexcept override { result_.reset(); }

private:
    task<T> root_;
    result_slot<T> result_;
};

/// Keeps the callable and its arguments alive until the task has ended (T-35).
template <class T, class F, class... A>
class callable_task_state final : public task_state<T> {
    static_assert(((alignof(F) <= alignof(std::max_align_t)) && ... && (alignof(A) <= alignof(std::max_align_t))),
                  "spawn: task states are not over-aligned (trap T17): pass a pointer to such an object");

public:
    template <class G, class... B>
    explicit callable_task_state(G&& f, B&&... args) : call_(std::in_place, std::forward<G>(f), std::forward<B>(args)...) {
        task<T> root = std::apply([](F& fn, A&... a) { return std::invoke(fn, std::move(a)...); }, *call_);
        if (!root) throw_logic_error("spawn: the callable returned an empty task");
        this->adopt(std::move(root));
    }

private:
    void destroy_frame() noexcept override {
        task_state<T>::destroy_frame();
        call_.reset();
    }
    std::optional<std::tuple<F, A...>> call_;
};

/// Makes the state of a task from a task, an awaitable or a callable that returns a task. `f` and `args` are moved or
/// copied into it; nothing runs yet.
template <class F, class... A>
[[nodiscard]] auto* make_task_state(F&& f, A&&... args) {
    using type = std::remove_cvref_t<F>;
    if constexpr (is_task<type>) {
        static_assert(sizeof...(A) == 0, "arguments go with a callable, not with a task");
        static_assert(!std::is_lvalue_reference_v<F>, "a task is consumed by spawning it: write std::move(t)");
        auto&& t = move_out(f);
        if (!t) throw_logic_error("spawn: the task is empty (it was moved from)");
        return new task_state<typename type::value_type>(std::move(t));
    } else if constexpr (awaitable_in_task<F>) {
        static_assert(sizeof...(A) == 0, "arguments go with a callable, not with an awaitable");
        if constexpr (std::is_lvalue_reference_v<F>) require_copyable_result<type>();
        if constexpr (std::is_lvalue_reference_v<F>)
            return new task_state<owned_await_t<type>>(lift<type>(f));
        else
            return new task_state<owned_await_t<type>>(lift<type>(move_out(f)));
    } else {
        static_assert(std::is_invocable_v<std::decay_t<F>&, std::decay_t<A>...>,
                      "spawn takes a task, an awaitable, or a callable and the arguments to call it with");
        using result = std::invoke_result_t<std::decay_t<F>&, std::decay_t<A>...>;
        static_assert(is_task<result>, "spawn: the callable has to return a task");
        using state = callable_task_state<typename result::value_type, std::decay_t<F>, std::decay_t<A>...>;
        return new state(std::forward<F>(f), std::forward<A>(args)...);
    }
}

/// The T of the task that `make_task_state(F, A...)` makes. Void for what it would refuse: overloads are then told apart
/// by their constraints (clang substitutes return types first), and `make_task_state` says what is wrong.
template <class F, class... A>
struct spawn_value {
    using type = void;
};
template <class F>
    requires(!is_task<std::remove_cvref_t<F>> && awaitable_in_task<F>)
struct spawn_value<F> {
    using type = owned_await_t<std::remove_cvref_t<F>>;
};
template <class T>
struct task_value {
    using type = void;
};
template <class T>
struct task_value<task<T>> {
    using type = T;
};
template <class F>
    requires is_task<std::remove_cvref_t<F>>
struct spawn_value<F> {
    using type = typename std::remove_cvref_t<F>::value_type;
};
template <class F, class... A>
    requires(!awaitable_in_task<F> && std::is_invocable_v<std::decay_t<F>&, std::decay_t<A>...>)
struct spawn_value<F, A...> {
    using type = typename task_value<std::invoke_result_t<std::decay_t<F>&, std::decay_t<A>...>>::type;
};
template <class F, class... A>
using spawned_t = typename spawn_value<F, A...>::type;

} // namespace eddy::detail

// The members of gather and race: tasks are owned, handles observed, other awaitables lifted into tasks of their own.
#pragma once

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/detail/child_set.hpp>
#include <eddy/outcome.hpp>

namespace eddy::detail {

/// What is kept of an argument until the members start: operations given as lvalues stay where they are.
template <class A>
using member_t = std::conditional_t<std::is_lvalue_reference_v<A> && leaf_operation<A>, std::reference_wrapper<std::remove_reference_t<A>>,
                                    std::remove_cvref_t<A>>;

template <class A>
[[nodiscard]] member_t<A> make_member(std::remove_reference_t<A>& a) {
    if constexpr (std::is_lvalue_reference_v<A>) require_copyable_result<std::remove_cvref_t<A>>();
    if constexpr (std::is_lvalue_reference_v<A>)
        return member_t<A>(a);
    else
        return member_t<A>(move_out(a));
}

/// The value a member yields, as its own type: a handle that is observed gives a copy.
template <class M>
struct member_value {}; // not awaitable: no member
template <awaitable_in_task M>
struct member_value<M> {
    using type = owned_await_t<M>;
};
template <class T>
struct member_value<task<T>> {
    using type = T;
};
template <class Op>
struct member_value<std::reference_wrapper<Op>> {
    using type = owned_await_t<Op&>;
};
template <class M>
using member_value_t = typename member_value<M>::type;

template <class Op>
task<owned_await_t<Op&>> lift_reference(std::reference_wrapper<Op> op) {
    co_return co_await op.get();
}
template <class M>
task<member_value_t<M>> to_task(M&& m) {
    using type = std::remove_cvref_t<M>;
    if constexpr (is_task<type>)
        return std::move(m);
    else if constexpr (awaitable_in_task<type>)
        return lift<type>(std::move(m));
    else
        return lift_reference(m);
}

/// Members that will not be started after all.
template <class M>
void discard(M& member) noexcept {
    if constexpr (is_task<M>) member.discard();
}
template <class... M>
void discard(std::tuple<M...>& members) noexcept {
    std::apply([](auto&... m) { (discard(m), ...); }, members);
}
template <class M>
void discard(std::vector<M>& members) noexcept {
    for (M& m : members) discard(m);
}

/// Starts a member as a child of `set`.
template <class M>
[[nodiscard]] task_handle<member_value_t<M>> start_member(child_set& set, M&& m) {
    task<member_value_t<M>> t = to_task(std::move(m));
    auto* const state = new task_state<member_value_t<M>>(std::move(t));
    state->stands_for_host = !is_task<M>;
    return set.launch_child(state);
}

/// The value of a finished member as an object.
template <class T>
[[nodiscard]] stored_t<T> take_member(task_handle<T>& h) {
    auto& slot = static_cast<task_state<T>&>(h.context()).result();
    if constexpr (std::is_void_v<T>)
        return {};
    else if constexpr (std::is_reference_v<T>)
        return std::ref(slot.take());
    else
        return slot.take();
}

} // namespace eddy::detail

// gather: several awaitables at once, all results in argument order.
//
//     auto all = co_await gather(f(1), g());                          // std::tuple<int, std::string>
//     std::vector<int> many = co_await gather(std::move(tasks));      // from std::vector<task<int>>
//
// Tasks are owned: if one fails, the others are cancelled and joined before gather throws that error; later errors go to
// the loop's exception handler. Handles are only observed. A member that somebody else cancelled makes gather throw
// `child_cancelled`. Cancelling the gather cancels and joins its tasks; it then ends cancelled whatever they return.
// `gather_outcomes` cancels nobody and gives an `outcome` for each member; that of a handle is how its task ended. In a scope that is cancelled already both throw
// before they start a member. Results that are references come as `std::reference_wrapper`, void as `std::monostate`.
#pragma once

#include <array>
#include <cstddef>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/detail/members.hpp>

namespace eddy {

namespace detail {
template <class... A>
using gather_result_t = std::tuple<stored_t<member_value_t<member_t<A>>>...>;
template <class... A>
using gather_outcomes_result_t = std::tuple<outcome<member_value_t<member_t<A>>>...>;
} // namespace detail

template <awaitable... A>
[[nodiscard]] auto gather(A&&... members) -> detail::hazard_t<task<detail::gather_result_t<A...>>, A...>;
template <awaitable... A>
[[nodiscard]] auto gather_outcomes(A&&... members) -> detail::hazard_t<task<detail::gather_outcomes_result_t<A...>>, A...>;

/// Ranges: a vector of tasks or of handles, moved in.
template <awaitable M>
[[nodiscard]] auto gather(std::vector<M> members) -> task<std::vector<detail::stored_t<detail::member_value_t<M>>>>;
template <awaitable M>
[[nodiscard]] auto gather_outcomes(std::vector<M> members) -> task<std::vector<outcome<detail::member_value_t<M>>>>;

// --- implementation

namespace detail {

class gather_set final : public child_set {
public:
    enum class policy : bool { first_error_ends, collect_all };
    explicit gather_set(policy p) noexcept : policy_(p) {}
    /// Closes the set; throws the first error, or the cancellation that came from outside.
    void finish();
    /// After a member could not be started.
    void abandon() noexcept { scope().cancel_scope_now("gather could not start all members"); }

private:
    void child_ended(task_context& child) noexcept override;
    [[nodiscard]] std::string_view kind() const noexcept override { return "gather"; }
    [[nodiscard]] const task_context* on_behalf_of() const noexcept override { return &host(); }
    policy policy_;
    std::exception_ptr first_error_;
};

/// The task that a handle member observes; empty for other members.
template <class M>
[[nodiscard]] any_task observed_by(const M& member) {
    if constexpr (std::is_base_of_v<any_task, M>)
        return member;
    else
        return {};
}

/// A finished member's outcome; that of the task itself where a handle was observed.
template <class T>
[[nodiscard]] outcome<T> member_outcome(task_handle<T>& h, const any_task& observed) {
    const task_context& t = h.context();
    if (observed && observed.done() && observed.cancelled()) return outcome<T>::of(observed.context().error());
    if (t.error()) return outcome<T>::of(t.error());
    return outcome<T>(take_member(h));
}

template <class... T>
[[nodiscard]] std::tuple<outcome<T>...> outcomes_of(std::tuple<task_handle<T>...>& handles, const std::array<any_task, sizeof...(T)>& observed) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
        return std::tuple<outcome<T>...>(member_outcome(std::get<I>(handles), observed[I])...);
    }(std::index_sequence_for<T...>());
}

// Plain functions and named objects around the awaits: no temporaries inside `co_await` expressions (trap T1).

template <class... M>
using handles_of = std::tuple<task_handle<member_value_t<M>>...>;

template <class... M>
void start_members(child_set& set, std::tuple<M...>& members, handles_of<M...>& handles) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        ((std::get<I>(handles) = start_member<M>(set, std::move(std::get<I>(members)))), ...);
    }(std::index_sequence_for<M...>());
}
template <class M>
void start_members(child_set& set, std::vector<M>& members, std::vector<task_handle<member_value_t<M>>>& handles) {
    handles.reserve(members.size());
    for (M& m : members) handles.push_back(start_member<M>(set, std::move(m)));
}

/// Starts, joins and closes; `handles` then hold finished tasks.
template <class Members, class Handles>
task<> run_members(gather_set& set, Members& members, Handles& handles) {
    task_context& self = co_await this_context();
    if (self.cancel_pending()) discard(members);
    co_await entry_check();
    set.open(self);
    std::exception_ptr failure;
    try {
        start_members(set, members, handles);
    } catch (...) {
        failure = std::current_exception();
        discard(members);
        set.abandon();
    }
    co_await set.join();
    if (failure) {
        set.close();
        std::rethrow_exception(failure);
    }
    set.finish();
}

template <class... M>
task<std::tuple<stored_t<member_value_t<M>>...>> gather_tuple(std::tuple<M...> members) {
    gather_set set(gather_set::policy::first_error_ends);
    handles_of<M...> handles;
    co_await run_members(set, members, handles);
    co_return std::apply([](auto&... h) { return std::tuple<stored_t<member_value_t<M>>...>(take_member(h)...); }, handles);
}
template <class... M>
task<std::tuple<outcome<member_value_t<M>>...>> gather_outcomes_tuple(std::tuple<M...> members) {
    gather_set set(gather_set::policy::collect_all);
    handles_of<M...> handles;
    const std::array<any_task, sizeof...(M)> observed = std::apply([](const auto&... m) { return std::array{observed_by(m)...}; }, members);
    co_await run_members(set, members, handles);
    co_return outcomes_of(handles, observed);
}
template <class M>
task<std::vector<stored_t<member_value_t<M>>>> gather_vector(std::vector<M> members) {
    std::vector<stored_t<member_value_t<M>>> results;
    if (members.empty()) co_return results;
    gather_set set(gather_set::policy::first_error_ends);
    std::vector<task_handle<member_value_t<M>>> handles;
    co_await run_members(set, members, handles);
    results.reserve(handles.size());
    for (auto& h : handles) results.push_back(take_member(h));
    co_return results;
}
template <class M>
task<std::vector<outcome<member_value_t<M>>>> gather_outcomes_vector(std::vector<M> members) {
    std::vector<outcome<member_value_t<M>>> results;
    if (members.empty()) co_return results;
    gather_set set(gather_set::policy::collect_all);
    std::vector<task_handle<member_value_t<M>>> handles;
    std::vector<any_task> observed;
    observed.reserve(members.size());
    for (const M& m : members) observed.push_back(observed_by(m));
    co_await run_members(set, members, handles);
    results.reserve(handles.size());
    for (std::size_t i = 0; i < handles.size(); ++i) results.push_back(member_outcome(handles[i], observed[i]));
    co_return results;
}
inline task<std::tuple<>> gather_nothing() {
    co_return std::tuple<>();
}

} // namespace detail

template <awaitable... A>
auto gather(A&&... members) -> detail::hazard_t<task<detail::gather_result_t<A...>>, A...> {
    if constexpr (sizeof...(A) == 0)
        return detail::gather_nothing();
    else
        return detail::gather_tuple(std::tuple<detail::member_t<A>...>(detail::make_member<A>(members)...));
}
template <awaitable... A>
auto gather_outcomes(A&&... members) -> detail::hazard_t<task<detail::gather_outcomes_result_t<A...>>, A...> {
    if constexpr (sizeof...(A) == 0)
        return detail::gather_nothing();
    else
        return detail::gather_outcomes_tuple(std::tuple<detail::member_t<A>...>(detail::make_member<A>(members)...));
}
template <awaitable M>
auto gather(std::vector<M> members) -> task<std::vector<detail::stored_t<detail::member_value_t<M>>>> {
    return detail::gather_vector(std::move(members));
}
template <awaitable M>
auto gather_outcomes(std::vector<M> members) -> task<std::vector<outcome<detail::member_value_t<M>>>> {
    return detail::gather_outcomes_vector(std::move(members));
}

} // namespace eddy

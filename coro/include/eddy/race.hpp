// race: the first of several awaitables.
//
//     auto won = co_await race(q1.pop(), sleep_for(5s));
//     if (won.index == 0) use(*won.get<0>());
//
// The others are cancelled and joined before race returns, so nothing of theirs goes on and nothing is lost: whoever still
// finished with a value is in the result too. Tasks and operations are owned, handles only observed.
//
// If the first to end failed, race throws its error, unless a member ends with a value that was on its way at that time;
// that value then wins. Losers' errors go to the exception handler. If the race itself is cancelled before anybody ended
// and a member still yields a value, race returns it, and the next checkpoint throws (R2). Members that end in the same
// tick are ordered by their argument position. In a scope that is cancelled already race throws before it starts a member.
//
// `race_first_success` does not end with an error: it goes on until a member has a value, else throws an `exception_group`
// with all errors in the order they came. What failed before the winner is in the result.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include <eddy/gather.hpp>

namespace eddy {

/// `index`: the winner. `get<I>()`: what member I finished with, if it did; void is `std::monostate`.
/// `errors`: of the members that failed before there was a winner (`race_first_success`), in the order they ended.
template <class... T>
class race_result {
public:
    std::size_t index = 0;
    std::vector<std::exception_ptr> errors;
    template <std::size_t I>
    [[nodiscard]] auto& get() & noexcept {
        return std::get<I>(values_);
    }
    template <std::size_t I>
    [[nodiscard]] const auto& get() const& noexcept {
        return std::get<I>(values_);
    }
    template <std::size_t I>
    [[nodiscard]] auto get() && noexcept {
        return std::get<I>(std::move(values_));
    }

    race_result(std::size_t i, std::vector<std::exception_ptr> e, std::tuple<std::optional<T>...> v)
        : index(i), errors(std::move(e)), values_(std::move(v)) {}

private:
    std::tuple<std::optional<T>...> values_;
};

template <awaitable... A>
    requires(sizeof...(A) > 0)
[[nodiscard]] auto race(A&&... members)
    -> detail::hazard_t<task<race_result<detail::stored_t<detail::member_value_t<detail::member_t<A>>>...>>, A...>;
template <awaitable... A>
    requires(sizeof...(A) > 0)
[[nodiscard]] auto race_first_success(A&&... members)
    -> detail::hazard_t<task<race_result<detail::stored_t<detail::member_value_t<detail::member_t<A>>>...>>, A...>;

// --- implementation

namespace detail {

/// What ends a race: whoever is first, or the first with a value.
enum class race_ends_with : std::uint8_t { first, first_value };

class race_set final : public child_set {
public:
    explicit race_set(race_ends_with e) noexcept : ends_with_(e) {}
    void abandon() noexcept { scope().cancel_scope_now("race could not start all members"); }
    /// Tells the set its members, in argument order.
    void expect(task_context** members, std::size_t n) noexcept {
        members_ = members;
        count_ = n;
    }
    /// Closes the set; the index of the winner, or throws.
    std::size_t finish();
    /// Of those that failed while the race was open.
    [[nodiscard]] std::vector<std::exception_ptr> failures() const;

private:
    void child_ended(task_context& child) noexcept override;
    void failed_first(task_context& child) noexcept;
    void report(const task_context& member) noexcept;
    [[nodiscard]] std::string_view kind() const noexcept override { return "race"; }
    [[nodiscard]] const task_context* on_behalf_of() const noexcept override { return &host(); }
    const race_ends_with ends_with_;
    task_context** members_ = nullptr;
    std::size_t count_ = 0;
    task_context* first_ = nullptr;         // to end other than cancelled by us
    task_context* first_with_value_ = nullptr;
    std::uint64_t first_value_tick_ = 0;
    std::exception_ptr last_reported_;
    task_context* first_failed_ = nullptr; // with `first_value`: in the order they ended
    task_context* last_failed_ = nullptr;
};

template <class... M>
task<race_result<stored_t<member_value_t<M>>...>> race_tuple(race_ends_with ends_with, std::tuple<M...> members) {
    task_context& self = co_await this_context();
    if (self.cancel_pending()) discard(members);
    co_await entry_check();
    race_set set(ends_with);
    set.open(self);
    handles_of<M...> handles;
    std::exception_ptr failure;
    try {
        start_members(set, members, handles);
    } catch (...) {
        failure = std::current_exception();
        discard(members);
        set.abandon();
    }
    std::array<task_context*, sizeof...(M)> order{};
    if (!failure) {
        std::apply([&](auto&... h) { order = {&h.context()...}; }, handles);
        set.expect(order.data(), order.size());
    }
    co_await set.join();
    if (failure) {
        set.close();
        std::rethrow_exception(failure);
    }
    const std::size_t winner = set.finish();
    using result = race_result<stored_t<member_value_t<M>>...>;
    co_return std::apply(
        [&](auto&... h) {
            return result(winner, set.failures(), std::tuple<std::optional<stored_t<member_value_t<M>>>...>(
                                      (h.context().error() ? std::optional<stored_t<member_value_t<M>>>()
                                                           : std::optional<stored_t<member_value_t<M>>>(take_member(h)))...));
        },
        handles);
}

} // namespace detail

template <awaitable... A>
    requires(sizeof...(A) > 0)
auto race(A&&... members)
    -> detail::hazard_t<task<race_result<detail::stored_t<detail::member_value_t<detail::member_t<A>>>...>>, A...> {
    return detail::race_tuple(detail::race_ends_with::first, std::tuple<detail::member_t<A>...>(detail::make_member<A>(members)...));
}
template <awaitable... A>
    requires(sizeof...(A) > 0)
auto race_first_success(A&&... members)
    -> detail::hazard_t<task<race_result<detail::stored_t<detail::member_value_t<detail::member_t<A>>>...>>, A...> {
    return detail::race_tuple(detail::race_ends_with::first_value, std::tuple<detail::member_t<A>...>(detail::make_member<A>(members)...));
}

} // namespace eddy

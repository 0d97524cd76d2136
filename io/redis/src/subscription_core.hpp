// A connection of subscriptions: what is subscribed to, and how it is again after a loss.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <eddy/cancel_scope.hpp>
#include <eddy/detail/task_context.hpp>
#include <eddy/loop_clock.hpp>
#include <eddy/mutex.hpp>
#include <eddy/redis/subscription.hpp>
#include <eddy/retry.hpp>
#include <eddy/task.hpp>

#include "link.hpp"

namespace eddy::redis::detail {

class subscription_core {
public:
    using pointer = std::shared_ptr<subscription_core>;
    subscription_core(std::shared_ptr<const settings> s, link_pointer l) noexcept : settings_(std::move(s)), link_(std::move(l)) {}

    /// The first ones; until the server has confirmed them.
    [[nodiscard]] static task<> open(pointer core, std::vector<std::string> names, bool patterns);
    [[nodiscard]] static task<std::optional<message>> next(pointer core);
    [[nodiscard]] static task<> change(pointer core, std::vector<std::string> names, bool patterns, bool add);
    [[nodiscard]] std::uint64_t gaps() const noexcept { return gaps_; }
    void close() noexcept;

private:
    [[nodiscard]] task<std::optional<message>> next_message();
    [[nodiscard]] task<> connect_anew();
    [[nodiscard]] task<> dial_and_ask();
    void note_loss(const std::exception_ptr& loss, eddy::detail::task_context& self);
    [[nodiscard]] task<> ask_for_all();
    [[nodiscard]] task<> ask(std::span<const std::string> names, bool patterns, bool add);
    void take(value v);
    void take_pattern_message(std::vector<value>& parts);
    [[nodiscard]] bool is_over() const noexcept { return closed_ || (channels_.empty() && patterns_.empty() && unconfirmed_ == 0); }
    [[nodiscard]] message pop() noexcept;

    std::shared_ptr<const settings> settings_;
    link_pointer link_;                 // null: lost
    cancel_scope* connecting_ = nullptr;
    std::optional<eddy::detail::retry_course> course_; // of connections that break at once
    loop_clock::time_point connected_{};
    loop_clock::time_point not_before_{};              // the next connection
    bool proven_ = false;                              // this one has brought a message
    mutex writing_;
    std::set<std::string, std::less<>> channels_; // that are wanted
    std::set<std::string, std::less<>> patterns_;
    std::size_t unconfirmed_ = 0;       // what was asked for on this connection
    std::deque<message> messages_;      // that came with something else
    std::uint64_t gaps_ = 0;
    bool reading_ = false;
    bool closed_ = false;
};

} // namespace eddy::redis::detail

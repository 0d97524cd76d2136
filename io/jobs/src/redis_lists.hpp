// What Celery's and RQ's broker have in common: lists that something comes into, and a channel that commands come on.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/redis/client.hpp>
#include <eddy/task.hpp>

namespace eddy::jobs::detail {

/// Awaitable: until one of the lists has something at that end ("LEFT" or "RIGHT"), which stays there.
[[nodiscard]] task<> wait_for_item(redis::client from, std::vector<std::string> lists, std::string_view end);

/// What a worker has claimed when the reply did not arrive: the server keeps a note of its last claim, and gives that again when it is told
/// that the reply was lost.
class claim_note {
public:
    /// `prefix`: of its key, which is its own.
    explicit claim_note(std::string_view prefix);
    [[nodiscard]] const std::string& key() const noexcept { return key_; }
    [[nodiscard]] bool reply_lost() const noexcept { return lost_; }
    /// Awaitable: the reply of a claim. Shielded: what the server has given out would be nobody's for as long as its lease lasts.
    task<redis::value> reply_to(task<redis::value> claiming);

private:
    std::string key_;
    bool lost_ = false;
};

/// A channel that is listened to for as long as there is a worker.
class redis_ear {
public:
    redis_ear(redis::client c, std::string channel) : client_(std::move(c)), channel_(std::move(channel)) {}
    task<> listen();
    /// Awaitable: the next message; subscribes again if that has ended.
    task<std::string> next();

private:
    redis::client client_;
    std::string channel_;
    std::optional<redis::subscription> subscription_;
};

/// Throws the first error among them.
void check_all(const std::vector<redis::value>& replies);
/// Whole seconds, rounded up, at least one.
[[nodiscard]] std::string whole_seconds(std::chrono::nanoseconds d);
/// The same in milliseconds.
[[nodiscard]] std::int64_t whole_milliseconds(std::chrono::nanoseconds d) noexcept;
/// Seconds since 1970, with microseconds.
[[nodiscard]] std::string unix_text(double seconds);

} // namespace eddy::jobs::detail

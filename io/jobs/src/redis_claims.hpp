// Celery's queues in Redis, and what was claimed from them, as kombu has them. Facts: lists are pushed on the left and popped on the right; a
// claimed message is in the hash `unacked` under its delivery tag, and its tag in the sorted set `unacked_index` at the time of the claim.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/redis/client.hpp>
#include <eddy/task.hpp>

#include "broker.hpp"
#include "redis_lists.hpp"

namespace eddy::jobs::detail {

constexpr std::string_view kombu_separator = "\x06\x16";
/// A queue has a list for each, the most urgent first.
constexpr std::array<int, 4> priority_steps{0, 3, 6, 9};
[[nodiscard]] std::string list_of_queue(const std::string& queue, int priority);

/// The same contracts as of `broker`.
class redis_claims {
public:
    using duration = broker::duration;
    /// All keys begin with `prefix`.
    redis_claims(redis::client c, std::string prefix);

    task<std::vector<delivery>> claim(std::vector<std::string> queues, std::size_t most);
    task<> acknowledge(std::string tag);
    /// The commands of `acknowledge`, for a transaction.
    void add_acknowledge(redis::pipeline& p, const std::string& tag) const;
    task<> give_back(std::string tag, std::optional<std::string> payload);
    task<bool> put_off(std::string tag, duration pause);
    task<> refresh(std::vector<std::string> tags);
    task<std::size_t> restore(duration lease, int most_deliveries);
    task<> bury(dead_letter letter);
    task<std::vector<dead_letter>> dead_letters(std::size_t most);
    task<bool> revive(std::string tag);

private:
    [[nodiscard]] std::string key(std::string_view name) const { return prefix_ + std::string(name); }
    [[nodiscard]] std::vector<std::string> lists_of(const std::vector<std::string>& queues) const;
    task<std::vector<delivery>> claim_now(const std::vector<std::string>& queues, std::size_t most);
    task<std::optional<delivery>> claimed_message(std::string tag);
    task<bool> put_back(std::string tag, std::string message, std::string queue, std::string before);
    task<bool> return_put_off();
    task<std::size_t> restore_one(std::string tag, std::string before, int most_deliveries);

    redis::client jobs_;
    std::string prefix_;
    std::string unacked_, index_, dead_, later_;
    claim_note note_;
};

} // namespace eddy::jobs::detail

// Results that are waited for: one subscription for all of them, on one connection.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include <eddy/event.hpp>
#include <eddy/mutex.hpp>
#include <eddy/redis/client.hpp>
#include <eddy/task.hpp>

namespace eddy::jobs::detail {

class redis_results : public std::enable_shared_from_this<redis_results> {
public:
    explicit redis_results(redis::client c) : client_(std::move(c)) {}

    /// Awaitable: the text that is stored at `key`, once it is final.
    task<std::string> wait_final(std::string key);
    /// The subscription ends, and the task that reads it.
    void close() noexcept;

private:
    struct waiter {
        event stored;
        std::string text;
        std::size_t users = 0;
    };
    class use; // of a waiter
    task<> subscribe(std::string key);
    task<std::optional<std::string>> fetch_final(const std::string& key);
    task<> read();
    void unsubscribe(std::string key);

    redis::client client_;
    std::optional<redis::subscription> ear_;
    mutex opening_;
    std::unordered_map<std::string, std::shared_ptr<waiter>> waiters_;
    bool closed_ = false;
};

} // namespace eddy::jobs::detail

// redis::subscription: messages that others publish.
//
//     redis::subscription news = co_await rc.subscribe("news", "weather");
//     while (auto m = co_await news.next()) {
//         if (m->gap) load_everything_anew();             // the connection was lost: messages may have been missed
//         else use(m->channel, m->payload);
//     }
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/task.hpp>

namespace eddy::redis {

namespace detail {
class subscription_core;
}

/// One message. Not an aggregate (trap T1).
class message {
public:
    message() noexcept = default;
    message(std::string from, std::string matched, std::string text) noexcept
        : channel(std::move(from)), pattern(std::move(matched)), payload(std::move(text)) {}
    std::string channel;
    std::string pattern; // that matched; empty for a channel that was subscribed to by its name
    std::string payload;
    bool gap = false;    // no message: the connection was lost and is there again; the other parts are empty
};

/// Channels and patterns, on a connection of their own. Move-only; loop thread only.
///
/// Messages are read when `next` is awaited: a subscription that nobody reads is closed by the server when too much has
/// piled up there (client-output-buffer-limit), which is a gap.
class subscription {
public:
    subscription(subscription&&) noexcept = default;
    subscription& operator=(subscription&& o) noexcept;
    /// Closes it.
    ~subscription();

    /// Awaitable: the next message; nullopt when it was closed, or nothing is subscribed to any more. After the connection was lost
    /// it is replaced as `options::reconnect` says (at once if it was of use: it has brought a message, or lasted for a second; until the server
    /// has confirmed it all, the next one has failed), everything is subscribed to again, and a message with `gap` comes. Checkpoint;
    /// cancelled, no message is lost: the next call goes on where this one was. One at a time (`busy_resource`). Throws
    /// `connection_lost` when the connection cannot be replaced (the next call tries again); `redis::error` if the server refuses.
    task<std::optional<message>> next();

    /// Awaitable: more channels, or patterns; sent, not yet confirmed, when it returns. May be called while another task is in
    /// `next`. Checkpoint; cancelled, they may or may not be subscribed to now, and will be after the next reconnect.
    task<> subscribe(std::vector<std::string> channels);
    task<> psubscribe(std::vector<std::string> patterns);
    /// The same for fewer. Messages that are on their way still come.
    task<> unsubscribe(std::vector<std::string> channels);
    task<> punsubscribe(std::vector<std::string> patterns);

    /// How often the connection was lost and replaced.
    [[nodiscard]] std::uint64_t gaps() const noexcept;
    /// Closes the connection; `next` returns nullopt, the one that waits too. Idempotent.
    void close() noexcept;

    explicit subscription(std::shared_ptr<detail::subscription_core> core) noexcept; // for the library

private:
    [[nodiscard]] const std::shared_ptr<detail::subscription_core>& core() const;
    std::shared_ptr<detail::subscription_core> core_;
};

} // namespace eddy::redis

// One connection to a server, ready for commands.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/any_stream.hpp>
#include <eddy/loop_clock.hpp>
#include <eddy/redis/value.hpp>
#include <eddy/task.hpp>

#include "reply_parser.hpp"
#include "settings.hpp"

namespace eddy::redis::detail {

class link {
public:
    link(any_stream stream, int descriptor, const settings& s);
    link(const link&) = delete;
    link& operator=(const link&) = delete;

    /// Awaitable: until the stream has taken all of it.
    task<> write(std::string_view bytes);
    /// Awaitable: the next reply. Checkpoint; cancelled, nothing is lost. Throws `protocol_error`, what the stream throws.
    task<value> read();
    /// Awaitable: until something has come, which `next` then takes apart.
    task<> fill();
    [[nodiscard]] std::optional<value> next() { return parser_.next(); }

    /// Nothing came that nobody asked for, an end least of all. For a connection that was left alone.
    [[nodiscard]] bool is_quiet() const noexcept;
    /// Drops it; whoever waits is told.
    void abort() noexcept { stream_.abort(); }

    long long id = 0; // CLIENT ID, where it was asked for

private:
    static constexpr std::size_t buffer_size = std::size_t{16} << 10;
    any_stream stream_;
    int descriptor_; // of the socket below; -1: none
    bool encrypted_;
    reply_parser parser_;
    std::array<std::byte, buffer_size> buffer_;
};
using link_pointer = std::unique_ptr<link>;

/// What a link is for: those that block are told apart by the server, to be unblocked.
enum class purpose { commands, blocking };

/// A connection that has brought nothing and was shorter than this is no success.
inline constexpr std::chrono::seconds short_life{1};

/// Connects and introduces itself; everything within `connect_timeout`. Throws as `redis::connect`.
[[nodiscard]] task<link_pointer> dial(std::shared_ptr<const settings> s, purpose p);
/// Introduces itself over a stream that is there.
[[nodiscard]] task<link_pointer> introduce(std::shared_ptr<const settings> s, any_stream stream, int descriptor, purpose p);
/// `dial`, again and again as `options::reconnect` says, the first time at once. Throws what the last attempt threw; if there is no
/// use in another one, at once.
[[nodiscard]] task<link_pointer> dial_patiently(std::shared_ptr<const settings> s, purpose p);

/// What the loss of a connection is for a command; null: the client wanted it. If there was none because the server would not have us,
/// that is the server's error.
[[nodiscard]] std::exception_ptr loss_of(const settings& s, std::string_view command, const std::exception_ptr& cause, bool maybe_executed);
/// The first word of a command as it is sent.
[[nodiscard]] std::string_view command_of(std::string_view wire) noexcept;

} // namespace eddy::redis::detail

// redis::session: a connection that nobody else uses, for what changes its state: WATCH.
//
//     redis::session s = co_await rc.session();
//     co_await s.command("WATCH", "balance");
//     redis::value v = co_await s.command("GET", "balance");
//     redis::pipeline p;
//     p.add("SET", "balance", v.as_integer() - 10);
//     auto done = co_await s.transaction(p);                   // nullopt: somebody else has changed it meanwhile
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/redis/detail/words.hpp>
#include <eddy/redis/pipeline.hpp>
#include <eddy/redis/value.hpp>
#include <eddy/task.hpp>

namespace eddy::redis {

namespace detail {
class session_core;
}

/// Move-only; loop thread only. One command at a time (`busy_resource`). It is not connected again: after a loss, a timeout or a
/// cancelled command every further one throws `broken_resource`, because a reply might be on its way that belongs to another
/// command, and what was watched is not watched any more.
class session {
public:
    session(session&&) noexcept = default;
    session& operator=(session&&) noexcept = default;
    /// Closes the connection.
    ~session() = default;

    /// Awaitable: the reply. Limited by `options::timeout`. Checkpoint; cancelled before it began, nothing happened; later, the command
    /// may have been executed, and the connection is closed. Throws `redis::error`, `connection_lost`, `timeout_error`.
    template <detail::argument... A>
    task<value> command(std::string_view name, const A&... arguments) {
        std::string wire;
        detail::append_command(wire, name, arguments...);
        return send(std::move(wire));
    }
    task<value> command(std::vector<std::string> words);
    /// Awaitable: the replies, in order; errors are among them. As `command`.
    task<std::vector<value>> run(const pipeline& commands);
    /// Awaitable: the commands between MULTI and EXEC; nullopt if a key that was watched has changed. As `client::transaction`.
    task<std::optional<std::vector<value>>> transaction(const pipeline& commands);
    /// Closes the connection. Idempotent.
    void close() noexcept;

    explicit session(std::shared_ptr<detail::session_core> core) noexcept; // for the library

private:
    task<value> send(std::string wire);
    [[nodiscard]] const std::shared_ptr<detail::session_core>& core() const;
    std::shared_ptr<detail::session_core> core_;
};

} // namespace eddy::redis

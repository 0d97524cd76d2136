// redis::client: commands to a Redis server, from many tasks over one connection.
//
//     redis::client rc = co_await redis::connect("redis://127.0.0.1:6379/0");
//     co_await rc.command("SET", "name", "value", "EX", 60);
//     redis::value v = co_await rc.command("GET", "name");           // v.is_nil(), v.as_string(), …
//
// What the tasks of a loop send in one tick goes out in one write, and the replies come back in order: many tasks with a
// command each are a pipeline. A cancelled command's reply is read and dropped; nobody else ever gets it. A connection that is
// lost is replaced: commands that were not sent yet are sent then, those on their way fail with `connection_lost`.
//
// Blocking commands and subscriptions have connections of their own. RESP2, which every server speaks; server 5 or newer.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/any_stream.hpp>
#include <eddy/async_generator.hpp>
#include <eddy/redis/detail/words.hpp>
#include <eddy/redis/error.hpp>
#include <eddy/redis/options.hpp>
#include <eddy/redis/pipeline.hpp>
#include <eddy/redis/script.hpp>
#include <eddy/redis/session.hpp>
#include <eddy/redis/subscription.hpp>
#include <eddy/redis/value.hpp>
#include <eddy/task.hpp>

namespace eddy::redis {

namespace detail {
class client_core;
class client_handle;
} // namespace detail

/// An item that a blocking command has taken from a list. Not an aggregate (trap T1).
class popped {
public:
    popped(std::string from, std::string item) noexcept : key(std::move(from)), value(std::move(item)) {}
    std::string key;   // of the list that it was in
    std::string value;
};

/// A client. Copies are the same client, which belongs to the thread of one loop; the last one that goes closes it.
///
/// All commands: tasks that send when they are awaited, with arguments that the call has copied. Checkpoint; cancelled before it was
/// sent, the command never happens; cancelled later, it may have been executed, and its reply is dropped. They throw
///   `redis::error`      the server's error reply;
///   `connection_lost`   the connection broke while the command was on its way (`maybe_executed()`), or there was none to be had;
///   `timeout_error`     after `options::timeout`; as after a cancellation. If nothing at all has come from the server for so long,
///                       the connection is taken for dead, and replaced;
///   `closed_resource`   the client was closed, before or meanwhile;
///   `std::length_error` a word of more than 512 MB, and `std::invalid_argument` a number that is none (NaN): from the call itself.
/// The server's LOADING, MASTERDOWN and TRYAGAIN mean "later": such a command is sent again as `options::reconnect` says. After
/// READONLY the client connects anew, at most once a second, and sends it again: behind the address there may be a new master.
class client {
public:
    client(const client&) noexcept;
    client(client&&) noexcept;
    client& operator=(client o) noexcept;
    ~client();

    /// Awaitable: the reply. Arguments are strings, numbers and ranges of them, each item of which is a word of its own.
    template <detail::argument... A>
    task<value> command(std::string_view name, const A&... arguments) {
        std::string wire = buffer();
        detail::append_command(wire, name, arguments...);
        return send(std::move(wire));
    }
    /// The same from a list of words. None at all: `std::invalid_argument`.
    task<value> command(std::vector<std::string> words);

    /// Awaitable: the replies, in order. A server's error is one of them (`kind::error`) and hides no other. The commands go
    /// together, but other clients' may come in between: see `transaction`. Copied; empty: nothing is sent. LOADING and the like
    /// are errors here.
    task<std::vector<value>> run(const pipeline& commands);
    /// The same between MULTI and EXEC: all of them are executed, or none; nullopt if the server has discarded them (of a key that
    /// was watched, so only with `redis::session`). A command that the server refuses (an unknown name, OOM) makes it refuse all, which
    /// is a `redis::error` with that command's text; one that fails when it is executed is an error among the replies.
    task<std::optional<std::vector<value>>> transaction(const pipeline& commands);

    /// Awaitable: what the script returns. Sends EVALSHA, and the whole script if the server does not know it.
    template <detail::argument Keys, detail::argument... A>
    task<value> eval(const script& s, const Keys& keys, const A&... arguments) {
        std::string tail = buffer();
        detail::append_argument(tail, detail::words_in(keys));
        detail::append_argument(tail, keys);
        (detail::append_argument(tail, arguments), ...);
        return evaluate(s, 1 + detail::words_in(keys) + (std::size_t{0} + ... + detail::words_in(arguments)), std::move(tail));
    }
    /// Awaitable: SCRIPT LOAD, so that EVALSHA can be used in a pipeline.
    task<> load(script s);

    /// Awaitable: the reply of a command that waits at the server, such as BLPOP, BLMOVE, XREAD … BLOCK, WAIT: on a connection of its
    /// own, which is used again later. No time limit but the command's own. Cancelled, the server is told that we wait no longer
    /// (CLIENT UNBLOCK), and its last word is waited for, for at most a second: what it had taken from a list in that very
    /// moment is returned (R2), so that nothing is lost; else it was as if nothing had happened. If the server does not answer, the
    /// connection is closed, and what it had taken is lost. `connection_lost` is thrown in the same sense; it is not retried.
    template <detail::argument... A>
    task<value> blocking_command(std::string_view name, const A&... arguments) {
        std::string wire;
        detail::append_command(wire, name, arguments...);
        return send_blocking(std::move(wire), std::chrono::nanoseconds(0));
    }
    task<value> blocking_command(std::vector<std::string> words);
    /// The first item of the first of these lists that has one, or will have one within `wait` (0: for ever); else nullopt. As
    /// `blocking_command`; a server that is silent for `options::timeout` longer than that is a `connection_lost`.
    task<std::optional<popped>> blpop(std::vector<std::string> keys, std::chrono::nanoseconds wait);
    /// The same with the last item.
    task<std::optional<popped>> brpop(std::vector<std::string> keys, std::chrono::nanoseconds wait);
    /// BLMOVE: from an end of a list to an end of another ("LEFT", "RIGHT"), in one step: what a worker took is not lost with it.
    task<std::optional<std::string>> blmove(std::string source, std::string target, std::string_view from, std::string_view to,
                                            std::chrono::nanoseconds wait);

    /// Awaitable: subscribes to these channels, on a connection of its own, and waits until the server has confirmed it.
    task<redis::subscription> subscribe(std::vector<std::string> channels);
    template <detail::text_argument... A>
    task<redis::subscription> subscribe(const A&... channels) {
        std::vector<std::string> names;
        (names.emplace_back(std::string_view(channels)), ...);
        return subscribe(std::move(names));
    }
    /// The same with patterns: "news.*".
    task<redis::subscription> psubscribe(std::vector<std::string> patterns);
    template <detail::text_argument... A>
    task<redis::subscription> psubscribe(const A&... patterns) {
        std::vector<std::string> names;
        (names.emplace_back(std::string_view(patterns)), ...);
        return psubscribe(std::move(names));
    }

    /// Awaitable: a connection that nobody else uses.
    task<redis::session> session();

    /// All keys that match, by SCAN, `count` at a time: a key may come twice, one that comes or goes meanwhile may be missed.
    async_generator<std::string> scan(std::string pattern = "*", std::size_t count = 100);

    /// Awaitable: waits until all commands have their replies, for at most `options::timeout`, and closes. Checkpoint; cancelled, it
    /// closes at once (R13).
    task<> quit();
    /// Closes all connections; running commands throw `closed_resource`, later ones too; subscriptions and sessions go on.
    /// Idempotent.
    void close() noexcept;
    [[nodiscard]] bool is_open() const noexcept;
    [[nodiscard]] statistics stats() const noexcept;
    /// Without user and password: "redis://127.0.0.1:6379/0", "unix:///run/redis.sock?db=0".
    [[nodiscard]] const std::string& endpoint() const;

    explicit client(std::shared_ptr<detail::client_handle> handle) noexcept; // for the library

private:
    /// One that was used before.
    [[nodiscard]] std::string buffer() const;
    [[nodiscard]] task<value> send(std::string wire) const;
    [[nodiscard]] task<value> send_blocking(std::string wire, std::chrono::nanoseconds limit) const;
    [[nodiscard]] task<value> evaluate(script s, std::size_t words, std::string tail) const;
    [[nodiscard]] detail::client_core& core() const;
    [[nodiscard]] const std::shared_ptr<detail::client_core>& shared_core() const;
    std::shared_ptr<detail::client_handle> handle_;
};

/// Connects, says the password and chooses the database. The URL is
///     redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]     TCP; the port is 6379, the database 0
///     rediss://…                                           TLS over TCP
///     unix://[[USER]:PASSWORD@]/PATH[?db=DATABASE]         also redis+socket:// with ?virtual_host=DATABASE, as Celery spells it
/// with %XX for what is special in it. The call itself throws `std::invalid_argument` for what is none, without quoting a password.
/// Checkpoint; cancelled, no socket is left. Throws what `tcp_connect`, `unix_connect` and `tls_connect` throw, `timeout_error` after
/// `options::connect_timeout`, `redis::error` (WRONGPASS, NOAUTH, "DB index is out of range"), `protocol_error`, `connection_lost`. One
/// attempt is made: `retry` makes more.
task<client> connect(std::string url, options options = {}, std::source_location site = std::source_location::current());
/// The same over a stream that is there; it is not replaced when it is lost, and there are no blocking commands, subscriptions and
/// sessions (`std::logic_error`). `name` stands for the endpoint in errors.
task<client> connect_over(any_stream stream, std::string name, options options = {},
                          std::source_location site = std::source_location::current());

} // namespace eddy::redis

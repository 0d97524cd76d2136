// What the Redis client throws, besides `timeout_error`, `closed_resource` and what connecting throws.
//
//     try { co_await rc.command("INCR", "name"); }
//     catch (const redis::error& e) { if (e.code() == "WRONGTYPE") … }
#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace eddy::redis {

/// The server's answer is an error. `what()` names the command: "redis INCR: WRONGTYPE Operation against a key …".
class error : public std::runtime_error {
public:
    /// `command`: "INCR", or empty where it is not known, as in a reply of a pipeline. `reply`: what the server said. `endpoint`: whose
    /// reply that is, where a connection was refused.
    error(std::string_view command, std::string_view reply, std::string_view endpoint = {});
    /// The first word of what the server said: "ERR", "WRONGTYPE", "NOSCRIPT", "READONLY", "OOM", "WRONGPASS" …
    [[nodiscard]] std::string_view code() const noexcept { return {texts_->reply.data(), texts_->code_size}; }
    /// All that the server said.
    [[nodiscard]] const std::string& reply() const noexcept { return texts_->reply; }
    /// Empty if it is not known.
    [[nodiscard]] const std::string& command() const noexcept { return texts_->command; }

private:
    struct texts {
        std::string command;
        std::string reply;
        std::size_t code_size;
    };
    std::shared_ptr<const texts> texts_;
};

/// The connection broke, or there was none to be had, before the answer came. `what()` names endpoint, command and cause;
/// `code()` is the cause where the system gave one, else `std::errc::not_connected`.
class connection_lost : public std::system_error {
public:
    connection_lost(std::string_view endpoint, std::string_view command, std::string_view cause, std::error_code code, bool maybe_executed);
    [[nodiscard]] const char* what() const noexcept override { return texts_->what.c_str(); }
    /// Was the command on its way already? Then the server may have run it; else it has not, and never will.
    [[nodiscard]] bool maybe_executed() const noexcept { return maybe_executed_; }
    /// Without user and password: "redis://127.0.0.1:6379/0".
    [[nodiscard]] const std::string& endpoint() const noexcept { return texts_->endpoint; }

private:
    struct texts {
        std::string endpoint;
        std::string what;
    };
    std::shared_ptr<const texts> texts_;
    bool maybe_executed_;
};

/// What came is no RESP2, is longer than `options::max_reply`, or an answer that nobody asked for. The connection is closed; its
/// commands fail with a `connection_lost` that has this text. Thrown itself while connecting.
class protocol_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A value was asked for what it is not: "a redis reply is an integer (5), not a string".
class type_mismatch : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

} // namespace eddy::redis

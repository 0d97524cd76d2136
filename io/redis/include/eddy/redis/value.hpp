// redis::value: one reply of the server.
//
//     redis::value v = co_await rc.command("GET", "name");
//     if (!v.is_nil()) use(v.as_string());
//     redis::value all = co_await rc.command("LRANGE", "list", 0, -1);
//     for (const redis::value& item : all.as_array()) use(item.as_string());
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace eddy::redis {

namespace detail {
class reply_parser;
}

/// More kinds may come with a newer protocol.
enum class kind : std::uint8_t {
    nil,     // there is no such thing; also a blocking command whose time was over
    string,  // bytes
    status,  // a short text: "OK", "PONG", "QUEUED"
    integer,
    array,   // of values
    error    // only inside of other replies: of a pipeline, a transaction or a script
};
/// "nil", "string", "status", …
[[nodiscard]] std::string_view name_of(kind k) noexcept;

/// Owns what it holds. Whoever asks it for something of another kind gets a `type_mismatch` that says what it is; if it is an error
/// of the server, that `redis::error`.
class value {
public:
    value() noexcept = default; // nil
    explicit value(long long n) noexcept : content_(n), kind_(redis::kind::integer) {}
    explicit value(std::vector<value> items) noexcept : content_(std::move(items)), kind_(redis::kind::array) {}
    /// A string; or, if `k` says so, a status or an error. `std::invalid_argument` for other kinds.
    explicit value(std::string text, redis::kind k = redis::kind::string);

    [[nodiscard]] redis::kind kind() const noexcept { return kind_; }
    [[nodiscard]] bool is_nil() const noexcept { return kind_ == redis::kind::nil; }
    [[nodiscard]] bool is_error() const noexcept { return kind_ == redis::kind::error; }
    /// A status "OK"?
    [[nodiscard]] bool is_ok() const noexcept;

    /// A string or a status; lives as long as the value.
    [[nodiscard]] std::string_view as_string() const&;
    std::string_view as_string() const&& = delete; // of a temporary: take_string()
    /// An integer; also a string or status that is the decimal text of one, as replies to GET are.
    [[nodiscard]] long long as_integer() const;
    /// A string or status that is the text of a number, or an integer: scores, INCRBYFLOAT.
    [[nodiscard]] double as_double() const;
    [[nodiscard]] std::span<const value> as_array() const&;
    std::span<const value> as_array() const&& = delete; // of a temporary: take_array()
    /// An array's item. Throws `std::out_of_range` beyond its end.
    [[nodiscard]] const value& operator[](std::size_t i) const&;
    /// An array's items, a string's bytes, else 0.
    [[nodiscard]] std::size_t size() const noexcept;

    /// Moves the text out, of a string or status; the value is nil then.
    [[nodiscard]] std::string take_string();
    /// Moves the items out; the value is nil then.
    [[nodiscard]] std::vector<value> take_array();
    /// An array of strings, as KEYS gives; nil items become empty strings. The value is nil then.
    [[nodiscard]] std::vector<std::string> take_strings();

    /// What the server said; of an error only, else a `type_mismatch`.
    [[nodiscard]] std::string_view error_text() const&;
    /// Throws the `redis::error` that it holds, if it holds one.
    void check() const;

    /// For logs and tests: `nil`, `5`, `OK`, `"text"`, `["a", 1]`, `(error) ERR …`. Bytes that cannot be printed as \xNN; what is
    /// longer than `most` bytes is cut, with "…".
    [[nodiscard]] std::string describe(std::size_t most = 256) const;

    [[nodiscard]] friend bool operator==(const value&, const value&) = default;

private:
    friend class detail::reply_parser; // it adds the items of an array one by one
    std::variant<std::monostate, long long, std::string, std::vector<value>> content_;
    redis::kind kind_ = redis::kind::nil;
};

} // namespace eddy::redis

// request and response: HTTP messages with their bodies in memory. A server's handler gets a request and returns a
// response; the client returns the same response type.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/any_stream.hpp>
#include <eddy/detail/function.hpp>
#include <eddy/endpoint.hpp>
#include <eddy/http/headers.hpp>
#include <eddy/task.hpp>

namespace eddy::http {

class body_writer;

namespace detail {
using body_function = eddy::detail::unique_function<task<>(body_writer&)>;
using upgrade_function = eddy::detail::unique_function<task<>(any_stream)>;
} // namespace detail

/// A request that a server received.
class request {
public:
    request() = default;

    std::string method; // as sent: "GET"
    std::string target; // as sent: "/search?q=eddy"
    int minor_version = 1;
    header_list headers;
    std::string body; // without transfer coding
    ip_endpoint remote; // empty (0.0.0.0:0) on a Unix-domain socket
    std::vector<http::header> path_parameters; // what a router found in the path, decoded: see router.hpp

    /// The target without query; "/" for an absolute URL without path. Not decoded.
    [[nodiscard]] std::string_view path() const noexcept;
    /// What follows the "?"; empty if there is none. Not decoded.
    [[nodiscard]] std::string_view query() const noexcept;
    /// The decoded value of the query parameter `name`; nullopt if there is none.
    [[nodiscard]] std::optional<std::string> parameter(std::string_view name) const;
    /// What stands in the path for `{name}` of the route, decoded. Throws `std::out_of_range` if the route has no such part.
    [[nodiscard]] const std::string& path_parameter(std::string_view name) const;
    /// The first header of that name; an empty string if there is none.
    [[nodiscard]] const std::string& header(std::string_view name) const noexcept { return headers.get(name); }
};

/// How long the parts of a transfer took, each from the start of the request; redirects included. 0: did not happen.
class timings {
public:
    timings() = default;
    std::chrono::microseconds resolve{0};    // name known
    std::chrono::microseconds connect{0};    // connected; 0 on a reused connection
    std::chrono::microseconds tls{0};        // handshake done
    std::chrono::microseconds first_byte{0}; // first byte of the answer
    std::chrono::microseconds total{0};      // body complete
};

class response {
public:
    response() = default;
    explicit response(int status_code, std::string content = {}) : status(status_code), body(std::move(content)) {}
    response(int status_code, std::string content, std::string_view content_type)
        : status(status_code), body(std::move(content)) {
        headers.set("Content-Type", content_type);
    }
    /// A response of a server whose body is made while it is sent: `produce(out)` returns a `task<>` that writes it to
    /// `body_writer& out` (include body_writer.hpp). It runs after the head was sent, in the task of the connection, unless the
    /// request is a HEAD. Without `content_length` the body is sent in chunks, to an HTTP/1.0 client until the connection closes.
    /// If it throws, the connection is reset, so that nobody takes half a body for a whole one, and the loop's exception handler
    /// gets the error. Copies share `produce`.
    template <class F>
        requires std::is_invocable_r_v<task<>, std::decay_t<F>&, body_writer&>
    [[nodiscard]] static response stream(int status_code, std::string_view content_type, F&& produce) {
        response r(status_code, {}, content_type);
        r.produce_ = std::make_shared<const detail::body_function>(std::forward<F>(produce));
        return r;
    }
    /// A server answers 101 and goes on in another protocol: `proceed(stream)` returns a `task<>` that has the connection, from the
    /// first byte after the request on, and runs in the task of the connection, which ends with it. It is cancelled when the server's
    /// `shutdown` begins, and has the grace period to say farewell. Its failure goes to the loop's exception handler. A request that does
    /// not ask for `protocol` is answered with 426 instead. Copies share `proceed`.
    template <class F>
        requires std::is_invocable_r_v<task<>, std::decay_t<F>&, any_stream>
    [[nodiscard]] static response upgrade(std::string_view protocol, F&& proceed) {
        response r(101);
        r.headers.set("Upgrade", protocol);
        r.upgrade_ = std::make_shared<const detail::upgrade_function>(std::forward<F>(proceed));
        return r;
    }
    /// A server sends exactly these bytes instead of a response, then closes the connection. For tests of clients.
    [[nodiscard]] static response raw(std::string bytes);

    int status = 200;
    std::string body; // without transfer and content coding
    header_list headers;

    /// The first header of that name; an empty string if there is none.
    [[nodiscard]] const std::string& header(std::string_view name) const noexcept { return headers.get(name); }
    /// Is the status 2xx?
    [[nodiscard]] bool ok() const noexcept { return status >= 200 && status < 300; }

    /// These three change headers and return the response, to be chained. Throw as `header_list::add` does.
    response& set(std::string_view name, std::string_view value) &;
    response&& set(std::string_view name, std::string_view value) &&;
    response& add(std::string_view name, std::string_view value) &;
    response&& add(std::string_view name, std::string_view value) &&;
    response& content_type(std::string_view type) &;
    response&& content_type(std::string_view type) &&;
    /// Announces how many bytes the body of a `stream` response will have.
    response& content_length(std::uint64_t size) &;
    response&& content_length(std::uint64_t size) &&;

    // --- what a client learns
    std::string url;             // where the answer came from, after redirects
    int redirects = 0;           // how many were followed
    http::timings timings;
    std::uint64_t bytes = 0;     // of the body, as received: before decompression
    bool connection_reused = false;
    int http_version = 11;       // 10, 11 or 20

    // --- how a server sends it
    /// Closes the connection after this response.
    response& close_connection() & noexcept;
    response&& close_connection() && noexcept;
    /// Announces the whole body, sends `size` bytes of it and closes the connection: a truncated response, for tests.
    response& truncate_after(std::size_t size) & noexcept;
    response&& truncate_after(std::size_t size) && noexcept;

    [[nodiscard]] bool closes_connection() const noexcept { return close_; }
    [[nodiscard]] std::optional<std::size_t> truncated_after() const noexcept { return truncate_; }
    [[nodiscard]] bool is_raw() const noexcept { return raw_; }
    /// What makes the body; null if it is `body`.
    [[nodiscard]] const detail::body_function* producer() const noexcept { return produce_.get(); }
    //// What has the connection after this response; null if it stays with HTTP.
    [[nodiscard]] const detail::upgrade_function* upgrader() const noexcept { return upgrade_.get(); }

private:
    std::shared_ptr<const detail::body_function> produce_;
    std::shared_ptr<const detail::upgrade_function> upgrade_;
    std::optional<std::size_t> truncate_;
    bool close_ = false;
    bool raw_ = false;
};

/// The standard phrase of a status ("Not Found"); empty for unknown ones.
[[nodiscard]] std::string_view reason_phrase(int status) noexcept;
/// Decodes %XX, and "+" as a space; broken escapes stay as they are.
[[nodiscard]] std::string decode_query(std::string_view text);
/// Decodes %XX only, as in a path; broken escapes stay as they are.
[[nodiscard]] std::string decode_path(std::string_view text);

} // namespace eddy::http

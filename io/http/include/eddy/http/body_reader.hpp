// body_reader: the body of a request, read while it arrives.
//
//     http::server hs{[](http::request q, http::body_reader& body) -> task<http::response> {
//         std::array<std::byte, 4096> buffer;
//         for (std::size_t n = 1; n > 0;) {
//             n = co_await body.read_some(buffer);
//             …
//         }
//         co_return http::response{204};
//     }};
//
// Nothing is read ahead of the handler but what one read of the socket brings (64 KiB): a slow handler slows the client down.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <eddy/task.hpp>

namespace eddy::http {

namespace detail {
class connection;
}

/// The body of one request, in the hands of a handler that takes two arguments. An `async_read_stream`: `buffered_reader` goes over
/// it. Lives until the response was sent, so that the function of a streamed response may read it as well; loop thread only. What
/// the handler does not read is not read at all: the connection is then closed after the response.
///
/// A client that waits for "100 Continue" gets it at the first read, so that a handler can refuse without having the body sent; but
/// not from the function of a streamed response, whose head was the answer to it: begin to read before.
class body_reader {
public:
    /// One that is in memory already, to call handlers in tests.
    explicit body_reader(std::string body = {}) noexcept;
    body_reader(const body_reader&) = delete;
    body_reader& operator=(const body_reader&) = delete;

    /// Awaitable: at least one byte, at most the buffer; 0 at the end of the body, and for an empty buffer. Waits for at most
    /// `server_options::body_timeout`. There is no limit to the whole. Checkpoint; cancelled, nothing was read (R4). Throws `request_error`
    /// (400, 408), `broken_resource` or `std::system_error` if the client is gone, `busy_resource` if another task reads.
    task<std::size_t> read_some(std::span<std::byte> buffer);
    /// Awaitable: what is left of the body, within `body_timeout` for all of it. Throws `request_error` with 413 if that is more than
    /// `limit` bytes, or `server_options::max_body`. What was read when it throws, or is cancelled, stays for the next read.
    task<std::string> read_all();
    task<std::string> read_all(std::uint64_t limit);

    /// The length that the client has announced; 0 if there is no body, nullopt if it comes in chunks.
    [[nodiscard]] std::optional<std::uint64_t> content_length() const noexcept { return length_; }
    /// Bytes that came, read or not.
    [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
    /// Is there nothing left to wait for?
    [[nodiscard]] bool complete() const noexcept { return complete_; }

    // --- for the library
    explicit body_reader(detail::connection& c);
    /// The whole body if no waiting is needed for that, and its limit allows.
    [[nodiscard]] bool take_whole(std::string& body);

private:
    class turn;
    task<> fill(std::chrono::nanoseconds limit);
    void begin(std::uint64_t limit);
    void pull();
    [[noreturn]] void too_large(std::uint64_t limit) const;

    detail::connection* connection_ = nullptr;
    std::string waiting_; // came, not read; from `read_` on
    std::size_t read_ = 0;
    std::optional<std::uint64_t> length_;
    std::uint64_t received_ = 0;
    bool complete_ = false;
    bool busy_ = false;
};

} // namespace eddy::http

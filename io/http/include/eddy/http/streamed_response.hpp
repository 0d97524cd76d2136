// streamed_response: an answer whose body is read piece by piece. `client::stream` gives it.
//
//     http::streamed_response res = co_await hc.stream(url);      // status and headers are there, the body is on its way
//     buffered_reader lines{res.body};                             // it is an async_read_stream
//     for (std::string s = co_await lines.read_line(); !s.empty(); s = co_await lines.read_line()) use(s);
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <eddy/http/headers.hpp>
#include <eddy/stream.hpp>
#include <eddy/task.hpp>

namespace eddy::http {

namespace detail {
class transfer;
}

/// The body of a response that comes in. Move-only. At most `request_options::stream_buffer` bytes are held for the reader;
/// when they are there, nothing more is read from the connection until half of them are taken. Destroyed before the end
/// it closes the connection, so that no later request gets the rest.
class response_body {
public:
    response_body() noexcept = default; // ended
    response_body(response_body&&) noexcept = default;
    response_body& operator=(response_body&& o) noexcept;
    ~response_body();

    /// At least one byte, at most the buffer; 0 at the end of the body, and for an empty buffer. Checkpoint; cancelled, it has
    /// taken nothing and the body can be read on. One read at a time (`busy_resource`).
    /// Throws `http::error`, once what came before the error is read: `truncated` if the connection ended in the middle, `timeout`
    /// if nothing comes within the time limit of the request; `closed_resource` if the client was closed.
    task<std::size_t> read_some(std::span<std::byte> out);
    /// What is left of it. Throws `limit_overrun` beyond `limit` bytes (0: none), and as `read_some` does; what was read is then
    /// lost.
    task<std::string> read_all(std::size_t limit = std::size_t{64} << 20);

    explicit response_body(std::shared_ptr<detail::transfer> t) noexcept; // for the library

private:
    std::shared_ptr<detail::transfer> transfer_; // null: ended
};

/// An answer whose head is there. Move-only.
class streamed_response {
public:
    streamed_response() = default;

    int status = 0;
    header_list headers;
    response_body body;
    std::string url; // where the answer came from, after redirects
    int redirects = 0;
    bool connection_reused = false;
    int http_version = 11; // 10, 11 or 20

    /// The first header of that name; an empty string if there is none.
    [[nodiscard]] const std::string& header(std::string_view name) const noexcept { return headers.get(name); }
    /// Is the status 2xx?
    [[nodiscard]] bool ok() const noexcept { return status >= 200 && status < 300; }
};

} // namespace eddy::http

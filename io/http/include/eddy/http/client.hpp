// http::client: many HTTP transfers at once on one loop, over libcurl's multi-socket interface.
//
//     http::client hc;
//     http::response res = co_await hc.get("http://127.0.0.1:8080/");
//     if (res.ok()) use(res.header("content-type"), res.body);
//
// Connections are kept and used again. Redirects are followed, compressed bodies unpacked, certificates checked. Only
// http and https are spoken, in redirects too. No thread is started but for name look-ups (libcurl's resolver).
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/async_generator.hpp>
#include <eddy/file.hpp>
#include <eddy/http/cookie.hpp>
#include <eddy/http/download.hpp>
#include <eddy/http/error.hpp>
#include <eddy/http/form.hpp>
#include <eddy/http/message.hpp>
#include <eddy/http/request_options.hpp>
#include <eddy/http/streamed_response.hpp>
#include <eddy/stream.hpp>
#include <eddy/task.hpp>

namespace eddy::http {

namespace detail {
class client_core;
}

/// The oldest version of TLS that is spoken.
enum class tls_minimum { tls_1_2, tls_1_3 };

/// What holds for all requests of a client. The texts are copied when the client is made. A time or number of 0: no limit.
struct client_options {
    std::size_t max_connections = 256;         // at a time; more requests wait for one
    std::size_t max_connections_per_host = 0;  // at a time, to one host and port
    std::size_t max_idle_connections = 64;     // kept for later requests; beyond it the oldest is closed
    std::chrono::nanoseconds timeout = std::chrono::seconds(60);         // of a request, from its start to its last byte
    std::chrono::nanoseconds connect_timeout = std::chrono::seconds(15); // of each connection: name, TCP and TLS
    int max_redirects = 10;                    // 0: a redirect is an ordinary response
    std::size_t max_body = std::size_t{64} << 20;   // bytes, after decompression
    std::size_t max_header = std::size_t{256} << 10; // bytes of all headers of a response
    bool compression = true;                   // offer what libcurl can unpack, and unpack it
    bool verify_tls = true;                    // check certificate and host name
    std::string_view user_agent = "eddy";
    std::string_view ca_file = {};             // PEM file of authorities that are trusted instead of the system's
    std::string_view ca_pem = {};              // the same from text; not both
    std::string_view certificate_file = {};    // PEM file with ours, shown to servers that ask for one; those between it and its
                                               // authority follow it. Read for each connection, on the loop's thread
    std::string_view key_file = {};            // PEM file with its key; default: in the certificate's file
    std::string_view key_password = {};        // of the key, if it has one
    tls_minimum minimum_tls = tls_minimum::tls_1_2;
    // "http://user:password@host:port", or https, socks5h (the proxy looks names up), socks5 (we do), socks4a, socks4; user and
    // password %-encoded; default: none. What it is not has `std::invalid_argument`, without quoting the password.
    std::string_view proxy = {};
    std::string_view no_proxy = {};            // hosts that are asked directly: "localhost,.example.org,10.0.0.0/8"; "*": all
    bool proxy_from_environment = false;       // http_proxy and its like say what `proxy` does not, no_proxy what `no_proxy` does not;
                                               // else they are ignored
    std::string_view unix_socket = {};         // all requests go to who listens there: a path, or "@name" of Linux's abstract ones. The
                                               // host of an URL is only named, not looked up. Not with a proxy
    bool cookies = false;                      // keep those that servers set, and send them back
    bool http2 = false;                        // over TLS, with servers that offer it; several requests then share a connection.
                                               // Not for streams, uploads and downloads: one that waits would hold up the others
};

/// An HTTP client; belongs to the thread of one loop. Move-only.
///
/// All requests: a task that sends the request when it is awaited and returns the whole response, whatever its status.
/// The call itself throws `std::invalid_argument` for a method or header that cannot be sent. The task throws `http::error`
/// (it names the URL and the reason), and `closed_resource` if the client is closed before or meanwhile.
/// Cancelling it ends the transfer and closes its connection, so that no later request gets the rest of its answer.
/// Timeouts run on the loop's clock. The request may have reached the server in each of these cases.
class client {
public:
    /// Throws `std::invalid_argument` for options that cannot be meant, `std::bad_alloc`, and `std::runtime_error` if libcurl
    /// cannot start.
    explicit client(const client_options& options = {});
    client(client&&) noexcept = default;
    client& operator=(client&& other) noexcept;
    /// Closes the client.
    ~client();

    task<response> get(std::string url, request_options options = {});
    task<response> head(std::string url, request_options options = {});
    task<response> post(std::string url, std::string body, request_options options = {});
    task<response> put(std::string url, std::string body, request_options options = {});
    task<response> patch(std::string url, std::string body, request_options options = {});
    task<response> del(std::string url, request_options options = {});
    /// Any method. A redirect with status 303 is followed by GET, with 301 and 302 too if the method is POST.
    task<response> request(std::string method, std::string url, std::string body = {},
                                         request_options options = {});

    /// The answer as soon as its head is there; its body is then read piece by piece. `max_body` is unlimited unless the options
    /// say otherwise. The time limit runs until the head is there, and for each read that waits for more of the body; a slow
    /// reader costs nothing of it. Put `with_timeout` around all of it for a limit of the whole. Otherwise as all requests.
    task<streamed_response> stream(std::string url, request_options options = {});
    task<streamed_response> request_stream(std::string method, std::string url, std::string body = {},
                                                         request_options options = {});

    /// A body that `source` yields piece by piece, while it is sent: the next piece is asked for when the one before it is on its
    /// way. With `content_length` it has to come to that many bytes (`std::length_error`); without, it is sent in chunks. The
    /// source runs in a task beside this one; an exception in it ends the request and is thrown here (one that comes too late for
    /// that goes to the loop's exception handler). It is cancelled if the answer comes before its end. Such a body cannot be sent
    /// twice: a redirect that asks for that is an `http::error` (`other`). A kept connection that turns out to be closed is replaced as
    /// long as no more than the first piece has gone; later it is `disconnected`. The time limit of the request includes the source's
    /// time. Any method but HEAD (`std::invalid_argument`). Otherwise as all requests.
    task<response> upload(std::string method, std::string url, async_generator<std::string> source, request_options options = {});

    /// The same from an open file, from its position to its end; so many bytes are announced. Of a pipe and the like, which do not
    /// tell, the body is sent in chunks. With `content_length` so many bytes are sent, and not more. It is read off the loop, before
    /// the request begins to see how much it is. Throws `std::system_error`, and `std::length_error` with the path if it ends
    /// before it should.
    task<response> upload(std::string method, std::string url, file source, request_options options = {});

    /// The same from a form with its boundary; content type and length of the options do not count. Its files are opened, off the
    /// loop, before the request begins: an error of that is a `std::system_error` with the path. The length of the whole is announced
    /// if that of each part is known, else the body is sent in chunks.
    task<response> upload(std::string method, std::string url, multipart parts, request_options options = {});

    /// The same from a stream, to its end, or so many bytes as `content_length` says. It is taken over, or, if it is an lvalue, referred
    /// to: it must outlive the task then, and what was not sent can be read from it.
    template <class S>
        requires(async_read_stream<std::remove_cvref_t<S>> && !std::same_as<std::remove_cvref_t<S>, file>)
    task<response> upload(std::string method, std::string url, S&& source, request_options options = {});

    /// GET into a file. The body goes to `path` + ".part"; when all of it is there and on the device, that is renamed to `path`,
    /// which is replaced. If an earlier attempt has left a part, only the rest is asked for, provided that the server's ETag, or
    /// date, says that the file is still the same (remembered in `path` + ".part.note"); else it starts over. If a server gives less of
    /// the rest, it is asked for what follows.
    /// Cancelled, or failed, it leaves the part for a next attempt, and `path` as it was. Any status but 200 and 206 is an
    /// `http::error` (`bad_status`). Errors of the files are `std::system_error`s; a second download to the same path meanwhile
    /// is a `busy_resource`. Neither `.part` nor `.part.note` may be a symbolic link (ELOOP). Limits of size and time are those of
    /// `stream`. The bytes are stored as sent: not decompressed.
    task<download_result> download(std::string url, std::string path, download_options options = {});

    /// Forgets all cookies.
    void clear_cookies();
    /// Those that are kept, in no order.
    [[nodiscard]] std::vector<cookie> cookies() const;
    /// As if a server had set it; replaces one of that name, domain and path. One whose time is over only does that. Throws
    /// `std::invalid_argument` for what is no cookie: a control character or ';' in it, no domain; `std::logic_error`, as the two
    /// below, if cookies are not kept (`client_options::cookies`).
    void set_cookie(const cookie& c);
    /// Sets those of a file in Netscape's format, which curl, wget and browsers' tools know; how many it had. What `set_cookie`
    /// would refuse is left out. Read off the loop; cancelled or failed, no cookie was set. Throws `std::system_error`, and
    /// `std::runtime_error` with file and line for what is no such file.
    task<std::size_t> load_cookies(std::string path);
    /// Writes those that are there when it begins, sessions' ones included, into such a file that only its owner may read. It
    /// replaces the one of that name when it is complete; cancelled or failed, it has not. Throws `std::system_error` that names `path`.
    task<> save_cookies(std::string path);

    /// Closes every connection; running requests throw `closed_resource`, later ones too. Idempotent.
    void close() noexcept;

    /// Requests that have started and not ended; streamed bodies that are not through included.
    [[nodiscard]] std::size_t active() const noexcept;
    /// Open connections, idle ones included.
    [[nodiscard]] std::size_t connections() const noexcept;

private:
    std::shared_ptr<detail::client_core> core_;
};

// --- implementation

namespace detail {

/// What a stream gives, piece by piece. S may be a reference.
template <class S>
async_generator<std::string> stream_pieces(S stream, std::uint64_t left) {
    constexpr std::uint64_t at_once = std::uint64_t{64} << 10;
    while (left > 0) {
        std::string piece(static_cast<std::size_t>(std::min(left, at_once)), '\0');
        const std::span<std::byte> room = std::as_writable_bytes(std::span<char>(piece.data(), piece.size()));
        const std::size_t n = co_await stream.read_some(room);
        if (n == 0) co_return;
        piece.resize(n);
        left -= n;
        co_yield std::move(piece);
    }
}

} // namespace detail

template <class S>
    requires(async_read_stream<std::remove_cvref_t<S>> && !std::same_as<std::remove_cvref_t<S>, file>)
task<response> client::upload(std::string method, std::string url, S&& source, request_options options) {
    const std::uint64_t most = options.content_length.value_or(std::numeric_limits<std::uint64_t>::max());
    async_generator<std::string> pieces = detail::stream_pieces<S>(std::forward<S>(source), most);
    return upload(std::move(method), std::move(url), std::move(pieces), options);
}

} // namespace eddy::http

// http::server: HTTP/1.1 for handlers that are coroutines.
//
//     http::server hs{[](http::request q) -> task<http::response> { co_return http::response{200, "hi"}; }};
//     co_await hs.listen({"127.0.0.1", 0});       // serves in the background from here on
//     use(hs.port());
//     co_await hs.shutdown(5s);
//
// Requests of one connection are answered in order, also when they were sent ahead (pipelining); different connections
// are served at the same time. What is not clearly one request is refused with an error status and the connection
// closed. Over TLS, or anything else, with `wrap`.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/any_stream.hpp>
#include <eddy/detail/function.hpp>
#include <eddy/http/access_log.hpp>
#include <eddy/http/handler.hpp>
#include <eddy/http/message.hpp>
#include <eddy/serve.hpp>
#include <eddy/task.hpp>
#include <eddy/tcp.hpp>
#include <eddy/unix.hpp>

namespace eddy::http {

namespace detail {
class server_state;
using wrapper_function = eddy::detail::unique_function<task<any_stream>(tcp_stream)>;
using access_function = eddy::detail::unique_function<void(const access_record&)>;

/// Awaits what lays a stream over TCP, and forgets its type.
template <class F>
class stream_wrapper {
public:
    template <class G>
    explicit stream_wrapper(G&& wrap) : wrap_(std::forward<G>(wrap)) {}
    task<any_stream> operator()(tcp_stream accepted) {
        auto wrapping = wrap_(std::move(accepted));
        co_return any_stream(co_await std::move(wrapping));
    }

private:
    F wrap_;
};
} // namespace detail

/// Limits of a server. A time or number of 0: no limit. The text is copied when the server is made.
struct server_options {
    std::size_t max_header = std::size_t{32} << 10; // bytes of request line and headers; beyond: 414 or 431
    std::size_t max_body = std::size_t{8} << 20;    // bytes of a request's body, unless it is read as a stream; beyond: 413
    std::size_t max_connections = 10'000;           // served at a time; as many more are told 503, beyond: closed
    std::size_t max_requests_per_connection = 0;    // the last one is answered with Connection: close
    std::chrono::nanoseconds header_timeout = std::chrono::seconds(15); // for a head, from connect or its first byte; then: 408
    std::chrono::nanoseconds body_timeout = std::chrono::seconds(60);   // for a whole body, or a read of a streamed one; then: 408
    std::chrono::nanoseconds idle_timeout = std::chrono::seconds(75);   // between requests; then the connection is closed
    std::chrono::nanoseconds write_timeout = std::chrono::seconds(30);  // for a client to take 64 KiB of a response; then it is reset
    std::string_view server_name = {};              // the Server header; none by default
};

/// An HTTP server on one listening socket or several; belongs to the thread of one loop.
///
/// The handler runs in the task of its connection; it may be slow, and it is cancelled at shutdown. An exception of it is
/// answered with status 500 and goes to the loop's exception handler, unless it is a `request_error`, which says its status itself;
/// the connection goes on. So is a response that cannot be sent (a status below 200 or above 599). What goes wrong on a connection (reset, garbage, too slow) ends that
/// connection and is not reported.
class server {
public:
    template <request_handler H>
        requires(!std::same_as<std::remove_cvref_t<H>, server>)
    explicit server(H&& handler, const server_options& options = {})
        : server(std::in_place, detail::make_handler(std::forward<H>(handler)), options) {}
    server(const server&) = delete;
    server& operator=(const server&) = delete;
    /// Stops listening and cancels what still runs, without waiting for it; no handler is started any more. What handlers
    /// refer to must live until they have unwound: `shutdown` waits for that.
    ~server();

    /// Before it is started: speaks over what `wrap(tcp_stream)` makes of each connection; it returns a task of a stream, as
    /// `tls_accept` does, and is given `header_timeout`. If it throws, the connection is closed. Nobody is told of what a client can
    /// bring about, since handshakes fail: `std::system_error` (`tls_error` is one), `timeout_error`, `broken_resource`,
    /// `closed_resource`. The loop's exception handler is told of everything else. `scheme` is what `url` begins with.
    template <class F>
        requires std::invocable<std::decay_t<F>&, tcp_stream>
    void wrap(F&& wrap, std::string_view scheme = "https") {
        set_wrapper(detail::wrapper_function(detail::stream_wrapper<std::decay_t<F>>(std::forward<F>(wrap))), scheme);
    }
    /// Before it is started: `log(record)` is called on the loop after each response, also one that failed, and must not throw (the
    /// loop's exception handler is told). See access_log.hpp.
    template <class F>
        requires std::invocable<std::decay_t<F>&, const access_record&>
    void on_access(F&& log) {
        set_access(detail::access_function(std::forward<F>(log)));
    }

    /// Binds, listens and returns; serves in the background, as a task of the loop's root group. Port 0: the kernel picks
    /// one. Throws `std::system_error` that names the address, `std::logic_error` if the server was started before.
    task<> listen(ip_endpoint at);
    /// The same on all addresses of a name, as `tcp_listen` does: "localhost", "" for every address of this machine.
    task<> listen(std::string host, std::uint16_t port, const listen_options& options = {});
    /// The same on a Unix-domain socket. Requests have an empty `remote` then (0.0.0.0:0). `std::logic_error` if it is wrapped.
    /// Throws what `unix_listener::bind` throws.
    task<> listen(unix_endpoint at, unix_listen_options options = {});
    /// The same on a listener of one's own, in the current task, until the server is stopped and every connection has
    /// ended, or it is destroyed. Cancelled: stops listening, cancels the connections and waits for them.
    task<> serve(tcp_listener listener);
    task<> serve(std::vector<tcp_listener> listeners);
    task<> serve(unix_listener listener);

    /// No more connections; those that are there go on. Idempotent.
    void stop_accepting();
    /// Stops accepting, closes idle connections, cancels upgraded ones, lets running requests end within `grace`, then cancels their handlers
    /// and, a second later, resets what is left. Cancelled: cancels the handlers at once. The server may be destroyed meanwhile,
    /// which does so as well. The call itself throws `std::logic_error` if it was not started.
    task<> shutdown(std::chrono::nanoseconds grace);

    /// The port it listens on, of several sockets the first one; 0 before `listen`, and of a Unix-domain socket.
    [[nodiscard]] std::uint16_t port() const noexcept;
    /// "http://ADDRESS:PORT" + `target`; https if it is wrapped. Of a Unix-domain socket: "http://localhost", for a client with
    /// `client_options::unix_socket`.
    [[nodiscard]] std::string url(std::string_view target = "/") const;
    /// Open connections.
    [[nodiscard]] std::size_t connections() const noexcept;
    /// Does it accept connections? From `listen` or `serve` until it is told to stop, is cancelled or has failed.
    [[nodiscard]] bool is_serving() const noexcept;

private:
    server(std::in_place_t, detail::handler_function handler, const server_options& options);
    template <class Listener>
    void start(std::vector<Listener> listeners);
    void start_tcp(std::vector<tcp_listener> listeners);
    void start_unix(unix_listener listener);
    task<> start_on(task<std::vector<tcp_listener>> binding);
    static task<> until_ended(std::shared_ptr<detail::server_state> state, task<> end, task<> stop);
    static task<> drain(std::shared_ptr<detail::server_state> state, task<> stop);
    void set_wrapper(detail::wrapper_function wrap, std::string_view scheme);
    void set_access(detail::access_function log);
    std::shared_ptr<detail::server_state> state_;
    std::unique_ptr<eddy::server> listening_;
    ip_endpoint local_;
    bool is_unix_ = false;
    std::string scheme_ = "http";
};

} // namespace eddy::http

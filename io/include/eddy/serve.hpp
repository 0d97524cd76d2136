// serve, server: a task for every connection.
//
//     co_await serve(listener, [](tcp_stream s) -> task<> { … });          // until cancelled
//
//     server srv{std::move(listener), handler};
//     srv.start();                     // into the loop's root group
//     co_await srv.shutdown(5s);       // stop accepting, wait, then cancel the handlers
//
// A handler that throws is reported to the loop's exception handler once, its connection is closed and the server goes on;
// one that is cancelled is not reported. When descriptors run out (EMFILE and the like), accepting pauses and goes on.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <unordered_map>
#include <utility>

#include <eddy/cancel_scope.hpp>
#include <eddy/detail/child_set.hpp>
#include <eddy/detail/duration.hpp>
#include <eddy/event.hpp>
#include <eddy/tcp.hpp>

namespace eddy {

struct serve_options {
    std::size_t max_connections = 0;                                   // accepting pauses above; 0: no limit
    std::chrono::nanoseconds pause = std::chrono::milliseconds(100);   // when descriptors run out
};

namespace detail {

/// The tasks of a server's connections: a failure is reported and concerns nobody else.
class connection_set final : public child_set {
public:
    connection_set() noexcept = default;
    ~connection_set() = default;

    void launch(task<> handler, core_ref socket);
    /// Resets the connections that are left, whatever their handlers are doing.
    void abort_sockets() noexcept;
    /// Set when a connection ended.
    event one_ended;

private:
    void child_ended(task_context& child) noexcept override;
    [[nodiscard]] std::string_view kind() const noexcept override { return "server"; }
    std::unordered_map<const task_context*, core_ref> sockets_;
};

class server_state {
public:
    server_state(tcp_listener l, const serve_options& o) : listener(std::move(l)), options(o) {}
    server_state(const server_state&) = delete;
    server_state& operator=(const server_state&) = delete;
    virtual ~server_state() = default;
    /// The handler's task for one connection.
    virtual task<> handle(tcp_stream& s) = 0; // which outlives the task

    tcp_listener listener;
    serve_options options;
    cancel_scope accepting;
    connection_set connections;
    bool started = false;
};

template <class F>
class typed_server_state final : public server_state {
public:
    template <class G>
    typed_server_state(tcp_listener l, const serve_options& o, G&& f) : server_state(std::move(l), o), handler_(std::forward<G>(f)) {}
    task<> handle(tcp_stream& s) override { return handler_(std::move(s)); }

private:
    F handler_;
};

/// Accepts until cancelled or told to stop, then waits for the connections.
task<> run_server(std::shared_ptr<server_state> state);

template <class F>
[[nodiscard]] std::shared_ptr<server_state> make_server_state(tcp_listener l, F&& handler, const serve_options& options) {
    return std::make_shared<typed_server_state<std::decay_t<F>>>(std::move(l), options, std::forward<F>(handler));
}

} // namespace detail

/// Serves until it is cancelled; the listening socket is then closed, and the handlers are cancelled and joined. `handler`
/// is a callable `task<>(tcp_stream)`; it is kept until the last connection is over. The socket is the server's from now on:
/// `listener` still tells its endpoint and can close it, its destruction changes nothing, and serving with it again throws
/// `std::logic_error`.
template <class F>
    requires std::invocable<std::decay_t<F>&, tcp_stream>
[[nodiscard]] auto serve(tcp_listener& listener, F&& handler, serve_options options = {}) -> detail::hazard_t<task<>, F> {
    return detail::run_server(detail::make_server_state(listener.lend(), std::forward<F>(handler), options));
}
template <class F>
    requires std::invocable<std::decay_t<F>&, tcp_stream>
[[nodiscard]] auto serve(tcp_listener&& listener, F&& handler, serve_options options = {}) -> detail::hazard_t<task<>, F> {
    return detail::run_server(detail::make_server_state(std::move(listener), std::forward<F>(handler), options));
}

/// A server in the background. Destroying it cancels what runs; `shutdown` is the orderly way. Loop thread only.
class server {
public:
    template <class F>
    server(tcp_listener listener, F&& handler, serve_options options = {})
        : state_(detail::make_server_state(std::move(listener), std::forward<F>(handler), options)) {}
    server(server&&) noexcept = default;
    server& operator=(server&&) = delete;
    ~server();

    /// Starts serving in the loop's root group. Throws `std::logic_error` if it was started before.
    void start();
    /// Closes the listening socket; connections go on.
    void stop_accepting();
    /// Awaitable: until it has stopped accepting and no connection is left. Cancelling the wait changes nothing.
    task<> join();
    /// Stops accepting, gives the connections `grace` to end, then cancels their handlers, resets what connections are
    /// left, so that a shielded write to a peer that does not read ends too, and joins them. If it is cancelled itself,
    /// it cancels the handlers at once.
    template <class Rep, class Period>
    task<> shutdown(std::chrono::duration<Rep, Period> grace) {
        return end_within(detail::to_nanoseconds(grace));
    }
    [[nodiscard]] ip_endpoint local_endpoint() const { return state_->listener.local_endpoint(); }
    [[nodiscard]] std::size_t connections() const noexcept { return state_->connections.alive(); }

private:
    task<> end_within(std::chrono::nanoseconds grace);
    std::shared_ptr<detail::server_state> state_;
    task_handle<> running_;
};

} // namespace eddy

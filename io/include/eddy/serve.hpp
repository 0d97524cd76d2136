// serve, server: a task for every connection.
//
//     co_await serve(listener, [](tcp_stream s) -> task<> { … });          // until cancelled
//
//     server srv{std::move(listener), handler};
//     srv.start();                     // into the loop's root group
//     co_await srv.shutdown(5s);       // stop accepting, wait, then cancel the handlers, then reset what is left
//
//     std::vector<tcp_listener> both = co_await tcp_listen("localhost", 8080);
//     co_await serve(both, handler);   // one server on several sockets
//
// A handler that throws is reported to the loop's exception handler once, its connection is closed and the server goes on;
// one that is cancelled is not reported. When descriptors or memory run out, or a firewall forbids to accept, accepting pauses and goes
// on; that is reported once each time it begins. What no pause mends ends the server.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/cancel_scope.hpp>
#include <eddy/detail/connection_set.hpp>
#include <eddy/detail/duration.hpp>
#include <eddy/outcome.hpp>
#include <eddy/sleep.hpp>
#include <eddy/tcp.hpp>
#include <eddy/this_task.hpp>

namespace eddy {

struct serve_options {
    std::size_t max_connections = 0;                                   // of all listeners; accepting pauses above; 0: no limit
    std::chrono::nanoseconds pause = std::chrono::milliseconds(100);   // when descriptors run out
};

namespace detail {

class server_state {
public:
    explicit server_state(const serve_options& o) : options(o) {}
    server_state(const server_state&) = delete;
    server_state& operator=(const server_state&) = delete;
    virtual ~server_state() = default;
    [[nodiscard]] virtual std::size_t listeners() const noexcept = 0;
    /// Are all listeners open?
    [[nodiscard]] virtual bool listening() const noexcept = 0;
    virtual void close_listeners() noexcept = 0;
    /// In the scope `accepting`. Connections are children of `connections`, which is around it.
    virtual task<> accept_from(std::size_t listener) = 0;
    /// Throws `std::logic_error` if the listener is not TCP's.
    [[nodiscard]] virtual ip_endpoint local_endpoint(std::size_t listener) const = 0;

    serve_options options;
    cancel_scope accepting;
    connection_set connections;
    bool started = false;

protected:
    /// For one more than those that have been accepted.
    [[nodiscard]] bool has_room() const noexcept { return is_below_limit(connections.alive() + waiting_); }
    task<> until_room();
    /// The same for a connection that was accepted while another listener was faster: it goes before those that were not yet.
    task<> until_turn();
    /// Why accepting failed, or what follows it: rethrown if a pause would not see the end of it. A shortage, and a refusal of the
    /// system's, is reported once, until a connection has been accepted again.
    void rethrow_unless_passing(const std::exception_ptr& failure);
    void note_accepted() noexcept { short_ = refused_ = false; }

private:
    [[nodiscard]] bool is_below_limit(std::size_t n) const noexcept { return options.max_connections == 0 || n < options.max_connections; }
    std::size_t waiting_ = 0; // accepted, without a handler
    bool short_ = false;      // of descriptors or memory, and that was reported
    bool refused_ = false;    // by the system (EPERM), and that was reported
};

template <class Listener, class F>
class typed_server_state final : public server_state {
public:
    using stream = typename Listener::stream_type;
    template <class G>
    typed_server_state(std::vector<Listener> all, const serve_options& o, G&& f)
        : server_state(o), listeners_(std::move(all)), handler_(std::forward<G>(f)) {
        if (listeners_.empty()) throw std::invalid_argument("serve: there is no listener");
    }
    [[nodiscard]] std::size_t listeners() const noexcept override { return listeners_.size(); }
    [[nodiscard]] bool listening() const noexcept override {
        for (const Listener& l : listeners_) {
            if (!l.is_open()) return false;
        }
        return true;
    }
    void close_listeners() noexcept override {
        for (Listener& l : listeners_) l.close_now();
    }
    task<> accept_from(std::size_t listener) override;
    [[nodiscard]] ip_endpoint local_endpoint(std::size_t listener) const override {
        if constexpr (requires { ip_endpoint(listeners_.front().local_endpoint()); })
            return listeners_[listener].local_endpoint();
        else
            throw std::logic_error("server::local_endpoint: this server does not listen on an IP address; ask its listener before");
    }

private:
    /// Calls the handler, in a task of the connection's own. Without memory for that the connection is dropped. What went wrong, or null.
    [[nodiscard]] std::exception_ptr launched(stream accepted) noexcept {
        core_ref socket;
        if constexpr (requires { socket = accepted.core_reference(); }) socket = accepted.core_reference();
        try {
            if constexpr (takes_by_value<F, stream>)
                return connections.launched(new connection_task(std::move(socket))).call(handler_, std::move(accepted));
            else
                return connections.launched(new keeping_connection_task<stream>(std::move(socket), std::move(accepted))).call(handler_);
        } catch (...) {
            return std::current_exception();
        }
    }
    std::vector<Listener> listeners_;
    F handler_;
};

template <class Listener, class F>
task<> typed_server_state<Listener, F>::accept_from(std::size_t listener) {
    Listener& from = listeners_[listener];
    for (;;) {
        if (!has_room()) co_await until_room();
        outcome<stream> got = co_await as_result(from.accept());
        if (got && !has_room()) co_await until_turn();
        const std::exception_ptr failure = got ? launched(std::move(*got)) : got.exception();
        if (got && !failure) {
            note_accepted();
            continue;
        }
        co_await this_task::checkpoint(); // told to stop, it may have got anything
        rethrow_unless_passing(failure);
        co_await sleep_for(options.pause);
    }
}

/// Accepts until cancelled or told to stop, then waits for the connections.
task<> run_server(std::shared_ptr<server_state> state);

template <class Listener, class F>
[[nodiscard]] std::shared_ptr<server_state> make_server_state(std::vector<Listener> all, F&& handler, const serve_options& options) {
    return std::make_shared<typed_server_state<Listener, std::decay_t<F>>>(std::move(all), options, std::forward<F>(handler));
}
template <class Listener>
[[nodiscard]] std::vector<Listener> only(Listener l) {
    std::vector<Listener> all;
    all.push_back(std::move(l));
    return all;
}
/// The sockets of several listeners for a server: of all, or of none if memory is short.
template <class Listener>
[[nodiscard]] std::vector<Listener> lent(std::vector<Listener>& from) {
    std::vector<Listener> all;
    all.reserve(from.size());
    for (Listener& l : from) all.push_back(l.lend());
    return all;
}

} // namespace detail

/// What can be served: tcp_listener, unix_listener, and whatever accepts like them.
template <class L>
concept stream_listener = std::movable<L> && requires(L& l, const L& c) {
    typename L::stream_type;
    { l.accept() } -> awaitable_of<typename L::stream_type>;
    { c.is_open() } -> std::convertible_to<bool>;
    l.close_now();
};

/// Serves until it is cancelled; the listening socket is then closed, and the handlers are cancelled and joined. `handler`
/// is a callable `task<>(tcp_stream)`, or of what else the listener accepts; it is kept until the last connection is over. It is called in
/// the task of its connection, also for what it does before it returns a task: its name, its task-locals, a cancellation and what it throws
/// are the connection's. A handler that takes a reference (`tcp_stream&&`, `auto&&`) has its stream until it ends. The
/// socket is the server's from now on: `listener` still tells its endpoint and can close it (`closed_resource` comes out of `serve`
/// then), its destruction changes nothing, and serving with it again throws `std::logic_error`. An accept that fails for want of
/// descriptors or memory, or for what concerns one connection or the network for a while (accept(2)), is tried again after
/// `options.pause`; the want is reported to the loop's exception handler, once until it is over, and so is a refusal by a firewall
/// (EPERM), which may be of one connection or never end. Any other error ends the server, as a cancellation does, and is thrown.
template <stream_listener L, class F>
    requires std::invocable<std::decay_t<F>&, typename L::stream_type>
[[nodiscard]] auto serve(L& listener, F&& handler, serve_options options = {}) -> detail::hazard_t<task<>, F> {
    return detail::run_server(detail::make_server_state(detail::only(listener.lend()), std::forward<F>(handler), options));
}
template <stream_listener L, class F>
    requires std::invocable<std::decay_t<F>&, typename L::stream_type>
[[nodiscard]] auto serve(L&& listener, F&& handler, serve_options options = {}) -> detail::hazard_t<task<>, F> {
    return detail::run_server(detail::make_server_state(detail::only(std::move(listener)), std::forward<F>(handler), options));
}
/// One server on several listeners of one type, as `tcp_listener::bind` and `tcp_listen` give them: they have the limit, the handlers
/// and the end in common. With a limit, each but one may hold a connection more, which is accepted and not served yet. When one
/// listener is closed or breaks, the server ends. None at all: `std::invalid_argument`.
template <stream_listener L, class F>
    requires std::invocable<std::decay_t<F>&, typename L::stream_type>
[[nodiscard]] auto serve(std::vector<L>& listeners, F&& handler, serve_options options = {}) -> detail::hazard_t<task<>, F> {
    return detail::run_server(detail::make_server_state(detail::lent(listeners), std::forward<F>(handler), options));
}
template <stream_listener L, class F>
    requires std::invocable<std::decay_t<F>&, typename L::stream_type>
[[nodiscard]] auto serve(std::vector<L>&& listeners, F&& handler, serve_options options = {}) -> detail::hazard_t<task<>, F> {
    return detail::run_server(detail::make_server_state(std::move(listeners), std::forward<F>(handler), options));
}

/// A server in the background. Destroying it cancels what runs; `shutdown` is the orderly way. Loop thread only.
class server {
public:
    template <stream_listener L, class F>
        requires std::invocable<std::decay_t<F>&, typename L::stream_type>
    server(L listener, F&& handler, serve_options options = {})
        : state_(detail::make_server_state(detail::only(std::move(listener)), std::forward<F>(handler), options)) {}
    /// On several listeners: see `serve`.
    template <stream_listener L, class F>
        requires std::invocable<std::decay_t<F>&, typename L::stream_type>
    server(std::vector<L> listeners, F&& handler, serve_options options = {})
        : state_(detail::make_server_state(std::move(listeners), std::forward<F>(handler), options)) {}
    server(server&&) noexcept = default;
    server& operator=(server&&) = delete;
    ~server();

    /// Starts serving in the loop's root group. Throws `std::logic_error` if it was started before.
    void start();
    /// Closes the listening sockets; connections go on. Twice, or before `start`, does no harm.
    void stop_accepting();
    /// Awaitable: until it has stopped accepting and no connection is left. Cancelling the wait changes nothing. Throws
    /// `std::logic_error` if the server was not started, and what ended the server: an error of accepting that no pause mends (see
    /// `serve`), `closed_resource` for a listener that was closed by others.
    task<> join();
    /// Awaitable: stops accepting, gives the connections `grace` to end, then cancels their handlers. What these still say then
    /// arrives, and so does what was on its way. Connections that are left a second later are reset, so that a shielded write to
    /// a peer that does not read ends too; then all are joined. That second for a farewell comes after any grace, `0s` included: only
    /// handlers that shield something can use it, and without such ones `shutdown(0s)` takes no time. Cancelled itself, it cancels the handlers at once, or resets what
    /// is left of those that it had cancelled, and does not wait for them. Throws `std::logic_error` if the server was not started,
    /// and what ended the server before that.
    template <class Rep, class Period>
    task<> shutdown(std::chrono::duration<Rep, Period> grace) {
        return end_within(detail::to_nanoseconds(grace));
    }
    /// Of a TCP listener, of several the first; `std::logic_error` for others.
    [[nodiscard]] ip_endpoint local_endpoint() const { return state_->local_endpoint(0); }
    /// Of all listeners.
    [[nodiscard]] std::vector<ip_endpoint> local_endpoints() const;
    [[nodiscard]] std::size_t connections() const noexcept { return state_->connections.alive(); }
    /// Does it accept connections? From `start` until it is told to stop, is cancelled or has failed. After asyncio's is_serving.
    [[nodiscard]] bool is_serving() const noexcept;

private:
    task<> end_within(std::chrono::nanoseconds grace) const;
    std::shared_ptr<detail::server_state> state_;
    task_handle<> running_;
};

} // namespace eddy

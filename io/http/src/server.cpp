#include <eddy/http/server.hpp>

#include <eddy/cancel_scope.hpp>
#include <eddy/errors.hpp>
#include <eddy/serve.hpp>

#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "server_state.hpp"

namespace eddy::http {

server::server(std::in_place_t, detail::handler_function handler, const server_options& options)
    : state_(std::make_shared<detail::server_state>(std::move(handler), options)) {}

server::~server() {
    state_->stopping = true;
}

template <class Listener>
void server::start(std::vector<Listener> listeners) {
    if (listening_) throw std::logic_error("this http server was started before; make a new one");
    auto connection = [state = state_](typename Listener::stream_type stream) { return detail::serve_connection(state, std::move(stream)); };
    listening_ = std::make_unique<eddy::server>(std::move(listeners), std::move(connection));
    listening_->start();
}

void server::start_tcp(std::vector<tcp_listener> listeners) {
    const ip_endpoint first = listeners.empty() ? ip_endpoint() : listeners.front().local_endpoint();
    start(std::move(listeners));
    local_ = first;
}

void server::start_unix(unix_listener listener) {
    if (state_->wrapper) throw std::logic_error("an http server that wraps its connections does not serve Unix-domain sockets");
    std::vector<unix_listener> one;
    one.push_back(std::move(listener));
    start(std::move(one));
    is_unix_ = true;
}

void server::set_wrapper(detail::wrapper_function wrap, std::string_view scheme) {
    if (listening_) throw std::logic_error("http::server::wrap: the server was started before");
    state_->wrapper = std::move(wrap);
    scheme_ = scheme;
}

void server::set_access(detail::access_function log) {
    if (listening_) throw std::logic_error("http::server::on_access: the server was started before");
    state_->access = std::move(log);
}

task<> server::listen(ip_endpoint at) {
    start_tcp(tcp_listener::bind(std::span(&at, 1)));
    co_return;
}

task<> server::listen(std::string host, std::uint16_t port, const listen_options& options) {
    return start_on(tcp_listen(std::move(host), port, options)); // which copies what the options refer to
}

task<> server::listen(unix_endpoint at, unix_listen_options options) {
    start_unix(unix_listener::bind(at.path(), options));
    co_return;
}

task<> server::start_on(task<std::vector<tcp_listener>> binding) {
    start_tcp(co_await std::move(binding));
}

task<> server::serve(tcp_listener listener) {
    std::vector<tcp_listener> one;
    one.push_back(std::move(listener));
    return serve(std::move(one));
}

task<> server::serve(std::vector<tcp_listener> listeners) {
    start_tcp(std::move(listeners));
    task<> serving = until_ended(state_, listening_->join(), listening_->shutdown(std::chrono::nanoseconds(0)));
    co_await std::move(serving);
}

task<> server::serve(unix_listener listener) {
    start_unix(std::move(listener));
    task<> serving = until_ended(state_, listening_->join(), listening_->shutdown(std::chrono::nanoseconds(0)));
    co_await std::move(serving);
}

// The server object may be destroyed while these two wait: they hold what they need.

task<> server::until_ended(std::shared_ptr<detail::server_state> state, task<> end, task<> stop) {
    std::exception_ptr cancelled;
    try {
        co_await std::move(end);
    } catch (const operation_cancelled&) {
        cancelled = std::current_exception();
    }
    if (!cancelled) co_return;
    state->stopping = true;
    const auto stopping = [&stop]() -> task<> { co_await std::move(stop); };
    co_await with_shield(stopping);
    std::rethrow_exception(cancelled);
}

task<> server::drain(std::shared_ptr<detail::server_state> state, task<> stop) {
    state->drain();
    co_await std::move(stop);
}

task<> server::shutdown(std::chrono::nanoseconds grace) {
    if (!listening_) throw std::logic_error("http::server::shutdown: the server was not started");
    return drain(state_, listening_->shutdown(grace));
}

void server::stop_accepting() {
    if (listening_) listening_->stop_accepting();
}

std::uint16_t server::port() const noexcept {
    return local_.port();
}

std::string server::url(std::string_view target) const {
    return scheme_ + "://" + (is_unix_ ? "localhost" : local_.to_string()) + std::string(target);
}

bool server::is_serving() const noexcept {
    return listening_ && listening_->is_serving();
}

std::size_t server::connections() const noexcept {
    return state_->connections.size();
}

} // namespace eddy::http

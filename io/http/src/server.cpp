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

void server::start(std::vector<tcp_listener> listeners) {
    if (listening_) throw std::logic_error("this http server was started before; make a new one");
    if (!listeners.empty()) local_ = listeners.front().local_endpoint();
    auto connection = [state = state_](tcp_stream s) { return detail::serve_connection(state, std::move(s)); };
    listening_ = std::make_unique<eddy::server>(std::move(listeners), std::move(connection));
    listening_->start();
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
    start(tcp_listener::bind(std::span(&at, 1)));
    co_return;
}

task<> server::listen(std::string host, std::uint16_t port, const listen_options& options) {
    return start_on(tcp_listen(std::move(host), port, options)); // which copies what the options refer to
}

task<> server::start_on(task<std::vector<tcp_listener>> binding) {
    start(co_await std::move(binding));
}

task<> server::serve(tcp_listener listener) {
    std::vector<tcp_listener> one;
    one.push_back(std::move(listener));
    return serve(std::move(one));
}

task<> server::serve(std::vector<tcp_listener> listeners) {
    start(std::move(listeners));
    std::exception_ptr cancelled;
    try {
        co_await listening_->join();
    } catch (const operation_cancelled&) {
        cancelled = std::current_exception();
    }
    if (!cancelled) co_return;
    state_->stopping = true;
    co_await with_shield([this]() -> task<> { co_await listening_->shutdown(std::chrono::nanoseconds(0)); });
    std::rethrow_exception(cancelled);
}

void server::stop_accepting() {
    if (listening_) listening_->stop_accepting();
}

task<> server::shutdown(std::chrono::nanoseconds grace) {
    if (!listening_) throw std::logic_error("http::server::shutdown: the server was not started");
    state_->drain();
    co_await listening_->shutdown(grace);
}

std::uint16_t server::port() const noexcept {
    return local_.port();
}

std::string server::url(std::string_view target) const {
    return scheme_ + "://" + local_.to_string() + std::string(target);
}

std::size_t server::connections() const noexcept {
    return state_->connections.size();
}

} // namespace eddy::http

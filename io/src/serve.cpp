#include <eddy/serve.hpp>

#include <eddy/sleep.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

namespace eddy {
namespace detail {
namespace {

// What accept(2) says while the listener is as good as before: no resources now, a firewall's refusal, a network that is
// down. What means that there is no listener any more ends the server.
bool may_pass(const std::exception_ptr& e) {
    try {
        std::rethrow_exception(e);
    } catch (const std::system_error& error) {
        return error.code() != std::errc::bad_file_descriptor && error.code() != std::errc::invalid_argument &&
               error.code() != std::errc::not_a_socket;
    } catch (...) {
        return false;
    }
}

} // namespace

task<> server_state::until_room() {
    while (!has_room()) {
        connections.one_ended.clear();
        co_await connections.one_ended.wait();
    }
}

task<> server_state::after_failure(std::exception_ptr error) {
    co_await this_task::checkpoint(); // told to stop, it may have got anything
    if (!may_pass(error)) std::rethrow_exception(error);
    co_await sleep_for(options.pause);
}

void connection_set::launch(task<> handler, core_ref socket) {
    const task_handle<> h = launch_child(new task_state<void>(std::move(handler)), {.name = "connection"});
    if (socket) sockets_.emplace(&h.context(), std::move(socket));
}

void connection_set::abort_sockets() noexcept {
    for (auto& [task, socket] : sockets_) socket->abort();
}

void connection_set::child_ended(task_context& child) noexcept {
    sockets_.erase(&child);
    one_ended.set();
    if (!child.error() || child.was_cancelled()) return;
    child.mark_seen();
    const std::string name = child.name();
    host().loop().report({.message = "exception in a connection handler", .exception = child.error(), .task_name = name, .where = child.where()});
}

task<> run_server(std::shared_ptr<server_state> state) {
    server_state& s = *state;
    if (std::exchange(s.started, true)) throw std::logic_error("this server was started before; make a new one");
    if (!s.listening() && !s.accepting.cancel_called()) throw std::logic_error("serve: the listener is closed or was handed to another server; bind a new one");
    task_context& self = co_await this_context();
    s.connections.open(self);
    std::exception_ptr failure;
    auto accepting = [&s](cancel_scope&) -> task<> { co_await s.accept_loop(); };
    try {
        co_await with_scope(s.accepting, accepting);
    } catch (...) {
        failure = std::current_exception();
        s.connections.scope().cancel_scope_now("the server failed or was cancelled");
    }
    s.close_listener();
    co_await s.connections.join();
    const bool interrupted = s.connections.cancelled_while_joining();
    s.connections.close();
    if (failure) std::rethrow_exception(failure);
    if (interrupted) s.connections.host().throw_cancelled();
}

} // namespace detail

server::~server() {
    if (!running_ || running_.done()) return;
    stop_accepting();
    running_.cancel("the server object was destroyed");
    running_.context().mark_seen();
}

void server::start() {
    if (state_->started || running_) throw std::logic_error("server::start: this server was started before; make a new one");
    running_ = spawn(detail::run_server(state_), {.name = "server"});
}

void server::stop_accepting() {
    state_->accepting.cancel("stop_accepting");
    state_->close_listener();
}

task<> server::join() {
    if (!running_) throw std::logic_error("server::join: the server was not started");
    task_handle<> running = running_;
    co_await running.join();
    if (!running.cancelled()) co_await running; // rethrows what ended it
}

task<> server::end_within(std::chrono::nanoseconds grace) {
    if (!running_) throw std::logic_error("server::shutdown: the server was not started");
    task_handle<> running = running_;
    stop_accepting();
    auto wait = [&running](cancel_scope&) -> task<> { co_await running.join(); };
    bool ended = false;
    try {
        ended = co_await move_on_after(grace, wait);
    } catch (const operation_cancelled&) {
        running.cancel("shutdown was cancelled");
        throw;
    }
    if (!ended) {
        running.cancel("the grace period of the server's shutdown is over");
        state_->connections.abort_sockets();
    }
    co_await running.join();
    if (!running.cancelled()) co_await running;
}

} // namespace eddy

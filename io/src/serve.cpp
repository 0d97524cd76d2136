#include <eddy/serve.hpp>

#include <cerrno>

#include <cstdint>
#include <new>
#include <string>
#include <system_error>

#include <eddy/task_group.hpp>
#include <eddy/timeout.hpp>

namespace eddy {
namespace detail {

namespace {

enum class accept_failure : std::uint8_t {
    passing,  // of one connection, or of the network
    shortage, // of descriptors or memory
    refusal,  // by a firewall: of one connection, or of all there will ever be
    lasting,
};

/// By accept(2): what it says while the listener is as good as before. Anything else would come again and again.
accept_failure judged(const std::error_code& e) noexcept {
    if (e.category() != std::generic_category() && e.category() != std::system_category()) return accept_failure::lasting;
    switch (e.value()) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return accept_failure::shortage;
    case EPERM: return accept_failure::refusal;
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
#ifdef ENONET
    case ENONET:
#endif
        return accept_failure::passing;
    default: return accept_failure::lasting;
    }
}

accept_failure judged(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::bad_alloc&) {
        return accept_failure::shortage;
    } catch (const std::system_error& e) {
        return judged(e.code());
    } catch (...) {
        return accept_failure::lasting;
    }
}

} // namespace

void server_state::rethrow_unless_passing(const std::exception_ptr& failure) {
    const accept_failure kind = judged(failure);
    if (kind == accept_failure::lasting) std::rethrow_exception(failure);
    if (kind == accept_failure::passing) return;
    const bool refused = kind == accept_failure::refusal;
    if (std::exchange(refused ? refused_ : short_, true)) return;
    const char* const what = refused ? "a server may not accept (does a firewall refuse it?); accepting pauses, and is tried again and again"
                                     : "a server is short of descriptors or memory; accepting pauses, and is tried again and again";
    connections.host().loop().report({.message = what, .exception = failure, .task_name = "server"});
}

// --- connections

void connection_task::go_on_with(task<>&& coroutine) {
    if (!coroutine) throw std::logic_error("serve: the handler returned an empty task");
    adopt(std::move(coroutine));
}

bool connection_task::is_shortage(const std::exception_ptr& failure) noexcept {
    try {
        std::rethrow_exception(failure);
    } catch (const std::bad_alloc&) { // for the frame of the handler, most likely
        return true;
    } catch (...) {
        return false;
    }
}

void connection_task::end_with(std::exception_ptr failure) noexcept {
    error_ = std::move(failure);
    never_began_ = true;
    root_finished();
    start_now();
}

void connection_task::collect() noexcept {
    if (!never_began_) task_state<void>::collect();
}

void connection_task::destroy_frame() noexcept {
    task_state<void>::destroy_frame();
    socket_ = {};
}

void connection_set::launch(connection_task* t) {
    launch_child(static_cast<task_state<void>*>(t), {.name = {}, .site = std::source_location::current()});
}

void connection_set::abort_sockets() noexcept {
    for_each_child([](task_context& child) { static_cast<connection_task&>(child).abort(); });
}

void connection_set::child_ended(task_context& child) noexcept {
    one_ended.set();
    if (!child.error() || child.was_cancelled()) return;
    child.mark_seen();
    if (static_cast<connection_task&>(child).unsaid()) return;
    std::string name;
    try {
        name = child.name();
    } catch (const std::bad_alloc&) { // reported without it
    }
    host().loop().report({.message = "exception in a connection handler", .exception = child.error(), .task_name = name, .where = child.where()});
}

task<> server_state::until_room() {
    while (!has_room()) {
        connections.one_ended.clear();
        co_await connections.one_ended.wait();
    }
}

task<> server_state::until_turn() {
    ++waiting_;
    try {
        while (!is_below_limit(connections.alive())) {
            connections.one_ended.clear();
            co_await connections.one_ended.wait();
        }
    } catch (...) {
        --waiting_;
        throw;
    }
    --waiting_;
}

namespace {

task<> accept_from_all(server_state& s) {
    const auto accepting = [&s](task_group& g) -> task<> {
        for (std::size_t i = 0; i < s.listeners(); ++i) g.spawn(s.accept_from(i), {.name = "accept"});
        co_return;
    };
    std::exception_ptr failure;
    try {
        co_await with_task_group(accepting);
    } catch (const exception_group& e) {
        failure = e.errors().size() == 1 ? e.errors().front() : std::current_exception(); // mostly one, as with one listener
    }
    if (failure) std::rethrow_exception(failure);
}

} // namespace

task<> run_server(std::shared_ptr<server_state> state) {
    server_state& s = *state;
    if (std::exchange(s.started, true)) throw std::logic_error("this server was started before; make a new one");
    if (!s.listening() && !s.accepting.cancel_called()) throw std::logic_error("serve: the listener is closed or was handed to another server; bind a new one");
    task_context& self = co_await this_context();
    s.connections.open(self);
    std::exception_ptr failure;
    auto accepting = [&s](cancel_scope&) { return s.listeners() == 1 ? s.accept_from(0) : accept_from_all(s); };
    try {
        co_await with_scope(s.accepting, accepting);
    } catch (...) {
        failure = std::current_exception();
        s.connections.scope().cancel_scope_now("the server failed or was cancelled");
    }
    s.close_listeners();
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
    state_->close_listeners();
}

bool server::is_serving() const noexcept {
    return running_ && !running_.done() && !state_->accepting.cancel_called() && state_->listening();
}

std::vector<ip_endpoint> server::local_endpoints() const {
    std::vector<ip_endpoint> all;
    for (std::size_t i = 0; i < state_->listeners(); ++i) all.push_back(state_->local_endpoint(i));
    return all;
}

// The server object may be moved or destroyed before these are awaited, and while they wait.
namespace {

task<> join_running(task_handle<> running) {
    if (!running) throw std::logic_error("server::join: the server was not started");
    co_await running.join();
    if (!running.cancelled()) co_await running; // rethrows what ended it
}

/// For what cancelled handlers still have to say and to close. As long as `run` leaves to tasks whose shields it has broken (R16).
constexpr std::chrono::seconds farewell_time{1};

task<> end_running(std::shared_ptr<detail::server_state> state, task_handle<> running, std::chrono::nanoseconds grace) {
    if (!running) throw std::logic_error("server::shutdown: the server was not started");
    state->accepting.cancel("stop_accepting");
    state->close_listeners();
    auto wait = [&running](cancel_scope&) -> task<> { co_await running.join(); };
    bool ended = false;
    bool in_grace = true;
    try {
        ended = co_await move_on_after(grace, wait);
        if (!ended) {
            in_grace = false;
            running.cancel("the grace period of the server's shutdown is over");
            ended = co_await move_on_after(farewell_time, wait);
        }
    } catch (const operation_cancelled&) {
        if (in_grace)
            running.cancel("shutdown was cancelled");
        else
            state->connections.abort_sockets();
        throw;
    }
    if (!ended) state->connections.abort_sockets();
    co_await running.join();
    if (!running.cancelled()) co_await running;
}

} // namespace

task<> server::join() {
    return join_running(running_);
}

task<> server::end_within(std::chrono::nanoseconds grace) const {
    return end_running(state_, running_, grace);
}

} // namespace eddy

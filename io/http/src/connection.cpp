#include "connection.hpp"

#include <eddy/errors.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

#include <sys/ioctl.h>

#include <span>
#include <system_error>
#include <utility>

#include "server_state.hpp"

namespace eddy::http::detail {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t large_buffer = 64 * 1024;     // while a body arrives
constexpr std::size_t longest_linger = 1024 * 1024; // bytes that we discard so that our last words arrive
constexpr auto linger_time = 2s;

[[nodiscard]] bool is_lost(const std::error_code& e) noexcept {
    return e == std::errc::broken_pipe || e == std::errc::connection_reset || e == std::errc::connection_aborted ||
           e == std::errc::not_connected || e == std::errc::timed_out || e == std::errc::host_unreachable ||
           e == std::errc::network_unreachable || e == std::errc::network_down;
}

} // namespace

bool is_of_connection(const std::exception_ptr& failure) noexcept {
    try {
        std::rethrow_exception(failure);
    } catch (const std::system_error& e) {
        return is_lost(e.code());
    } catch (const broken_resource&) {
        return true;
    } catch (...) {
        return false;
    }
}

connection::connection(server_state& server, eddy::detail::core_ref socket)
    : server_(server), socket_(std::move(socket)), parser_(server.max_header()) {
    server_.connections.push_back(*this);
}

connection::connection(server_state& server, tcp_stream stream) : connection(server, stream.core_reference()) {
    accepted_ = std::move(stream);
}

connection::connection(server_state& server, unix_stream stream) : connection(server, stream.core_reference()) {
    stream_ = any_stream(std::move(stream));
}

connection::~connection() {
    server_.connections.erase(*this);
}

void connection::stop_soon() noexcept {
    if (idle_) idle_->cancel();
}

namespace {

/// One of those that are served, or that are told to go: each kind has its limit, so that the second is not in the way of the first.
class place {
public:
    explicit place(std::size_t& taken) noexcept : taken_(taken) { ++taken_; }
    place(const place&) = delete;
    place& operator=(const place&) = delete;
    ~place() { --taken_; }

private:
    std::size_t& taken_;
};

template <class Stream>
task<> serve_or_turn_away(std::shared_ptr<server_state> server, Stream stream) {
    const std::size_t limit = server->options.max_connections;
    const bool served = limit == 0 || server->served < limit;
    if (!served && server->turned_away >= limit) co_return;
    const place taken(served ? server->served : server->turned_away);
    connection c(*server, std::move(stream));
    task<> life = served ? c.run() : c.turn_away();
    co_await std::move(life);
}

} // namespace

task<> serve_connection(std::shared_ptr<server_state> server, tcp_stream stream) {
    return serve_or_turn_away(std::move(server), std::move(stream));
}
task<> serve_connection(std::shared_ptr<server_state> server, unix_stream stream) {
    return serve_or_turn_away(std::move(server), std::move(stream));
}

/// Awaits what the connection does; a peer that is gone, or a socket that was aborted under us, ends it quietly.
task<> connection::until_gone(task<> work) {
    try {
        co_await std::move(work);
        co_await stream_.close();
    } catch (const std::system_error&) {
    } catch (const broken_resource&) {
    } catch (const closed_resource&) {
    }
}

task<> connection::run() {
    return until_gone(serve_requests());
}

task<> connection::turn_away() {
    return until_gone(answer_busy());
}

task<> connection::answer_busy() {
    const bool ready = co_await set_up();
    if (ready) co_await refuse({503, "too many connections"});
}

task<> connection::serve_requests() {
    bool goes_on = co_await set_up();
    while (goes_on && !server_.stopping) {
        const outcome got = co_await read_head();
        if (got == outcome::closed) co_return;
        if (got == outcome::refused) {
            co_await refuse(refusal_);
            co_return;
        }
        goes_on = co_await answer();
        ++served_;
        if (goes_on) parser_.next();
    }
    if (stream_.is_open() && has_unread()) co_await linger();
}

/// Lays over TCP what the server speaks over; false if that comes to nothing.
task<bool> connection::set_up() {
    if (stream_.is_open()) co_return true; // a Unix-domain socket
    remote_ = accepted_.remote_endpoint();
    if (!server_.wrapper) {
        stream_ = any_stream(std::move(accepted_));
        co_return true;
    }
    if (server_.stopping) co_return false;
    const bool in_time = co_await interruptible(server_.options.header_timeout, wrap());
    co_return in_time && stream_.is_open();
}

/// A handshake that fails is between the client and whatever was laid over TCP; anything else is a mistake on our side.
task<> connection::wrap() {
    std::exception_ptr failure;
    try {
        task<any_stream> wrapping = server_.wrapper(std::move(accepted_));
        stream_ = co_await std::move(wrapping);
    } catch (const operation_cancelled&) {
        throw;
    } catch (const std::system_error&) { // tls_error is one
    } catch (const timeout_error&) {
    } catch (const broken_resource&) {
    } catch (const closed_resource&) {
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) report("the wrapping of an HTTP connection failed: from " + remote_.to_string(), failure);
}

/// Awaits `work`, which ends early when its time is over, or with the server; false if it did.
task<bool> connection::interruptible(std::chrono::nanoseconds limit, task<> work) {
    auto body = [&](cancel_scope& scope) -> task<> {
        idle_ = &scope;
        try {
            co_await std::move(work);
        } catch (...) {
            idle_ = nullptr;
            throw;
        }
        idle_ = nullptr;
    };
    co_return co_await move_on_after(limit_of(limit), body);
}

// --- reading

task<connection::outcome> connection::read_head() {
    if (!parser_.begun()) {
        const bool arrived = co_await read_first_bytes();
        if (!arrived) co_return outcome::closed;
    }
    co_return co_await read_rest_of_head();
}

/// Waits for a request to begin; false if the connection ends instead.
task<bool> connection::read_first_bytes() {
    buffer_ = {};
    auto wait = [&]() -> task<> { // an empty line is not the beginning of a request
        bool arrived = true;
        while (arrived && !parser_.begun()) arrived = co_await receive();
    };
    co_await interruptible(served_ == 0 ? server_.options.header_timeout : server_.options.idle_timeout, wait());
    co_return parser_.begun();
}

task<connection::outcome> connection::read_rest_of_head() {
    using state = request_parser::state;
    bool in_time = true;
    if (parser_.current() == state::head) {
        bool connected = true;
        auto read = [&](cancel_scope&) -> task<> {
            while (connected && parser_.current() == state::head) connected = co_await receive();
        };
        in_time = co_await move_on_after(limit_of(server_.options.header_timeout), read);
        if (!connected) co_return outcome::closed;
    }
    if (parser_.current() == state::body || parser_.current() == state::ready) co_return outcome::request;
    refusal_ = parser_.current() == state::refused || in_time ? parser_.why() : refusal{408, "the request took too long"};
    co_return outcome::refused;
}

/// Reads what there is and feeds the parser; false at the end of the stream.
task<bool> connection::receive() {
    if (parser_.current() != request_parser::state::body) {
        const eddy::borrowed_bytes got = co_await stream_.read_borrowed();
        if (!got.empty()) parser_.feed(got.text());
        co_return !got.empty();
    }
    buffer_.resize(large_buffer);
    const std::span<std::byte> space(buffer_);
    const std::size_t n = co_await stream_.read_some(space);
    if (n > 0) parser_.feed({reinterpret_cast<const char*>(buffer_.data()), n});
    co_return n > 0;
}

/// Tells a client that waits for it to send the body.
task<> connection::invite() {
    if (!parser_.take_expectation()) co_return;
    const std::uint64_t before = sent_;
    bool sent = false;
    try {
        sent = co_await write("HTTP/1.1 100 Continue\r\n\r\n");
    } catch (const operation_cancelled& c) {
        if (c.partial() == 0 && sent_ == before) parser_.repeat_expectation(); // the next read says it
        throw;
    }
    if (!sent) throw broken_resource("the client took too long to take '100 Continue'");
}

/// Has the client sent what nobody has read, so far as the kernel has it?
bool connection::has_unread() const noexcept {
    using state = request_parser::state;
    if (parser_.unused() > 0 || parser_.current() == state::body || parser_.current() == state::refused) return true;
    int waiting = 0;
    return socket_->is_open() && ::ioctl(socket_->fd(), FIONREAD, &waiting) == 0 && waiting > 0;
}

/// Closing with unread bytes would reset the connection and could destroy our response on its way: so ends the sending
/// side only and discards what still comes, for a while.
task<> connection::linger() {
    auto discard = [&](cancel_scope&) -> task<> {
        co_await stream_.shutdown_write();
        std::size_t total = 0;
        std::size_t n = 1;
        while (n > 0 && total < longest_linger) {
            const eddy::borrowed_bytes rest = co_await stream_.read_borrowed();
            n = rest.size();
            total += n;
        }
    };
    co_await move_on_after(linger_time, discard);
}

} // namespace eddy::http::detail

#include "connection.hpp"

#include <eddy/errors.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

#include <algorithm>
#include <span>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "server_state.hpp"

namespace eddy::http::detail {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t small_buffer = 4096;          // what an idle connection holds
constexpr std::size_t large_buffer = 64 * 1024;     // while a body arrives
constexpr std::size_t write_part = 64 * 1024;       // what `write_timeout` applies to
constexpr std::size_t longest_linger = 1024 * 1024; // bytes that we discard so that our last words arrive
constexpr auto linger_time = 2s;

/// 0 stands for "no limit".
[[nodiscard]] std::chrono::nanoseconds limit_of(std::chrono::nanoseconds t) noexcept {
    return t.count() > 0 ? t : std::chrono::nanoseconds(24h * 365 * 100);
}

} // namespace

connection::connection(server_state& server, tcp_stream stream)
    : server_(server),
      stream_(std::move(stream)),
      parser_(server.limits()),
      buffer_(small_buffer) {
    server_.connections.push_back(*this);
}

connection::~connection() {
    server_.connections.erase(*this);
}

void connection::stop_soon() noexcept {
    if (idle_) idle_->cancel();
}

task<> serve_connection(std::shared_ptr<server_state> server, tcp_stream stream) {
    const std::size_t limit = server->options.max_connections;
    const std::size_t others = server->connections.size();
    connection c(*server, std::move(stream));
    if (limit == 0 || others < limit)
        co_await c.run();
    else if (others < 2 * limit)
        co_await c.turn_away();
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
    return until_gone(refuse({503, "too many connections"}));
}

task<> connection::serve_requests() {
    remote_ = stream_.remote_endpoint();
    bool goes_on = true;
    while (goes_on && !server_.stopping) {
        const outcome got = co_await read_request();
        if (got == outcome::closed) co_return;
        if (got == outcome::refused) {
            co_await refuse(refusal_);
            co_return;
        }
        goes_on = co_await answer();
        ++served_;
        if (goes_on) parser_.next();
    }
    if (parser_.unused() > 0) co_await linger();
}

// --- reading

task<connection::outcome> connection::read_request() {
    using state = request_parser::state;
    if (!parser_.begun()) {
        const bool arrived = co_await read_first_bytes();
        if (!arrived) co_return outcome::closed;
    }
    const outcome head = co_await read_rest(state::head, server_.options.header_timeout);
    if (head != outcome::request || parser_.current() == state::ready) co_return head;
    if (parser_.take_expectation()) {
        const bool sent = co_await write("HTTP/1.1 100 Continue\r\n\r\n");
        if (!sent) co_return outcome::closed;
    }
    co_return co_await read_rest(state::body, server_.options.body_timeout);
}

/// Waits for a request to begin; false if the connection ends instead.
task<bool> connection::read_first_bytes() {
    if (buffer_.size() > small_buffer) {
        buffer_.resize(small_buffer);
        buffer_.shrink_to_fit();
    }
    const bool first = served_ == 0;
    bool arrived = false;
    auto wait = [&](cancel_scope& scope) -> task<> {
        idle_ = &scope;
        try {
            arrived = co_await receive();
        } catch (...) {
            idle_ = nullptr;
            throw;
        }
        idle_ = nullptr;
    };
    co_await move_on_after(limit_of(first ? server_.options.header_timeout : server_.options.idle_timeout), wait);
    co_return arrived;
}

/// Reads until the parser has left `phase`.
task<connection::outcome> connection::read_rest(request_parser::state phase, std::chrono::nanoseconds limit) {
    bool complete = parser_.current() != phase;
    if (!complete) {
        bool connected = true;
        auto read = [&](cancel_scope&) -> task<> {
            while (connected && parser_.current() == phase) connected = co_await receive();
        };
        const bool in_time = co_await move_on_after(limit_of(limit), read);
        if (!connected) co_return outcome::closed;
        complete = in_time || parser_.current() != phase;
    }
    refusal_ = parser_.current() == request_parser::state::refused ? parser_.why() : refusal{408, "the request took too long"};
    const bool refused = !complete || parser_.current() == request_parser::state::refused;
    co_return refused ? outcome::refused : outcome::request;
}

/// Reads what there is and feeds the parser; false at the end of the stream.
task<bool> connection::receive() {
    if (parser_.current() == request_parser::state::body && buffer_.size() < large_buffer) buffer_.resize(large_buffer);
    const std::span<std::byte> space(buffer_);
    const std::size_t n = co_await stream_.read_some(space);
    if (n > 0) parser_.feed({reinterpret_cast<const char*>(buffer_.data()), n});
    co_return n > 0;
}

// --- answering

/// Answers one request; false if the connection ends after it.
task<bool> connection::answer() {
    request q = parser_.take();
    q.remote = remote_;
    subject_ = q.method + " " + q.target;
    response_context context;
    context.head_request = q.method == "HEAD";
    context.minor_version = q.minor_version;
    const response r = co_await call_handler(std::move(q));
    if (r.producer()) {
        context.length = announced_length(r);
        context.chunked = !context.length && context.minor_version > 0;
    }
    const std::size_t most = server_.options.max_requests_per_connection;
    context.keep_alive = parser_.keep_alive() && !server_.stopping && !r.closes_connection() &&
                         !r.headers.has_token("Connection", "close") && (most == 0 || served_ + 1 < most) &&
                         (!r.producer() || context.length || context.chunked || !may_have_body(r.status));
    const bool sent = co_await send(r, context);
    co_return sent && context.keep_alive;
}

/// The handler's response; 500 if it has none. Only a cancellation is thrown.
task<response> connection::call_handler(request q) {
    co_await this_task::checkpoint(); // a server that is gone starts no handler
    std::exception_ptr failure;
    try {
        response r = co_await server_.handler(std::move(q));
        if (r.status < 200 || r.status > 599)
            throw std::logic_error("a handler returned a response with status " + std::to_string(r.status) + "; it must be 200 to 599");
        if (r.producer()) static_cast<void>(announced_length(r));
        co_return r;
    } catch (const operation_cancelled&) {
        throw;
    } catch (...) {
        failure = std::current_exception();
    }
    report("the handler of an HTTP request failed: " + subject_, failure);
    co_return error_response(500, {});
}

void connection::report(const std::string& message, const std::exception_ptr& failure) const {
    const std::string name = this_task::name();
    this_loop().call_exception_handler({.message = message, .exception = failure, .task_name = name});
}

/// Sends a response; false if the peer did not take it in time (the connection is then reset).
task<bool> connection::send(const response& r, response_context context) {
    if (r.is_raw()) co_return co_await write(r.body);
    context.server_name = server_.options.server_name;
    if (r.producer()) co_return co_await send_stream(r, context);
    std::string head = response_head(r, context);
    std::string_view body = r.body;
    if (context.head_request || !may_have_body(r.status)) body = {};
    if (r.truncated_after()) body = body.substr(0, *r.truncated_after());
    const std::size_t together = std::min(body.size(), write_part - std::min(head.size(), write_part));
    head.append(body.substr(0, together));
    const bool begun = co_await write(head);
    if (!begun) co_return false;
    co_return co_await write(body.substr(together));
}

/// The same for a body that is made meanwhile; false, too, if it came to nothing (the connection is then reset).
task<bool> connection::send_stream(const response& r, response_context context) {
    const std::string head = response_head(r, context);
    const bool begun = co_await write(head);
    if (!begun) co_return false;
    if (context.head_request || !may_have_body(r.status)) co_return true;
    using framing = body_writer::framing;
    body_writer out(*this, context.length ? framing::length : context.chunked ? framing::chunks : framing::until_close,
                    context.length.value_or(0));
    std::exception_ptr failure;
    try {
        co_await produce(r, out);
        co_return true;
    } catch (const operation_cancelled&) {
        stream_.abort();
        throw;
    } catch (...) {
        failure = std::current_exception();
    }
    stream_.abort();
    if (!out.broken_) report("the body of an HTTP response failed: " + subject_, failure);
    co_return false;
}

task<> connection::produce(const response& r, body_writer& out) {
    co_await (*r.producer())(out);
    co_await out.end();
}

std::chrono::nanoseconds connection::write_limit() const noexcept {
    return limit_of(server_.options.write_timeout);
}

task<bool> connection::write(std::string_view bytes) {
    while (!bytes.empty()) {
        const std::string_view part = bytes.substr(0, write_part);
        auto send_part = [&](cancel_scope&) -> task<> { co_await stream_.write(part); };
        const bool in_time = co_await move_on_after(write_limit(), send_part);
        if (!in_time) {
            stream_.abort();
            co_return false;
        }
        bytes.remove_prefix(part.size());
    }
    co_return true;
}

task<> connection::refuse(refusal why) {
    const response r = error_response(why.status, why.reason);
    response_context context;
    context.keep_alive = false;
    const bool sent = co_await send(r, context);
    if (sent) co_await linger();
}

/// Closing with unread bytes would reset the connection and could destroy our response on its way: so ends the sending
/// side only and discards what still comes, for a while.
task<> connection::linger() {
    co_await stream_.shutdown_write();
    auto discard = [&](cancel_scope&) -> task<> {
        const std::span<std::byte> space(buffer_);
        std::size_t total = 0;
        std::size_t n = 1;
        while (n > 0 && total < longest_linger) {
            n = co_await stream_.read_some(space);
            total += n;
        }
    };
    co_await move_on_after(linger_time, discard);
}

} // namespace eddy::http::detail

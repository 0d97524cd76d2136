// The half of a connection that answers.
#include "connection.hpp"

#include <eddy/errors.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/http/request_error.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "escape.hpp"
#include "handed_stream.hpp"
#include "server_state.hpp"

namespace eddy::http::detail {
namespace {

constexpr std::size_t write_part = 64 * 1024; // what `write_timeout` applies to

/// Throws `std::logic_error` for what cannot be sent.
void check(const response& r) {
    const bool good = r.upgrader() ? r.status == 101 : r.status >= 200 && r.status <= 599;
    if (!good)
        throw std::logic_error("a handler returned a response with status " + std::to_string(r.status) + "; it must be 200 to 599");
    if (r.producer()) static_cast<void>(announced_length(r));
}

} // namespace

/// Answers one request; false if the connection ends after it.
task<bool> connection::answer() {
    request q = parser_.take_head();
    q.remote = remote_;
    response_context context;
    prepare(q, context);
    body_reader body(*this);
    response r;
    bool sent = false;
    int status = 0;
    try {
        r = co_await call_handler(std::move(q), body);
        if (r.upgrader() && !may_upgrade(r)) r = error_response(426, {}).set("Upgrade", r.header("Upgrade"));
        status = r.status;
        if (r.producer()) {
            context.length = announced_length(r);
            context.chunked = !context.length && context.minor_version > 0;
        }
        context.keep_alive = keeps_alive(r, context);
        sent = co_await send(r, context);
    } catch (...) {
        log(status, false);
        throw;
    }
    log(status, sent);
    if (sent && r.upgrader()) co_await hand_over(r);
    co_return sent && context.keep_alive && !r.upgrader();
}

/// Notes of the request what is of use when the handler has it.
void connection::prepare(const request& q, response_context& context) {
    subject_ = q.method + " " + escaped(q.target);
    context.head_request = q.method == "HEAD";
    context.minor_version = q.minor_version;
    asked_.clear();
    if (q.minor_version > 0 && q.headers.has_token("Connection", "upgrade")) {
        for (const header& h : q.headers) {
            if (equal_names(h.name, "Upgrade")) asked_.add(h.name, h.value);
        }
    }
    begin_record(q);
}

void connection::begin_record(const request& q) {
    body_sent_ = 0;
    if (!server_.access) return;
    record_ = std::make_unique<access_record>();
    record_->remote = remote_;
    record_->method = q.method;
    record_->target = q.target;
    record_->minor_version = q.minor_version;
    record_->referer = q.header("Referer");
    record_->user_agent = q.header("User-Agent");
    record_->received = this_loop().wall_now();
    began_ = this_loop().now();
}

bool connection::keeps_alive(const response& r, const response_context& c) const noexcept {
    const std::size_t most = server_.options.max_requests_per_connection;
    return parser_.keep_alive() && parser_.current() == request_parser::state::ready && !server_.stopping && !r.closes_connection() &&
           !r.headers.has_token("Connection", "close") && (most == 0 || served_ + 1 < most) &&
           (!r.producer() || c.length || c.chunked || !may_have_body(r.status));
}

/// Did the client ask for that protocol, and has it said all it has to say in this one?
bool connection::may_upgrade(const response& r) const {
    return parser_.current() == request_parser::state::ready && asked_.has_token("Upgrade", r.header("Upgrade"));
}

/// The handler's response; an error status if it has none. Throws only a cancellation, or that the client is gone.
task<response> connection::call_handler(request q, body_reader& body) {
    co_await this_task::checkpoint(); // a server that is gone starts no handler
    std::exception_ptr failure;
    try {
        task<response> answer = server_.handler(std::move(q), body);
        response r = co_await std::move(answer);
        check(r);
        co_return r;
    } catch (const operation_cancelled&) {
        throw;
    } catch (const request_error& e) {
        co_return error_response(e.status(), e.what());
    } catch (...) {
        failure = std::current_exception();
    }
    if (lost_ && is_of_connection(failure)) throw broken_resource("the client is gone");
    report("the handler of an HTTP request failed: " + subject_, failure);
    co_return error_response(500, {});
}

void connection::report(const std::string& message, const std::exception_ptr& failure) const {
    const std::string name = this_task::name();
    this_loop().call_exception_handler({.message = message, .exception = failure, .task_name = name});
}

void connection::log(int status, bool complete) {
    if (!record_) return;
    record_->status = status;
    record_->body_bytes = body_sent_;
    record_->complete = complete;
    record_->duration = this_loop().now() - began_;
    try {
        server_.access(*record_);
    } catch (...) {
        report("the access log of an HTTP server failed: " + subject_, std::current_exception());
    }
}

/// Sends a response; false if the peer did not take it in time (the connection is then reset).
task<bool> connection::send(const response& r, response_context context) {
    context.server_name = server_.options.server_name;
    return r.producer() ? send_stream(r, context) : send_whole(r, context);
}

task<bool> connection::send_whole(const response& r, response_context context) {
    std::string head = r.is_raw() ? std::string() : response_head(r, context);
    std::string_view body = r.body;
    if (!r.is_raw() && (context.head_request || !may_have_body(r.status))) body = {};
    if (r.truncated_after()) body = body.substr(0, *r.truncated_after());
    const std::uint64_t before = sent_ + head.size();
    const std::size_t together = std::min(body.size(), write_part - std::min(head.size(), write_part));
    head.append(body.substr(0, together));
    bool sent = co_await write(head);
    if (sent) sent = co_await write(body.substr(together));
    body_sent_ = sent_ - std::min(before, sent_);
    co_return sent;
}

/// The same for a body that is made meanwhile; false, too, if it came to nothing (the connection is then reset).
task<bool> connection::send_stream(const response& r, response_context context) {
    const std::string head = response_head(r, context);
    static_cast<void>(parser_.take_expectation()); // this is the answer to it; nothing else may come between head and body
    const bool begun = co_await write(head);
    if (!begun) co_return false;
    if (context.head_request || !may_have_body(r.status)) co_return true;
    using framing = body_writer::framing;
    body_writer out(*this, context.length ? framing::length : context.chunked ? framing::chunks : framing::until_close,
                    context.length.value_or(0));
    std::exception_ptr failure;
    try {
        co_await produce(r, out);
        body_sent_ = out.written();
        co_return true;
    } catch (const operation_cancelled&) {
        body_sent_ = out.written();
        stream_.abort();
        throw;
    } catch (...) {
        failure = std::current_exception();
    }
    body_sent_ = out.written();
    stream_.abort();
    const bool left = out.broken_ || (lost_ && is_of_connection(failure));
    if (!left) report("the body of an HTTP response failed: " + subject_, failure);
    co_return false;
}

task<> connection::produce(const response& r, body_writer& out) {
    co_await this_task::checkpoint(); // as before a handler
    co_await (*r.producer())(out);
    co_await out.end();
}

/// The connection goes on in another protocol, and ends with it.
task<> connection::hand_over(const response& r) {
    const auto state = std::make_shared<handed_state>();
    state->rest = parser_.take_unused();
    any_stream s(handed_stream(state, std::move(stream_)));
    std::exception_ptr failure;
    try {
        if (server_.stopping) co_return;
        task<> work = (*r.upgrader())(std::move(s));
        co_await interruptible(std::chrono::nanoseconds(0), std::move(work));
    } catch (const operation_cancelled&) {
        throw;
    } catch (const closed_resource&) {
        if (!server_.stopping) failure = std::current_exception(); // else its grace is over
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure && !state->explains(failure)) report("a connection that was upgraded failed: " + subject_, failure);
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
        sent_ += part.size();
        bytes.remove_prefix(part.size());
    }
    co_return true;
}

task<> connection::refuse(refusal why) {
    const response r = error_response(why.status, why.reason);
    response_context context;
    context.keep_alive = false;
    begin_record({});
    const bool sent = co_await send(r, context);
    log(r.status, sent);
    if (sent) co_await linger();
}

} // namespace eddy::http::detail

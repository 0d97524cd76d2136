#include "curl_socket.hpp"

#include <unistd.h>

#include <curl/curl.h>

#include <eddy/readiness.hpp>
#include <eddy/this_task.hpp>

#include "client_core.hpp"

namespace eddy::http::detail {

socket_watch::~socket_watch() {
    if (owns_) ::close(fd_);
}

void socket_watch::want(bool readable, bool writable) {
    set(in_, readable, false);
    set(out_, writable, true);
}

void socket_watch::set(side& s, bool wanted, bool outgoing) {
    s.wanted = wanted;
    if (!wanted) return; // a wait in progress may end; it is then ignored
    s.changed.set();
    if (!s.pump || s.pump.done())
        s.pump = spawn(&socket_watch::run, {.name = "http client socket"}, shared_from_this(), outgoing);
}

void socket_watch::take_over(socket_watch& other) {
    want(other.in_.wanted, other.out_.wanted);
    other.stop();
}

void socket_watch::stop() noexcept {
    core_ = nullptr;
    for (side* s : {&in_, &out_}) {
        s->changed.set();
        if (s->pump) s->pump.cancel();
        if (s->shield) s->shield->cancel();
    }
}

void socket_watch::requests_over() noexcept {
    for (side* s : {&in_, &out_}) {
        if (s->shield) s->shield->cancel();
    }
}

task<> socket_watch::run(std::shared_ptr<socket_watch> self, bool outgoing) {
    bool cancelled = false;
    try {
        co_await self->pump(outgoing);
    } catch (const operation_cancelled&) {
        cancelled = true;
    }
    // The loop shuts down, but a task may still wait for a request: it has a shield, or its own cancellation is on the way.
    while (cancelled && self->core_ && self->core_->awaited()) co_await self->pump_on(outgoing);
}

/// The pump, shielded until nobody waits.
task<> socket_watch::pump_on(bool outgoing) {
    side& s = at(outgoing);
    co_await with_shield([&](cancel_scope& scope) -> task<> {
        s.shield = &scope;
        co_await pump(outgoing);
    });
    s.shield = nullptr;
}

task<> socket_watch::pump(bool outgoing) {
    side& s = at(outgoing);
    while (core_) {
        if (!s.wanted) {
            s.changed.clear();
            co_await s.changed.wait();
            continue;
        }
        std::exception_ptr failure;
        try {
            if (outgoing)
                co_await wait_writable(fd_);
            else
                co_await wait_readable(fd_);
        } catch (const std::exception&) {
            failure = std::current_exception();
        }
        if (!core_ || !s.wanted) continue;
        if (failure) {
            core_->fail_on(curl_fd_, failure);
            co_return;
        }
        core_->socket_ready(curl_fd_, outgoing ? CURL_CSELECT_OUT : CURL_CSELECT_IN);
        co_await this_task::yield(); // libcurl may have read a lot: others first
    }
}

} // namespace eddy::http::detail

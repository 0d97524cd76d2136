// A transfer whose body is read piece by piece.
#include <utility>

#include <eddy/detail/sole_reader.hpp>
#include <eddy/errors.hpp>

#include "client_core.hpp"
#include "transfer.hpp"

namespace eddy::http::detail {
namespace {

class timer_guard {
public:
    explicit timer_guard(callback_handle& timer) noexcept : timer_(timer) {}
    timer_guard(const timer_guard&) = delete;
    timer_guard& operator=(const timer_guard&) = delete;
    ~timer_guard() { timer_.cancel(); }

private:
    callback_handle& timer_;
};

} // namespace

void transfer::stream_body(std::size_t limit) {
    incoming_.emplace(limit);
}

// An empty line. Is this the head that the caller gets? Not if another answer follows: after 100 Continue, or where libcurl
// follows a redirect or asks once more without the Expect that the server did not like.
void transfer::head_ended() noexcept {
    const long status = info<long>(CURLINFO_RESPONSE_CODE);
    if (status < 200) return;
    if (outgoing_) outgoing_->answered.set();
    if (!incoming_ || incoming_->head_complete) return;
    if (status < 400 && status >= 300 && spec_.max_redirects > 0 && response_.headers.contains("Location")) return;
    if (status == 417 && spec_.headers.contains("Expect")) return;
    complete_head();
}

void transfer::complete_head() noexcept {
    incoming_->head_complete = true;
    deadline_.cancel(); // from here on each read has its own
    incoming_->changed.set();
}

task<streamed_response> transfer::head_of(std::shared_ptr<transfer> t) {
    t->start();
    co_await t->wait_for_head();
    streamed_response r = t->take_head();
    r.body = response_body(std::move(t));
    co_return r;
}

task<> transfer::wait_for_head() {
    const waiting_mark waiting(*core_);
    while (!incoming_->head_complete && !done.is_set()) {
        incoming_->changed.clear();
        co_await incoming_->changed.wait();
    }
}

streamed_response transfer::take_head() {
    if (!incoming_->head_complete) throw_failure();
    response head = answer();
    streamed_response r;
    r.status = head.status;
    r.headers = std::move(head.headers);
    r.url = std::move(head.url);
    r.redirects = head.redirects;
    r.connection_reused = head.connection_reused;
    r.http_version = head.http_version;
    return r;
}

task<std::size_t> transfer::read_some(std::span<std::byte> out) {
    const eddy::detail::sole_reader me(incoming_->reading, "this response body");
    if (out.empty()) co_return 0;
    if (!incoming_->empty() || done.is_set()) {
        co_await this_task::checkpoint();
    } else {
        const waiting_mark waiting(*core_);
        const timer_guard timer(deadline_);
        arm(deadline_, spec_.timeout, "the time limit for more of the body is over");
        while (incoming_->empty() && !done.is_set()) {
            incoming_->changed.clear();
            co_await incoming_->changed.wait();
        }
    }
    const std::size_t n = incoming_->take(out);
    if (n == 0) throw_failure();
    if (slot != not_active && incoming_->resume()) core_->resume(*this);
    co_return n;
}

void transfer::abandon() noexcept {
    core_->remove(*this);
    if (done.is_set()) return;
    try {
        end(std::make_exception_ptr(closed_resource("the body of " + spec_.method + " " + spec_.url + " was destroyed")));
    } catch (...) {
        end(std::current_exception());
    }
}

} // namespace eddy::http::detail

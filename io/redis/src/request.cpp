// Commands on the shared connection, as the tasks that await them see it.
#include "client_core.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <eddy/detail/duration.hpp>
#include <eddy/redis/error.hpp>
#include <eddy/sleep.hpp>

namespace eddy::redis::detail {
namespace {

constexpr std::size_t most_spare_buffers = 64;
constexpr std::size_t largest_spare_buffer = 4096;

/// The server has not executed it, and may do so a little later.
[[nodiscard]] bool means_later(std::string_view error) noexcept {
    const std::string_view code = error.substr(0, error.find(' '));
    return code == "LOADING" || code == "MASTERDOWN" || code == "TRYAGAIN";
}

} // namespace

bool request::start() {
    core_->enqueue(*this, task().loop());
    return false;
}

bool request::abort() noexcept {
    core_->withdraw(*this);
    return true;
}

value request::take() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    return std::move(single_);
}

void request::add(value v) {
    if (many_)
        values_.push_back(std::move(v));
    else
        single_ = std::move(v);
}

void client_core::require_open() const {
    if (closed_) throw closed_resource("this redis::client of " + settings_->endpoint + " was closed");
}

void client_core::enqueue(request& r, eddy::detail::scheduler& loop) {
    require_open();
    if (!keeping_ && settings_->over == transport::given)
        std::rethrow_exception(loss_of(*settings_, command_of(r.wire_), failure_, false));
    if (home_ && home_ != &loop && keeping_) throw std::logic_error("this redis::client belongs to another loop");
    if (r.many_) r.values_.reserve(r.replies_);
    if (r.urgent_)
        waiting_.push_front(r);
    else
        waiting_.push_back(r);
    ++live_;
    settled_.clear();
    if (!keeping_) {
        try {
            start_keeping(nullptr);
        } catch (...) {
            waiting_.erase(r);
            one_less();
            throw;
        }
    }
    work_.set();
    if (r.deadline_ != never) timed_.set();
}

void client_core::withdraw(request& r) noexcept {
    if (r.sent_)
        flights_.at(r.number_).waiting = nullptr;
    else
        waiting_.erase(r);
    one_less();
}

void client_core::settle(request& r) noexcept {
    r.complete();
    one_less();
}
void client_core::settle(request& r, std::exception_ptr e) noexcept {
    r.complete(std::move(e));
    one_less();
}

void client_core::one_less() noexcept {
    if (--live_ > 0) return;
    settled_.set();
    cancel_if_over();
}

loop_clock::time_point client_core::new_deadline(eddy::detail::task_context& self) const noexcept {
    return settings_->timeout.count() == 0 ? never : eddy::detail::after(self.loop().now(), settings_->timeout);
}

/// After READONLY: on another connection there may be another server.
bool client_core::sends_again(const request& r, std::string_view error, loop_clock::time_point now) noexcept {
    constexpr std::chrono::seconds at_most_each{1};
    if (error.substr(0, error.find(' ')) != "READONLY" || r.urgent_ || closed_) return false;
    if (r.connection() != connection_ || draining_) return true; // it is being replaced
    if (settings_->over == transport::given || (renewed_ && now - *renewed_ < at_most_each)) return false;
    renewed_ = now;
    draining_ = true;
    if (link_ && flights_.empty()) note_loss(*link_, nullptr);
    return true;
}

task<value> client_core::send(core_pointer core, std::string wire) {
    eddy::detail::task_context& self = co_await eddy::detail::this_context();
    const loop_clock::time_point deadline = core->new_deadline(self);
    std::optional<eddy::detail::retry_course> course;
    for (bool again = false;; again = true) {
        request r(*core, wire, deadline);
        if (again) r.set_urgent();
        value v = co_await r;
        if (!v.is_error()) {
            core->give_back(std::move(wire));
            co_return v;
        }
        const error refused(command_of(wire), v.error_text());
        const loop_clock::time_point now = self.loop().now();
        if (core->sends_again(r, refused.reply(), now)) continue;
        if (!means_later(refused.reply())) throw refused;
        if (!course) course.emplace(core->settings_->reconnect, now);
        const std::chrono::nanoseconds pause = course->pause_after(std::make_exception_ptr(refused), self);
        if (eddy::detail::after(now, pause) >= deadline) throw refused;
        co_await sleep_for(pause);
    }
}

task<std::vector<value>> client_core::send_all(core_pointer core, std::string wire, std::size_t replies) {
    eddy::detail::task_context& self = co_await eddy::detail::this_context();
    request r(*core, wire, replies, core->new_deadline(self));
    static_cast<void>(co_await r);
    core->give_back(std::move(wire));
    std::vector<value> all = r.take_replies();
    // Not sent again, for some of them may have been done; but the next ones go to another server, if there is one.
    const auto refused = std::ranges::find_if(all, [](const value& v) { return v.is_error() && v.error_text().starts_with("READONLY"); });
    if (refused != all.end()) static_cast<void>(core->sends_again(r, refused->error_text(), self.loop().now()));
    co_return all;
}

std::string client_core::take_buffer() noexcept {
    if (spare_buffers_.empty()) return {};
    std::string buffer = std::move(spare_buffers_.back());
    spare_buffers_.pop_back();
    return buffer;
}

void client_core::give_back(std::string buffer) noexcept {
    if (buffer.capacity() > largest_spare_buffer || spare_buffers_.size() >= most_spare_buffers) return;
    buffer.clear();
    try {
        spare_buffers_.push_back(std::move(buffer));
    } catch (const std::bad_alloc&) { // it is freed instead
    }
}

} // namespace eddy::redis::detail

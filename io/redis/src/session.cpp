#include <eddy/redis/session.hpp>

#include <stdexcept>
#include <utility>

#include <eddy/errors.hpp>
#include <eddy/redis/error.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

#include "replies.hpp"
#include "session_core.hpp"

namespace eddy::redis {
namespace detail {

task<std::vector<value>> session_core::converse(std::string_view wire, std::size_t replies) {
    std::vector<value> values;
    values.reserve(replies);
    co_await link_->write(wire);
    while (values.size() < replies) {
        value v = co_await link_->read();
        values.push_back(std::move(v));
    }
    co_return values;
}

task<std::vector<value>> session_core::converse_in_time(std::string_view wire, std::size_t replies) {
    const std::chrono::nanoseconds limit = settings_->timeout;
    if (limit.count() == 0) co_return co_await converse(wire, replies);
    auto limited = move_on_after(limit, [&](cancel_scope&) { return converse(wire, replies); });
    std::optional<std::vector<value>> values = co_await std::move(limited);
    if (!values) throw timeout_error(limit, settings_->site, std::string(command_of(wire)) + " at " + settings_->endpoint);
    co_return std::move(*values);
}

task<std::vector<value>> session_core::send(std::shared_ptr<session_core> core, std::string wire, std::size_t replies) {
    co_await this_task::checkpoint();
    if (core->closed_) throw closed_resource("this redis::session was closed");
    if (core->broken_)
        throw broken_resource("this redis::session is over: its connection broke, or a command was cancelled or timed out; make a new one");
    if (core->busy_) throw busy_resource("another task has a command in this redis::session; it serves one at a time");
    core->busy_ = true;
    std::exception_ptr failure;
    try {
        std::vector<value> values = co_await core->converse_in_time(wire, replies);
        core->busy_ = false;
        co_return values;
    } catch (...) {
        failure = std::current_exception();
    }
    core->busy_ = false;
    core->broken_ = true; // a reply may be on its way that belongs to this command
    core->link_->abort();
    if (core->closed_) throw closed_resource("this redis::session was closed");
    try {
        std::rethrow_exception(failure);
    } catch (const operation_cancelled&) {
        throw;
    } catch (const timeout_error&) {
        throw;
    } catch (...) {
        std::rethrow_exception(loss_of(*core->settings_, command_of(wire), failure, true));
    }
}

void session_core::close() noexcept {
    closed_ = true;
    link_->abort();
}

} // namespace detail

namespace {

[[nodiscard]] task<value> single_reply(std::shared_ptr<detail::session_core> core, std::string wire) {
    const std::string name(detail::command_of(wire));
    std::vector<value> values = co_await detail::session_core::send(std::move(core), std::move(wire), 1);
    if (values.front().is_error()) throw error(name, values.front().error_text());
    co_return std::move(values.front());
}

[[nodiscard]] task<std::optional<std::vector<value>>> run_exclusive_transaction(std::shared_ptr<detail::session_core> core, std::string wire,
                                                                                std::size_t commands) {
    std::vector<value> replies = co_await detail::session_core::send(std::move(core), std::move(wire), commands + 2);
    co_return detail::transaction_replies(std::move(replies));
}

} // namespace

session::session(std::shared_ptr<detail::session_core> core) noexcept : core_(std::move(core)) {}

const std::shared_ptr<detail::session_core>& session::core() const {
    if (!core_) throw closed_resource("this redis::session is empty (it was moved from)");
    return core_;
}

task<value> session::send(std::string wire) {
    return single_reply(core(), std::move(wire));
}
task<value> session::command(std::vector<std::string> words) {
    if (words.empty()) throw std::invalid_argument("redis: a command without a word");
    std::string wire;
    detail::append_command(wire, words.front(), std::span<const std::string>(words).subspan(1));
    return send(std::move(wire));
}
task<std::vector<value>> session::run(const pipeline& commands) {
    if (commands.empty()) return detail::no_replies();
    return detail::session_core::send(core(), std::string(commands.wire()), commands.size());
}
task<std::optional<std::vector<value>>> session::transaction(const pipeline& commands) {
    return run_exclusive_transaction(core(), detail::transaction_wire(commands), commands.size());
}
void session::close() noexcept {
    if (core_) core_->close();
}

} // namespace eddy::redis

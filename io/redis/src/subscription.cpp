#include <eddy/redis/subscription.hpp>

#include <exception>
#include <stdexcept>
#include <utility>

#include <eddy/redis/detail/words.hpp>
#include <eddy/redis/error.hpp>
#include <eddy/sleep.hpp>
#include <eddy/this_task.hpp>

#include "subscription_core.hpp"

namespace eddy::redis {
namespace detail {

task<> subscription_core::open(pointer core, std::vector<std::string> names, bool patterns) {
    auto& wanted = patterns ? core->patterns_ : core->channels_;
    wanted.insert(names.begin(), names.end());
    std::exception_ptr failure;
    try {
        co_await core->ask_for_all();
        core->connected_ = (co_await eddy::detail::this_context()).loop().now();
        co_return;
    } catch (const operation_cancelled&) {
        throw;
    } catch (const error&) {
        throw;
    } catch (...) {
        failure = std::current_exception();
    }
    std::rethrow_exception(loss_of(*core->settings_, "SUBSCRIBE", failure, true));
}

/// Asks for everything on a new connection, and waits until it is confirmed: what is published after that comes.
task<> subscription_core::ask_for_all() {
    unconfirmed_ = 0;
    const std::vector<std::string> channels(channels_.begin(), channels_.end());
    const std::vector<std::string> patterns(patterns_.begin(), patterns_.end());
    if (!channels.empty()) co_await ask(channels, false, true);
    if (!patterns.empty()) co_await ask(patterns, true, true);
    while (unconfirmed_ > 0) {
        value v = co_await link_->read();
        take(std::move(v));
    }
}

task<> subscription_core::ask(std::span<const std::string> names, bool patterns, bool add) {
    std::string wire;
    append_command(wire, patterns ? (add ? "PSUBSCRIBE" : "PUNSUBSCRIBE") : (add ? "SUBSCRIBE" : "UNSUBSCRIBE"), names);
    unconfirmed_ += names.size();
    co_await link_->write(wire);
}

/// Until one is there and the server has confirmed everything: what breaks before that is an attempt that has failed.
task<> subscription_core::dial_and_ask() {
    eddy::detail::task_context& self = co_await eddy::detail::this_context();
    for (;;) {
        if (not_before_ > self.loop().now()) co_await sleep_until(not_before_);
        link_pointer l = co_await dial_patiently(settings_, purpose::commands);
        std::exception_ptr loss;
        {
            const auto turn = co_await writing_.lock(); // what is changed meanwhile is asked for here, or after this
            link_ = std::move(l);
            connected_ = self.loop().now();
            proven_ = false;
            try {
                co_await ask_for_all();
                co_return;
            } catch (const operation_cancelled&) {
                throw;
            } catch (const error&) {
                throw;
            } catch (...) {
                loss = std::current_exception();
            }
            link_.reset();
        }
        note_loss(loss, self);
    }
}

/// When the next connection may be tried: at once after one that was of use, else as `options::reconnect` says. Throws the loss when that
/// was the last attempt; the next one begins anew.
void subscription_core::note_loss(const std::exception_ptr& loss, eddy::detail::task_context& self) {
    const loop_clock::time_point now = self.loop().now();
    not_before_ = now;
    if (proven_ || now - connected_ >= short_life) {
        course_.reset();
        return;
    }
    if (!course_) course_.emplace(settings_->reconnect, now);
    try {
        not_before_ = now + course_->pause_after(loss, self);
    } catch (...) {
        course_.reset();
        throw;
    }
}

task<> subscription_core::connect_anew() {
    auto connecting = [this](cancel_scope& s) -> task<> {
        connecting_ = &s;
        co_await dial_and_ask();
    };
    std::exception_ptr failure;
    try {
        co_await with_scope(connecting);
    } catch (...) {
        failure = std::current_exception();
    }
    connecting_ = nullptr;
    if (!failure) {
        if (!closed_) ++gaps_;
        co_return;
    }
    link_.reset();
    if (closed_) co_return;
    try {
        std::rethrow_exception(failure);
    } catch (const operation_cancelled&) {
        throw;
    } catch (const error&) {
        throw;
    } catch (...) {
        std::rethrow_exception(loss_of(*settings_, "SUBSCRIBE", failure, false));
    }
}

task<std::optional<message>> subscription_core::next_message() {
    eddy::detail::task_context& self = co_await eddy::detail::this_context();
    for (;;) {
        if (!messages_.empty()) co_return pop();
        if (is_over()) co_return std::nullopt;
        if (!link_) {
            co_await connect_anew();
            if (closed_) co_return std::nullopt;
            message gap;
            gap.gap = true;
            co_return gap; // before what came while we asked: that is from after the gap
        }
        std::exception_ptr loss;
        try {
            value v = co_await link_->read();
            take(std::move(v));
        } catch (const operation_cancelled&) {
            throw;
        } catch (const error&) {
            throw;
        } catch (...) {
            loss = std::current_exception();
        }
        if (!loss) continue;
        const auto turn = co_await writing_.lock(); // a change that is being sent uses it still
        link_.reset();
        if (closed_) continue;
        try {
            note_loss(loss, self);
        } catch (...) {
            loss = loss_of(*settings_, "SUBSCRIBE", std::current_exception(), false);
            std::rethrow_exception(loss);
        }
    }
}

task<std::optional<message>> subscription_core::next(pointer core) {
    co_await this_task::checkpoint();
    if (core->reading_) throw busy_resource("another task waits for the next message of this redis::subscription");
    core->reading_ = true;
    std::exception_ptr failure;
    try {
        std::optional<message> m = co_await core->next_message();
        core->reading_ = false;
        co_return m;
    } catch (...) {
        failure = std::current_exception();
    }
    core->reading_ = false;
    std::rethrow_exception(failure);
}

task<> subscription_core::change(pointer core, std::vector<std::string> names, bool patterns, bool add) {
    if (names.empty()) co_return;
    const auto turn = co_await core->writing_.lock();
    if (core->closed_) throw closed_resource("this redis::subscription was closed");
    auto& wanted = patterns ? core->patterns_ : core->channels_;
    for (const std::string& name : names) {
        if (add)
            wanted.insert(name);
        else
            wanted.erase(name);
    }
    if (!core->link_) co_return; // the next connection asks for it
    try {
        co_await core->ask(names, patterns, add);
    } catch (const operation_cancelled&) {
        core->link_->abort(); // half a command cannot be taken back: `next` connects anew
        throw;
    } catch (const std::exception&) { // `next` finds out, and connects anew
        core->link_->abort();
    }
}

/// ["message", channel, payload], ["pmessage", pattern, channel, payload], or a confirmation: ["subscribe", channel, count].
void subscription_core::take(value v) {
    if (v.is_error()) throw error("SUBSCRIBE", v.error_text());
    std::vector<value> parts = v.take_array();
    if (parts.empty()) throw protocol_error("an empty array on a connection of subscriptions");
    const std::string what = parts.front().take_string();
    proven_ = proven_ || what.ends_with("message");
    if (what == "message" && parts.size() == 3)
        messages_.emplace_back(parts[1].take_string(), std::string(), parts[2].take_string());
    else if (what == "pmessage" && parts.size() == 4)
        take_pattern_message(parts);
    else if (what.ends_with("subscribe") && parts.size() == 3) {
        if (unconfirmed_ > 0) --unconfirmed_;
    } else
        throw protocol_error("'" + what.substr(0, 32) + "' on a connection of subscriptions");
}

void subscription_core::take_pattern_message(std::vector<value>& parts) {
    std::string pattern = parts[1].take_string();
    std::string channel = parts[2].take_string();
    messages_.emplace_back(std::move(channel), std::move(pattern), parts[3].take_string());
}

message subscription_core::pop() noexcept {
    message m = std::move(messages_.front());
    messages_.pop_front();
    return m;
}

void subscription_core::close() noexcept {
    if (closed_) return;
    closed_ = true;
    if (link_) link_->abort();
    if (connecting_) connecting_->cancel("the subscription was closed");
}

} // namespace detail

subscription::subscription(std::shared_ptr<detail::subscription_core> core) noexcept : core_(std::move(core)) {}

subscription& subscription::operator=(subscription&& o) noexcept {
    subscription(std::move(o)).core_.swap(core_);
    return *this;
}

subscription::~subscription() {
    if (core_) core_->close();
}

const std::shared_ptr<detail::subscription_core>& subscription::core() const {
    if (!core_) throw closed_resource("this redis::subscription is empty (it was moved from)");
    return core_;
}

task<std::optional<message>> subscription::next() {
    return detail::subscription_core::next(core());
}
task<> subscription::subscribe(std::vector<std::string> channels) {
    return detail::subscription_core::change(core(), std::move(channels), false, true);
}
task<> subscription::psubscribe(std::vector<std::string> patterns) {
    return detail::subscription_core::change(core(), std::move(patterns), true, true);
}
task<> subscription::unsubscribe(std::vector<std::string> channels) {
    return detail::subscription_core::change(core(), std::move(channels), false, false);
}
task<> subscription::punsubscribe(std::vector<std::string> patterns) {
    return detail::subscription_core::change(core(), std::move(patterns), true, false);
}
std::uint64_t subscription::gaps() const noexcept {
    return core_ ? core_->gaps() : 0;
}
void subscription::close() noexcept {
    if (core_) core_->close();
}

} // namespace eddy::redis

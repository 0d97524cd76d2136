#include "redis_results.hpp"

#include <algorithm>

#include <eddy/sleep.hpp>
#include <eddy/spawn.hpp>
#include <eddy/timeout.hpp>

#include "message.hpp"

namespace eddy::jobs::detail {

/// The last one that waits for a key gives its channel up.
class redis_results::use {
public:
    use(redis_results& r, std::string key) : results_(&r), key_(std::move(key)), waiter_(r.waiters_[key_]) {
        if (!waiter_) r.waiters_[key_] = waiter_ = std::make_shared<waiter>();
        ++waiter_->users;
    }
    use(const use&) = delete;
    use& operator=(const use&) = delete;
    ~use() {
        if (--waiter_->users > 0) return;
        results_->waiters_.erase(key_);
        results_->unsubscribe(std::move(key_));
    }
    [[nodiscard]] waiter& operator*() const noexcept { return *waiter_; }
    [[nodiscard]] bool first() const noexcept { return waiter_->users == 1; }

private:
    redis_results* results_;
    std::string key_;
    std::shared_ptr<waiter> waiter_;
};

task<std::optional<std::string>> redis_results::fetch_final(const std::string& key) {
    redis::value v = co_await client_.command("GET", key);
    if (v.is_nil()) co_return std::nullopt;
    std::string text = v.take_string();
    if (!is_final_text(text)) co_return std::nullopt;
    co_return text;
}

/// Looks before it subscribes and after: what is stored in between is seen by one of the two. The subscription is on another
/// connection and may be some moments later than the look, so it looks once more soon, and then now and then.
task<std::string> redis_results::wait_final(std::string key) {
    const auto self = shared_from_this();
    std::optional<std::string> there = co_await fetch_final(key);
    if (there) co_return std::move(*there);
    const use in_use(*this, key);
    if (in_use.first()) co_await subscribe(key);
    std::chrono::nanoseconds patience = std::chrono::milliseconds(50);
    for (;;) {
        there = co_await fetch_final(key);
        if (there) co_return std::move(*there);
        const auto told = [&](cancel_scope&) -> task<> { co_await (*in_use).stored.wait(); };
        co_await move_on_after(patience, told);
        if ((*in_use).stored.is_set()) {
            if (!(*in_use).text.empty()) co_return (*in_use).text;
            (*in_use).stored.clear();
        }
        patience = std::chrono::seconds(5);
    }
}

task<> redis_results::subscribe(std::string key) {
    const auto one_at_a_time = co_await opening_.lock();
    std::vector<std::string> channels;
    channels.reserve(2); // (g++ 12 at -O3 sees a write beyond one that grows)
    channels.push_back(std::move(key));
    if (ear_) co_return co_await ear_->subscribe(std::move(channels));
    channels.emplace_back("eddy.jobs"); // nobody publishes there: it keeps the subscription open
    ear_.emplace(co_await client_.subscribe(std::move(channels)));
    spawn([](std::shared_ptr<redis_results> self) -> task<> { co_await self->read(); }, {.name = "jobs: results"}, shared_from_this());
}
void redis_results::unsubscribe(std::string key) {
    if (closed_ || !ear_) return;
    spawn([](std::shared_ptr<redis_results> self, std::string channel) -> task<> {
        try {
            std::vector<std::string> channels(1, std::move(channel));
            if (self->ear_ && !self->closed_ && !self->waiters_.contains(channels[0])) co_await self->ear_->unsubscribe(std::move(channels));
        } catch (const std::exception&) { // it is not heard any more
        }
    }, {.name = "jobs: results"}, shared_from_this(), std::move(key));
}

/// Ends with the subscription; the next one who waits opens another.
task<> redis_results::read() {
    std::chrono::nanoseconds pause = std::chrono::milliseconds(50);
    for (bool open = true, lost = false; open; lost = false) {
        std::optional<redis::message> m;
        try {
            m = co_await ear_->next();
            open = m.has_value();
        } catch (const std::exception&) { // cannot be replaced now; those that wait look by themselves
            open = !waiters_.empty() && !closed_;
            lost = open;
        }
        if (m && m->gap) {
            for (const auto& [channel, w] : waiters_) w->stored.set(); // they look again
            lost = true;
        }
        if (lost) { // a server that drops its connections at once is not asked without a pause
            co_await sleep_for(pause);
            pause = std::min<std::chrono::nanoseconds>(2 * pause, std::chrono::seconds(5));
        }
        if (!m || m->gap) continue;
        pause = std::chrono::milliseconds(50);
        const auto at = waiters_.find(m->channel);
        if (at == waiters_.end() || !is_final_text(m->payload)) continue;
        at->second->text = std::move(m->payload);
        at->second->stored.set();
    }
    ear_.reset();
}
void redis_results::close() noexcept {
    closed_ = true;
    if (ear_) ear_->close();
}

} // namespace eddy::jobs::detail

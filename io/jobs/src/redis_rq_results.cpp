#include "redis_rq_results.hpp"

#include <algorithm>
#include <array>
#include <map>

#include <eddy/sleep.hpp>
#include <eddy/spawn.hpp>
#include <eddy/timeout.hpp>

#include "redis_lists.hpp"
#include "redis_rq_job.hpp"

namespace eddy::jobs::detail::rq {

namespace {

/// Names a scope, as long as it lives.
class reading_now {
public:
    reading_now(cancel_scope*& place, cancel_scope& scope) noexcept : place_(&place) { place = &scope; }
    reading_now(const reading_now&) = delete;
    reading_now& operator=(const reading_now&) = delete;
    ~reading_now() { *place_ = nullptr; }

private:
    cancel_scope** place_;
};

} // namespace

/// The XREAD begins anew with it, and ends with the last one.
class results::waiter {
public:
    waiter(results& r, std::string job, std::string seen) : key(r.prefix_ + "results:" + job), last(std::move(seen)), results_(&r) {
        place_ = r.waiters_.insert(r.waiters_.end(), this);
        r.start_reading();
    }
    waiter(const waiter&) = delete;
    waiter& operator=(const waiter&) = delete;
    ~waiter() {
        results_->waiters_.erase(place_);
        if (results_->waiters_.empty() && results_->reading_) results_->reading_->cancel("nobody waits");
    }
    std::string key;
    std::string last;
    event arrived;

private:
    results* results_;
    std::list<waiter*>::iterator place_;
};

task<results::look> results::look_at(std::string id) {
    redis::pipeline p;
    constexpr std::array<const char*, 4> names{"status", "meta", "result", "exc_info"};
    const std::string key = prefix_ + "job:" + id;
    p.add("HMGET", key, names[0], names[1], names[2], names[3]).add("XREVRANGE", prefix_ + "results:" + id, "+", "-", "COUNT", 1).add("EXISTS", key);
    std::vector<redis::value> replies = co_await client_.run(p);
    check_all(replies);
    fields hash;
    std::vector<std::string> values = replies[0].take_strings();
    for (std::size_t i = 0; i < names.size(); ++i) hash.emplace(names[i], std::move(values.at(i)));
    std::vector<redis::stream_entry> entries = redis::to_entries(std::move(replies[1]));
    look seen;
    std::optional<redis::stream_entry> latest;
    if (!entries.empty()) latest = std::move(entries.front());
    if (latest) seen.last = latest->id;
    if (replies[2].as_integer() == 0) co_return seen;
    const json stored = stored_of(hash, latest);
    seen.text = dump_json(stored);
    seen.over = is_final(stored["status"].get<std::string>());
    co_return seen;
}
task<std::optional<std::string>> results::fetch(std::string id) {
    look seen = co_await look_at(std::move(id));
    co_return std::move(seen.text);
}

/// A stream tells of its end most jobs; not of those that are canceled, so it looks by itself now and then.
task<std::string> results::wait_final(std::string id) {
    const auto self = shared_from_this();
    look seen = co_await look_at(id);
    std::optional<waiter> waiting;
    std::chrono::nanoseconds patience = std::chrono::milliseconds(100);
    while (!seen.over && seen.text) {
        if (!waiting) waiting.emplace(*this, id, seen.last);
        const auto told = [&](cancel_scope&) -> task<> { co_await waiting->arrived.wait(); };
        co_await move_on_after(patience, told);
        waiting->arrived.clear();
        seen = co_await look_at(id);
        waiting->last = seen.last;
        patience = std::min<std::chrono::nanoseconds>(2 * patience, std::chrono::seconds(5));
    }
    if (seen.text) co_return std::move(*seen.text);
    json arguments = json::array();
    arguments.push_back("No such job: " + id + " (unknown, deleted, or its result was not kept)");
    json stored = {{"status", "FAILURE"}, {"traceback", nullptr}};
    stored["result"] = make_exception("NoSuchJobError", std::move(arguments), "rq.exceptions");
    co_return dump_json(stored);
}

void results::start_reading() {
    if (reading_) reading_->cancel("somebody else waits, too");
    if (running_ || closed_) return;
    running_ = true;
    spawn([](std::shared_ptr<results> self) -> task<> { co_await self->read(); }, {.name = "jobs: results"}, shared_from_this());
}
task<> results::read() {
    std::chrono::nanoseconds pause = std::chrono::milliseconds(50);
    while (!waiters_.empty() && !closed_) {
        bool failed = false;
        try {
            co_await read_once();
            pause = std::chrono::milliseconds(50);
        } catch (const std::exception&) { // those who wait look by themselves
            failed = true;
        }
        if (!failed) continue;
        co_await sleep_for(pause);
        pause = std::min<std::chrono::nanoseconds>(2 * pause, std::chrono::seconds(5));
    }
    running_ = false;
}
task<> results::read_once() {
    std::map<std::string, std::string> from;
    for (const waiter* w : waiters_) from.insert_or_assign(w->key, w->last);
    std::vector<std::string> words{"XREAD", "BLOCK", "30000", "STREAMS"};
    for (const auto& [key, last] : from) words.push_back(key);
    for (const auto& [key, last] : from) words.push_back(last);
    redis::value reply;
    cancel_scope scope;
    const reading_now now(reading_, scope);
    const auto reading = [&](cancel_scope&) -> task<> {
        auto command = client_.blocking_command(std::move(words));
        reply = co_await std::move(command);
    };
    co_await with_scope(scope, reading);
    for (const redis::stream_entries& s : redis::to_streams(std::move(reply)))
        for (waiter* w : waiters_) {
            if (w->key != s.stream || s.entries.empty()) continue;
            w->last = s.entries.back().id;
            w->arrived.set();
        }
}
void results::close() noexcept {
    closed_ = true;
    if (reading_) reading_->cancel("the client is closed");
}

} // namespace eddy::jobs::detail::rq

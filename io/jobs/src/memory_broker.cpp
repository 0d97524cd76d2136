// The broker inside a thread: for tests, for programs that start small, and the shortest statement of what a broker does.
#include "broker.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <unordered_map>

#include <eddy/detail/duration.hpp>
#include <eddy/event.hpp>
#include <eddy/loop_clock.hpp>
#include <eddy/queue.hpp>

#include "message.hpp"

namespace eddy::jobs::detail {

namespace {

using loop_time = loop_clock::time_point;

loop_time time_after(std::chrono::nanoseconds d) {
    return eddy::detail::after(loop_clock::now(), d);
}

/// Wakes everybody who waits now.
class memory_signal {
public:
    void notify() noexcept {
        event_.set();
        event_.clear();
    }
    auto wait() noexcept { return event_.wait(); }

private:
    event event_;
};

struct memory_claim {
    outgoing message;
    loop_time since;
    std::optional<loop_time> put_off_until = {}; // nobody's until then
};
struct memory_result {
    std::string text;
    loop_time until;
};
struct memory_chord {
    std::size_t size = 0;
    std::map<int, std::string> parts;
    loop_time until;
};
struct memory_lock {
    std::string owner;
    loop_time until;
};

class memory_broker final : public broker {
public:
    task<> enqueue(outgoing m) override {
        put(std::move(m), false);
        co_return;
    }
    task<> enqueue_once(outgoing m, std::string name, duration ttl) override {
        if (take_lock(std::move(name), make_uuid(), ttl)) put(std::move(m), false); // not even this one's a second time
        co_return;
    }
    task<std::vector<delivery>> claim(std::vector<std::string> queues, std::size_t most) override {
        std::vector<delivery> taken;
        for (;;) {
            while (taken.size() < most && take_one(queues, taken)) {}
            if (!taken.empty()) co_return taken;
            co_await arrived_.wait();
        }
    }
    task<> acknowledge(std::string tag) override {
        claims_.erase(tag);
        co_return;
    }
    task<> finish(std::string tag, std::string id, std::string result, duration ttl) override {
        keep(id, std::move(result), ttl);
        claims_.erase(tag);
        co_return;
    }
    task<> give_back(std::string tag, std::optional<std::string> payload) override {
        return_claim(tag, std::move(payload));
        co_return;
    }
    task<bool> put_off(std::string tag, duration pause) override {
        if (const auto at = claims_.find(tag); at != claims_.end()) at->second.put_off_until = time_after(pause);
        co_return true;
    }
    task<> refresh(std::vector<std::string> tags) override {
        for (const std::string& tag : tags)
            if (const auto at = claims_.find(tag); at != claims_.end()) at->second.since = loop_clock::now();
        co_return;
    }
    task<std::size_t> restore(duration lease, int most_deliveries) override {
        return_put_off();
        std::vector<std::string> expired;
        for (const auto& [tag, claim] : claims_)
            if (!claim.put_off_until && loop_clock::now() - claim.since > lease) expired.push_back(tag);
        for (const std::string& tag : expired) restore_one(tag, most_deliveries);
        co_return expired.size();
    }
    task<> bury(dead_letter letter) override {
        claims_.erase(letter.tag);
        dead_.push_back(std::move(letter));
        co_return;
    }
    task<std::vector<dead_letter>> dead_letters(std::size_t most) override {
        co_return std::vector<dead_letter>(dead_.begin(), dead_.begin() + static_cast<std::ptrdiff_t>(std::min(most, dead_.size())));
    }
    task<bool> revive(std::string tag) override {
        const auto at = std::ranges::find(dead_, tag, &dead_letter::tag);
        if (at == dead_.end()) co_return false;
        put(outgoing(at->queue, 0, at->tag, at->payload), false);
        dead_.erase(at);
        co_return true;
    }
    task<std::size_t> length(std::string queue) override {
        std::size_t n = 0;
        for (const auto& step : queues_[queue]) n += step.second.size();
        co_return n;
    }
    task<std::size_t> purge(std::string queue) override {
        std::size_t n = 0;
        for (const auto& step : queues_[queue]) n += step.second.size();
        queues_.erase(queue);
        co_return n;
    }

    task<> store(std::string id, std::string result, duration ttl) override {
        keep(id, std::move(result), ttl);
        co_return;
    }
    task<std::optional<std::string>> fetch(std::string id) override { co_return stored(id); }
    task<std::string> wait_final(std::string id) override {
        for (;;) {
            if (auto r = stored(id); r && is_final_text(*r)) co_return std::move(*r);
            const auto changed = waiter(id);
            co_await changed->wait();
        }
    }
    task<> forget(std::string id) override {
        results_.erase(id);
        co_return;
    }
    task<> store_group(std::string group, std::string text, duration ttl) override {
        clear_expired(groups_, next_clearing_of_groups_);
        groups_.insert_or_assign(group, memory_result{std::move(text), time_after(ttl)});
        co_return;
    }
    task<std::optional<std::string>> fetch_group(std::string group) override {
        const auto at = groups_.find(group);
        if (at == groups_.end() || at->second.until <= loop_clock::now()) co_return std::nullopt;
        co_return at->second.text;
    }
    task<> set_chord_size(std::string group, std::size_t size, duration ttl) override {
        clear_expired(chords_, next_clearing_of_chords_);
        memory_chord& c = chords_[group];
        c.size = size;
        c.until = time_after(ttl);
        co_return;
    }
    task<std::optional<std::vector<std::string>>> add_chord_part(std::string group, int index, std::string part, duration ttl) override {
        const auto at = chords_.find(group);
        if (at == chords_.end()) co_return std::nullopt; // over
        memory_chord& c = at->second;
        c.parts.insert_or_assign(index, std::move(part));
        c.until = time_after(ttl);
        if (c.parts.size() < c.size) co_return std::nullopt;
        std::vector<std::string> all;
        for (const auto& [i, text] : c.parts) all.push_back(text);
        co_return all;
    }
    task<> end_chord(std::string group) override {
        chords_.erase(group);
        co_return;
    }

    task<> broadcast(std::string text) override {
        for (const auto& listener : listeners_)
            if (const auto q = listener.lock()) static_cast<void>(q->try_push(text));
        std::erase_if(listeners_, [](const auto& l) { return l.expired(); });
        co_return;
    }
    task<> listen() override { co_return; }
    task<std::string> next_control() override {
        throw error("jobs: the memory broker is listened to through a handle");
        co_return {}; // never
    }
    task<> answer(json reply_to, std::string text) override {
        const auto at = answers_.find(reply_to.is_object() ? reply_to.value("routing_key", std::string()) : std::string());
        if (at != answers_.end()) static_cast<void>(at->second->try_push(std::move(text)));
        co_return;
    }
    task<> listen_for_answers(std::string id) override {
        answers_.insert_or_assign(id, std::make_shared<queue<std::string>>(std::size_t{10000}));
        co_return;
    }
    task<std::string> next_answer(std::string id) override {
        const auto q = answers_.at(id);
        co_return co_await q->pop();
    }
    task<> end_answers(std::string id) override {
        answers_.erase(id);
        co_return;
    }
    task<> emit(std::string, std::string) override { co_return; }
    task<bool> lock(std::string name, std::string owner, duration ttl) override {
        co_return take_lock(std::move(name), std::move(owner), ttl);
    }
    task<> declare(std::string) override { co_return; }

    [[nodiscard]] std::shared_ptr<queue<std::string>> add_listener() {
        auto q = std::make_shared<queue<std::string>>(std::size_t{10000});
        listeners_.push_back(q);
        return q;
    }

private:
    using steps = std::map<int, std::deque<outgoing>>;

    void put(outgoing m, bool first) {
        auto& at = queues_[m.queue][m.priority];
        if (first)
            at.push_front(std::move(m));
        else
            at.push_back(std::move(m));
        arrived_.notify();
    }
    bool take_lock(std::string name, std::string owner, duration ttl) {
        const auto at = locks_.find(name);
        if (at != locks_.end() && at->second.until > loop_clock::now() && at->second.owner != owner) return false;
        clear_expired(locks_, next_clearing_of_locks_);
        locks_.insert_or_assign(std::move(name), memory_lock{std::move(owner), time_after(ttl)});
        return true;
    }
    /// The most urgent of all queues; among equals the first queue's.
    bool take_one(const std::vector<std::string>& names, std::vector<delivery>& to) {
        std::deque<outgoing>* best = nullptr;
        int urgency = 0;
        for (const std::string& name : names) {
            const auto q = queues_.find(name);
            if (q == queues_.end()) continue;
            for (auto& [priority, waiting] : q->second) {
                if (waiting.empty()) continue;
                if (!best || priority < urgency) {
                    best = &waiting;
                    urgency = priority;
                }
                break;
            }
        }
        if (!best) return false;
        outgoing m = std::move(best->front());
        best->pop_front();
        to.emplace_back(m.tag, m.payload, m.queue);
        std::string tag = m.tag;
        claims_.insert_or_assign(std::move(tag), memory_claim{std::move(m), loop_clock::now()});
        return true;
    }
    void return_claim(const std::string& tag, std::optional<std::string> payload) {
        const auto at = claims_.find(tag);
        if (at == claims_.end()) return;
        outgoing m = std::move(at->second.message);
        claims_.erase(at);
        if (payload) m.payload = std::move(*payload);
        put(std::move(m), true);
    }
    /// The one whose time came first is first in line.
    void return_put_off() {
        std::vector<std::pair<loop_time, std::string>> due;
        for (const auto& [tag, claim] : claims_)
            if (claim.put_off_until && *claim.put_off_until <= loop_clock::now()) due.emplace_back(*claim.put_off_until, tag);
        std::ranges::sort(due, std::greater());
        for (const auto& [until, tag] : due) return_claim(tag, std::nullopt);
    }
    void restore_one(const std::string& tag, int most_deliveries) {
        const outgoing& m = claims_.at(tag).message;
        int before = 0;
        try {
            before = decode_message(m.payload).deliveries;
        } catch (const malformed_message&) { // its next worker buries it
        }
        if (before + 1 >= most_deliveries) {
            dead_.emplace_back(tag, m.queue, "given out " + std::to_string(before + 1) + " times and never finished", m.payload);
            claims_.erase(tag);
        } else {
            return_claim(tag, mark_redelivered(m.payload, before + 1));
        }
    }
    /// When there are twice as many as were left by the time before: each costs the same in the end.
    template <class M>
    static void clear_expired(M& all, std::size_t& next) {
        if (all.size() < next) return;
        std::erase_if(all, [](const auto& one) { return one.second.until <= loop_clock::now(); });
        next = std::max<std::size_t>(1000, 2 * all.size());
    }
    void keep(const std::string& id, std::string text, duration ttl) {
        clear_expired(results_, next_clearing_);
        results_.insert_or_assign(id, memory_result{std::move(text), time_after(ttl)});
        if (const auto at = waiters_.find(id); at != waiters_.end()) {
            if (const auto w = at->second.lock()) w->notify();
            waiters_.erase(id);
        }
    }
    std::optional<std::string> stored(const std::string& id) {
        const auto at = results_.find(id);
        if (at == results_.end()) return std::nullopt;
        if (at->second.until > loop_clock::now()) return at->second.text;
        results_.erase(at);
        return std::nullopt;
    }
    std::shared_ptr<memory_signal> waiter(const std::string& id) {
        if (waiters_.size() >= next_clearing_of_waiters_) {
            std::erase_if(waiters_, [](const auto& one) { return one.second.expired(); });
            next_clearing_of_waiters_ = std::max<std::size_t>(1000, 2 * waiters_.size());
        }
        auto w = waiters_[id].lock();
        if (!w) waiters_[id] = w = std::make_shared<memory_signal>();
        return w;
    }

    std::unordered_map<std::string, steps> queues_;
    std::unordered_map<std::string, memory_claim> claims_;
    std::unordered_map<std::string, memory_result> results_;
    std::unordered_map<std::string, memory_result> groups_;
    std::unordered_map<std::string, memory_chord> chords_;
    std::unordered_map<std::string, memory_lock> locks_;
    std::unordered_map<std::string, std::weak_ptr<memory_signal>> waiters_;
    std::unordered_map<std::string, std::shared_ptr<queue<std::string>>> answers_;
    std::vector<std::weak_ptr<queue<std::string>>> listeners_;
    std::deque<dead_letter> dead_;
    std::size_t next_clearing_ = 1000, next_clearing_of_groups_ = 1000, next_clearing_of_chords_ = 1000, next_clearing_of_locks_ = 1000, next_clearing_of_waiters_ = 1000;
    memory_signal arrived_;
};

/// What clients and workers hold: the shared broker, and this one's ear.
class memory_handle final : public broker {
public:
    explicit memory_handle(std::shared_ptr<memory_broker> b) : to_(std::move(b)) {}
    task<> enqueue(outgoing m) override { return to_->enqueue(std::move(m)); }
    task<> enqueue_once(outgoing m, std::string name, duration ttl) override { return to_->enqueue_once(std::move(m), std::move(name), ttl); }
    task<std::vector<delivery>> claim(std::vector<std::string> q, std::size_t most) override { return to_->claim(std::move(q), most); }
    task<> acknowledge(std::string tag) override { return to_->acknowledge(std::move(tag)); }
    task<> finish(std::string tag, std::string id, std::string r, duration ttl) override { return to_->finish(std::move(tag), std::move(id), std::move(r), ttl); }
    task<> give_back(std::string tag, std::optional<std::string> p) override { return to_->give_back(std::move(tag), std::move(p)); }
    task<bool> put_off(std::string tag, duration pause) override { return to_->put_off(std::move(tag), pause); }
    task<> refresh(std::vector<std::string> tags) override { return to_->refresh(std::move(tags)); }
    task<std::size_t> restore(duration lease, int most) override { return to_->restore(lease, most); }
    task<> bury(dead_letter l) override { return to_->bury(std::move(l)); }
    task<std::vector<dead_letter>> dead_letters(std::size_t most) override { return to_->dead_letters(most); }
    task<bool> revive(std::string tag) override { return to_->revive(std::move(tag)); }
    task<std::size_t> length(std::string q) override { return to_->length(std::move(q)); }
    task<std::size_t> purge(std::string q) override { return to_->purge(std::move(q)); }
    task<> store(std::string id, std::string r, duration ttl) override { return to_->store(std::move(id), std::move(r), ttl); }
    task<std::optional<std::string>> fetch(std::string id) override { return to_->fetch(std::move(id)); }
    task<std::string> wait_final(std::string id) override { return to_->wait_final(std::move(id)); }
    task<> forget(std::string id) override { return to_->forget(std::move(id)); }
    task<> store_group(std::string g, std::string t, duration ttl) override { return to_->store_group(std::move(g), std::move(t), ttl); }
    task<std::optional<std::string>> fetch_group(std::string g) override { return to_->fetch_group(std::move(g)); }
    task<> set_chord_size(std::string g, std::size_t n, duration ttl) override { return to_->set_chord_size(std::move(g), n, ttl); }
    task<std::optional<std::vector<std::string>>> add_chord_part(std::string g, int i, std::string p, duration ttl) override {
        return to_->add_chord_part(std::move(g), i, std::move(p), ttl);
    }
    task<> end_chord(std::string g) override { return to_->end_chord(std::move(g)); }
    task<> broadcast(std::string t) override { return to_->broadcast(std::move(t)); }
    task<> listen() override {
        ear_ = to_->add_listener();
        co_return;
    }
    task<std::string> next_control() override { co_return co_await ear_->pop(); }
    task<> answer(json r, std::string t) override { return to_->answer(std::move(r), std::move(t)); }
    task<> listen_for_answers(std::string id) override { return to_->listen_for_answers(std::move(id)); }
    task<std::string> next_answer(std::string id) override { return to_->next_answer(std::move(id)); }
    task<> end_answers(std::string id) override { return to_->end_answers(std::move(id)); }
    task<> emit(std::string k, std::string t) override { return to_->emit(std::move(k), std::move(t)); }
    task<bool> lock(std::string n, std::string o, duration ttl) override { return to_->lock(std::move(n), std::move(o), ttl); }
    task<> declare(std::string q) override { return to_->declare(std::move(q)); }

private:
    std::shared_ptr<memory_broker> to_;
    std::shared_ptr<queue<std::string>> ear_;
};

} // namespace

broker_ptr open_memory_broker(const std::string& name) {
    thread_local std::map<std::string, std::weak_ptr<memory_broker>> all;
    std::erase_if(all, [](const auto& b) { return b.second.expired(); });
    auto b = all[name].lock();
    if (!b) all[name] = b = std::make_shared<memory_broker>();
    return std::make_shared<memory_handle>(std::move(b));
}

} // namespace eddy::jobs::detail

// Celery's keys in Redis, as kombu and Celery's result backend use them. Facts: lists are pushed on the left and popped on the right; a
// claimed message is in the hash `unacked` under its delivery tag, and its tag in the sorted set `unacked_index` at the time of the
// claim; a result is a string and a message on a channel of the same name.
#include "broker.hpp"

#include <algorithm>
#include <array>
#include <unordered_set>
#include <utility>

#include <eddy/cancel_scope.hpp>
#include <eddy/redis/client.hpp>

#include "message.hpp"
#include "redis_lists.hpp"
#include "redis_results.hpp"
#include "redis_scripts.hpp"

namespace eddy::jobs::detail {

namespace {

constexpr std::string_view separator = "\x06\x16";
constexpr std::array<int, 4> priority_steps{0, 3, 6, 9};
constexpr std::size_t restored_at_once = 100;

int step_of(int priority) {
    int step = 0;
    for (const int s : priority_steps)
        if (s <= priority) step = s;
    return step;
}
std::string list_of_queue(const std::string& queue, int step) {
    return step == 0 ? queue : queue + std::string(separator) + std::to_string(step);
}
/// The queue of a list's key.
std::string queue_of_list(const std::string& list) {
    return list.substr(0, list.find(separator));
}
/// Of "redis://…/3", for channels, which know no databases.
std::string database_of(std::string_view url) {
    if (const auto q = url.find("db="); q != url.npos) return std::string(url.substr(q + 3, url.find('&', q) - q - 3));
    if (const auto q = url.find("virtual_host="); q != url.npos) return std::string(url.substr(q + 13, url.find('&', q) - q - 13));
    const auto slash = url.find('/', url.find("://") + 3);
    if (url.starts_with("unix:") || url.starts_with("redis+socket:") || slash == url.npos || slash + 1 == url.size()) return "0";
    const std::string_view path = url.substr(slash + 1);
    return std::string(path.substr(0, path.find_first_of("?")));
}

int priority_of(const std::string& message) {
    const std::optional<json> e = try_parse_json(message);
    if (!e || !e->is_object() || !e->contains("properties") || !(*e)["properties"].is_object()) return 0;
    const json p = (*e)["properties"].value("priority", json(0));
    return p.is_number_integer() ? static_cast<int>(std::clamp<std::int64_t>(p.get<std::int64_t>(), 0, 9)) : 0;
}
/// An entry of the dead letters: what it says, or, if it says nothing that can be read, what it is.
dead_letter letter_in(const std::string& text) {
    const std::optional<json> e = try_parse_json(text);
    if (!e || !e->is_object()) return dead_letter(text, "", "an entry that cannot be read", text);
    const auto part = [&](const char* name, const std::string& other) {
        const auto at = e->find(name);
        return at != e->end() && at->is_string() ? at->get<std::string>() : other;
    };
    return dead_letter(part("tag", text), part("queue", ""), part("reason", ""), part("payload", ""));
}
std::string entry_of(const dead_letter& letter) {
    return dump_json({{"queue", letter.queue}, {"reason", letter.reason}, {"payload", letter.payload}, {"at", to_iso(wall_now())}, {"tag", letter.tag}});
}
/// kombu's `[message, exchange, queue]`, as far as it can be told apart when the message is none.
delivery unreadable_claim(std::string tag, const std::string& text) {
    const std::string_view between = ", \"\", ";
    const auto at = text.rfind(between);
    if (at == text.npos || !text.starts_with('[') || !text.ends_with(']')) return delivery(std::move(tag), text, "");
    const std::string_view last = std::string_view(text).substr(at + between.size());
    const std::optional<json> queue = try_parse_json(last.substr(0, last.size() - 1));
    return delivery(std::move(tag), text.substr(1, at - 1), queue && queue->is_string() ? queue->get<std::string>() : "");
}

/// A job that ran twice, with another result each time, is one part all the same.
std::vector<std::string> one_of_each_job(std::vector<std::string> parts) {
    std::unordered_set<std::string> seen;
    std::erase_if(parts, [&](const std::string& text) {
        const std::optional<json> part = try_parse_json(text);
        const bool readable = part && part->is_array() && part->size() > 1 && (*part)[1].is_string();
        return !seen.insert(readable ? (*part)[1].get<std::string>() : text).second;
    });
    return parts;
}

class redis_broker final : public broker {
public:
    redis_broker(redis::client jobs, redis::client results, const broker_settings& s)
        : jobs_(std::move(jobs)), results_(std::move(results)), prefix_(s.key_prefix), database_(database_of(s.url)), one_server_(s.results.empty() || s.results == s.url), waiting_(std::make_shared<redis_results>(results_)) {
        unacked_ = key("unacked");
        index_ = key("unacked_index");
        dead_ = key("eddy.dead");
        later_ = key("eddy.later");
        claim_note_ = key("eddy.claim." + make_uuid());
    }
    ~redis_broker() override { waiting_->close(); }

    task<> enqueue(outgoing m) override {
        const std::string list = key(list_of_queue(m.queue, step_of(m.priority)));
        co_await jobs_.command("LPUSH", list, m.payload);
    }
    task<> enqueue_once(outgoing m, std::string name, duration ttl) override {
        std::vector<std::string> keys{lock_key(name), key(list_of_queue(m.queue, step_of(m.priority)))};
        co_await jobs_.eval(enqueue_once_script(), keys, m.payload, m.tag, whole_milliseconds(ttl));
    }
    task<std::vector<delivery>> claim(std::vector<std::string> queues, std::size_t most) override {
        for (;;) {
            std::vector<delivery> taken = co_await claim_now(queues, most);
            if (!taken.empty()) co_return taken;
            co_await wait_for_item(jobs_, lists_of(queues), "RIGHT");
        }
    }
    task<> acknowledge(std::string tag) override {
        redis::pipeline p;
        p.add("HDEL", unacked_, tag).add("ZREM", index_, tag);
        co_await run(jobs_, p);
    }
    task<> finish(std::string tag, std::string id, std::string result, duration ttl) override {
        if (!one_server_) {
            co_await store(std::move(id), std::move(result), ttl);
            co_return co_await acknowledge(std::move(tag));
        }
        const std::string name = result_key(id);
        redis::pipeline p;
        p.add("SETEX", name, whole_seconds(ttl), result).add("PUBLISH", name, result).add("HDEL", unacked_, tag).add("ZREM", index_, tag);
        // A server that is out of memory refuses the result, and would have deleted the claim.
        const auto done = co_await jobs_.transaction(p);
        if (!done) throw error("jobs: the result of " + id + " was not stored");
        check_all(*done);
    }
    task<> give_back(std::string tag, std::optional<std::string> payload) override {
        const auto claimed = co_await claimed_message(tag);
        if (!claimed) co_return;
        const std::string message = payload ? *payload : claimed->payload;
        co_await put_back(tag, message, claimed->queue, "");
    }
    task<bool> put_off(std::string tag, duration pause) override {
        std::vector<std::string> keys{unacked_, index_, later_};
        const std::string until = unix_text(to_unix(wall_now()) + std::chrono::duration<double>(pause).count());
        co_await jobs_.eval(put_off_script(), keys, tag, until);
        co_return true;
    }
    task<> refresh(std::vector<std::string> tags) override {
        redis::pipeline p;
        const std::string now = unix_text(to_unix(wall_now()));
        for (const std::string& tag : tags) p.add("ZADD", index_, "XX", now, tag);
        co_await run(jobs_, p);
    }
    task<std::size_t> restore(duration lease, int most_deliveries) override {
        while (co_await return_put_off()) {}
        const std::string before = unix_text(to_unix(wall_now()) - std::chrono::duration<double>(lease).count());
        for (std::size_t n = 0;;) {
            redis::value expired = co_await jobs_.command("ZRANGEBYSCORE", index_, "0", before, "LIMIT", 0, restored_at_once);
            const std::vector<std::string> tags = expired.take_strings();
            const std::size_t so_far = n;
            for (const std::string& tag : tags) n += co_await restore_one(tag, before, most_deliveries);
            if (tags.size() < restored_at_once || n == so_far) co_return n;
        }
    }
    task<> bury(dead_letter letter) override {
        redis::pipeline p;
        const std::string text = entry_of(letter);
        p.add("LPUSH", dead_, text).add("HDEL", unacked_, letter.tag).add("ZREM", index_, letter.tag);
        const auto done = co_await jobs_.transaction(p);
        if (done) check_all(*done);
    }
    task<std::vector<dead_letter>> dead_letters(std::size_t most) override {
        redis::value stored = co_await jobs_.command("LRANGE", dead_, -static_cast<long long>(most), -1);
        std::vector<dead_letter> all;
        std::vector<std::string> texts = stored.take_strings();
        std::ranges::reverse(texts);
        for (const std::string& text : texts) all.push_back(letter_in(text));
        co_return all;
    }
    task<bool> revive(std::string tag) override {
        redis::value stored = co_await jobs_.command("LRANGE", dead_, 0, -1);
        for (const std::string& text : stored.take_strings()) {
            const dead_letter letter = letter_in(text);
            if (letter.tag != tag || letter.queue.empty()) continue;
            std::vector<std::string> keys{dead_, key(list_of_queue(letter.queue, step_of(priority_of(letter.payload))))};
            const redis::value v = co_await jobs_.eval(revive_script(), keys, text, letter.payload);
            co_return v.as_integer() == 1;
        }
        co_return false;
    }
    task<std::size_t> length(std::string queue) override {
        std::size_t n = 0;
        redis::pipeline p;
        for (const int step : priority_steps) p.add("LLEN", key(list_of_queue(queue, step)));
        for (const redis::value& v : co_await jobs_.run(p)) n += static_cast<std::size_t>(v.as_integer());
        co_return n;
    }
    task<std::size_t> purge(std::string queue) override {
        std::size_t n = 0;
        redis::pipeline p;
        for (const int step : priority_steps) p.add("LLEN", key(list_of_queue(queue, step)));
        for (const int step : priority_steps) p.add("DEL", key(list_of_queue(queue, step)));
        const std::vector<redis::value> replies = co_await jobs_.run(p);
        for (std::size_t i = 0; i < priority_steps.size(); ++i) n += static_cast<std::size_t>(replies[i].as_integer());
        co_return n;
    }

    task<> store(std::string id, std::string result, duration ttl) override {
        const std::string name = result_key(id);
        redis::pipeline p;
        p.add("SETEX", name, whole_seconds(ttl), result).add("PUBLISH", name, result);
        co_await run(results_, p);
    }
    task<std::optional<std::string>> fetch(std::string id) override {
        redis::value v = co_await results_.command("GET", result_key(id));
        if (v.is_nil()) co_return std::nullopt;
        co_return v.take_string();
    }
    task<std::string> wait_final(std::string id) override { return waiting_->wait_final(result_key(id)); }
    task<> forget(std::string id) override { co_await results_.command("DEL", result_key(id)); }

    task<> store_group(std::string group, std::string text, duration ttl) override { co_await results_.command("SETEX", set_key(group), whole_seconds(ttl), text); }
    task<std::optional<std::string>> fetch_group(std::string group) override {
        redis::value v = co_await results_.command("GET", set_key(group));
        if (v.is_nil()) co_return std::nullopt;
        co_return v.take_string();
    }
    task<> set_chord_size(std::string group, std::size_t size, duration ttl) override {
        co_await results_.command("SETEX", set_key(group) + ".s", whole_seconds(ttl), size);
    }
    task<std::optional<std::vector<std::string>>> add_chord_part(std::string group, int index, std::string part, duration ttl) override;
    task<> end_chord(std::string group) override {
        const std::string parts = set_key(group) + ".j", delta = set_key(group) + ".t", size = set_key(group) + ".s";
        co_await results_.command("DEL", parts, delta, size);
    }

    task<> broadcast(std::string text) override {
        const std::string channel = control_channel();
        co_await jobs_.command("PUBLISH", channel, text);
    }
    task<> listen() override {
        ear_.emplace(jobs_, control_channel());
        co_await ear_->listen();
    }
    task<std::string> next_control() override { return ear_->next(); }
    task<> answer(json reply_to, std::string text) override {
        const std::string exchange = reply_to.value("exchange", "reply.celery.pidbox"), route = reply_to.value("routing_key", "");
        redis::value bound = co_await jobs_.command("SMEMBERS", key("_kombu.binding." + exchange));
        for (const std::string& binding : bound.take_strings()) {
            if (binding.substr(0, binding.find(separator)) != route) continue;
            const std::string list = key(binding.substr(binding.rfind(separator) + separator.size()));
            co_await jobs_.command("LPUSH", list, text);
        }
    }
    task<> listen_for_answers(std::string id) override {
        const std::string list = id + ".reply.celery.pidbox";
        const std::string binding = id + std::string(separator) + std::string(separator) + list;
        co_await jobs_.command("SADD", key("_kombu.binding.reply.celery.pidbox"), binding);
    }
    task<std::string> next_answer(std::string id) override {
        const std::string list = key(id + ".reply.celery.pidbox");
        for (;;) {
            std::vector<std::string> lists(1, list);
            auto popping = jobs_.brpop(std::move(lists), std::chrono::seconds(5));
            std::optional<redis::popped> got = co_await std::move(popping);
            if (got) co_return std::move(got->value);
        }
    }
    task<> end_answers(std::string id) override {
        const std::string list = id + ".reply.celery.pidbox";
        const std::string binding = id + std::string(separator) + std::string(separator) + list;
        redis::pipeline p;
        p.add("SREM", key("_kombu.binding.reply.celery.pidbox"), binding).add("DEL", key(list));
        co_await run(jobs_, p);
    }
    task<> emit(std::string kind, std::string text) override {
        const std::string channel = channel_prefix() + "celeryev/" + kind;
        co_await jobs_.command("PUBLISH", channel, text);
    }
    task<bool> lock(std::string name, std::string owner, duration ttl) override {
        std::vector<std::string> keys(1, lock_key(name));
        const redis::value v = co_await jobs_.eval(lock_script(), keys, owner, whole_milliseconds(ttl));
        co_return v.as_integer() == 1;
    }
    task<> declare(std::string queue) override {
        if (!declared_.insert(queue).second) co_return;
        const std::string binding = queue + std::string(separator) + std::string(separator) + queue;
        co_await jobs_.command("SADD", key("_kombu.binding." + queue), binding);
    }

private:
    [[nodiscard]] std::string key(std::string_view name) const { return prefix_ + std::string(name); }
    [[nodiscard]] std::string result_key(const std::string& id) const { return key("celery-task-meta-" + id); }
    [[nodiscard]] std::string lock_key(const std::string& name) const { return key("eddy.lock." + name); }
    [[nodiscard]] std::string set_key(const std::string& group) const { return key("celery-taskset-meta-" + group); }
    [[nodiscard]] std::string channel_prefix() const { return prefix_ + "/" + database_ + "."; }
    [[nodiscard]] std::string control_channel() const { return channel_prefix() + "celery.pidbox"; }

    static task<> run(redis::client& to, const redis::pipeline& p) {
        const std::vector<redis::value> replies = co_await to.run(p);
        check_all(replies);
    }

    /// The lists of these queues, the most urgent first.
    [[nodiscard]] std::vector<std::string> lists_of(const std::vector<std::string>& queues) const {
        std::vector<std::string> lists;
        for (const int step : priority_steps)
            for (const std::string& q : queues) lists.push_back(key(list_of_queue(q, step)));
        return lists;
    }
    task<std::vector<delivery>> claim_now(const std::vector<std::string>& queues, std::size_t most) {
        std::vector<std::string> keys{unacked_, index_, dead_, claim_note_};
        std::vector<std::string> names;
        const std::size_t first = keys.size();
        for (std::string& list : lists_of(queues)) {
            names.push_back(queue_of_list(list).substr(prefix_.size()));
            keys.push_back(std::move(list));
        }
        if (keys.size() == first) co_return std::vector<delivery>();
        const std::string now = unix_text(to_unix(wall_now()));
        // Shielded: what the server has given out would be nobody's for as long as its lease lasts.
        const bool lost = std::exchange(claim_lost_, true); // until the reply is there
        auto claiming = jobs_.eval(claim_script(), keys, most, now, lost ? 1 : 0, names);
        redis::value reply;
        try {
            reply = co_await shielded(std::move(claiming));
        } catch (const redis::error&) { // a reply, too: what was claimed before is not lost by it
            claim_lost_ = lost;
            throw;
        }
        claim_lost_ = false;
        std::vector<redis::value> items = reply.take_array();
        std::vector<delivery> taken;
        for (std::size_t i = 0; i + 2 < items.size(); i += 3) {
            std::string list = items[i + 1].take_string();
            taken.emplace_back(items[i].take_string(), items[i + 2].take_string(), queue_of_list(list).substr(prefix_.size()));
        }
        co_return taken;
    }
    task<std::optional<delivery>> claimed_message(std::string tag) {
        redis::value v = co_await jobs_.command("HGET", unacked_, tag);
        if (v.is_nil()) co_return std::nullopt;
        const std::string text = v.take_string();
        const std::optional<json> entry = try_parse_json(text);
        if (!entry || !entry->is_array() || entry->size() != 3 || !(*entry)[2].is_string()) co_return unreadable_claim(std::move(tag), text);
        std::string queue = (*entry)[2].get<std::string>();
        co_return delivery(std::move(tag), dump_json((*entry)[0]), std::move(queue));
    }
    task<bool> put_back(std::string tag, std::string message, std::string queue, std::string before) {
        std::vector<std::string> keys{unacked_, index_, key(list_of_queue(queue, step_of(priority_of(message))))};
        const redis::value v = co_await jobs_.eval(put_back_script(), keys, tag, message, before);
        co_return v.as_integer() == 1;
    }
    /// Some of those whose time has come; true if there are more. The one whose time came first is first in line, and so put back last.
    task<bool> return_put_off() {
        const std::string now = unix_text(to_unix(wall_now()));
        redis::value due = co_await jobs_.command("ZRANGEBYSCORE", later_, "0", now, "WITHSCORES", "LIMIT", 0, restored_at_once);
        const std::vector<std::string> tags = due.take_strings();
        for (std::size_t i = tags.size(); i >= 2; i -= 2) {
            const std::string &tag = tags[i - 2], &until = tags[i - 1];
            const auto claimed = co_await claimed_message(tag);
            // One that was claimed since then, after a worker of kombu's had put it back, has a later time in the index: it stays where it is.
            if (claimed) co_await put_back(tag, claimed->payload, claimed->queue, until);
            co_await jobs_.command("ZREM", later_, tag);
        }
        co_return tags.size() == 2 * restored_at_once;
    }
    task<std::size_t> restore_one(std::string tag, std::string before, int most_deliveries) {
        redis::value until = co_await jobs_.command("ZSCORE", later_, tag);
        if (!until.is_nil()) { // a refresh that was on its way has come after it was put off
            co_await jobs_.command("ZADD", index_, "XX", until.take_string(), tag);
            co_return 0;
        }
        const auto claimed = co_await claimed_message(tag);
        if (!claimed) { // it has been put back, and may have been claimed again since we looked
            const std::vector<std::string> keys{unacked_, index_};
            co_await jobs_.eval(forget_claim_script(), keys, tag);
            co_return 0;
        }
        int deliveries = 0;
        std::string wrong;
        try {
            deliveries = decode_message(claimed->payload).deliveries;
        } catch (const malformed_message& e) {
            wrong = e.what();
        }
        if (wrong.empty() && ++deliveries >= most_deliveries) wrong = "given out " + std::to_string(deliveries) + " times and never finished";
        if (!wrong.empty()) {
            const dead_letter letter(tag, claimed->queue, std::move(wrong), claimed->payload);
            const std::vector<std::string> keys{unacked_, index_, dead_};
            const std::string entry = entry_of(letter);
            const redis::value v = co_await jobs_.eval(bury_expired_script(), keys, tag, entry, before);
            co_return v.as_integer() == 1 ? 1 : 0;
        }
        const bool done = co_await put_back(tag, mark_redelivered(claimed->payload, deliveries), claimed->queue, before);
        co_return done ? 1 : 0;
    }

    redis::client jobs_;
    redis::client results_;
    std::string prefix_;
    std::string database_;
    bool one_server_; // for jobs and results
    std::string unacked_, index_, dead_, later_;
    std::string claim_note_; // of the last claim, for when its reply does not arrive
    bool claim_lost_ = false;
    std::unordered_set<std::string> declared_;
    std::optional<redis_ear> ear_;
    std::shared_ptr<redis_results> waiting_;
};

task<std::optional<std::vector<std::string>>> redis_broker::add_chord_part(std::string group, int index, std::string part, duration ttl) {
    const std::string parts = set_key(group) + ".j", delta = set_key(group) + ".t", size = set_key(group) + ".s";
    const std::string seconds = whole_seconds(ttl);
    redis::pipeline p;
    p.add("ZADD", parts, index, part).add("ZCOUNT", parts, "-inf", "+inf").add("GET", delta).add("GET", size);
    p.add("EXPIRE", parts, seconds).add("EXPIRE", delta, seconds).add("EXPIRE", size, seconds);
    const auto replies = co_await results_.transaction(p);
    if (!replies) throw error("jobs: a part of chord " + group + " was not stored");
    check_all(*replies);
    const redis::value& all = (*replies)[3];
    if (all.is_nil()) co_return std::nullopt; // not known yet, or over
    const long long wanted = all.as_integer() + ((*replies)[2].is_nil() ? 0 : (*replies)[2].as_integer());
    if ((*replies)[1].as_integer() < wanted) co_return std::nullopt;
    redis::value stored = co_await results_.command("ZRANGE", parts, 0, -1);
    std::vector<std::string> texts = one_of_each_job(stored.take_strings());
    if (static_cast<long long>(texts.size()) < wanted) co_return std::nullopt;
    co_return texts;
}

} // namespace

task<broker_ptr> open_redis_broker(std::shared_ptr<const broker_settings> s) {
    redis::options options;
    options.client_name = "eddy-jobs";
    options.max_idle = 64;
    redis::client jobs = co_await redis::connect(s->url, options);
    redis::client results = jobs;
    if (!s->results.empty() && s->results != s->url) results = co_await redis::connect(s->results, options);
    co_return std::make_shared<redis_broker>(std::move(jobs), std::move(results), *s);
}

} // namespace eddy::jobs::detail

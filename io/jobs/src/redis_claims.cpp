#include "redis_claims.hpp"

#include <algorithm>
#include <utility>

#include "message.hpp"
#include "redis_scripts.hpp"

namespace eddy::jobs::detail {

namespace {

constexpr std::size_t restored_at_once = 100;

int step_of(int priority) {
    int step = 0;
    for (const int s : priority_steps)
        if (s <= priority) step = s;
    return step;
}
/// The queue of a list's key.
std::string queue_of_list(const std::string& list) {
    return list.substr(0, list.find(kombu_separator));
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

} // namespace

std::string list_of_queue(const std::string& queue, int priority) {
    const int step = step_of(priority);
    return step == 0 ? queue : queue + std::string(kombu_separator) + std::to_string(step);
}

redis_claims::redis_claims(redis::client c, std::string prefix)
    : jobs_(std::move(c)), prefix_(std::move(prefix)), unacked_(key("unacked")), index_(key("unacked_index")), dead_(key("eddy.dead")), later_(key("eddy.later")), note_(prefix_) {}

// --- claims

/// The lists of these queues, the most urgent first.
std::vector<std::string> redis_claims::lists_of(const std::vector<std::string>& queues) const {
    std::vector<std::string> lists;
    for (const int step : priority_steps)
        for (const std::string& q : queues) lists.push_back(key(list_of_queue(q, step)));
    return lists;
}
task<std::vector<delivery>> redis_claims::claim_now(const std::vector<std::string>& queues, std::size_t most) {
    std::vector<std::string> keys{unacked_, index_, dead_, note_.key()};
    std::vector<std::string> names;
    const std::size_t first = keys.size();
    for (std::string& list : lists_of(queues)) {
        names.push_back(queue_of_list(list).substr(prefix_.size()));
        keys.push_back(std::move(list));
    }
    if (keys.size() == first) co_return std::vector<delivery>();
    const std::string now = unix_text(to_unix(wall_now()));
    auto claiming = jobs_.eval(claim_script(), keys, most, now, note_.reply_lost() ? 1 : 0, names);
    redis::value reply = co_await note_.reply_to(std::move(claiming));
    std::vector<redis::value> items = reply.take_array();
    std::vector<delivery> taken;
    for (std::size_t i = 0; i + 2 < items.size(); i += 3) {
        std::string list = items[i + 1].take_string();
        taken.emplace_back(items[i].take_string(), items[i + 2].take_string(), queue_of_list(list).substr(prefix_.size()));
    }
    co_return taken;
}
task<std::vector<delivery>> redis_claims::claim(std::vector<std::string> queues, std::size_t most) {
    for (;;) {
        std::vector<delivery> taken = co_await claim_now(queues, most);
        if (!taken.empty()) co_return taken;
        co_await wait_for_item(jobs_, lists_of(queues), "RIGHT");
    }
}
task<> redis_claims::acknowledge(std::string tag) {
    redis::pipeline p;
    add_acknowledge(p, tag);
    const std::vector<redis::value> replies = co_await jobs_.run(p);
    check_all(replies);
}
void redis_claims::add_acknowledge(redis::pipeline& p, const std::string& tag) const {
    p.add("HDEL", unacked_, tag).add("ZREM", index_, tag);
}
task<> redis_claims::refresh(std::vector<std::string> tags) {
    redis::pipeline p;
    const std::string now = unix_text(to_unix(wall_now()));
    for (const std::string& tag : tags) p.add("ZADD", index_, "XX", now, tag);
    const std::vector<redis::value> replies = co_await jobs_.run(p);
    check_all(replies);
}
task<bool> redis_claims::put_off(std::string tag, duration pause) {
    std::vector<std::string> keys{unacked_, index_, later_};
    const std::string until = unix_text(to_unix(wall_now()) + std::chrono::duration<double>(pause).count());
    co_await jobs_.eval(put_off_script(), keys, tag, until);
    co_return true;
}

// --- back to their queues

task<std::optional<delivery>> redis_claims::claimed_message(std::string tag) {
    redis::value v = co_await jobs_.command("HGET", unacked_, tag);
    if (v.is_nil()) co_return std::nullopt;
    const std::string text = v.take_string();
    const std::optional<json> entry = try_parse_json(text);
    if (!entry || !entry->is_array() || entry->size() != 3 || !(*entry)[2].is_string()) co_return unreadable_claim(std::move(tag), text);
    std::string queue = (*entry)[2].get<std::string>();
    co_return delivery(std::move(tag), dump_json((*entry)[0]), std::move(queue));
}
task<bool> redis_claims::put_back(std::string tag, std::string message, std::string queue, std::string before) {
    std::vector<std::string> keys{unacked_, index_, key(list_of_queue(queue, priority_of(message)))};
    const redis::value v = co_await jobs_.eval(put_back_script(), keys, tag, message, before);
    co_return v.as_integer() == 1;
}
task<> redis_claims::give_back(std::string tag, std::optional<std::string> payload) {
    const auto claimed = co_await claimed_message(tag);
    if (!claimed) co_return;
    const std::string message = payload ? *payload : claimed->payload;
    co_await put_back(tag, message, claimed->queue, "");
}
/// Some of those whose time has come; true if there are more. The one whose time came first is first in line, and so put back last.
task<bool> redis_claims::return_put_off() {
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
task<std::size_t> redis_claims::restore_one(std::string tag, std::string before, int most_deliveries) {
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
task<std::size_t> redis_claims::restore(duration lease, int most_deliveries) {
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

// --- dead letters

task<> redis_claims::bury(dead_letter letter) {
    redis::pipeline p;
    const std::string text = entry_of(letter);
    p.add("LPUSH", dead_, text);
    add_acknowledge(p, letter.tag);
    const auto done = co_await jobs_.transaction(p);
    if (done) check_all(*done);
}
task<std::vector<dead_letter>> redis_claims::dead_letters(std::size_t most) {
    redis::value stored = co_await jobs_.command("LRANGE", dead_, -static_cast<long long>(most), -1);
    std::vector<dead_letter> all;
    std::vector<std::string> texts = stored.take_strings();
    std::ranges::reverse(texts);
    for (const std::string& text : texts) all.push_back(letter_in(text));
    co_return all;
}
task<bool> redis_claims::revive(std::string tag) {
    redis::value stored = co_await jobs_.command("LRANGE", dead_, 0, -1);
    for (const std::string& text : stored.take_strings()) {
        const dead_letter letter = letter_in(text);
        if (letter.tag != tag || letter.queue.empty()) continue;
        std::vector<std::string> keys{dead_, key(list_of_queue(letter.queue, priority_of(letter.payload)))};
        const redis::value v = co_await jobs_.eval(revive_script(), keys, text, letter.payload);
        co_return v.as_integer() == 1;
    }
    co_return false;
}

} // namespace eddy::jobs::detail

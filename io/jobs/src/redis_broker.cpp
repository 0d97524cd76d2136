// Celery's keys in Redis, as kombu and Celery's result backend use them. Facts: a result is a string and a message on a channel of the same
// name; what a worker is told, and tells, goes through channels; answers go through lists.
#include "broker.hpp"

#include <unordered_set>
#include <utility>

#include <eddy/redis/client.hpp>

#include "message.hpp"
#include "redis_claims.hpp"
#include "redis_lists.hpp"
#include "redis_results.hpp"
#include "redis_scripts.hpp"

namespace eddy::jobs::detail {

namespace {

/// Of "redis://…/3", for channels, which know no databases.
std::string database_of(std::string_view url) {
    if (const auto q = url.find("db="); q != url.npos) return std::string(url.substr(q + 3, url.find('&', q) - q - 3));
    if (const auto q = url.find("virtual_host="); q != url.npos) return std::string(url.substr(q + 13, url.find('&', q) - q - 13));
    const auto slash = url.find('/', url.find("://") + 3);
    if (url.starts_with("unix:") || url.starts_with("redis+socket:") || slash == url.npos || slash + 1 == url.size()) return "0";
    const std::string_view path = url.substr(slash + 1);
    return std::string(path.substr(0, path.find_first_of("?")));
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
        : jobs_(std::move(jobs)), results_(std::move(results)), claims_(jobs_, s.key_prefix), prefix_(s.key_prefix), database_(database_of(s.url)), one_server_(s.results.empty() || s.results == s.url), waiting_(std::make_shared<redis_results>(results_)) {}
    ~redis_broker() override { waiting_->close(); }

    task<> enqueue(outgoing m) override {
        const std::string list = key(list_of_queue(m.queue, m.priority));
        co_await jobs_.command("LPUSH", list, m.payload);
    }
    task<> enqueue_once(outgoing m, std::string name, duration ttl) override {
        std::vector<std::string> keys{lock_key(name), key(list_of_queue(m.queue, m.priority))};
        co_await jobs_.eval(enqueue_once_script(), keys, m.payload, m.tag, whole_milliseconds(ttl));
    }
    task<std::vector<delivery>> claim(std::vector<std::string> queues, std::size_t most) override { return claims_.claim(std::move(queues), most); }
    task<> acknowledge(std::string tag) override { return claims_.acknowledge(std::move(tag)); }
    task<> give_back(std::string tag, std::optional<std::string> payload) override { return claims_.give_back(std::move(tag), std::move(payload)); }
    task<bool> put_off(std::string tag, duration pause) override { return claims_.put_off(std::move(tag), pause); }
    task<> refresh(std::vector<std::string> tags) override { return claims_.refresh(std::move(tags)); }
    task<std::size_t> restore(duration lease, int most_deliveries) override { return claims_.restore(lease, most_deliveries); }
    task<> bury(dead_letter letter) override { return claims_.bury(std::move(letter)); }
    task<std::vector<dead_letter>> dead_letters(std::size_t most) override { return claims_.dead_letters(most); }
    task<bool> revive(std::string tag) override { return claims_.revive(std::move(tag)); }
    task<> finish(std::string tag, std::string id, std::string result, duration ttl) override {
        if (!one_server_) {
            co_await store(std::move(id), std::move(result), ttl);
            co_return co_await acknowledge(std::move(tag));
        }
        const std::string name = result_key(id);
        redis::pipeline p;
        p.add("SETEX", name, whole_seconds(ttl), result).add("PUBLISH", name, result);
        claims_.add_acknowledge(p, tag);
        // A server that is out of memory refuses the result, and would have deleted the claim.
        const auto done = co_await jobs_.transaction(p);
        if (!done) throw error("jobs: the result of " + id + " was not stored");
        check_all(*done);
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
            if (binding.substr(0, binding.find(kombu_separator)) != route) continue;
            const std::string list = key(binding.substr(binding.rfind(kombu_separator) + kombu_separator.size()));
            co_await jobs_.command("LPUSH", list, text);
        }
    }
    task<> listen_for_answers(std::string id) override {
        const std::string list = id + ".reply.celery.pidbox";
        const std::string binding = id + std::string(kombu_separator) + std::string(kombu_separator) + list;
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
        const std::string binding = id + std::string(kombu_separator) + std::string(kombu_separator) + list;
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
        const std::string binding = queue + std::string(kombu_separator) + std::string(kombu_separator) + queue;
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

    redis::client jobs_;
    redis::client results_;
    redis_claims claims_;
    std::string prefix_;
    std::string database_;
    bool one_server_; // for jobs and results
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

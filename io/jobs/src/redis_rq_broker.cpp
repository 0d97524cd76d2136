// RQ's keys in Redis. Facts: a queue is a list of ids, pushed on the right and popped on the left; a job that is claimed is in the sorted
// set rq:wip:QUEUE until a time, which its worker puts off again and again; jobs that wait for a time, wait for others, have finished or
// failed are in sets of that name.
#include "broker.hpp"

#include <algorithm>
#include <unordered_set>

#include <eddy/sleep.hpp>

#include "redis_lists.hpp"
#include "redis_rq_results.hpp"
#include "redis_rq_worker.hpp"
#include "redis_scripts.hpp"

namespace eddy::jobs::detail {

namespace rq {

namespace {

[[noreturn]] void refuse(const char* what) {
    throw error(std::string("jobs: RQ has no ") + what);
}

class rq_broker final : public broker {
public:
    rq_broker(redis::client c, const broker_settings& s)
        : server_(std::make_shared<server>(std::move(c), s)), record_(server_), waiting_(std::make_shared<results>(server_->client, server_->prefix)), schedules_(s.scheduler) {}
    ~rq_broker() override { waiting_->close(); }

    task<> send(std::shared_ptr<const message> m) override { return send_as(std::move(m), "", 1); }
    task<> send_once(std::shared_ptr<const message> m, std::string name, duration ttl) override { return send_as(std::move(m), lock_key(name), whole_milliseconds(ttl)); }
    task<> send_as(std::shared_ptr<const message> m, std::string once, std::int64_t milliseconds) {
        const std::vector<std::string> hash = fields_of(*m);
        const std::vector<std::string> parents = m->rq ? m->rq->depends_on : std::vector<std::string>();
        const bool front = m->rq && m->rq->at_front;
        const std::string when = m->eta ? unix_text(to_unix(*m->eta)) : front ? "front" : "back";
        const wall_time now = wall_now();
        co_await server_->run(enqueue_script(), m->id, m->queue, to_rq_time(now), unix_text(to_unix(now)), when, once, milliseconds, parents.size(), parents, hash);
    }
    task<> enqueue(outgoing) override { refuse("Celery's messages"); co_return; }
    task<> enqueue_once(outgoing, std::string, duration) override { refuse("Celery's messages"); co_return; }
    [[nodiscard]] message read(const delivery& d) const override {
        const rq::claim& c = server_->claims.at(d.tag);
        return message_in(c.id, c.queue, c.hash);
    }
    [[nodiscard]] std::string marked(const std::string&, int deliveries) const override { return std::to_string(deliveries); }

    task<std::vector<delivery>> claim_jobs(const std::vector<std::string>& queues, std::size_t most, bool& suspended) {
        const std::string until = server_->end_of_claim();
        auto claiming = server_->run(claim_script(), most, until, note_.key(), note_.reply_lost() ? 1 : 0, queues);
        redis::value reply = co_await note_.reply_to(std::move(claiming));
        suspended = reply.is_nil();
        std::vector<redis::value> items = reply.is_nil() ? std::vector<redis::value>() : reply.take_array();
        const bool again = !items.empty() && items[0].as_integer() == 1;
        std::vector<delivery> taken;
        for (std::size_t i = 1; i + 2 < items.size(); i += 3) {
            const std::string tag = make_uuid();
            rq::claim c(items[i].take_string(), items[i + 1].take_string(), fields_in(std::move(items[i + 2])));
            if (again && !tag_of(c.id).empty()) continue; // the note is of a claim before that one, which the server has never seen
            const auto data = c.hash.find("data");
            taken.emplace_back(tag, data == c.hash.end() ? std::string() : data->second, c.queue);
            server_->claims.emplace(tag, std::move(c));
        }
        co_return taken;
    }
    task<std::vector<delivery>> claim(std::vector<std::string> queues, std::size_t most) override {
        for (;;) {
            bool suspended = false;
            std::vector<delivery> taken = co_await claim_jobs(queues, most, suspended);
            if (!taken.empty()) co_return taken;
            co_await record_.suspended(suspended);
            if (suspended) {
                co_await sleep_for(std::chrono::seconds(1));
                continue;
            }
            std::vector<std::string> lists;
            for (const std::string& q : queues) lists.push_back(server_->key("queue:" + q));
            co_await wait_for_item(server_->client, std::move(lists), "LEFT");
        }
    }
    /// Before it runs: its claim is over, and no more. After that, a job that ends without a result is canceled.
    task<> acknowledge(std::string tag) override {
        rq::claim* c = find(tag);
        if (!c) co_return;
        const bool early = !c->started;
        co_await release(tag, early ? "leave" : "cancel", "");
        if (early) c->early = true;
        else server_->claims.erase(tag);
    }
    task<> give_back(std::string tag, std::optional<std::string> deliveries) override {
        if (!find(tag)) co_return;
        co_await release(tag, "back", deliveries.value_or(""));
        server_->claims.erase(tag);
    }
    /// It is scheduled, as RQ calls it: its queue's scheduler brings it back. That of this worker, or another one.
    task<bool> put_off(std::string tag, duration pause) override {
        const rq::claim* const c = find(tag);
        if (!schedules_ || !c) co_return false;
        const std::string until = unix_text(to_unix(wall_now()) + std::chrono::duration<double>(pause).count());
        co_await server_->run(put_off_script(), c->id, c->queue, until, server_->worker_key(), server_->other_job(tag));
        server_->claims.erase(tag);
        co_return true;
    }
    task<> finish(std::string tag, std::string id, std::string result, duration ttl) override {
        co_await end_job(std::move(tag), std::move(id), std::move(result), ttl);
    }
    task<> store(std::string id, std::string result, duration ttl) override {
        const std::string tag = tag_of(id);
        const json stored = parse_json(result);
        const std::string state = stored.value("status", "");
        if (is_final(state)) co_return co_await end_job(tag, std::move(id), std::move(result), ttl);
        rq::claim* const c = find(tag);
        if (state == "STARTED" || state == "RETRY" || !c) co_return; // its hash says so
        json meta = try_parse_json(c->hash["meta"]).value_or(json::object());
        if (!meta.is_object()) meta = json::object();
        const json said = stored.value("result", json());
        if (said.is_object()) meta.update(said);
        else meta["progress"] = said;
        c->hash["meta"] = dump_json(meta);
        co_await server_->run(meta_script(), id, dump_json(meta));
    }
    task<> refresh(std::vector<std::string> tags) override {
        std::vector<std::string> held;
        for (const std::string& tag : tags) {
            const rq::claim* const c = find(tag);
            if (!c) continue;
            held.push_back(c->queue);
            held.push_back(c->id);
        }
        co_await server_->run(refresh_script(), server_->end_of_claim(), to_rq_time(wall_now()), held);
    }
    task<std::size_t> restore(duration, int) override {
        const std::vector<std::string> queues(queues_.begin(), queues_.end());
        const std::string now = to_rq_time(wall_now());
        const std::string said = entry_of_failure("Moved to FailedJobRegistry, due to AbandonedJobError, at " + now);
        const redis::value n = co_await server_->run(clean_script(), unix_text(to_unix(wall_now())), now, said, queues);
        co_return static_cast<std::size_t>(n.as_integer());
    }
    /// A job that cannot be read has failed; there is nothing to be done about one that is gone.
    task<> bury(dead_letter letter) override {
        const rq::claim* const c = find(letter.tag);
        if (!c) co_return;
        json stored = {{"status", "FAILURE"}, {"traceback", "job " + c->id + " in C++"}};
        json arguments = json::array();
        arguments.push_back(letter.reason);
        stored["result"] = make_exception("DeserializationError", std::move(arguments), "rq.exceptions");
        std::string text = dump_json(stored), id = c->id;
        co_await end_job(std::move(letter.tag), std::move(id), std::move(text), duration(0));
    }

    task<std::vector<dead_letter>> dead_letters(std::size_t most) override;
    task<bool> revive(std::string id) override {
        const redis::value v = co_await server_->run(requeue_script(), id, to_rq_time(wall_now()));
        co_return v.as_integer() == 1;
    }
    task<std::size_t> length(std::string queue) override {
        const redis::value v = co_await server_->client.command("LLEN", server_->key("queue:" + queue));
        co_return static_cast<std::size_t>(v.as_integer());
    }
    task<std::size_t> purge(std::string queue) override {
        const redis::value v = co_await server_->run(purge_script(), queue);
        co_return static_cast<std::size_t>(v.as_integer());
    }
    task<std::optional<std::string>> fetch(std::string id) override { return waiting_->fetch(std::move(id)); }
    task<std::string> wait_final(std::string id) override { return waiting_->wait_final(std::move(id)); }
    task<> forget(std::string id) override { co_await server_->run(delete_script(), id); }

    task<> store_group(std::string, std::string, duration) override { refuse("groups"); co_return; }
    task<std::optional<std::string>> fetch_group(std::string) override { refuse("groups"); co_return std::nullopt; }
    task<> set_chord_size(std::string, std::size_t, duration) override { refuse("chords"); co_return; }
    task<std::optional<std::vector<std::string>>> add_chord_part(std::string, int, std::string, duration) override { refuse("chords"); co_return std::nullopt; }
    task<> end_chord(std::string) override { refuse("chords"); co_return; }

    task<> revoke(std::string id, bool terminate, std::string) override {
        const std::string now = std::to_string(static_cast<long long>(to_unix(wall_now())));
        redis::value v = co_await server_->run(cancel_script(), id, now);
        if (v.kind() != redis::kind::string || !terminate) co_return;
        json command = {{"command", "stop-job"}, {"job_id", std::move(id)}};
        co_await tell(v.take_string(), std::move(command));
    }
    /// `shutdown`, `kill-horse`, `stop-job`: to the workers that are named, or to all.
    task<> broadcast(std::string text) override;
    task<> listen() override {
        ear_.emplace(server_->client, server_->key("pubsub:" + server_->worker));
        co_await ear_->listen();
    }
    /// As Celery's workers are told.
    task<std::string> next_control() override {
        const std::string text = co_await ear_->next();
        const std::optional<json> command = try_parse_json(text);
        if (!command || !command->is_object() || !command->value("command", json()).is_string()) throw malformed_message("a command that is none: " + text.substr(0, 100));
        json arguments = {{"job_id", command->value("job_id", json(""))}};
        co_return control_envelope(control_message((*command)["command"].get<std::string>(), std::move(arguments)), std::chrono::minutes(1));
    }
    task<> answer(json, std::string) override { co_return; }
    task<> listen_for_answers(std::string) override { co_return; }
    task<std::string> next_answer(std::string) override { // nobody answers
        for (;;) co_await sleep_for(std::chrono::hours(1));
    }
    task<> end_answers(std::string) override { co_return; }
    task<> emit(std::string, std::string) override { co_return; }
    [[nodiscard]] worker_record* record() noexcept override { return server_->worker.empty() ? nullptr : &record_; }

    task<bool> lock(std::string name, std::string owner, duration ttl) override {
        std::vector<std::string> keys(1, lock_key(name));
        const redis::value v = co_await server_->client.eval(lock_script(), keys, owner, whole_milliseconds(ttl));
        co_return v.as_integer() == 1;
    }
    task<> declare(std::string queue) override {
        const std::string list = server_->key("queue:" + queue);
        if (queues_.insert(std::move(queue)).second) co_await server_->client.command("SADD", server_->key("queues"), list);
    }

private:
    [[nodiscard]] rq::claim* find(const std::string& tag) const {
        const auto at = server_->claims.find(tag);
        return at == server_->claims.end() ? nullptr : &at->second;
    }
    [[nodiscard]] std::string tag_of(const std::string& id) const {
        for (const auto& [tag, c] : server_->claims)
            if (c.id == id) return tag;
        return {};
    }
    [[nodiscard]] std::string lock_key(const std::string& name) const { return server_->key("eddy.lock." + name); }
    task<> release(const std::string& tag, const char* what, const std::string& deliveries) {
        const rq::claim& c = server_->claims.at(tag);
        const wall_time now = wall_now();
        co_await server_->run(release_script(), c.id, c.queue, to_rq_time(now), unix_text(to_unix(now)), what, deliveries, server_->worker_key(), server_->other_job(tag));
    }
    task<> tell(std::string worker, json command) {
        const std::string channel = server_->key("pubsub:" + worker);
        co_await server_->client.command("PUBLISH", channel, dump_json(command));
    }
    /// One step, which says the same again if it is tried again.
    task<> end_job(std::string tag, std::string id, std::string result, duration ttl) {
        rq::claim* const c = find(tag);
        const json stored = parse_json(result);
        const std::string state = stored.value("status", "");
        if (c && !c->ended) c->ended = wall_now();
        const wall_time now = c ? *c->ended : wall_now();
        const double seconds = c && c->started ? to_unix(now) - to_unix(*c->started) : 0;
        const std::string entry = state == "SUCCESS" ? entry_of_success(stored) : entry_of_failure(failure_text(stored));
        const std::string status = state == "SUCCESS" ? "finished" : state == "REVOKED" ? "stopped" : "failed";
        const std::string usual = std::to_string(std::chrono::ceil<std::chrono::seconds>(ttl).count());
        const std::string queue = c ? c->queue : std::string();
        const std::string other = server_->other_job(tag);
        co_await server_->run(finish_script(), id, queue, to_rq_time(now), unix_text(to_unix(now)), status, entry, usual, server_->worker_key(), other, unix_text(seconds));
        server_->claims.erase(tag);
    }

    std::shared_ptr<server> server_;
    rq::record record_;
    claim_note note_{""}; // behind the prefix of all keys
    std::unordered_set<std::string> queues_;
    std::optional<redis_ear> ear_;
    std::shared_ptr<results> waiting_;
    const bool schedules_; // jobs of these queues, if nobody else does
};

task<> rq_broker::broadcast(std::string text) {
    const json command = decode_envelope(text).body;
    const std::string method = command.value("method", "");
    if (method != "shutdown" && method != "kill-horse" && method != "stop-job") throw error("jobs: RQ's workers know shutdown, kill-horse and stop-job, and not '" + method + "'");
    json told = command.value("arguments", json::object());
    told["command"] = method;
    const json named = command.value("destination", json());
    std::vector<std::string> workers;
    if (named.is_array()) {
        for (const json& w : named) workers.push_back(w.get<std::string>());
    } else {
        const std::string begin = server_->key("worker:");
        redis::value all = co_await server_->client.command("SMEMBERS", server_->key("workers"));
        for (const std::string& key : all.take_strings()) workers.push_back(key.substr(std::min(begin.size(), key.size())));
    }
    for (std::string& w : workers) co_await tell(std::move(w), told);
}

/// Those that have failed, the ones first that are forgotten first.
task<std::vector<dead_letter>> rq_broker::dead_letters(std::size_t most) {
    const std::string begin = server_->key("queue:");
    redis::value lists = co_await server_->client.command("SMEMBERS", server_->key("queues"));
    std::vector<dead_letter> all;
    for (const std::string& list : lists.take_strings()) {
        const std::string queue = list.substr(std::min(begin.size(), list.size()));
        if (all.size() >= most) break;
        redis::value failed = co_await server_->client.command("ZRANGE", server_->key("failed:" + queue), 0, most - all.size() - 1);
        for (const std::string& id : failed.take_strings()) {
            redis::value data = co_await server_->client.command("HGET", server_->key("job:" + id), "data");
            const std::optional<std::string> stored = co_await waiting_->fetch(id);
            if (data.is_nil() || !stored) continue;
            const json exception = parse_json(*stored)["result"];
            const std::string packed = data.take_string();
            const std::string reason = exception.value("exc_type", "") + python_repr_tuple(exception.value("exc_message", json::array()));
            all.emplace_back(id, queue, reason, decompress(packed).value_or(packed));
        }
    }
    co_return all;
}

} // namespace

} // namespace rq

task<broker_ptr> open_rq_broker(std::shared_ptr<const broker_settings> s) {
    redis::options options;
    options.client_name = "eddy-jobs-rq";
    options.max_idle = 64;
    redis::client c = co_await redis::connect(s->url, options);
    co_return std::make_shared<rq::rq_broker>(std::move(c), *s);
}

} // namespace eddy::jobs::detail

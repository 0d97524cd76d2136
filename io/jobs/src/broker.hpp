// What jobs need of a broker. The memory and the SQLite broker, and Celery's and RQ's keys in Redis, are the four there are.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <eddy/jobs/client.hpp>
#include <eddy/task.hpp>

#include "message.hpp"

namespace eddy::jobs::detail {

/// A message that is this worker's, until it has acknowledged it or its lease has ended.
class delivery {
public:
    delivery(std::string t, std::string p, std::string q) : tag(std::move(t)), payload(std::move(p)), queue(std::move(q)) {}
    std::string tag;
    std::string payload;
    std::string queue;
};

/// A message for a queue. Not an aggregate (trap T1).
class outgoing {
public:
    outgoing(std::string q, int p, std::string t, std::string text) : queue(std::move(q)), priority(p), tag(std::move(t)), payload(std::move(text)) {}
    std::string queue;
    int priority; // 0 to 9, 0 is served first
    std::string tag;
    std::string payload;
};

/// What a worker tells of itself and of its jobs to those who look on, where the protocol has a place for it: RQ's has.
class worker_record {
public:
    using duration = std::chrono::nanoseconds;
    worker_record() noexcept = default;
    worker_record(const worker_record&) = delete;
    worker_record& operator=(const worker_record&) = delete;
    virtual ~worker_record() = default;

    /// Throws `error` if there is a worker of that name.
    virtual task<> birth(std::vector<std::string> queues) = 0;
    virtual task<> beat() = 0;
    virtual task<> shutting_down() = 0;
    virtual task<> death(std::vector<std::string> queues) = 0;
    /// The job with this claim begins to run; false: it is not to run any more.
    virtual task<bool> start(std::string tag) = 0;
    /// The job with this claim has failed, and runs again: after `pause`, or as it says itself; the claim is over.
    virtual task<> retry(std::string tag, std::optional<duration> pause) = 0;
    /// What is due goes to its queue, if nobody else cares for these queues; how long until the next look.
    virtual task<duration> move_scheduled(std::vector<std::string> queues) = 0;
};

/// All calls are tasks; cancelled, what they ask for may or may not have happened, but for `claim`: what it took goes back.
class broker {
public:
    using duration = std::chrono::nanoseconds;
    broker() noexcept = default;
    broker(const broker&) = delete;
    broker& operator=(const broker&) = delete;
    virtual ~broker() = default;

    virtual task<> enqueue(outgoing m) = 0;
    /// The same, in one step with taking the name for `ttl`; nothing if somebody has it. So it can be tried again, by whomever.
    virtual task<> enqueue_once(outgoing m, std::string name, duration ttl) = 0;
    /// A job for its queue; as Celery's message, unless the broker has another form. `read` throws `malformed_message`.
    virtual task<> send(std::shared_ptr<const message> m);
    virtual task<> send_once(std::shared_ptr<const message> m, std::string name, duration ttl);
    [[nodiscard]] virtual message read(const delivery& d) const;
    /// The payload to give back instead, which says that it was given out so often.
    [[nodiscard]] virtual std::string marked(const std::string& payload, int deliveries) const;
    /// At least one message, at most `most`; waits for it.
    virtual task<std::vector<delivery>> claim(std::vector<std::string> queues, std::size_t most) = 0;
    /// It is over. The second form stores its result as well, as one step.
    virtual task<> acknowledge(std::string tag) = 0;
    virtual task<> finish(std::string tag, std::string id, std::string result, duration ttl) = 0;
    /// Back to where it came from, first in line, as it is or with this text instead; nothing if it is not claimed any more.
    virtual task<> give_back(std::string tag, std::optional<std::string> payload) = 0;
    /// The claim is over, and the job nobody's for `pause`; then it is first in line again, as it was. It stays in the broker meanwhile, and
    /// comes back when a worker next calls `restore` after that, whichever. False: there is no such thing here, and it is still claimed.
    virtual task<bool> put_off(std::string tag, duration pause);
    /// The leases begin anew.
    virtual task<> refresh(std::vector<std::string> tags) = 0;
    /// Puts back what was claimed longer ago than `lease`, marked; how many. At most `most` deliveries: beyond, a dead letter. Before that, what
    /// was put off until now, unmarked; these are not counted.
    virtual task<std::size_t> restore(duration lease, int most_deliveries) = 0;
    /// To the dead letters, and acknowledged.
    virtual task<> bury(dead_letter letter) = 0;
    virtual task<std::vector<dead_letter>> dead_letters(std::size_t most) = 0;
    virtual task<bool> revive(std::string tag) = 0;
    virtual task<std::size_t> length(std::string queue) = 0;
    virtual task<std::size_t> purge(std::string queue) = 0;

    virtual task<> store(std::string id, std::string result, duration ttl) = 0;
    virtual task<std::optional<std::string>> fetch(std::string id) = 0;
    virtual task<std::string> wait_final(std::string id) = 0;
    virtual task<> forget(std::string id) = 0;

    virtual task<> store_group(std::string group, std::string text, duration ttl) = 0;
    virtual task<std::optional<std::string>> fetch_group(std::string group) = 0;
    virtual task<> set_chord_size(std::string group, std::size_t size, duration ttl) = 0;
    /// One part; all of them, in order, if none is missing. They stay until `end_chord`: a job that is killed in between, and runs
    /// again, is told once more.
    virtual task<std::optional<std::vector<std::string>>> add_chord_part(std::string group, int index, std::string part, duration ttl) = 0;
    /// Its body is on its way: a part that comes now is no part of anything.
    virtual task<> end_chord(std::string group) = 0;

    /// Remote control, to every worker that listens, and answers.
    virtual task<> broadcast(std::string text) = 0;
    virtual task<> listen() = 0;             // before the first `next_control`
    virtual task<std::string> next_control() = 0;
    virtual task<> answer(json reply_to, std::string text) = 0;
    virtual task<> listen_for_answers(std::string id) = 0;
    virtual task<std::string> next_answer(std::string id) = 0;
    virtual task<> end_answers(std::string id) = 0;
    virtual task<> emit(std::string kind, std::string text) = 0; // an event

    /// Tells the workers not to start this job, or to end it.
    virtual task<> revoke(std::string id, bool terminate, std::string signal);
    /// Null if the protocol has none.
    [[nodiscard]] virtual worker_record* record() noexcept { return nullptr; }

    /// Set for `ttl`, if it is not set or its owner's already; true if it is the owner's now.
    virtual task<bool> lock(std::string name, std::string owner, duration ttl) = 0;

    /// What a worker does at its start.
    virtual task<> declare(std::string queue) = 0;
};

struct broker_settings {
    std::string url;
    std::string results;
    std::string key_prefix;
    jobs::protocol protocol = jobs::protocol::celery;
    std::chrono::nanoseconds poll = std::chrono::milliseconds(100);
    // of a worker
    std::string worker = {};
    std::chrono::nanoseconds lease = std::chrono::seconds(90);
    bool scheduler = false;
};
using broker_ptr = std::shared_ptr<broker>;
/// Throws `error` for a URL that is none.
[[nodiscard]] task<broker_ptr> open_broker(std::shared_ptr<const broker_settings> settings);

[[nodiscard]] broker_ptr open_memory_broker(const std::string& name);
[[nodiscard]] task<broker_ptr> open_sqlite_broker(std::string file, std::chrono::nanoseconds poll);
[[nodiscard]] task<broker_ptr> open_redis_broker(std::shared_ptr<const broker_settings> settings);
[[nodiscard]] task<broker_ptr> open_rq_broker(std::shared_ptr<const broker_settings> settings);

} // namespace eddy::jobs::detail

// A job's way to its function: it is read, waits for its turn, and goes back if it does not come to that.
#include <algorithm>
#include <utility>

#include <eddy/sleep.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

#include "job_parts.hpp"

namespace eddy::jobs::detail {

/// A job that was claimed takes up room, until it is among those that run or turned out to be none.
class worker_core::arrival {
public:
    explicit arrival(worker_core& w) noexcept : worker_(&w) {}
    arrival(const arrival&) = delete;
    arrival& operator=(const arrival&) = delete;
    ~arrival() { end(); }
    void end() noexcept {
        if (!worker_) return;
        --worker_->arriving_;
        std::exchange(worker_, nullptr)->count_changed();
    }

private:
    worker_core* worker_;
};

/// No other message of its id runs in this worker.
class worker_core::sole_run {
public:
    sole_run(worker_core& w, const std::string& id) noexcept : worker_(&w), id_(&id) {}
    sole_run(const sole_run&) = delete;
    sole_run& operator=(const sole_run&) = delete;
    ~sole_run() { worker_->ids_that_run_.erase(*id_); }

private:
    worker_core* worker_;
    const std::string* id_; // the job's
};

task<> worker_core::run_job(delivery d) {
    arrival arriving(*this);
    const std::string tag = d.tag;
    std::optional<message> m;
    std::string wrong;
    try {
        m = broker->read(d);
    } catch (const malformed_message& e) {
        wrong = e.what();
    }
    ++counts.received;
    if (!m) {
        ++counts.dead;
        co_await tell_dead(d.payload, wrong);
        const dead_letter letter(tag, d.queue, wrong, d.payload);
        const auto bury = [&]() { return broker->bury(letter); };
        co_await insist("jobs: a dead letter could not be put away; it is tried again", bury);
        report("jobs: " + wrong + "; it is a dead letter now", nullptr);
        co_return;
    }
    if (const auto at = claimed_.find(tag); at != claimed_.end()) {
        job_run& ours = *at->second;
        if (ours.job->id != m->id || ours.acknowledged) co_return co_await requeue(std::move(d));
        ours.leased = loop_clock::now(); // the claim was lost, the job given out again, and it has come back to us: it goes on
        co_return;
    }
    if (m->queue.empty()) m->queue = d.queue;
    job_run r(std::move(d), std::move(*m));
    claimed_.insert_or_assign(tag, &r);
    arriving.end();
    const counted reserved(counts.reserved);
    std::exception_ptr error;
    bool cancelled = false;
    try {
        co_await run_claimed(r);
    } catch (const operation_cancelled&) {
        cancelled = true;
    } catch (...) {
        error = std::current_exception();
    }
    if ((cancelled || error) && !r.acknowledged) {
        const auto back = [&](cancel_scope&) { return give_back(r); };
        co_await with_shield(std::chrono::seconds(2), back);
    }
    r.ended = true;
    const auto stored = [&]() -> task<> {
        while (r.storing) {
            r.stored.clear();
            co_await r.stored.wait();
        }
    };
    if (r.storing) co_await with_shield(stored);
    claimed_.erase(tag);
    count_changed();
    if (claimed_.empty() && draining) ended_.set();
    if (error) report("jobs: a job could not be finished, and was given back", error);
    if (cancelled) co_await this_task::checkpoint();
}

/// Whoever waits for what cannot be read hears why. RQ's broker stores it itself.
task<> worker_core::tell_dead(std::string payload, std::string wrong) {
    message m;
    if (!broker->record()) m.id = id_of_malformed(payload);
    if (m.id.empty()) co_return;
    const job_result dead = dead_for(wrong);
    const std::string text = dump_json(make_result(m, dead.state, dead.value));
    const auto store = [&]() { return broker->store(m.id, text, result_ttl); };
    co_await insist("jobs: a result could not be stored; it is tried again", store);
}

/// The id has finished, and so has this message; or it is not known whether, and the message is given back.
task<bool> worker_core::ran_before(job_run& r) {
    std::optional<std::string> before;
    const auto look = [&]() -> task<> { before = co_await broker->fetch(r.job->id); };
    const bool looked = co_await insist("jobs: whether a job has run before could not be seen; it is tried again", look);
    if (!looked) {
        co_await give_back(r);
        co_return true;
    }
    if (!before || !is_final_text(*before) || is_dead_text(*before)) co_return false;
    ++counts.duplicates;
    co_await acknowledge(r);
    co_return true;
}

/// Another message has its tag, and is being worked on: each needs one of its own to be acknowledged by.
task<> worker_core::requeue(delivery d) {
    const std::string tag = make_uuid();
    json e = parse_json(d.payload); // it was decoded before
    int priority = 0;
    if (e["properties"].is_object()) {
        e["properties"]["delivery_tag"] = tag;
        if (const json p = e["properties"].value("priority", json(0)); p.is_number_integer()) priority = std::clamp(p.get<int>(), 0, 9);
    }
    const outgoing o(d.queue, priority, tag, dump_json(e));
    const auto send = [&]() { return broker->enqueue(o); };
    report("jobs: two messages have the tag " + d.tag + "; the second is queued again under another one", nullptr);
    co_await insist("jobs: a message could not be queued again; it is tried again", send);
}

task<> worker_core::run_claimed(job_run& r) {
    const message& m = *r.job;
    if (events)
        emit_task("task-received", r, {{"args", python_repr_tuple(m.args)}, {"kwargs", python_repr(m.kwargs)}, {"queue", m.queue}, {"root_id", m.root_id},
                                   {"parent_id", m.parent_id.empty() ? json() : json(m.parent_id)}, {"retries", m.retries},
                                   {"eta", m.eta ? json(to_iso(*m.eta)) : json()}, {"expires", m.expires ? json(to_iso(*m.expires)) : json()}});
    // Here and not where its claim was found expired: only a worker can tell those who wait.
    if (!broker->record() && m.deliveries >= std::max(1, options.max_deliveries)) {
        std::string reason = "given out " + std::to_string(m.deliveries) + " times and never finished";
        std::string payload = broker->marked(r.claim.payload, m.deliveries - 1); // revived, it runs once more
        co_return co_await bury_job(r, std::move(reason), std::move(payload));
    }
    const auto at = tasks.find(m.task);
    if (at == tasks.end()) {
        if (m.task == "celery.backend_cleanup") { // Celery's beat sends it every night: here, results end by themselves
            job_result nothing;
            co_return co_await settle(r, std::move(nothing));
        }
        job_result unknown = failed_with("NotRegistered", list_of(m.task), "celery.exceptions", "this worker has no task " + m.task);
        co_await settle(r, std::move(unknown));
        co_return;
    }
    r.task = &at->second;
    ++r.task->received;
    if (options.deduplicate) {
        const bool over = co_await ran_before(r);
        if (over) {
            co_return;
        }
    }
    if (const auto pause = long_wait(r)) {
        const bool gone = co_await put_off(r, *pause);
        if (gone) co_return;
    }
    limiter_token slot;
    const bool may_run = co_await wait_turn(r, slot);
    if (!may_run) {
        if (r.end == job_end::given_back) co_await give_back(r);
        if (r.end != job_end::revoked && r.end != job_end::terminated) co_return;
        job_result revoked = revoked_for("revoked");
        co_await settle(r, std::move(revoked));
        co_return;
    }
    if (m.expires && wall_now() > *m.expires) {
        job_result expired = revoked_for("expired");
        co_await settle(r, std::move(expired));
        co_return;
    }
    if (!options.deduplicate) co_return co_await execute(r, slot);
    // Another message of this id may have run while this one waited, or run now.
    while (!ids_that_run_.insert(m.id).second) {
        slot.release();
        co_await room_changed_.wait();
        slot = co_await slots_.acquire();
    }
    const sole_run sole(*this, m.id);
    const bool over = co_await ran_before(r);
    if (over) co_return;
    if (r.end == job_end::given_back) co_return co_await give_back(r); // meanwhile
    co_await execute(r, slot);
}

/// How long this worker has no use for it: its time, or its turn by a rate limit, is far away. It comes back some time before that, for it
/// is looked for every `sweep`, and then waits here.
std::optional<std::chrono::nanoseconds> worker_core::long_wait(job_run& r) const {
    using duration = std::chrono::nanoseconds;
    if (draining || revoked_.contains(r.job->id)) return {};
    const duration several_sweeps = 6 * options.sweep;
    if (r.job->eta && *r.job->eta > wall_now()) {
        const duration near = std::max<duration>(std::chrono::minutes(5), several_sweeps), left = *r.job->eta - wall_now();
        if (left <= near) return {};
        return std::min<duration>(left - near / 2, std::chrono::hours(24)); // the wall clock may be set meanwhile
    }
    registered_task& t = *r.task;
    if (t.options.rate_limit <= 0) return {};
    const duration near = std::max<duration>(std::chrono::minutes(1), several_sweeps);
    const auto now = loop_clock::now();
    if (t.next_start - now <= near) return {};
    const auto turn = std::max(t.next_start, t.next_return);
    const duration pause = turn - now - near / 2;
    constexpr std::chrono::minutes longest(10); // there may be more workers by then, or another limit
    if (pause > longest) return longest;
    t.next_return = eddy::detail::after(turn, of_seconds(1 / t.options.rate_limit));
    return pause;
}
/// Back into the broker, so that it takes up no room here, outlives this worker and is any worker's; false if there is no such thing there.
task<bool> worker_core::put_off(job_run& r, std::chrono::nanoseconds pause) {
    bool gone = false;
    const auto away = [&]() -> task<> { gone = co_await broker->put_off(r.claim.tag, pause); };
    static_cast<void>(co_await insist("jobs: a job could not be put off; it is tried again", away, &r)); // another's claim is not ours to put off
    if (!gone) co_return false;
    r.acknowledged = true;
    ++counts.put_off;
    co_return true;
}

/// Until its time has come, a slot is free and its rate limit allows it; false if it ended before that.
task<bool> worker_core::wait_turn(job_run& r, limiter_token& slot) {
    if (draining) r.end = job_end::given_back; // claimed in the moment of the shutdown
    if (revoked_.contains(r.job->id)) r.end = job_end::revoked;
    if (r.end != job_end::none) co_return false;
    const auto wait_in_scope = [&](cancel_scope&) { return wait_until_due(r, slot); };
    co_await with_scope(r.waiting, wait_in_scope);
    if (r.end == job_end::none && revoked_.contains(r.job->id)) r.end = job_end::revoked;
    if (r.end != job_end::none) co_return false;
    r.running = true;
    co_return true;
}
task<> worker_core::wait_until_due(job_run& r, limiter_token& slot) {
    if (r.job->eta && *r.job->eta > wall_now()) {
        r.scheduled = true;
        {
            const counted scheduled(counts.scheduled), aside(aside_);
            count_changed();
            // In parts: the wall clock may be set meanwhile.
            while (*r.job->eta > wall_now()) co_await sleep_for(std::min<std::chrono::nanoseconds>(*r.job->eta - wall_now(), std::chrono::minutes(1)));
        }
        r.scheduled = false;
    }
    // Its rate first: a job that waits for its turn keeps no other from a slot.
    if (r.task->options.rate_limit > 0) co_await wait_for_rate(*r.task);
    slot = co_await slots_.acquire();
}
task<> worker_core::wait_for_rate(registered_task& t) {
    const auto start = std::max(t.next_start, loop_clock::now());
    t.next_start = eddy::detail::after(start, of_seconds(1 / t.options.rate_limit));
    // Those whose turn is next take up room: else a quick task's jobs were all claimed by the worker that comes first.
    constexpr std::chrono::seconds next(1);
    if (start - loop_clock::now() > next) {
        const counted aside(aside_);
        count_changed();
        co_await sleep_until(start - next);
    }
    if (start > loop_clock::now()) co_await sleep_until(start);
}

task<> worker_core::give_back(job_run& r) {
    if (r.acknowledged) co_return;
    const auto back = [&]() { return broker->give_back(r.claim.tag, std::nullopt); };
    r.acknowledged = co_await insist("jobs: a job could not be given back; it is tried again", back);
}
task<> worker_core::acknowledge(job_run& r) {
    if (r.acknowledged) co_return;
    const auto ack = [&]() { return broker->acknowledge(r.claim.tag); };
    if (co_await insist("jobs: a job could not be acknowledged; it is tried again", ack)) r.acknowledged = true;
}

} // namespace eddy::jobs::detail

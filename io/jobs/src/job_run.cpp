// The life of one job in a worker: its turn, its function, its limits, and how it ends.
#include <algorithm>
#include <cmath>
#include <random>
#include <unistd.h>

#include <eddy/offload.hpp>
#include <eddy/progress.hpp>
#include <eddy/sleep.hpp>
#include <eddy/spawn.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>
#include <eddy/wait.hpp>

#include "client_core.hpp"
#include "worker_core.hpp"

namespace eddy::jobs::detail {

namespace {

std::chrono::nanoseconds of_seconds(double s) {
    return eddy::detail::to_nanoseconds(std::chrono::duration<double>(s));
}
std::optional<double> limit_of(const std::optional<double>& jobs_own, const std::optional<std::chrono::nanoseconds>& tasks) {
    if (jobs_own) return jobs_own;
    if (tasks) return std::chrono::duration<double>(*tasks).count();
    return {};
}

/// A stored exception as events have it, which is Python's repr: ValueError('bad thing', 42).
std::string exception_repr(const json& stored) {
    std::string arguments = python_repr_tuple(stored.value("exc_message", json::array()));
    if (arguments.ends_with(",)")) arguments.erase(arguments.size() - 2, 1);
    return stored.value("exc_type", std::string()) + arguments;
}
job_result failed_with(std::string_view type, json arguments, std::string_view module, std::string traceback = {}) {
    job_result r;
    r.state = "FAILURE";
    r.value = make_exception(type, std::move(arguments), module);
    r.traceback = std::move(traceback);
    return r;
}
job_result revoked_for(const char* why) {
    job_result r;
    r.state = "REVOKED";
    r.value = make_exception("TaskRevokedError", json::array({why}), "celery.exceptions");
    return r;
}
/// Built by hand: GCC 12 takes no initializer lists in coroutines' awaits.
json list_of(json one) {
    json list = json::array();
    list.push_back(std::move(one));
    return list;
}
json limit_argument(double seconds) {
    return std::floor(seconds) == seconds ? json(static_cast<std::int64_t>(seconds)) : json(seconds);
}

/// What an exception is to the other side.
job_result result_of(const std::exception_ptr& error, const message& m) {
    const std::string at = m.task + "[" + m.id + "] in C++";
    try {
        std::rethrow_exception(error);
    } catch (const failure& f) {
        return failed_with(f.type(), f.arguments(), f.module(), at + "\n" + f.what());
    } catch (const std::exception& e) {
        const std::string type = exception_name(e);
        return failed_with(type, json::array({std::string(e.what())}), "cpp", at + "\n" + type + ": " + e.what());
    } catch (...) {
        return failed_with("UnknownException", json::array({"an exception that is no std::exception"}), "cpp", at);
    }
}
bool is_bad_arguments(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const bad_arguments&) {
        return true;
    } catch (...) {
        return false;
    }
}

std::chrono::nanoseconds backoff_of(const task_options& o, int retries) {
    double pause = std::min(std::chrono::duration<double>(o.backoff).count() * std::pow(2.0, std::min(retries, 60)), std::chrono::duration<double>(o.max_backoff).count());
    if (o.jitter > 0) {
        thread_local std::minstd_rand source(std::random_device{}());
        pause *= 1 + o.jitter * std::uniform_real_distribution<double>(-1, 1)(source);
    }
    return of_seconds(pause);
}

/// `report_progress` in a job is `context::progress`, in the words of Celery's documentation. A report that fails is lost, the job is not.
class job_reports final : public eddy::detail::report_target {
public:
    explicit job_reports(std::shared_ptr<context> c) noexcept : context_(std::move(c)) {}

private:
    void report(std::uint64_t done, std::uint64_t total, std::string_view text) noexcept override {
        try {
            json meta = json::object();
            meta["current"] = done;
            meta["total"] = total;
            if (!text.empty()) meta["text"] = text;
            context_->progress(std::move(meta));
        } catch (...) {
        }
    }
    std::shared_ptr<context> context_;
};

task<json> call_on_thread(std::shared_ptr<worker_pool> pool, std::shared_ptr<handler> h, std::shared_ptr<context> c, arguments a) {
    const task_local_scope reporting = eddy::detail::with_report_target(std::make_shared<job_reports>(c));
    const auto given = std::make_shared<arguments>(std::move(a));
    auto call = [h, c, given] { return h->call(*c, std::move(*given)); };
    auto op = offload(*pool, abandon, std::move(call));
    co_return co_await op;
}

/// The job waits for it, however it ends.
class progress_stored {
public:
    explicit progress_stored(job_run& r) noexcept : run_(&r) { r.storing = true; }
    progress_stored(const progress_stored&) = delete;
    progress_stored& operator=(const progress_stored&) = delete;
    ~progress_stored() {
        run_->storing = false;
        run_->stored.set();
    }

private:
    job_run* run_;
};

/// A report on its way from a thread that may outlive the loop, the worker and the job.
class progress_message final : public eddy::detail::remote_node {
public:
    static void send(eddy::detail::mailbox& mail, std::function<void()> take) {
        auto m = std::make_unique<progress_message>(std::move(take));
        if (mail.post(*m)) static_cast<void>(m.release());
    }
    explicit progress_message(std::function<void()> take) : remote_node(&arrived), take_(std::move(take)) {}

private:
    static void arrived(eddy::detail::remote_node& n) {
        const std::unique_ptr<progress_message> m(static_cast<progress_message*>(&n));
        m->take_();
    }
    std::function<void()> take_;
};

/// Counts what it says, as long as it lives.
class counted {
public:
    explicit counted(std::size_t& n) noexcept : n_(&n) { ++n; }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;
    ~counted() { --*n_; }

private:
    std::size_t* n_;
};

} // namespace

task<> worker_core::run_job(delivery d) {
    const std::string tag = d.tag;
    std::optional<message> m;
    std::string wrong;
    try {
        m = decode_message(d.payload);
    } catch (const malformed_message& e) {
        wrong = e.what();
    }
    ++counts.received;
    if (!m) {
        ++counts.dead;
        const dead_letter letter(tag, d.queue, wrong, d.payload);
        const auto bury = [&]() { return broker->bury(letter); };
        co_await insist("jobs: a dead letter could not be put away; it is tried again", bury);
        report("jobs: " + wrong + "; it is a dead letter now", nullptr);
        co_return;
    }
    if (claimed_.contains(tag)) co_return co_await requeue(std::move(d));
    if (m->queue.empty()) m->queue = d.queue;
    job_run r(std::move(d), std::move(*m));
    claimed_.insert_or_assign(tag, &r);
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
    const auto at = tasks.find(m.task);
    if (at == tasks.end()) {
        job_result unknown = failed_with("NotRegistered", list_of(m.task), "celery.exceptions", "this worker has no task " + m.task);
        co_await settle(r, std::move(unknown));
        co_return;
    }
    r.task = &at->second;
    ++r.task->received;
    if (options.deduplicate) {
        std::optional<std::string> before;
        const auto look = [&]() -> task<> { before = co_await broker->fetch(m.id); };
        const bool looked = co_await insist("jobs: whether a job has run before could not be seen; it is tried again", look);
        if (!looked) co_return co_await give_back(r);
        if (before && is_final_text(*before)) {
            ++counts.duplicates;
            co_await acknowledge(r);
            co_return;
        }
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
    co_await execute(r, slot);
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
            const counted scheduled(counts.scheduled);
            count_changed();
            // In parts: the wall clock may be set meanwhile.
            while (*r.job->eta > wall_now()) co_await sleep_for(std::min<std::chrono::nanoseconds>(*r.job->eta - wall_now(), std::chrono::minutes(1)));
        }
        r.scheduled = false;
    }
    // Its rate first: a job that waits for its turn keeps no other from a slot.
    const double rate = r.task->options.rate_limit;
    if (rate > 0) {
        const auto start = std::max(r.task->next_start, loop_clock::now());
        r.task->next_start = start + of_seconds(1 / rate);
        if (start > loop_clock::now()) co_await sleep_until(start);
    }
    slot = co_await slots_.acquire();
}

std::shared_ptr<context> worker_core::make_context(job_run& r) {
    const std::weak_ptr<worker_core> weak = weak_from_this();
    const std::string tag = r.claim.tag;
    // From any thread: the loop looks whether the job is still there. A loop that is gone has a closed mailbox.
    auto progress = [weak, tag, mail = mail_](json meta, std::string state) {
        progress_message::send(*mail, [weak, tag, said = reported_state(std::move(meta), std::move(state))] {
            if (const auto self = weak.lock()) self->take_progress(tag, said);
        });
    };
    return std::make_shared<context>(r.job, r.stop.get_token(), std::move(progress));
}
/// One at a time is stored: the latest of those that came meanwhile.
void worker_core::take_progress(const std::string& tag, reported_state said) {
    const auto at = claimed_.find(tag);
    if (at == claimed_.end() || !jobs_) return;
    job_run& r = *at->second;
    if (r.ended || r.job->ignore_result || is_final(said.state)) return;
    r.reported.emplace(std::move(said));
    if (r.storing) return;
    auto told = std::make_shared<progress_stored>(r);
    jobs_->spawn([](std::shared_ptr<worker_core> w, job_run* run, std::shared_ptr<progress_stored>) -> task<> { co_await w->store_progress(*run); }, shared_from_this(), &r, std::move(told));
}
task<> worker_core::store_progress(job_run& r) {
    while (r.reported) {
        reported_state said = std::move(*r.reported);
        r.reported.reset();
        try {
            json stored = make_result(*r.job, said.state, std::move(said.meta));
            co_await store_state(r.job->id, std::move(stored));
        } catch (const std::exception&) {
            report("jobs: a job's progress could not be stored", std::current_exception());
        }
    }
}
task<> worker_core::store_state(std::string id, json result) {
    std::string text = dump_json(result);
    co_await broker->store(std::move(id), std::move(text), options.result_ttl);
}

task<json> worker_core::start_function(job_run& r) {
    auto c = make_context(r);
    arguments a;
    a.positional = r.job->args;
    a.named = r.job->kwargs;
    const handler& h = *r.task->function;
    const bool on_loop = h.is_coroutine() || r.task->options.where == run_on::loop;
    if (!on_loop) return call_on_thread(threads_, r.task->function, std::move(c), std::move(a));
    // What the function throws before its first step is its failure as well.
    return [](std::shared_ptr<handler> f, std::shared_ptr<context> ctx, arguments args) -> task<json> {
        const task_local_scope reporting = eddy::detail::with_report_target(std::make_shared<job_reports>(ctx));
        auto running = f->run(std::move(ctx), std::move(args));
        co_return co_await std::move(running);
    }(r.task->function, std::move(c), std::move(a));
}

task<> worker_core::execute(job_run& r, limiter_token& slot) {
    const counted active(counts.active);
    if (r.task->options.acks_early) {
        co_await acknowledge(r);
    }
    r.started = wall_now();
    emit_task("task-started", r);
    if (options.track_started && !r.job->ignore_result) {
        json state = make_result(*r.job, "STARTED", {{"pid", ::getpid()}, {"hostname", name}});
        try {
            co_await store_state(r.job->id, std::move(state));
        } catch (const std::exception&) { // it is for those who look on: the job runs all the same
            report("jobs: that a job has started could not be stored", std::current_exception());
        }
    }
    // No child of the group: a function that is let go of would be waited for at the worker's end.
    r.function = spawn(start_function(r), {.name = r.job->task});
    if (r.end != job_end::none) r.function.cancel("the job was ended");
    std::exception_ptr cancelled;
    try {
        co_await supervise(r);
    } catch (const operation_cancelled&) {
        cancelled = std::current_exception();
    }
    if (cancelled) {
        r.stop.request_stop();
        r.function.cancel("the worker was cancelled");
        auto unwound = r.function.join();
        co_await shielded(unwound);
        static_cast<void>(r.function.exception());
        std::rethrow_exception(cancelled);
    }
    slot.release(); // another one may run while this one's result is stored
    r.ended = true; // a function that is let go of may go on reporting
    while (r.storing) {
        r.stored.clear();
        co_await r.stored.wait();
    }
    co_await conclude(r);
}

task<> worker_core::supervise(job_run& r) {
    const auto soft = limit_of(r.job->soft_time_limit, r.task->options.soft_time_limit);
    const auto hard = limit_of(r.job->time_limit, r.task->options.time_limit);
    const auto begin = loop_clock::now();
    if (soft && (!hard || *soft < *hard)) co_await wait_for_function(r, soft, job_end::soft_limit);
    if (hard && !r.function.done()) {
        const double passed = std::chrono::duration<double>(loop_clock::now() - begin).count();
        co_await wait_for_function(r, std::max(0.0, *hard - passed), job_end::time_limit);
        // It may unwind; it is not waited for any longer.
        if (!r.function.done()) co_await wait_for_function(r, 0.1, job_end::time_limit);
        if (!r.function.done() || r.end == job_end::time_limit) co_return;
    }
    if (!r.function.done()) co_await r.function.join();
}
task<> worker_core::wait_for_function(job_run& r, std::optional<double> limit, job_end why) {
    std::vector<task_handle<json>> one{r.function};
    auto waiting = wait(std::move(one), wait_until::all_completed, of_seconds(*limit));
    co_await waiting;
    if (r.function.done()) co_return;
    if (r.end == job_end::none || r.end == job_end::soft_limit) r.end = why;
    r.stop.request_stop();
    const bool interruptible = r.task->function->is_coroutine();
    if (why == job_end::soft_limit && !interruptible) co_return; // the function may look at its token
    r.function.cancel(why == job_end::soft_limit ? "the soft time limit" : "the time limit");
}

task<> worker_core::conclude(job_run& r) {
    const message& m = *r.job;
    const auto hard = limit_of(m.time_limit, r.task->options.time_limit);
    const bool done = r.function.done();
    const bool was_cancelled = done && r.function.cancelled();
    const std::exception_ptr error = done && !was_cancelled ? r.function.exception() : nullptr;
    if (r.end == job_end::time_limit && (!done || was_cancelled || error || !r.task->function->is_coroutine())) {
        if (!done || !r.task->function->is_coroutine()) {
            ++counts.abandoned;
            report("jobs: " + m.task + "[" + m.id + "] has gone beyond its time limit; its function is let go of", nullptr);
            let_go_of_thread(r);
        }
        job_result late = failed_with("TimeLimitExceeded", list_of(limit_argument(*hard)), "billiard.exceptions");
        co_await settle(r, std::move(late));
        co_return;
    }
    if (was_cancelled) {
        if (!stopping) let_go_of_thread(r);
        if (r.end == job_end::given_back) co_return co_await give_back(r);
        job_result ended = r.end == job_end::soft_limit ? failed_with("SoftTimeLimitExceeded", json::array(), "billiard.exceptions") : revoked_for("terminated");
        co_return co_await settle(r, std::move(ended));
    }
    if (!error) {
        job_result result;
        result.value = r.function.result();
        co_return co_await settle(r, std::move(result));
    }
    std::optional<retry_request> again;
    std::optional<reject> rejected;
    bool ignored = false;
    try {
        std::rethrow_exception(error);
    } catch (const retry_request& e) {
        again = e;
    } catch (const reject& e) {
        rejected = e;
    } catch (const ignore&) {
        ignored = true;
    } catch (...) {
        if (r.task->options.retry_on_error && !is_bad_arguments(error)) again.emplace("", std::nullopt);
    }
    if (ignored) co_return co_await acknowledge(r);
    if (rejected) co_return co_await conclude_reject(r, *rejected);
    job_result last = result_of(error, m);
    if (again && std::string_view(again->what()) != "") last = failed_with("RuntimeError", json::array({std::string(again->what())}), "builtins", last.traceback);
    if (again && m.retries < r.task->options.max_retries) co_return co_await conclude_retry(r, *again, last);
    co_await settle(r, std::move(last));
}

task<> worker_core::conclude_reject(job_run& r, const reject& request) {
    ++counts.rejected;
    emit_task("task-rejected", r, {{"requeue", request.requeue()}});
    if (!request.requeue()) co_return co_await acknowledge(r);
    if (r.acknowledged) co_return;
    const int deliveries = r.job->deliveries + 1;
    if (deliveries >= options.max_deliveries) {
        ++counts.dead;
        const dead_letter letter(r.claim.tag, r.claim.queue, "given out " + std::to_string(deliveries) + " times and rejected: " + request.what(), r.claim.payload);
        const auto bury = [&]() { return broker->bury(letter); };
        r.acknowledged = co_await insist("jobs: a dead letter could not be put away; it is tried again", bury);
        co_return;
    }
    const std::string marked = mark_redelivered(r.claim.payload, deliveries);
    const auto back = [&]() { return broker->give_back(r.claim.tag, marked); };
    r.acknowledged = co_await insist("jobs: a job could not be given back; it is tried again", back);
}

/// The result first: the next run may be over before we come to it otherwise.
task<> worker_core::conclude_retry(job_run& r, const retry_request& request, const job_result& last) {
    message next = *r.job;
    ++next.retries;
    next.parent_id = next.id;
    next.tag = make_uuid();
    const std::chrono::nanoseconds pause = request.countdown() ? *request.countdown() : backoff_of(r.task->options, r.job->retries);
    next.eta = wall_now() + std::chrono::duration_cast<wall_time::duration>(pause);
    ++counts.retried;
    if (events) emit_task("task-retried", r, {{"exception", exception_repr(last.value)}, {"traceback", last.traceback}});
    const json children = json::array({json::array({json::array({next.id, nullptr}), nullptr})});
    const std::string result = dump_json(make_result(*r.job, "RETRY", last.value, last.traceback, children));
    const outgoing o(next.queue, next.priority, next.tag, encode_message(next));
    const auto store = [&]() { return broker->store(next.id, result, options.result_ttl); };
    const auto send = [&]() { return broker->enqueue(o); };
    bool ok = true;
    if (!next.ignore_result) ok = co_await insist("jobs: a result could not be stored; it is tried again", store);
    if (ok) ok = co_await insist("jobs: a retry could not be sent; it is tried again", send);
    if (ok) co_await acknowledge(r);
}

/// Stores how it ended, sends what follows, and acknowledges: in the order in which a crash loses nothing.
task<> worker_core::settle(job_run& r, job_result result) {
    const message& m = *r.job;
    std::string text = dump_json(result.value);
    if (text.size() > options.max_result) {
        result = failed_with("ResultTooLarge", json::array({"the result of " + m.task + " has " + std::to_string(text.size()) + " bytes; the limit is " + std::to_string(options.max_result)}), "cpp");
    }
    if (result.ok()) ++counts.succeeded;
    else if (result.state == "REVOKED") ++counts.revoked;
    else ++counts.failed;
    following f;
    f.next = plan_successors(m, result);
    json children = json::array();
    for (const std::string& id : f.next.children) children.push_back(json::array({json::array({id, nullptr}), nullptr}));
    const auto follow = [&]() { return send_successors(m, result, f); };
    const bool followed = co_await insist("jobs: what follows a job could not be sent; it is tried again", follow);
    // Not acknowledged, it runs again when its lease is over, and what follows it is not lost.
    if (!followed && !r.acknowledged) co_return;
    const bool ignored = m.ignore_result || (r.task && r.task->options.ignore_result);
    if (ignored) {
        co_await acknowledge(r);
    } else {
        const std::string stored = dump_json(make_result(m, result.state, result.value, result.traceback, std::move(children)));
        const bool early = r.acknowledged;
        const auto finish = [&]() { return early ? broker->store(m.id, stored, options.result_ttl) : broker->finish(r.claim.tag, m.id, stored, options.result_ttl); };
        if (co_await insist("jobs: a result could not be stored; it is tried again", finish)) r.acknowledged = true;
    }
    if (!events) co_return;
    const double runtime = r.running ? to_unix(wall_now()) - to_unix(r.started) : 0;
    if (result.ok()) emit_task("task-succeeded", r, {{"result", python_repr(result.value)}, {"runtime", runtime}});
    else if (result.state == "REVOKED") emit_task("task-revoked", r, {{"terminated", r.end == job_end::terminated}, {"signum", nullptr}, {"expired", r.end == job_end::none}});
    else emit_task("task-failed", r, {{"exception", exception_repr(result.value)}, {"traceback", result.traceback}});
}

plan worker_core::plan_successors(const message& m, const job_result& result) const {
    origin from;
    from.queue = m.queue;
    from.root_id = m.root_id;
    from.parent_id = m.id;
    from.reply_to = m.reply_to;
    plan p;
    try {
        if (result.ok()) {
            if (m.callbacks.is_array())
                for (const json& next : m.callbacks) append_plan(p, plan_signature(next, result.value, from));
            if (m.chain.is_array() && !m.chain.empty()) {
                json rest = m.chain;
                const json next = rest.back();
                rest.erase(rest.size() - 1);
                if (!rest.empty()) from.chain = std::move(rest);
                append_plan(p, plan_signature(next, result.value, from));
            }
        } else if (m.errbacks.is_array()) {
            for (const json& next : m.errbacks) append_plan(p, plan_signature(next, json(m.id), from));
        }
    } catch (const std::exception&) { // a workflow that cannot be followed: its job is over all the same
        report("jobs: " + m.task + "[" + m.id + "] is followed by what is no workflow", std::current_exception());
        return plan();
    }
    return p;
}

/// The parts of a chord go when its body is on its way: whoever is killed before finds them again.
task<> worker_core::send_successors(const message& m, const job_result& result, following& f) {
    co_await send_rest_of(broker, f.next, options.result_ttl);
    if (!m.chord.is_object()) co_return;
    if (!f.part_stored) {
        json whole = json::array();
        whole.push_back(1);
        whole.push_back(m.id);
        whole.push_back(result.state);
        whole.push_back(result.value);
        std::string part = dump_json(whole);
        const auto all = co_await broker->add_chord_part(m.group, m.group_index.value_or(1'000'000'000), std::move(part), options.result_ttl);
        f.part_stored = true;
        f.ends_chord = all.has_value();
        if (all) plan_chord_end(f, m, *all);
    }
    if (!f.ends_chord) co_return;
    if (!f.failed_id.empty()) {
        json failure = f.failure;
        co_await store_state(f.failed_id, std::move(failure));
    }
    co_await send_rest_of(broker, f.body, options.result_ttl);
    co_await broker->end_chord(m.group);
}

void worker_core::plan_chord_end(following& f, const message& m, const std::vector<std::string>& parts) const {
    json values = json::array();
    for (const std::string& text : parts) {
        const std::optional<json> one = try_parse_json(text);
        if (!one || !one->is_array() || one->size() != 4) return plan_chord_failure(f, m, "?", make_exception("ValueError", json::array({"a part that cannot be read"}), "builtins"));
        if ((*one)[2] != "SUCCESS") return plan_chord_failure(f, m, (*one)[1].is_string() ? (*one)[1].get<std::string>() : "?", (*one)[3]);
        values.push_back((*one)[3]);
    }
    origin from;
    from.queue = m.queue;
    from.root_id = m.root_id;
    from.parent_id = m.id;
    from.reply_to = m.reply_to;
    try {
        f.body = plan_signature(m.chord, values, from);
    } catch (const std::exception& e) {
        report("jobs: the body of chord " + m.group + " is no workflow", std::current_exception());
        plan_chord_failure(f, m, "?", make_exception("ValueError", json::array({std::string(e.what())}), "builtins"));
    }
}
void worker_core::plan_chord_failure(following& f, const message& m, const std::string& part, const json& exception) const {
    const json body_options = m.chord.contains("options") ? m.chord["options"] : json::object();
    message body;
    try {
        body.id = result_id_in(m.chord);
    } catch (const std::exception&) { // then nobody can wait for it
    }
    if (body.id.empty()) return;
    const std::string type = exception.is_object() && exception.contains("exc_type") && exception["exc_type"].is_string() ? exception["exc_type"].get<std::string>() : "Exception";
    const json arguments = exception.is_object() && exception.contains("exc_message") ? exception["exc_message"] : json::array();
    std::string raised = python_repr_tuple(arguments.is_array() ? arguments : json::array({arguments}));
    if (raised.ends_with(",)")) raised.replace(raised.size() - 2, 2, ")");
    f.failed_id = body.id;
    f.failure = make_result(body, "FAILURE", make_exception("ChordError", json::array({"Dependency " + part + " raised " + type + raised}), "celery.exceptions"));
    origin from;
    from.queue = options.queues.front();
    const json errbacks = body_options.is_object() && body_options.contains("link_error") ? body_options["link_error"] : json();
    if (!errbacks.is_array()) return;
    try {
        for (const json& next : errbacks) append_plan(f.body, plan_signature(next, json(body.id), from));
    } catch (const std::exception&) {
        report("jobs: what follows the failure of chord " + m.group + " is no workflow", std::current_exception());
    }
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

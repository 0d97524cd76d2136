// How a job ends: with a value, a failure, another try, or without anything.
#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>

#include <eddy/remote_exception.hpp>

#include "job_parts.hpp"

namespace eddy::jobs::detail {

namespace {

json limit_argument(double seconds) {
    return std::floor(seconds) == seconds ? json(static_cast<std::int64_t>(seconds)) : json(seconds);
}

/// A stored exception as events have it, which is Python's repr: ValueError('bad thing', 42).
std::string exception_repr(const json& stored) {
    std::string arguments = python_repr_tuple(stored.value("exc_message", json::array()));
    if (arguments.ends_with(",)")) arguments.erase(arguments.size() - 2, 1);
    return stored.value("exc_type", std::string()) + arguments;
}

/// What an exception is to the other side.
job_result result_of(const std::exception_ptr& error, const message& m) {
    const std::string at = m.task + "[" + m.id + "] in C++";
    try {
        std::rethrow_exception(error);
    } catch (const failure& f) {
        return failed_with(f.type(), f.arguments(), f.module(), at + "\n" + f.what());
    } catch (const remote_error& e) { // of another process: its own type, not that it came from there
        const std::string type = plain_name(e.type_name());
        return failed_with(type, json::array({std::string(e.message())}), "cpp", at + "\n" + e.what());
    } catch (const std::exception& e) {
        const std::string type = exception_name(e);
        return failed_with(type, json::array({std::string(e.what())}), "cpp", at + "\n" + type + ": " + e.what());
    } catch (...) {
        return failed_with("UnknownException", json::array({"an exception that is no std::exception"}), "cpp", at);
    }
}
/// The same of a function that was cancelled.
job_result result_of(job_end why) {
    if (why == job_end::soft_limit) return failed_with("SoftTimeLimitExceeded", json::array(), "billiard.exceptions");
    if (why == job_end::killed) return failed_with("WorkerLostError", json::array({"the job was killed by kill-horse"}), "billiard.exceptions");
    return revoked_for("terminated");
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

} // namespace

task<> worker_core::conclude(job_run& r) {
    const message& m = *r.job;
    const auto hard = limit_of(m.time_limit, r.task->options.time_limit);
    const bool done = r.function.done();
    const bool was_cancelled = done && r.function.cancelled();
    const std::exception_ptr error = done && !was_cancelled ? r.function.exception() : nullptr;
    if (r.end == job_end::time_limit) { // also of a function that returned after it: the limit counts
        if (!done || !r.task->function->is_coroutine()) {
            ++counts.abandoned;
            report("jobs: " + m.task + "[" + m.id + "] has gone beyond its time limit; its function is let go of", nullptr);
            let_go_of_thread(r);
            watch_let_go(r);
        }
        job_result late = failed_with("TimeLimitExceeded", list_of(limit_argument(*hard)), "billiard.exceptions");
        co_await settle(r, std::move(late));
        co_return;
    }
    if (was_cancelled) {
        if (!stopping) let_go_of_thread(r);
        if (r.end == job_end::given_back) co_return co_await give_back(r);
        job_result ended = result_of(r.end);
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
        std::string reason = "given out " + std::to_string(deliveries) + " times and rejected: " + request.what();
        co_return co_await bury_job(r, std::move(reason), r.claim.payload);
    }
    const std::string marked = broker->marked(r.claim.payload, deliveries);
    const auto back = [&]() { return broker->give_back(r.claim.tag, marked); };
    r.acknowledged = co_await insist("jobs: a job could not be given back; it is tried again", back);
}

/// A job that is not run any more has failed: those who wait for it, or for what was to follow it, hear why. RQ's broker stores that itself.
task<> worker_core::bury_job(job_run& r, std::string reason, std::string payload) {
    ++counts.dead;
    const message& m = *r.job;
    const dead_letter letter(r.claim.tag, r.claim.queue, reason, std::move(payload));
    const auto bury = [&]() { return broker->bury(letter); };
    if (!broker->record()) {
        const job_result dead = dead_for(reason);
        following f = plan_following(m, dead);
        const auto follow = [&]() { return send_successors(f); };
        const std::string text = dump_json(make_result(m, dead.state, dead.value));
        const auto store = [&]() { return broker->store(m.id, text, result_ttl); };
        bool told = co_await insist("jobs: what follows a job could not be sent; it is tried again", follow);
        if (told && !r.ignores_result()) told = co_await insist("jobs: a result could not be stored; it is tried again", store);
        if (!told) co_return; // it comes again when its lease is over
    }
    r.acknowledged = co_await insist("jobs: a dead letter could not be put away; it is tried again", bury);
}

/// The result first: the next run may be over before we come to it otherwise.
task<> worker_core::conclude_retry(job_run& r, const retry_request& request, const job_result& last) {
    if (broker->record()) co_return co_await retry_recorded(r, request.countdown() ? *request.countdown() : backoff_of(r.task->options, r.job->retries));
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
    const auto store = [&]() { return broker->store(next.id, result, result_ttl); };
    const auto send = [&]() { return broker->enqueue(o); };
    bool ok = true;
    if (!r.ignores_result()) ok = co_await insist("jobs: a result could not be stored; it is tried again", store);
    if (ok) ok = co_await insist("jobs: a retry could not be sent; it is tried again", send);
    if (ok) co_await acknowledge(r);
}

/// What failed runs again, with RQ: after `pause`, or as the job says itself. One step, in which its claim ends.
task<> worker_core::retry_recorded(job_run& r, std::optional<std::chrono::nanoseconds> pause) {
    ++counts.retried;
    const auto again = [&]() { return broker->record()->retry(r.claim.tag, pause); };
    if (co_await insist("jobs: a retry could not be sent; it is tried again", again)) r.acknowledged = true;
}
/// RQ's: the success's callback may still make it a failure.
task<> worker_core::run_callbacks(job_run& r, job_result& result) {
    const message& m = *r.job;
    if (!m.rq) co_return;
    if (result.ok() && !m.rq->on_success.empty()) {
        json args = list_of(result.value);
        if (const std::exception_ptr error = co_await run_callback(r, m.rq->on_success, std::move(args))) result = result_of(error, m);
    }
    if (result.state == "FAILURE" && !m.rq->on_failure.empty()) {
        json args = list_of(result.value["exc_type"]);
        args.push_back(result.value["exc_message"]);
        if (const std::exception_ptr error = co_await run_callback(r, m.rq->on_failure, std::move(args))) result = result_of(error, m);
    }
}

/// A result that cannot be stored as it is, is a failure.
void worker_core::require_storable(const message& m, job_result& result) const {
    std::size_t size = 0;
    try {
        size = dump_strict(result.value, "the result of " + m.task).size();
    } catch (const std::invalid_argument& e) {
        if (result.ok()) result = failed_with("ValueError", json::array({std::string(e.what())}), "builtins");
        size = dump_json(result.value).size(); // of a failure, such bytes are replaced
    }
    if (size > options.max_result)
        result = failed_with("ResultTooLarge", json::array({"the result of " + m.task + " has " + std::to_string(size) + " bytes; the limit is " + std::to_string(options.max_result)}), "cpp");
}

/// Stores how it ended, sends what follows, and acknowledges: in the order in which a crash loses nothing.
task<> worker_core::settle(job_run& r, job_result result) {
    const message& m = *r.job;
    co_await run_callbacks(r, result);
    if (result.state == "FAILURE" && m.rq && m.rq->retries > 0) co_return co_await retry_recorded(r, std::nullopt);
    require_storable(m, result);
    if (result.ok()) ++counts.succeeded;
    else if (result.state == "REVOKED") ++counts.revoked;
    else ++counts.failed;
    following f = plan_following(m, result);
    json children = json::array();
    for (const std::string& id : f.next.children) children.push_back(json::array({json::array({id, nullptr}), nullptr}));
    const auto follow = [&]() { return send_successors(f); };
    const bool followed = co_await insist("jobs: what follows a job could not be sent; it is tried again", follow);
    // Not acknowledged, it runs again when its lease is over, and what follows it is not lost.
    if (!followed && !r.acknowledged) co_return;
    const bool ignored = r.ignores_result();
    const std::chrono::nanoseconds ttl = ignored ? std::chrono::nanoseconds(0) : result_ttl;
    if (ignored && !broker->record()) {
        co_await acknowledge(r);
    } else {
        const std::string stored = dump_json(make_result(m, result.state, result.value, result.traceback, std::move(children)));
        const bool early = r.acknowledged;
        const auto finish = [&]() { return early ? broker->store(m.id, stored, ttl) : broker->finish(r.claim.tag, m.id, stored, ttl); };
        if (co_await insist("jobs: a result could not be stored; it is tried again", finish)) r.acknowledged = true;
    }
    if (!events) co_return;
    const double runtime = r.running ? to_unix(wall_now()) - to_unix(r.started) : 0;
    if (result.ok()) emit_task("task-succeeded", r, {{"result", python_repr(result.value)}, {"runtime", runtime}});
    else if (result.state == "REVOKED") emit_task("task-revoked", r, {{"terminated", r.end == job_end::terminated}, {"signum", nullptr}, {"expired", r.end == job_end::none}});
    else emit_task("task-failed", r, {{"exception", exception_repr(result.value)}, {"traceback", result.traceback}});
}

} // namespace eddy::jobs::detail

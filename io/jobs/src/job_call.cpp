// A job's function: where it runs, what it reports meanwhile, and its limits.
#include <algorithm>
#include <atomic>
#include <unistd.h>

#include <eddy/offload.hpp>
#include <eddy/progress.hpp>
#include <eddy/spawn.hpp>
#include <eddy/timeout.hpp>
#include <eddy/wait.hpp>

#include "client_core.hpp"
#include "job_parts.hpp"

namespace eddy::jobs::detail {

namespace {

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

/// Of a call on a thread, which has it until it is over and destroyed: says so, if the function was let go of.
class thread_call_end {
public:
    thread_call_end(std::shared_ptr<eddy::detail::mailbox> mail, std::weak_ptr<worker_core> w) : mail_(std::move(mail)), worker_(std::move(w)) {}
    thread_call_end(const thread_call_end&) = delete;
    thread_call_end& operator=(const thread_call_end&) = delete;
    ~thread_call_end() {
        if (!let_go_.load(std::memory_order_acquire)) return;
        try {
            progress_message::send(*mail_, [w = worker_] {
                if (const auto self = w.lock()) self->function_gone();
            });
        } catch (...) { // no memory: the worker waits for its grace
        }
    }
    /// Loop thread.
    void let_go() noexcept {
        if (const auto self = worker_.lock()) self->function_let_go();
        let_go_.store(true, std::memory_order_release);
    }

private:
    std::shared_ptr<eddy::detail::mailbox> mail_;
    std::weak_ptr<worker_core> worker_;
    std::atomic<bool> let_go_{false};
};

task<json> call_on_thread(std::shared_ptr<worker_pool> pool, std::shared_ptr<handler> h, std::shared_ptr<context> c, arguments a, std::shared_ptr<thread_call_end> end) {
    const task_local_scope reporting = eddy::detail::with_report_target(std::make_shared<job_reports>(c));
    const auto given = std::make_shared<arguments>(std::move(a));
    auto call = [h, c, given, end] { return h->call(*c, std::move(*given)); };
    auto op = offload(*pool, abandon, std::move(call));
    try {
        co_return co_await op;
    } catch (const operation_cancelled&) {
        end->let_go();
        throw;
    }
}

} // namespace

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
    if (r.ended || r.ignores_result() || is_final(said.state)) return;
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
    co_await broker->store(std::move(id), std::move(text), result_ttl);
}

task<json> worker_core::start_function(job_run& r) {
    arguments a;
    a.positional = r.job->args;
    a.named = r.job->kwargs;
    return start_handler(*r.task, make_context(r), std::move(a));
}
task<json> worker_core::start_handler(const registered_task& t, std::shared_ptr<context> c, arguments a) {
    const bool on_loop = t.function->is_coroutine() || t.options.where == run_on::loop;
    if (!on_loop) return call_on_thread(threads_, t.function, std::move(c), std::move(a), std::make_shared<thread_call_end>(mail_, weak_from_this()));
    // What the function throws before its first step is its failure as well.
    return [](std::shared_ptr<handler> f, std::shared_ptr<context> ctx, arguments args) -> task<json> {
        const task_local_scope reporting = eddy::detail::with_report_target(std::make_shared<job_reports>(ctx));
        auto running = f->run(std::move(ctx), std::move(args));
        co_return co_await std::move(running);
    }(t.function, std::move(c), std::move(a));
}

/// What it threw, if it threw something.
task<std::exception_ptr> worker_core::run_callback(job_run& r, const std::string& callback, json args) {
    constexpr std::chrono::seconds patience(60); // RQ's
    try {
        const auto at = tasks.find(callback);
        if (at == tasks.end()) throw failure("NotRegistered", "this worker has no callback " + callback);
        arguments a;
        a.positional = std::move(args);
        auto running = start_handler(at->second, make_context(r), std::move(a));
        const auto call = [&](cancel_scope&) -> task<> { static_cast<void>(co_await std::move(running)); };
        if (!co_await move_on_after(patience, call)) throw failure("JobTimeoutException", callback + " has run for more than 60 seconds");
        co_return nullptr;
    } catch (const std::exception&) {
        co_return std::current_exception();
    }
}

task<> worker_core::execute(job_run& r, limiter_token& slot) {
    const counted active(counts.active);
    if (r.task->options.acks_early) {
        const auto ack = [&]() { return broker->acknowledge(r.claim.tag); };
        r.acknowledged = co_await insist("jobs: a job could not be acknowledged; it is tried again", ack, &r);
        if (!r.acknowledged) co_return; // at most once: its claim may be another's by now, or comes again when its lease is over
    }
    r.started = wall_now();
    if (broker->record()) {
        bool may_run = true;
        const auto start = [&]() -> task<> { may_run = co_await broker->record()->start(r.claim.tag); };
        const bool noted = co_await insist("jobs: that a job starts could not be noted; it is tried again", start);
        if (!noted) co_return co_await give_back(r);
        if (!may_run) co_return co_await acknowledge(r); // canceled, or deleted, since it was claimed
    }
    emit_task("task-started", r);
    if (options.track_started && !r.ignores_result()) {
        json state = make_result(*r.job, "STARTED", {{"pid", ::getpid()}, {"hostname", name}});
        try {
            co_await store_state(r.job->id, std::move(state));
        } catch (const std::exception&) { // it is for those who look on: the job runs all the same
            report("jobs: that a job has started could not be stored", std::current_exception());
        }
    }
    // No child of the group: a function that is let go of would be waited for at the worker's end.
    {
        const task_local_scope job = with_current_job(r.job); // what the function sends is its child
        r.function = spawn(start_function(r), {.name = r.job->task});
    }
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

/// A coroutine that goes on behind its shields.
void worker_core::watch_let_go(const job_run& r) {
    if (r.function.done()) return;
    function_let_go();
    spawn([](std::shared_ptr<worker_core> self, task_handle<json> running) -> task<> {
        auto ended = running.join();
        co_await shielded(ended);
        self->function_gone();
    }, shared_from_this(), r.function);
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

} // namespace eddy::jobs::detail

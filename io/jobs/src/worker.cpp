#include <eddy/jobs/worker.hpp>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <thread>

#include <eddy/offload.hpp>
#include <eddy/sleep.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

#include "worker_core.hpp"

namespace eddy::jobs {

namespace detail {

void job_run::finish_early(job_end why, const char* reason) {
    // Asked to stop by its soft limit, it may go on as it likes: the others end it all the same.
    if (end != job_end::none && end != job_end::soft_limit) return;
    end = why;
    stop.request_stop();
    if (function)
        function.cancel(reason);
    else
        waiting.cancel(reason);
}

worker_core::worker_core(std::string url, worker_options o) : options(std::move(o)), settings(std::make_shared<broker_settings>()) {
    const bool rq = options.protocol == protocol::rq;
    lease = options.visibility_timeout.value_or(rq ? std::chrono::nanoseconds(std::chrono::seconds(90)) : std::chrono::hours(1));
    result_ttl = options.result_ttl.value_or(rq ? std::chrono::nanoseconds(std::chrono::seconds(500)) : std::chrono::hours(24));
    if (rq) options.prefetch = 1;
    if (lease <= std::chrono::nanoseconds(0)) throw std::invalid_argument("jobs: the visibility timeout must be positive");
    if (options.sweep <= std::chrono::nanoseconds(0)) options.sweep = std::min<std::chrono::nanoseconds>(lease / 3, std::chrono::seconds(10));
    if (options.queues.empty()) options.queues.emplace_back(rq ? "default" : "celery");
    queues = options.queues;
    name = options.name;
    if (name.empty()) {
        name = rq ? make_uuid() : "eddy@" + host_name();
        if (rq) std::erase(name, '-');
    }
    if (!rq && name.find('@') == name.npos) name += "@" + host_name();
    concurrency_ = options.concurrency != 0 ? options.concurrency : std::max(1U, std::thread::hardware_concurrency());
    events = options.events;
    settings->url = std::move(url);
    settings->results = options.results;
    settings->key_prefix = options.key_prefix;
    settings->protocol = options.protocol;
    settings->poll = options.poll;
    settings->worker = name;
    settings->lease = lease;
    settings->scheduler = options.scheduler;
}
worker_core::~worker_core() {
    if (threads_) old_threads_.push_back(std::move(threads_));
    for (const auto& pool : old_threads_) static_cast<void>(pool->shutdown(std::chrono::seconds(0)));
}
/// New threads for what starts from now on.
void worker_core::renew_threads() {
    std::erase_if(old_threads_, [](const auto& pool) { return pool->running() == 0 && pool->queued() == 0; });
    if (threads_) old_threads_.push_back(std::move(threads_));
    threads_ = std::make_shared<worker_pool>(worker_pool_options{.threads = concurrency_, .name = "job"});
}
/// The thread of a function that was cancelled is lost until the function returns: the next ones need another.
void worker_core::let_go_of_thread(const job_run& r) {
    if (!r.task->function->is_coroutine() && r.task->options.where != run_on::loop) renew_threads();
}
/// They may use what whoever serves is about to destroy.
task<> worker_core::wait_for_let_go() {
    if (let_go_ == 0) co_return;
    all_gone_.clear();
    const auto all = [&](cancel_scope&) -> task<> { co_await all_gone_.wait(); };
    static_cast<void>(co_await with_shield(options.grace, all));
}
/// How many of them are not free.
std::size_t worker_core::release_threads() {
    std::size_t n = 0;
    old_threads_.push_back(std::move(threads_));
    for (const auto& pool : old_threads_) {
        for (const std::string& stuck : pool->shutdown(std::chrono::seconds(0))) {
            report("jobs: a function still runs at the worker's end: " + stuck, nullptr);
            ++n;
        }
    }
    old_threads_.clear();
    return n;
}

void worker_core::add(std::string task, std::shared_ptr<handler> h, task_options o) {
    if (served_) throw std::logic_error("jobs: " + task + " is added to a worker that serves already");
    if (h->is_coroutine() && o.where == run_on::threads) throw std::invalid_argument("jobs: " + task + " is a coroutine, which runs on the loop");
    registered_task r;
    r.function = std::move(h);
    r.options = std::move(o);
    if (!tasks.emplace(task, std::move(r)).second) throw std::invalid_argument("jobs: there are two tasks '" + task + "'");
}

void worker_core::report(std::string_view what, std::exception_ptr error) const noexcept {
    eddy::detail::current().loop->report({.message = what, .exception = std::move(error), .task_name = name});
}

/// It was not cut off, or stopped, for so long that another worker may have the job by now. What is asked of the broker arrives later.
bool worker_core::holds(const job_run& r) const noexcept {
    return loop_clock::now() - r.leased < lease / 4 * 3;
}

task<bool> worker_core::insist(const char* what, std::function<task<>()> action, const job_run* r) {
    const auto begin = loop_clock::now();
    std::chrono::nanoseconds pause = std::chrono::milliseconds(50);
    for (bool told = false;; told = true) {
        if (r && !holds(*r)) co_return false;
        std::exception_ptr error;
        try {
            co_await action();
            co_return true;
        } catch (const std::exception&) {
            error = std::current_exception();
        }
        if (!told) report(what, error);
        if (stopping || loop_clock::now() - begin > lease) co_return false;
        co_await sleep_for(pause);
        pause = std::min<std::chrono::nanoseconds>(2 * pause, std::chrono::seconds(1));
    }
}

std::size_t worker_core::busy_count() const noexcept {
    return arriving_ + claimed_.size() - std::min(claimed_.size(), aside_);
}

std::size_t worker_core::room() const noexcept {
    const std::size_t most = concurrency_ * std::max<std::size_t>(1, options.prefetch);
    const std::size_t busy = busy_count();
    constexpr std::size_t most_aside = 100'000; // in the next minutes; beyond, they wait in their queue
    return busy >= most || aside_ >= most_aside ? 0 : most - busy;
}
void worker_core::count_changed() noexcept {
    room_changed_.set();
    room_changed_.clear();
}

/// When there is something to do for it, or room for a batch: a claim for each job that ends would be slow.
bool worker_core::claim_now() const noexcept {
    if (draining || queues.empty() || room() == 0) return false;
    const std::size_t busy = busy_count();
    return busy < concurrency_ || 2 * room() >= concurrency_ * std::max<std::size_t>(1, options.prefetch);
}

task<> worker_core::claim_loop(supervisor_group& jobs) {
    std::chrono::nanoseconds pause = std::chrono::milliseconds(50);
    while (!draining) {
        while (!draining && !claim_now()) co_await room_changed_.wait();
        if (draining) break;
        std::vector<delivery> batch;
        cancel_scope scope;
        claiming_ = &scope;
        std::exception_ptr error;
        try {
            const auto claim = [&](cancel_scope&) -> task<> { batch = co_await broker->claim(queues, room()); };
            co_await with_scope(scope, claim);
        } catch (const std::exception&) {
            error = std::current_exception();
        }
        claiming_ = nullptr;
        for (delivery& d : batch) {
            jobs.spawn([self = shared_from_this()](delivery one) -> task<> { co_await self->run_job(std::move(one)); }, {.name = "job"}, std::move(d));
            ++arriving_;
        }
        if (!error) {
            pause = std::chrono::milliseconds(50);
            continue;
        }
        report("jobs: claiming failed; it is tried again", error);
        co_await sleep_for(pause);
        pause = std::min<std::chrono::nanoseconds>(2 * pause, std::chrono::seconds(1));
    }
}

task<> worker_core::refresh_loop() {
    for (;;) {
        co_await sleep_for(lease / 3);
        std::vector<std::string> tags;
        for (const auto& [tag, run] : claimed_)
            if (!run->acknowledged) tags.push_back(tag);
        if (tags.empty()) continue;
        auto begin = loop_clock::now();
        const auto refresh = [&]() {
            begin = loop_clock::now();
            return broker->refresh(tags);
        };
        if (!co_await insist("jobs: claims could not be refreshed; it is tried again", refresh)) continue;
        for (const std::string& tag : tags) {
            const auto at = claimed_.find(tag);
            if (at == claimed_.end()) continue;
            job_run& r = *at->second;
            if (begin - r.leased < lease / 4 * 3) r.leased = std::max(r.leased, begin); // else what was renewed may be another's claim
        }
    }
}

task<> worker_core::sweep_loop() {
    for (;; co_await sleep_for(options.sweep)) {
        try {
            const int most = broker->record() ? options.max_deliveries : std::numeric_limits<int>::max(); // else `run_claimed` counts
            counts.restored += co_await broker->restore(lease, most);
        } catch (const std::exception&) {
            report("jobs: looking for expired claims failed; it is tried again", std::current_exception());
        }
    }
}

/// With RQ, jobs that wait for their time are nobody's: one of the workers moves them to their queues.
task<> worker_core::schedule_loop() {
    for (;;) {
        std::chrono::nanoseconds pause = std::chrono::seconds(1);
        try {
            pause = co_await broker->record()->move_scheduled(queues);
        } catch (const std::exception&) {
            report("jobs: moving scheduled jobs failed; it is tried again", std::current_exception());
        }
        co_await sleep_for(pause);
    }
}
task<> worker_core::note_shutdown() {
    try {
        co_await broker->record()->shutting_down();
    } catch (const std::exception&) { // it is for those who look on
    }
}
task<> worker_core::end_record() {
    if (!broker->record()) co_return;
    try {
        co_await broker->record()->death(queues);
    } catch (const std::exception&) { // it ends by itself after some minutes
        report("jobs: the worker's end could not be noted", std::current_exception());
    }
}

/// Claims no more, gives back what has not started, and lets the others end.
task<> worker_core::drain() {
    if (!draining && broker->record() && jobs_) jobs_->spawn(note_shutdown());
    draining = true;
    if (claiming_) claiming_->cancel("the worker is shutting down");
    count_changed();
    std::vector<job_run*> all;
    for (const auto& [tag, run] : claimed_) all.push_back(run);
    for (job_run* run : all)
        if (!run->running) run->finish_early(job_end::given_back, "the worker is shutting down");
    if (stopping)
        for (job_run* run : all) run->finish_early(job_end::given_back, "the worker was stopped");
    co_return;
}

task<> worker_core::run_services(supervisor_group& jobs) {
    supervisor_group services;
    const auto body = [&](supervisor_group& g) -> task<> {
        g.spawn(claim_loop(jobs), {.name = "jobs: claim"});
        g.spawn(refresh_loop(), {.name = "jobs: refresh"});
        g.spawn(sweep_loop(), {.name = "jobs: sweep"});
        g.spawn(control_loop(), {.name = "jobs: control"});
        g.spawn(heartbeat_loop(), {.name = "jobs: heartbeat"});
        if (broker->record() && options.scheduler) g.spawn(schedule_loop(), {.name = "jobs: schedule"});
        co_await this_task::yield();
        consuming.set();
        while (!draining) {
            co_await ended_.wait();
            ended_.clear();
            co_await drain();
        }
        while (!claimed_.empty()) {
            co_await ended_.wait(); // the last job says so; a cold shutdown may come meanwhile
            ended_.clear();
            if (stopping) co_await drain();
        }
        emit("worker-offline", json::object());
        co_await end_record();
        g.cancel("the worker has ended");
    };
    co_await with_task_group(services, body);
}

task<> worker_core::serve_within() {
    supervisor_group jobs;
    const auto body = [&](supervisor_group& g) -> task<> {
        jobs_ = &g;
        co_await run_services(g);
    };
    std::exception_ptr error;
    try {
        co_await with_task_group(jobs, body);
    } catch (...) {
        error = std::current_exception();
    }
    jobs_ = nullptr;
    consuming.clear();
    co_await wait_for_let_go();
    const std::size_t on_threads = release_threads();
    if (let_go_ > on_threads) report("jobs: coroutines that were let go of still run at the worker's end: " + std::to_string(let_go_ - on_threads), nullptr);
    if (error) std::rethrow_exception(error);
}

task<> worker_core::serve() {
    if (served_) throw std::logic_error("jobs: a worker serves once");
    served_ = true;
    mail_ = eddy::detail::mailbox_of(*eddy::detail::current().loop);
    started_ = wall_now();
    slots_.set_total(static_cast<std::ptrdiff_t>(concurrency_));
    renew_threads();
    broker = co_await open_broker(settings);
    for (const std::string& q : queues) co_await broker->declare(q);
    if (broker->record()) co_await broker->record()->birth(queues);
    co_await broker->listen();
    emit("worker-online", json::object());
    // A task of its own: when this one is cancelled, jobs have some time to end.
    task_handle<> main = spawn(serve_within(), {.name = "jobs: worker"});
    auto ended = main.join();
    const outcome<> waited = co_await as_result(ended);
    if (waited.cancelled()) {
        shutdown();
        const auto end = [&]() -> task<> {
            auto warm = main.join();
            const auto in_time = [&](cancel_scope&) -> task<> { co_await std::move(warm); };
            if (co_await move_on_after(options.grace, in_time)) co_return;
            stop();
            co_await main.join();
        };
        co_await with_shield(end);
    }
    main.result();
    co_await this_task::checkpoint();
}

void worker_core::shutdown() {
    ended_.set();
}
void worker_core::stop() {
    stopping = true;
    ended_.set();
}

} // namespace detail

worker::worker(std::string url, worker_options options) : core_(std::make_shared<detail::worker_core>(std::move(url), std::move(options))) {}
worker::~worker() {
    core_->stop();
}
worker& worker::add_handler(std::string name, std::unique_ptr<detail::handler> h, task_options options) {
    core_->add(std::move(name), std::move(h), std::move(options));
    return *this;
}
task<> worker::serve() {
    return [](std::shared_ptr<detail::worker_core> core) -> task<> { co_await core->serve(); }(core_);
}
void worker::shutdown() {
    core_->shutdown();
}
void worker::stop() {
    core_->stop();
}
bool worker::ready() const noexcept {
    return core_->consuming.is_set();
}
task<> worker::wait_ready() {
    return [](std::shared_ptr<detail::worker_core> core) -> task<> { co_await core->consuming.wait(); }(core_);
}
worker_statistics worker::stats() const {
    return core_->counts;
}
const std::string& worker::name() const noexcept {
    return core_->name;
}

} // namespace eddy::jobs

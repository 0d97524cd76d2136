// What a worker is made of: jobs that it has claimed (job_run, job_call, job_end, job_successors), loops that claim, refresh, sweep and listen, and their ends.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include <eddy/cancel_scope.hpp>
#include <eddy/capacity_limiter.hpp>
#include <eddy/detail/mailbox.hpp>
#include <eddy/event.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/jobs/worker.hpp>
#include <eddy/supervisor_group.hpp>
#include <eddy/worker_pool.hpp>

#include "broker.hpp"
#include "canvas.hpp"
#include "message.hpp"

namespace eddy::jobs::detail {

struct registered_task {
    std::shared_ptr<handler> function;
    task_options options;
    loop_clock::time_point next_start{}; // by its rate limit
    loop_clock::time_point next_return{}; // the turn after those of the jobs that were put off
    std::uint64_t received = 0;
};

/// Why a job ended before its function did.
enum class job_end : unsigned char { none, given_back, revoked, terminated, killed, soft_limit, time_limit };

/// What a function says of itself while it runs.
class reported_state {
public:
    reported_state(json m, std::string s) : meta(std::move(m)), state(std::move(s)) {}
    json meta;
    std::string state;
};

/// A job that this worker has claimed, until it is acknowledged or given back.
class job_run {
public:
    job_run(delivery d, message m) : claim(std::move(d)), job(std::make_shared<message>(std::move(m))) {}
    delivery claim;
    std::shared_ptr<const message> job;
    registered_task* task = nullptr;
    bool running = false;
    bool scheduled = false; // waits for its time
    bool acknowledged = false;
    loop_clock::time_point leased = loop_clock::now(); // the lease begins no earlier
    job_end end = job_end::none;
    wall_time started{};
    cancel_scope waiting;       // until it may run
    std::stop_source stop;
    task_handle<json> function; // while it runs
    bool ended = false; // what it reports now comes after its end
    std::optional<reported_state> reported; // the latest, if it is not being stored yet
    bool storing = false;
    event stored;

    /// Nobody wants to know how it ends, or what it says before.
    [[nodiscard]] bool ignores_result() const noexcept { return job->ignore_result || (task && task->options.ignore_result); }
    /// Ends it, wherever it is.
    void finish_early(job_end why, const char* reason);
};

/// The outcome of a function, as it is stored. Not an aggregate (trap T1).
class job_result {
public:
    job_result() = default;
    std::string state = "SUCCESS";
    json value;
    std::string traceback;
    [[nodiscard]] bool ok() const { return state == "SUCCESS"; }
};

/// The part of a chord that has ended. Not an aggregate (trap T1).
class chord_part {
public:
    chord_part(message m, job_result r) : member(std::move(m)), result(std::move(r)) {}
    message member; // its ids and its chord
    job_result result;
};

/// What the end of a job sends. It is planned once: tried again, nothing is sent twice, or under another id.
class following {
public:
    plan next;
    std::vector<std::pair<std::string, json>> unreached; // results of what follows it and will not run
    std::optional<chord_part> part;  // of the chord it is a part of
    bool part_stored = false;
    bool ends_chord = false;
    plan body;                       // what then follows
    std::optional<chord_part> outer; // a chord that failed may be part of another one
    std::vector<std::string> ended;  // chords, the inner ones first
};

class worker_core : public std::enable_shared_from_this<worker_core> {
public:
    worker_core(std::string url, worker_options o);
    ~worker_core();

    // --- worker.cpp
    void add(std::string name, std::shared_ptr<handler> h, task_options options);
    task<> serve();
    void shutdown();
    void stop();
    /// The loop's exception handler gets it: the worker goes on.
    void report(std::string_view what, std::exception_ptr error) const noexcept;
    /// Does it again and again until the broker has taken it, for as long as the lease can be kept; false if it gave up.
    /// With `r`: only as long as its claim is this worker's for sure.
    task<bool> insist(const char* what, std::function<task<>()> action, const job_run* r = nullptr);

    // --- job_run.cpp
    task<> run_job(delivery d);

    // --- job_call.cpp
    /// A function goes on though nobody waits for it; it has returned, and is gone.
    void function_let_go() noexcept { ++let_go_; }
    void function_gone() noexcept {
        if (--let_go_ == 0) all_gone_.set();
    }

    // --- worker_control.cpp
    task<> control_loop();
    task<> heartbeat_loop();
    void emit(std::string_view type, json fields);
    void emit_task(std::string_view type, const job_run& r, json more = json::object());

    worker_options options;
    std::shared_ptr<broker_settings> settings;
    std::string name;
    std::chrono::nanoseconds lease{};      // of a claim
    std::chrono::nanoseconds result_ttl{}; // of jobs that say nothing of it
    std::map<std::string, registered_task, std::less<>> tasks;
    broker_ptr broker;
    worker_statistics counts;
    std::vector<std::string> queues;
    event consuming;
    bool draining = false;  // a warm shutdown has begun
    bool stopping = false;  // a cold one
    bool events = false;

private:
    // worker.cpp
    task<> run_services(supervisor_group& jobs);
    task<> serve_within();
    task<> claim_loop(supervisor_group& jobs);
    task<> refresh_loop();
    task<> sweep_loop();
    task<> schedule_loop();
    task<> note_shutdown();
    task<> end_record();
    task<> drain();
    [[nodiscard]] std::size_t busy_count() const noexcept;
    [[nodiscard]] std::size_t room() const noexcept;
    void count_changed() noexcept;
    [[nodiscard]] bool claim_now() const noexcept;
    [[nodiscard]] bool holds(const job_run& r) const noexcept;
    void renew_threads();
    void let_go_of_thread(const job_run& r);
    task<> wait_for_let_go();
    [[nodiscard]] std::size_t release_threads();
    // job_run.cpp, job_call.cpp, job_end.cpp, job_successors.cpp
    task<> run_claimed(job_run& r);
    [[nodiscard]] std::optional<std::chrono::nanoseconds> long_wait(job_run& r) const;
    task<bool> put_off(job_run& r, std::chrono::nanoseconds pause);
    task<> wait_for_rate(registered_task& t);
    task<bool> wait_turn(job_run& r, limiter_token& slot);
    task<> wait_until_due(job_run& r, limiter_token& slot);
    task<> execute(job_run& r, limiter_token& slot);
    [[nodiscard]] task<json> start_function(job_run& r);
    [[nodiscard]] task<json> start_handler(const registered_task& t, std::shared_ptr<context> c, arguments a);
    task<std::exception_ptr> run_callback(job_run& r, const std::string& callback, json args);
    task<> supervise(job_run& r);
    void watch_let_go(const job_run& r);
    task<> wait_for_function(job_run& r, std::optional<double> limit, job_end why);
    task<> conclude(job_run& r);
    task<> conclude_retry(job_run& r, const retry_request& request, const job_result& last);
    task<> retry_recorded(job_run& r, std::optional<std::chrono::nanoseconds> pause);
    task<> run_callbacks(job_run& r, job_result& result);
    task<> conclude_reject(job_run& r, const reject& request);
    task<> bury_job(job_run& r, std::string reason, std::string payload);
    task<> settle(job_run& r, job_result result);
    void require_storable(const message& m, job_result& result) const;
    [[nodiscard]] following plan_following(const message& m, const job_result& result) const;
    void plan_each(plan& p, const json& all, const json& argument, const origin& from, const std::string& what) const;
    void plan_chain_after(following& f, const message& m, const job_result& result) const;
    task<> send_successors(following& f);
    task<> send_chord_end(following& f);
    task<> store_unreached(following& f);
    void plan_chord_end(following& f, const message& m, const std::vector<std::string>& parts) const;
    void plan_chord_failure(following& f, const message& m, const std::string& part, const json& exception) const;
    task<> give_back(job_run& r);
    task<> acknowledge(job_run& r);
    task<> store_state(std::string id, json result);
    void take_progress(const std::string& tag, reported_state report);
    task<> store_progress(job_run& r);
    task<> requeue(delivery d);
    task<bool> ran_before(job_run& r);
    task<> tell_dead(std::string payload, std::string wrong);
    [[nodiscard]] std::shared_ptr<context> make_context(job_run& r);
    // worker_control.cpp
    task<> handle_control(std::string text);
    [[nodiscard]] json run_control(const std::string& method, const json& arguments);
    [[nodiscard]] json control_hello(const json& arguments);
    [[nodiscard]] json control_revoke(const json& arguments);
    [[nodiscard]] json control_pool(const std::string& method, const json& arguments);
    [[nodiscard]] json control_consumer(const std::string& method, const json& arguments);
    [[nodiscard]] json control_end(const std::string& method, const json& arguments);
    [[nodiscard]] json control_limits(const std::string& method, const json& arguments);
    [[nodiscard]] json list_jobs(bool (*which)(const job_run&)) const;
    [[nodiscard]] json describe(const job_run& r) const;
    [[nodiscard]] json statistics() const;
    [[nodiscard]] json list_tasks() const;
    [[nodiscard]] bool is_for_us(const json& command) const;
    void remember_revoked(const std::string& id);

    std::shared_ptr<eddy::detail::mailbox> mail_; // outlives the loop
    bool served_ = false;
    std::size_t concurrency_ = 1;
    capacity_limiter slots_{1};
    std::shared_ptr<worker_pool> threads_;
    std::vector<std::shared_ptr<worker_pool>> old_threads_; // a function of theirs may still run
    std::unordered_map<std::string, job_run*> claimed_; // by tag
    std::size_t arriving_ = 0; // claimed, and not in there
    std::size_t aside_ = 0;    // of the claimed: those that take up no room, for their time is not near enough
    class arrival;
    std::size_t let_go_ = 0;   // functions that still run
    event all_gone_;
    event room_changed_;
    event ended_;       // somebody asked for the end
    cancel_scope* claiming_ = nullptr;
    supervisor_group* jobs_ = nullptr;
    std::unordered_set<std::string> revoked_;
    std::deque<std::string> revoked_order_;
    class sole_run;
    std::unordered_set<std::string> ids_that_run_; // with `deduplicate`
    std::uint64_t clock_ = 0;
    wall_time started_{};
};

} // namespace eddy::jobs::detail

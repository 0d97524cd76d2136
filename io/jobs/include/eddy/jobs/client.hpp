// jobs::client: enqueue jobs by name, and wait for their results.
//
//     jobs::client jc = co_await jobs::connect("redis://127.0.0.1:6379/0");
//     std::string id = co_await jc.send("tasks.add", 2, 3);
//     int five = co_await jc.result<int>(id);
//     int again = co_await jc.call<int>("tasks.add", 2, 3);
//     co_await jc.send("tasks.report", {.countdown = 1h, .priority = 3}, "monthly");
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/jobs/binding.hpp>
#include <eddy/jobs/error.hpp>
#include <eddy/jobs/json.hpp>
#include <eddy/jobs/rq.hpp>
#include <eddy/jobs/signature.hpp>
#include <eddy/task.hpp>

namespace eddy::jobs {

/// What is spoken over Redis: Celery's protocol 2 (1 is understood), or RQ's with its JSON serialiser. RQ has no priorities, no soft
/// limits, no headers, no workflows, and no remote control but `shutdown`, `kill-horse` and `stop-job`: who asks for them gets an `error`.
enum class protocol : unsigned char { celery, rq };

/// How a client connects. All texts are copied by the call.
struct connect_options {
    jobs::protocol protocol = jobs::protocol::celery;
    std::string_view results = {};      // where results are, if not where the jobs are: redis://127.0.0.1:6379/1
    std::string_view queue = {};        // of jobs that say nothing else; empty: "celery", with RQ "default"
    std::string_view key_prefix = {};   // in front of all keys and channels; Celery's global_keyprefix, RQ has none
    std::chrono::nanoseconds result_ttl = std::chrono::hours(24);
    std::chrono::nanoseconds poll = std::chrono::milliseconds(100); // sqlite: how often another process's doings are looked for
};

/// How a job is sent. Trivially destructible: it can be written inside a `co_await` expression. All texts are copied.
struct send_options {
    std::string_view id = {};    // a new UUID, if it is empty
    std::string_view queue = {}; // the client's, if it is empty
    int priority = 0;            // 0 to 9; 0 is served first, and 9 last
    std::optional<std::chrono::nanoseconds> countdown = {};           // it starts so much later, or …
    std::optional<std::chrono::system_clock::time_point> eta = {};    // … not before this
    std::optional<std::chrono::nanoseconds> expires = {};             // not started by then, it is revoked
    std::optional<std::chrono::nanoseconds> soft_time_limit = {};     // over the task's own: stop is requested
    std::optional<std::chrono::nanoseconds> time_limit = {};          // over the task's own: it has failed
    bool ignore_result = false;          // nothing is stored, failures neither
    const json* named = nullptr;         // keyword arguments: an object
    const json* headers = nullptr;       // custom headers: an object
    const signature* on_success = nullptr;
    const signature* on_error = nullptr;
    const rq_options* rq = nullptr;      // with RQ's protocol only
};

/// What is known of a job. `state` is Celery's: PENDING (also of an id that nobody has heard of), STARTED, RETRY, SUCCESS, FAILURE,
/// REVOKED, or one of a task's own. Not an aggregate (trap T1).
class job_status {
public:
    job_status() : state("PENDING") {}
    explicit job_status(json stored);
    std::string state;
    json result;           // value, failure {"exc_type", "exc_message", …}, or what `context::progress` stored
    std::string traceback;
    json children = json::array();
    /// Is it over?
    [[nodiscard]] bool ready() const noexcept;
    /// The value of a success; throws `task_failed` or `task_revoked`, `error` if it is not over.
    [[nodiscard]] json value() const;
};

/// A message that no worker could do anything with. Not an aggregate.
class dead_letter {
public:
    dead_letter(std::string t, std::string q, std::string r, std::string p)
        : tag(std::move(t)), queue(std::move(q)), reason(std::move(r)), payload(std::move(p)) {}
    std::string tag; // what `revive` takes
    std::string queue;
    std::string reason;
    std::string payload; // as it came
};

struct revoke_options {
    bool terminate = false; // also if it runs: stop is requested, or its coroutine is cancelled
    std::string_view signal = "SIGTERM"; // for workers with processes
};

// They are written into co_await expressions (trap T1).
static_assert(std::is_trivially_destructible_v<connect_options> && std::is_trivially_destructible_v<send_options> &&
              std::is_trivially_destructible_v<revoke_options>);

namespace detail {
class client_core;
template <class... A>
[[nodiscard]] json pack(A&&... args) {
    json all = json::array();
    (all.push_back(json(std::forward<A>(args))), ...);
    return all;
}
template <class... A>
inline constexpr bool first_is_options = false;
template <class T, class... A>
inline constexpr bool first_is_options<T, A...> = std::same_as<std::remove_cvref_t<T>, send_options>;
template <class R>
task<R> typed_result(task<json> from, std::string what) {
    const json v = co_await std::move(from);
    if constexpr (std::is_void_v<R>)
        co_return;
    else
        co_return json_as<R>(v, what);
}
} // namespace detail

/// A client. Copies are the same client, which belongs to the thread of one loop.
///
/// All verbs are tasks with arguments that the call has copied: checkpoints; cancelled before it was sent, nothing has happened;
/// later, the job may have been sent. They throw what the broker does: `redis::error`, `redis::connection_lost` and `timeout_error`
/// over Redis, `jobs::error` for a file that SQLite cannot use.
class client {
public:
    /// Awaitable: the id of the job, which is in its queue then. Arguments are what nlohmann-json makes JSON of. A priority beyond 0…9, or
    /// `named` that is no object: `std::invalid_argument`, from the call itself.
    template <class... A>
        requires(!detail::first_is_options<A...>)
    task<std::string> send(std::string_view name, A&&... args) {
        return send_json(std::string(name), detail::pack(std::forward<A>(args)...), send_options{});
    }
    template <class... A>
    task<std::string> send(std::string_view name, const send_options& how, A&&... args) {
        return send_json(std::string(name), detail::pack(std::forward<A>(args)...), how);
    }
    /// The same with a list of arguments.
    task<std::string> send_json(std::string name, json args, const send_options& how = {});
    /// Awaitable: sends what can be sent now of a workflow; the id of its result: the last step's, a group's, a chord's body.
    task<std::string> send(const signature& workflow);

    /// Awaitable: sends the job and waits for its value. Throws `task_failed`, `task_revoked`, and `bad_arguments` for a value that is no
    /// R. Cancelled, the job goes on: `revoke` it.
    template <class R = json, class... A>
        requires(!detail::first_is_options<A...>)
    task<R> call(std::string_view name, A&&... args) {
        return detail::typed_result<R>(call_json(std::string(name), detail::pack(std::forward<A>(args)...), send_options{}), "the result of " + std::string(name));
    }
    template <class R = json, class... A>
    task<R> call(std::string_view name, const send_options& how, A&&... args) {
        return detail::typed_result<R>(call_json(std::string(name), detail::pack(std::forward<A>(args)...), how), "the result of " + std::string(name));
    }
    /// Awaitable: the value of a job that was sent before, by whomever, as soon as it is there. A dead letter has failed with `DeadLetter`
    /// and its reason, and so has what was to follow it. A job whose results are ignored, or that was rejected or ignored by its function,
    /// has none, as with Celery, and this waits for ever: `wait_for(jc.result(id), 10s)`.
    template <class R = json>
    task<R> result(std::string id) {
        std::string what = "the result of job " + id;
        return detail::typed_result<R>(wait_json(std::move(id)), std::move(what));
    }
    /// The values of a group's members, in their order. `ids`: those that `group_members` gave.
    task<std::vector<json>> results(std::vector<std::string> ids);
    /// Awaitable: the ids of the members of a group that was sent.
    task<std::vector<std::string>> group_members(std::string group_id);
    /// Awaitable: what is stored of a job, without waiting for it.
    task<job_status> status(std::string id);
    /// Awaitable: what is stored is deleted.
    task<> forget(std::string id);

    /// Awaitable: tells all workers that are there not to start this job; with `terminate`, to stop it. With RQ's protocol: the job is
    /// canceled, wherever it waits; with `terminate`, its worker is told to stop it.
    task<> revoke(std::string id, const revoke_options& how = {});
    /// Awaitable: a remote-control command to all workers, or to those named, and their answers, {"worker": answer}, that came within
    /// `patience`; as soon as `expected` of them have answered, if it is not 0.
    task<json> control(std::string method, json parameters = json::object(), std::vector<std::string> workers = {},
                       std::chrono::nanoseconds patience = std::chrono::seconds(1), std::size_t expected = 0);

    /// Awaitable: jobs that wait in a queue (of all priorities); the same, deleted.
    task<std::size_t> queued(std::string queue = {});
    task<std::size_t> purge(std::string queue = {});
    /// Awaitable: the oldest dead letters, and one of them sent again to its queue; false if there is no such letter. Until
    /// it has run, its failure is what is stored. With RQ's protocol: the jobs that have failed, `tag` being the id.
    task<std::vector<dead_letter>> dead_letters(std::size_t most = 100);
    task<bool> revive(std::string tag);

    /// Awaitable: is the lock ours now? For `beat`: of several programs one does something. It ends by itself after `ttl`; the owner
    /// may take it again before.
    task<bool> lock(std::string name, std::string owner, std::chrono::nanoseconds ttl);

    explicit client(std::shared_ptr<detail::client_core> core) noexcept : core_(std::move(core)) {} // for the library
    [[nodiscard]] const std::shared_ptr<detail::client_core>& core() const noexcept { return core_; }

private:
    task<json> call_json(std::string name, json args, const send_options& how);
    task<json> wait_json(std::string id);
    std::shared_ptr<detail::client_core> core_;
};

/// Awaitable: a client of the broker at `url`:
///     redis://…, rediss://…, unix://…   Redis, as <eddy/redis/client.hpp> describes them
///     sqlite:FILE                       a file, which is made if it is not there
///     memory: or memory:NAME            in this thread, as long as a client or a worker of it is there
/// Throws `jobs::error` for another URL, and what connecting throws.
task<client> connect(std::string url, const connect_options& options = {});

} // namespace eddy::jobs

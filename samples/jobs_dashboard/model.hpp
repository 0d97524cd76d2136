// What is known of the cluster: put together from events, answers of workers and lengths of lists. Plain C++ that knows nothing of
// coroutines, servers and Redis. All of it is bounded: what is too much is forgotten, the oldest first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <eddy/jobs/json.hpp>

#include "series.hpp"

namespace jobs_dashboard {

using eddy::jobs::json;

/// What is kept at most.
struct limits {
    std::size_t jobs = 2000;       // that have not ended
    std::size_t jobs_shown = 100;  // of them in `state`
    std::size_t failed = 100;
    std::size_t workers = 200;
    std::size_t queues = 100;
    std::size_t text = 2048;       // bytes of arguments, names, messages
    std::size_t text_in_lists = 320;
    std::size_t traceback = 16384;
};

/// A job that somebody has in hand, or that has failed. Times are in seconds of the calendar; 0: not known.
struct job {
    std::string id, name, args, kwargs, worker, queue;
    std::string state; // "received", "started", "retry"
    double sent = 0, received = 0, started = 0;
    std::int64_t retries = 0;
    bool revoking = false;
    std::optional<json> exact_args, exact_kwargs; // as a worker has told them; the texts above are Python's repr
};

struct failed_job {
    job what;
    std::string exception, traceback;
    double at = 0;
    std::string sent_again_as; // an id
};

/// What is needed to send a job once more.
struct job_to_send {
    std::string name, queue;
    json args, kwargs;
};

class model {
public:
    explicit model(const limits& l = {}, std::vector<std::string> queues = {});

    // --- what is heard
    void apply(const json& event, double now);
    /// The answers of workers to `inspect active`, {"worker": [{"id", …}]}; what a worker does not do any more that was started
    /// before `asked_at` has ended without a word.
    void take_active(const json& answers, double asked_at, double now);
    /// … to `active_queues` and `stats`.
    void take_queues(const json& answers);
    void take_statistics(const json& answers);
    /// Lists' lengths; nothing for a key that is no list.
    void take_lengths(const std::vector<std::string>& queues, const std::vector<std::optional<std::int64_t>>& lengths, std::int64_t unacked, std::int64_t dead);
    void connected(const std::string& broker);
    void disconnected(const std::string& reason);
    /// Events were missed: what runs is asked for anew.
    void forget_jobs();
    /// Who is silent for too long is gone.
    void tick(double now);

    // --- what is asked
    /// All that the page shows but tracebacks.
    [[nodiscard]] json state(double now) const;
    /// One job, with its traceback if it has failed; nothing if it is not known.
    [[nodiscard]] std::optional<json> describe(const std::string& id) const;
    /// Changes with whatever changes in `state`, but for what the time changes.
    [[nodiscard]] std::uint64_t version() const noexcept { return version_; }
    /// Is there something in the last minutes' numbers, which move with the time?
    [[nodiscard]] bool moves(double now) const;
    [[nodiscard]] bool is_connected() const noexcept { return connected_; }
    [[nodiscard]] std::vector<std::string> queue_names() const;
    [[nodiscard]] std::vector<std::string> workers_alive() const;
    /// Workers that were heard of for the first time since the last call.
    [[nodiscard]] std::vector<std::string> take_new_workers();
    [[nodiscard]] bool has_new_workers() const noexcept { return !new_workers_.empty(); }

    // --- what is done
    /// A job that has not ended is about to be revoked; false if there is none of that id.
    bool revoking(const std::string& id);
    [[nodiscard]] const failed_job* find_failed(const std::string& id) const;
    /// Throws `std::invalid_argument` with the reason if it cannot be sent again.
    [[nodiscard]] job_to_send to_send_again(const failed_job& f) const;
    void was_sent_again(const std::string& id, const std::string& as);

private:
    struct worker {
        std::string software;
        std::int64_t pid = 0, active = 0, processed = 0, concurrency = 0;
        json load = json::array();
        double seen = 0, frequency = 2;
        bool alive = true;
        std::vector<std::string> queues;
    };
    struct queue {
        std::optional<std::int64_t> length;
        bool wanted = false; // named by the user
    };
    struct sent_job {
        std::string id, queue;
        double at;
    };
    using job_list = std::list<job>;

    job& find_or_add(const std::string& id);
    void erase(const std::string& id);
    void remember_end(const std::string& id);
    void erase_jobs_of(const std::string& name);
    void apply_to_worker(std::string_view type, const json& e, double now);
    void apply_to_job(std::string_view type, const json& e, double now);
    void receive(job& j, const json& e, double at);
    void fail(job j, const json& e, double at);
    void take_active_job(job& j, const json& a, double now);
    worker* find_or_add_worker(const std::string& name);
    void add_queue(const std::string& name);
    [[nodiscard]] std::string text_in(const json& e, const char* key) const;
    [[nodiscard]] std::string queue_of(const job& j) const;
    [[nodiscard]] json describe_running() const;
    [[nodiscard]] json describe_failed() const;
    [[nodiscard]] json describe_workers() const;
    [[nodiscard]] json describe_queues() const;

    limits limits_;
    bool connected_ = false;
    std::string reason_ = "connecting", broker_;
    std::map<std::string, queue> queues_;
    std::string default_queue_;
    std::int64_t unacked_ = 0, dead_ = 0;
    std::map<std::string, worker> workers_;
    std::vector<std::string> new_workers_;
    job_list jobs_; // the oldest first
    std::unordered_map<std::string, job_list::iterator> by_id_;
    std::unordered_set<std::string> ended_; // lately: an answer of a worker may be older than its event
    std::deque<std::string> ended_order_;
    std::deque<sent_job> sent_;
    std::deque<failed_job> failed_; // the latest first
    std::map<std::string, std::uint64_t> totals_;
    per_second succeeded_per_second_, failed_per_second_;
    durations run_times_, wait_times_;
    std::uint64_t version_ = 1;
};

/// At most `most` bytes of it, whole characters, with "…" if that is not all.
[[nodiscard]] std::string cut(std::string_view text, std::size_t most);

} // namespace jobs_dashboard

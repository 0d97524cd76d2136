#include "watcher.hpp"

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include <eddy/errors.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/sleep.hpp>
#include <eddy/task_group.hpp>
#include <eddy/timeout.hpp>

#include "event_message.hpp"

namespace jobs_dashboard {

using namespace std::chrono_literals;
namespace redis = eddy::redis;
namespace jobs = eddy::jobs;

namespace {

constexpr std::array<std::string_view, 4> priority_suffixes{"", "\x06\x16" "3", "\x06\x16" "6", "\x06\x16" "9"}; // kombu's lists of a queue
constexpr auto action_limit = 5s;
constexpr auto patience = 1s; // with workers' answers

std::string reason_in(const std::exception& e) {
    std::string text = e.what();
    if (const auto* group = dynamic_cast<const eddy::exception_group*>(&e)) group->for_each<std::exception>([&](const std::exception& one) { text = one.what(); });
    return text;
}

std::optional<std::int64_t> length_in(const std::vector<redis::value>& replies, std::size_t first, std::size_t count) {
    std::int64_t n = 0;
    for (std::size_t i = first; i < first + count; ++i) {
        if (replies[i].is_error()) return std::nullopt;
        n += replies[i].as_integer();
    }
    return n;
}

} // namespace

double unix_now() {
    return std::chrono::duration<double>(eddy::this_loop().wall_now().time_since_epoch()).count();
}

eddy::task<> watcher::run() {
    for (;;) {
        std::string reason;
        try {
            co_await watch_once();
        } catch (const std::exception& e) {
            reason = reason_in(e);
        }
        client_.reset();
        model_.disconnected(reason);
        co_await eddy::sleep_for(1s);
    }
}

/// Until the connection is lost. It is then made anew here, not by the client: a page that says "disconnected" wants to know soon.
eddy::task<> watcher::watch_once() {
    const redis::options how{.client_name = "jobs_dashboard", .connect_timeout = 3s, .timeout = 3s, .reconnect = {.attempts = 1}};
    redis::client rc = co_await redis::connect(options_.url, how);
    const jobs::connect_options celery{.results = options_.results, .key_prefix = options_.key_prefix};
    jobs::client jc = co_await jobs::connect(options_.url, celery);
    std::vector<std::string> patterns(1, event_channels(rc.endpoint(), options_.key_prefix));
    redis::subscription events = co_await rc.psubscribe(std::move(patterns));

    model_.forget_jobs();
    model_.tick(unix_now()); // not yet connected: the silence meanwhile was not theirs
    model_.connected(rc.endpoint());
    client_ = jc;
    const auto all = [&](eddy::task_group& g) -> eddy::task<> {
        g.spawn(listen(events), {.name = "events"});
        g.spawn(measure(rc), {.name = "lengths"});
        g.spawn(ask_workers(jc), {.name = "workers"});
        co_return;
    };
    co_await eddy::with_task_group(all);
}

eddy::task<> watcher::listen(redis::subscription& events) {
    for (;;) {
        const std::optional<redis::message> m = co_await events.next();
        if (!m) throw not_connected();
        if (m->gap) model_.forget_jobs();
        for (const json& e : read_events(m->payload)) model_.apply(e, unix_now());
        new_workers_.set();
    }
}

eddy::task<> watcher::measure(redis::client rc) {
    const std::string& prefix = options_.key_prefix;
    for (;;) {
        const std::vector<std::string> queues = model_.queue_names();
        redis::pipeline p;
        for (const std::string& q : queues)
            for (const std::string_view suffix : priority_suffixes) p.add("LLEN", prefix + q + std::string(suffix));
        p.add("HLEN", prefix + "unacked").add("LLEN", prefix + "eddy.dead");
        const std::vector<redis::value> replies = co_await rc.run(p);
        std::vector<std::optional<std::int64_t>> lengths;
        const std::size_t steps = priority_suffixes.size();
        for (std::size_t i = 0; i < queues.size(); ++i) lengths.push_back(length_in(replies, i * steps, steps));
        const std::size_t rest = queues.size() * steps;
        model_.take_lengths(queues, lengths, length_in(replies, rest, 1).value_or(0), length_in(replies, rest + 1, 1).value_or(0));
        model_.tick(unix_now());
        co_await eddy::sleep_for(1s);
    }
}

eddy::task<json> watcher::ask(jobs::client jc, std::string method, std::vector<std::string> workers) {
    const std::size_t expected = workers.empty() ? model_.workers_alive().size() : workers.size();
    json nothing = json::object();
    co_return co_await jc.control(std::move(method), std::move(nothing), std::move(workers), patience, expected);
}

/// What runs, every five seconds; the rest at the beginning, when somebody is new, and twice a minute.
eddy::task<> watcher::ask_workers(jobs::client jc) {
    if (options_.enable_events) co_await ask(jc, "enable_events"); // also to those that are silent
    for (int round = 0;; ++round) {
        std::vector<std::string> fresh = model_.take_new_workers();
        if (round > 0 && !fresh.empty() && options_.enable_events) co_await ask(jc, "enable_events", fresh);
        if (round % 6 == 0 || !fresh.empty()) {
            model_.take_queues(co_await ask(jc, "active_queues"));
            model_.take_statistics(co_await ask(jc, "stats"));
        }
        const double asked_at = unix_now();
        const json active = co_await ask(jc, "active");
        model_.take_active(active, asked_at, unix_now());
        // Five seconds; fewer if somebody comes.
        const auto next_round = [&](eddy::cancel_scope&) -> eddy::task<> {
            do {
                new_workers_.clear();
                co_await new_workers_.wait();
            } while (!model_.has_new_workers());
        };
        co_await eddy::move_on_after(5s, next_round);
    }
}

jobs::client watcher::client() const {
    if (!client_) throw not_connected();
    return *client_;
}

eddy::task<> watcher::revoke(std::string id) {
    jobs::client jc = client();
    const auto act = [&](eddy::cancel_scope&) { return jc.revoke(id, {.terminate = true}); };
    co_await eddy::with_timeout(action_limit, act);
}

eddy::task<std::string> watcher::send(job_to_send what) {
    jobs::client jc = client();
    const jobs::send_options how{.queue = what.queue, .named = &what.kwargs};
    const auto act = [&](eddy::cancel_scope&) { return jc.send_json(what.name, what.args, how); };
    co_return co_await eddy::with_timeout(action_limit, act);
}

} // namespace jobs_dashboard

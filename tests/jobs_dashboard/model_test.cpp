#include "model.hpp"

#include <stdexcept>
#include <string>

#include "catch.hpp"

using namespace jobs_dashboard;

namespace {

constexpr double t0 = 1'800'000'000;

json task_event(const char* type, const std::string& id, double at, json more = json::object()) {
    more.update(json{{"type", type}, {"uuid", id}, {"hostname", "w@h"}, {"timestamp", at}});
    return more;
}
json received(const std::string& id, double at, const char* args = "(1,)") {
    return task_event("task-received", id, at, {{"name", "tasks.add"}, {"args", args}, {"kwargs", "{}"}});
}
json heartbeat(const char* worker, int active = 0) {
    return {{"type", "worker-heartbeat"}, {"hostname", worker}, {"freq", 2.0}, {"active", active}, {"processed", 7}, {"loadavg", {0.5, 0.2, 0.1}}, {"sw_ident", "eddy"}, {"sw_ver", "0.1.0"}, {"pid", 42}};
}
void run_job(model& m, const std::string& id, double at, const char* end, json more = json::object()) {
    m.apply(received(id, at), at);
    m.apply(task_event("task-started", id, at + 0.1), at + 0.1);
    m.apply(task_event(end, id, at + 0.3, std::move(more)), at + 0.3);
}

} // namespace

TEST_CASE("a job from its receipt to its end") {
    model m;
    m.apply(received("a", t0), t0);
    json s = m.state(t0);
    CHECK(s["running"]["received"] == 1);
    CHECK(s["running"]["started"] == 0);
    m.apply(task_event("task-started", "a", t0 + 0.25), t0 + 0.25);
    s = m.state(t0 + 0.5);
    CHECK(s["running"]["started"] == 1);
    CHECK(s["running"]["jobs"][0]["name"] == "tasks.add");
    CHECK(s["running"]["jobs"][0]["args"] == "(1,)");
    CHECK(s["running"]["jobs"][0]["worker"] == "w@h");
    m.apply(task_event("task-succeeded", "a", t0 + 1, {{"runtime", 0.5}}), t0 + 1);
    s = m.state(t0 + 2);
    CHECK(s["running"]["jobs"].empty());
    CHECK(s["totals"]["succeeded"] == 1);
    CHECK(s["latency"]["run"]["p50"] == 0.5);
    CHECK(s["latency"]["wait"]["p50"] == 0.25);
    CHECK(s["throughput"]["succeeded"].size() == seconds_shown);
    CHECK(s["throughput"]["succeeded"].back() == 1);
    CHECK(m.state(t0 + 400)["throughput"]["succeeded"].back() == 0);
    CHECK(m.state(t0 + 400)["latency"]["run"]["count"] == 0);
    CHECK(m.moves(t0 + 100));
    CHECK_FALSE(m.moves(t0 + 400));
}

TEST_CASE("a failed job is kept, with what is needed to send it again") {
    model m({}, {"first"});
    run_job(m, "a", t0, "task-failed", {{"exception", "ValueError('x')"}, {"traceback", "line 1\nline 2"}});
    const json f = m.state(t0)["failed"][0];
    CHECK(f["id"] == "a");
    CHECK(f["exception"] == "ValueError('x')");
    CHECK(f["has_traceback"] == true);
    CHECK(f["why_not"] == "");
    CHECK_FALSE(f.contains("traceback"));
    CHECK((*m.describe("a"))["traceback"] == "line 1\nline 2");
    REQUIRE(m.find_failed("a"));
    job_to_send again = m.to_send_again(*m.find_failed("a"));
    CHECK(again.name == "tasks.add");
    CHECK(again.args == json::array({1}));
    CHECK(again.kwargs == json::object());
    CHECK(again.queue == "first");
    m.was_sent_again("a", "b");
    CHECK(m.state(t0)["failed"][0]["sent_again_as"] == "b");

    // Its queue: the only one of its worker; better, the one that was said.
    m.apply(heartbeat("w@h"), t0);
    m.take_queues({{"w@h", json::array({{{"name", "second"}}})}});
    CHECK(m.to_send_again(*m.find_failed("a")).queue == "second");
    m.apply(task_event("task-sent", "c", t0, {{"queue", "third"}}), t0);
    run_job(m, "c", t0, "task-failed");
    CHECK(m.to_send_again(*m.find_failed("c")).queue == "third");
}

TEST_CASE("what is not known exactly is not sent again") {
    model m;
    m.apply(received("a", t0, "(<object>,)"), t0);
    m.apply(task_event("task-failed", "a", t0), t0);
    m.apply(task_event("task-failed", "unseen", t0), t0);
    CHECK_THROWS_AS(m.to_send_again(*m.find_failed("a")), std::invalid_argument);
    CHECK_THROWS_AS(m.to_send_again(*m.find_failed("unseen")), std::invalid_argument);
    CHECK(m.state(t0)["failed"][1]["why_not"].get<std::string>().find("arguments are not known exactly") != std::string::npos);

    // A worker that was asked has said it.
    m.apply(received("b", t0, "(<object>,)"), t0);
    m.take_active({{"w@h", json::array({{{"id", "b"}, {"name", "tasks.add"}, {"args", {1, "x"}}, {"kwargs", {{"k", 2}}}, {"time_start", t0}}})}}, t0, t0);
    m.apply(task_event("task-failed", "b", t0), t0);
    CHECK(m.to_send_again(*m.find_failed("b")).args == json::array({1, "x"}));
    CHECK(m.to_send_again(*m.find_failed("b")).kwargs == json{{"k", 2}});
}

TEST_CASE("retried, revoked and rejected jobs") {
    model m;
    run_job(m, "a", t0, "task-retried");
    CHECK(m.state(t0)["running"]["retry"] == 1);
    m.apply(received("a", t0 + 1), t0 + 1);
    CHECK(m.state(t0)["running"]["retry"] == 0);
    CHECK(m.revoking("a"));
    CHECK_FALSE(m.revoking("nobody"));
    CHECK(m.state(t0)["running"]["jobs"][0]["revoking"] == true);
    m.apply(task_event("task-revoked", "a", t0 + 2), t0 + 2);
    run_job(m, "b", t0, "task-rejected");
    const json s = m.state(t0 + 3);
    CHECK(s["running"]["jobs"].empty());
    CHECK(s["failed"].empty());
    CHECK(s["totals"] == json{{"succeeded", 0}, {"failed", 0}, {"retried", 1}, {"revoked", 1}, {"rejected", 1}});
}

TEST_CASE("what workers answer corrects what was heard") {
    model m;
    m.take_active({{"w@h", json::array({{{"id", "a"}, {"name", "t"}, {"args", json::array()}, {"kwargs", json::object()}, {"time_start", t0 - 50}}})}}, t0, t0);
    CHECK(m.state(t0)["running"]["jobs"][0]["started"] == t0 - 50);
    m.take_active({{"other@h", json::array()}}, t0 + 5, t0 + 5);
    CHECK(m.state(t0)["running"]["started"] == 1);
    m.take_active({{"w@h", json::array()}}, t0 + 5, t0 + 5);
    CHECK(m.state(t0)["running"]["started"] == 0);

    // An answer that is older than the job's end brings nothing back, one that is older than its start takes nothing away.
    run_job(m, "b", t0, "task-succeeded", {{"runtime", 0.1}});
    m.take_active({{"w@h", json::array({{{"id", "b"}}})}}, t0, t0 + 1);
    CHECK(m.state(t0)["running"]["started"] == 0);
    m.apply(task_event("task-started", "c", t0 + 10), t0 + 10);
    m.take_active({{"w@h", json::array()}}, t0 + 9, t0 + 10);
    CHECK(m.state(t0)["running"]["started"] == 1);
    for (const json& nonsense : {json(), json(7), json{{"w@h", 7}}, json{{"w@h", json::array({7, json{{"id", 7}}})}}, json{{"w@h", {{"error", "x"}}}}}) {
        m.take_active(nonsense, t0, t0);
        m.take_queues(nonsense);
        m.take_statistics(nonsense);
    }
    CHECK(m.state(t0)["running"]["started"] == 1);
}

TEST_CASE("workers come, fall silent and are forgotten") {
    model m;
    m.connected("redis://x/0");
    m.apply(heartbeat("w@h", 3), t0);
    CHECK(m.take_new_workers() == std::vector<std::string>{"w@h"});
    CHECK_FALSE(m.has_new_workers());
    m.take_statistics({{"w@h", {{"pool", {{"max-concurrency", 8}}}}}});
    json w = m.state(t0)["workers"][0];
    CHECK(w["alive"] == true);
    CHECK(w["active"] == 3);
    CHECK(w["concurrency"] == 8);
    CHECK(w["software"] == "eddy 0.1.0");
    m.apply(task_event("task-started", "a", t0), t0);
    m.tick(t0 + 9);
    CHECK(m.workers_alive().size() == 1);
    m.tick(t0 + 11);
    CHECK(m.workers_alive().empty());
    CHECK(m.state(t0)["running"]["started"] == 0);
    m.apply(heartbeat("w@h"), t0 + 20);
    CHECK(m.has_new_workers()); // it may be another process: it is asked again
    CHECK(m.workers_alive().size() == 1);
    json offline = heartbeat("w@h");
    offline["type"] = "worker-offline";
    m.apply(offline, t0 + 21);
    CHECK(m.workers_alive().empty());
    m.tick(t0 + 400);
    CHECK(m.state(t0)["workers"].empty());
}

TEST_CASE("without a connection nobody is taken for dead") {
    model m;
    m.connected("redis://x/0");
    m.apply(heartbeat("w@h"), t0);
    m.disconnected("connection refused");
    m.tick(t0 + 100);
    CHECK(m.state(t0)["connected"] == false);
    CHECK(m.state(t0)["reason"] == "connection refused");
    CHECK(m.workers_alive().size() == 1);
    m.connected("redis://x/0");
    m.tick(t0 + 101);
    CHECK(m.workers_alive().size() == 1);
}

TEST_CASE("lengths of queues") {
    model m({}, {"a", "b"});
    const auto before = m.version();
    m.take_lengths({"a", "b"}, {3, std::nullopt}, 2, 1);
    const json s = m.state(t0);
    CHECK(s["queues"][0]["length"] == 3);
    CHECK(s["queues"][1]["length"].is_null());
    CHECK(s["unacked"] == 2);
    CHECK(s["dead_letters"] == 1);
    const auto after = m.version();
    CHECK(after != before);
    m.take_lengths({"a", "b"}, {3, std::nullopt}, 2, 1);
    CHECK(m.version() == after);
}

TEST_CASE("everything that is kept has a limit") {
    limits l;
    l.jobs = 10;
    l.jobs_shown = 4;
    l.failed = 3;
    l.workers = 2;
    l.queues = 5;
    l.text = 8;
    l.traceback = 16;
    model m(l);
    for (int i = 0; i < 100; ++i) {
        const std::string n = std::to_string(i);
        m.apply(received(n, t0 + i), t0 + i);
        m.apply(task_event("task-failed", "f" + n, t0 + i, {{"exception", std::string(1000, 'e')}, {"traceback", std::string(1000, 't')}}), t0 + i);
        m.apply(heartbeat(("w" + n).c_str()), t0 + i);
        m.apply(task_event("task-sent", "s" + n, t0 + i, {{"queue", "q" + n}}), t0 + i);
    }
    const json s = m.state(t0 + 100);
    CHECK(s["running"]["received"] == 10);
    CHECK(s["running"]["jobs"].size() == 4);
    CHECK(s["running"]["jobs"][0]["id"] == "90");
    CHECK(s["failed"].size() == 3);
    CHECK(s["failed"][0]["id"] == "f99");
    CHECK(s["failed"][0]["exception"] == "eeeeeeee…");
    CHECK((*m.describe("f99"))["traceback"] == "tttttttttttttttt…");
    CHECK(s["workers"].size() == 2);
    CHECK(s["queues"].size() == 5);
    CHECK(cut("aé", 2) == "a…"); // no half characters
}

TEST_CASE("lists have the beginnings of long texts, one job has them all") {
    model m;
    const std::string args = "('" + std::string(600, 'x') + "',)";
    m.apply(received("a", t0, args.c_str()), t0);
    CHECK(m.state(t0)["running"]["jobs"][0]["args"] == "('" + std::string(318, 'x') + "…");
    CHECK((*m.describe("a"))["args"] == args);
    m.apply(task_event("task-failed", "a", t0), t0);
    CHECK(m.state(t0)["failed"][0]["why_not"] == "");
    CHECK(m.to_send_again(*m.find_failed("a")).args == json::array({std::string(600, 'x')}));
    CHECK_FALSE(m.describe("nobody"));
}

TEST_CASE("events that are nonsense do no harm") {
    model m;
    for (const json& e : {json(), json(7), json::object(), json{{"type", 7}}, json{{"type", "task-started"}}, json{{"type", "task-started"}, {"uuid", 7}},
                          json{{"type", "worker-heartbeat"}}, json{{"type", "worker-heartbeat"}, {"hostname", "w"}, {"active", "x"}, {"loadavg", 7}, {"freq", -1}},
                          json{{"type", "task-received"}, {"uuid", "a"}, {"name", json::array()}, {"timestamp", "x"}, {"retries", 1e300}},
                          json{{"type", "task-succeeded"}, {"uuid", "a"}, {"runtime", "x"}}, json{{"type", "other-thing"}, {"uuid", "a"}}})
        m.apply(e, t0);
    const json s = m.state(t0 + 1);
    CHECK(s["totals"]["succeeded"] == 1);
    CHECK(s["running"]["jobs"].empty());
    CHECK(s["workers"].size() == 1);
}

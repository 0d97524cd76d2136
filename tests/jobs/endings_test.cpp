// Whoever waits hears how it ended: of jobs that are not run any more, and of what was to follow a job that failed.
#include "jobs/support.hpp"

#include "../../io/jobs/src/client_core.hpp"
#include "lib/words.hpp"

using namespace jobs_tests;
using jobs::signature;

namespace {

void add_endings(jobs::worker& w) {
    w.add("add", [](int a, int b) -> task<int> { co_return a + b; });
    w.add("sum", [](std::vector<int> all) -> task<int> {
        int n = 0;
        for (const int i : all) n += i;
        co_return n;
    });
    w.add("boom", [](std::optional<int>) -> task<int> {
        throw jobs::failure("ValueError", "bad thing");
        co_return 0;
    });
    w.add("no", []() -> task<> {
        throw jobs::reject("not here", true);
        co_return;
    });
}
/// How it ended, if it did within the next minute.
task<std::string> ending_in_time(jobs::client& c, std::string id) {
    std::string ending = "nothing";
    const auto wait = [&](cancel_scope&) -> task<> { ending = co_await ending_of(c, id); };
    co_await move_on_after(1min, wait);
    co_return ending;
}
task<std::string> ending_of_workflow(jobs::client& c, signature s) {
    std::string id = co_await c.send(s);
    co_return co_await ending_in_time(c, std::move(id));
}

} // namespace

EDDY_TEST("JOB-141 the rest of a chain ends as the step that failed, or was revoked") {
    jobs::worker w{"memory:"};
    add_endings(w);
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        signature middle("add", 1);
        middle.option("task_id", "middle");
        const auto failed = co_await ending_of_workflow(c, jobs::chain(signature("boom"), middle, signature("add", 2)));
        CHECK(failed == "ValueError: bad thing");
        const auto between = co_await ending_in_time(c, "middle");
        CHECK(between == "ValueError: bad thing");
        signature late("add", 1, 1);
        late.option("expires", -1);
        const auto revoked = co_await ending_of_workflow(c, jobs::chain(late, signature("add", 2)));
        CHECK(revoked == "the job was revoked: expired");
        signature quiet("add", 2);
        quiet.option("ignore_result", true).option("task_id", "quiet");
        static_cast<void>(co_await c.send(jobs::chain(signature("boom"), quiet)));
        co_await sleep_for(1s);
        const jobs::job_status none = co_await c.status("quiet");
        CHECK(none.state == "PENDING");
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-142 a chord fails if a chain among its members does, and what follows it fails too") {
    jobs::worker w{"memory:"};
    add_endings(w);
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto broken = jobs::group(jobs::chain(signature("boom"), signature("add", 1)), signature("add", 2, 2));
        const auto chord = co_await ending_of_workflow(c, jobs::chord(broken, signature("sum")));
        CHECK(chord.starts_with("ChordError: Dependency "));
        CHECK(chord.ends_with(" raised ValueError('bad thing')"));
        const auto followed = co_await ending_of_workflow(c, jobs::chain(broken, signature("sum"), signature("add", 1)));
        CHECK(followed.starts_with("ChordError: "));
        const auto after = co_await ending_of_workflow(c, jobs::chain(signature("boom"), jobs::group(signature("add", 1), signature("add", 2)), signature("sum")));
        CHECK(after == "ValueError: bad thing");
        const auto inner = jobs::chord(jobs::group(signature("boom"), signature("add", 1, 1)), signature("sum"));
        const auto nested = co_await ending_of_workflow(c, jobs::chord(jobs::group(inner, signature("add", 2, 2)), signature("sum")));
        CHECK(nested.starts_with("ChordError: Dependency "));
        CHECK(nested.find(" raised ChordError(") != std::string::npos);
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-143 a dead letter's job has failed with the reason, and so has what was to follow it") {
    jobs::client c = co_await jobs::connect("memory:");
    const auto broker = c.core()->broker;
    const json bad = json::parse(R"({"compression": "application/x-gzip"})");
    const std::string unreadable = co_await c.send("add", {.headers = &bad}, 1, 2);
    jobs::worker w{"memory:", {.visibility_timeout = 5s, .sweep = 1s, .max_deliveries = 1, .deduplicate = true}};
    add_endings(w);
    std::string reports;
    this_loop().set_exception_handler([&](const error_context& e) { reports += e.message; });
    const auto body = [&]() -> task<> {
        const auto not_read = co_await ending_in_time(c, unreadable);
        CHECK(not_read == "DeadLetter: not a job's message: its body is compressed (application/x-gzip), which is not supported");
        const auto rejected = co_await ending_of_workflow(c, jobs::chain(signature("no"), signature("add", 1, 1)));
        CHECK(rejected == "DeadLetter: given out 1 times and rejected: not here");
    };
    co_await while_serving(w, body);
    this_loop().set_exception_handler({});
    CHECK(reports.ends_with("; it is a dead letter now"));
    CHECK(w.stats().dead == 2);
}

namespace {

task<> revive_what_was_never_finished(std::string url) {
    jobs::client c = co_await jobs::connect(url);
    const auto broker = c.core()->broker;
    const std::vector<std::string> queues(1, "celery");
    const std::string id = co_await c.send("add", 1, 2);
    static_cast<void>(co_await broker->claim(queues, 1)); // by a worker that is killed
    jobs::worker w{url, {.visibility_timeout = 5s, .sweep = 1s, .max_deliveries = 1, .deduplicate = true}};
    add_endings(w);
    const auto body = [&]() -> task<> {
        const auto ending = co_await ending_in_time(c, id);
        CHECK(ending == "DeadLetter: given out 1 times and never finished");
        auto letters = co_await c.dead_letters();
        for (int i = 0; i < 1000 && letters.empty(); ++i) { // it has failed first, and is a dead letter then
            co_await sleep_for(5ms);
            letters = co_await c.dead_letters();
        }
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].reason == "given out 1 times and never finished");
        const bool revived = co_await c.revive(letters[0].tag);
        CHECK(revived);
        co_await sleep_for(1s);
        const auto then = co_await ending_in_time(c, id);
        CHECK(then == "3");
        const std::vector<jobs::dead_letter> none = co_await c.dead_letters();
        CHECK(none.empty());
    };
    co_await while_serving(w, body);
    CHECK(w.stats().dead == 1);
    CHECK(w.stats().duplicates == 0);
}

} // namespace

EDDY_TEST("JOB-144 a job that is never finished fails; revived, it runs once more, also if jobs are told apart by their ids") {
    co_await revive_what_was_never_finished("memory:");
}
EDDY_TEST_REAL("JOB-144 the same in a database") {
    const job_file file;
    co_await revive_what_was_never_finished(file.url());
}

EDDY_TEST("JOB-145 a job that is rejected, and not queued again, has no result, as with Celery") {
    jobs::worker w{"memory:"};
    w.add("no", []() -> task<> {
        throw jobs::reject("not here");
        co_return;
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const std::string id = co_await c.send("no");
        auto waiting = wait_for(c.result(id), 10s);
        const auto o = co_await as_result(std::move(waiting));
        CHECK(words::holds<timeout_error>(o.exception()));
        const jobs::job_status s = co_await c.status(id);
        CHECK(s.state == "PENDING");
    };
    co_await while_serving(w, body);
    CHECK(w.stats().rejected == 1);
}

EDDY_TEST("JOB-146 the nightly celery.backend_cleanup of Celery's beat succeeds, unless the worker has a task of that name") {
    const auto ending = [](jobs::worker& w) -> task<std::string> {
        std::string text;
        const auto body = [&]() -> task<> {
            jobs::client c = co_await jobs::connect("memory:");
            const json v = co_await c.call("celery.backend_cleanup");
            text = v.dump();
        };
        co_await while_serving(w, body);
        co_return text;
    };
    jobs::worker w{"memory:"};
    const auto without = co_await ending(w);
    CHECK(without == "null");
    CHECK(w.stats().failed == 0);
    jobs::worker own{"memory:"};
    own.add("celery.backend_cleanup", []() -> task<int> { co_return 7; });
    const auto with = co_await ending(own);
    CHECK(with == "7");
}

EDDY_TEST("JOB-149 two messages of one id that are claimed together run once: one after another, or at a time") {
    const std::vector<std::size_t> widths{1, 4};
    for (const std::size_t width : widths) {
        jobs::client c = co_await jobs::connect("memory:");
        jobs::worker w{"memory:", {.concurrency = width, .deduplicate = true}};
        int runs = 0;
        w.add("work", [&](bool fails) -> task<int> {
            co_await sleep_for(5s);
            if (fails) throw std::runtime_error("no");
            co_return ++runs;
        });
        for (int i = 0; i < 3; ++i) co_await c.send("work", {.id = "same"}, false);
        for (int i = 0; i < 2; ++i) co_await c.send("work", {.id = "fails"}, true);
        const auto body = [&]() -> task<> {
            const int one = co_await c.result<int>("same");
            CHECK(one == 1);
            const auto failed = co_await ending_of(c, "fails");
            CHECK(failed == "runtime_error: no");
            co_await sleep_for(1min);
            const std::size_t left = co_await c.queued();
            CHECK(left == 0);
        };
        co_await while_serving(w, body);
        CHECK(runs == 1);
        CHECK(w.stats().succeeded == 1);
        CHECK(w.stats().failed == 1);
        CHECK(w.stats().duplicates == 3);
    }
}

EDDY_TEST("JOB-150 a second message of an id waits while the first one runs; at a cold shutdown both go back") {
    jobs::client c = co_await jobs::connect("memory:");
    jobs::worker w{"memory:", {.concurrency = 2, .deduplicate = true}};
    int runs = 0;
    w.add("work", [&]() -> task<> {
        ++runs;
        co_await sleep_for(1h);
    });
    for (int i = 0; i < 2; ++i) co_await c.send("work", {.id = "same"});
    const auto all = [&](task_group& g) -> task<> {
        auto serving = g.spawn(w.serve());
        co_await sleep_for(1s);
        w.stop();
        co_await serving;
    };
    const auto start = loop_clock::now();
    co_await with_task_group(all);
    CHECK(loop_clock::now() - start < 10s);
    CHECK(runs == 1);
    const std::size_t left = co_await c.queued();
    CHECK(left == 2);
}

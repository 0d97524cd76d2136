// Chains, groups and chords, among workers.
#include "jobs/support.hpp"

using namespace jobs_tests;
using jobs::signature;

namespace {

void add_tasks(jobs::worker& w) {
    w.add("add", [](int a, int b) { return a + b; });
    w.add("sum", [](std::vector<int> all) {
        int n = 0;
        for (const int i : all) n += i;
        return n;
    });
    w.add("boom", [](std::optional<int>) -> int { throw jobs::failure("ValueError", "bad thing"); });
}

} // namespace

EDDY_TEST("JOB-20 a chain gives each result to the next; one that is immutable takes none") {
    jobs::worker w{"memory:"};
    add_tasks(w);
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto nine = jobs::chain(signature("add", 2, 3), signature("add", 4));
        const int v = co_await c.result<int>(co_await c.send(nine));
        CHECK(v == 9);
        const auto own = jobs::chain(signature("add", 2, 3), signature("add", 1, 1).immutable(), signature("add", 10));
        const int twelve = co_await c.result<int>(co_await c.send(own));
        CHECK(twelve == 12);
        const auto nested = jobs::chain(jobs::chain(signature("add", 1, 1), signature("add", 1)), signature("add", 1));
        const int four = co_await c.result<int>(co_await c.send(nested));
        CHECK(four == 4);
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-21 a group's results are in the order of its members") {
    jobs::worker w{"memory:"};
    add_tasks(w);
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto g = jobs::group(signature("add", 0, 0), signature("add", 1, 1), signature("add", 2, 2));
        const std::string id = co_await c.send(g);
        const std::vector<std::string> members = co_await c.group_members(id);
        const std::vector<json> values = co_await c.results(members);
        CHECK(json(values).dump() == "[0,2,4]");
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-22 a chord's body gets all results, also in a chain; if one fails, it fails") {
    jobs::worker w{"memory:"};
    add_tasks(w);
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto header = jobs::group(signature("add", 1, 1), signature("add", 2, 2), signature("add", 3, 3));
        const auto chord = jobs::chord(header, signature("sum"));
        const int twelve = co_await c.result<int>(co_await c.send(chord));
        CHECK(twelve == 12);
        const auto chained = jobs::chain(header, signature("sum"), signature("add", 1));
        const int thirteen = co_await c.result<int>(co_await c.send(chained));
        CHECK(thirteen == 13);
        const auto members = jobs::group(jobs::chain(signature("add", 1, 1), signature("add", 1)), signature("add", 2, 2));
        const int seven = co_await c.result<int>(co_await c.send(jobs::chord(members, signature("sum"))));
        CHECK(seven == 7);
        const auto after = jobs::chain(signature("add", 1, 1), jobs::group(signature("add", 1), signature("add", 2)), signature("sum"));
        const int again = co_await c.result<int>(co_await c.send(after));
        CHECK(again == 7);
        const auto broken = jobs::chord(jobs::group(signature("add", 1, 1), signature("boom")), signature("sum"));
        const auto ending = co_await ending_of(c, co_await c.send(broken));
        CHECK(ending.starts_with("ChordError: Dependency "));
        CHECK(ending.ends_with(" raised ValueError('bad thing')"));
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-23 what follows a success and a failure") {
    std::string log;
    jobs::worker w{"memory:"};
    add_tasks(w);
    w.add("note", [&](json what, std::string text) -> task<> {
        log += text + "(" + (what.is_string() ? "id" : what.dump()) + ") ";
        co_return;
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const signature good("note", "good"), bad("note", "bad");
        co_await c.call<int>("add", {.on_success = &good, .on_error = &bad}, 1, 2);
        const std::string failing = co_await c.send("boom", {.on_success = &good, .on_error = &bad});
        static_cast<void>(co_await ending_of(c, failing));
        co_await sleep_for(1s);
    };
    co_await while_serving(w, body);
    CHECK(log == "good(3) bad(id) ");
}

EDDY_TEST("JOB-151 what is said of a workflow goes to a part of it: a chain's first step, a group's members, a chord's body; what follows, to the last") {
    jobs::worker w{"memory:", {.queues = {"celery", "slow"}}};
    add_tasks(w);
    const auto queue_of = [](jobs::context& job, jobs::arguments) { return job.queue(); };
    w.add("queue", queue_of);
    w.add("queues", [](jobs::context& job, std::vector<std::string> before) {
        before.push_back(job.queue());
        return before;
    });
    std::string followed;
    w.add("follow", [&](jobs::context&, const json& v) -> task<> {
        followed += v.dump();
        co_return;
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        auto chain = jobs::chain(signature("queue"), signature("queue").option("queue", "celery"));
        chain.option("queue", "slow").on_success(signature("follow"));
        const std::string chained = co_await c.send(chain);
        const auto second = co_await c.result<std::string>(chained);
        CHECK(second == "celery");
        auto group = jobs::group(signature("queue"), signature("queue"));
        group.option("queue", "slow");
        const std::string grouped = co_await c.send(group);
        std::vector<std::string> members = co_await c.group_members(grouped);
        const std::vector<json> queues = co_await c.results(std::move(members));
        CHECK(json(queues).dump() == R"(["slow","slow"])");
        auto chord = jobs::chord(jobs::group(signature("queue")), signature("queues"));
        chord.option("queue", "slow").option("task_id", "the-end").on_success(signature("follow"));
        const std::string id = co_await c.send(chord);
        CHECK(id == "the-end");
        const json both = co_await c.result(id);
        CHECK(both.dump() == R"(["slow","slow"])");
        auto own_id = jobs::chord(jobs::group(signature("queue")), signature("queues").option("task_id", "bodys-own"));
        own_id.option("task_id", "the-headers"); // as what Python has sent
        const std::string bodys = co_await c.send(own_id);
        CHECK(bodys == "bodys-own");
        co_await c.result(bodys);
        auto first = jobs::chain(signature("add", 1, 1).option("task_id", "first"), signature("add", 1));
        first.option("queue", "slow").option("countdown", 60);
        const auto begin = loop_clock::now();
        const int three = co_await c.result<int>(co_await c.send(first));
        CHECK(three == 3);
        CHECK(loop_clock::now() - begin >= 60s);
        auto no_group = jobs::group(signature("queue"));
        no_group.on_success(signature("follow"));
        std::string why;
        try {
            co_await c.send(no_group);
        } catch (const std::exception& e) {
            why = e.what();
        }
        CHECK(why.find("a group that something follows: use a chord") != why.npos);
    };
    co_await while_serving(w, body);
    CHECK(followed == R"("celery"["slow","slow"])");
}

EDDY_TEST("JOB-157 groups one after another, a chain as a chord's body within a chain, on_error of a whole workflow") {
    jobs::worker w{"memory:"};
    add_tasks(w);
    int errors = 0;
    w.add("error", [&](const std::string&) -> task<> {
        ++errors;
        co_return;
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto two = jobs::chain(jobs::group(signature("add", 1, 1), signature("add", 2, 2)), jobs::group(signature("sum"), signature("sum")), signature("sum"));
        const int twelve = co_await c.result<int>(co_await c.send(two));
        CHECK(twelve == 12);
        const auto body_chain = jobs::chain(jobs::chord(jobs::group(signature("add", 1, 1), signature("add", 2, 2)), jobs::chain(signature("sum"), signature("add", 1))), signature("add", 10));
        const int seventeen = co_await c.result<int>(co_await c.send(body_chain));
        CHECK(seventeen == 17);
        const auto in_chord = jobs::chord(jobs::group(jobs::chord(jobs::group(signature("add", 1, 1)), jobs::chain(signature("sum"), signature("add", 1))), signature("add", 5, 5)), signature("sum"));
        const int thirteen = co_await c.result<int>(co_await c.send(in_chord));
        CHECK(thirteen == 13);
        const auto no_end = jobs::chord(jobs::group(jobs::chain(signature("add", 1, 1), jobs::group(signature("add", 1), signature("add", 2))), signature("add", 1, 1)), signature("sum"));
        std::string why;
        try {
            co_await c.send(no_end);
        } catch (const std::exception& e) {
            why = e.what();
        }
        CHECK(why.find("a group inside of a chord's header") != why.npos);
        auto failing = jobs::chain(signature("add", 1, 1), signature("boom"), signature("add", 1));
        failing.on_error(signature("error"));
        const auto failed = co_await ending_of(c, co_await c.send(failing));
        CHECK(failed == "ValueError: bad thing");
        auto members = jobs::group(signature("boom", 1), signature("boom", 2));
        members.on_error(signature("error"));
        const std::string grouped = co_await c.send(members);
        for (const std::string& id : co_await c.group_members(grouped)) static_cast<void>(co_await ending_of(c, id));
        while (errors < 3) co_await this_task::yield();
        const auto inner = jobs::chain(signature("add", 1, 1), jobs::chain(signature("boom"), signature("add", 1)).on_error(signature("error")));
        static_cast<void>(co_await ending_of(c, co_await c.send(inner)));
        while (errors < 4) co_await this_task::yield();
        const auto followed = jobs::chain(jobs::group(signature("boom", 1)).on_error(signature("error")), signature("sum"));
        static_cast<void>(co_await ending_of(c, co_await c.send(followed)));
        while (errors < 5) co_await this_task::yield();
    };
    co_await while_serving(w, body);
    CHECK(errors == 5);
}

EDDY_TEST("JOB-158 followed by what is no workflow, the rest fails, and nothing else is lost") {
    jobs::worker w{"memory:"};
    add_tasks(w);
    int followed = 0, reports = 0;
    w.add("follow", [&](int) -> task<> {
        ++followed;
        co_return;
    });
    this_loop().set_exception_handler([&](const error_context&) { ++reports; });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        auto first = signature("add", 1, 1);
        const json last = signature("add", 1).option("task_id", "the-last").form();
        json rest = json::array(), next = json::array();
        rest.push_back(last);
        rest.push_back(5); // the next one
        next.push_back(7);
        next.push_back(signature("follow").form());
        first.option("chain", rest).option("link", next);
        const int two = co_await c.result<int>(co_await c.send(first));
        CHECK(two == 2);
        auto waiting = wait_for(ending_of(c, "the-last"), 60s);
        const std::string ending = co_await std::move(waiting);
        CHECK(ending.starts_with("ValueError: "));
        while (followed == 0) co_await this_task::yield();
    };
    co_await while_serving(w, body);
    this_loop().set_exception_handler({});
    CHECK(followed == 1);
    CHECK(reports == 2);
}

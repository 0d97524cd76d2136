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

#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <future>
#include <string>
#include <vector>

#include "../../runtime/src/watchdog.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// The lines of a task list without their await sites.
std::string without_places(std::string text) {
    for (std::size_t at = text.find(" at "); at != std::string::npos; at = text.find(" at ", at)) {
        const std::size_t end = text.find_first_of(" \n", at + 4);
        text.erase(at, end - at);
    }
    return text;
}

} // namespace

EDDY_TEST("format_tasks shows the tasks as a tree, with what each waits for") {
    event e;
    mutex m;
    auto guard = co_await m.lock();
    auto lone = spawn(e.wait(), {.name = "lone"});
    auto parent = spawn([&]() -> task<> {
        co_await with_task_group([&](task_group& g) -> task<> {
            g.spawn([]() -> task<> { co_await sleep_for(1h); }, {.name = "sleeper"});
            g.spawn([&]() -> task<> { auto own = co_await m.lock(); }, {.name = "locker"});
            co_return;
        });
    }, {.name = "parent"});
    co_await testing::settle();
    auto fresh = spawn(e.wait(), {.name = "fresh"});
    const std::string tree = without_places(format_tasks(this_loop()));
    CHECK(tree == "main [running]\n"
                  "lone [event]\n"
                  "parent [its children]\n"
                  "  sleeper [sleep]\n"
                  "  locker [mutex]\n"
                  "fresh [not started]\n");
    e.set();
    parent.cancel();
    CHECK(without_places(format_tasks(this_loop())).find("parent [its children] (cancelled)") != std::string::npos);
    guard.unlock();
    co_await parent.join();
    co_await lone;
    co_await fresh;
}

TEST_CASE("an idle loop has no tasks to show") {
    const event_loop loop;
    CHECK(format_tasks(loop) == "no tasks\n");
}

EDDY_TEST("await sites are shown with file and line") {
    auto h = spawn([]() -> task<> { co_await sleep_for(1h); }, {.name = "sleeper"});
    co_await testing::settle();
    const std::string site = "sleeper [sleep] at " + std::string(__FILE__) + ":" + std::to_string(__LINE__ - 2) + "\n";
    CHECK(format_tasks(this_loop()).find(site) != std::string::npos);
    co_await h.cancel_and_join();
}

EDDY_TEST("capture_call_graph shows a task's coroutines and who waits for it") {
    event e;
    auto inner = [&]() -> task<> { co_await e.wait(); };
    auto h = spawn([&]() -> task<> { co_await inner(); }, {.name = "worker"});
    auto boss = spawn([&]() -> task<> { co_await h; }, {.name = "boss"});
    auto watcher = spawn([&]() -> task<> {
        std::vector<any_task> both{h, boss};
        co_await wait(both);
    }, {.name = "watcher"});
    co_await testing::settle();
    const call_graph g = capture_call_graph(h);
    CHECK(g.name == "worker");
    CHECK(g.waits_for == "event");
    CHECK(g.frames.size() == 2);
    CHECK(g.frames[0].line() < g.frames[1].line());
    CHECK(g.awaited_by.size() == 2);
    CHECK(g.awaited_by[0].name == "boss");
    CHECK(g.awaited_by[0].awaited_by.size() == 1); // the watcher waits for it, too
    CHECK(g.awaited_by[1].name == "watcher");
    CHECK(without_places(format_call_graph(boss)).find("boss [task]\n") == 0);
    CHECK(format_call_graph(boss).find("awaited by\n    watcher [tasks]") != std::string::npos);
    e.set();
    co_await watcher;
    CHECK(capture_call_graph(h).waits_for == "done");
}

EDDY_TEST("a call graph knows groups, and ends where tasks wait for each other") {
    co_await with_task_group([](task_group& g) -> task<> {
        auto child = g.spawn([]() -> task<> { co_await sleep_for(1h); }, {.name = "child"});
        co_await testing::settle();
        const call_graph above = capture_call_graph(child);
        CHECK(above.awaited_by.size() == 1);
        CHECK(above.awaited_by.front().name == "main");
        g.cancel();
    });
    task_handle<> a;
    task_handle<> b;
    a = spawn([&]() -> task<> { co_await b; });
    b = spawn([&]() -> task<> { co_await a; });
    co_await testing::settle();
    const call_graph circle = capture_call_graph(a);
    CHECK(circle.awaited_by.front().awaited_by.front().awaited_by.empty());
    co_await a.cancel_and_join();
    co_await b.join();
    CHECK(b.exception() != nullptr); // what it awaited was cancelled
    CHECK(words::throws<std::logic_error>([] { return capture_call_graph(any_task()).name.size(); }));
}

TEST_CASE("debug mode reports a task that was dropped without having been awaited") {
    event_loop loop(loop_options{.debug = true});
    const words::reports reports(loop);
    const auto f = []() -> task<> { co_return; };
    loop.run_until_complete([](const auto& make) -> task<> {
        { auto dropped = make(); }
        co_await make();
        auto moved = make();
        auto h = spawn(std::move(moved));
        co_await h;
        try {
            auto unwound = make();
            throw 1;
        } catch (int) {
        }
    }(f));
    CHECK(reports.count() == 1);
    CHECK(reports.text().find("a task was dropped without having been awaited, so that it never ran") != std::string::npos);
}

TEST_CASE("the watchdog names a step while it lasts, and once for each doubling") {
    std::promise<std::string> said;
    bool first = true;
    eddy::detail::watchdog dog(1ms, [&](const std::string& text) {
        if (std::exchange(first, false)) said.set_value(text);
    });
    dog.step_begins("quick", {});
    dog.step_ends();
    dog.step_begins("endless", {std::source_location::current(), std::source_location::current()});
    const std::string text = said.get_future().get();
    dog.step_ends();
    CHECK(text.find("'endless' at ") == 0);
    CHECK(text.find(", awaited at ") != std::string::npos);
    CHECK(text.find("has held the loop for") != std::string::npos);
}

EDDY_TEST("a call graph shows each task once, however many ways lead to it, and ends after many levels") {
    event go;
    task_handle<> bottom = spawn([&]() -> task<> { co_await go.wait(); }, {.name = "bottom"});
    std::vector<task_handle<>> level{bottom, bottom};
    for (int i = 0; i < 22; ++i) {
        const auto both = [](task_handle<> a, task_handle<> b) -> task<> { co_await gather(a, b); };
        level = {spawn(both, level[0], level[1]), spawn(both, level[0], level[1])};
    }
    task_handle<> chain = bottom;
    for (int i = 0; i < 1000; ++i) chain = spawn([](task_handle<> h) -> task<> { co_await h.join(); }, chain);
    co_await testing::settle();
    const call_graph g = capture_call_graph(bottom);
    CHECK(g.name == "bottom");
    CHECK(g.awaited_by.size() == 5); // two members of gathers, twice, and the chain
    int deepest = 0;
    for (const call_graph* at = &g; !at->awaited_by.empty(); at = &at->awaited_by.back()) ++deepest;
    CHECK(deepest <= 200);
    go.set();
    co_await chain;
    co_await level[0];
    co_await level[1];
}

TEST_CASE("the call graph of a task that has ended needs no loop") {
    task_handle<> h;
    {
        event_loop loop;
        h = loop.spawn([]() -> task<> { co_return; }, {.name = "gone"});
        loop.poll();
    }
    const call_graph g = capture_call_graph(h);
    CHECK(g.name == "gone");
    CHECK(g.waits_for == "done");
    CHECK(g.awaited_by.empty());
}

EDDY_TEST("where() is right after an operation that finished, or failed, without suspending") {
    worker_pool stopped{1};
    stopped.shutdown(1s);
    const auto inner = [&]() -> task<> {
        const auto r = co_await as_result(offload(stopped, [] {}));
        CHECK(words::of(r) == "offload: the worker pool was shut down");
    };
    co_await this_task::yield();
    const auto before = this_task::handle().where();
    CHECK(before.line() == __LINE__ - 2);
    co_await inner();
    const auto after = this_task::handle().where(); // not what is left of a frame that is gone
    CHECK(after.line() == __LINE__ - 2);
    CHECK(std::string(after.file_name()).find("debug_test.cpp") != std::string::npos);
}

EDDY_TEST("a handle can be printed in one line") {
    auto h = spawn([]() -> task<> { co_await sleep_for(1h); }, {.name = "sleeper"});
    co_await testing::settle();
    CHECK(without_places(to_string(h)) == "sleeper [sleep]");
    co_await h.cancel_and_join();
    CHECK(without_places(to_string(h)) == "sleeper [done]");
    CHECK(to_string(any_task()) == "no task");
}

#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <string>

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

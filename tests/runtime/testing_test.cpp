// The testing kit finds what it promises to find.
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

using testing::test_report;

test_report run_body(task<> (*body)()) {
    return testing::run_test(body, testing::test_time::jumps, engine_kind::automatic);
}

std::string problems(const test_report& r) {
    std::string all;
    for (const std::string& p : r.problems) all += p + "\n";
    return all;
}

int leaked_descriptor = -1;

} // namespace

TEST_CASE("a body that does nothing wrong has nothing to report") {
    const auto r = run_body([]() -> task<> { co_await sleep_for(1h); });
    CHECK(problems(r) == "");
    CHECK_FALSE(r.error);
}

TEST_CASE("a deadlock is a failure that shows the tasks, and everything unwinds", "[slow]") {
    const auto r = run_body([]() -> task<> {
        event never;
        auto other = spawn(never.wait(), {.name = "other"});
        co_await never.wait();
    });
    CHECK(problems(r).find("deadlock: nothing can happen any more\nmain [event] at ") == 0);
    CHECK(problems(r).find("other [event]") != std::string::npos);
    CHECK(words::holds<child_cancelled>(r.error));
}

TEST_CASE("an error that nobody receives is a failure") {
    const auto r = run_body([]() -> task<> {
        spawn([]() -> task<> {
            throw std::runtime_error("lost");
            co_return;
        }, {.name = "w"});
        co_await testing::settle();
    });
    CHECK(problems(r) == "unreported: task failed and nobody took its result: lost [task 'w']\n");
}

TEST_CASE("a frame that is left over is a failure") {
    static task<>* kept = nullptr;
    const auto r = run_body([]() -> task<> {
        kept = new task<>([]() -> task<> { co_return; }());
        co_return;
    });
    CHECK(problems(r).find("leaked frames: ") == 0);
    delete kept;
}

TEST_CASE("a descriptor that is left over is a failure") {
    const auto r = run_body([]() -> task<> {
        leaked_descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        co_return;
    });
    CHECK(problems(r).find("leaked descriptors: ") == 0);
    ::close(leaked_descriptor);
}

// ThreadSanitizer has threads of its own, and the kit does not count under it.
#if !defined(__SANITIZE_THREAD__)
TEST_CASE("a thread that is left over is a failure") {
    static std::atomic<bool> leave = false;
    static std::thread left_over;
    const auto r = run_body([]() -> task<> {
        left_over = std::thread([] { leave.wait(false); });
        co_return;
    });
    CHECK(problems(r).find("leaked threads: ") == 0);
    leave = true;
    leave.notify_all();
    left_over.join();
}
#endif

TEST_CASE("what leaves the body is the test's error") {
    const auto r = run_body([]() -> task<> {
        co_await this_task::yield();
        throw std::runtime_error("body");
    });
    CHECK(words::holds<std::runtime_error>(r.error));
    CHECK(problems(r) == "");
}

TEST_CASE("a task that is left over is cancelled and joined, and is no failure") {
    const auto r = run_body([]() -> task<> {
        spawn([]() -> task<> { co_await sleep_for(1h); });
        co_return;
    });
    CHECK(problems(r) == "");
}

TEST_CASE("settle and manual_clock need the virtual clock") {
    const std::string text = run([]() -> task<std::string> {
        const auto r = co_await as_result(testing::settle());
        co_return words::of(r) + "; " + words::of_call([] { testing::manual_clock c; return 0; });
    }());
    CHECK(text == "settle() needs a virtual clock: use it inside EDDY_TEST; manual_clock needs a virtual clock: use it inside EDDY_TEST");
}

EDDY_TEST("settle returns when nothing can run without time passing") {
    int steps = 0;
    bool woke = false;
    spawn([&]() -> task<> {
        for (; steps < 50; ++steps) co_await this_task::yield();
        co_await sleep_for(1s);
        woke = true;
    });
    co_await testing::settle();
    CHECK(steps == 50);
    CHECK_FALSE(woke);
    co_await sleep_for(1s);
    co_await testing::settle();
    CHECK(woke);
}

EDDY_TEST("a cancelled settle leaves nothing behind") {
    const bool settled = co_await move_on_after(0s, [](cancel_scope&) -> task<> { co_await testing::settle(); });
    CHECK_FALSE(settled);
    co_await testing::settle();
}

EDDY_TEST("expect_checkpoint gives the result of what passes a checkpoint, and throws for what does not") {
    queue<int> q{2};
    q.try_push(7);
    const int v = co_await testing::expect_checkpoint(q.pop());
    CHECK(v == 7);
    co_await testing::expect_checkpoint(sleep_for(1s));
    const auto none = []() -> task<int> { co_return 1; };
    const auto r = co_await as_result(testing::expect_checkpoint(none()));
    CHECK(words::of(r) == "expect_checkpoint: no checkpoint was passed, so that nothing could be cancelled or run here");
}

EDDY_TEST("manual_clock refuses to go back, and long times end") {
    testing::manual_clock clock;
    const auto r = co_await as_result(clock.advance(-1h));
    CHECK(words::of(r) == "manual_clock: time does not go back");
    co_await clock.advance(std::chrono::hours::max());
    CHECK(clock.now() == loop_clock::time_point::max());
    static_cast<void>(clock.wall_now());
}

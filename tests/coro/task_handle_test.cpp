#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>

#include <memory>
#include <string>

#include "lib/tasks.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<> fail(const char* what) {
    co_await this_task::yield();
    throw std::runtime_error(what);
}
task<std::unique_ptr<int>> give_pointer(int x) {
    co_return std::make_unique<int>(x);
}

} // namespace

EDDY_TEST("T-04 the handle of a task that has ended is taken without a tick") {
    auto h = spawn(give(7));
    co_await testing::settle();
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    const int v = co_await h;
    log += "a ";
    co_await testing::settle();
    CHECK(log == "a tick ");
    CHECK(v == 7);
}

EDDY_TEST("T-05 a handle gives the same value to everybody, and moves it out on request") {
    auto h = spawn(give_pointer(5));
    std::string log;
    auto reader = [&]() -> task<> {
        const std::unique_ptr<int>& v = co_await h;
        log += std::to_string(*v);
    };
    auto a = spawn(reader);
    auto b = spawn(reader);
    const std::unique_ptr<int>& seen = co_await h;
    CHECK(*seen == 5);
    co_await a;
    co_await b;
    CHECK(log == "55");
    const std::unique_ptr<int> taken = co_await std::move(h);
    CHECK(*taken == 5);
}

EDDY_TEST("T-06 a failed task rethrows the same exception object each time") {
    auto h = spawn(fail("E"));
    const void* first = nullptr;
    const void* second = nullptr;
    try {
        co_await h;
    } catch (const std::runtime_error& e) {
        first = &e;
    }
    try {
        co_await h;
    } catch (const std::runtime_error& e) {
        second = &e;
    }
    CHECK(first != nullptr);
    CHECK(first == second);
}

EDDY_TEST("T-08 a task that awaits its own handle gets an error, and the loop lives") {
    task_handle<> h;
    h = spawn([&]() -> task<> { co_await h; });
    const auto r = co_await as_result(h);
    CHECK(words::of(r).find("cannot await itself") != std::string::npos);
    CHECK(words::holds<std::logic_error>(r.exception()));
    auto joins = spawn([&]() -> task<> { co_await this_task::handle().join(); });
    const auto j = co_await as_result(joins);
    CHECK(words::holds<std::logic_error>(j.exception()));
}

EDDY_TEST("T-13 a failure nobody took is reported once, when the last handle goes") {
    const words::reports reports;
    auto h = spawn(fail("lost"), {.name = "worker"});
    auto copy = h;
    co_await testing::settle();
    CHECK(reports.text() == "");
    h = {};
    CHECK(reports.text() == "");
    copy = {};
    CHECK(reports.text() == "worker: lost");
    co_await testing::settle();
    CHECK(reports.count() == 1);
}

EDDY_TEST("T-13 without any handle a failure is reported when the task ends") {
    const words::reports reports;
    spawn(fail("lost"), {.name = "worker"});
    co_await testing::settle();
    CHECK(reports.text() == "worker: lost");
}

EDDY_TEST("T-14 a failure that somebody received is not reported") {
    const words::reports reports;
    auto awaited = spawn(fail("a"));
    auto asked = spawn(fail("b"));
    auto read = spawn(fail("c"));
    co_await awaited.join();
    co_await read.join();
    const auto r = co_await as_result(awaited);
    const std::exception_ptr e = asked.exception();
    const std::string got = words::of_call([&] { read.result(); return 0; });
    awaited = {};
    asked = {};
    read = {};
    CHECK(words::of(r) == "a");
    CHECK(words::holds<std::runtime_error>(e));
    CHECK(got == "c");
    CHECK(reports.count() == 0);
}

EDDY_TEST("joining alone does not count as receiving the error") {
    const words::reports reports;
    auto h = spawn(fail("unread"));
    co_await h.join();
    h = {};
    CHECK(reports.count() == 1);
}

EDDY_TEST("T-15 cancelling a task that failed is a no-op: it is still reported") {
    const words::reports reports;
    auto h = spawn(fail("late"));
    co_await testing::settle();
    CHECK_FALSE(h.cancel());
    CHECK_FALSE(h.cancelled());
    h = {};
    CHECK(reports.count() == 1);
}

EDDY_TEST("T-16 a task nobody holds a handle of runs to completion") {
    bool done = false;
    spawn([&]() -> task<> {
        co_await sleep_for(1h);
        done = true;
    });
    co_await sleep_for(2h);
    CHECK(done);
}

TEST_CASE("a handle may outlive its loop") {
    task_handle<int> value;
    task_handle<> failed;
    task_handle<> unread;
    {
        event_loop loop;
        value = loop.spawn(give(3), {.name = "value"});
        failed = loop.spawn(fail("x"));
        unread = loop.spawn(fail("nobody reads this: it goes to stderr"));
        loop.poll();
    }
    CHECK(value.done());
    CHECK(value.result() == 3);
    CHECK(value.name() == "value");
    CHECK_FALSE(value.cancel());
    CHECK(words::holds<std::runtime_error>(failed.exception()));
    failed = {};
    unread = {};
}

EDDY_TEST("asking a running task for its result or error is an error of the asker") {
    auto h = spawn([]() -> task<int> { co_await sleep_for(1s); co_return 1; }, {.name = "slow"});
    co_await testing::settle();
    CHECK(words::throws<invalid_state>([&] { return h.result(); }));
    CHECK(words::of_call([&] { return h.exception(); }) ==
          "exception(): task 'slow' has not ended yet; co_await it or its join()");
    const int v = co_await h;
    CHECK(v == 1);
    CHECK(h.exception() == nullptr);
}

EDDY_TEST("an empty handle says so") {
    const task_handle<int> empty;
    CHECK_FALSE(empty);
    CHECK(words::of_call([&] { return empty.done(); }) == "this task handle is empty");
    const auto r = co_await as_result([&]() -> task<> { co_await empty; }());
    CHECK(words::of(r) == "this task handle is empty");
}

EDDY_TEST("C-05 cancelling a finished task returns false and changes nothing") {
    auto h = spawn(give(1));
    const int v = co_await h;
    CHECK_FALSE(h.cancel("late"));
    CHECK_FALSE(h.cancelled());
    const int again = co_await h;
    CHECK(v == again);
}

EDDY_TEST("C-06 right after cancel a task is neither done nor cancelled, only once it has unwound") {
    std::string log;
    auto h = spawn([&]() -> task<> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            log += "unwinding ";
            throw;
        }
    });
    co_await testing::settle();
    CHECK(h.cancel());
    CHECK_FALSE(h.done());
    CHECK_FALSE(h.cancelled());
    CHECK(log == "");
    co_await h.join();
    CHECK(log == "unwinding ");
    CHECK(h.done());
    CHECK(h.cancelled());
}

EDDY_TEST("C-20 the first reason reaches whoever awaits the task") {
    auto h = spawn([]() -> task<> { co_await sleep_for(1h); }, {.name = "w"});
    co_await testing::settle();
    CHECK(h.cancel("not needed"));
    CHECK(h.cancel("another reason"));
    const auto r = co_await as_result(h);
    CHECK(words::of(r) == "task 'w' was cancelled: not needed");
    CHECK(words::holds<child_cancelled>(r.exception()));
}

EDDY_TEST("C-35 cancel_and_join returns after the task's cleanup, for every caller") {
    const auto start = loop_clock::now();
    auto h = spawn([]() -> task<> {
        try {
            co_await sleep_for(1h);
        } catch (...) {
        }
        co_await with_shield([]() -> task<> { co_await sleep_for(30ms); });
    });
    co_await testing::settle();
    std::string log;
    auto caller = [&](const char* name) -> task<> {
        co_await h.cancel_and_join();
        log += name + std::to_string((loop_clock::now() - start) / 1ms) + (h.done() ? "+ " : "- ");
    };
    auto first = spawn(caller, "a");
    co_await sleep_for(10ms);
    auto second = spawn(caller, "b");
    co_await first;
    co_await second;
    CHECK((log == "a30+ b30+ " || log == "b30+ a30+ "));
}

EDDY_TEST("an error in the cleanup of a cancelled task is reported once, however many join it") {
    const words::reports reports;
    auto h = spawn([]() -> task<> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            throw std::runtime_error("cleanup failed");
        }
    }, {.name = "w"});
    co_await testing::settle();
    auto other = spawn([&]() -> task<> { co_await h.cancel_and_join(); });
    co_await h.cancel_and_join();
    co_await other;
    h = {};
    CHECK(reports.text() == "w: cleanup failed");
}

EDDY_TEST("an error that somebody received before is not reported by cancel_and_join") {
    const words::reports reports;
    auto h = spawn(fail("seen"));
    const auto r = co_await as_result(h);
    co_await h.cancel_and_join();
    CHECK(words::of(r) == "seen");
    CHECK(reports.count() == 0);
}

EDDY_TEST("C-37 destroying a handle does not cancel the task") {
    bool done = false;
    {
        auto h = spawn([&]() -> task<> {
            co_await sleep_for(1s);
            done = true;
        });
        co_await testing::settle();
    }
    co_await sleep_for(2s);
    CHECK(done);
}

EDDY_TEST("handles are named, renamed and compared") {
    auto h = spawn(give(1), {.name = "one"});
    const any_task same = h;
    auto other = spawn(give(1));
    CHECK(h.name() == "one");
    CHECK(other.name() == "task-" + std::to_string(other.id()));
    h.set_name("uno");
    CHECK(same.name() == "uno");
    CHECK(same == h);
    CHECK_FALSE(same == other);
    co_await h;
    co_await other;
}

EDDY_TEST("where() is the innermost await site outside the library") {
    int line = 0;
    auto sleeper = [&]() -> task<> {
        line = __LINE__ + 1;
        co_await sleep_for(1s);
    };
    auto h = spawn(sleeper);
    CHECK(h.where().line() == __LINE__ - 1);
    auto named = spawn_eager(sleeper, {.name = "named"});
    CHECK(named.name() == "named");
    auto with_arguments = spawn([](int) -> task<> { co_return; }, {.name = "x"}, 1);
    CHECK(with_arguments.where().line() == __LINE__ - 1);
    co_await testing::settle();
    CHECK(h.where().line() == static_cast<unsigned>(line));
    CHECK(std::string(h.where().file_name()).find("task_handle_test.cpp") != std::string::npos);
    co_await h;
    co_await named;
}

EDDY_TEST("C-14 an owned task is cancelled even if its owner was cancelled before it waited") {
    std::string log;
    auto inner = spawn([&]() -> task<> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            log += "inner ";
            throw;
        }
    });
    auto outer = spawn([&]() -> task<> {
        this_task::handle().cancel();
        try {
            co_await owned(inner);
        } catch (const operation_cancelled&) {
            log += "outer";
            throw;
        }
    });
    co_await outer.join();
    CHECK(inner.cancelled());
    CHECK(log == "inner outer");
}

EDDY_TEST("a chain of ten thousand tasks that own each other is cancelled in constant stack") {
    task_handle<> last = spawn([]() -> task<> { co_await sleep_for(1h); });
    for (int i = 0; i < 10'000; ++i) last = spawn([](task_handle<> h) -> task<> { co_await owned(h); }, last);
    co_await testing::settle();
    co_await last.cancel_and_join();
    CHECK(last.cancelled());
}

EDDY_TEST("an operation is awaited once: the second task is refused, the first is not disturbed") {
    event e;
    auto op = e.wait();
    auto first = spawn([&]() -> task<> { co_await op; });
    co_await testing::settle();
    const std::string end = co_await words::ending(shielded(op));
    CHECK(end == "this operation was started before; an operation is awaited once");
    e.set();
    co_await first;
    auto join = first.join();
    auto moved = std::move(join);
    const auto empty = co_await as_result(join);
    CHECK(words::of(empty) == "this operation is empty (it was moved from)");
    co_await moved;
}

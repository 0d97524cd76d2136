// Groups that are cancelled, and what belongs to them meanwhile.
#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <string>

#include "lib/tasks.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("TG-22 a group that cancels itself ends without an error", "[fifo]") {
    std::string log;
    co_await with_task_group([&](task_group& g) -> task<> {
        g.spawn(sleeper(log, "child "));
        co_await testing::settle();
        g.cancel("enough");
        co_await sleeper(log, "body ");
    });
    CHECK(log == "child body ");
    co_await this_task::checkpoint();
}

EDDY_TEST("TG-22 a timeout that fires while a cancelled group waits is not swallowed") {
    std::string log;
    const auto r = co_await as_result(with_timeout(1s, [&](cancel_scope&) -> task<> {
        co_await with_task_group([&](task_group& g) -> task<> {
            g.spawn([&]() -> task<> {
                co_await with_shield([]() -> task<> { co_await sleep_for(5s); });
                log += "child ";
            });
            co_await testing::settle();
            g.cancel("enough");
            co_await this_task::yield();
        });
        log += "not reached";
    }));
    CHECK(log == "child ");
    CHECK(words::holds<timeout_error>(r.exception()));
}

EDDY_TEST("TG-22 R15 a group cancelled by itself: the body's value if it has one, else child_cancelled") {
    const int v = co_await with_task_group([](task_group& g) -> task<int> {
        g.spawn([]() -> task<> { co_await sleep_for(1h); });
        g.cancel("enough");
        co_return 4;
    });
    CHECK(v == 4);
    const auto r = co_await as_result(with_task_group([](task_group& g) -> task<int> {
        g.cancel("enough");
        co_await this_task::yield();
        co_return 4;
    }));
    CHECK(words::of(r) == "the task group was cancelled before its body had a value: enough");
    CHECK(words::holds<child_cancelled>(r.exception()));
}

EDDY_TEST("TG-23 a group cancelled before entry is cancelled on entry; after its end nothing happens") {
    task_group g;
    std::string log;
    g.cancel();
    g.cancel();
    co_await with_task_group(g, [&](task_group& own) -> task<> {
        own.spawn([&]() -> task<> {
            log += "started ";
            co_await this_task::yield();
            log += "not reached";
        });
        co_await this_task::yield();
        log += "not reached";
    });
    g.cancel();
    CHECK(log == "started ");
    co_await this_task::checkpoint();
}

EDDY_TEST("TG-24 an error while closing a resource of an aborting group joins the others") {
    const auto r = co_await as_result(with_task_group([](task_group& g) -> task<> {
        g.spawn(fail_after(10ms, "child's"));
        std::exception_ptr failure;
        try {
            co_await sleep_for(1h);
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) throw std::runtime_error("close failed");
    }));
    CHECK(words::of(r) == "task group: 2 errors: child's; close failed");
    co_await this_task::checkpoint();
}

EDDY_TEST("TG-28 returning from the body waits for the children and cancels none") {
    bool done = false;
    co_await with_task_group([&](task_group& g) -> task<> {
        g.spawn([&]() -> task<> {
            co_await sleep_for(1s);
            done = true;
        });
        co_return;
    });
    CHECK(done);
}

EDDY_TEST("TG-29 a timeout opened inside the group around a spawn does not apply to the child") {
    task_handle<int> child;
    co_await with_task_group([&](task_group& g) -> task<> {
        co_await move_on_after(1s, [&](cancel_scope&) -> task<> {
            child = g.spawn([]() -> task<int> {
                co_await sleep_for(5s);
                co_return 6;
            });
            co_await sleep_for(1h);
        });
    });
    CHECK(child.result() == 6);
}

EDDY_TEST("an error that the body received through a child's handle is in the group once") {
    const auto r = co_await as_result(with_task_group([](task_group& g) -> task<> {
        auto h = g.spawn(fail_after(10ms, "E"));
        co_await h;
    }));
    const bool cancelled_or_same = words::of(r) == "task group: 1 error: E";
    CHECK(cancelled_or_same);
}

EDDY_TEST("a failed child cancels its siblings in spawn order, then the body", "[fifo]") {
    std::string log;
    const auto r = co_await as_result(with_task_group([&](task_group& g) -> task<> {
        g.spawn(sleeper(log, "a "));
        g.spawn(fail_after(10ms, "E"));
        g.spawn(sleeper(log, "b "));
        g.spawn(sleeper(log, "c "));
        co_await sleeper(log, "body ");
    }));
    CHECK(log == "a b c body ");
    CHECK_FALSE(r.has_value());
}

EDDY_TEST("eager children belong to the group") {
    std::string log;
    const auto r = co_await as_result(with_task_group([&](task_group& g) -> task<> {
        auto h = g.spawn_eager(give(3));
        CHECK(h.result() == 3);
        g.spawn_eager(sleeper(log, "child "));
        g.spawn_eager([]() -> task<> {
            throw std::runtime_error("eager");
            co_return;
        });
        co_await testing::settle();
        log += "not reached";
    }));
    CHECK(log == "child ");
    CHECK(words::of(r) == "task group: 1 error: eager");
}

EDDY_TEST("R10 a child's failure is in the group and not reported besides, with or without handles") {
    const words::reports reports;
    task_handle<> kept;
    const auto r = co_await as_result(with_task_group([&](task_group& g) -> task<> {
        kept = g.spawn(fail_after(10ms, "kept"));
        co_return;
    }));
    kept = {};
    CHECK_FALSE(r.has_value());
    CHECK(reports.count() == 0);
}

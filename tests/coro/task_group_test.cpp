// Groups whose children end or fail. Groups that are cancelled: task_group_cancel_test.cpp.
#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <functional>
#include <memory>
#include <string>

#include "lib/tasks.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("TG-01 the block ends after its children, whose values can be read") {
    task_handle<int> a;
    task_handle<int> b;
    const int sum = co_await with_task_group([&](task_group& g) -> task<int> {
        a = g.spawn(give(1));
        b = g.spawn([]() -> task<int> {
            co_await sleep_for(10ms);
            co_return 2;
        });
        const int r = co_await a;
        CHECK(g.size() == 1);
        co_return r + 10;
    });
    CHECK(sum == 11);
    CHECK(b.result() == 2);
}

EDDY_TEST("TG-02 a group without children does not suspend") {
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    co_await with_task_group([](task_group&) -> task<> { co_return; });
    log += "a ";
    co_await testing::settle();
    CHECK(log == "a tick ");
}

EDDY_TEST("TG-02 a group without children is no checkpoint in a cancelled scope") {
    bool after = false;
    co_await with_scope([&](cancel_scope& s) -> task<> {
        s.cancel();
        co_await with_task_group([](task_group&) -> task<> { co_return; });
        after = true;
    });
    CHECK(after);
}

EDDY_TEST("TG-03 the first failure cancels siblings and body, cleanup is awaited, then the group is thrown", "[fifo]") {
    const auto start = loop_clock::now();
    std::string log;
    const auto r = co_await as_result(with_task_group([&](task_group& g) -> task<> {
        g.spawn(fail_after(10ms, "E"));
        g.spawn(sleeper(log, "sibling ", 5ms));
        co_await sleeper(log, "body ");
    }));
    CHECK(log == "sibling body ");
    CHECK(words::of(r) == "task group: 1 error: E");
    CHECK(loop_clock::now() - start == 15ms);
    co_await this_task::checkpoint();
}

EDDY_TEST("TG-04 a child that fails after the body has ended cancels the rest") {
    std::string log;
    const auto r = co_await as_result(with_task_group([&](task_group& g) -> task<> {
        g.spawn(sleeper(log, "sibling "));
        g.spawn(fail_after(10ms, "late"));
        co_return;
    }));
    CHECK(log == "sibling ");
    CHECK(words::of(r) == "task group: 1 error: late");
}

EDDY_TEST("TG-05 two children that fail in one tick are both in the group, in completion order", "[fifo]") {
    const auto r = co_await as_result(with_task_group([](task_group& g) -> task<> {
        g.spawn(fail_after(10ms, "first"));
        g.spawn(fail_after(10ms, "second"));
        co_return;
    }));
    CHECK(words::of(r) == "task group: 2 errors: first; second");
}

EDDY_TEST("TG-07 a body that throws cancels the children; its error comes last") {
    std::string log;
    const auto r = co_await as_result(with_task_group([&](task_group& g) -> task<> {
        g.spawn(sleeper(log, "child "));
        g.spawn([]() -> task<> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                throw std::runtime_error("child's");
            }
        });
        co_await testing::settle();
        throw std::runtime_error("body's");
    }));
    CHECK(log == "child ");
    CHECK(words::of(r) == "task group: 2 errors: child's; body's");
}

EDDY_TEST("TG-08 a body that throws before a child had its first step: the child runs to its first checkpoint") {
    std::string log;
    const auto r = co_await as_result(with_task_group([&](task_group& g) -> task<> {
        g.spawn([&]() -> task<> {
            log += "start ";
            co_await this_task::yield();
            log += "not reached";
        });
        throw std::runtime_error("body's");
        co_return;
    }));
    CHECK(log == "start ");
    CHECK(words::of(r) == "task group: 1 error: body's");
}

EDDY_TEST("TG-09 a child that is cancelled on its own is no error") {
    task_handle<int> other;
    co_await with_task_group([&](task_group& g) -> task<> {
        auto one = g.spawn([]() -> task<> { co_await sleep_for(1h); });
        other = g.spawn([]() -> task<int> {
            co_await sleep_for(1s);
            co_return 3;
        });
        co_await testing::settle();
        one.cancel();
    });
    CHECK(other.result() == 3);
}

EDDY_TEST("TG-10 a cancellation from outside cancels and joins the children and goes on, plain") {
    std::string log;
    auto h = spawn([&]() -> task<> {
        co_await with_task_group([&](task_group& g) -> task<> {
            g.spawn(sleeper(log, "child ", 5ms));
            co_return;
        });
        log += "not reached";
    });
    co_await testing::settle();
    h.cancel("outside");
    const auto r = co_await as_result(h);
    CHECK(log == "child ");
    CHECK(h.cancelled());
    CHECK(words::of(r).find("outside") != std::string::npos);
}

EDDY_TEST("TG-12 a second cancellation does not interrupt the children's cleanup") {
    const auto start = loop_clock::now();
    std::string log;
    auto h = spawn([&]() -> task<> {
        co_await with_task_group([&](task_group& g) -> task<> {
            g.spawn(sleeper(log, "child ", 30ms));
            co_return;
        });
    });
    co_await testing::settle();
    h.cancel();
    co_await sleep_for(10ms);
    h.cancel();
    co_await h.join();
    CHECK(log == "child ");
    CHECK(h.cancelled());
    CHECK(loop_clock::now() - start == 30ms);
}

EDDY_TEST("TG-13 a child that swallows the group's cancellation has a value; only the original error is in the group") {
    task_handle<int> stubborn;
    const auto r = co_await as_result(with_task_group([&](task_group& g) -> task<> {
        stubborn = g.spawn([]() -> task<int> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
            }
            co_return 5;
        });
        g.spawn(fail_after(10ms, "E"));
        co_return;
    }));
    CHECK(words::of(r) == "task group: 1 error: E");
    CHECK(stubborn.result() == 5);
}

EDDY_TEST("TG-14 a child may spawn another one while the group waits at its end") {
    std::string log;
    co_await with_task_group([&](task_group& g) -> task<> {
        g.spawn([&]() -> task<> {
            co_await sleep_for(10ms);
            g.spawn([&]() -> task<> {
                co_await sleep_for(10ms);
                log += "grandchild";
            });
        });
        co_return;
    });
    CHECK(log == "grandchild");
}

EDDY_TEST("TG-15 a task spawned while the group aborts starts and is cancelled at its first checkpoint") {
    std::string log;
    const auto r = co_await as_result(with_task_group([&](task_group& g) -> task<> {
        g.spawn([&]() -> task<> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                g.spawn([&]() -> task<> {
                    log += "started ";
                    co_await this_task::yield();
                    log += "not reached";
                });
                throw;
            }
        });
        g.spawn(fail_after(10ms, "E"));
        co_return;
    }));
    CHECK(log == "started ");
    CHECK(words::of(r) == "task group: 1 error: E");
}

EDDY_TEST("TG-16 spawning before the group began and after it ended is an error, and nothing leaks") {
    task_group g;
    bool ran = false;
    auto body = [&]() -> task<> {
        ran = true;
        co_return;
    };
    CHECK(words::of_call([&] { return g.spawn(body()); }) ==
          "task_group::spawn before the group was entered: use it inside with_task_group");
    co_await with_task_group(g, [](task_group&) -> task<> { co_return; });
    CHECK(words::of_call([&] { return g.spawn(body()); }) == "task_group::spawn after the group ended: its block is over");
    const auto again = co_await as_result(with_task_group(g, [](task_group&) -> task<> { co_return; }));
    CHECK(words::of(again) == "a task_group is entered once; make a new one");
    CHECK_FALSE(ran);
}

EDDY_TEST("TG-16 a spawn that is refused destroys the task and its arguments") {
    auto owner = std::make_shared<int>(0);
    auto body = [](std::shared_ptr<int>) -> task<> { co_return; };
    task_group g;
    CHECK(words::throws<std::logic_error>([&] { return g.spawn(body(owner)); }));
    CHECK(owner.use_count() == 1);
    CHECK(words::throws<std::logic_error>([&] { return g.spawn(body, owner); }));
    CHECK(owner.use_count() == 1);
    co_await with_task_group(g, [](task_group&) -> task<> { co_return; });
    CHECK(words::throws<std::logic_error>([&] { return g.spawn(body(owner)); }));
    CHECK(words::throws<std::logic_error>([&] { return g.spawn_eager(body, owner); }));
    CHECK(owner.use_count() == 1);
    const auto late_start = co_await as_result(g.start([](started<int> r) -> task<> {
        r(1);
        co_return;
    }));
    CHECK(words::holds<std::logic_error>(late_start.exception()));
}

EDDY_TEST("TG-17 a hydra dies when a sibling fails") {
    int heads = 0;
    const auto r = co_await as_result(with_task_group([&](task_group& g) -> task<> {
        std::function<task<>(int)> hydra = [&](int depth) -> task<> {
            ++heads;
            co_await sleep_for(1ms);
            if (depth < 20) {
                g.spawn(std::ref(hydra), depth + 1);
                g.spawn(std::ref(hydra), depth + 1);
            }
        };
        g.spawn(fail_after(8ms + 500us, "axe"));
        g.spawn(std::ref(hydra), 0);
        co_await sleep_for(1h);
    }));
    CHECK(words::of(r) == "task group: 1 error: axe");
    CHECK(heads == 511);
}

EDDY_TEST("TG-18 an inner group's error that is caught leaves the outer group alone") {
    std::string log;
    co_await with_task_group([&](task_group& outer) -> task<> {
        auto other = outer.spawn([&]() -> task<> {
            co_await sleep_for(1s);
            log += "other ";
        });
        const auto r = co_await as_result(with_task_group([](task_group& inner) -> task<> {
            inner.spawn(fail_after(10ms, "E"));
            co_return;
        }));
        log += words::of(r) + " ";
        co_await other;
    });
    CHECK(log == "task group: 1 error: E other ");
}

EDDY_TEST("TG-20 an uncaught error of an inner group is a group in a group") {
    const auto r = co_await as_result(with_task_group([](task_group& outer) -> task<> {
        outer.spawn([]() -> task<> {
            co_await with_task_group([](task_group& inner) -> task<> {
                inner.spawn(fail_after(10ms, "E"));
                co_return;
            });
        });
        co_return;
    }));
    CHECK(words::of(r) == "task group: 1 error: task group: 1 error: E");
    std::string seen;
    std::string single;
    try {
        std::rethrow_exception(r.exception());
    } catch (const exception_group& g) {
        g.for_each<std::runtime_error>([&](const std::runtime_error& e) { seen += e.what(); });
        single = words::of_call([&] { g.rethrow_if_single(); return 0; });
    }
    CHECK(seen == "E");
    CHECK(single == "E");
}

EDDY_TEST("a body that throws before it has a task is a body that failed") {
    std::string log;
    const auto throws = [&](task_group& g) -> task<> {
        g.spawn(sleeper(log, "child "));
        throw std::runtime_error("no task");
    };
    const auto r = co_await as_result(with_task_group(throws));
    CHECK(words::of(r) == "task group: 1 error: no task");
    const auto empty = co_await as_result(with_task_group([](task_group&) -> task<> { return {}; }));
    CHECK(words::of(empty) == "task group: 1 error: co_await on an empty task (it was moved from)");
}

EDDY_TEST("TG-14 a child spawned in the tick in which the last one ended is joined as well", "[fifo]") {
    std::string log;
    event e;
    task_handle<> outsider;
    co_await with_task_group([&](task_group& g) -> task<> {
        g.spawn([&]() -> task<> { co_await e.wait(); });
        outsider = spawn([&]() -> task<> {
            co_await e.wait();
            CHECK(g.size() == 0);
            g.spawn([&]() -> task<> {
                co_await sleep_for(1ms);
                log += "late child ";
            });
        });
        this_loop().call_later(1ms, [&] { e.set(); });
        co_return;
    });
    log += "over";
    CHECK(log == "late child over");
    co_await outsider.join();
}

EDDY_TEST("next_done of a task outside the group that has its turn after the group's end gets its child all the same") {
    std::string log;
    task_handle<> reader;
    co_await with_task_group([&](task_group& g) -> task<> {
        g.spawn([]() -> task<> { co_await sleep_for(1ms); }, {.name = "child"});
        reader = spawn([&]() -> task<> {
            const auto h = co_await g.next_done();
            log += h ? h->name() : "none";
        });
        co_return;
    });
    co_await reader;
    CHECK(log == "child");
}

EDDY_TEST("R2 a cancel from outside that comes when all children have ended does not take the group's value") {
    event e;
    cancel_scope outer;
    int value = 0;
    co_await with_scope(outer, [&](cancel_scope&) -> task<> {
        value = co_await with_task_group([&](task_group& g) -> task<int> {
            g.spawn([&]() -> task<> {
                co_await with_shield([&]() -> task<> { co_await e.wait(); });
                this_loop().call_soon([&] { outer.cancel(); });
            });
            this_loop().call_later(1ms, [&] { g.cancel(); });
            this_loop().call_later(2ms, [&] { e.set(); });
            co_return 42;
        });
    });
    CHECK(value == 42);
}

EDDY_TEST("the result of a child that nobody has a handle of goes when the child ends") {
    mutex m;
    co_await with_task_group([&](task_group& g) -> task<> {
        g.spawn(m.lock());
        co_await testing::settle();
        CHECK_FALSE(m.locked());
        auto h = g.spawn(m.lock());
        co_await testing::settle();
        CHECK(m.locked());
        h = {};
        CHECK_FALSE(m.locked());
    });
}

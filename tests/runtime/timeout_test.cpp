#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <limits>
#include <stdexcept>
#include <string>

#include "lib/tasks.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// Runs a body on a loop whose clock the body moves by hand: so long it held the loop up.
template <class F>
void with_hand_moved_clock(F body) {
    eddy::detail::virtual_clock clock;
    run_options options;
    options.clock = &clock;
    run(body(clock), options);
}

task<int> slow(std::chrono::nanoseconds d, int x) {
    co_await sleep_for(d);
    co_return x;
}

} // namespace

EDDY_TEST("TO-01 a block that sleeps past its deadline throws timeout_error; the task itself is not cancelled") {
    const auto start = loop_clock::now();
    bool expired = false;
    const auto r = co_await as_result(with_timeout(2s, [&](cancel_scope& s) -> task<> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            expired = s.expired();
            throw;
        }
    }));
    CHECK(words::holds<timeout_error>(r.exception()));
    CHECK(words::of(r).find("timed out after 2000 ms") == 0);
    CHECK(expired);
    CHECK(loop_clock::now() - start == 2s);
    co_await this_task::checkpoint();
}

TEST_CASE("TO-02 a block that never suspends is not timed out, however late it is") {
    with_hand_moved_clock([](eddy::detail::virtual_clock& clock) -> task<> {
        const int v = co_await with_timeout(1s, [&](cancel_scope& s) -> task<int> {
            clock.now += 1h;
            CHECK_FALSE(s.expired());
            co_return 3;
        });
        CHECK(v == 3);
    });
}

TEST_CASE("TO-03 it is the loop that notices deadlines: a ready await after one passed goes on") {
    with_hand_moved_clock([](eddy::detail::virtual_clock& clock) -> task<> {
        event e;
        e.set();
        const int v = co_await with_timeout(1s, [&](cancel_scope&) -> task<int> {
            clock.now += 1h;
            co_await e.wait();
            co_return 3;
        });
        CHECK(v == 3);
    });
}

TEST_CASE("TO-03 an await that runs out of budget yields, and then the timeout is noticed") {
    with_hand_moved_clock([](eddy::detail::virtual_clock& clock) -> task<> {
        event e;
        e.set();
        int awaits = 0;
        const auto r = co_await as_result(with_timeout(1s, [&](cancel_scope&) -> task<> {
            clock.now += 1h;
            for (; awaits < 1000; ++awaits) co_await e.wait();
        }));
        CHECK(words::holds<timeout_error>(r.exception()));
        CHECK(awaits >= 100);
        CHECK(awaits <= 258); // the await that yields, and one more budget
    });
}

EDDY_TEST("TO-04 a zero or past deadline fires at the first yield", "[fifo]") {
    const auto zero = co_await as_result(with_timeout(0s, [](cancel_scope&) -> task<> { co_await this_task::yield(); }));
    const auto past = co_await as_result(with_timeout(-5s, [](cancel_scope&) -> task<> { co_await sleep_for(0s); }));
    const auto none = co_await as_result(with_timeout(0s, [](cancel_scope&) -> task<int> { co_return 1; }));
    CHECK(words::holds<timeout_error>(zero.exception()));
    CHECK(words::holds<timeout_error>(past.exception()));
    CHECK(none.value() == 1);
}

EDDY_TEST("TO-05 completed in the tick of the deadline, completion first: the value", "[fifo]") {
    promise<int> p;
    this_loop().call_later(1s, [&] { p.set_value(7); });
    const auto f = p.get_future();
    const int v = co_await with_timeout(1s, [&](cancel_scope&) -> task<int> { co_return co_await f; });
    CHECK(v == 7);
}

EDDY_TEST("TO-06 completed in the tick of the deadline, deadline first: a timeout, and the operation did not happen", "[fifo]") {
    queue<int> q(1);
    const auto r = co_await as_result(with_timeout(1s, [&](cancel_scope&) -> task<int> {
        this_loop().call_later(1s, [&] { q.try_push(7); });
        co_return co_await q.pop();
    }));
    co_await testing::settle();
    CHECK(words::holds<timeout_error>(r.exception()));
    CHECK(q.size() == 1);
}

EDDY_TEST("TO-07 wait_for returns the value that was on its way at the deadline", "[fifo]") {
    promise<int> p;
    this_loop().call_later(1s, [&] { p.set_value(7); });
    const auto f = p.get_future();
    const int v = co_await wait_for(f, 1s);
    CHECK(v == 7);
}

EDDY_TEST("TO-08 a block that swallows its timeout and returns has a value") {
    bool expired = false;
    const int v = co_await with_timeout(1s, [&](cancel_scope& s) -> task<int> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            expired = s.expired();
        }
        co_return 5;
    });
    CHECK(v == 5);
    CHECK(expired);
}

EDDY_TEST("TO-09 a block that swallows its timeout and goes on waiting is cancelled again, at once") {
    const auto start = loop_clock::now();
    const auto r = co_await as_result(with_timeout(1s, [&](cancel_scope&) -> task<int> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
        }
        co_await sleep_for(50ms);
        co_return 5;
    }));
    CHECK(words::holds<timeout_error>(r.exception()));
    CHECK(loop_clock::now() - start == 1s);
}

EDDY_TEST("TO-12 nested, the inner one earlier: only the inner one throws") {
    std::string log;
    co_await with_timeout(10s, [&](cancel_scope&) -> task<> {
        const auto r = co_await as_result(with_timeout(1s, [](cancel_scope&) -> task<> { co_await sleep_for(1h); }));
        log += words::holds<timeout_error>(r.exception()) ? "inner " : "";
        co_await sleep_for(1s);
        log += "outer goes on";
    });
    CHECK(log == "inner outer goes on");
}

EDDY_TEST("TO-13 nested, the outer one earlier: it passes through the inner one as a cancellation") {
    std::string log;
    const auto r = co_await as_result(with_timeout(1s, [&](cancel_scope&) -> task<> {
        co_await with_timeout(10s, [&](cancel_scope& inner) -> task<> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                log += inner.expired() ? "inner" : "cancelled";
                throw;
            }
        });
        log += " not reached";
    }));
    CHECK(words::of(r).find("timed out after 1000 ms") == 0);
    CHECK(log == "cancelled");
}

TEST_CASE("TO-15 an outer deadline that passed while the loop was busy fires at the next suspending await") {
    with_hand_moved_clock([](eddy::detail::virtual_clock& clock) -> task<> {
        std::string log;
        loop_clock::time_point busy_until;
        const auto r = co_await as_result(with_timeout(5s, [&](cancel_scope& outer) -> task<> {
            const auto inner = co_await as_result(with_timeout(1s, [](cancel_scope&) -> task<> { co_await sleep_for(1h); }));
            log += words::holds<timeout_error>(inner.exception()) ? "inner " : "";
            clock.now += 1h;
            busy_until = clock.now;
            CHECK_FALSE(outer.expired());
            co_await this_task::checkpoint();
            log += "busy ";
            co_await sleep_for(1min);
            log += "not reached";
        }));
        CHECK(words::of(r).find("timed out after 5000 ms") == 0);
        CHECK(log == "inner busy ");
        CHECK(clock.now == busy_until);
    });
}

EDDY_TEST("TO-16 a timeout inside the shielded cleanup of a timed-out block throws its own; then the outer one its own") {
    std::string log;
    const auto r = co_await as_result(with_timeout(1s, [&](cancel_scope&) -> task<> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
        }
        co_await with_shield([&]() -> task<> {
            const auto inner = co_await as_result(with_timeout(2s, [](cancel_scope&) -> task<> { co_await sleep_for(1h); }));
            log += words::of(inner).substr(0, 23);
        });
        co_await this_task::checkpoint();
    }));
    CHECK(log == "timed out after 2000 ms");
    CHECK(words::of(r).find("timed out after 1000 ms") == 0);
}

EDDY_TEST("TO-17 inside a cancelled scope a new timeout sees the outer cancellation at its first checkpoint") {
    std::string log;
    auto h = spawn([&]() -> task<> {
        this_task::handle().cancel();
        try {
            co_await sleep_for(1s);
        } catch (const operation_cancelled&) {
            log += "caught ";
        }
        co_await with_timeout(1s, [&](cancel_scope&) -> task<> {
            co_await sleep_for(1h);
            log += "not reached";
        });
    });
    co_await h.join();
    CHECK(log == "caught ");
    CHECK(h.cancelled());
}

EDDY_TEST("TO-18 reschedule: later, never, into the past") {
    const auto start = loop_clock::now();
    const auto later = co_await as_result(with_timeout(1s, [&](cancel_scope& s) -> task<> {
        s.reschedule(loop_clock::now() + 3s);
        co_await sleep_for(1h);
    }));
    CHECK(words::holds<timeout_error>(later.exception()));
    CHECK(loop_clock::now() - start == 3s);
    co_await with_timeout(1s, [&](cancel_scope& s) -> task<> {
        s.reschedule(std::nullopt);
        co_await sleep_for(1h);
    });
    const auto before = loop_clock::now();
    const auto past = co_await as_result(with_timeout(1s, [&](cancel_scope& s) -> task<> {
        s.reschedule(loop_clock::now() - 1s);
        co_await sleep_for(1h);
    }));
    CHECK(words::holds<timeout_error>(past.exception()));
    CHECK(loop_clock::now() == before);
}

EDDY_TEST("TO-19 reschedule before entry, after expiry and after exit is an error") {
    cancel_scope s;
    CHECK(words::of_call([&] { s.reschedule(std::nullopt); return 0; }) == "reschedule: the scope has not been entered yet");
    std::string after_expiry;
    co_await move_on_after(1s, [&](cancel_scope& own) -> task<> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            after_expiry = words::of_call([&] { own.reschedule(std::nullopt); return 0; });
            throw;
        }
    });
    CHECK(after_expiry == "reschedule: the deadline has passed already");
    co_await with_scope(s, [](cancel_scope&) -> task<> { co_return; });
    CHECK(words::of_call([&] { s.reschedule(std::nullopt); return 0; }) == "reschedule: the scope is over");
}

EDDY_TEST("TO-20 wait_for a task with no time at all: the task never starts") {
    bool started = false;
    auto body = [&]() -> task<int> {
        started = true;
        co_return 1;
    };
    const auto r = co_await as_result(wait_for(body(), 0s));
    CHECK(words::holds<timeout_error>(r.exception()));
    CHECK_FALSE(started);
}

EDDY_TEST("TO-21 wait_for a finished handle with no time at all gives its value") {
    auto h = spawn(give(3));
    co_await testing::settle();
    const int v = co_await wait_for(h, 0s);
    CHECK(v == 3);
}

EDDY_TEST("wait_for a handle only observes it") {
    auto h = spawn(slow(5s, 3));
    const auto r = co_await as_result(wait_for(h, 1s));
    CHECK(words::holds<timeout_error>(r.exception()));
    CHECK_FALSE(h.done());
    const int v = co_await h;
    CHECK(v == 3);
}

EDDY_TEST("TO-22 wait_for returns after the cleanup of what it cancelled") {
    const auto start = loop_clock::now();
    auto body = []() -> task<> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
        }
        co_await with_shield([]() -> task<> { co_await sleep_for(50ms); });
        co_await this_task::checkpoint();
    };
    const auto r = co_await as_result(wait_for(body(), 1s));
    CHECK(words::holds<timeout_error>(r.exception()));
    CHECK(loop_clock::now() - start == 1050ms);
}

EDDY_TEST("TO-23 a child that ignores the cancellation and returns a value gives the value") {
    auto body = []() -> task<int> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
        }
        co_await with_shield([]() -> task<> { co_await sleep_for(200ms); });
        co_return 9;
    };
    const int v = co_await wait_for(body(), 1s);
    CHECK(v == 9);
}

EDDY_TEST("TO-24 a child that throws X while it is cancelled gives X") {
    auto body = []() -> task<int> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            throw std::runtime_error("X");
        }
        co_return 1;
    };
    const auto r = co_await as_result(wait_for(body(), 1s));
    CHECK(words::of(r) == "X");
}

EDDY_TEST("TO-25 timeout_error tells whose it is") {
    unsigned inner_line = 0;
    auto body = [&]() -> task<> {
        inner_line = __LINE__ + 1;
        co_await with_timeout(1s, [](cancel_scope&) -> task<> { co_await sleep_for(1h); });
    };
    unsigned where = 0;
    std::chrono::nanoseconds limit{};
    try {
        co_await wait_for(body(), 1min);
    } catch (const timeout_error& e) {
        where = e.where().line();
        limit = e.limit();
    }
    CHECK(where == inner_line);
    CHECK(limit == 1s);
}

EDDY_TEST("TO-27 a timeout around a group joins the children and throws a plain timeout_error") {
    std::string log;
    const auto r = co_await as_result(with_timeout(1s, [&](cancel_scope&) -> task<> {
        co_await with_task_group([&](task_group& g) -> task<> {
            g.spawn([&]() -> task<> {
                try {
                    co_await sleep_for(1h);
                } catch (const operation_cancelled&) {
                    log += "child ";
                    throw;
                }
            });
            co_await sleep_for(1h);
        });
    }));
    CHECK(log == "child ");
    CHECK(words::holds<timeout_error>(r.exception()));
}

EDDY_TEST("R15 move_on_after gives nothing when its scope caught a cancellation, whoever caused it") {
    const auto timed_out = co_await move_on_after(1s, [](cancel_scope&) -> task<int> { co_return co_await slow(1h, 1); });
    const auto in_time = co_await move_on_after(1s, [](cancel_scope&) -> task<int> { co_return 2; });
    const auto cancelled = co_await move_on_after(1s, [](cancel_scope& s) -> task<int> {
        s.cancel();
        co_return co_await slow(1ms, 3);
    });
    CHECK_FALSE(timed_out);
    CHECK(in_time == 2);
    CHECK_FALSE(cancelled);
    int x = 0;
    auto ref = co_await move_on_after(1s, [&](cancel_scope&) -> task<int&> { co_return x; });
    CHECK(&ref->get() == &x);
}

EDDY_TEST("R15 with_timeout cancelled by hand returns normally for task<> and throws child_cancelled for task<T>") {
    co_await with_timeout(1s, [](cancel_scope& s) -> task<> {
        s.cancel();
        co_await this_task::yield();
    });
    const auto r = co_await as_result(with_timeout(1s, [](cancel_scope& s) -> task<int> {
        s.cancel("enough");
        co_return co_await slow(1ms, 3);
    }));
    CHECK(words::of(r) == "the scope was cancelled before its body had a value: enough");
}

EDDY_TEST("R6 a cancellation from outside passes through with_timeout as itself, even after the deadline") {
    auto h = spawn([]() -> task<> {
        co_await with_timeout(1s, [](cancel_scope&) -> task<> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                this_task::handle().cancel();
                throw;
            }
        });
    });
    const auto r = co_await as_result(h);
    CHECK(h.cancelled());
    CHECK(words::holds<child_cancelled>(r.exception()));
}

EDDY_TEST("deadlines without end and NaN") {
    const int v = co_await with_timeout(std::chrono::nanoseconds::max(), [](cancel_scope&) { return slow(1h, 3); });
    const int w = co_await wait_for(slow(1h, 4), std::chrono::hours::max());
    CHECK(v == 3);
    CHECK(w == 4);
    using seconds = std::chrono::duration<double>;
    CHECK(words::throws<std::invalid_argument>([] { return wait_for(give(1), seconds(std::numeric_limits<double>::quiet_NaN())); }));
}

EDDY_TEST("a limit that is NaN is an invalid argument") {
    const std::chrono::duration<double> nan(std::numeric_limits<double>::quiet_NaN());
    const auto body = [](cancel_scope&) -> task<> { co_return; };
    CHECK(words::throws<std::invalid_argument>([&] { return with_timeout(nan, body); }));
    CHECK(words::throws<std::invalid_argument>([&] { return move_on_after(nan, body); }));
    CHECK(words::throws<std::invalid_argument>([&] { return with_shield(nan, body); }));
    co_return;
}

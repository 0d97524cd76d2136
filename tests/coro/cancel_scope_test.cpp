// Cancellation of tasks and single scopes. Nested scopes and shields: cancel_scope_nesting_test.cpp.
#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <string>
#include <type_traits>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("C-01 a task cancelled before its first step runs to its first checkpoint") {
    std::string log;
    auto h = spawn([&]() -> task<> {
        log += "start ";
        co_await this_task::yield();
        log += "not reached";
    });
    h.cancel();
    co_await h.join();
    CHECK(log == "start ");
    CHECK(h.cancelled());
}

EDDY_TEST("C-04 cancelled twice before it runs, a task gets one reason, the first") {
    std::string log;
    auto h = spawn([&]() -> task<> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled& c) {
            log += c.reason();
            throw;
        }
    });
    CHECK(h.cancel("first"));
    CHECK(h.cancel("second"));
    co_await h.join();
    CHECK(log == "first");
}

EDDY_TEST("C-07 a task that cancels itself and then sleeps is cancelled at once") {
    const auto start = loop_clock::now();
    auto h = spawn([]() -> task<> {
        this_task::handle().cancel();
        co_await sleep_for(100s);
    });
    co_await h.join();
    CHECK(h.cancelled());
    CHECK(loop_clock::now() == start);
}

EDDY_TEST("C-08 a task that cancels itself and returns without a checkpoint has its result") {
    auto h = spawn([]() -> task<int> {
        this_task::handle().cancel();
        co_return 12;
    });
    const int v = co_await h;
    CHECK(v == 12);
    CHECK_FALSE(h.cancelled());
}

EDDY_TEST("C-10 a cancellation exception that nobody caused counts as a failure") {
    auto h = spawn([]() -> task<> {
        throw operation_cancelled();
        co_return;
    }, {.name = "w"});
    const auto r = co_await as_result(h);
    CHECK_FALSE(h.cancelled());
    CHECK(words::holds<std::logic_error>(r.exception()));
    CHECK(words::of(r).find("task 'w' ended with operation_cancelled, but nobody had cancelled it") == 0);
}

EDDY_TEST("C-11 a task that catches its cancellation and returns has a result") {
    auto h = spawn([]() -> task<int> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
        }
        co_return 42;
    });
    co_await testing::settle();
    h.cancel();
    const int v = co_await h;
    CHECK(v == 42);
    CHECK_FALSE(h.cancelled());
}

EDDY_TEST("C-12 every checkpoint in a cancelled task throws, not only the first") {
    int deliveries = 0;
    auto h = spawn([&]() -> task<> {
        for (int i = 0; i < 3; ++i) {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                ++deliveries;
            }
        }
    });
    co_await testing::settle();
    const auto start = loop_clock::now();
    h.cancel();
    co_await h;
    CHECK(deliveries == 3);
    CHECK(loop_clock::now() == start);
}

EDDY_TEST("C-13 a catch-all loop cannot starve the others") {
    bool stop = false;
    int spins = 0;
    auto h = spawn([&]() -> task<> {
        while (!stop) {
            try {
                co_await sleep_for(1h);
            } catch (...) {
                ++spins;
            }
        }
    });
    co_await testing::settle();
    h.cancel();
    for (int i = 0; i < 100; ++i) co_await this_task::yield();
    stop = true;
    co_await h;
    CHECK(spins >= 50);
    CHECK(spins <= 200);
}

TEST_CASE("C-13 debug mode names a task that swallows its cancellation a thousand times, once") {
    event_loop loop(loop_options{.debug = true});
    const words::reports reports(loop);
    int spins = 0;
    auto h = loop.spawn([&]() -> task<> {
        this_task::handle().cancel();
        while (++spins < 3000) static_cast<void>(co_await as_result(this_task::yield()));
    }, {.name = "stubborn"});
    while (!h.done()) loop.poll();
    const std::string report = "stubborn: cancelled a thousand times and still going on: it swallows operation_cancelled; let it pass";
    const std::string all = reports.text(); // a busy machine may add a slow step
    CHECK(all.find(report) != std::string::npos);
    CHECK(all.find(report) == all.rfind(report));
}

TEST_CASE("C-13 a thousand timeouts one after another are nobody's fault") {
    eddy::detail::virtual_clock clock;
    event_loop loop(loop_options{.debug = true, .clock = &clock});
    const words::reports reports(loop);
    loop.run_until_complete([]() -> task<> {
        for (int i = 0; i < 2000; ++i)
            static_cast<void>(co_await move_on_after(1s, [](cancel_scope&) -> task<> { co_await sleep_for(1h); }));
    }());
    CHECK(reports.text().find("cancelled a thousand times") == std::string::npos); // a busy machine may add a slow step
}

EDDY_TEST("C-14 cancelling a task that awaits a handle leaves the observed task alone") {
    std::string log;
    auto inner = spawn([&]() -> task<int> {
        co_await sleep_for(1s);
        log += "inner ";
        co_return 7;
    });
    auto outer = spawn([&]() -> task<> {
        try {
            co_await inner;
        } catch (const operation_cancelled&) {
            log += "outer ";
            throw;
        }
    });
    co_await testing::settle();
    co_await outer.cancel_and_join();
    const int v = co_await inner;
    CHECK(log == "outer inner ");
    CHECK(v == 7);
}

EDDY_TEST("C-15 of two tasks that await one handle only the cancelled one stops") {
    auto shared = spawn([]() -> task<int> {
        co_await sleep_for(1s);
        co_return 7;
    });
    auto observer = [&]() -> task<int> { co_return co_await shared; };
    auto a = spawn(observer);
    auto b = spawn(observer);
    co_await testing::settle();
    a.cancel();
    const int v = co_await b;
    CHECK(v == 7);
    CHECK(a.cancelled());
}

EDDY_TEST("C-16 the observer is cancelled even if the observed task swallows every cancellation") {
    auto inner = spawn([]() -> task<int> {
        try {
            co_await sleep_for(1s);
        } catch (const operation_cancelled&) {
        }
        co_return 7;
    });
    auto outer = spawn([&]() -> task<int> { co_return co_await inner; });
    co_await testing::settle();
    inner.cancel();
    outer.cancel();
    co_await outer.join();
    CHECK(outer.cancelled()); // the inner task had not ended when it was: nothing was on its way
    const int v = co_await inner;
    CHECK(v == 7);
}

EDDY_TEST("C-17 a task that was cancelled while it was not blocked is cancelled at its next wait, at once") {
    const auto start = loop_clock::now();
    bool finished = false;
    task_handle<> child;
    auto h = spawn([&]() -> task<> {
        child = spawn([]() -> task<> { co_await sleep_for(1s); });
        this_task::handle().cancel();
        co_await child;
        finished = true;
    });
    co_await h.join();
    CHECK(h.cancelled());
    CHECK_FALSE(finished);
    CHECK(loop_clock::now() == start);
    CHECK_FALSE(child.done());
    co_await child;
}

EDDY_TEST("C-17 a task that cancelled itself runs what it awaits inline to its first wait") {
    const auto start = loop_clock::now();
    std::string log;
    auto h = spawn([&]() -> task<> {
        this_task::handle().cancel();
        log += "before ";
        co_await [](std::string& l) -> task<> {
            l += "child ";
            co_await sleep_for(1s);
            l += "not reached ";
        }(log);
    });
    co_await h.join();
    CHECK(h.cancelled());
    CHECK(log == "before child ");
    CHECK(loop_clock::now() == start);
}

EDDY_TEST("C-18 a cancellation aborts the innermost operation and unwinds innermost first") {
    std::string log;
    struct unwinding {
        std::string& log;
        const char* name;
        unwinding(std::string& l, const char* n) noexcept : log(l), name(n) {}
        unwinding(const unwinding&) = delete;
        unwinding& operator=(const unwinding&) = delete;
        ~unwinding() { log += name; }
    };
    auto third = [&]() -> task<> {
        const unwinding u(log, "3 ");
        co_await sleep_for(1h);
    };
    auto second = [&]() -> task<> {
        const unwinding u(log, "2 ");
        co_await third();
    };
    auto h = spawn([&]() -> task<> {
        const unwinding u(log, "1 ");
        co_await second();
    });
    co_await testing::settle();
    co_await h.cancel_and_join();
    CHECK(log == "3 2 1 ");
}

EDDY_TEST("C-19 repeated cancels do not interrupt shielded cleanup") {
    const auto start = loop_clock::now();
    std::string log;
    auto h = spawn([&]() -> task<> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            log += "caught ";
        }
        co_await with_shield([&]() -> task<> {
            co_await sleep_for(30ms);
            log += "cleaned ";
        });
        co_await this_task::checkpoint();
        log += "not reached";
    });
    co_await testing::settle();
    h.cancel();
    co_await sleep_for(10ms);
    h.cancel();
    co_await h.join();
    CHECK(log == "caught cleaned ");
    CHECK(h.cancelled());
    CHECK(loop_clock::now() - start == 30ms);
}

EDDY_TEST("C-22 the code after a scope that caught its cancellation runs on undisturbed") {
    const bool finished = co_await move_on_after(100ms, [](cancel_scope&) -> task<> { co_await sleep_for(10s); });
    co_await this_task::yield();
    CHECK_FALSE(finished);
    CHECK_FALSE(this_task::cancel_requested());
}

EDDY_TEST("C-23 a scope that is cancelled and ends without a checkpoint caught nothing") {
    cancel_scope s;
    bool after = false;
    co_await with_scope(s, [&](cancel_scope& own) -> task<> {
        own.cancel();
        after = true;
        co_return;
    });
    CHECK(after);
    CHECK(s.cancel_called());
    CHECK_FALSE(s.cancelled_caught());
}

EDDY_TEST("C-29 a scope that is cancelled before it is entered throws at its first checkpoint") {
    cancel_scope s;
    std::string log;
    CHECK(s.cancel("early"));
    CHECK_FALSE(s.cancel("again"));
    co_await with_scope(s, [&](cancel_scope&) -> task<> {
        log += "in ";
        co_await this_task::yield();
        log += "not reached";
    });
    CHECK(log == "in ");
    CHECK(s.cancelled_caught());
    CHECK_FALSE(s.cancel("late"));
}

EDDY_TEST("C-31 a moved deadline fires at the new time, a removed one never") {
    const auto start = loop_clock::now();
    const auto lasted = [&] { return loop_clock::now() - start; };
    co_await move_on_after(10s, [&](cancel_scope& s) -> task<> {
        this_loop().call_later(1s, [&s, start] { s.reschedule(start + 2s); });
        co_await sleep_for(1h);
    });
    CHECK(lasted() == 2s);
    co_await move_on_after(1s, [&](cancel_scope& s) -> task<> {
        s.reschedule(start + 5s);
        co_await sleep_for(1h);
    });
    CHECK(lasted() == 5s);
    const bool finished = co_await move_on_after(1s, [&](cancel_scope& s) -> task<> {
        s.reschedule(std::nullopt);
        co_await sleep_for(5s);
    });
    CHECK(finished);
    CHECK(lasted() == 10s);
}

EDDY_TEST("C-31 a deadline that is moved while its body waits: later fires later, none never") {
    const auto start = loop_clock::now();
    const auto lasted = [&] { return loop_clock::now() - start; };
    co_await move_on_after(2s, [&](cancel_scope& s) -> task<> {
        this_loop().call_later(1s, [&s, start] { s.reschedule(start + 5s); });
        co_await sleep_for(1h);
    });
    CHECK(lasted() == 5s);
    const bool finished = co_await move_on_after(2s, [&](cancel_scope& s) -> task<> {
        this_loop().call_later(1s, [&s] { s.reschedule(std::nullopt); });
        co_await sleep_for(10s);
    });
    CHECK(finished);
    CHECK(lasted() == 15s);
}

EDDY_TEST("C-34 an error thrown while a cancellation unwinds is not hidden by it") {
    auto h = spawn([]() -> task<> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            throw std::runtime_error("X");
        }
    });
    co_await testing::settle();
    h.cancel();
    const auto r = co_await as_result(h);
    CHECK(words::of(r) == "X");
    CHECK_FALSE(h.cancelled());

    const auto s = co_await as_result(with_scope([](cancel_scope& own) -> task<> {
        own.cancel();
        try {
            co_await this_task::yield();
        } catch (const operation_cancelled&) {
            throw std::runtime_error("Y");
        }
    }));
    CHECK(words::of(s) == "Y");
}

EDDY_TEST("R15 with_scope of a task<T> that was cancelled has no value and throws child_cancelled") {
    const auto r = co_await as_result(with_scope([](cancel_scope& s) -> task<int> {
        s.cancel("enough");
        co_await this_task::yield();
        co_return 1;
    }));
    CHECK(words::of(r) == "the scope was cancelled before its body had a value: enough");
    CHECK(words::holds<child_cancelled>(r.exception()));
    const int v = co_await with_scope([](cancel_scope& s) -> task<int> {
        s.cancel();
        co_return 2;
    });
    CHECK(v == 2);
}

EDDY_TEST("a scope is entered once") {
    cancel_scope s;
    co_await with_scope(s, [](cancel_scope&) -> task<> { co_return; });
    const auto r = co_await as_result(with_scope(s, [](cancel_scope&) -> task<> { co_return; }));
    CHECK(words::of(r) == "a cancel_scope is entered once; make a new one");
}

EDDY_TEST("a stop token is stopped in the tick after its scope is cancelled, or inherits a cancellation", "[fifo]") {
    std::string log;
    auto h = spawn([&]() -> task<> {
        co_await with_scope([&](cancel_scope& s) -> task<> {
            const std::stop_callback told(s.stop_token(), [&] { log += "told "; });
            CHECK_FALSE(s.stop_token().stop_requested());
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                log += s.stop_token().stop_requested() ? "stopped " : "unwinding ";
                throw;
            }
        });
    });
    co_await testing::settle();
    h.cancel();
    CHECK(log == "");
    co_await h.join();
    CHECK(log.find("told ") != std::string::npos);

    cancel_scope s;
    s.cancel();
    CHECK(s.stop_token().stop_requested());
}

EDDY_TEST("a body that throws before it has a task leaves its scope closed") {
    cancel_scope s;
    const auto r = co_await as_result(with_scope(s, [](cancel_scope&) -> task<> { throw std::runtime_error("no task"); }));
    CHECK(words::of(r) == "no task");
    CHECK_FALSE(s.cancel("over"));
    co_await this_task::checkpoint();
}

EDDY_TEST("a stop callback that moves the deadline of a scope that is closing does no harm") {
    co_await with_scope([](cancel_scope& s) -> task<> {
        const std::stop_callback callback(s.stop_token(), [&] { s.reschedule(loop_clock::now() + 1s); });
        s.cancel();
        co_return;
    });
    co_await sleep_for(2s);
}

TEST_CASE("C-37 groups and scopes can be neither moved nor copied while something runs in them") {
    STATIC_REQUIRE_FALSE(std::is_move_constructible_v<task_group>);
    STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<task_group>);
    STATIC_REQUIRE_FALSE(std::is_move_assignable_v<task_group>);
    STATIC_REQUIRE_FALSE(std::is_move_constructible_v<cancel_scope>);
    STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<cancel_scope>);
    STATIC_REQUIRE_FALSE(std::is_move_assignable_v<cancel_scope>);
}

// Functions that go on after their time limit: what becomes of their job, and of `serve`.
#include "jobs/support.hpp"

#include <atomic>
#include <thread>

using namespace jobs_tests;

EDDY_TEST("JOB-120 the hard time limit counts, also for a coroutine that was told of it and returned a value") {
    jobs::worker w{"memory:"};
    w.add("answers", []() -> task<int> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
        }
        co_return 7;
    }, {.time_limit = 2s});
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto ending = co_await ending_of(c, co_await c.send("answers"));
        CHECK(ending == "TimeLimitExceeded: 2");
    };
    co_await while_serving(w, body);
    CHECK(w.stats().failed == 1);
    CHECK(w.stats().abandoned == 0); // it has ended
}

EDDY_TEST_REAL("JOB-121 serve waits for functions that were let go of, and says which of them go on after its grace") {
    for (const bool in_time : {true, false}) {
        std::atomic<bool> may_return{false}, returned{false};
        const auto used = std::make_shared<int>(1); // by the function: gone with it
        std::string reports;
        this_loop().set_exception_handler([&](const error_context& e) { reports += std::string(e.message) + "\n"; });
        {
            jobs::worker w{"memory:", {.concurrency = 1, .grace = in_time ? std::chrono::nanoseconds(1min) : std::chrono::nanoseconds(50ms)}};
            w.add("deaf", [&, used](int) {
                while (!may_return) std::this_thread::yield();
                returned = *used == 1;
            }, {.time_limit = 20ms});
            const auto body = [&]() -> task<> {
                jobs::client c = co_await jobs::connect("memory:");
                const auto ending = co_await ending_of(c, co_await c.send("deaf", 1));
                CHECK(ending == "TimeLimitExceeded: 0.02");
                CHECK_FALSE(returned);
                if (in_time) this_loop().call_later(50ms, [&] { may_return = true; });
            };
            co_await while_serving(w, body);
            CHECK(returned == in_time);
        }
        const bool told = reports.find("jobs: a function still runs at the worker's end: ") != std::string::npos;
        CHECK(told != in_time);
        may_return = true;
        while (!returned) co_await sleep_for(1ms);
        while (used.use_count() > 1) co_await sleep_for(1ms);
    }
    this_loop().set_exception_handler({});
}

EDDY_TEST("JOB-122 serve waits for a coroutine that was let go of behind its shields, for its grace") {
    for (const auto grace : {10s, 2s}) {
        std::string reports;
        this_loop().set_exception_handler([&](const error_context& e) { reports += std::string(e.message) + "\n"; });
        jobs::worker w{"memory:", {.grace = grace}};
        bool over = false;
        w.add("deaf", [&]() -> task<> {
            const auto deaf = [&]() -> task<> {
                co_await sleep_for(6s);
                over = true;
            };
            co_await with_shield(deaf);
        }, {.time_limit = 1s});
        const auto body = [&]() -> task<> {
            jobs::client c = co_await jobs::connect("memory:");
            const auto ending = co_await ending_of(c, co_await c.send("deaf"));
            CHECK(ending == "TimeLimitExceeded: 1");
        };
        co_await while_serving(w, body);
        CHECK(over == (grace == 10s));
        const bool told = reports.find("jobs: coroutines that were let go of still run at the worker's end: 1\n") != std::string::npos;
        CHECK(told == (grace == 2s));
        co_await sleep_for(10s);
        CHECK(over);
    }
    this_loop().set_exception_handler({});
}

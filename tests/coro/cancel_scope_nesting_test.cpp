// Scopes inside scopes, and shields (S).
#include <eddy/coro.hpp>
#include <eddy/detail/frame.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <string>

#include "allocations.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// Nested scopes around a sleep; `cancel` is called meanwhile. Says who caught, and what ran between the two.
template <class Cancel>
task<std::string> nested_pair(Cancel cancel) {
    cancel_scope outer;
    cancel_scope inner;
    std::string log;
    this_loop().call_soon([&] { cancel(outer, inner); });
    co_await with_scope(outer, [&](cancel_scope&) -> task<> {
        co_await with_scope(inner, [](cancel_scope&) -> task<> { co_await sleep_for(1h); });
        log += "between ";
        co_await this_task::yield();
    });
    if (inner.cancelled_caught()) log += "inner caught ";
    if (outer.cancelled_caught()) log += "outer caught ";
    co_return log;
}

task<int> nest(int depth, event& deep) {
    if (depth == 0) {
        deep.set();
        co_await sleep_for(1h);
        co_return 0;
    }
    co_return co_await with_scope([&](cancel_scope&) -> task<int> { co_return co_await nest(depth - 1, deep) + 1; });
}

} // namespace

EDDY_TEST("C-24 of two scopes cancelled in one tick the outer one catches, whichever was first") {
    const std::string inner_first = co_await nested_pair([](cancel_scope& outer, cancel_scope& inner) {
        inner.cancel();
        outer.cancel();
    });
    const std::string outer_first = co_await nested_pair([](cancel_scope& outer, cancel_scope& inner) {
        outer.cancel();
        inner.cancel();
    });
    CHECK(inner_first == "outer caught ");
    CHECK(outer_first == "outer caught ");
}

EDDY_TEST("C-24 the reason is the outermost scope's") {
    cancel_scope outer;
    std::string why;
    co_await with_scope(outer, [&](cancel_scope&) -> task<> {
        co_await with_scope([&](cancel_scope& inner) -> task<> {
            inner.cancel("inner");
            outer.cancel("outer");
            try {
                co_await this_task::yield();
            } catch (const operation_cancelled& c) {
                why = c.reason();
                throw;
            }
        });
    });
    CHECK(why == "outer");
}

EDDY_TEST("C-25 cancelling the inner scope alone leaves the outer one untouched") {
    const std::string log = co_await nested_pair([](cancel_scope&, cancel_scope& inner) { inner.cancel(); });
    CHECK(log == "between inner caught ");
}

EDDY_TEST("C-26 inside a shield checkpoints work; after it the next one throws") {
    std::string log;
    cancel_scope outer;
    co_await with_scope(outer, [&](cancel_scope& s) -> task<> {
        s.cancel();
        co_await with_shield([&]() -> task<> {
            CHECK_FALSE(this_task::cancel_requested());
            co_await sleep_for(1s);
            log += "slept ";
        });
        log += "left ";
        CHECK(this_task::cancel_requested());
        co_await this_task::checkpoint();
        log += "not reached";
    });
    CHECK(log == "slept left ");
    CHECK(outer.cancelled_caught());
}

EDDY_TEST("a scope inside a shield can be cancelled on its own") {
    std::string log;
    co_await with_scope([&](cancel_scope& outer) -> task<> {
        outer.cancel();
        co_await with_shield([&]() -> task<> {
            co_await with_scope([&](cancel_scope& inner) -> task<> {
                inner.cancel();
                co_await sleep_for(1h);
            });
            log += "inner over ";
            co_await this_task::yield();
            log += "shield holds ";
        });
    });
    CHECK(log == "inner over shield holds ");
}

EDDY_TEST("a cancellation of the outer scope goes past an inner one that waits for its children, cancelled before") {
    std::string log;
    cancel_scope outer;
    co_await with_scope(outer, [&](cancel_scope&) -> task<> {
        co_await with_task_group([&](task_group& g) -> task<> {
            g.spawn([&]() -> task<> {
                co_await with_shield([]() -> task<> { co_await sleep_for(1s); });
                log += "child ";
            });
            co_await this_task::yield();
            g.cancel("group");
            this_loop().call_soon([&] { outer.cancel("outer"); });
        });
        log += "not reached";
    });
    CHECK(log == "child ");
    CHECK(outer.cancelled_caught());
}

EDDY_TEST("C-38 a thousand nested scopes unwind when the outermost is cancelled") {
    event deep;
    auto h = spawn([&]() -> task<int> { co_return co_await nest(1000, deep); });
    co_await deep.wait();
    h.cancel("all");
    co_await h.join();
    CHECK(h.cancelled());
}

EDDY_TEST("C-38 a million scopes one after another leave nothing behind and take no memory", "[slow]") {
    int entered = 0;
    auto body = [&](cancel_scope&) -> task<> {
        ++entered;
        co_return;
    };
    for (int i = 0; i < 300; ++i) co_await with_scope(body);
    const std::size_t frames = eddy::detail::live_frames();
    const std::size_t before = allocations::count();
    for (int i = 0; i < 1'000'000; ++i) co_await with_scope(body);
    CHECK(entered == 1'000'300);
    CHECK((!allocations::counted || allocations::count() == before));
    CHECK(eddy::detail::live_frames() == frames);
}

EDDY_TEST("C-38 a scope with a hundred thousand children cancels them all", "[slow]") {
    int cancelled = 0;
    co_await with_task_group([&](task_group& g) -> task<> {
        auto child = [&]() -> task<> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                ++cancelled;
                throw;
            }
        };
        for (int i = 0; i < 100'000; ++i) g.spawn(child);
        co_await testing::settle();
        g.cancel();
    });
    CHECK(cancelled == 100'000);
}

EDDY_TEST("S-01 the outer task waits for what it shields; its next checkpoint throws") {
    const auto start = loop_clock::now();
    std::string log;
    auto work = [&]() -> task<int> {
        co_await sleep_for(30ms);
        co_return 5;
    };
    auto h = spawn([&]() -> task<> {
        const int v = co_await shielded(work());
        log += std::to_string(v);
        co_await this_task::checkpoint();
        log += " not reached";
    });
    co_await sleep_for(10ms);
    h.cancel();
    co_await h.join();
    CHECK(log == "5");
    CHECK(h.cancelled());
    CHECK(loop_clock::now() - start == 30ms);
}

EDDY_TEST("S-02 what is shielded cannot fail after its awaiter has left: the awaiter waits and gets the error") {
    std::string seen;
    auto outer = spawn([&]() -> task<> {
        try {
            co_await shielded([]() -> task<> {
                co_await sleep_for(30ms);
                throw std::runtime_error("inner");
            }());
        } catch (const std::runtime_error& e) {
            seen = e.what();
        }
        co_await this_task::checkpoint();
    });
    co_await sleep_for(10ms);
    co_await outer.cancel_and_join();
    CHECK(seen == "inner");
    CHECK(outer.cancelled());
}

EDDY_TEST("S-03 a shielded task that is cancelled directly is an error, no cancellation of the observer") {
    auto inner = spawn([]() -> task<> { co_await sleep_for(1h); });
    co_await testing::settle();
    inner.cancel();
    const auto r = co_await as_result(shielded(inner));
    CHECK(words::holds<child_cancelled>(r.exception()));
    co_await this_task::checkpoint();
}

EDDY_TEST("S-04 shielding what is done already costs no tick") {
    auto h = spawn([]() -> task<int> { co_return 3; });
    co_await testing::settle();
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    const int v = co_await shielded(h);
    log += "a ";
    co_await testing::settle();
    CHECK(log == "a tick ");
    CHECK(v == 3);
}

EDDY_TEST("shielding a handle that stays with its owner only observes it") {
    auto h = spawn([]() -> task<std::string> { co_return "a value that is too long for the small string"; });
    const std::string& seen = co_await shielded(h);
    CHECK(seen == "a value that is too long for the small string");
    CHECK(h.result() == seen);
}

EDDY_TEST("S-05 set and cancelled in one tick, the shielded wait returns the value") {
    promise<std::string> p;
    std::string log;
    auto h = spawn([&]() -> task<> {
        const auto f = p.get_future();
        const std::string& v = co_await shielded(f);
        log += v;
        co_await this_task::checkpoint();
        log += " not reached";
    });
    co_await testing::settle();
    p.set_value("v");
    h.cancel();
    co_await h.join();
    CHECK(log == "v");
    CHECK(h.cancelled());
}

EDDY_TEST("S-07 a shield with a deadline lets its own deadline through, and says so") {
    std::string log;
    auto h = spawn([&]() -> task<> {
        this_task::handle().cancel();
        const bool quick = co_await with_shield(5s, [](cancel_scope&) -> task<> { co_await sleep_for(1s); });
        const bool slow = co_await with_shield(5s, [](cancel_scope&) -> task<> { co_await sleep_for(1h); });
        const auto value = co_await with_shield(5s, []() -> task<int> {
            co_await sleep_for(1s);
            co_return 4;
        });
        log += quick ? "quick " : "";
        log += slow ? "slow " : "";
        log += std::to_string(value.value_or(0));
        co_await this_task::checkpoint();
    });
    co_await h.join();
    CHECK(log == "quick 4");
    CHECK(h.cancelled());
}

EDDY_TEST("a shield gives the value of its body, and its error") {
    const int v = co_await with_shield([]() -> task<int> { co_return 2; });
    const auto e = co_await as_result(with_shield([]() -> task<int> {
        co_await this_task::yield();
        throw std::runtime_error("inside");
    }));
    CHECK(v == 2);
    CHECK(words::of(e) == "inside");
}

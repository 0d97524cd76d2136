// What allocates nothing in its steady state, and what happens when memory runs out (T-36).
#include <eddy/coro.hpp>
#include <eddy/detail/frame.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <array>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "allocations.hpp"
#include "lib/tasks.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using allocations::in_steady_state;

EDDY_TEST("awaiting a task, a yield and a sleep allocates nothing") {
    const auto await = co_await in_steady_state([]() -> task<> { static_cast<void>(co_await give(1)); });
    const auto yield = co_await in_steady_state([]() -> task<> { co_await this_task::yield(); });
    const auto sleep = co_await in_steady_state([]() -> task<> { co_await sleep_for(1ms); });
    CHECK(await == 0);
    CHECK(yield == 0);
    CHECK(sleep == 0);
}

EDDY_TEST("spawning and awaiting a task or a callable allocates nothing") {
    const auto task_object = co_await in_steady_state([]() -> task<> {
        auto h = spawn(give(1));
        co_await h;
    });
    const auto callable = co_await in_steady_state([]() -> task<> {
        int x = 0;
        auto h = spawn([&x](int v) -> task<> {
            x = v;
            co_return;
        }, 5);
        co_await h;
    });
    CHECK(task_object == 0);
    CHECK(callable == 0);
}

EDDY_TEST("waiting for a mutex, an event, a semaphore and a queue allocates nothing") {
    mutex m;
    event e;
    semaphore s(1);
    queue<int> q(300);
    const auto locks = co_await in_steady_state([&]() -> task<> {
        auto guard = co_await m.lock();
        auto h = spawn([&]() -> task<> { auto own = co_await m.lock(); });
        co_await this_task::yield();
        guard.unlock();
        co_await h;
    });
    const auto events = co_await in_steady_state([&]() -> task<> {
        e.clear();
        auto h = spawn(e.wait());
        co_await this_task::yield();
        e.set();
        co_await h;
    });
    const auto permits = co_await in_steady_state([&]() -> task<> {
        auto permit = co_await s.acquire();
        auto h = spawn([&]() -> task<> { auto own = co_await s.acquire(); });
        co_await this_task::yield();
        permit.release();
        co_await h;
    });
    const auto items = co_await in_steady_state([&]() -> task<> {
        co_await q.push(1);
        co_await q.push(2);
        static_cast<void>(co_await q.pop());
        static_cast<void>(co_await q.pop());
        auto h = spawn(q.pop());
        co_await this_task::yield();
        co_await q.push(3);
        co_await h;
    });
    CHECK(locks == 0);
    CHECK(events == 0);
    CHECK(permits == 0);
    CHECK(items == 0);
}

EDDY_TEST("scopes, timeouts, groups, gather and race that end without a cancellation allocate nothing") {
    const auto timeouts = co_await in_steady_state([]() -> task<> {
        co_await with_timeout(1s, [](cancel_scope&) -> task<> { co_await sleep_for(1ms); });
    });
    const auto groups = co_await in_steady_state([]() -> task<> {
        co_await with_task_group([](task_group& g) -> task<> {
            g.spawn(give(1));
            g.spawn(give(2));
            co_return;
        });
    });
    const auto gathers = co_await in_steady_state([]() -> task<> { static_cast<void>(co_await gather(give(1), give(2))); });
    CHECK(timeouts == 0);
    CHECK(groups == 0);
    CHECK(gathers == 0);
}

EDDY_TEST("T-36 spawn that runs out of memory half-way registers nothing and leaks nothing") {
    const std::size_t tasks = this_loop().all_tasks().size();
    const std::size_t frames = eddy::detail::live_frames();
    const std::string argument(100, 'x');
    auto body = [](std::string text) -> task<> {
        std::array<char, 4096> large{}; // too large for the free list
        large.front() = text.front();
        co_await this_task::yield();
        CHECK(large.front() == 'x');
    };
    int failures = 0;
    for (long n = 0;; ++n) {
        bool failed = false;
        try {
            const allocations::failing out_of_memory(n);
            auto h = spawn(body, {.name = "a name that is too long for the small string"}, argument);
        } catch (const std::bad_alloc&) {
            failed = true;
        }
        if (!failed) break;
        ++failures;
        CHECK(this_loop().all_tasks().size() == tasks);
        CHECK(eddy::detail::live_frames() == frames);
    }
    CHECK(failures >= 4);
    CHECK(this_loop().all_tasks().size() == tasks + 1);
    co_await testing::settle();
}

EDDY_TEST("T-36 a group whose spawn ran out of memory is still joinable") {
    int done = 0;
    co_await with_task_group([&](task_group& g) -> task<> {
        auto body = [&done](std::string) -> task<> {
            std::array<char, 4096> large{};
            co_await this_task::yield();
            done += large.front() == 0 ? 1 : 0;
        };
        const std::string argument(100, 'x');
        for (long n = 0; n < 20; ++n) {
            try {
                const allocations::failing out_of_memory(n);
                g.spawn(body, argument);
            } catch (const std::bad_alloc&) {
            }
        }
        CHECK(g.size() > 0);
        CHECK(g.size() < 20);
        co_return;
    });
    CHECK(done > 0);
}

EDDY_TEST("T-36 a gather that cannot start all its members cancels and joins those it has started") {
    std::string log;
    auto large_child = []() -> task<int> {
        std::array<char, 4096> bytes{}; // too large for the free list
        co_await this_task::yield();
        co_return bytes.back();
    };
    auto member = [&](int v) -> task<int> {
        std::array<char, 4096> bytes{};
        try {
            const int more = co_await large_child(); // fails when others have begun
            v += more;
            co_await sleep_for(1s);
        } catch (const operation_cancelled&) {
            log += "cancelled ";
            throw;
        }
        co_return v + bytes.front();
    };
    co_await testing::settle();
    const std::size_t tasks = this_loop().all_tasks().size();
    const std::size_t frames = eddy::detail::live_frames();
    int failures = 0;
    bool some_started = false;
    for (long n = 0;; ++n) {
        log.clear();
        const auto start = loop_clock::now();
        bool failed = false;
        const allocations::failing out_of_memory(n);
        try {
            static_cast<void>(co_await gather(member(1), member(2), member(3)));
        } catch (const std::bad_alloc&) {
            failed = true;
        }
        if (!out_of_memory.happened()) break;
        CHECK(this_loop().all_tasks().size() == tasks);
        CHECK(eddy::detail::live_frames() == frames);
        if (!failed) continue; // a loop that shuffles does without
        CHECK(loop_clock::now() == start);
        some_started = some_started || !log.empty();
        ++failures;
    }
    CHECK(failures >= 3);
    CHECK(some_started);
}

EDDY_TEST("T-36 a group that has no memory for its exception_group lets go of its children and loses no error") {
    const words::reports reports;
    const std::size_t frames = eddy::detail::live_frames();
    const auto fails = []() -> task<> {
        co_await sleep_for(1ms);
        throw 1; // takes no memory from operator new
    };
    for (long n = 0; n < 100; ++n) {
        std::optional<allocations::failing> out_of_memory;
        const std::size_t before = reports.count();
        std::size_t thrown = 0;
        try {
            co_await with_task_group([&](task_group& g) -> task<> {
                for (int i = 0; i < 3; ++i) g.spawn(fails);
                co_await with_shield([]() -> task<> { co_await sleep_for(2ms); });
                out_of_memory.emplace(n); // all that is left to do is the exception_group
            });
        } catch (const std::bad_alloc&) {
        } catch (const exception_group& e) {
            thrown = e.errors().size();
        }
        out_of_memory.reset();
        INFO("allocation " << n);
        CHECK(eddy::detail::live_frames() == frames);
        CHECK(thrown + reports.count() - before == 3);
        if (thrown > 0) break;
    }
}

EDDY_TEST("T-36 cancelling works without memory, only the reason is lost") {
    auto h = spawn([]() -> task<> { co_await sleep_for(1h); });
    co_await testing::settle();
    {
        const allocations::failing out_of_memory(0);
        CHECK(h.cancel("a reason that is too long for the small string"));
        CHECK(out_of_memory.happened());
    }
    co_await h.join();
    CHECK(h.cancelled());
}

EDDY_TEST("T-36 a push that runs out of memory leaves the queue as it was") {
    queue<int> q(100);
    int pushed = 0;
    for (int i = 0; i < 40; ++i) {
        try {
            const allocations::failing out_of_memory(0);
            pushed += q.try_push(pushed) ? 1 : 0;
        } catch (const std::bad_alloc&) {
            pushed += q.try_push(pushed) ? 1 : 0;
        }
    }
    CHECK(q.size() == static_cast<std::size_t>(pushed));
    for (int i = 0; i < pushed; ++i) {
        const int v = co_await q.pop();
        CHECK(v == i);
    }
}

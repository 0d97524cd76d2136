#include <eddy/runtime.hpp>
#include <eddy/loop_group.hpp>
#include <eddy/testing.hpp>

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<std::thread::id> where() {
    co_return std::this_thread::get_id();
}

} // namespace

TEST_CASE("each loop of a group has a thread of its own") {
    loop_group g{3};
    CHECK(g.size() == 3);
    const std::vector<std::thread::id> ids = g.call_each([]() -> task<std::thread::id> { co_return std::this_thread::get_id(); });
    std::set<std::thread::id> different(ids.begin(), ids.end());
    different.insert(std::this_thread::get_id());
    CHECK(different.size() == 4);
}

TEST_CASE("call_each gives the values by index, and each loop its own copy of the function") {
    loop_group g{3};
    const auto values = g.call_each([n = 0](std::size_t i) mutable -> task<int> {
        n += 10;
        co_return n + static_cast<int>(i);
    });
    CHECK(values == std::vector<int>{10, 11, 12});
}

TEST_CASE("spawn goes round the loops, spawn_on does not") {
    loop_group g{2};
    auto a = g.spawn(where());
    auto b = g.spawn(where());
    auto c = g.spawn(&where);
    auto d = g.spawn_on(1, where());
    const auto first = a.get();
    const auto second = b.get();
    CHECK(first != second);
    CHECK(c.get() == first);
    CHECK(d.get() == second);
    CHECK_THROWS_AS(g.spawn_on(2, where()), std::out_of_range);
}

TEST_CASE("an error of any loop reaches the caller, and the others are cancelled first") {
    loop_group g{3};
    std::atomic<int> unwound{0};
    std::string text;
    try {
        g.call_each([&](std::size_t i) -> task<> {
            if (i == 2) throw std::runtime_error("loop 2");
            struct note {
                std::atomic<int>& n;
                ~note() { ++n; }
            } here{unwound};
            co_await sleep_for(1h);
        });
    } catch (const exception_group& e) {
        e.for_each<std::runtime_error>([&](const std::runtime_error& x) { text += x.what(); });
    }
    CHECK(text == "loop 2");
    CHECK(unwound == 2);
    const auto after = g.call_each([](std::size_t i) -> task<std::size_t> { co_return i; });
    CHECK(after.size() == 3);
}

TEST_CASE("join waits for what spawn_each started, and throws its errors") {
    loop_group g{2};
    std::atomic<int> ran{0};
    g.spawn_each([&](std::size_t) -> task<int> {
        co_await sleep_for(1ms);
        co_return ++ran;
    });
    g.join();
    CHECK(ran == 2);
    g.join(); // nothing is left
    g.spawn_each([](std::size_t i) -> task<> {
        if (i == 0) throw std::runtime_error("first");
        co_await sleep_for(1h);
    });
    CHECK_THROWS_AS(g.join(), exception_group);
}

TEST_CASE("shutdown from another thread ends a join; cancelled is no error") {
    loop_group g{2};
    std::atomic<int> started{0};
    g.spawn_each([&](std::size_t) -> task<> {
        ++started;
        co_await sleep_for(1h);
    });
    std::thread other([&] {
        while (started < 2) std::this_thread::yield();
        g.shutdown(5s);
    });
    g.join();
    other.join();
    CHECK_THROWS_AS(g.spawn(where()), std::logic_error);
    g.shutdown(); // again
}

TEST_CASE("spawn on a loop of the group takes another one; spawn_on the own one is refused") {
    loop_group g{2};
    std::vector<thread_future<std::thread::id>> spawned;
    const std::string refused = g.at(0).call([&]() -> task<std::string> {
        for (int i = 0; i < 4; ++i) spawned.push_back(g.spawn(&where));
        co_return words::of_call([&] { return g.spawn_on(0, &where); });
    });
    CHECK(refused.find("loop_thread: this is the loop's own thread") == 0);
    const auto other = g.at(1).call(where());
    for (auto& f : spawned) CHECK(f.get() == other);
    loop_group one{1};
    CHECK(one.at(0).call([&]() -> task<bool> { co_return words::throws<std::logic_error>([&] { return one.spawn(&where); }); }));
}

TEST_CASE("a task of spawn_each that was cancelled alone does not end the others") {
    loop_group g{2};
    event go; // of loop 1
    std::atomic<int> started{0};
    std::atomic<bool> finished{false};
    g.spawn_each([&](std::size_t i) -> task<> {
        ++started;
        if (i == 0) co_await sleep_for(1h);
        co_await go.wait();
        finished = true;
    });
    while (started < 2) std::this_thread::yield();
    std::thread joins([&] { g.join(); });
    g.at(0).close();
    g.at(1).call([&]() -> task<> {
        go.set();
        co_return;
    });
    joins.join();
    CHECK(finished);
}

TEST_CASE("join goes through what spawn_each started in its order") {
    loop_group g{1};
    std::atomic<bool> first_ended{false};
    g.spawn_each([&](std::size_t) -> task<> {
        co_await sleep_for(1ms);
        first_ended = true;
    });
    g.spawn_each([](std::size_t) -> task<> {
        throw std::runtime_error("second");
        co_return;
    });
    CHECK_THROWS_AS(g.join(), exception_group);
    CHECK(first_ended);
}

TEST_CASE("a group's own threads may not wait for it") {
    loop_group g{2};
    auto h = g.spawn_on(0, [&]() -> task<bool> {
        try {
            g.call_each([]() -> task<> { co_return; });
        } catch (const std::logic_error&) {
            co_return true;
        }
        co_return false;
    });
    CHECK(h.get());
}

TEST_CASE("R16 a group whose tasks are stuck shuts down all the same, within one grace period") {
    std::atomic<int> started{0};
    loop_group g{2};
    for (std::size_t i = 0; i < 2; ++i) g.at(i).call([](std::atomic<int>&) -> task<> {
        this_loop().set_exception_handler([](const error_context&) {});
        co_return;
    }, std::ref(started));
    g.spawn_each([&](std::size_t) -> task<> {
        ++started;
        co_await with_shield([]() -> task<> { co_await sleep_for(1h); });
    });
    while (started < 2) std::this_thread::yield();
    g.shutdown(1ms); // the shields are broken then
    g.join();
}

TEST_CASE("R16 join and call_each end when a shutdown has given up on what they wait for") {
    detail::virtual_clock clock; // the grace period takes no real time
    run_options options;
    options.clock = &clock;
    std::atomic<bool> started{false};
    loop_group g{1, options};
    g.at(0).call([]() -> task<> {
        this_loop().set_exception_handler([](const error_context&) {});
        co_return;
    });
    const auto immortal = [&]() -> task<> {
        event never;
        started = true;
        for (;;) { // swallows everything; time passes meanwhile
            static_cast<void>(co_await as_result(never.wait()));
            clock.now += 10ms;
        }
    };
    g.spawn_each(immortal);
    while (!started) std::this_thread::yield();
    started = false;
    std::string joined;
    std::string called;
    std::thread joins([&] { joined = words::of_call([&] { return g.join(), 0; }); });
    std::thread calls([&] { called = words::of_call([&] { return g.call_each(immortal), 0; }); });
    while (!started) std::this_thread::yield();
    CHECK_THROWS_AS(g.shutdown(1ms), shutdown_timeout);
    joins.join();
    calls.join();
    CHECK(joined.find("the loop was shut down while the task was stuck") != std::string::npos);
    CHECK(called.find("the loop was shut down while the task was stuck") != std::string::npos);
    g.join(); // nothing is left
}

TEST_CASE("one loop a core by default") {
    loop_group g;
    CHECK(g.size() == std::max(1U, std::thread::hardware_concurrency()));
}

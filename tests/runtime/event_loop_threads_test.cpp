// The loop and other threads (TH).
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

TEST_CASE("TH-01 posts from another thread wake a loop that waits for a minute, each time, in their order") {
    constexpr int posts = 200;
    std::string log;
    std::atomic<int> seen{0};
    bool minute_passed = false;
    event_loop loop;
    loop.call_later(60s, [&] {
        minute_passed = true;
        seen = posts; // lets the other thread end
        loop.stop();
    });
    std::thread other([&] {
        for (int i = 0; i < posts; ++i) {
            while (seen < i) std::this_thread::yield(); // the loop has nothing to do then but to wait
            loop.call_soon_threadsafe([&, i] {
                if (i < 5) log += std::to_string(i);
                if (i == posts - 1) loop.stop();
                seen = i + 1;
            });
        }
    });
    loop.run_forever();
    other.join();
    CHECK(log == "01234");
    CHECK_FALSE(minute_passed);
    CHECK(loop.stats().posts == posts);
}

TEST_CASE("TH-02 of eight threads' thousand posts none is lost, and each thread's order is kept") {
    constexpr std::size_t threads = 8;
    constexpr int posts = 1000;
    std::array<int, threads> next{};
    int total = 0;
    bool in_order = true;
    event_loop loop;
    std::vector<std::thread> posters;
    for (std::size_t t = 0; t < threads; ++t) {
        posters.emplace_back([&, t] {
            for (int i = 0; i < posts; ++i) {
                loop.call_soon_threadsafe([&, t, i] {
                    in_order = in_order && next[t]++ == i;
                    if (++total == posts * static_cast<int>(threads)) loop.stop();
                });
            }
        });
    }
    loop.run_forever();
    for (std::thread& t : posters) t.join();
    CHECK(total == 8000);
    CHECK(in_order);
}

TEST_CASE("TH-03 posts that never end do not starve the tasks") {
    std::atomic<bool> stop{false};
    std::array<std::atomic<bool>, 2> answered{true, true};
    event_loop loop; // goes first: it runs the last posts
    std::vector<std::thread> posters;
    for (std::atomic<bool>& mine : answered) {
        posters.emplace_back([&] {
            while (!stop) {
                if (mine.exchange(false)) loop.call_soon_threadsafe([&] { mine = true; });
            }
        });
    }
    const int turns = loop.run_until_complete([](std::atomic<bool>& flag) -> task<int> {
        int n = 0;
        for (; n < 1000; ++n) co_await this_task::yield();
        flag = true;
        co_return n;
    }(stop));
    for (std::thread& t : posters) t.join();
    CHECK(turns == 1000);
}

TEST_CASE("TH-07 in debug mode posting from a foreign thread the wrong way is an error there") {
    event_loop loop(loop_options{.debug = true});
    std::string log;
    std::thread other([&] {
        log += words::of_call([&] { return loop.call_soon([] {}); });
        CHECK(words::throws<std::logic_error>([&] { return loop.call_later(1s, [] {}); }));
        CHECK(words::throws<std::logic_error>([&] { return loop.call_at(loop_clock::now(), [] {}); }));
    });
    other.join();
    CHECK(log == "call_soon, call_later and call_at belong to the loop's thread; use call_soon_threadsafe or spawn_threadsafe from others");
    CHECK(loop.stats().timers == 0);
}

TEST_CASE("a loop may be made on one thread and run on another") {
    event_loop loop;
    int v = 0;
    std::thread other([&] { v = loop.run_until_complete([]() -> task<int> { co_return 3; }()); });
    other.join();
    CHECK(v == 3);
    CHECK(loop.run_until_complete([]() -> task<int> { co_return 4; }()) == 4);
}

TEST_CASE("posts that race with the loop's end are run or refused, never lost") {
    for (int round = 0; round < 50; ++round) {
        std::atomic<int> accepted{0};
        int ran = 0;
        std::thread other;
        {
            event_loop loop;
            std::atomic<bool> started{false};
            std::atomic<bool> done{false};
            other = std::thread([&] {
                started = true;
                while (loop.try_post([&] { ++ran; })) ++accepted;
                done = true;
            });
            while (!started) std::this_thread::yield();
            loop.run_once();
            loop.close();
            while (!done) std::this_thread::yield();
        }
        other.join();
        REQUIRE(ran == accepted);
    }
}

#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<int> f(int x) {
    co_await this_task::yield();
    co_return x + 1;
}

} // namespace

TEST_CASE("loop_thread: calls from a plain thread") {
    loop_thread t;
    CHECK(t.call(f(1)) == 2);
    CHECK(t.call([](std::unique_ptr<int> p) -> task<int> { co_return *p; }, std::make_unique<int>(6)) == 6);
    CHECK(words::of_call([&] { return t.call([]() -> task<int> { throw std::runtime_error("X"); co_return 0; }); }) == "X");
    CHECK(t.call([]() -> task<std::thread::id> { co_return std::this_thread::get_id(); }) != std::this_thread::get_id());
    auto tf = t.spawn(f(2));
    CHECK(tf.get() == 3);
}

TEST_CASE("loop_thread: many threads call at once") {
    loop_thread t;
    std::atomic<int> sum{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
        threads.emplace_back([&] {
            for (int k = 0; k < 100; ++k) sum += t.call(f(0));
        });
    for (auto& thread : threads) thread.join();
    CHECK(sum == 800);
}

TEST_CASE("loop_thread: the end cancels and joins what is left, and then calls are refused") {
    std::atomic<bool> unwound{false};
    loop_thread t;
    auto tf = t.spawn([&]() -> task<> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            unwound = true;
            throw;
        }
    });
    CHECK(t.call(f(0)) == 1); // the other one has started
    t.close();
    t.close();
    CHECK(unwound);
    CHECK(words::throws<child_cancelled>([&] { tf.get(); return 0; }));
    CHECK(words::throws<std::logic_error>([&] { return t.call(f(1)); }));
}

TEST_CASE("loop_thread: calling it from its own loop is refused instead of hanging") {
    loop_thread t;
    const std::string error = t.call([&]() -> task<std::string> {
        co_return words::of_call([&] { return t.call(f(1)); });
    });
    CHECK(error.find("loop_thread: this is the loop's own thread") == 0);
}

TEST_CASE("loop_thread: a loop that fails is closed, and close says why it failed") {
    detail::virtual_clock clock;
    std::promise<void> failing;
    clock.patience = 0ns;
    clock.on_deadlock = [&] {
        failing.set_value();
        throw std::runtime_error("X");
    };
    run_options options;
    options.clock = &clock;
    loop_thread t(options);
    failing.get_future().wait();
    CHECK(words::of_call([&] { return t.close(), 0; }) == "X");
    CHECK(words::throws<std::logic_error>([&] { return t.call(f(1)); })); // and does not wait for ever
    t.close();
}

TEST_CASE("loop_thread: two of them talk to each other") {
    loop_thread a;
    loop_thread b;
    const int v = a.call([&]() -> task<int> {
        co_return co_await offload([&] { return b.call(f(10)); });
    });
    CHECK(v == 11);
}

TEST_CASE("loop_thread: several threads may close it; the last owner may be its own thread") {
    {
        loop_thread t;
        std::vector<std::thread> closers;
        for (int i = 0; i < 4; ++i) closers.emplace_back([&] { t.close(); });
        for (auto& c : closers) c.join();
    }
    std::promise<void> gone;
    auto is_gone = gone.get_future();
    auto own = std::make_shared<loop_thread>();
    loop_thread& t = *own;
    std::atomic<bool> posted{false}; // nobody else may be using it when its last owner goes
    t.loop().call_soon_threadsafe([last = std::move(own), &gone, &posted]() mutable {
        while (!posted) std::this_thread::yield();
        last.reset();
        gone.set_value();
    });
    posted = true;
    is_gone.get();
}

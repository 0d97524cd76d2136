#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <atomic>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<int> f(int x) {
    co_await this_task::yield();
    co_return x + 1;
}

} // namespace

EDDY_TEST("TH-04 spawn_threadsafe: value and error cross to the other thread") {
    event_loop& loop = this_loop();
    int value = 0;
    std::string error;
    co_await offload([&] {
        value = loop.spawn_threadsafe(f(1)).get();
        error = words::of_call([&] {
            return loop.spawn_threadsafe([](int) -> task<int> { throw std::runtime_error("X"); co_return 0; }, 1).get();
        });
    });
    CHECK(value == 2);
    CHECK(error == "X");
}

EDDY_TEST("TH-04 cancelling the future cancels the task on the loop") {
    event_loop& loop = this_loop();
    std::string log;
    std::string ending;
    co_await offload([&] {
        event never;
        auto tf = loop.spawn_threadsafe([&]() -> task<> {
            try {
                co_await never.wait();
            } catch (const operation_cancelled&) {
                log += "unwound";
                throw;
            }
        });
        tf.cancel();
        ending = words::of_call([&] {
            tf.get();
            return 0;
        });
    });
    CHECK(log == "unwound");
    CHECK(ending == "the task was cancelled: cancelled by another thread");
}

EDDY_TEST("TH-05 get with a limit cancels the task; wait_for only waits") {
    event_loop& loop = this_loop();
    std::string log;
    std::string ending;
    auto status = std::future_status::ready;
    co_await offload([&] {
        event never;
        auto tf = loop.spawn_threadsafe([&]() -> task<> {
            try {
                co_await never.wait();
            } catch (const operation_cancelled&) {
                log += "unwound";
                throw;
            }
        });
        status = tf.wait_for(1ms);
        CHECK(tf.valid());
        ending = words::of_call([&] {
            tf.get(1ms);
            return 0;
        });
        loop.spawn_threadsafe([&]() -> task<> {
            while (log.empty()) co_await this_task::yield();
        }).wait();
    });
    CHECK(status == std::future_status::timeout);
    CHECK(ending.find("thread_future::get timed out after 1 ms") == 0);
    CHECK(log == "unwound");
}

EDDY_TEST("TH-05 waiting for NaN is an invalid argument, and the future still has its value") {
    event_loop& loop = this_loop();
    bool refused = false;
    int value = 0;
    co_await offload([&] {
        const std::chrono::duration<double> nan(std::numeric_limits<double>::quiet_NaN());
        auto tf = loop.spawn_threadsafe(f(1));
        refused = words::throws<std::invalid_argument>([&] { return tf.wait_for(nan); });
        value = tf.get();
    });
    CHECK(refused);
    CHECK(value == 2);
}

EDDY_TEST("TH-08 an error while the task is made comes through the future only") {
    event_loop& loop = this_loop();
    std::string ending;
    co_await offload([&] {
        ending = words::of_call([&] { return loop.spawn_threadsafe([]() -> task<int> { throw std::runtime_error("no task"); }).get(); });
    });
    CHECK(ending == "no task");
}

EDDY_TEST("waiting on the loop's own thread is refused; the value is taken once; dropping the future lets the task run") {
    bool ran = false;
    {
        auto dropped = this_loop().spawn_threadsafe([&]() -> task<> {
            ran = true;
            co_return;
        });
        const std::string error = words::of_call([&] {
            dropped.get();
            return 0;
        });
        CHECK(error.find("thread_future: waiting for a task on its own loop's thread would never end") == 0);
    }
    auto tf = this_loop().spawn_threadsafe(f(4));
    co_await testing::settle();
    CHECK(ran);
    const int five = tf.get();
    CHECK(five == 5);
    CHECK(words::throws<invalid_state>([&] { return tf.get(); }));
}

TEST_CASE("a loop that is closed refuses spawn_threadsafe") {
    event_loop loop;
    loop.close();
    CHECK(words::throws<std::logic_error>([&] { return loop.spawn_threadsafe(f(1)).valid(); }));
}

EDDY_TEST("R10 an error whose future was dropped goes to the exception handler, once") {
    const words::reports reports;
    event_loop& loop = this_loop();
    co_await offload([&] {
        static_cast<void>(loop.spawn_threadsafe([]() -> task<> { throw std::runtime_error("early"); co_return; }));
        auto late = loop.spawn_threadsafe([]() -> task<> { throw std::runtime_error("late"); co_return; });
        late.wait();
    });
    co_await testing::settle();
    CHECK(reports.count() == 2);
    CHECK(reports.text().find("early") != std::string::npos);
    CHECK(reports.text().find("late") != std::string::npos);
}

EDDY_TEST("C-10 a foreign operation_cancelled is a failure for the future, too") {
    event_loop& loop = this_loop();
    std::string ending;
    co_await offload([&] {
        ending = words::of_call([&] { return loop.spawn_threadsafe([]() -> task<int> { throw operation_cancelled(); co_return 0; }).get(); });
    });
    CHECK(ending == "a task ended with operation_cancelled, but nobody had cancelled it; only checkpoints throw it");
}

TEST_CASE("R16 a future whose task is stuck at shutdown gets shutdown_timeout", "[slow]") {
    auto go = std::make_shared<std::atomic<bool>>(false);
    loop_thread t(run_options{.grace = 10ms, .handle_signals = false});
    t.loop().set_exception_handler([](const error_context&) {});
    auto runs = std::make_shared<std::atomic<bool>>(false);
    auto tf = t.spawn([go, runs]() -> task<> {
        auto op = offload([go, runs] {
            *runs = true;
            while (!*go) std::this_thread::yield();
        });
        co_await op;
    });
    while (!*runs) std::this_thread::yield();
    CHECK(words::throws<shutdown_timeout>([&] { t.close(); return 0; }));
    CHECK(words::throws<shutdown_timeout>([&] { tf.get(); return 0; }));
    *go = true;
}

// Callbacks, timers, stop and close (LP). Other threads: event_loop_threads_test.cpp.
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lib/tasks.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// A loop whose time the test moves.
struct timed_loop {
    eddy::detail::virtual_clock clock;
    event_loop loop{loop_options{.clock = &clock}};
};

} // namespace

TEST_CASE("LP-01 a callback that a callback posts runs in the next tick", "[fifo]") {
    event_loop loop;
    std::string log;
    loop.call_soon([&] {
        log += "A ";
        loop.call_soon([&] { log += "N "; });
    });
    loop.call_soon([&] { log += "B "; });
    loop.run_once();
    CHECK(log == "A B ");
    loop.run_once();
    CHECK(log == "A B N ");
}

TEST_CASE("LP-02 call_soon goes before a timer without delay, in one tick", "[fifo]") {
    event_loop loop;
    std::string log;
    loop.call_later(0s, [&] { log += "timer "; });
    loop.call_soon([&] { log += "soon "; });
    loop.run_once();
    CHECK(log == "soon timer ");
}

TEST_CASE("LP-03 R7 timers with one deadline fire in the order they were set", "[fifo]") {
    timed_loop t;
    std::string log;
    const auto when = t.loop.now() + 1s;
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) t.loop.call_at(when, [&log, name] { log += name; });
    t.clock.now += 1s;
    t.loop.run_once();
    CHECK(log == "abcdef");
}

TEST_CASE("LP-04 deadlines in the past fire in deadline order", "[fifo]") {
    event_loop loop;
    std::string log;
    loop.call_later(-1s, [&] { log += "a"; });
    loop.call_later(-2s, [&] { log += "b"; });
    loop.call_at(loop_clock::time_point::min(), [&] { log += "first"; });
    loop.run_once();
    CHECK(log == "firstba");
}

TEST_CASE("LP-06 a callback cancelled by an earlier one of its batch does not run", "[fifo]") {
    event_loop loop;
    std::string log;
    callback_handle later;
    loop.call_soon([&] {
        log += "first ";
        later.cancel();
        later.cancel();
    });
    later = loop.call_soon([&] { log += "not reached"; });
    loop.call_soon([&] { log += "last"; });
    loop.run_once();
    CHECK(log == "first last");
    CHECK(later.cancelled());
}

TEST_CASE("cancelling a callback destroys its closure at once, and never harms one that runs or ran") {
    event_loop loop;
    auto owner = std::make_shared<int>(1);
    auto timed = loop.call_later(1h, [owner] {});
    CHECK(timed.when() > loop.now());
    CHECK(owner.use_count() == 2);
    timed.cancel();
    CHECK(owner.use_count() == 1);
    CHECK(loop.stats().timers == 0);
    callback_handle self;
    self = loop.call_soon([&, owner] { self.cancel(); });
    loop.run_once();
    CHECK(owner.use_count() == 1);
    self.cancel();
    callback_handle().cancel();
}

TEST_CASE("LP-07 T-31 due timers are served although the ready list is never empty") {
    timed_loop t;
    bool fired = false;
    int turns = 0;
    for (int i = 0; i < 100; ++i) {
        t.loop.spawn([&]() -> task<> {
            while (!fired) {
                t.clock.now += 10us;
                ++turns;
                co_await this_task::yield();
            }
        });
    }
    t.loop.call_later(20ms, [&] { fired = true; });
    for (int i = 0; i < 1000 && !fired; ++i) t.loop.run_once();
    CHECK(fired);
    CHECK(turns >= 2000);
    CHECK(turns <= 2300);
}

TEST_CASE("LP-07 a callback that posts itself for ever does not keep timers waiting: each fires a tick late at most") {
    timed_loop t;
    bool over = false;
    std::function<void()> again = [&] {
        t.clock.now += 1ms;
        if (!over) t.loop.call_soon([&] { again(); });
    };
    t.loop.call_soon([&] { again(); });
    int fired = 0;
    for (int i = 1; i <= 20; ++i) t.loop.call_later(std::chrono::milliseconds(i), [&] { ++fired; });
    for (int i = 1; i <= 20; ++i) {
        t.loop.run_once();
        CHECK(fired >= i - 1);
    }
    over = true;
    t.loop.poll();
    CHECK(fired == 20);
}

TEST_CASE("LP-08 a callback that throws goes to the exception handler; the next callbacks run") {
    event_loop loop;
    const words::reports reports(loop);
    bool next = false;
    loop.call_soon([] { throw std::runtime_error("in a callback"); });
    loop.call_soon([] { throw 7; });
    loop.call_soon([&] { next = true; });
    loop.call_later(0s, [] { throw std::runtime_error("in a timer"); });
    loop.call_soon_threadsafe([] { throw std::runtime_error("from afar"); });
    loop.run_once();
    CHECK(next);
    CHECK(reports.count() == 4);
    CHECK(reports.text().find("in a callback") != std::string::npos);
    CHECK(reports.text().find("exception of type int") != std::string::npos);
    CHECK(reports.text().find("in a timer") != std::string::npos);
    CHECK(reports.text().find("from afar") != std::string::npos);
}

TEST_CASE("an exception handler that throws falls back to stderr, and the loop lives") {
    event_loop loop;
    loop.set_exception_handler([](const error_context&) { throw std::runtime_error("handler's own (expected in the test's log)"); });
    loop.call_soon([] { throw std::runtime_error("expected in the test's log"); });
    bool next = false;
    loop.call_soon([&] { next = true; });
    loop.run_once();
    CHECK(next);
}

TEST_CASE("an exception handler may replace itself") {
    event_loop loop;
    std::string log;
    auto owner = std::make_shared<int>(1);
    loop.set_exception_handler([&, owner](const error_context& e) {
        loop.set_exception_handler([&](const error_context&) { log += "second "; });
        log += std::to_string(*owner) + std::string(e.message) + " ";
    });
    loop.call_exception_handler({.message = "a"});
    loop.call_exception_handler({.message = "b"});
    CHECK(log == "1a second ");
    CHECK(owner.use_count() == 1);
}

TEST_CASE("LP-10 stop lets the batch end; what was posted meanwhile runs with the next run", "[fifo]") {
    event_loop loop;
    std::string log;
    loop.call_soon([&] {
        log += "a ";
        loop.stop();
        loop.call_soon([&] {
            log += "c ";
            loop.stop();
        });
    });
    loop.call_soon([&] { log += "b "; });
    loop.run_forever();
    CHECK(log == "a b ");
    loop.run_forever();
    CHECK(log == "a b c ");
}

TEST_CASE("a stop before the run leaves it one tick") {
    int ran = 0; // the loop runs the rest when it goes
    event_loop loop;
    loop.call_soon([&] {
        ++ran;
        loop.call_soon([&] { ++ran; });
    });
    loop.stop();
    loop.run_forever();
    CHECK(ran == 1);
}

TEST_CASE("LP-12 a run that is stopped before its task is done says so; the task can be continued") {
    event_loop loop;
    bool done = false;
    loop.call_soon([&] { loop.stop(); });
    CHECK(words::of_call([&] {
              loop.run_until_complete([](bool& flag) -> task<> {
                  for (int i = 0; i < 5; ++i) co_await this_task::yield();
                  flag = true;
              }(done));
              return 0;
          }) == "run_until_complete: the loop was stopped before completion; the task is still alive");
    CHECK(loop.all_tasks().size() == 1);
    CHECK(loop.run_until_complete(give(3)) == 3);
    loop.poll();
    CHECK(done);
    CHECK(loop.all_tasks().empty());
}

TEST_CASE("LP-12 a task whose run was stopped can be cancelled") {
    event_loop loop;
    std::string log;
    loop.call_soon([&] { loop.stop(); });
    CHECK(words::throws<std::logic_error>([&] {
        loop.run_until_complete([](std::string& out) -> task<> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                out += "cancelled";
                throw;
            }
        }(log));
        return 0;
    }));
    REQUIRE(loop.all_tasks().size() == 1);
    any_task left = loop.all_tasks().front();
    CHECK(left.cancel());
    loop.poll();
    CHECK(log == "cancelled");
    CHECK(left.cancelled());
    CHECK(loop.all_tasks().empty());
}

TEST_CASE("LP-13 a task that stops the loop and fails leaves no stale stop behind") {
    event_loop loop;
    CHECK(words::of_call([&] {
              loop.run_until_complete([](event_loop& l) -> task<> {
                  l.stop();
                  throw std::runtime_error("fatal");
                  co_return;
              }(loop));
              return 0;
          }) == "fatal");
    CHECK(loop.run_until_complete([]() -> task<int> {
        co_await this_task::yield();
        co_return 5;
    }()) == 5);
}

EDDY_TEST("LP-14 running a loop inside a running one is an error; the task is destroyed unstarted") {
    auto owner = std::make_shared<int>(0);
    bool started = false;
    auto body = [&](std::shared_ptr<int>) -> task<> {
        started = true;
        co_return;
    };
    const std::string sentence =
        "run() called on a thread that already runs a loop; use co_await, or loop_thread::call from a plain thread";
    CHECK(words::of_call([&] { this_loop().run_until_complete(body(owner)); return 0; }) == sentence);
    CHECK(words::of_call([&] { run(body(owner)); return 0; }) == sentence);
    CHECK(words::of_call([&] { this_loop().run_forever(); return 0; }) == sentence);
    CHECK(words::of_call([&] { this_loop().run_once(); return 0; }) == sentence);
    {
        event_loop other;
        CHECK(words::of_call([&] { other.run_until_complete(body(owner)); return 0; }) == sentence);
        runner r;
        CHECK(words::of_call([&] { r.run(body(owner)); return 0; }) == sentence);
        CHECK(r.loop().all_tasks().empty());
    }
    CHECK_FALSE(started);
    CHECK(owner.use_count() == 1);
    CHECK(event_loop::current() != nullptr);
    co_await this_task::yield();
}

EDDY_TEST("a loop that is destroyed inside a running one joins its tasks, and the running one goes on") {
    const any_task me = this_task::handle();
    std::string log;
    {
        event_loop other;
        other.spawn([&]() -> task<> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                log += "cancelled";
                throw;
            }
        });
    }
    CHECK(log == "cancelled");
    CHECK(this_task::handle() == me);
    co_await sleep_for(1s);
}

TEST_CASE("LP-15 posting to a closed loop is an error, from near and far") {
    event_loop loop;
    loop.close();
    CHECK(words::of_call([&] { return loop.call_soon([] {}); }) == "call_soon: the event_loop is closed");
    CHECK(words::throws<std::logic_error>([&] { return loop.call_later(1s, [] {}); }));
    CHECK(words::of_call([&] { loop.call_soon_threadsafe([] {}); return 0; }) ==
          "call_soon_threadsafe: the loop is closed");
    CHECK_FALSE(loop.try_post([] {}));
    CHECK(words::of_call([&] { return loop.spawn(give(1)); }) == "spawn: the event_loop is closed");
    CHECK(words::throws<std::logic_error>([&] { return loop.run_until_complete(give(1)); }));
    CHECK(words::throws<std::logic_error>([&] { loop.run_once(); return 0; }));
    CHECK(loop.all_tasks().empty());
    CHECK(loop.stats().tasks == 0);
    CHECK_FALSE(loop.next_deadline().has_value());
}

TEST_CASE("LP-16 closing a loop that runs is an error, closing it twice is not") {
    event_loop loop;
    std::string text;
    loop.call_soon([&] { text = words::of_call([&] { loop.close(); return 0; }); });
    loop.run_once();
    CHECK(text == "event_loop::close while the loop runs; stop it first");
    CHECK_FALSE(loop.is_closed());
    loop.close();
    loop.close();
    CHECK(loop.is_closed());
}

TEST_CASE("R13 closing runs what had been accepted and refuses what comes meanwhile") {
    event_loop loop;
    const words::reports reports(loop);
    std::string log;
    loop.call_soon([&] {
        log += "accepted ";
        log += words::of_call([&] { return loop.call_soon([] {}); }) + " ";
        log += loop.try_post([] {}) ? "posted " : "refused ";
        log += words::of_call([&] { return spawn(give(1)); });
    });
    loop.call_soon_threadsafe([&] { log += " from afar"; });
    loop.close();
    CHECK(log == "accepted call_soon: the event_loop is closed refused ok from afar");
    CHECK(reports.count() == 0);
}

TEST_CASE("RN-10 whatever is queued when the loop goes is destroyed exactly once") {
    int alive = 0;
    int made = 0;
    int destroyed = 0;
    struct counted {
        int* alive;
        int* made;
        int* destroyed;
        counted(int& a, int& m, int& d) noexcept : alive(&a), made(&m), destroyed(&d) {
            ++*alive;
            ++*made;
        }
        counted(const counted& o) noexcept : alive(o.alive), made(o.made), destroyed(o.destroyed) {
            ++*alive;
            ++*made;
        }
        counted& operator=(const counted&) = delete;
        ~counted() {
            --*alive;
            ++*destroyed;
        }
    };
    callback_handle handle;
    task_handle<> kept;
    {
        const counted c(alive, made, destroyed);
        event e;
        event_loop loop;
        handle = loop.call_later(1h, [c] {});
        loop.call_at(loop_clock::time_point::max(), [c] {});
        kept = loop.spawn([c]() -> task<> { co_await sleep_for(1h); });
        loop.spawn([c, &e]() -> task<> { co_await e.wait(); });
        loop.spawn([c]() -> task<> {
            const counted own = c;
            co_await sleep_for(1h);
        });
        loop.spawn([c]() -> task<> {
            const counted own = c;
            co_await this_task::yield();
            co_await sleep_for(1h);
        });
        loop.run_once();
        loop.spawn([c]() -> task<> { co_await this_task::yield(); }); // not started when the loop goes
        e.set();                                                                           // a resumption is queued
        loop.call_soon([c] {});
        loop.call_soon_threadsafe([c] {});
        std::thread([&] { loop.call_soon_threadsafe([c] {}); }).join();
        CHECK(loop.try_post([c] {}));
        auto cancelled = loop.call_soon([c] {});
        cancelled.cancel();
        CHECK(alive > 10);
    }
    CHECK(kept.cancelled());
    kept = {};
    handle.cancel();
    CHECK(alive == 0);
    CHECK(made == destroyed);
}

TEST_CASE("LP-17 of ten thousand timers 9 999 are cancelled: one is left") {
    event_loop loop;
    std::vector<callback_handle> handles;
    int fired = 0;
    for (int i = 0; i < 10'000; ++i) handles.push_back(loop.call_later(i == 5000 ? 0s : 1h, [&] { ++fired; }));
    CHECK(loop.stats().timers == 10'000);
    for (std::size_t i = 0; i < handles.size(); ++i) {
        if (i != 5000) handles[i].cancel();
    }
    CHECK(loop.stats().timers == 1);
    loop.poll();
    CHECK(fired == 1);
    CHECK(loop.stats().timers == 0);
}

TEST_CASE("LP-17 closures of cancelled timers are gone at once") {
    event_loop loop;
    auto owner = std::make_shared<int>(1);
    std::vector<callback_handle> handles;
    for (int i = 0; i < 10'000; ++i) handles.push_back(loop.call_later(i == 5000 ? 0s : 1h, [owner] {}));
    CHECK(owner.use_count() == 10'001);
    for (std::size_t i = 0; i < handles.size(); ++i) {
        if (i != 5000) handles[i].cancel();
    }
    CHECK(owner.use_count() == 2);
    CHECK(loop.stats().timers == 1);
    loop.poll();
    CHECK(owner.use_count() == 1);
}

EDDY_TEST("timers fire in deadline order, however they were set and cancelled") {
    std::vector<int> order;
    std::vector<callback_handle> handles;
    std::uint32_t x = 12345;
    for (int i = 0; i < 1000; ++i) {
        x = x * 1664525u + 1013904223u;
        const int ms = static_cast<int>(x >> 20);
        handles.push_back(this_loop().call_later(std::chrono::milliseconds(ms), [&order, ms] { order.push_back(ms); }));
    }
    for (std::size_t i = 0; i < handles.size(); i += 3) handles[i].cancel();
    co_await sleep_for(1h);
    CHECK(order.size() == 666);
    CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("LP-18 debug mode names a step that held the loop for too long, once") {
    event_loop loop(loop_options{.debug = true, .slow_step = 10ms});
    const words::reports reports(loop);
    loop.spawn([]() -> task<> {
        const auto end = std::chrono::steady_clock::now() + 30ms;
        while (std::chrono::steady_clock::now() < end) {}
        co_return;
    }, {.name = "hog"});
    loop.run_once();
    CHECK(reports.count() == 1);
    CHECK(reports.text().find("hog: slow step: held the loop for ") == 0);
    CHECK(loop.stats().longest_step >= 30ms);
}

TEST_CASE("LP-18 the limit of a slow step can be set, callbacks count too, and a task's await chain is named") {
    event_loop loop(loop_options{.debug = true, .slow_step = 10ms});
    const words::reports reports(loop);
    const auto work = [] {
        const auto end = std::chrono::steady_clock::now() + 30ms;
        while (std::chrono::steady_clock::now() < end) {}
    };
    loop.call_soon(work);
    loop.poll();
    CHECK(reports.count() == 1);
    CHECK(reports.text().find("callback") != std::string::npos);
    event go;
    const auto inner = [&]() -> task<> { work(); co_await go.wait(); };
    auto h = loop.spawn([&]() -> task<> { co_await inner(); });
    loop.poll();
    CHECK(reports.count() == 2);
    CHECK(reports.text().find(", awaited at ") != std::string::npos);
    go.set();
    loop.poll();
    CHECK(h.done());
}

TEST_CASE("LP-19 a timer never fires before its time on the loop's clock") {
    event_loop loop;
    bool early = false;
    int left = 20;
    for (int i = 0; i < 20; ++i) {
        const auto when = loop.now() + std::chrono::microseconds(100 * i);
        loop.call_at(when, [&, when] {
            early = early || loop.now() < when;
            if (--left == 0) loop.stop();
        });
    }
    loop.run_forever();
    CHECK_FALSE(early);
}

TEST_CASE("for a foreign loop: next_deadline and poll") {
    timed_loop t;
    int ran = 0;
    CHECK_FALSE(t.loop.next_deadline().has_value());
    t.loop.call_later(5s, [&] { ++ran; });
    CHECK(t.loop.next_deadline() == t.clock.now + 5s);
    t.loop.call_soon([&] { ++ran; });
    CHECK(t.loop.next_deadline() == t.clock.now);
    t.loop.poll();
    CHECK(ran == 1);
    t.clock.now += 5s;
    t.loop.poll();
    CHECK(ran == 2);
}

TEST_CASE("run_once waits no longer than it was told") {
    timed_loop t;
    bool ran = false;
    t.loop.call_later(10s, [&] { ran = true; });
    const auto start = t.loop.now();
    t.loop.run_once(1s);
    CHECK(t.loop.now() - start == 1s);
    CHECK_FALSE(ran);
    t.loop.run_once(std::chrono::nanoseconds::max());
    CHECK(t.loop.now() - start == 10s);
    CHECK(ran);
}

TEST_CASE("a callback may own the object that has its handle") {
    event_loop loop;
    struct connection {
        callback_handle timer;
    };
    auto c = std::make_shared<connection>();
    connection* const raw = c.get();
    raw->timer = loop.call_later(1h, [c] {});
    c.reset();
    raw->timer.cancel();
    CHECK(loop.stats().timers == 0);
}

TEST_CASE("long durations mean never, NaN is refused") {
    event_loop loop;
    bool ran = false;
    auto h = loop.call_later(std::chrono::hours::max(), [&] { ran = true; });
    loop.poll();
    CHECK_FALSE(ran);
    h.cancel();
    loop.call_soon([&] { ran = true; });
    loop.run_once(std::chrono::hours::max());
    CHECK(ran);
    const std::chrono::duration<double> nan(std::numeric_limits<double>::quiet_NaN());
    CHECK(words::throws<std::invalid_argument>([&] { return loop.call_later(nan, [] {}); }));
    CHECK(words::throws<std::invalid_argument>([&] { loop.run_once(nan); return 0; }));
    loop.close(std::chrono::hours::max());
}

TEST_CASE("poll runs so many ticks and no more, and zero timers that callbacks set") {
    int ticks = 0;
    std::string log;
    event_loop loop;
    std::function<void()> again = [&] {
        if (++ticks < 4) loop.call_soon(again);
    };
    loop.call_soon(again);
    loop.poll(0);
    CHECK(ticks == 0);
    loop.poll(3);
    CHECK(ticks == 3);
    event_loop other;
    other.call_soon([&] { other.call_later(0ms, [&] { log += "timer"; }); });
    other.poll();
    CHECK(log == "timer");
}

TEST_CASE("a wake-up costs one poll of the kernel") {
    event_loop loop;
    int n = 0;
    std::function<void()> next = [&] {
        if (++n < 50) loop.call_later(10us, next);
    };
    loop.call_later(10us, next);
    while (n < 50) loop.run_once(1s);
    CHECK(loop.stats().polls <= loop.stats().ticks);
    CHECK(loop.stats().polls >= 50);
}

TEST_CASE("a loop that is to poll busily asks the kernel again and again before it sleeps") {
    event_loop loop({.busy_poll = 1h});
    for (int waits = 0; waits < 1000 && loop.stats().polls < loop.stats().ticks + 100; ++waits) loop.run_once(1ms);
    CHECK(loop.stats().polls >= loop.stats().ticks + 100);
}

TEST_CASE("a loop that polls busily hears of other threads, and of timers") {
    event_loop loop({.busy_poll = 1h});
    std::thread other([&] { loop.call_soon_threadsafe([&] { loop.stop(); }); });
    loop.run_forever();
    other.join();
    loop.call_later(1ms, [&] { loop.stop(); });
    loop.run_forever();
    CHECK(loop.stats().posts == 1);
    CHECK(loop.stats().timers == 0);
}

TEST_CASE("a loop sleeps when its time for busy polling is over") {
    event_loop loop({.busy_poll = 1ns});
    for (int waits = 0; waits < 5; ++waits) loop.run_once(1ms);
    CHECK(loop.stats().polls > loop.stats().ticks); // it did ask before
    CHECK(loop.stats().polls <= 2 * loop.stats().ticks);
}

TEST_CASE("an idle loop with ten thousand far timers is not woken by them") {
    event_loop loop;
    for (int i = 0; i < 10'000; ++i) loop.call_later(1h + i * 1ms, [] {});
    loop.call_later(5ms, [&] { loop.stop(); });
    loop.run_forever();
    CHECK(loop.stats().polls <= 3); // to begin with, and when the stop is due
    CHECK(loop.stats().timers == 10'000);
}

TEST_CASE("an idle loop with a thousand sleeping tasks is not woken by them") {
    event_loop loop;
    for (int i = 0; i < 1000; ++i) loop.spawn([](int n) -> task<> { co_await sleep_for(1h + n * 1ms); }(i));
    loop.run_once();
    const loop_stats before = loop.stats();
    loop.call_later(5ms, [&] { loop.stop(); });
    loop.run_forever();
    CHECK(loop.stats().polls - before.polls <= 3);
    CHECK(loop.stats().tasks == 1000);
}

TEST_CASE("a loop that one of its own callbacks destroys is left behind, not used after its end") {
    auto loop = std::make_unique<event_loop>();
    bool ran = false;
    loop->call_soon([&] {
        ran = true;
        loop.reset();
    });
    loop->run_once();
    CHECK(ran);
    CHECK(loop == nullptr);
}

TEST_CASE("TH-07 in debug mode a spawn from a foreign thread is refused there") {
    event_loop loop(loop_options{.debug = true});
    std::string text;
    std::thread([&] { text = words::of_call([&] { return loop.spawn([]() -> task<> { co_return; }()); }); }).join();
    CHECK(text == "event_loop::spawn belongs to the loop's thread; use call_soon_threadsafe or spawn_threadsafe from others");
}

#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <memory>
#include <string>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

struct shared_state {
    mutex m;
    condition c{m};
    std::string log;
};

task<> wait_and_note(shared_state& s, const char* name, std::chrono::nanoseconds hold = 0ns) {
    auto guard = co_await s.m.lock();
    co_await s.c.wait(guard);
    s.log += name;
    s.log += guard.owns_lock() && s.m.locked() ? "+ " : "- ";
    co_await sleep_for(hold);
}

/// Notes how the wait ended and whether the mutex was held then.
task<> wait_and_note_end(shared_state& s, const char* name) {
    auto guard = co_await s.m.lock();
    try {
        co_await s.c.wait(guard);
        s.log += std::string(name) + " woken";
    } catch (const operation_cancelled&) {
        s.log += std::string(name) + " cancelled";
    }
    s.log += guard.owns_lock() && s.m.locked() ? "+ " : "- ";
}

} // namespace

EDDY_TEST("CV-01 waiting and notifying without the mutex are errors") {
    mutex m;
    mutex other;
    condition c{m};
    mutex_guard nothing;
    auto wrong = co_await other.lock();
    const std::string not_held = "condition::wait: the guard does not own the condition's mutex; lock that first";
    const auto empty = co_await as_result(c.wait(nothing));
    const auto foreign = co_await as_result(c.wait(wrong));
    const auto with_predicate = co_await as_result(c.wait(wrong, [] { return true; }));
    CHECK(words::of(empty) == not_held);
    CHECK(words::of(foreign) == not_held);
    CHECK(words::of(with_predicate) == not_held);
    CHECK(words::holds<std::logic_error>(empty.exception()));
    CHECK(words::of_call([&] { c.notify(); return 0; }) ==
          "condition::notify: nobody holds the mutex; lock it before you change what others wait for");
    CHECK(words::throws<std::logic_error>([&] { c.notify_all(); return 0; }));
    CHECK(wrong.owns_lock());
}

EDDY_TEST("CV-02 notify_all: the notifier goes on to its release, then the waiters have the mutex one after another", "[fifo]") {
    shared_state s;
    for (const char* name : {"a", "b", "c"}) spawn(wait_and_note(s, name, 1s));
    co_await testing::settle();
    CHECK(s.c.waiting() == 3);
    CHECK_FALSE(s.m.locked());
    const auto start = loop_clock::now();
    {
        auto guard = co_await s.m.lock();
        s.c.notify_all();
        CHECK(s.c.waiting() == 0);
        CHECK(s.m.waiting() == 3);
        co_await sleep_for(1s);
        s.log += "released ";
    }
    co_await testing::settle();
    CHECK(s.log == "released a+ ");
    auto guard = co_await s.m.lock();
    CHECK(s.log == "released a+ b+ c+ ");
    CHECK(loop_clock::now() - start == 4s);
}

EDDY_TEST("CV-03 notifying more than wait wakes those who wait") {
    shared_state s;
    auto a = spawn(wait_and_note(s, "x"));
    auto b = spawn(wait_and_note(s, "x"));
    co_await testing::settle();
    {
        auto guard = co_await s.m.lock();
        s.c.notify(2048);
    }
    co_await a;
    co_await b;
    CHECK(s.log == "x+ x+ ");
}

EDDY_TEST("notify wakes the one that waited longest, and what is notified to nobody is gone", "[fifo]") {
    shared_state s;
    {
        auto guard = co_await s.m.lock();
        s.c.notify();
    }
    auto a = spawn(wait_and_note(s, "a"));
    auto b = spawn(wait_and_note(s, "b"));
    co_await testing::settle();
    CHECK(s.log == "");
    {
        auto guard = co_await s.m.lock();
        s.c.notify();
    }
    co_await testing::settle();
    CHECK(s.log == "a+ ");
    CHECK(s.c.waiting() == 1);
    co_await b.cancel_and_join();
    co_await a;
}

EDDY_TEST("CV-04 cancelled with the mutex free, a waiter holds it when the exception appears") {
    shared_state s;
    auto h = spawn(wait_and_note_end(s, "a"));
    co_await testing::settle();
    h.cancel();
    CHECK(s.m.locked());
    co_await h.join();
    CHECK(s.log == "a cancelled+ ");
    CHECK_FALSE(s.m.locked());
    CHECK(s.c.waiting() == 0);
}

EDDY_TEST("CV-05 cancelled while another holds the mutex, a waiter stays until it has it again, then throws") {
    shared_state s;
    auto h = spawn(wait_and_note_end(s, "a"));
    co_await testing::settle();
    auto guard = co_await s.m.lock();
    h.cancel();
    co_await sleep_for(5ms);
    h.cancel("again");
    co_await sleep_for(5ms);
    CHECK(s.log == "");
    CHECK_FALSE(h.done());
    guard.unlock();
    CHECK(s.m.locked());
    co_await h.join();
    CHECK(s.log == "a cancelled+ ");
    CHECK_FALSE(s.m.locked());
}

EDDY_TEST("CV-07 notified and cancelled in one tick, a waiter passes the notification on") {
    shared_state s;
    auto a = spawn(wait_and_note_end(s, "a"));
    co_await testing::settle();
    auto b = spawn(wait_and_note_end(s, "b"));
    co_await testing::settle();
    {
        auto guard = co_await s.m.lock();
        s.c.notify();
        a.cancel();
    }
    co_await a.join();
    co_await b;
    CHECK(s.log == "a cancelled+ b woken+ ");
    CHECK_FALSE(s.m.locked());
}

EDDY_TEST("CV-07 given the mutex and cancelled in one tick, a waiter returns and the next one is woken, too") {
    shared_state s;
    auto a = spawn([&]() -> task<> {
        auto guard = co_await s.m.lock();
        co_await s.c.wait(guard);
        s.log += "a woken ";
        co_await this_task::checkpoint();
        s.log += "not reached ";
    });
    co_await testing::settle();
    auto b = spawn(wait_and_note_end(s, "b"));
    co_await testing::settle();
    auto guard = co_await s.m.lock();
    s.c.notify();
    guard.unlock();
    a.cancel();
    co_await a.join();
    co_await b;
    CHECK(s.log == "a woken b woken+ ");
    CHECK(a.cancelled());
    CHECK_FALSE(s.m.locked());
}

EDDY_TEST("CV-07 cancelled first, a waiter takes no notification") {
    shared_state s;
    auto a = spawn(wait_and_note_end(s, "a"));
    co_await testing::settle();
    auto b = spawn(wait_and_note_end(s, "b"));
    co_await testing::settle();
    {
        auto guard = co_await s.m.lock();
        a.cancel();
        s.c.notify();
    }
    co_await a.join();
    co_await b;
    CHECK(s.log == "a cancelled+ b woken+ ");
}

EDDY_TEST("CV-07 a notification that all its receivers pass on ends with the last") {
    shared_state s;
    auto a = spawn(wait_and_note_end(s, "x"));
    auto b = spawn(wait_and_note_end(s, "x"));
    co_await testing::settle();
    {
        auto guard = co_await s.m.lock();
        s.c.notify();
        a.cancel();
        b.cancel();
    }
    co_await a.join();
    co_await b.join();
    CHECK(s.log == "x cancelled+ x cancelled+ ");
    CHECK_FALSE(s.m.locked());
}

EDDY_TEST("CV-09 a predicate that holds at once takes no wait, no notification and no tick") {
    mutex m;
    condition c{m};
    std::string log;
    auto guard = co_await m.lock();
    this_loop().call_soon([&] { log += "tick "; });
    co_await c.wait(guard, [] { return true; });
    log += "ready ";
    CHECK(guard.owns_lock());
    co_await testing::settle();
    CHECK(log == "ready tick ");
}

EDDY_TEST("CV-10 a wait that times out throws with the mutex held") {
    mutex m;
    condition c{m};
    auto guard = co_await m.lock();
    const auto start = loop_clock::now();
    const std::string plain = co_await words::ending(wait_for(c.wait(guard), 500ms));
    CHECK(guard.owns_lock());
    CHECK(m.locked());
    CHECK(loop_clock::now() - start == 500ms);
    const auto predicate = co_await as_result(wait_for(c.wait(guard, [] { return false; }), 500ms));
    CHECK(words::holds<timeout_error>(predicate.exception()));
    CHECK(plain.starts_with("timed out after 500 ms"));
    CHECK(loop_clock::now() - start == 1s);
    CHECK(guard.owns_lock());
    CHECK(c.waiting() == 0);
}

EDDY_TEST("CV-10 a wait that times out while another holds the mutex throws when that has released it") {
    mutex m;
    condition c{m};
    auto guard = co_await m.lock();
    const auto start = loop_clock::now();
    auto other = spawn([&]() -> task<> {
        auto own = co_await m.lock();
        co_await sleep_for(2s);
    });
    const std::string end = co_await words::ending(wait_for(c.wait(guard), 500ms));
    CHECK(end != "ok");
    CHECK(guard.owns_lock());
    CHECK(loop_clock::now() - start == 2s);
    co_await other;
}

EDDY_TEST("CV-11 the predicate form waits again after a wake-up for nothing") {
    shared_state s;
    bool ready = false;
    int looked = 0;
    auto h = spawn([&]() -> task<> {
        auto guard = co_await s.m.lock();
        co_await s.c.wait(guard, [&] {
            ++looked;
            return ready;
        });
        s.log += "ready";
    });
    co_await testing::settle();
    for (const bool now : {false, false, true}) {
        auto guard = co_await s.m.lock();
        ready = now;
        s.c.notify_all();
        guard.unlock();
        co_await testing::settle();
    }
    CHECK(s.log == "ready");
    CHECK(looked == 4);
    co_await h;
}

EDDY_TEST("a wait can be raced; the mutex is held when the race is over") {
    mutex m;
    condition c{m};
    auto guard = co_await m.lock();
    auto lost = co_await race(c.wait(guard), sleep_for(1s));
    CHECK(lost.index == 1);
    CHECK(guard.owns_lock());
    auto notifier = spawn([&]() -> task<> {
        auto own = co_await m.lock();
        c.notify();
    });
    auto won = co_await race(c.wait(guard), sleep_for(1s));
    CHECK(won.index == 0);
    CHECK(guard.owns_lock());
    co_await notifier;
}

EDDY_TEST("a wait is an operation that can be named") {
    mutex m;
    condition c{m};
    auto guard = co_await m.lock();
    auto notifier = spawn([&]() -> task<> {
        auto own = co_await m.lock();
        CHECK_FALSE(guard.owns_lock());
        c.notify();
    });
    auto op = c.wait(guard);
    CHECK(c.waiting() == 0);
    co_await op;
    CHECK(guard.owns_lock());
    co_await notifier;
}

EDDY_TEST("in a shield a cancelled waiter waits on and is notified") {
    shared_state s;
    auto h = spawn([&]() -> task<> {
        co_await with_shield([&]() -> task<> { co_await wait_and_note(s, "a"); });
        co_await this_task::checkpoint();
        s.log += "not reached";
    });
    co_await testing::settle();
    h.cancel();
    co_await testing::settle();
    CHECK(s.c.waiting() == 1);
    {
        auto guard = co_await s.m.lock();
        s.c.notify();
    }
    co_await h.join();
    CHECK(s.log == "a+ ");
    CHECK(h.cancelled());
}

EDDY_TEST("in a cancelled scope a wait throws and does not let the mutex go") {
    mutex m;
    condition c{m};
    auto guard = co_await m.lock();
    std::string log;
    auto other = spawn([&]() -> task<> {
        auto own = co_await m.lock();
        log += "other ";
    });
    co_await testing::settle();
    co_await with_scope([&](cancel_scope& scope) -> task<> {
        scope.cancel();
        const std::string plain = co_await words::ending(c.wait(guard));
        const std::string true_already = co_await words::ending(c.wait(guard, [] { return true; }));
        log += plain + " " + true_already + " ";
    });
    CHECK(log == "cancelled cancelled ");
    CHECK(guard.owns_lock());
    guard.unlock();
    co_await other;
}

EDDY_TEST("what a predicate throws leaves the wait, with the mutex held") {
    mutex m;
    condition c{m};
    auto guard = co_await m.lock();
    const auto end = co_await as_result(c.wait(guard, []() -> bool { throw std::runtime_error("broke"); }));
    CHECK(words::of(end) == "broke");
    CHECK(guard.owns_lock());
}

EDDY_TEST("a condition and its mutex can go before a task that waits: cancelled, it then holds nothing") {
    auto m = std::make_unique<mutex>();
    auto c = std::make_unique<condition>(*m);
    std::string log;
    auto h = spawn([&]() -> task<> {
        auto guard = co_await m->lock();
        log += co_await words::ending(c->wait(guard));
        log += guard.owns_lock() ? "+" : "-";
    });
    co_await testing::settle();
    c.reset();
    m.reset();
    co_await h.cancel_and_join();
    CHECK(log == "cancelled-");
}

EDDY_TEST("a condition can go before a task that it has notified") {
    for (const bool cancelled : {false, true}) {
        mutex m;
        auto c = std::make_unique<condition>(m);
        std::string log;
        auto h = spawn([&]() -> task<> {
            auto guard = co_await m.lock();
            log += co_await words::ending(c->wait(guard));
            log += guard.owns_lock() ? "+" : "-";
        });
        co_await testing::settle();
        auto guard = co_await m.lock();
        c->notify();
        c.reset();
        if (cancelled) h.cancel();
        guard.unlock();
        co_await h.join();
        CHECK(log == (cancelled ? "cancelled+" : "ok+"));
        CHECK_FALSE(m.locked());
    }
}

// Randomised runs against plain reference counts: whatever is cancelled when, nothing is lost, doubled or leaked. The seed
// is EDDY_SHUFFLE_SEED, else fixed.
#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "lib/dice.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// Cancels a random victim now and then, sometimes in the tick of an action that concerns it.
template <class Action>
task<> havoc(dice& d, std::vector<any_task>& victims, int rounds, Action action) {
    for (int i = 0; i < rounds; ++i) {
        co_await sleep_for(d.time(3));
        if (d(2) == 0) action();
        if (!victims.empty() && d(3) == 0) victims[static_cast<std::size_t>(d(static_cast<int>(victims.size())))].cancel();
        if (d(2) == 0) action();
    }
}

/// Pushed = popped + size, every item once, whoever is cancelled.
template <class Queue>
task<> keeps_its_items() {
    dice d;
    Queue q(3);
    std::set<int> pushed;
    std::set<int> popped;
    int next = 0;
    auto producer = [&]() -> task<> {
        for (int i = 0; i < 20; ++i) {
            const int item = next++;
            co_await q.push(item);
            pushed.insert(item);
            if (d(2) == 0) co_await sleep_for(d.time(3));
        }
    };
    auto consumer = [&]() -> task<> {
        for (int i = 0; i < 20; ++i) {
            int item = 0;
            if (d(2) == 0)
                item = co_await q.pop();
            else
                item = co_await wait_for(q.pop(), d.time(4));
            CHECK(popped.insert(item).second);
            if (d(2) == 0) co_await sleep_for(d.time(3));
        }
    };
    std::vector<any_task> tasks;
    std::vector<task_handle<>> handles;
    for (int i = 0; i < 12; ++i) {
        handles.push_back(spawn(producer));
        handles.push_back(spawn(consumer));
    }
    tasks.assign(handles.begin(), handles.end());
    co_await havoc(d, tasks, 60, [&] {
        if (d(2) == 0) {
            if (q.try_push(next)) pushed.insert(next++);
        } else if (const auto item = q.try_pop()) {
            CHECK(popped.insert(*item).second);
        }
    });
    for (const any_task& t : tasks) t.cancel();
    for (auto& h : handles) static_cast<void>(co_await as_result(h));
    CHECK(pushed.size() == popped.size() + q.size());
    while (const auto item = q.try_pop()) popped.insert(*item);
    CHECK(pushed == popped);
    CHECK(popped.size() > 20);
}

} // namespace

EDDY_TEST("queue: pushed = popped + size, every item once, whoever is cancelled", "[model]") {
    co_await keeps_its_items<queue<int>>();
}

EDDY_TEST("priority_queue: pushed = popped + size, every item once, whoever is cancelled", "[model]") {
    co_await keeps_its_items<priority_queue<int>>();
}

EDDY_TEST("stack_queue: pushed = popped + size, every item once, whoever is cancelled", "[model]") {
    co_await keeps_its_items<stack_queue<int>>();
}

EDDY_TEST("mutex: never two holders, never lost", "[model]") {
    dice d;
    mutex m;
    int holders = 0;
    int most = 0;
    int turns = 0;
    auto user = [&]() -> task<> {
        for (int i = 0; i < 30; ++i) {
            auto guard = co_await m.lock();
            most = std::max(most, ++holders);
            ++turns;
            struct leave {
                explicit leave(int& h) noexcept : n(h) {}
                leave(const leave&) = delete;
                leave& operator=(const leave&) = delete;
                ~leave() { --n; }
                int& n;
            };
            const leave at_end(holders);
            if (d(3) == 0) co_await sleep_for(d.time(3));
        }
    };
    std::vector<any_task> tasks;
    for (int i = 0; i < 20; ++i) tasks.push_back(spawn(user));
    co_await havoc(d, tasks, 60, [&] {
        if (auto guard = m.try_lock()) CHECK(holders == 0);
    });
    for (const any_task& t : tasks) co_await t.cancel_and_join();
    CHECK(most == 1);
    CHECK(holders == 0);
    CHECK(turns > 30);
    CHECK_FALSE(m.locked());
}

EDDY_TEST("semaphore: never more holders than permits, and all permits are back in the end", "[model]") {
    dice d;
    constexpr int permits = 3;
    semaphore s(permits);
    int holders = 0;
    int most = 0;
    auto user = [&]() -> task<> {
        for (int i = 0; i < 30; ++i) {
            auto permit = co_await s.acquire();
            most = std::max(most, ++holders);
            static_cast<void>(co_await as_result(sleep_for(d.time(3))));
            --holders;
        }
    };
    std::vector<any_task> tasks;
    for (int i = 0; i < 20; ++i) tasks.push_back(spawn(user));
    co_await havoc(d, tasks, 60, [&] { CHECK(s.available() <= permits); });
    for (const any_task& t : tasks) co_await t.cancel_and_join();
    CHECK(most == permits);
    CHECK(holders == 0);
    CHECK(s.available() == permits);
}

EDDY_TEST("capacity_limiter: never more borrowers than the total when they came, and all tokens are back in the end", "[model]") {
    dice d;
    capacity_limiter l(3);
    int holders = 0;
    int turns = 0;
    auto user = [&]() -> task<> {
        for (int i = 0; i < 30; ++i) {
            auto token = co_await l.acquire();
            ++holders;
            ++turns;
            static_cast<void>(co_await as_result(sleep_for(d.time(3))));
            --holders;
        }
    };
    std::vector<any_task> tasks;
    for (int i = 0; i < 20; ++i) tasks.push_back(spawn(user));
    co_await havoc(d, tasks, 60, [&] {
        l.set_total(d(5));
        CHECK((l.waiting() == 0 || l.available() == 0));
        CHECK(holders <= 4);
    });
    l.set_total(2);
    for (const any_task& t : tasks) co_await t.cancel_and_join();
    CHECK(turns > 30);
    CHECK(holders == 0);
    CHECK(l.borrowed() == 0);
    CHECK(l.waiting() == 0);
}

EDDY_TEST("shared_mutex: a writer is alone, nobody waits for nothing, no lock is lost", "[model]") {
    dice d;
    shared_mutex m;
    int readers = 0;
    int writers = 0;
    int shared_turns = 0;
    int turns = 0;
    auto user = [&]() -> task<> {
        for (int i = 0; i < 30; ++i) {
            if (d(3) == 0) {
                auto guard = co_await m.lock();
                CHECK(++writers == 1);
                CHECK(readers == 0);
                static_cast<void>(co_await as_result(sleep_for(d.time(3))));
                --writers;
            } else {
                auto guard = co_await m.lock_shared();
                CHECK(writers == 0);
                shared_turns += ++readers > 1 ? 1 : 0;
                static_cast<void>(co_await as_result(sleep_for(d.time(3))));
                --readers;
            }
            ++turns;
        }
    };
    std::vector<any_task> tasks;
    for (int i = 0; i < 20; ++i) tasks.push_back(spawn(user));
    co_await havoc(d, tasks, 60, [&] {
        CHECK((m.waiting() == 0 || m.locked() || m.readers() > 0));
        if (auto guard = m.try_lock()) CHECK(readers + writers == 0);
        if (auto guard = m.try_lock_shared()) CHECK(writers == 0);
    });
    for (const any_task& t : tasks) co_await t.cancel_and_join();
    CHECK(turns > 30);
    CHECK(shared_turns > 0);
    CHECK_FALSE(m.locked());
    CHECK(m.readers() == 0);
    CHECK(m.waiting() == 0);
}

EDDY_TEST("condition: whoever is cancelled, nobody waits for what is there, and the mutex is held after each wait", "[model]") {
    dice d;
    mutex m;
    condition c(m);
    int items = 0;
    int made = 0;
    int taken = 0;
    auto taker = [&]() -> task<> {
        for (int i = 0; i < 30; ++i) {
            auto guard = co_await m.lock();
            const auto there = [&] { return items > 0; };
            task<> wait = d(2) == 0 ? wait_for(c.wait(guard, there), d.time(4)) : c.wait(guard, there);
            const auto end = co_await as_result(std::move(wait));
            REQUIRE(guard.owns_lock());
            if (end.has_value()) {
                CHECK(items > 0);
                --items;
                ++taken;
            }
            if (d(3) == 0) co_await sleep_for(d.time(3));
        }
    };
    std::vector<any_task> tasks;
    for (int i = 0; i < 20; ++i) tasks.push_back(spawn(taker));
    for (int round = 0; round < 40; ++round) {
        co_await havoc(d, tasks, 3, [&] {
            if (auto guard = m.try_lock()) {
                ++items;
                ++made;
                c.notify();
            }
        });
        co_await sleep_for(1s);
        CHECK((items == 0 || c.waiting() == 0));
    }
    for (const any_task& t : tasks) co_await t.cancel_and_join();
    CHECK(made == taken + items);
    CHECK(taken > 5);
    CHECK_FALSE(m.locked());
    CHECK(c.waiting() == 0);
}

EDDY_TEST("race over queues: no item is lost, whatever wins and whoever is cancelled", "[model]") {
    dice d;
    queue<int> a(2);
    queue<int> b(2);
    int pushed = 0;
    int popped = 0;
    auto racer = [&]() -> task<> {
        for (int i = 0; i < 20; ++i) {
            auto won = co_await race(a.pop(), b.pop(), sleep_for(d.time(5) + 1ms));
            popped += won.get<0>().has_value() ? 1 : 0;
            popped += won.get<1>().has_value() ? 1 : 0;
        }
    };
    std::vector<any_task> tasks;
    for (int i = 0; i < 10; ++i) tasks.push_back(spawn(racer));
    co_await havoc(d, tasks, 150, [&] {
        pushed += a.try_push(0) ? 1 : 0;
        pushed += b.try_push(0) ? 1 : 0;
    });
    for (const any_task& t : tasks) co_await t.cancel_and_join();
    CHECK(static_cast<std::size_t>(pushed) == static_cast<std::size_t>(popped) + a.size() + b.size());
    CHECK(popped > 20);
}

EDDY_TEST("gather, race, groups and shields in each other: every task that started ends, and every frame goes", "[model]") {
    dice d;
    int started = 0;
    int ended = 0;
    struct alive {
        alive(int& s, int& e) noexcept : ends(e) { ++s; }
        alive(const alive&) = delete;
        alive& operator=(const alive&) = delete;
        ~alive() { ++ends; }
        int& ends;
    };
    this_loop().set_exception_handler([](const error_context&) {}); // losers may fail
    struct tree {
        dice& d;
        int& started;
        int& ended;
        task<int> grow(int depth) {
            const alive here(started, ended);
            if (depth == 0) {
                const int kind = d(5);
                if (kind == 0) throw std::runtime_error("leaf");
                if (kind == 1) co_await with_shield([&]() -> task<> { co_await sleep_for(d.time(5)); });
                if (kind == 2) static_cast<void>(co_await as_result(sleep_for(d.time(10))));
                if (kind == 3) co_await sleep_for(d.time(10));
                co_return 1;
            }
            switch (d(5)) {
            case 0: {
                auto both = co_await gather(grow(depth - 1), grow(depth - 1));
                co_return std::get<0>(both) + std::get<1>(both);
            }
            case 1: {
                auto won = co_await race(grow(depth - 1), grow(depth - 1), sleep_for(d.time(10)));
                co_return static_cast<int>(won.index);
            }
            case 2: {
                co_return co_await with_task_group([&](task_group& g) -> task<int> {
                    g.spawn(grow(depth - 1));
                    auto h = g.spawn(grow(depth - 1));
                    if (d(4) == 0) g.cancel();
                    co_return co_await h;
                });
            }
            case 3: {
                const auto v = co_await move_on_after(d.time(10), [&](cancel_scope&) { return grow(depth - 1); });
                co_return v.value_or(0);
            }
            default: {
                auto outs = co_await gather_outcomes(grow(depth - 1), grow(depth - 1));
                co_return std::get<0>(outs).value_or(0) + std::get<1>(outs).value_or(0);
            }
            }
        }
    };
    tree t{d, started, ended};
    for (int i = 0; i < 100; ++i) {
        auto h = spawn(t.grow(4));
        if (d(2) == 0) this_loop().call_later(d.time(8), [h] { h.cancel(); });
        static_cast<void>(co_await as_result(h));
    }
    co_await sleep_for(1s);
    CHECK(started > 300);
    CHECK(started == ended);
}

// The interface by example, as far as it needs no loop functions: tasks, groups, combining, sharing.
#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<int> f(int x) {
    co_return x + 1;
}
task<std::string> g() {
    co_return "text";
}
task<int&> itself(int& x) {
    co_return x;
}
task<std::unique_ptr<int>> owned_int(int x) {
    co_return std::make_unique<int>(x);
}
task<> server_main(started<int> ready, int port) {
    ready(port + 8080);
    co_await sleep_for(1h);
}
async_generator<int> numbers() {
    co_yield 1;
    co_yield 2;
}
async_generator<int&> cells(std::array<int, 2>& a) {
    for (int& x : a) co_yield x;
}

task_local<int> user{0};

/// Stands in for a socket: this layer has none.
struct three_bytes {
    task<std::size_t> read_some(std::span<std::byte> buffer) {
        co_return buffer.size() < 3 ? buffer.size() : 3;
    }
};

} // namespace

EDDY_TEST("the interface: tasks") {
    const int v = co_await f(1);
    CHECK(v == 2);
    task_handle<int> h = spawn(f(1));
    auto h2 = spawn(f(1), {.name = "one"});
    auto h3 = spawn([&](int n) -> task<> { co_await sleep_for(1ms * n); }, 5);
    auto h5 = spawn([](int) -> task<> { co_return; }, {.name = "x"}, 5);
    auto h6 = spawn([]() -> task<> { co_return; });
    auto h7 = spawn([]() -> task<> { co_return; }, {.name = "y"});
    auto h4 = spawn_eager(f(1));
    const int r = co_await h;
    auto big = co_await std::move(h2);
    CHECK(r == 2);
    CHECK(big == 2);
    co_await h3.join();
    CHECK(h5.name() == "x");
    CHECK(h7.name() == "y");
    const bool first = h.cancel("not needed");
    CHECK_FALSE(first);
    co_await h5.cancel_and_join();
    co_await h6;
    co_await h7;
    CHECK(h.done());
    CHECK_FALSE(h.cancelled());
    CHECK(h.result() == 2);
    CHECK(h.exception() == nullptr);
    CHECK(h4.result() == 2);
    CHECK(h.where().line() > 0);
    co_await this_task::yield();
    co_await this_task::checkpoint();
    CHECK(this_task::handle());
    CHECK(this_task::name() == "main");
    CHECK_FALSE(this_task::cancel_requested());
    CHECK_FALSE(this_task::effective_deadline().has_value());
}

EDDY_TEST("the interface: results of any kind") {
    int x = 1;
    int& same = co_await itself(x);
    CHECK(&same == &x);
    auto p = co_await owned_int(5);
    CHECK(*p == 5);
    auto h = spawn(owned_int(6));
    const int seen = *co_await h;
    auto moved = co_await std::move(h);
    CHECK(seen == 6);
    CHECK(*moved == 6);
    auto both = co_await gather(itself(x), sleep_for(1ms));
    static_assert(std::is_same_v<decltype(both), std::tuple<std::reference_wrapper<int>, std::monostate>>);
    CHECK(&std::get<0>(both).get() == &x);
    auto won = co_await race(itself(x), sleep_for(1h));
    CHECK(&won.get<0>()->get() == &x);
    outcome<int&> o = co_await as_result(itself(x));
    CHECK(&o.value().get() == &x);
}

EDDY_TEST("the interface: groups") {
    const int sum = co_await with_task_group([&](task_group& group) -> task<int> {
        auto a = group.spawn(f(1));
        group.spawn([&]() -> task<> { co_await sleep_for(10ms); });
        group.spawn([](int) -> task<> { co_return; }, 3);
        group.spawn([](int) -> task<> { co_return; }, {.name = "named"}, 3);
        group.spawn_eager(f(2));
        const int r = co_await a;
        group.cancel("enough");
        co_return r;
    });
    CHECK(sum == 2);
    const int ready_on = co_await with_task_group([&](task_group& group) -> task<int> {
        int port = co_await group.start(server_main, 0);
        group.cancel("enough");
        co_return port;
    });
    CHECK(ready_on == 8080);
    task_group own;
    const int two = co_await with_task_group(own, [](task_group&) -> task<int> { co_return 2; });
    CHECK(two == 2);
    std::string seen;
    try {
        co_await with_task_group([](task_group&) -> task<> {
            throw std::runtime_error("E");
            co_return;
        });
    } catch (const exception_group& e) {
        CHECK(e.errors().size() == 1);
        e.for_each<std::runtime_error>([&](auto& x) { seen = x.what(); });
        CHECK(words::of_call([&] { e.rethrow_if_single(); return 0; }) == "E");
    }
    CHECK(seen == "E");
}

EDDY_TEST("the interface: scopes and cancellation") {
    auto page = co_await with_timeout(2s, [&](cancel_scope& s) -> task<std::string> {
        s.reschedule(loop_clock::now() + 1s);
        co_return co_await g();
    });
    CHECK(page == "text");
    auto maybe = co_await move_on_after(2s, [&](cancel_scope&) -> task<int> { co_return 1; });
    const bool in_time = co_await move_on_after(2s, [&](cancel_scope&) -> task<> { co_await sleep_for(3s); });
    CHECK(maybe == 1);
    CHECK_FALSE(in_time);
    auto x = co_await wait_for(f(1), 2s);
    CHECK(x == 2);
    std::string reason;
    co_await with_scope([&](cancel_scope& s) -> task<> {
        s.cancel("why");
        try {
            co_await sleep_for(1s);
        } catch (const operation_cancelled& c) {
            reason = c.reason();
            throw;
        }
    });
    CHECK(reason == "why");
    cancel_scope s;
    co_await with_scope(s, [](cancel_scope&) -> task<> { co_return; });
    co_await with_shield([&]() -> task<> { co_return; });
    co_await with_shield(5s, [&](cancel_scope&) -> task<> { co_return; });
    const int shielded_value = co_await shielded(f(1));
    CHECK(shielded_value == 2);
    std::string order;
    auto body = [&]() -> task<int> {
        order += "body ";
        co_return 3;
    };
    auto cleanup = [&]() -> task<> {
        co_await sleep_for(1ms);
        order += "cleanup";
    };
    const int cleaned = co_await with_cleanup(body, cleanup);
    CHECK(cleaned == 3);
    CHECK(order == "body cleanup");
    auto watched = spawn(f(1));
    const int from_handle = co_await wait_for(watched, 2s);
    CHECK(from_handle == 2);
    CHECK_FALSE(s.cancel_called());
    CHECK_FALSE(s.cancelled_caught());
    CHECK_FALSE(s.expired());
    CHECK_FALSE(s.deadline().has_value());
    CHECK_FALSE(s.stop_token().stop_requested());
}

EDDY_TEST("the interface: combining") {
    auto all = co_await gather(f(1), g());
    CHECK(std::get<0>(all) == 2);
    CHECK(std::get<1>(all) == "text");
    std::vector<task<int>> tasks;
    tasks.push_back(f(1));
    tasks.push_back(f(2));
    std::vector<int> many = co_await gather(std::move(tasks));
    CHECK(many.size() == 2);
    auto outs = co_await gather_outcomes(f(1), g());
    CHECK(std::get<0>(outs).has_value());
    CHECK(std::get<0>(outs).value() == 2);
    CHECK(std::get<1>(outs).exception() == nullptr);
    CHECK_FALSE(std::get<1>(outs).cancelled());
    queue<int> q1(1);
    auto won = co_await race(q1.pop(), sleep_for(5s));
    CHECK(won.index == 1);
    CHECK_FALSE(won.get<0>().has_value());
    CHECK(won.get<1>().has_value());
    outcome<int> n = co_await as_result(f(1));
    CHECK(n.value() == 2);
    CHECK_FALSE(n.error());
    CHECK_FALSE(n.cancelled());
}

EDDY_TEST("the interface: several handles") {
    std::vector<task_handle<int>> handles;
    handles.push_back(spawn(f(1)));
    handles.push_back(spawn([]() -> task<int> {
        co_await sleep_for(1h);
        co_return 9;
    }));
    auto w = co_await wait(handles, wait_until::first_completed, 100ms);
    static_assert(std::is_same_v<decltype(w.done), std::vector<task_handle<int>>>);
    static_assert(std::is_same_v<decltype(w.pending), std::vector<task_handle<int>>>);
    CHECK(w.done.size() == 1);
    CHECK(w.pending.size() == 1);
    co_await w.pending.front().cancel_and_join();

    std::vector<task<int>> tasks;
    tasks.push_back(f(1));
    tasks.push_back(f(2));
    int total = 0;
    const auto use = [&](int v) { total += v; };
    auto stream = as_completed(std::move(tasks));
    while (auto h = co_await stream.next()) use(h->result());
    CHECK(total == 5);

    three_bytes s;
    std::array<std::byte, 16> buf{};
    outcome<std::size_t> n = co_await as_result(s.read_some(buf));
    CHECK(n.value() == 3);
    CHECK_FALSE(n.error());
}

EDDY_TEST("the interface: sharing") {
    mutex m;
    {
        auto guard = co_await m.lock();
        CHECK_FALSE(m.try_lock().has_value());
        CHECK(m.locked());
    }
    event e;
    e.set();
    CHECK(e.is_set());
    co_await e.wait();
    e.clear();
    CHECK_FALSE(e.is_set());
    semaphore s{3};
    auto permit = co_await s.acquire();
    permit.detach();
    auto maybe = s.try_acquire();
    CHECK(maybe.has_value());
    s.release();
    CHECK_FALSE(s.locked());
    queue<int> q{10};
    co_await q.push(1);
    const int v = co_await q.pop();
    CHECK(v == 1);
    CHECK(q.try_push(1));
    CHECK(q.try_pop() == 1);
    CHECK(q.size() == 0);
    q.task_done();
    q.task_done();
    co_await q.join();
    q.close();
    q.close_now();
    promise<int> p;
    future<int> fu = p.get_future();
    bool told = false;
    fu.on_done([&] { told = true; });
    p.set_value(1);
    const int y = co_await fu;
    CHECK(y == 1);
    int late = 0;
    fu.on_done([&] { ++late; });
    co_await testing::settle();
    CHECK(told);
    CHECK(late == 1);
}

EDDY_TEST("the interface: conditions and locks") {
    mutex m;
    condition c{m};
    bool ready = false;
    auto waiter = spawn([&]() -> task<> {
        auto guard = co_await m.lock();
        co_await c.wait(guard);
        co_await c.wait(guard, [&] { return ready; });
    });
    co_await testing::settle();
    {
        auto guard = co_await m.lock();
        ready = true;
        c.notify(2);
        c.notify_all();
    }
    co_await waiter;
    CHECK_FALSE(m.locked());

    shared_mutex rw;
    {
        auto wg = co_await rw.lock();
        CHECK(rw.locked());
    }
    auto rg = co_await rw.lock_shared();
    CHECK(rw.readers() == 1);
}

EDDY_TEST("the interface: limiters, barriers, latches") {
    capacity_limiter l{4};
    auto token = co_await l.acquire();
    l.set_total(8);
    CHECK(l.available() == 7);

    barrier b{3};
    auto party = [&]() -> task<std::size_t> { co_return co_await b.wait(); };
    auto first = spawn(party);
    auto second = spawn(party);
    std::size_t index = co_await b.wait();
    const std::size_t sum = index + co_await first + co_await second;
    CHECK(sum == 3);
    CHECK(b.waiting() == 0);
    b.abort();
    CHECK(b.broken());
    b.reset();
    CHECK_FALSE(b.broken());

    latch d{2};
    d.count_down();
    d.count_down();
    co_await d.wait();
    CHECK(d.try_wait());
}

EDDY_TEST("the interface: queues in other orders") {
    priority_queue<int, std::greater<int>> largest{10};
    co_await largest.push(1);
    co_await largest.push(2);
    const int large = co_await largest.pop();
    CHECK(large == 2);
    CHECK(largest.try_pop() == 1);
    largest.task_done();
    largest.task_done();
    co_await largest.join();
    largest.close();
    largest.close_now();
    priority_queue<int> smallest{10};
    CHECK(smallest.try_push(2));
    CHECK(smallest.try_push(1));
    CHECK(smallest.try_pop() == 1);
    stack_queue<int> stack{10};
    co_await stack.push(1);
    co_await stack.push(2);
    const int newest = co_await stack.pop();
    CHECK(newest == 2);
    CHECK(stack.size() == 1);
}

EDDY_TEST("the interface: channels, generators, task-locals") {
    auto ch = channel<int>(0);
    auto receiving = spawn([&]() -> task<int> {
        std::optional<int> x = co_await ch.rx.next();
        co_return x.value_or(0);
    });
    co_await ch.tx.send(1);
    const int received = co_await receiving;
    CHECK(received == 1);
    auto tx2 = ch.tx.clone();
    tx2.close();
    ch.rx.close();

    auto gen = numbers();
    int total = 0;
    while (auto v = co_await gen.next()) total += *v;
    CHECK(total == 3);
    std::array<int, 2> a{1, 2};
    auto refs = cells(a);
    while (int* p = co_await refs.next()) *p *= 10;
    CHECK(a[1] == 20);
    auto early = numbers();
    std::optional<int> one = co_await early.next();
    CHECK(one == 1);
    co_await early.close();

    user.set(7);
    auto child = spawn([]() -> task<int> { co_return user.get(); });
    user.set(8);
    const int inherited = co_await child;
    CHECK(inherited == 7);
    CHECK(user.get() == 8);
}

// The interface by example, as far as it needs no loop functions: tasks, groups, combining, sharing.
#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <memory>
#include <string>
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
    co_await testing::settle();
    CHECK(told);
}

#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>

#include <memory>
#include <string>
#include <vector>

#include "lib/tasks.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("G-01 results come in argument order, whatever order they arrived in") {
    auto all = co_await gather(give(3ms, "a"), give(1ms, "b"), give(2ms, "c"));
    CHECK(std::get<0>(all) + std::get<1>(all) + std::get<2>(all) == "abc");
}

EDDY_TEST("G-02 gathering nothing gives nothing, without a tick") {
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    const std::tuple<> none = co_await gather();
    std::vector<task<int>> no_tasks;
    const std::vector<int> empty = co_await gather(std::move(no_tasks));
    log += "a ";
    co_await testing::settle();
    CHECK(log == "a tick ");
    CHECK(none == std::tuple<>());
    CHECK(empty.empty());
}

EDDY_TEST("G-03 the first failure cancels and joins the others, then it is thrown") {
    const auto start = loop_clock::now();
    std::string log;
    const auto r = co_await as_result(gather(fail_after<int>(10ms, "E"), noting(log, "cancelled ", 5ms)));
    CHECK(words::of(r) == "E");
    CHECK(log == "cancelled ");
    CHECK(loop_clock::now() - start == 15ms);
}

EDDY_TEST("G-04 of two failures the first is thrown, the second goes to the exception handler") {
    const words::reports reports;
    auto second = []() -> task<int> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            throw std::runtime_error("second");
        }
        co_return 0;
    };
    const auto r = co_await as_result(gather(fail_after<int>(10ms, "first"), second()));
    CHECK(words::of(r) == "first");
    CHECK(reports.count() == 1);
    CHECK(reports.text().find("second") != std::string::npos);
}

EDDY_TEST("G-05 gather_outcomes gives every outcome, a cancelled member's too") {
    auto victim = spawn(give(1h, "never"));
    co_await testing::settle();
    this_loop().call_later(5ms, [&] { victim.cancel("by hand"); });
    auto lifted = [&]() -> task<int> {
        this_task::handle().cancel("self");
        co_await this_task::yield();
        co_return 1;
    };
    auto all = co_await gather_outcomes(give(10ms, "a"), fail_after<int>(5ms, "E"), lifted(), victim, give(1ms, "d"));
    CHECK(std::get<0>(all).value() == "a");
    CHECK(words::of(std::get<1>(all)) == "E");
    CHECK(std::get<2>(all).cancelled());
    CHECK(std::get<3>(all).cancelled()); // how its task ended
    CHECK(std::get<4>(all).value() == "d");
}

EDDY_TEST("G-06 a member that somebody else cancelled makes gather throw child_cancelled") {
    auto victim = spawn(give(1h, "never"), {.name = "victim"});
    co_await testing::settle();
    this_loop().call_later(5ms, [&] { victim.cancel("by hand"); });
    const auto r = co_await as_result(gather(victim, give(1h, "b")));
    CHECK(words::holds<child_cancelled>(r.exception()));
    CHECK(words::of(r) == "task 'victim' was cancelled: by hand");
    co_await this_task::checkpoint();
}

EDDY_TEST("G-06 a member task that cancels itself counts the same") {
    auto self = []() -> task<int> {
        this_task::handle().cancel("self");
        co_await this_task::yield();
        co_return 1;
    };
    const auto r = co_await as_result(gather(self(), give(1h, "b")));
    CHECK(words::holds<child_cancelled>(r.exception()));
}

EDDY_TEST("G-07 a cancelled gather ends after its members' cleanup") {
    const auto start = loop_clock::now();
    std::string log;
    auto h = spawn([&]() -> task<> { co_await gather(noting(log, "a ", 30ms), noting(log, "b ", 20ms)); });
    co_await testing::settle();
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
    CHECK((log == "a b " || log == "b a "));
    CHECK(loop_clock::now() - start == 30ms);
}

EDDY_TEST("G-08 G-09 a cancelled gather ends cancelled although every member returned a value") {
    auto plain = spawn([]() -> task<> { co_await gather(stubborn(1), stubborn(2)); });
    auto outcomes = spawn([]() -> task<> { co_await gather_outcomes(stubborn(1), stubborn(2)); });
    co_await testing::settle();
    co_await plain.cancel_and_join();
    co_await outcomes.cancel_and_join();
    CHECK(plain.cancelled());
    CHECK(outcomes.cancelled());
}

EDDY_TEST("G-11 one handle twice: one run, its value twice") {
    int runs = 0;
    auto h = spawn([&]() -> task<int> { co_return ++runs; });
    auto all = co_await gather(h, h);
    CHECK(std::get<0>(all) == 1);
    CHECK(std::get<1>(all) == 1);
}

EDDY_TEST("G-12 a handle that has failed already makes gather throw at once; tasks are joined, handles left running") {
    const auto start = loop_clock::now();
    auto failed = spawn(fail_after<int>(0ms, "E"));
    co_await failed.join();
    auto observed = spawn(give(1s, "on"));
    std::string log;
    const auto r = co_await as_result(gather(failed, observed, noting(log, "owned ", 0ns)));
    CHECK(words::of(r) == "E");
    CHECK(log == "owned ");
    CHECK(loop_clock::now() == start);
    CHECK_FALSE(observed.done());
    const std::string v = co_await observed;
    CHECK(v == "on");
}

EDDY_TEST("R3 in a scope that is cancelled already no member is started, and its arguments are destroyed") {
    auto owner = std::make_shared<int>(0);
    bool started = false;
    auto body = [&](std::shared_ptr<int>) -> task<> {
        started = true;
        co_return;
    };
    auto h = spawn([&]() -> task<> {
        this_task::handle().cancel();
        co_await gather(body(owner), body(owner));
    });
    co_await h.join();
    CHECK(h.cancelled());
    CHECK_FALSE(started);
    CHECK(owner.use_count() == 1);
}

EDDY_TEST("gather lifts every awaitable; void becomes monostate, references reference_wrapper") {
    event e;
    queue<int> q(1);
    int x = 1;
    auto ref = [&]() -> task<int&> { co_return x; };
    this_loop().call_later(1ms, [&] { e.set(); });
    this_loop().call_later(2ms, [&] { q.try_push(5); });
    auto op = q.pop();
    auto all = co_await gather(e.wait(), op, ref(), sleep_for(3ms));
    CHECK(std::get<0>(all) == std::monostate());
    CHECK(std::get<1>(all) == 5);
    CHECK(&std::get<2>(all).get() == &x);
}

EDDY_TEST("a vector of tasks or handles is gathered in its order") {
    std::vector<task<std::string>> tasks;
    for (const char* name : {"a", "b", "c"}) tasks.push_back(give(3ms, name));
    const std::vector<std::string> many = co_await gather(std::move(tasks));
    CHECK(many[0] + many[1] + many[2] == "abc");
    std::vector<task_handle<int>> handles;
    handles.push_back(spawn(stubborn(1)));
    handles.push_back(spawn(fail_after<int>(1ms, "E")));
    const task_handle<int> first = handles[0];
    const std::vector<outcome<int>> outs = co_await gather_outcomes([&] {
        first.cancel();
        return std::move(handles);
    }());
    CHECK(outs[0].value() == 1);
    CHECK(words::of(outs[1]) == "E");
}

EDDY_TEST("a failure in a member of a gather that is being cancelled is reported; the gather ends cancelled") {
    const words::reports reports;
    auto h = spawn([]() -> task<> {
        auto bad = []() -> task<> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                throw std::runtime_error("in cleanup");
            }
        };
        co_await gather(bad(), sleep_for(1h));
    });
    co_await testing::settle();
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
    CHECK(reports.count() == 1);
    CHECK(reports.text().find("in cleanup") != std::string::npos);
}

EDDY_TEST("G-05 of a vector of handles the outcomes are those of the tasks") {
    std::vector<task_handle<std::string>> handles{spawn(give(1h, "never")), spawn(give(1ms, "a"))};
    co_await testing::settle();
    handles[0].cancel("by hand");
    auto all = co_await gather_outcomes(std::move(handles));
    CHECK(all[0].cancelled());
    CHECK(all[1].value() == "a");
}

EDDY_TEST("R10 members that observe one failing task give its error once") {
    const words::reports reports;
    auto h = spawn(fail_after<int>(1ms, "E"));
    const auto r = co_await as_result(gather(h, h, h));
    CHECK(words::of(r) == "E");
    CHECK(reports.count() == 0);
}

EDDY_TEST("T-34 handles of move-only results go through gather when they are moved in") {
    const auto make = [](int v) -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(v); };
    auto h = spawn(make(1));
    auto both = co_await gather(std::move(h), make(2));
    CHECK(*std::get<0>(both) == 1);
    std::vector<task_handle<std::unique_ptr<int>>> handles;
    handles.push_back(spawn(make(3)));
    auto many = co_await gather(std::move(handles));
    CHECK(*many[0] == 3);
}

EDDY_TEST("T-34 futures give objects to gather, race and spawn, not references into a cell that may go") {
    const std::string text(100, 'x');
    const auto settled = [&] {
        promise<std::string> p;
        p.set_value(text);
        return p.get_future();
    };
    auto all = co_await gather(settled(), give(1ms, "a"));
    static_assert(std::is_same_v<decltype(all), std::tuple<std::string, std::string>>);
    CHECK(std::get<0>(all) == text);
    auto won = co_await race(settled(), sleep_for(1h));
    CHECK(*won.get<0>() == text);
    auto h = spawn(settled());
    const std::string s = co_await h;
    CHECK(s == text);
}

EDDY_TEST("gather_outcomes takes members whose value is an exception_ptr") {
    const auto f = []() -> task<std::exception_ptr> { co_return std::make_exception_ptr(1); };
    auto outs = co_await gather_outcomes(f());
    CHECK(std::get<0>(outs).has_value());
}

#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <array>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "lib/tasks.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

std::vector<task_handle<int>> three() {
    std::vector<task_handle<int>> handles;
    handles.push_back(spawn(give(30ms, 3)));
    handles.push_back(spawn(give(10ms, 1)));
    handles.push_back(spawn(give(20ms, 2)));
    return handles;
}
/// The results of finished tasks, in order: "1 2 ".
std::string results(const std::vector<task_handle<int>>& handles) {
    std::string text;
    for (const auto& h : handles) text += std::to_string(h.result()) + " ";
    return text;
}

} // namespace

EDDY_TEST("wait: all completed is what it waits for by default; results keep the order of the arguments") {
    const auto start = loop_clock::now();
    auto w = co_await wait(three());
    CHECK(results(w.done) == "3 1 2 ");
    CHECK(w.pending.empty());
    CHECK(loop_clock::now() - start == 30ms);
}

EDDY_TEST("wait: first_completed ends with the first; the others go on") {
    const auto handles = three();
    auto w = co_await wait(handles, wait_until::first_completed);
    CHECK(results(w.done) == "1 ");
    CHECK(w.pending.size() == 2);
    co_await handles[0].join();
    CHECK(handles[0].result() == 3);
}

EDDY_TEST("W-01 two that complete in the same tick are both done") {
    event e;
    std::vector<task_handle<>> handles;
    for (int i = 0; i < 2; ++i) handles.push_back(spawn([&]() -> task<> { co_await e.wait(); }));
    handles.push_back(spawn([&]() -> task<> { co_await sleep_for(1s); }));
    spawn([&]() -> task<> {
        co_await sleep_for(1ms);
        e.set();
    });
    auto w = co_await wait(handles, wait_until::first_completed);
    CHECK(w.done.size() == 2);
    CHECK(w.pending.size() == 1);
}

EDDY_TEST("W-03 a cancelled member is no exception") {
    auto handles = three();
    handles[1].cancel();
    auto w = co_await wait(handles, wait_until::first_exception);
    CHECK(w.done.size() == 3);
    handles = three();
    handles.push_back(spawn(fail_after<int>(15ms, "failed")));
    auto x = co_await wait(handles, wait_until::first_exception);
    CHECK(x.done.size() == 2);
    CHECK(x.pending.size() == 2);
    CHECK(x.done[1].exception() != nullptr);
    for (auto& h : x.pending) co_await h;
}

EDDY_TEST("W-04 at the timeout what is done is done; nothing is thrown or cancelled") {
    const auto start = loop_clock::now();
    std::vector<task_handle<int>> handles;
    handles.push_back(spawn(give(100ms, 1)));
    handles.push_back(spawn(give(150ms, 2)));
    auto w = co_await wait(handles, wait_until::all_completed, 110ms);
    CHECK(loop_clock::now() - start == 110ms);
    CHECK(results(w.done) == "1 ");
    CHECK(w.pending.size() == 1);
    const int late = co_await w.pending.front();
    CHECK(late == 2);
}

EDDY_TEST("W-05 a member whose own timer is due at the timeout, and was set earlier, is done", "[fifo]") {
    std::vector<task_handle<int>> handles;
    handles.push_back(spawn(give(20ms, 1)));
    handles.push_back(spawn(give(50ms, 2)));
    co_await this_task::yield();
    auto w = co_await wait(handles, wait_until::all_completed, 20ms);
    CHECK(results(w.done) == "1 ");
    co_await handles[1];
}

EDDY_TEST("W-06 with all members done it does not suspend") {
    auto handles = three();
    co_await wait(handles);
    const auto before = this_loop().stats().ticks;
    auto w = co_await wait(handles, wait_until::first_exception);
    CHECK(this_loop().stats().ticks == before);
    CHECK(w.done.size() == 3);
}

EDDY_TEST("W-07 a timeout of zero or less only looks") {
    auto handles = three();
    co_await sleep_for(15ms);
    const auto before = this_loop().stats().ticks;
    auto w = co_await wait(handles, wait_until::all_completed, 0ms);
    auto x = co_await wait(handles, wait_until::all_completed, -1s);
    CHECK(this_loop().stats().ticks == before);
    CHECK(results(w.done) == "1 ");
    CHECK(x.pending.size() == 2);
    co_await wait(handles);
}

EDDY_TEST("W-08 cancelling the waiter leaves the members alone") {
    const auto handles = three();
    auto waiter = spawn([&]() -> task<> { co_await wait(handles); });
    co_await sleep_for(5ms);
    co_await waiter.cancel_and_join();
    CHECK(waiter.cancelled());
    auto w = co_await wait(handles);
    CHECK(results(w.done) == "3 1 2 ");
}

EDDY_TEST("W-09 an empty list is refused, duplicates count once") {
    std::string error;
    try {
        co_await wait(std::vector<task_handle<int>>());
    } catch (const std::invalid_argument& e) {
        error = e.what();
    }
    CHECK(error == "wait: the list of handles is empty: it would never be over");
    auto h = spawn(give(1ms, 7));
    std::vector<task_handle<int>> twice(2, h);
    auto w = co_await wait(twice);
    CHECK(w.done.size() == 1);
    std::vector<task_handle<int>> none(1);
    error.clear();
    try {
        co_await wait(none);
    } catch (const std::logic_error& e) {
        error = e.what();
    }
    CHECK(error == "this task handle is empty");
    error.clear();
    try {
        co_await wait(twice, wait_until::all_completed, std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN()));
    } catch (const std::invalid_argument& e) {
        error = e.what();
    }
    CHECK(error == "a duration was NaN");
}

EDDY_TEST("wait takes any_task and spans, and is an operation like others: it can be raced and timed out") {
    std::array<any_task, 2> mixed{spawn(give(10ms, 1)), spawn([]() -> task<> { co_await sleep_for(20ms); })};
    auto w = co_await wait(std::span<const any_task>(mixed), wait_until::first_completed);
    CHECK(w.done.size() == 1);
    auto won = co_await race(wait(std::span<const any_task>(mixed)), sleep_for(5ms));
    CHECK(won.index == 1);
    const auto late = co_await as_result(wait_for(wait(std::span<const any_task>(mixed)), 1ms));
    CHECK(words::of(late).find("timed out after 1 ms") != std::string::npos);
    co_await wait(std::span<const any_task>(mixed));
}

EDDY_TEST("R2 a wait that is over in the tick of its cancellation has its result, and the next checkpoint throws", "[fifo]") {
    auto h = spawn(give(10ms, 1));
    std::size_t done = 0;
    auto waiter = spawn([&]() -> task<> {
        std::vector<task_handle<int>> handles(1, h);
        auto w = co_await wait(handles);
        done = w.done.size();
        co_await this_task::checkpoint();
        done = 99;
    });
    co_await this_task::yield();
    auto killer = spawn([&]() -> task<> {
        co_await sleep_for(10ms); // set after the timer of h: it has its turn between the last step of h and the waiter
        waiter.cancel();
    });
    co_await killer;
    co_await waiter.join();
    CHECK(done == 1);
    CHECK(waiter.cancelled());
}

EDDY_TEST("R1 a wait in a cancelled scope throws and leaves no trace") {
    const auto handles = three();
    bool thrown = false;
    co_await with_scope([&](cancel_scope& s) -> task<> {
        s.cancel();
        try {
            co_await wait(handles);
        } catch (const operation_cancelled&) {
            thrown = true;
            throw;
        }
    });
    CHECK(thrown);
    co_await wait(handles);
}

EDDY_TEST("wait takes spans, and a time point as its limit") {
    auto handles = three();
    const auto start = loop_clock::now();
    auto first = co_await wait(std::span(handles), wait_until::all_completed, start + 15ms);
    CHECK(first.done.size() == 1);
    CHECK(loop_clock::now() - start == 15ms);
    const std::span<const task_handle<int>> rest(handles);
    auto all = co_await wait(rest);
    CHECK(all.done.size() == 3);
}

#include <eddy/background.hpp>

#include <eddy/progress.hpp>
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

int tripled(int x) {
    return 3 * x;
}
task<int> tripled_later(int x) {
    co_await sleep_for(1s);
    co_return 3 * x;
}
std::thread::id runs_on() {
    return std::this_thread::get_id();
}
void fails_for_odd(int x) {
    if (x % 2 != 0) throw std::runtime_error("odd: " + std::to_string(x));
}

/// Counts how many of its calls run at a time.
struct crowd {
    int now = 0;
    int most = 0;
    int calls = 0;
    task<int> enter(int x) {
        ++calls;
        most = std::max(most, ++now);
        co_await sleep_for(std::chrono::milliseconds(10 - x % 7)); // later ones are often done first
        --now;
        co_return x;
    }
};

} // namespace

EDDY_TEST("background: the same call on the loop and on a pool") {
    worker_pool pool(2);
    auto a = co_await background(on_loop, tripled, 1);
    auto b = co_await background(on_loop, tripled_later, 2);
    auto c = co_await background(on_pool(), tripled, 3);
    auto d = co_await background(on_pool(pool), tripled, 4);
    CHECK(a == 3);
    CHECK(b == 6);
    CHECK(c == 9);
    CHECK(d == 12);
    auto here = co_await background(on_loop, runs_on);
    auto there = co_await background(on_pool(pool), runs_on);
    CHECK(here == std::this_thread::get_id());
    CHECK(there != std::this_thread::get_id());
}

EDDY_TEST("background: on the loop, what is reported last is heard before the call returns or fails") {
    std::uint64_t heard = 0;
    progress_listener listener([&](const progress_report& p) { heard = p.done; });
    const auto listening = listener.listen();
    co_await background(on_loop, [](std::uint64_t n) { report_progress(n); }, std::uint64_t(3));
    CHECK(heard == 3);
    const auto reports_and_fails = [] {
        report_progress(4);
        throw std::runtime_error("no");
    };
    const std::string end = co_await words::ending(background(on_loop, reports_and_fails));
    CHECK(end.find("no") != std::string::npos);
    CHECK(heard == 4);
}

EDDY_TEST("background: a plain function on the loop lets others run first", "[fifo]") {
    std::string log;
    auto other = spawn([&]() -> task<> {
        log += "other ";
        co_return;
    });
    co_await background(on_loop, [&] { log += "it "; });
    co_await other;
    CHECK(log == "other it ");
}

EDDY_TEST("background: errors come out as they are, from every scale") {
    const std::string loop_error = co_await words::ending(background(on_loop, fails_for_odd, 1));
    const std::string pool_error = co_await words::ending(background(on_pool(), fails_for_odd, 3));
    CHECK(loop_error == "odd: 1");
    CHECK(pool_error == "odd: 3");
    co_await background(on_pool(), fails_for_odd, 2);
}

EDDY_TEST("background: arguments and function are kept, and are the same in each attempt") {
    auto shared = std::make_shared<int>(0);
    auto counts = [](const std::shared_ptr<int>& n) -> task<int> {
        if (++*n < 3) throw std::runtime_error("not yet");
        co_return *n;
    };
    auto n = co_await background(on_loop, {.retry = retry_policy{.attempts = 5, .first_delay = 1s}}, counts, shared);
    CHECK(n == 3);
    CHECK(shared.use_count() == 1);
}

EDDY_TEST("background: a worker's function is tried again, with pauses of the loop's time") {
    std::atomic<int> calls{0};
    const auto start = loop_clock::now();
    auto n = co_await background(on_pool(), {.retry = retry_policy{.attempts = 3, .first_delay = 1s, .factor = 2.0}}, [&] {
        if (++calls < 3) throw std::runtime_error("busy");
        return calls.load();
    });
    CHECK(n == 3);
    CHECK(loop_clock::now() - start == 3s);
    const std::string error = co_await words::ending(background(on_pool(), {.retry = retry_policy{.attempts = 2, .first_delay = 0s}}, fails_for_odd, 1));
    CHECK(error == "odd: 1");
}

EDDY_TEST("background: the timeout is of one attempt") {
    int calls = 0;
    auto slow_at_first = [&]() -> task<int> {
        if (++calls == 1) co_await sleep_for(1h);
        co_await sleep_for(1s);
        co_return calls;
    };
    const auto start = loop_clock::now();
    auto n = co_await background(on_loop, {.retry = retry_policy{.attempts = 2, .first_delay = 1s}, .timeout = 5s}, slow_at_first);
    CHECK(n == 2);
    CHECK(loop_clock::now() - start == 7s);
    auto too_slow = background(on_loop, {.timeout = 500ms}, tripled_later, 1);
    const auto o = co_await as_result(std::move(too_slow));
    CHECK(words::holds<timeout_error>(o.exception()));
}

EDDY_TEST_REAL("background: a worker's function is asked to stop when its time is over") {
    std::atomic<bool> started{false};
    std::atomic<bool> stopped{false};
    const auto waits = [&](std::stop_token st) {
        started = true;
        while (!st.stop_requested()) std::this_thread::yield();
        stopped = true;
        throw operation_cancelled();
    };
    for (std::chrono::milliseconds limit = 5ms; !started; limit *= 2) { // a busy machine may not have begun with it by then
        auto too_slow = background(on_pool(), {.timeout = limit}, waits);
        const auto o = co_await as_result(std::move(too_slow));
        CHECK(words::holds<timeout_error>(o.exception()));
    }
    CHECK(stopped);
}

EDDY_TEST("background: a limit is held for attempts, and not between them") {
    capacity_limiter one(1);
    crowd c;
    auto first = spawn([&]() -> task<int> { return background(on_loop, {.limit = &one}, [&](int x) { return c.enter(x); }, 1); });
    auto second = spawn([&]() -> task<int> { return background(on_loop, {.limit = &one}, [&](int x) { return c.enter(x); }, 2); });
    const int sum = (co_await first) + (co_await second);
    CHECK(sum == 3);
    CHECK(c.most == 1);
    bool held = true;
    auto fails_first = [&, n = 0]() mutable -> task<> {
        if (n++ == 0) throw std::runtime_error("once");
        co_return;
    };
    auto trying = spawn([&]() -> task<> { return background(on_loop, {.retry = retry_policy{.first_delay = 1h}, .limit = &one}, std::ref(fails_first)); });
    co_await sleep_for(1s);
    held = one.borrowed() != 0;
    CHECK_FALSE(held);
    co_await trying;
}

EDDY_TEST("background: cancelled, a call ends as its scale ends calls, and is not tried again") {
    int calls = 0;
    bool unwound = false;
    auto waits = [&]() -> task<> {
        ++calls;
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            unwound = true;
            throw;
        }
    };
    auto h = spawn([&]() -> task<> { return background(on_loop, {.retry = retry_policy{.attempts = 9}}, std::ref(waits)); });
    co_await testing::settle();
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
    CHECK(unwound);
    CHECK(calls == 1);
    std::vector<int> items(10);
    auto mapping = spawn([&]() -> task<> {
        const auto all = co_await background_map(on_loop, {.in_flight = 3}, [&](int) { return waits(); }, items);
        CHECK(all.empty()); // never
    });
    co_await testing::settle();
    co_await mapping.cancel_and_join();
    CHECK(mapping.cancelled());
    CHECK(calls == 4);
}

EDDY_TEST("background_map: results in the items' order, no more calls at a time than allowed") {
    crowd c;
    std::vector<int> items(50);
    for (int i = 0; i < 50; ++i) items[static_cast<std::size_t>(i)] = i;
    auto all = co_await background_map(on_loop, {.in_flight = 4}, [&](int x) { return c.enter(x); }, items);
    CHECK(all == items);
    CHECK(c.most == 4);
    std::vector<int> some{1, 2, 3};
    auto tripled_all = co_await background_map(on_pool(), tripled, some);
    CHECK(tripled_all == std::vector<int>{3, 6, 9});
    std::vector<int> none;
    auto nothing = co_await background_map(on_pool(), fails_for_odd, none);
    CHECK(nothing.empty());
}

EDDY_TEST("background_map: the first error ends it, and what has not begun never does") {
    crowd c;
    auto fails_at_five = [&](int x) -> task<int> {
        if (x == 5) throw std::runtime_error("five");
        return c.enter(x);
    };
    std::vector<int> items(50);
    for (int i = 0; i < 50; ++i) items[static_cast<std::size_t>(i)] = i;
    auto mapping = background_map(on_loop, {.in_flight = 2}, fails_at_five, items);
    const std::string error = co_await words::ending(std::move(mapping));
    CHECK(error == "five");
    CHECK(c.calls < 10);
    CHECK(c.most <= 2);
}

EDDY_TEST("background_map_outcomes: one that fails ends no other, on the loop and on a pool") {
    crowd c;
    auto fails_at_five = [&](int x) -> task<int> {
        if (x == 5) throw std::runtime_error("five");
        return c.enter(x);
    };
    std::vector<int> items(50);
    for (int i = 0; i < 50; ++i) items[static_cast<std::size_t>(i)] = i;
    const auto ends = co_await background_map_outcomes(on_loop, {.in_flight = 4}, fails_at_five, items);
    REQUIRE(ends.size() == 50);
    for (std::size_t i = 0; i < 50; ++i) CHECK(words::of(ends[i]) == (i == 5 ? "five" : "ok"));
    CHECK(ends[49].value() == 49);
    CHECK(c.most == 4);
    CHECK(c.calls == 49);
    std::vector<int> some{1, 2, 3};
    const std::vector<outcome<>> on_threads = co_await background_map_outcomes(on_pool(), fails_for_odd, some);
    REQUIRE(on_threads.size() == 3);
    CHECK(words::of(on_threads[0]) == "odd: 1");
    CHECK(words::of(on_threads[1]) == "ok");
    CHECK(words::of(on_threads[2]) == "odd: 3");
    std::vector<int> none;
    const auto nothing = co_await background_map_outcomes(on_pool(), fails_for_odd, none);
    CHECK(nothing.empty());
}

EDDY_TEST("background_map_outcomes: attempts and limits are each call's own; a call that is cancelled has that outcome") {
    std::vector<int> tries(3);
    auto flaky = [&](std::size_t i) -> task<int> {
        if (i == 2) throw operation_cancelled();
        if (++tries[i] <= static_cast<int>(i)) throw std::runtime_error("again");
        if (i == 0) co_await sleep_for(1h);
        co_return tries[i];
    };
    std::vector<std::size_t> items{0, 1, 2};
    const auto ends = co_await background_map_outcomes(on_loop, {.retry = retry_policy{.attempts = 2, .first_delay = 1s}, .timeout = 5s}, flaky, items);
    REQUIRE(ends.size() == 3);
    CHECK(words::holds<timeout_error>(ends[0].exception()));
    CHECK(words::of(ends[1]) == "ok");
    CHECK(words::of(ends[2]) == "cancelled");
    CHECK(tries == std::vector<int>{2, 2, 0});
}

EDDY_TEST("background_map_outcomes: cancelled, its calls are cancelled and joined, and no further one is made") {
    int calls = 0, unwound = 0;
    auto waits = [&](int) -> task<> {
        ++calls;
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            ++unwound;
            throw;
        }
    };
    std::vector<int> items(10);
    auto mapping = spawn([&]() -> task<> {
        const auto all = co_await background_map_outcomes(on_loop, {.in_flight = 3}, waits, items);
        CHECK(all.empty()); // never
    });
    co_await testing::settle();
    co_await mapping.cancel_and_join();
    CHECK(mapping.cancelled());
    CHECK(calls == 3);
    CHECK(unwound == 3);
}

EDDY_TEST_REAL("background: a worker's function that answers after its time was over has answered all the same (R2)") {
    std::atomic<bool> started{false};
    const auto answers = [&](std::stop_token st) {
        started = true;
        while (!st.stop_requested()) std::this_thread::yield();
        return 7;
    };
    int answer = 0;
    for (std::chrono::milliseconds limit = 5ms; !started; limit *= 2) { // a busy machine may not have begun with it by then
        auto call = background(on_pool(), {.timeout = limit}, answers);
        const auto o = co_await as_result(std::move(call));
        if (o.has_value()) answer = o.value();
    }
    CHECK(answer == 7);
}

EDDY_TEST("background_map: each item is tried again by itself") {
    std::vector<int> tries(3);
    auto flaky = [&](std::size_t i) -> task<int> {
        if (++tries[i] <= static_cast<int>(i)) throw std::runtime_error("again");
        co_return tries[i];
    };
    std::vector<std::size_t> items{0, 1, 2};
    auto all = co_await background_map(on_loop, {.retry = retry_policy{.attempts = 3, .first_delay = 1s}}, flaky, items);
    CHECK(all == std::vector<int>{1, 2, 3});
}

EDDY_TEST("background: progress reaches the caller from every scale") {
    std::vector<std::uint64_t> heard;
    progress_listener listener([&](const progress_report& p) { heard.push_back(p.done); });
    const auto listening = listener.listen();
    co_await background(on_loop, [] { report_progress(1); });
    co_await testing::settle();
    co_await background(on_pool(), [] { report_progress(2); });
    co_await testing::settle();
    CHECK(heard == std::vector<std::uint64_t>{1, 2});
}

#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// Fails so many times, then gives 7; notes when it was called.
struct flaky {
    int failures = 0;
    std::vector<std::chrono::milliseconds> calls = {};
    loop_clock::time_point start = loop_clock::now();

    task<int> operator()() {
        calls.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(loop_clock::now() - start));
        if (static_cast<int>(calls.size()) <= failures)
            throw std::runtime_error("failure " + std::to_string(calls.size()));
        co_return 7;
    }
};

using times = std::vector<std::chrono::milliseconds>;

int calls_of_plain = 0;
task<int> plain() {
    if (++calls_of_plain < 3) throw std::runtime_error("not yet");
    co_return calls_of_plain;
}

task<> refused(int& calls) {
    ++calls;
    throw std::runtime_error("refused");
    co_return;
}

} // namespace

EDDY_TEST("retry takes the policy in the expression and a function by name") {
    calls_of_plain = 0;
    auto v = co_await retry({.attempts = 5, .first_delay = 100ms, .factor = 2.0, .jitter = 0.2}, plain);
    CHECK(v == 3);
}

EDDY_TEST("retry takes a lambda, without captures or with references, in the expression") {
    flaky f{.failures = 2};
    auto v = co_await retry({.attempts = 3, .first_delay = 1ms}, [&] { return f(); });
    auto w = co_await retry({}, []() -> task<std::string> { co_return "w"; });
    CHECK(v == 7);
    CHECK(w == "w");
}

EDDY_TEST("what succeeds at once is called once and takes no time") {
    flaky f;
    const auto v = co_await retry({.first_delay = 1h}, f);
    CHECK(v == 7);
    auto again = [&] { return f(); };
    co_await retry({}, again);
    CHECK(f.calls == times{0ms});
}

EDDY_TEST("the pauses grow by the factor up to the longest") {
    flaky f{.failures = 5};
    const auto v =
        co_await retry({.attempts = 6, .first_delay = 100ms, .factor = 3.0, .max_delay = 1s}, [&] { return f(); });
    CHECK(v == 7);
    CHECK(f.calls == times{0ms, 100ms, 400ms, 1300ms, 2300ms, 3300ms});
}

EDDY_TEST("the last error comes out as it is, after the last attempt at once") {
    flaky f{.failures = 100};
    const auto start = loop_clock::now();
    const auto end = co_await words::ending(retry({.attempts = 3, .first_delay = 1s}, [&] { return f(); }));
    CHECK(end == "failure 3");
    CHECK(f.calls == times{0ms, 1s, 3s});
    CHECK(loop_clock::now() - start == 3s);
}

EDDY_TEST("one attempt is one attempt") {
    int calls = 0;
    const auto end = co_await words::ending(retry({.attempts = 1}, refused, std::ref(calls)));
    CHECK(end == "refused");
    CHECK(calls == 1);
}

EDDY_TEST("without a limit it goes on until it succeeds") {
    flaky f{.failures = 1000};
    const auto v = co_await retry({.attempts = retry_policy::without_limit, .first_delay = 1ms, .factor = 1.0},
                                  [&] { return f(); });
    CHECK(v == 7);
    CHECK(f.calls.size() == 1001);
}

EDDY_TEST("jitter spreads the pauses within its fraction, and a seed repeats them") {
    const auto run = [](std::uint64_t seed) -> task<std::vector<std::chrono::milliseconds>> {
        flaky f{.failures = 20};
        co_await retry({.attempts = 21, .first_delay = 1s, .factor = 1.0, .jitter = 0.2, .seed = seed},
                       [&] { return f(); });
        co_return f.calls;
    };
    const auto first = co_await run(1);
    const auto again = co_await run(1);
    const auto other = co_await run(2);
    CHECK(first == again);
    CHECK(first != other);
    bool shorter = false;
    bool longer = false;
    for (std::size_t i = 1; i < first.size(); ++i) {
        const auto pause = first[i] - first[i - 1];
        CHECK((pause >= 799ms && pause <= 1201ms));
        shorter = shorter || pause < 950ms;
        longer = longer || pause > 1050ms;
    }
    CHECK((shorter && longer));
}

EDDY_TEST("without a seed two retries do not pause alike") {
    const auto run = []() -> task<std::vector<std::chrono::milliseconds>> {
        flaky f{.failures = 4};
        co_await retry({.attempts = 5, .first_delay = 100s, .jitter = 1.0}, [&] { return f(); });
        co_return f.calls;
    };
    const auto one = co_await run();
    const auto two = co_await run();
    CHECK(one != two);
}

EDDY_TEST("no attempt begins later than the total allows, and no pause is begun in vain") {
    flaky f{.failures = 100};
    const auto start = loop_clock::now();
    const auto end = co_await words::ending(
        retry({.attempts = 100, .first_delay = 1s, .factor = 1.0, .total = 3500ms}, [&] { return f(); }));
    CHECK(end == "failure 4");
    CHECK(loop_clock::now() - start == 3s);
}

EDDY_TEST("errors of the program and cancelled children are not retried by default") {
    int calls = 0;
    auto wrong = [&]() -> task<> {
        ++calls;
        throw std::logic_error("wrong");
        co_return;
    };
    const auto end = co_await words::ending(retry({}, wrong));
    CHECK(end == "wrong");
    CHECK(calls == 1);
    auto cancelled = [&]() -> task<> {
        ++calls;
        throw child_cancelled("gone");
        co_return;
    };
    const auto gone = co_await words::ending(retry({}, cancelled));
    CHECK(gone == "gone");
    CHECK(calls == 2);
}

EDDY_TEST("retry_if decides, as a predicate or a list of types") {
    int calls = 0;
    auto fn = [&]() -> task<> {
        if (++calls < 3) throw std::out_of_range("again");
        throw std::runtime_error("enough");
        co_return;
    };
    const auto listed =
        co_await words::ending(retry({.attempts = 9, .retry_if = retry_on<std::out_of_range, timeout_error>}, fn));
    CHECK(listed == "enough");
    CHECK(calls == 3);
    calls = 0;
    const auto never = co_await words::ending(retry({.retry_if = [](const std::exception_ptr&) { return false; }}, fn));
    CHECK(never == "again");
    CHECK(calls == 1);
}

EDDY_TEST("a function that takes a number gets that of the attempt") {
    std::string log;
    auto fn = [&](int attempt, std::string name) -> task<int> {
        log += name + std::to_string(attempt) + " ";
        if (attempt < 3) throw std::runtime_error("no");
        co_return attempt;
    };
    const auto v = co_await retry({.first_delay = 1ms}, fn, std::string("n"));
    CHECK(v == 3);
    CHECK(log == "n1 n2 n3 ");
    auto plain_number = [&](int n) -> task<int> { co_return n; };
    const auto own = co_await retry({}, plain_number, 42);
    CHECK(own == 42);
}

EDDY_TEST("an error thrown before the task is returned counts as well; other awaitables will do") {
    int calls = 0;
    event e;
    e.set();
    co_await retry({.first_delay = 1ms}, [&] {
        if (++calls < 3) throw std::runtime_error("early");
        return e.wait();
    });
    CHECK(calls == 3);
    int target = 5;
    auto reference = [&]() -> task<int&> { co_return target; };
    int& got = co_await retry({}, reference);
    CHECK(&got == &target);
}

EDDY_TEST("cancelled in a pause it ends at once, and its timer is gone") {
    flaky f{.failures = 100};
    auto fn = [&] { return f(); };
    auto h = spawn(retry({.attempts = 100, .first_delay = 1h}, fn));
    co_await sleep_for(1s);
    CHECK(this_loop().stats().timers == 1);
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
    CHECK(this_loop().stats().timers == 0);
    CHECK(f.calls.size() == 1);
}

EDDY_TEST("cancelled in an attempt it makes no other, whatever the attempt makes of it") {
    int calls = 0;
    auto swallow = [&]() -> task<> {
        ++calls;
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
        }
        throw std::runtime_error("cleanup failed");
    };
    std::string reports;
    this_loop().set_exception_handler([&](const error_context& e) { reports += detail::describe(e.exception); });
    auto h = spawn(retry({.attempts = 10, .first_delay = 0ms}, swallow));
    co_await sleep_for(1s);
    co_await h.cancel_and_join();
    CHECK(calls == 1);
    CHECK(reports == "cleanup failed");
}

EDDY_TEST("a timeout around it bounds everything, one inside it an attempt") {
    int calls = 0;
    auto slow = [&]() -> task<> {
        ++calls;
        co_await sleep_for(1h);
    };
    auto bounded = [&] { return with_timeout(1s, [&](cancel_scope&) { return slow(); }); };
    const auto inner =
        co_await words::ending(retry({.attempts = 3, .first_delay = 1s, .retry_if = retry_on<timeout_error>}, bounded));
    CHECK(inner.find("timed out after 1000 ms") == 0);
    CHECK(calls == 3);
    const auto start = loop_clock::now();
    auto all = [&](cancel_scope&) { return retry({.attempts = 100, .first_delay = 1s}, bounded); };
    const auto done = co_await move_on_after(10s, all);
    CHECK_FALSE(done);
    CHECK(loop_clock::now() - start == 10s);
}

EDDY_TEST("inside a shield it goes on and the cancellation comes afterwards") {
    flaky f{.failures = 2};
    auto fn = [&] { return f(); };
    int result = 0;
    auto body = [&]() -> task<> {
        result = co_await shielded(retry({.first_delay = 10s}, fn));
        co_await this_task::checkpoint();
        result = -1;
    };
    auto h = spawn(body);
    co_await sleep_for(1s);
    co_await h.cancel_and_join();
    CHECK(result == 7);
    CHECK(h.cancelled());
}

TEST_CASE("a policy that makes no sense is refused by the call") {
    const auto with = [](retry_policy p) { return words::of_call([&] { return retry(p, plain); }); };
    CHECK(with({.attempts = 0}) == "retry: attempts has to be at least 1; the first call counts");
    CHECK(with({.first_delay = -1ms}) == "retry: a delay is negative");
    CHECK(with({.total = -1ms}) == "retry: a delay is negative");
    CHECK(with({.factor = 0}) == "retry: factor has to be a positive number");
    CHECK(with({.factor = std::numeric_limits<double>::quiet_NaN()}) == "retry: factor has to be a positive number");
    CHECK(with({.jitter = 1.5}) == "retry: jitter is a fraction between 0 and 1");
    CHECK(with({.jitter = std::numeric_limits<double>::quiet_NaN()}) == "retry: jitter is a fraction between 0 and 1");
    CHECK(with({.retry_if = nullptr}) == "retry: retry_if is null");
    STATIC_REQUIRE(std::is_trivially_destructible_v<retry_policy>);
}

#include <eddy/coro.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <memory>
#include <string>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// What reached the exception handler while it lived.
class reports {
public:
    reports() {
        this_loop().set_exception_handler([this](const error_context& e) {
            text += std::string(e.message) + (e.exception ? ": " + eddy::detail::describe(e.exception) : "") + "; ";
        });
    }
    reports(const reports&) = delete;
    reports& operator=(const reports&) = delete;
    ~reports() { this_loop().set_exception_handler({}); }
    std::string text;
};

task<> wait_and_note(std::string& log) {
    co_await sleep_for(10ms);
    log += "cleaned ";
}

} // namespace

EDDY_TEST("with_cleanup gives the body's value after the cleanup") {
    std::string log;
    const auto start = loop_clock::now();
    const int v = co_await with_cleanup([&]() -> task<int> { co_return 5; }, [&] { return wait_and_note(log); });
    CHECK(v == 5);
    CHECK(log == "cleaned ");
    CHECK(loop_clock::now() - start == 10ms);
    auto text = with_cleanup([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); }, [&] { return wait_and_note(log); });
    const auto p = co_await std::move(text);
    CHECK(*p == 3);
}

EDDY_TEST("with_cleanup takes awaitables as well as callables") {
    std::string log;
    event e;
    e.set();
    co_await with_cleanup(e.wait(), wait_and_note(log));
    CHECK(log == "cleaned ");
}

EDDY_TEST("the body's error goes on after the cleanup") {
    std::string log;
    const auto r = co_await as_result(with_cleanup([]() -> task<int> { throw std::runtime_error("body"); co_return 0; }, [&] { return wait_and_note(log); }));
    CHECK(words::of(r) == "body");
    CHECK(log == "cleaned ");
}

EDDY_TEST("the cleanup runs shielded when the body is cancelled, also in a scope that is cancelled already") {
    std::string log;
    const auto start = loop_clock::now();
    auto h = spawn([&]() -> task<> {
        co_await with_cleanup([]() -> task<> { co_await sleep_for(1h); }, [&] { return wait_and_note(log); });
    });
    co_await sleep_for(5ms);
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
    CHECK(log == "cleaned ");
    CHECK(loop_clock::now() - start == 15ms);
    co_await with_scope([&](cancel_scope& s) -> task<> {
        s.cancel();
        co_await with_cleanup([]() -> task<> { co_await this_task::yield(); }, [&] { return wait_and_note(log); });
    });
    CHECK(log == "cleaned cleaned ");
}

EDDY_TEST("what the cleanup throws goes to the exception handler; the body's outcome stands") {
    reports seen;
    const auto bad = []() -> task<> {
        co_await this_task::yield();
        throw std::runtime_error("cleanup");
    };
    const int v = co_await with_cleanup([]() -> task<int> { co_return 1; }, bad);
    CHECK(v == 1);
    CHECK(seen.text == "a cleanup failed: cleanup; ");
    const auto r = co_await as_result(with_cleanup([]() -> task<int> { throw std::runtime_error("body"); co_return 0; }, bad));
    CHECK(words::of(r) == "body");
    CHECK(seen.text == "a cleanup failed: cleanup; a cleanup failed: cleanup; ");
}

EDDY_TEST("a cleanup is bounded: ten seconds, or what is said") {
    reports seen;
    const auto start = loop_clock::now();
    const auto endless = []() -> task<> { co_await sleep_for(1h); };
    co_await with_cleanup([]() -> task<> { co_return; }, endless);
    CHECK(loop_clock::now() - start == 10s);
    co_await with_cleanup([]() -> task<> { co_return; }, endless, 1s);
    CHECK(loop_clock::now() - start == 11s);
    CHECK(seen.text == "a cleanup took too long and was cancelled; a cleanup took too long and was cancelled; ");
}

#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>

#include <memory>
#include <string>
#include <system_error>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<int> fail_with(std::error_code e) {
    co_await this_task::yield();
    throw std::system_error(e, "read");
}
task<std::unique_ptr<int>> pointer(int v) {
    co_return std::make_unique<int>(v);
}

} // namespace

EDDY_TEST("as_result gives values, of tasks, operations and handles") {
    queue<int> q(1);
    q.try_push(4);
    auto popped = co_await as_result(q.pop());
    auto owned = co_await as_result(pointer(5));
    auto h = spawn(pointer(6));
    auto moved = co_await as_result(std::move(h));
    const outcome<> nothing = co_await as_result(sleep_for(1s));
    CHECK(popped.value() == 4);
    CHECK(*popped == 4);
    CHECK(**owned == 5);
    CHECK(**moved == 6);
    CHECK(nothing);
    CHECK_FALSE(nothing.error());
}

EDDY_TEST("as_result gives errors, with their code where there is one") {
    const auto r = co_await as_result(fail_with(std::make_error_code(std::errc::connection_reset)));
    CHECK_FALSE(r.has_value());
    CHECK(r.error() == std::errc::connection_reset);
    CHECK(words::throws<std::system_error>([&] { return r.value(); }));
    CHECK(r.value_or(7) == 7);
    auto plain = []() -> task<int> {
        throw std::runtime_error("no code");
        co_return 1;
    };
    const auto s = co_await as_result(plain());
    CHECK_FALSE(s.error());
    CHECK(words::of(s) == "no code");
}

EDDY_TEST("being cancelled is an outcome too, and the scope stays cancelled") {
    std::string log;
    auto h = spawn([&]() -> task<> {
        auto r = co_await as_result(sleep_for(1h));
        log += r.cancelled() && r.error() == std::errc::operation_canceled ? "cancelled " : "";
        const auto s = co_await as_result([]() -> task<int> {
            co_await this_task::yield();
            co_return 1;
        }());
        log += s.cancelled() ? "again " : "";
        log += words::of_call([&] { return s.value(); });
        co_await this_task::checkpoint();
        log += "not reached";
    });
    co_await testing::settle();
    h.cancel("why");
    co_await h.join();
    CHECK(log == "cancelled again the operation was cancelled: why");
    CHECK(h.cancelled());
}

EDDY_TEST("as_result of an operation that fails at once") {
    queue<int> q(1);
    q.close();
    const auto r = co_await as_result(q.pop());
    CHECK(words::holds<queue_closed>(r.exception()));
    auto op = q.push(1);
    const auto s = co_await as_result(op);
    CHECK(words::holds<queue_closed>(s.exception()));
}

TEST_CASE("an exception_group shows all its errors and finds them by type, in nested groups too") {
    const auto error = [](auto e) { return std::make_exception_ptr(e); };
    const exception_group inner({error(std::runtime_error("b")), error(std::logic_error("c"))}, "inner");
    const exception_group outer({error(std::runtime_error("a")), error(inner), error(7)});
    CHECK(std::string(outer.what()) == "task group: 3 errors: a; inner: 2 errors: b; c; exception of type int");
    std::string runtime;
    CHECK(outer.for_each<std::runtime_error>([&](std::runtime_error& e) { runtime += e.what(); }) == 2);
    CHECK(runtime == "ab");
    CHECK(outer.for_each<int>([](int&) {}) == 1);
    std::string all;
    CHECK(outer.for_each<const std::exception>([&](const std::exception& e) { all += e.what(); }) == 3); // the group is none of them
    CHECK(all == "abc");
    CHECK(outer.for_each<const exception_group>([](const exception_group&) {}) == 1);
    CHECK_NOTHROW(outer.rethrow_if_single());
    const exception_group single({error(exception_group({error(std::logic_error("deep"))}))});
    CHECK(words::of_call([&] { single.rethrow_if_single(); return 0; }) == "deep");
    CHECK_NOTHROW(exception_group({}).rethrow_if_single());
}

TEST_CASE("operation_cancelled is not a std::exception, so code that handles errors does not swallow it") {
    CHECK_FALSE(std::is_base_of_v<std::exception, operation_cancelled>);
    CHECK(operation_cancelled().reason() == "");
    CHECK(operation_cancelled().partial() == 0);
    CHECK(operation_cancelled(std::make_shared<const std::string>("why"), 5).partial() == 5);
}

#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <atomic>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("a scope's token says when the scope is cancelled, once") {
    int stopped = 0;
    const auto note = [&] { ++stopped; };
    std::unique_ptr<std::stop_callback<std::decay_t<decltype(note)>>> callback;
    co_await with_scope([&](cancel_scope& s) -> task<> {
        callback = std::make_unique<std::stop_callback<std::decay_t<decltype(note)>>>(s.stop_token(), note);
        CHECK(s.stop_token().stop_possible());
        CHECK_FALSE(s.stop_token().stop_requested());
        this_loop().call_soon([&] { s.cancel(); });
        co_await sleep_for(1h);
    });
    CHECK(stopped == 1);
}

EDDY_TEST("a scope's token hears of timeouts and of cancellations from outside; a quiet end requests nothing") {
    std::stop_token timed;
    const bool done = co_await move_on_after(1s, [&](cancel_scope& s) -> task<> {
        timed = s.stop_token();
        co_await sleep_for(1h);
    });
    CHECK_FALSE(done);
    CHECK(timed.stop_requested());

    std::stop_token inner;
    auto body = [&]() -> task<> {
        co_await with_scope([&](cancel_scope& s) -> task<> {
            inner = s.stop_token();
            co_await sleep_for(1h);
        });
    };
    auto h = spawn(body);
    co_await sleep_for(1s);
    co_await h.cancel_and_join();
    CHECK(inner.stop_requested());

    std::stop_token quiet;
    co_await with_scope([&](cancel_scope& s) -> task<> {
        quiet = s.stop_token();
        co_await sleep_for(1s);
    });
    CHECK_FALSE(quiet.stop_requested());
}

EDDY_TEST("with_stop_token: a request on the loop's thread cancels the block") {
    std::stop_source source;
    const auto start = loop_clock::now();
    this_loop().call_later(1s, [&] { source.request_stop(); });
    std::string reason;
    co_await with_stop_token(source.get_token(), [&]() -> task<> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled& c) {
            reason = c.reason();
            throw;
        }
    });
    CHECK(reason == "stop was requested");
    CHECK(loop_clock::now() - start == 1s);
}

EDDY_TEST_REAL("with_stop_token: a request from another thread cancels the block") {
    std::jthread worker([](std::stop_token) {});
    const std::stop_source source = worker.get_stop_source();
    std::atomic<bool> waits{false};
    std::thread other([source, &waits]() mutable {
        while (!waits) std::this_thread::yield();
        source.request_stop();
    });
    bool cancelled = false;
    co_await with_stop_token(source.get_token(), [&](cancel_scope& s) -> task<> {
        this_loop().call_soon([&] { waits = true; }); // comes when we sleep
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            cancelled = s.cancel_called();
            throw;
        }
    });
    other.join();
    CHECK(cancelled);
}

EDDY_TEST("with_stop_token: requested before, the block ends at its first checkpoint") {
    std::stop_source source;
    source.request_stop();
    std::string log;
    co_await with_stop_token(source.get_token(), [&]() -> task<> {
        log += "begins ";
        co_await this_task::checkpoint();
        log += "goes on ";
    });
    CHECK(log == "begins ");
}

EDDY_TEST("with_stop_token: a value comes out; without one the block was cancelled") {
    std::stop_source source;
    const auto v = co_await with_stop_token(source.get_token(), []() -> task<int> { co_return 7; });
    CHECK(v == 7);
    auto fn = [&]() -> task<int> {
        source.request_stop();
        co_await sleep_for(1h);
        co_return 1;
    };
    const auto none = co_await as_result(with_stop_token(source.get_token(), fn));
    CHECK(words::holds<child_cancelled>(none.exception()));
}

EDDY_TEST("with_stop_token: a request in the last tick, or after the end, reaches nobody") {
    std::stop_source source;
    co_await with_stop_token(source.get_token(), [&]() -> task<> {
        source.request_stop();
        co_return;
    });
    co_await sleep_for(1s); // the message arrives at a block that is gone
    std::stop_source late;
    co_await with_stop_token(late.get_token(), []() -> task<> { co_await sleep_for(1s); });
    late.request_stop();
    co_await sleep_for(1s);
    CHECK_FALSE(this_task::cancel_requested());
}

EDDY_TEST("with_stop_token: a token that nobody can stop does nothing, and cancels from outside pass") {
    bool went_on = false;
    auto body = [&]() -> task<> {
        co_await with_stop_token(std::stop_token{}, []() -> task<> { co_await sleep_for(1h); });
        went_on = true;
    };
    auto h = spawn(body);
    co_await sleep_for(1s);
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
    CHECK_FALSE(went_on);
}

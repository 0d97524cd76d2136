#include <eddy/coro.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>

#include <memory>
#include <string>

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("shutdown_signal: a request wakes who waits, once, and keeps its first reason") {
    shutdown_signal stop;
    std::string log;
    auto a = spawn([&]() -> task<> {
        co_await stop.wait();
        log += std::string(stop.reason()) + ";";
    });
    co_await this_task::yield();
    CHECK_FALSE(stop.requested());
    stop.request("deploy");
    stop.request("again");
    CHECK(stop.requested());
    co_await a;
    co_await stop.wait(); // at once
    CHECK(log == "deploy;");
}

EDDY_TEST("shutdown_signal::drained waits for the request and for everybody who holds the signal") {
    shutdown_signal stop;
    std::string log;
    auto worker = spawn([&]() -> task<> {
        const auto busy = stop.hold();
        co_await stop.wait();
        co_await sleep_for(50ms); // finishes what it was doing
        log += "worker ";
    });
    auto waiter = spawn([&]() -> task<> {
        co_await stop.drained();
        log += "drained ";
    });
    co_await sleep_for(1ms);
    CHECK(stop.holders() == 1);
    CHECK_FALSE(waiter.done());
    stop.request();
    co_await waiter;
    co_await worker;
    CHECK(log == "worker drained ");
    CHECK(stop.holders() == 0);
    co_await stop.drained(); // at once
}

EDDY_TEST("shutdown_signal: nobody holds it, but it is not drained before it is requested") {
    shutdown_signal stop;
    { const auto busy = stop.hold(); }
    auto waiter = spawn([&]() -> task<> { co_await stop.drained(); });
    co_await sleep_for(1ms);
    CHECK_FALSE(waiter.done());
    stop.request();
    co_await waiter;
}

EDDY_TEST("shutdown_signal: a hold moves, and ends with the object that has it") {
    shutdown_signal stop;
    shutdown_hold a = stop.hold();
    shutdown_hold b = std::move(a);
    CHECK(stop.holders() == 1);
    a = stop.hold();
    CHECK(stop.holders() == 2);
    a = std::move(b);
    CHECK(stop.holders() == 1);
    a = {};
    CHECK(stop.holders() == 0);
    co_return;
}

EDDY_TEST("shutdown_signal: a request reaches the signals below, not those above; drained waits for holders below") {
    shutdown_signal root;
    shutdown_signal service(root);
    shutdown_signal connection(service);
    connection.request("idle");
    CHECK_FALSE(service.requested());
    auto busy = connection.hold();
    CHECK(root.holders() == 1);
    root.request("term");
    CHECK(service.reason() == "term");
    CHECK(connection.reason() == "idle");
    auto waiter = spawn([&]() -> task<> { co_await root.drained(); });
    co_await sleep_for(1ms);
    CHECK_FALSE(waiter.done());
    busy = {};
    co_await waiter;
    shutdown_signal late(root);
    CHECK(late.requested());
    CHECK(late.reason() == "term");
}

EDDY_TEST("shutdown_signal: a child whose parent went first stands alone") {
    auto parent = std::make_unique<shutdown_signal>();
    shutdown_signal child(*parent);
    parent.reset();
    auto busy = child.hold();
    child.request("alone");
    CHECK(child.reason() == "alone");
    busy = {};
    co_await child.drained();
}

EDDY_TEST("until_shutdown gives the value, or nothing if the request came first") {
    shutdown_signal stop;
    const auto value = co_await until_shutdown(stop, [](cancel_scope&) -> task<int> {
        co_await sleep_for(1ms);
        co_return 7;
    });
    CHECK(value == 7);
    this_loop().call_later(5ms, [&] { stop.request("deploy"); });
    std::string reason;
    const bool done = co_await until_shutdown(stop, [&](cancel_scope&) -> task<> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled& c) {
            reason = c.reason();
            throw;
        }
    });
    CHECK_FALSE(done);
    CHECK(reason == "deploy");
    const auto none = co_await until_shutdown(stop, [](cancel_scope&) -> task<int> { // requested already
        co_await this_task::checkpoint();
        co_return 1;
    });
    CHECK_FALSE(none.has_value());
}

EDDY_TEST("until_shutdown: errors and cancellations from outside pass") {
    shutdown_signal stop;
    CHECK_FALSE(stop.requested());
    std::string ending;
    try {
        co_await until_shutdown(stop, [](cancel_scope&) -> task<> {
            co_await this_task::yield();
            throw std::runtime_error("broke");
        });
    } catch (const std::runtime_error& e) {
        ending = e.what();
    }
    CHECK(ending == "broke");
    auto h = spawn([&]() -> task<> {
        co_await until_shutdown(stop, [](cancel_scope&) -> task<> { co_await sleep_for(1h); });
    });
    co_await this_task::yield();
    h.cancel();
    co_await h.join();
    CHECK(h.cancelled());
}

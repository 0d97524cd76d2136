#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>

#include <memory>
#include <optional>
#include <string>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("T-03 awaiting a settled future costs no tick") {
    promise<int> p;
    p.set_value(3);
    const future<int> f = p.get_future();
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    const int v = co_await f;
    log += "a ";
    co_await testing::settle();
    CHECK(log == "a tick ");
    CHECK(v == 3);
}

EDDY_TEST("T-09 listeners are posted in the order they registered, never called inline", "[fifo]") {
    promise<> p;
    const future<> f = p.get_future();
    std::string log;
    f.on_done([&] { log += "cb1 "; });
    spawn([&]() -> task<> {
        co_await f;
        log += "task ";
    });
    co_await this_task::yield();
    f.on_done([&] { log += "cb2 "; });
    p.set_value();
    log += "set ";
    co_await this_task::yield();
    CHECK(log == "set cb1 task cb2 ");
}

EDDY_TEST("T-10 a callback on a settled future runs in a later tick") {
    promise<> p;
    p.set_value();
    std::string log;
    p.get_future().on_done([&] { log += "callback "; });
    log += "added ";
    co_await testing::settle();
    CHECK(log == "added callback ");
}

EDDY_TEST("T-11 a promise is settled once: the first outcome stays") {
    promise<int> p;
    const future<int> f = p.get_future();
    p.set_value(1);
    CHECK(words::throws<invalid_state>([&] { p.set_value(2); return 0; }));
    CHECK(words::throws<invalid_state>([&] { p.set_exception(nullptr); return 0; }));
    const int v = co_await f;
    CHECK(v == 1);
}

EDDY_TEST("T-11 a promise destroyed without a value breaks its waiters") {
    std::optional<promise<int>> p(std::in_place);
    const future<int> f = p->get_future();
    auto h = spawn([&]() -> task<int> { co_return co_await f; });
    co_await testing::settle();
    p.reset();
    const auto r = co_await as_result(h);
    CHECK(words::holds<broken_promise>(r.exception()));
    const auto again = co_await as_result(f);
    CHECK(words::holds<broken_promise>(again.exception()));
}

EDDY_TEST("an error is rethrown to every waiter") {
    promise<int> p;
    const future<int> f = p.get_future();
    p.set_exception(std::make_exception_ptr(std::runtime_error("bad")));
    const auto a = co_await as_result(f);
    const auto b = co_await as_result(f);
    CHECK(words::of(a) == "bad");
    CHECK(words::of(b) == "bad");
    CHECK(f.ready());
}

EDDY_TEST("futures carry references and move-only values") {
    int x = 1;
    promise<int&> pr;
    promise<std::unique_ptr<int>> pm;
    const auto fr = pr.get_future();
    const auto fm = pm.get_future();
    pr.set_value(x);
    pm.set_value(std::make_unique<int>(2));
    int& r = co_await fr;
    const std::unique_ptr<int>& m = co_await fm;
    CHECK(&r == &x);
    CHECK(*m == 2);
}

EDDY_TEST("a value whose constructor throws leaves the promise open") {
    struct picky {
        explicit picky(int v) {
            if (v < 0) throw std::invalid_argument("negative");
        }
    };
    promise<picky> p;
    CHECK(words::of_call([&] { p.set_value(-1); return 0; }) == "negative");
    CHECK_FALSE(p.settled());
    p.set_value(1);
    co_await p.get_future();
}

EDDY_TEST("C-02 the value was set before the cancel: the waiter gets it, and its next checkpoint throws") {
    promise<std::string> p;
    const auto f = p.get_future();
    std::string log;
    auto h = spawn([&]() -> task<> {
        const std::string& v = co_await f;
        log += v + " ";
        co_await this_task::checkpoint();
        log += "not reached";
    });
    co_await testing::settle();
    p.set_value("v");
    h.cancel();
    co_await h.join();
    CHECK(log == "v ");
    CHECK(h.cancelled());
}

EDDY_TEST("a cancelled wait leaves the value to others") {
    promise<int> p;
    const auto f = p.get_future();
    auto impatient = spawn([&]() -> task<int> { co_return co_await f; });
    auto patient = spawn([&]() -> task<int> { co_return co_await f; });
    co_await testing::settle();
    co_await impatient.cancel_and_join();
    CHECK(impatient.cancelled());
    p.set_value(5);
    const int v = co_await patient;
    CHECK(v == 5);
}

EDDY_TEST("an exception in a listener goes to the exception handler; the others still run") {
    const words::reports reports;
    promise<> p;
    bool second = false;
    p.get_future().on_done([] { throw std::runtime_error("in callback"); });
    p.get_future().on_done([&] { second = true; });
    p.set_value();
    co_await testing::settle();
    CHECK(reports.text() == "in callback");
    CHECK(second);
}

EDDY_TEST("empty ends say so") {
    const future<int> f;
    promise<int> p;
    const promise<int> q = std::move(p);
    CHECK_FALSE(f.valid());
    CHECK_FALSE(f.ready());
    const auto r = co_await as_result([&]() -> task<> { co_await f; }());
    CHECK(words::of(r) == "this future is empty; get one from promise::get_future()");
    CHECK(words::throws<std::logic_error>([&] { p.set_value(1); return 0; }));
    CHECK(words::throws<std::logic_error>([&] { return p.settled(); }));
    CHECK_FALSE(q.settled());
}

TEST_CASE("a promise may outlive the loop of its listeners") {
    promise<> p;
    bool called = false;
    {
        event_loop loop;
        loop.call_soon([&] { p.get_future().on_done([&] { called = true; }); });
        loop.poll();
    }
    p.set_value();
    CHECK_FALSE(called);
}

EDDY_TEST("R10 an error that nobody awaited is reported when the last end has gone, once") {
    const words::reports reports;
    {
        promise<int> p;
        const future<int> f = p.get_future();
        p.set_exception(std::make_exception_ptr(std::runtime_error("unseen")));
        CHECK(reports.count() == 0);
    }
    CHECK(reports.text() == "unseen");
    {
        promise<int> p;
        p.set_exception(std::make_exception_ptr(std::runtime_error("seen")));
        const future<int> f = p.get_future();
        const auto r = co_await as_result(f);
        CHECK(words::of(r) == "seen");
    }
    { promise<int> dropped; }
    CHECK(reports.count() == 1);
}

EDDY_TEST("set_exception refuses a null pointer, and the promise can still be settled") {
    promise<int> p;
    CHECK(words::throws<std::invalid_argument>([&] { p.set_exception(nullptr); return 0; }));
    p.set_value(1);
    const future<int> f = p.get_future();
    const int v = co_await f;
    CHECK(v == 1);
}

EDDY_TEST("T-34 a future's move-only value is moved out, a copyable one copied") {
    promise<std::unique_ptr<int>> p;
    p.set_value(std::make_unique<int>(7));
    const auto v = co_await p.get_future();
    CHECK(*v == 7);
    promise<std::string> q;
    q.set_value("kept");
    const future<std::string> f = q.get_future();
    const std::string first = co_await q.get_future();
    const std::string second = co_await f;
    CHECK(first == "kept");
    CHECK(second == "kept");
}

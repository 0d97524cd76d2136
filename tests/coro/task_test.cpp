#include <eddy/gather.hpp>
#include <eddy/race.hpp>
#include <eddy/spawn.hpp>
#include <eddy/task.hpp>
#include <eddy/testing.hpp>
#include <eddy/this_task.hpp>

#include <memory>
#include <string>

#include "lib/words.hpp"

using namespace eddy;

namespace {

task<int> add_one(int x) {
    co_return x + 1;
}

task<int> chain(int depth) {
    if (depth == 0) co_return 0;
    const int below = co_await chain(depth - 1);
    co_return below + 1;
}

task<int> chain_that_yields(int depth) {
    if (depth == 0) {
        co_await this_task::yield();
        co_return 0;
    }
    const int below = co_await chain_that_yields(depth - 1);
    co_return below + 1;
}

task<> chain_that_throws(int depth) {
    if (depth == 0) throw std::runtime_error("bottom");
    co_await chain_that_throws(depth - 1);
}

class no_default {
public:
    explicit no_default(int v) : value(v) {}
    int value;
};

struct move_throws {
    move_throws() = default;
    move_throws(move_throws&&) { throw std::runtime_error("moved"); }
};

task<std::unique_ptr<int>> make_pointer(int v) {
    co_return std::make_unique<int>(v);
}
task<int&> refer(int& x) {
    co_return x;
}
task<no_default> make_no_default(int v) {
    co_return no_default(v);
}
task<move_throws> make_move_throws() {
    co_await this_task::yield();
    co_return move_throws();
}

} // namespace

EDDY_TEST("T-02 awaiting a task runs it inline and costs no tick") {
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    const int v = co_await add_one(1);
    log += "a ";
    co_await testing::settle();
    CHECK(log == "a tick ");
    CHECK(v == 2);
}

EDDY_TEST("T-07 a task that was moved from or awaited before says so") {
    task<int> t = add_one(1);
    const int v = co_await std::move(t);
    const auto again = co_await as_result(std::move(t));
    task<int> u = add_one(1);
    const task<int> w = std::move(u);
    const auto moved_from = co_await as_result(std::move(u));
    CHECK(v == 2);
    CHECK(words::of(again) == "this task was awaited before; a task is awaited once");
    CHECK(words::of(moved_from) == "co_await on an empty task (it was moved from)");
    CHECK(w);
    CHECK_FALSE(u);
}

EDDY_TEST("a task that is never awaited never runs, and its arguments are destroyed") {
    auto owner = std::make_shared<int>(1);
    bool ran = false;
    auto body = [](std::shared_ptr<int>, bool& flag) -> task<> {
        flag = true;
        co_return;
    };
    {
        const task<> t = body(owner, ran);
        CHECK(owner.use_count() == 2);
    }
    CHECK(owner.use_count() == 1);
    CHECK_FALSE(ran);
    co_return;
}

EDDY_TEST("assigning to a task destroys what it held") {
    auto owner = std::make_shared<int>(1);
    auto body = [](std::shared_ptr<int>) -> task<> { co_return; };
    task<> t = body(owner);
    t = body(nullptr);
    CHECK(owner.use_count() == 1);
    co_await std::move(t);
}

EDDY_TEST("an exception passes through every task of a chain") {
    const auto shallow = co_await as_result(chain_that_throws(3));
    const auto deep = co_await as_result(chain_that_throws(10'000));
    CHECK(words::of(shallow) == "bottom");
    CHECK(words::of(deep) == "bottom");
}

EDDY_TEST("T-32 a chain of 100 000 tasks completes in constant stack") {
    const int v = co_await chain(100'000);
    const int w = co_await chain_that_yields(100'000);
    CHECK(v == 100'000);
    CHECK(w == 100'000);
}

EDDY_TEST("T-33 a million ready awaits run in constant stack") {
    long sum = 0;
    for (int i = 0; i < 1'000'000; ++i) sum += co_await add_one(0);
    CHECK(sum == 1'000'000);
}

EDDY_TEST("T-34 move-only, reference and not default-constructible results pass through task, spawn, gather and race") {
    int x = 1;
    const auto p = co_await make_pointer(1);
    int& r = co_await refer(x);
    const no_default n = co_await make_no_default(3);
    CHECK(*p == 1);
    CHECK(&r == &x);
    CHECK(n.value == 3);

    auto hp = spawn(make_pointer(2));
    auto hr = spawn(refer(x));
    auto hn = spawn(make_no_default(4));
    const auto p2 = co_await std::move(hp);
    int& r2 = co_await hr;
    const no_default n2 = co_await hn;
    CHECK(*p2 == 2);
    CHECK(&r2 == &x);
    CHECK(n2.value == 4);

    auto all = co_await gather(make_pointer(5), refer(x), make_no_default(6));
    CHECK(*std::get<0>(all) == 5);
    CHECK(&std::get<1>(all).get() == &x);
    CHECK(std::get<2>(all).value == 6);

    auto won = co_await race(refer(x), make_pointer(7), make_no_default(8));
    CHECK(won.index == 0);
    CHECK(&won.get<0>()->get() == &x);
}

EDDY_TEST("T-34 a result whose move throws is an ordinary error, wherever it is moved") {
    const std::string inline_result = co_await words::ending(make_move_throws());
    const std::string spawned = co_await words::ending(spawn(make_move_throws()));
    const std::string gathered = co_await words::ending(gather(make_move_throws(), add_one(1)));
    CHECK(inline_result == "moved");
    CHECK(spawned == "moved");
    CHECK(gathered == "moved");
}

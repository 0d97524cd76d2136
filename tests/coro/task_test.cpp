#include <eddy/coro.hpp>
#include <eddy/detail/frame.hpp>
#include <eddy/offload.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <memory>
#include <string>
#include <utility>

#include "allocations.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

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

/// May throw when it moves, but does not.
struct clumsy {
    explicit clumsy(int v) : value(v) {}
    clumsy(clumsy&& o) noexcept(false) : value(std::exchange(o.value, -1)) {}
    int value;
};
task<clumsy> make_clumsy(int v) {
    co_return clumsy(v);
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

EDDY_TEST("T-33 a million ready awaits take constant stack and memory", "[slow]") {
    const auto round = [](int n) -> task<long> {
        long sum = 0;
        for (int i = 0; i < n; ++i) sum += co_await add_one(0);
        co_return sum;
    };
    co_await round(300);
    const std::size_t frames = eddy::detail::live_frames();
    const std::size_t before = allocations::count();
    const long sum = co_await round(1'000'000);
    CHECK(sum == 1'000'000);
    CHECK((!allocations::counted || allocations::count() == before));
    CHECK(eddy::detail::live_frames() == frames);
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

EDDY_TEST("T-34 results that may throw when they move, too, pass through task, spawn, gather, race and offload") {
    int x = 1;
    const clumsy c = co_await make_clumsy(1);
    auto h = spawn(make_clumsy(2));
    const clumsy taken = co_await std::move(h);
    auto all = co_await gather(make_clumsy(3), make_pointer(4), refer(x), make_no_default(5));
    CHECK(c.value == 1);
    CHECK(taken.value == 2);
    CHECK(std::get<0>(all).value == 3);
    CHECK(*std::get<1>(all) == 4);
    CHECK(&std::get<2>(all).get() == &x);
    CHECK(std::get<3>(all).value == 5);

    auto won = co_await race(make_clumsy(6), sleep_for(1h));
    CHECK(won.get<0>()->value == 6);
    auto pointer = co_await race(sleep_for(1h), make_pointer(7));
    CHECK(**pointer.get<1>() == 7);
    auto bare = co_await race(make_no_default(8), sleep_for(1h));
    CHECK(bare.get<0>()->value == 8);

    const clumsy off = co_await offload([] { return clumsy(9); });
    const no_default off_bare = co_await offload([](int v) { return no_default(v); }, 10);
    const std::unique_ptr<int> off_pointer = co_await offload([] { return std::make_unique<int>(11); });
    int& off_reference = co_await offload([&]() -> int& { return x; });
    CHECK(off.value == 9);
    CHECK(off_bare.value == 10);
    CHECK(*off_pointer == 11);
    CHECK(&off_reference == &x);
}

EDDY_TEST("T-34 a result whose move throws is an ordinary error in race, offload, groups, scopes and shields, too") {
    const std::string raced = co_await words::ending(race(make_move_throws(), sleep_for(1h)));
    CHECK(raced == "moved");
    const std::string offloaded = co_await words::ending(offload([] { return move_throws(); }));
    CHECK((offloaded == "moved" || offloaded == "ok")); // the compiler may leave that move out
    const std::string waited = co_await words::ending(wait_for(make_move_throws(), 1s));
    CHECK(waited == "moved");
    const std::string scoped = co_await words::ending(with_scope([](cancel_scope&) { return make_move_throws(); }));
    CHECK(scoped == "moved");
    const std::string grouped = co_await words::ending(with_task_group([](task_group& g) -> task<> {
        g.spawn(make_move_throws());
        co_return;
    }));
    CHECK(grouped == "task group: 1 error: moved");
    const std::string group_value = co_await words::ending(with_task_group([](task_group&) { return make_move_throws(); }));
    CHECK(group_value.find("moved") != std::string::npos);
    const std::string cleaned = co_await words::ending(with_cleanup([] { return make_move_throws(); }, []() -> task<> { co_return; }));
    CHECK(cleaned == "moved");
    const std::string shield = co_await words::ending(shielded(make_move_throws()));
    CHECK(shield == "moved");
    const std::string moved_on = co_await words::ending(move_on_after(1s, [](cancel_scope&) { return make_move_throws(); }));
    CHECK(moved_on == "moved");
}

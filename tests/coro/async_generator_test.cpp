#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "allocations.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

struct noted {
    explicit noted(std::string& l) : log(l) {}
    noted(const noted&) = delete;
    noted& operator=(const noted&) = delete;
    ~noted() { log += "gone "; }
    std::string& log;
};

async_generator<int> count(int n) {
    for (int i = 1; i <= n; ++i) co_yield i;
}

async_generator<int> ticking(int n) {
    for (int i = 1; i <= n; ++i) {
        co_await sleep_for(1s);
        co_yield i;
    }
}

async_generator<int> noting(std::string& log, int n) {
    const noted local(log);
    for (int i = 1; i <= n; ++i) {
        co_await this_task::yield();
        log += std::to_string(i) + " ";
        co_yield i;
    }
    log += "end ";
}

/// Cleans up with an await, as the header says.
async_generator<int> careful(std::string& log) {
    std::exception_ptr why;
    try {
        for (int i = 1;; ++i) co_yield i;
    } catch (...) {
        why = std::current_exception();
    }
    log += this_task::name() + ": ";
    co_await sleep_for(10ms);
    log += "cleaned ";
    if (why) std::rethrow_exception(why);
}

async_generator<int> throws_third() {
    co_yield 1;
    co_yield 2;
    throw std::runtime_error("third");
}

async_generator<int&> each(std::vector<int>& v) {
    for (int& i : v) co_yield i;
}

async_generator<std::unique_ptr<int>> boxes(int n) {
    for (int i = 0; i < n; ++i) co_yield std::make_unique<int>(i);
}

/// A chain: each generator passes on what the one inside it yields.
async_generator<int> nested(int depth, int n) {
    if (depth == 0) {
        for (int i = 0; i < n; ++i) {
            if (i % 2 == 1) co_await this_task::yield();
            co_yield i;
        }
        co_return;
    }
    auto inner = nested(depth - 1, n);
    while (auto v = co_await inner.next()) co_yield *v;
}

async_generator<int> yields_in_scope(std::string& log) {
    detail::task_context& self = co_await detail::this_context();
    cancel_scope s;
    {
        const detail::open_scope opened(s, self);
        log += "open ";
        co_yield 1;
        log += "never ";
    }
}

async_generator<int> stubborn() {
    for (int i = 1;; ++i) {
        try {
            co_yield i;
        } catch (const generator_closed&) { // refuses to end
        }
    }
}

template <class T>
task<std::string> all(async_generator<T> gen) {
    std::string log;
    while (auto v = co_await gen.next()) log += std::to_string(*v) + " ";
    co_return log;
}

} // namespace

EDDY_TEST("a generator yields its values, then nothing") {
    auto gen = count(3);
    const auto log = co_await all(std::move(gen));
    CHECK(log == "1 2 3 ");
    auto empty = count(0);
    const auto none = co_await empty.next();
    const auto still = co_await empty.next();
    CHECK_FALSE(none.has_value());
    CHECK_FALSE(still.has_value());
}

EDDY_TEST("a generator may wait between its values") {
    const auto start = this_loop().now();
    auto gen = ticking(3);
    int sum = 0;
    while (auto v = co_await gen.next()) sum += *v;
    CHECK(sum == 6);
    CHECK(this_loop().now() - start == 3s);
}

EDDY_TEST("AG-01 the locals of a generator go when its object does; nothing runs later") {
    std::string log;
    {
        auto gen = noting(log, 5);
        static_cast<void>(co_await gen.next());
        static_cast<void>(co_await gen.next());
        CHECK(log == "1 2 ");
    }
    CHECK(log == "1 2 gone ");
    co_await testing::settle();
    CHECK(log == "1 2 gone ");
    {
        auto unused = noting(log, 5);
        CHECK(unused);
    }
    CHECK(log == "1 2 gone ");
}

EDDY_TEST("AG-02 an exception is thrown at its next(), and ends the generator") {
    auto gen = throws_third();
    const auto a = co_await gen.next();
    const auto b = co_await gen.next();
    const auto c = co_await as_result(gen.next());
    const auto d = co_await gen.next();
    CHECK(a == 1);
    CHECK(b == 2);
    CHECK(words::of(c) == "third");
    CHECK_FALSE(d.has_value());
}

EDDY_TEST("AG-04 a co_yield inside a scope that the generator has opened throws in the generator") {
    std::string log;
    auto gen = yields_in_scope(log);
    const auto got = co_await as_result(gen.next());
    CHECK(log == "open ");
    CHECK(words::holds<std::logic_error>(got.exception()));
    CHECK(words::of(got).starts_with("co_yield inside a scope or task group that the generator has opened"));
    CHECK_FALSE(this_task::cancel_requested());
    const auto end = co_await gen.next();
    CHECK_FALSE(end.has_value());
}

EDDY_TEST("AG-04 the consumer's scopes do not matter, one for each next() if it likes") {
    auto gen = ticking(3);
    const auto a = co_await with_timeout(5s, [&](cancel_scope&) -> task<std::optional<int>> { co_return co_await gen.next(); });
    const auto b = co_await gen.next();
    const auto c = co_await with_task_group([&](task_group&) -> task<std::optional<int>> { co_return co_await gen.next(); });
    CHECK(a == 1);
    CHECK(b == 2);
    CHECK(c == 3);
}

EDDY_TEST("AG-05 close runs the asynchronous cleanup in the consumer's task") {
    std::string log;
    auto gen = careful(log);
    static_cast<void>(co_await gen.next());
    co_await gen.close();
    CHECK(log == "main: cleaned ");
    co_await gen.close();
    const auto end = co_await gen.next();
    CHECK_FALSE(end.has_value());
    CHECK(log == "main: cleaned ");
}

EDDY_TEST("AG-05 forgetting close only loses the asynchronous part") {
    std::string log;
    {
        auto gen = careful(log);
        static_cast<void>(co_await gen.next());
    }
    co_await testing::settle();
    CHECK(log == "");
}

EDDY_TEST("AG-05 close of a generator that has not started, has ended or is empty only destroys it") {
    std::string log;
    auto fresh = noting(log, 2);
    co_await fresh.close();
    CHECK(log == "");
    const auto none = co_await fresh.next();
    CHECK_FALSE(none.has_value());
    auto over = count(0);
    static_cast<void>(co_await over.next());
    co_await over.close();
    async_generator<int> empty;
    CHECK(words::throws<std::logic_error>([&] { return empty.next(); }));
    co_await empty.close();
}

EDDY_TEST("AG-05 in a cancelled scope close frees the frame; a shield lets the cleanup through") {
    std::string log;
    auto gen = careful(log);
    static_cast<void>(co_await gen.next());
    co_await with_scope([&](cancel_scope& s) -> task<> {
        s.cancel();
        co_await gen.close();
        log += "never ";
    });
    CHECK(log == "main: ");
    log.clear();
    auto second = careful(log);
    static_cast<void>(co_await second.next());
    co_await with_scope([&](cancel_scope& s) -> task<> {
        s.cancel();
        co_await shielded(second.close());
    });
    CHECK(log == "main: cleaned ");
}

EDDY_TEST("AG-05 a generator that yields while it is being closed is destroyed all the same") {
    auto gen = stubborn();
    static_cast<void>(co_await gen.next());
    const auto closed = co_await as_result(gen.close());
    CHECK(words::of(closed) == "a generator that was being closed has yielded again; let generator_closed pass");
    const auto end = co_await gen.next();
    CHECK_FALSE(end.has_value());
}

EDDY_TEST("AG-06 next() while one is outstanding is refused; the first is unharmed") {
    auto gen = ticking(2);
    auto first = spawn([&]() -> task<int> {
        const auto v = co_await gen.next();
        co_return v.value_or(-1);
    });
    co_await testing::settle();
    const auto second = co_await as_result(gen.next());
    const auto close = co_await as_result(gen.close());
    CHECK(words::holds<busy_resource>(second.exception()));
    CHECK(words::holds<busy_resource>(close.exception()));
    const int v = co_await first;
    CHECK(v == 1);
    const auto next = co_await gen.next();
    CHECK(next == 2);
}

EDDY_TEST("a cancelled next() ends the generator: the cancellation unwinds its body") {
    std::string log;
    auto gen = noting(log, 3);
    auto h = spawn([&]() -> task<> {
        for (;;) {
            const auto v = co_await gen.next();
            if (v == 2) this_task::handle().cancel();
        }
    });
    co_await h.join();
    CHECK(h.cancelled());
    CHECK(log == "1 2 gone ");
    const auto end = co_await gen.next();
    CHECK_FALSE(end.has_value());
}

EDDY_TEST("a next() that times out ends the generator, too") {
    auto gen = ticking(3);
    const auto v = co_await move_on_after(100ms, [&](cancel_scope&) -> task<std::optional<int>> { co_return co_await gen.next(); });
    CHECK_FALSE(v.has_value());
    const auto end = co_await gen.next();
    CHECK_FALSE(end.has_value());
    auto kept = ticking(3);
    const auto w = co_await move_on_after(100ms, [&](cancel_scope&) -> task<std::optional<int>> { co_return co_await shielded(kept.next()); });
    CHECK(w.has_value());
    const auto two = co_await kept.next();
    CHECK(two == 2);
}

EDDY_TEST("R2 a value that is ready in the tick of the cancellation is delivered") {
    queue<int> q(1);
    auto source = [&]() -> async_generator<int> {
        for (;;) {
            const int v = co_await q.pop();
            co_yield v;
        }
    };
    auto gen = source();
    int got = 0;
    auto h = spawn([&]() -> task<> {
        const auto v = co_await gen.next();
        got = v.value_or(-1);
        co_await this_task::checkpoint();
        got = -2;
    });
    co_await testing::settle();
    CHECK(q.try_push(5));
    h.cancel();
    co_await h.join();
    CHECK(got == 5);
    CHECK(h.cancelled());
    CHECK(q.try_push(6));
    const auto v = co_await gen.next();
    CHECK(v == 6);
}

EDDY_TEST("a generator may be consumed by one task after the other") {
    auto gen = ticking(4);
    std::string log;
    auto consume = [&](std::string who) -> task<> {
        const auto v = co_await gen.next();
        log += who + std::to_string(v.value_or(-1)) + " ";
    };
    auto a = spawn(consume, "a");
    co_await a;
    auto b = spawn(consume, "b");
    co_await b;
    co_await consume("main");
    CHECK(log == "a1 b2 main3 ");
}

EDDY_TEST("the body runs in the task that awaits it") {
    auto names = []() -> async_generator<int> {
        for (;;) {
            co_await this_task::yield();
            CHECK(this_task::name() == "main");
            co_yield 1;
            CHECK(this_task::name() == "other");
            co_yield 2;
        }
    };
    auto gen = names();
    static_cast<void>(co_await gen.next());
    auto h = spawn([&]() -> task<> { static_cast<void>(co_await gen.next()); }, {.name = "other"});
    co_await h;
    static_cast<void>(co_await gen.next());
}

EDDY_TEST("a generator destroyed while its next() is outstanding leaves its body to that call") {
    std::string log;
    auto slow = [](std::string& l) -> async_generator<int> {
        const noted local(l);
        co_await sleep_for(1s);
        co_yield 1;
    };
    auto gen = std::make_unique<async_generator<int>>(slow(log));
    auto h = spawn([&]() -> task<> { static_cast<void>(co_await gen->next()); });
    co_await testing::settle();
    gen.reset();
    CHECK(log == "");
    const auto end = co_await as_result(h);
    CHECK(log == "gone ");
    CHECK(words::of(end) == "the generator was destroyed while its next() was outstanding");
}

EDDY_TEST("a generator moves, also while its next() is outstanding") {
    auto gen = ticking(2);
    auto h = spawn([&]() -> task<std::optional<int>> { co_return co_await gen.next(); });
    co_await testing::settle();
    auto moved = std::move(gen);
    CHECK_FALSE(gen);
    const auto v = co_await h;
    const auto w = co_await moved.next();
    CHECK(v == 1);
    CHECK(w == 2);
    moved = count(1);
    const auto x = co_await moved.next();
    CHECK(x == 1);
}

EDDY_TEST("references come as pointers, move-only values are moved out") {
    std::vector<int> v{1, 2, 3};
    auto refs = each(v);
    while (int* i = co_await refs.next()) *i *= 2;
    CHECK(v == std::vector<int>{2, 4, 6});
    auto gen = boxes(3);
    int sum = 0;
    while (auto b = co_await gen.next()) {
        const std::unique_ptr<int> own = std::move(*b);
        sum += *own;
    }
    CHECK(sum == 3);
}

EDDY_TEST("generators nest deeper than the machine stack would allow") {
    constexpr int depth = 2000;
    auto gen = nested(depth, 5);
    const auto log = co_await all(std::move(gen));
    CHECK(log == "0 1 2 3 4 ");
}

EDDY_TEST("T-33 a million values that are ready take constant stack") {
    auto gen = count(1'000'000);
    long long sum = 0;
    while (auto v = co_await gen.next()) sum += *v;
    CHECK(sum == 500'000'500'000);
}

EDDY_TEST("T-02 next() of a generator that does not wait takes no tick") {
    auto gen = count(2);
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    static_cast<void>(co_await gen.next());
    log += "a ";
    co_await this_task::yield();
    co_await testing::settle();
    CHECK(log == "a tick ");
}

EDDY_TEST("RN-07 a generator that a leftover task holds is destroyed when the task is cancelled") {
    std::string log;
    {
        auto h = spawn([&]() -> task<> {
            auto gen = noting(log, 5);
            static_cast<void>(co_await gen.next());
            co_await sleep_for(1h);
        });
        co_await sleep_for(1s);
        CHECK(log == "1 ");
        co_await h.cancel_and_join();
    }
    CHECK(log == "1 gone ");
}

EDDY_TEST("race with next(): the loser's generator is over") {
    auto gen = ticking(2);
    auto won = co_await race(gen.next(), sleep_for(100ms));
    CHECK(won.index == 1);
    const auto end = co_await gen.next();
    CHECK_FALSE(end.has_value());
}

EDDY_TEST("where() names the consumer again once the generator has come back") {
    auto h = spawn([&]() -> task<> {
        {
            auto gen = ticking(1);
            static_cast<void>(co_await gen.next());
        }
        CHECK(this_task::handle().where().line() > 0);
        co_await sleep_for(1s);
    });
    co_await h;
}

EDDY_TEST("a value from a generator costs no allocation") {
    auto gen = nested(2, 1'000'000);
    for (int i = 0; i < 300; ++i) static_cast<void>(co_await gen.next());
    const std::size_t before = allocations::count();
    for (int i = 0; i < 1000; ++i) static_cast<void>(co_await gen.next());
    CHECK((!allocations::counted || allocations::count() == before));
}

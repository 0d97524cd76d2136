// Trap T1: GCC before 13 destroys some temporaries of a co_await expression twice. What the library lets through must be
// right on every compiler and at every level of optimisation: here each form is counted. What it refuses is in no_compile/.
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

using namespace eddy;
using namespace std::chrono_literals;

namespace {

int alive = 0;

/// Owns something, has a constructor, knows if it is destroyed twice.
class counted {
public:
    explicit counted(int v) : value_(std::make_unique<int>(v)) { ++alive; }
    counted(const counted& o) : value_(std::make_unique<int>(o.value())) { ++alive; }
    counted(counted&& o) noexcept : value_(std::move(o.value_)) { ++alive; }
    counted& operator=(counted o) noexcept {
        value_.swap(o.value_);
        return *this;
    }
    ~counted() { --alive; }
    [[nodiscard]] int value() const { return value_ ? *value_ : -1; }

private:
    std::unique_ptr<int> value_;
};

struct aggregate {
    counted a;
    std::string b;
};

task<counted> make(int v) {
    co_await this_task::yield();
    co_return counted(v);
}
task<aggregate> make_aggregate(int v) {
    co_await this_task::yield();
    co_return aggregate{counted(v), "text that is too long for the small string"};
}
task<int> take(counted c) {
    co_await this_task::yield();
    co_return c.value();
}
task<int> take_reference(const counted& c) {
    co_await this_task::yield();
    co_return c.value();
}
task<int> take_text(std::string s) {
    co_await this_task::yield();
    co_return static_cast<int>(s.size());
}
int value_of(const counted& c) {
    return c.value();
}
int value_of_aggregate(aggregate a) {
    return a.a.value();
}

} // namespace

EDDY_TEST("T1 T9 arguments of classes with a constructor are destroyed once") {
    const int by_value = co_await take(counted(1));
    const int by_reference = co_await take_reference(counted(2));
    const int text = co_await take_text(std::string(50, 'x'));
    const int text_from_literal = co_await take_text("a literal that is too long for the small string");
    CHECK(by_value == 1);
    CHECK(by_reference == 2);
    CHECK(text == 50);
    CHECK(text_from_literal == 47);
    CHECK(alive == 0);
}

EDDY_TEST("T1 pairs, tuples and optionals made inside a co_await expression are destroyed once") {
    auto sum = [](std::pair<counted, counted> p) -> task<int> {
        co_await this_task::yield();
        co_return p.first.value() + p.second.value();
    };
    auto third = [](std::tuple<int, int, counted> t) -> task<int> {
        co_await this_task::yield();
        co_return std::get<2>(t).value();
    };
    auto maybe = [](std::optional<counted> o) -> task<int> {
        co_await this_task::yield();
        co_return o ? o->value() : 0;
    };
    const int a = co_await sum(std::make_pair(counted(1), counted(2)));
    const int b = co_await third(std::make_tuple(1, 2, counted(3)));
    const int c = co_await maybe(counted(4));
    CHECK(a == 3);
    CHECK(b == 3);
    CHECK(c == 4);
    CHECK(alive == 0);
}

EDDY_TEST("T1 closures: by reference, named, moved, std::function, or with their arguments beside them") {
    const counted owner(5);
    const auto named = [owner] { return owner.value(); };
    auto moved = named;
    const int by_reference = co_await offload([&] { return owner.value(); });
    const int as_lvalue = co_await offload(named);
    auto op = offload(std::move(moved));
    const int as_named_operation = co_await op;
    const std::function<int()> function = named;
    const int as_function = co_await offload(function);
    const int with_arguments = co_await offload([](const counted& c, int x) { return c.value() + x; }, owner, 1);
    CHECK(by_reference == 5);
    CHECK(as_lvalue == 5);
    CHECK(as_named_operation == 5);
    CHECK(as_function == 5);
    CHECK(with_arguments == 6);
}

EDDY_TEST("T1 the closures of spawned tasks are destroyed once") {
    {
        const counted owner(5);
        spawn([owner]() -> task<> { co_await this_task::yield(); });
        auto h = spawn([owner]() -> task<int> { co_return owner.value(); });
        const int v = co_await h;
        const int w = co_await spawn([](counted c) -> task<int> { co_return c.value(); }, owner);
        CHECK(v == 5);
        CHECK(w == 5);
        co_await testing::settle();
        CHECK(alive == 1);
    }
    CHECK(alive == 0);
}

EDDY_TEST("T1 T12 results, also aggregates, are destroyed once however they are used") {
    {
        const auto named = co_await make_aggregate(1);
        const int member = (co_await make_aggregate(2)).a.value();
        const int used = value_of_aggregate(co_await make_aggregate(3));
        const aggregate& bound = co_await make_aggregate(4);
        const auto heap = std::make_unique<aggregate>(co_await make_aggregate(5));
        const std::optional<aggregate> maybe = co_await make_aggregate(6);
        std::vector<counted> list;
        list.push_back(co_await make(7));
        const int argument = value_of(co_await make(8));
        const auto all = co_await gather(make(9), make_aggregate(10));
        const auto& [first, second] = all;
        CHECK(named.a.value() == 1);
        CHECK(member == 2);
        CHECK(used == 3);
        CHECK(bound.a.value() == 4);
        CHECK(heap->a.value() == 5);
        CHECK(maybe->a.value() == 6);
        CHECK(list.front().value() == 7);
        CHECK(argument == 8);
        CHECK(first.value() == 9);
        CHECK(second.a.value() == 10);
    }
    CHECK(alive == 0);
}

EDDY_TEST("T1 items of queues: moved, or made by an operation with a name") {
    {
        queue<aggregate> q(3);
        aggregate item{counted(1), "one"};
        co_await q.push(item);
        auto moved = q.push(std::move(item));
        co_await moved;
        auto push = q.push(aggregate{counted(3), "three"});
        co_await push;
        int sum = 0;
        for (int i = 0; i < 3; ++i) sum += (co_await q.pop()).a.value();
        CHECK(sum == 5);
    }
    CHECK(alive == 0);
}

EDDY_TEST("T1 options are trivially destructible, so they may be written inside a co_await expression") {
    static_assert(std::is_trivially_destructible_v<spawn_options>);
    std::string name(50, 'n');
    const std::string seen = co_await spawn([]() -> task<std::string> { co_return this_task::name(); }, {.name = name});
    CHECK(seen == name);
}

EDDY_TEST("T10 awaits in both halves of a condition, written as statements") {
    int calls = 0;
    auto f = [&](bool v) -> task<bool> {
        ++calls;
        co_await this_task::yield();
        co_return v;
    };
    bool both = co_await f(false);
    if (both) both = co_await f(true);
    bool either = co_await f(true);
    if (!either) either = co_await f(true);
    CHECK_FALSE(both);
    CHECK(either);
    CHECK(calls == 2);
}

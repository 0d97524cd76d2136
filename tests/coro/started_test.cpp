// task_group::start and task_group::next_done.
#include <eddy/coro.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/tasks.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<> server_main(started<int> ready, std::chrono::nanoseconds d) {
    co_await sleep_for(d);
    ready(8080);
    co_await sleep_for(1h);
}
/// The message of the only error in the group that `body` ends with.
template <class F>
task<std::string> error_of_group(F body) {
    try {
        co_await with_task_group(std::move(body));
    } catch (const exception_group& e) {
        co_return e.errors().size() == 1 ? eddy::detail::describe(e.errors().front()) : e.what();
    }
    co_return "ok";
}

} // namespace

EDDY_TEST("TG-25 start returns what the child says when it is ready; the group owns the child from then on") {
    const auto start = loop_clock::now();
    co_await with_task_group([&](task_group& g) -> task<> {
        const int port = co_await g.start(server_main, 1s);
        CHECK(port == 8080);
        CHECK(loop_clock::now() - start == 1s);
        CHECK(g.size() == 1);
        g.cancel();
    });
}

EDDY_TEST("start: a child without a value, a lambda, a move-only value") {
    co_await with_task_group([&](task_group& g) -> task<> {
        co_await g.start([](started<> ready) -> task<> {
            ready();
            co_return;
        });
        auto p = co_await g.start([](started<std::unique_ptr<int>> ready, int v) -> task<> {
            ready(std::make_unique<int>(v));
            co_return;
        }, 4);
        CHECK(*p == 4);
    });
}

EDDY_TEST("start: an error before the child is ready comes out of start and concerns nobody else") {
    const std::string error = co_await error_of_group([](task_group& g) -> task<> {
        auto sibling = g.spawn(give(10ms, 1));
        const auto r = co_await as_result(g.start([](started<int>) -> task<> {
            co_await sleep_for(1ms);
            throw std::runtime_error("no port");
        }));
        CHECK(words::of(r) == "no port");
        const int v = co_await sibling;
        CHECK(v == 1);
    });
    CHECK(error == "ok");
}

EDDY_TEST("start: an error after that is the group's") {
    const std::string error = co_await error_of_group([](task_group& g) -> task<> {
        const int v = co_await g.start([](started<int> ready) -> task<> {
            ready(3);
            throw std::runtime_error("later");
            co_return;
        });
        CHECK(v == 3);
        co_await sleep_for(1h);
    });
    CHECK(error == "later");
}

EDDY_TEST("start: a child that ends without a word is an error, and so is being ready twice") {
    co_await with_task_group([](task_group& g) -> task<> {
        const auto silent = co_await as_result(g.start([](started<int>) -> task<> { co_return; }));
        CHECK(words::of(silent).find("ended without saying that it is ready") != std::string::npos);
        std::string twice;
        co_await g.start([&](started<> ready) -> task<> {
            ready();
            twice = words::of_call([&] { ready(); return 0; });
            co_return;
        });
        CHECK(twice == "started: the child said before that it is ready; it does so once");
    });
}

EDDY_TEST("start: cancelled before the child is ready, it cancels the child and joins it") {
    std::string log;
    const auto start = loop_clock::now();
    co_await with_task_group([&](task_group& g) -> task<> {
        const auto r = co_await as_result(wait_for(g.start([&](started<int>) -> task<> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                log += "cancelled ";
            }
            co_await with_shield([]() -> task<> { co_await sleep_for(30ms); });
            log += "unwound ";
            co_await this_task::checkpoint();
        }), 10ms));
        CHECK(words::of(r).find("timed out after 10 ms") != std::string::npos);
        CHECK(log == "cancelled unwound ");
        CHECK(loop_clock::now() - start == 40ms);
        CHECK(g.size() == 0);
    });
}

EDDY_TEST("start: the error of a child that fails while its start is cancelled is reported") {
    std::vector<std::string> reports;
    this_loop().set_exception_handler([&](const error_context& e) { reports.push_back(eddy::detail::describe(e.exception)); });
    co_await with_task_group([&](task_group& g) -> task<> {
        co_await move_on_after(1ms, [&](cancel_scope&) -> task<> {
            co_await g.start([](started<int>) -> task<> {
                try {
                    co_await sleep_for(1h);
                } catch (const operation_cancelled&) {
                    throw std::runtime_error("while unwinding");
                }
            });
        });
    });
    this_loop().set_exception_handler({});
    CHECK(reports.size() == 1);
    CHECK(reports.front() == "while unwinding");
}

EDDY_TEST("next_done yields the children as they end, then nothing") {
    std::string order;
    co_await with_task_group([&](task_group& g) -> task<> {
        auto slow = g.spawn(give(20ms, 2), {.name = "slow"});
        g.spawn(give(10ms, 1), {.name = "quick"});
        while (auto h = co_await g.next_done()) {
            order += h->name() + " ";
            if (*h == slow) CHECK(slow.result() == 2);
        }
        g.spawn(give(1ms, 3), {.name = "another"});
        auto h = co_await g.next_done();
        order += h->name();
    });
    CHECK(order == "quick slow another");
}

EDDY_TEST("next_done gives children that ended before it was called, too") {
    co_await with_task_group([&](task_group& g) -> task<> {
        for (int i = 0; i < 5; ++i) g.spawn(give(1ms, i));
        co_await sleep_for(1s);
        int seen = 0;
        while (auto h = co_await g.next_done()) ++seen;
        CHECK(seen == 5);
    });
}

EDDY_TEST("next_done: a group that is not asked keeps a bounded number of children, and says so") {
    co_await with_task_group([&](task_group& g) -> task<> {
        for (int i = 0; i < 300; ++i) g.spawn([]() -> task<> { co_return; });
        co_await sleep_for(1s);
        const auto r = co_await as_result(g.next_done());
        CHECK(words::of(r).find("more than 256 children ended before the first call") != std::string::npos);
    });
    co_await with_task_group([&](task_group& g) -> task<> {
        const auto none = co_await g.next_done();
        CHECK_FALSE(none.has_value());
        for (int i = 0; i < 300; ++i) g.spawn([]() -> task<> { co_return; });
        co_await sleep_for(1s);
        int seen = 0;
        while (auto h = co_await g.next_done()) ++seen;
        CHECK(seen == 300);
    });
}

EDDY_TEST("next_done: one reader at a time; a cancelled reader takes nothing") {
    co_await with_task_group([&](task_group& g) -> task<> {
        g.spawn(give(10ms, 1));
        std::optional<any_task> got;
        const bool in_time = co_await move_on_after(1ms, [&](cancel_scope&) -> task<> { got = co_await g.next_done(); });
        CHECK_FALSE(in_time);
        CHECK_FALSE(got.has_value());
        auto reader = spawn([&]() -> task<> { got = co_await g.next_done(); });
        co_await testing::settle();
        const auto second = co_await as_result(g.next_done());
        CHECK(words::of(second) == "task_group::next_done: another task waits for the next child already");
        co_await reader;
        CHECK(got.has_value());
    });
}

EDDY_TEST("C-14 owned: cancelling the awaiter cancels the task and waits for it") {
    std::string log;
    auto inner = spawn([&]() -> task<int> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            log += "inner ";
            throw;
        }
        co_return 1;
    });
    auto outer = spawn([&]() -> task<> {
        try {
            co_await owned(inner);
        } catch (const operation_cancelled&) {
            log += "outer ";
            throw;
        }
    });
    co_await sleep_for(1ms);
    co_await outer.cancel_and_join();
    CHECK(log == "inner outer ");
    CHECK(inner.cancelled());
    CHECK(outer.cancelled());
}

EDDY_TEST("R2 owned: a value that the task still yields is returned") {
    int got = 0;
    auto inner = spawn([]() -> task<int> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
        }
        co_return 7;
    });
    auto outer = spawn([&]() -> task<> { got = co_await owned(inner); });
    co_await sleep_for(1ms);
    co_await outer.cancel_and_join();
    CHECK(got == 7);
    CHECK_FALSE(outer.cancelled());
    auto plain = spawn(give(1ms, 4));
    const int v = co_await owned(plain);
    CHECK(v == 4);
}

EDDY_TEST("next_done: a child that is being started does not count, and its failure does not leave a reader waiting") {
    co_await with_task_group([](task_group& g) -> task<> {
        auto starter = spawn([&]() -> task<std::string> {
            const auto r = co_await as_result(g.start([](started<>) -> task<> {
                co_await sleep_for(10ms);
                throw std::runtime_error("not today");
            }));
            co_return words::of(r);
        });
        g.spawn(give(1ms, 1));
        co_await testing::settle();
        const auto first = co_await g.next_done();
        CHECK(first.has_value());
        const auto none = co_await g.next_done();
        CHECK_FALSE(none.has_value());
        const std::string error = co_await std::move(starter);
        CHECK(error == "not today");
    });
}

#include <eddy/coro.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "lib/tasks.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<int> noting(std::string& log, std::chrono::nanoseconds cleanup = 0ns) {
    try {
        co_await sleep_for(1h);
    } catch (const operation_cancelled&) {
        log += "cancelled ";
    }
    co_await with_shield([&]() -> task<> { co_await sleep_for(cleanup); });
    log += "unwound ";
    co_await this_task::checkpoint();
    co_return 0;
}
std::vector<task<int>> three() {
    std::vector<task<int>> tasks;
    tasks.push_back(give(30ms, 3));
    tasks.push_back(give(10ms, 1));
    tasks.push_back(give(20ms, 2));
    return tasks;
}

} // namespace

EDDY_TEST("as_completed yields handles in the order the tasks end, then nothing") {
    auto stream = as_completed(three());
    std::string order;
    while (auto h = co_await stream.next()) order += std::to_string(h->result()) + " ";
    CHECK(order == "1 2 3 ");
    const auto again = co_await stream.next();
    CHECK_FALSE(again.has_value());
}

EDDY_TEST("as_completed: a stream of handles that goes while its task is just ending") {
    // The closure of the task owns the stream that watches it, and is destroyed when the task is done.
    struct box {
        std::optional<completion_stream<int>> stream;
    };
    auto owned = std::make_shared<box>();
    box& inside = *owned;
    auto h = spawn([owned = std::move(owned)]() -> task<int> {
        co_await this_task::yield();
        co_return owned ? 1 : 0;
    });
    std::vector<task_handle<int>> handles;
    handles.push_back(h);
    inside.stream.emplace(as_completed(std::move(handles)));
    co_await h.join();
    CHECK(h.result() == 1);
}

EDDY_TEST("A-01 three that are settled in one callback come in the order of settling", "[fifo]") {
    std::vector<promise<int>> promises(3);
    std::vector<task<int>> tasks;
    for (auto& p : promises) tasks.push_back([](future<int> f) -> task<int> { co_return co_await f; }(p.get_future()));
    auto stream = as_completed(std::move(tasks));
    co_await this_task::yield();
    this_loop().call_soon([&] {
        for (const std::size_t i : {2u, 0u, 1u}) promises[i].set_value(static_cast<int>(i));
    });
    std::string order;
    while (auto h = co_await stream.next()) order += std::to_string(h->result()) + " ";
    CHECK(order == "2 0 1 ");
}

EDDY_TEST("A-02 a failing member is yielded; its error appears when its result is read; one can go on") {
    std::vector<task<int>> tasks;
    tasks.push_back(fail_after<int>(1ms, "first"));
    tasks.push_back(give(2ms, 2));
    auto stream = as_completed(std::move(tasks));
    auto h = co_await stream.next();
    std::string error;
    try {
        static_cast<void>(h->result());
    } catch (const std::runtime_error& e) {
        error = e.what();
    }
    CHECK(error == "first");
    auto second = co_await stream.next();
    CHECK(second->result() == 2);
}

EDDY_TEST("A-03 a timeout comes out of the next step; the members go on until the stream is closed") {
    std::string log;
    std::vector<task<int>> tasks;
    tasks.push_back(give(10ms, 1));
    tasks.push_back(noting(log, 30ms));
    const auto start = loop_clock::now();
    auto stream = as_completed(std::move(tasks), 20ms);
    auto first = co_await stream.next();
    CHECK(first->result() == 1);
    const auto late = co_await as_result(stream.next());
    CHECK(words::holds<timeout_error>(late.exception()));
    CHECK(words::of(late).find("as_completed timed out after 20 ms") == 0);
    CHECK(loop_clock::now() - start == 20ms);
    const auto later = co_await as_result(stream.next());
    CHECK(words::holds<timeout_error>(later.exception()));
    CHECK(loop_clock::now() - start == 20ms);
    co_await sleep_for(10ms);
    CHECK(log.empty());
    co_await stream.close();
    CHECK(log == "cancelled unwound ");
    CHECK(loop_clock::now() - start == 60ms);
}

EDDY_TEST("A-03 handles are only observed: closing the stream leaves them running") {
    std::vector<task_handle<int>> handles;
    handles.push_back(spawn(give(10ms, 1)));
    handles.push_back(spawn(give(20ms, 2)));
    auto stream = as_completed(handles);
    auto first = co_await stream.next();
    CHECK(first->result() == 1);
    co_await stream.close();
    CHECK_FALSE(handles[1].done());
    const int two = co_await handles[1];
    CHECK(two == 2);
}

EDDY_TEST("A-04 leaving early cancels the tasks that are left, and the enclosing group joins them") {
    std::string log;
    const auto start = loop_clock::now();
    co_await with_task_group([&](task_group&) -> task<> {
        std::vector<task<int>> tasks;
        tasks.push_back(give(10ms, 1));
        tasks.push_back(noting(log, 30ms));
        {
            auto stream = as_completed(std::move(tasks));
            auto first = co_await stream.next();
            CHECK(first->result() == 1);
        }
        CHECK(log.empty());
        log += "body ";
    });
    CHECK(log == "body cancelled unwound ");
    CHECK(loop_clock::now() - start == 40ms);
}

EDDY_TEST("A-06 iterating goes on where it stopped") {
    auto stream = as_completed(three());
    auto first = co_await stream.next();
    co_await sleep_for(1s);
    auto second = co_await stream.next();
    auto third = co_await stream.next();
    CHECK(first->result() == 1);
    CHECK(second->result() == 2);
    CHECK(third->result() == 3);
}

EDDY_TEST("R10 an error of a member that nobody asked for is reported once") {
    std::vector<std::string> reports;
    this_loop().set_exception_handler([&](const error_context& e) { reports.push_back(eddy::detail::describe(e.exception)); });
    {
        std::vector<task<int>> tasks;
        tasks.push_back(fail_after<int>(1ms, "unread"));
        tasks.push_back([]() -> task<int> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                throw std::runtime_error("in cleanup");
            }
            co_return 0;
        }());
        auto stream = as_completed(std::move(tasks));
        co_await sleep_for(5ms);
        CHECK(reports.empty());
    }
    co_await testing::settle();
    this_loop().set_exception_handler({});
    CHECK(reports.size() == 2);
    CHECK(reports.front() == "unread");
    CHECK(reports.back() == "in cleanup");
}

EDDY_TEST("a second reader is refused; a cancelled one takes nothing") {
    auto stream = as_completed(three());
    auto reader = spawn([&]() -> task<> { co_await stream.next(); });
    co_await testing::settle();
    const auto second = co_await as_result(stream.next());
    CHECK(words::of(second) == "completion_stream::next: another task waits for the next one already");
    co_await reader.cancel_and_join();
    auto first = co_await stream.next();
    CHECK(first->result() == 1);
}

EDDY_TEST("the consumer's cancellation reaches the members through the stream") {
    std::string log;
    co_await move_on_after(10ms, [&](cancel_scope&) -> task<> {
        std::vector<task<int>> tasks;
        tasks.push_back(noting(log));
        auto stream = as_completed(std::move(tasks));
        while (auto h = co_await stream.next()) {}
    });
    co_await testing::settle();
    CHECK(log == "cancelled unwound ");
}

EDDY_TEST("no members: nothing is yielded; an empty task is refused") {
    auto stream = as_completed(std::vector<task<int>>());
    const auto none = co_await stream.next();
    CHECK_FALSE(none.has_value());
    co_await stream.close();
    std::vector<task<int>> tasks = three();
    task<int> gone = std::move(tasks[1]);
    std::string error;
    try {
        auto bad = as_completed(std::move(tasks));
    } catch (const std::logic_error& e) {
        error = e.what();
    }
    CHECK(error == "as_completed: a task is empty (it was moved from)");
    co_await std::move(gone);
}

EDDY_TEST("as_completed refuses NaN as its limit") {
    const std::chrono::duration<double> nan(std::numeric_limits<double>::quiet_NaN());
    const std::vector<task_handle<int>> handles{spawn(give(1ms, 1))};
    CHECK(words::throws<std::invalid_argument>([&] { return as_completed(three(), nan); }));
    CHECK(words::throws<std::invalid_argument>([&] { return as_completed(handles, nan); }));
    co_await handles[0].join();
}

EDDY_TEST("two tasks may close a stream, and a third destroy it meanwhile") {
    std::string log;
    std::vector<task<int>> tasks;
    tasks.push_back(noting(log, 30ms));
    auto stream = std::make_unique<completion_stream<int>>(as_completed(std::move(tasks)));
    co_await testing::settle();
    auto closer = [&]() -> task<> { co_await stream->close(); };
    auto one = spawn(closer);
    auto two = spawn(closer);
    co_await testing::settle();
    stream.reset();
    co_await gather(one, two);
    CHECK(log == "cancelled unwound ");
}

EDDY_TEST("R8 a member belongs to the reader that was woken for it", "[fifo]") {
    auto stream = as_completed(three());
    int got = 0;
    auto reader = spawn([&]() -> task<> {
        auto h = co_await stream.next();
        got = h->result();
    });
    co_await this_task::yield();
    std::string stolen;
    auto thief = spawn([&]() -> task<> {
        co_await sleep_for(10ms); // has its turn between the member's last step and the reader's
        CHECK(got == 0);
        const auto r = co_await as_result(stream.next());
        stolen = r.has_value() ? std::to_string((*r)->result()) : words::of(r);
    });
    co_await gather(reader, thief);
    CHECK(got == 1);
    CHECK(stolen == "completion_stream::next: another task waits for the next one already");
}

EDDY_TEST("a stream that goes wakes its reader with closed_resource") {
    std::vector<task_handle<int>> handles{spawn(give(1h, 1))};
    std::string end;
    task_handle<> reader;
    {
        auto stream = as_completed(handles);
        reader = spawn([&]() -> task<> { end = co_await words::ending(stream.next()); });
        co_await testing::settle();
    }
    co_await reader;
    CHECK(end == "completion_stream::next: it was destroyed meanwhile");
    co_await handles[0].cancel_and_join();
}

EDDY_TEST("a reader that is left over when the body ends, and its stream is gone, can be cancelled") {
    std::vector<task_handle<int>> handles{spawn(give(1h, 1))};
    auto stream = as_completed(handles);
    const words::reports reports;
    spawn([&]() -> task<> { co_await stream.next(); });
    co_await testing::settle();
}

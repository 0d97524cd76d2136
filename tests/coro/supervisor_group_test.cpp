#include <eddy/coro.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>

#include <string>

#include "lib/tasks.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("a supervisor's handler gets each failure; the siblings go on") {
    std::string log;
    supervisor_group group([&](const error_context& e) { log += std::string(e.task_name) + ":" + eddy::detail::describe(e.exception) + " "; });
    int sum = 0;
    co_await with_task_group(group, [&](supervisor_group& g) -> task<> {
        g.spawn(fail_after(1ms, "one"), {.name = "a"});
        g.spawn(fail_after(2ms, "two"), {.name = "b"});
        g.spawn([&]() -> task<> {
            co_await sleep_for(10ms);
            sum += 5;
        });
        co_return;
    });
    CHECK(log == "a:one b:two ");
    CHECK(sum == 5);
}

EDDY_TEST("without a handler a failure goes to whoever awaits the handle, else to the exception handler at once") {
    std::vector<std::string> reports;
    this_loop().set_exception_handler([&](const error_context& e) { reports.push_back(eddy::detail::describe(e.exception)); });
    std::string received;
    co_await with_supervisor_group([&](supervisor_group& g) -> task<> {
        g.spawn(fail_after(1ms, "nobody's"));
        auto h = g.spawn(fail_after(1ms, "awaited"));
        const auto r = co_await as_result(h);
        received = words::of(r);
        co_await testing::settle();
        CHECK(reports.size() == 1);
    });
    this_loop().set_exception_handler({});
    CHECK(received == "awaited");
    CHECK(reports.size() == 1);
    CHECK(reports.front() == "nobody's");
}

EDDY_TEST("the handler may end the group; what the handler throws is reported") {
    std::vector<std::string> reports;
    this_loop().set_exception_handler([&](const error_context& e) { reports.push_back(eddy::detail::describe(e.exception)); });
    supervisor_group* self = nullptr;
    supervisor_group group([&](const error_context&) {
        self->cancel("enough");
        throw std::runtime_error("handler's own");
    });
    self = &group;
    const auto start = loop_clock::now();
    co_await with_task_group(group, [&](supervisor_group& g) -> task<> {
        g.spawn(fail_after(1ms, "x"));
        co_await sleep_for(1h);
    });
    this_loop().set_exception_handler({});
    CHECK(loop_clock::now() - start == 1ms);
    CHECK(reports.size() == 1);
    CHECK(reports.front() == "handler's own");
}

EDDY_TEST("the body's own error cancels the children and is thrown in a group") {
    bool unwound = false;
    std::string error;
    try {
        co_await with_supervisor_group([&](supervisor_group& g) -> task<int> {
            g.spawn([&]() -> task<> {
                try {
                    co_await sleep_for(1h);
                } catch (const operation_cancelled&) {
                    unwound = true;
                    throw;
                }
            });
            co_await sleep_for(1ms);
            throw std::runtime_error("body");
        });
    } catch (const exception_group& e) {
        error = e.what();
    }
    CHECK(unwound);
    CHECK(error.find("body") != std::string::npos);
}

#include <eddy/progress.hpp>

#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

std::string text_of(const progress_report& p) {
    return std::to_string(p.done) + "/" + std::to_string(p.total) + (p.text.empty() ? "" : " ") + p.text + ";";
}

} // namespace

EDDY_TEST("progress that a task reports is heard on the loop, in the next tick") {
    std::string heard;
    progress_listener listener([&](const progress_report& p) { heard += text_of(p); });
    const auto listening = listener.listen();
    report_progress(1, 4, "first");
    CHECK(heard.empty());
    co_await testing::settle();
    report_progress(4, 4);
    co_await testing::settle();
    CHECK(heard == "1/4 first;4/4;");
}

EDDY_TEST("of reports that come faster than the loop listens, the last is heard") {
    std::string heard;
    progress_listener listener([&](const progress_report& p) { heard += text_of(p); });
    const auto listening = listener.listen();
    for (std::uint64_t i = 1; i <= 1000; ++i) report_progress(i, 1000);
    co_await testing::settle();
    CHECK(heard == "1000/1000;");
}

EDDY_TEST("what a worker reports last is heard before the call returns", "[fifo]") {
    std::string heard;
    progress_listener listener([&](const progress_report& p) { heard = text_of(p); });
    const auto listening = listener.listen();
    for (std::uint64_t n = 1; n <= 20; ++n) {
        co_await offload([n] {
            for (std::uint64_t i = 0; i <= n; ++i) report_progress(i, n);
        });
        CHECK(heard == text_of({n, n, {}}));
    }
}

EDDY_TEST("a spawned task reports to the listener that was there when it was spawned") {
    std::string outer;
    std::string inner;
    progress_listener first([&](const progress_report& p) { outer += text_of(p); });
    progress_listener second([&](const progress_report& p) { inner += text_of(p); });
    const auto listening = first.listen();
    auto reports = []() -> task<> {
        CHECK(progress_wanted());
        report_progress(1);
        co_return;
    };
    co_await spawn(reports);
    {
        const auto other = second.listen();
        co_await spawn(reports);
    }
    co_await spawn(reports);
    co_await testing::settle();
    CHECK(outer == "1/0;1/0;");
    CHECK(inner == "1/0;");
}

EDDY_TEST("without a listener, and after it has gone, a report goes nowhere") {
    CHECK_FALSE(progress_wanted());
    report_progress(1, 2);
    int heard = 0;
    task_handle<> late;
    {
        progress_listener listener([&](const progress_report&) { ++heard; });
        const auto listening = listener.listen();
        late = spawn([]() -> task<> {
            co_await sleep_for(1s);
            report_progress(2, 2);
        });
        report_progress(1, 2); // on its way when the listener goes
    }
    co_await late;
    co_await testing::settle();
    CHECK(heard == 0);
}

EDDY_TEST("an error of a listener is reported, and it goes on listening") {
    words::reports reports;
    int heard = 0;
    progress_listener listener([&](const progress_report&) {
        if (++heard == 1) throw std::runtime_error("no terminal");
    });
    const auto listening = listener.listen();
    report_progress(1);
    co_await testing::settle();
    CHECK(reports.count() == 1);
    report_progress(2);
    co_await testing::settle();
    CHECK(reports.count() == 1);
    CHECK(heard == 2);
}

EDDY_TEST("a listener may be destroyed by its own function") {
    std::optional<progress_listener> listener;
    int heard = 0;
    listener.emplace([&](const progress_report&) {
        ++heard;
        listener.reset();
    });
    const auto listening = listener->listen();
    report_progress(1);
    co_await testing::settle();
    report_progress(2);
    co_await testing::settle();
    CHECK(heard == 1);
}

TEST_CASE("a fraction is within its bounds") {
    CHECK(progress_report{1, 4, {}}.fraction() == 0.25);
    CHECK(progress_report{5, 4, {}}.fraction() == 1.0);
    CHECK(progress_report{5, 0, {}}.fraction() == 0.0);
}

TEST_CASE("a report that comes after its loop has gone is dropped") {
    std::shared_ptr<detail::report_target> target;
    {
        event_loop loop;
        loop.run_until_complete([](std::shared_ptr<detail::report_target>& kept) -> task<> {
            progress_listener listener([](const progress_report&) { FAIL_CHECK("heard"); });
            const auto listening = listener.listen();
            kept = detail::current_report_target();
            co_return;
        }(target));
    }
    REQUIRE(target);
    target->report(1, 2, "late");
}

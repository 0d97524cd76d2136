// How a run ends when something does not want to (R16).
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <atomic>
#include <csignal>
#include <latch>
#include <memory>
#include <string>
#include <thread>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// Runs `body(clock, log)`; what it throws and what reaches the exception handler end in the result.
template <class F>
std::string run_to_the_end(F body) {
    eddy::detail::virtual_clock clock;
    run_options options;
    options.clock = &clock;
    std::string log;
    const std::string thrown = words::of_call([&] { run(body(clock, log), options); return 0; });
    return log + thrown;
}

void report_to(std::string& log) {
    this_loop().set_exception_handler([&log](const error_context& e) {
        const std::string_view message = e.message.substr(0, e.message.find(" (offloaded at"));
        log += std::string(e.task_name) + (e.where.line() != 0 ? "@" : "") + ": " + std::string(message) + "\n";
    });
}

} // namespace

TEST_CASE("S-06 shields hold until the grace period is over") {
    const std::string log = run_to_the_end([](eddy::detail::virtual_clock&, std::string& out) -> task<> {
        spawn([&]() -> task<> {
            co_await with_shield([&]() -> task<> { co_await sleep_for(9s); });
            out += "cleanup finished; ";
        });
        co_await this_task::yield();
        co_await this_task::yield();
    });
    CHECK(log == "cleanup finished; ok");
}

TEST_CASE("RN-11 at the end of the grace period a shielded task is named with its await site, and its shields are broken") {
    loop_clock::duration took{};
    const std::string log = run_to_the_end([&](eddy::detail::virtual_clock& clock, std::string& out) -> task<> {
        report_to(out);
        spawn([&]() -> task<> {
            const auto start = clock.now;
            try {
                co_await with_shield([]() -> task<> { co_await with_shield([]() -> task<> { co_await sleep_for(1h); }); });
            } catch (const operation_cancelled&) {
                took = clock.now - start;
                throw;
            }
        }, {.name = "stubborn"});
        co_await this_task::yield();
        co_await this_task::yield();
    });
    CHECK(log == "stubborn@: still there at the end of the grace period, waiting for sleep; its shields are broken\nok");
    CHECK(took == 10s);
}

TEST_CASE("RN-11 a task that ends in spite of everything only by itself: shutdown_timeout a second later") {
    loop_clock::time_point last{};
    const std::string log = run_to_the_end([&](eddy::detail::virtual_clock& clock, std::string& out) -> task<> {
        report_to(out);
        last = clock.now;
        spawn([&clock, &last]() -> task<> {
            for (;;) { // swallows everything; time passes meanwhile
                static_cast<void>(co_await as_result(sleep_for(1h)));
                clock.now += 10ms;
                last = clock.now;
            }
        }, {.name = "immortal"});
        co_await this_task::yield();
        co_await this_task::yield();
    });
    CHECK(log.find("immortal@: still there at the end of the grace period") == 0);
    CHECK(log.find("the event loop was closed while tasks were stuck; see the report before this") != std::string::npos);
    CHECK(last - loop_clock::time_point(1h) >= 11s);
    CHECK(last - loop_clock::time_point(1h) < 12s);
}

TEST_CASE("R16 a main that does not end after a signal: its shields are broken when the grace period is over") {
    const std::string log = run_to_the_end([](eddy::detail::virtual_clock& clock, std::string& out) -> task<> {
        report_to(out);
        const auto start = clock.now;
        std::raise(SIGTERM);
        try {
            co_await with_shield([]() -> task<> { co_await sleep_for(1h); });
        } catch (const operation_cancelled&) {
            out += std::to_string((clock.now - start) / 1s) + "s ";
            throw;
        }
    });
    CHECK(log == "main@: still there at the end of the grace period, waiting for sleep; its shields are broken\n"
                 "10s interrupted by SIGTERM");
}

TEST_CASE("R16 the grace period runs from the signal, not from main's end") {
    loop_clock::duration took{};
    const std::string log = run_to_the_end([&](eddy::detail::virtual_clock& clock, std::string& out) -> task<> {
        report_to(out);
        const auto start = clock.now;
        spawn([&took, &clock, start]() -> task<> {
            try {
                co_await with_shield([]() -> task<> { co_await sleep_for(1h); });
            } catch (const operation_cancelled&) {
                took = clock.now - start;
                throw;
            }
        });
        co_await this_task::yield();
        std::raise(SIGINT);
        co_await with_shield([]() -> task<> { co_await sleep_for(4s); });
        co_await this_task::checkpoint();
    });
    CHECK(took == 10s);
    CHECK(log.find("interrupted by SIGINT") != std::string::npos);
}

TEST_CASE("R16 a worker function that never returns: reported by name and place, let go; late results are dropped") {
    struct shared_state {
        std::latch let_go{1};
        std::atomic<bool> running{false};
        std::atomic<bool> over{false};
    };
    const auto state = std::make_shared<shared_state>();
    std::string log;
    run_options options;
    options.grace = 0s;
    const std::string thrown = words::of_call([&] {
        run([](std::shared_ptr<shared_state> s, std::string& out) -> task<> {
            report_to(out);
            spawn([s]() -> task<> {
                auto op = offload([s] {
                    s->running = true;
                    s->let_go.wait();
                    s->over = true;
                });
                co_await op;
            }, {.name = "caller"});
            while (!s->running) co_await this_task::yield();
        }(state, log), options);
        return 0;
    });
    CHECK(thrown == "the event loop was closed while tasks were stuck; see the report before this");
    CHECK(log == "caller@: still there at the end of the grace period, waiting for offload; its shields are broken\n"
                 ": a worker is stuck and was let go: caller\n");
    CHECK_FALSE(state->over);
    state->let_go.count_down();
    while (!state->over) std::this_thread::yield();
}

TEST_CASE("R16 an abandoned worker function that never returns ends run with shutdown_timeout, too") {
    struct shared_state {
        std::latch let_go{1};
        std::atomic<bool> running{false};
    };
    const auto state = std::make_shared<shared_state>();
    std::string log;
    run_options options;
    options.grace = 0s;
    const std::string thrown = words::of_call([&] {
        run([](std::shared_ptr<shared_state> s, std::string& out) -> task<> {
            report_to(out);
            spawn([s]() -> task<> {
                auto op = offload(abandon, [s] {
                    s->running = true;
                    s->let_go.wait();
                });
                co_await op;
            }, {.name = "caller"});
            while (!s->running) co_await this_task::yield();
        }(state, log), options);
        return 0;
    });
    CHECK(thrown == "the event loop was closed while calls on workers were stuck; see the report before this");
    CHECK(log.find(": a worker is stuck and was let go: caller\n") != std::string::npos);
    const std::weak_ptr<shared_state> watch = state;
    state->let_go.count_down();
    while (watch.use_count() > 1) std::this_thread::yield(); // the late call lets go of what it owned
}

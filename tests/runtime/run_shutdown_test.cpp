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

TEST_CASE("S-07 R16 a shield without a deadline is bounded by the grace period when a server is told to stop") {
    eddy::detail::virtual_clock clock;
    run_options options;
    options.clock = &clock;
    options.grace = 3s;
    std::string log;
    const auto start = clock.now;
    const std::string end = words::of_call([&] {
        run([](std::string& out) -> task<> {
            report_to(out);
            co_await with_task_group([&](task_group& g) -> task<> { // a server with one handler
                g.spawn([]() -> task<> {
                    event never;
                    co_await with_shield([&]() -> task<> { co_await never.wait(); });
                }, {.name = "handler"});
                co_await this_task::yield();
                std::raise(SIGTERM);
                co_await sleep_for(1h);
            });
        }(log), options);
        return 0;
    });
    CHECK(end == "interrupted by SIGTERM");
    CHECK(log.find("handler@: still there at the end of the grace period, waiting for event; its shields are broken\n") != std::string::npos);
    CHECK(clock.now - start == 3s);
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

TEST_CASE("R16 RN-08 a worker function that never returns: reported by name and place, let go; late results are dropped", "[slow]") {
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

TEST_CASE("R16 an abandoned worker function that never returns ends run with shutdown_timeout, too", "[slow]") {
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

TEST_CASE("R16 a signal that comes while what is left is joined does not hold that up") {
    const std::string log = run_to_the_end([](eddy::detail::virtual_clock&, std::string& out) -> task<> {
        spawn([&]() -> task<> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                out += "cancelled; ";
            }
            ::raise(SIGINT);
            co_await with_shield([&]() -> task<> { co_await sleep_for(10ms); });
            out += "cleaned up; ";
        });
        co_await this_task::yield();
    });
    CHECK(log == "cancelled; cleaned up; ok");
}

TEST_CASE("R16 after a signal it is shutdown_timeout that leaves run if a left-over task is stuck") {
    std::string reports;
    int signal = 0;
    const std::string log = run_to_the_end([&](eddy::detail::virtual_clock&, std::string&) -> task<> {
        report_to(reports);
        spawn([]() -> task<> {
            for (;;) {
                try {
                    co_await with_shield([]() -> task<> { co_await sleep_for(1h); });
                } catch (const operation_cancelled&) {
                }
            }
        }, {.name = "stubborn"});
        ::raise(SIGTERM);
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            signal = SIGTERM;
            throw;
        }
    });
    CHECK(signal == SIGTERM);
    CHECK(log.find("the event loop was closed while tasks were stuck") == 0);
    CHECK(reports.find("stubborn@: still there at the end of the grace period") != std::string::npos);
}

TEST_CASE("after a shutdown_timeout a runner refuses further runs") {
    eddy::detail::virtual_clock clock;
    runner r({.grace = 1s, .clock = &clock});
    const std::string first = words::of_call([&] {
        r.run([]() -> task<> {
            this_loop().set_exception_handler([](const error_context&) {});
            ::raise(SIGINT);
            for (;;) {
                try {
                    co_await with_shield([]() -> task<> { co_await sleep_for(1h); });
                } catch (const operation_cancelled&) {
                }
            }
        }());
        return 0;
    });
    CHECK(first.find("the main task did not end within the grace period after SIGINT") == 0);
    const std::string second = words::of_call([&] { r.run([]() -> task<> { co_return; }()); return 0; });
    CHECK(second == "runner::run: an earlier run gave up on stuck tasks; make a new runner");
}

TEST_CASE("R13 a task that another thread handed over before the loop was closed starts, and its future is settled") {
    event_loop loop;
    auto value = loop.spawn_threadsafe([]() -> task<int> { co_return 5; }());
    auto sleeper = loop.spawn_threadsafe([]() -> task<> { co_await sleep_for(1h); }());
    std::string log;
    loop.call_soon_threadsafe([&] { spawn([&]() -> task<> { log += "started "; co_await sleep_for(1h); }); });
    loop.close();
    CHECK(value.get() == 5);
    CHECK(words::of_call([&] { sleeper.get(); return 0; }).find("the task was cancelled") == 0);
    CHECK(log == "started ");
}

TEST_CASE("R13 a worker that asks the loop for something while it shuts down is refused and does not hold it up") {
    std::string error;
    const std::string log = run_to_the_end([&](eddy::detail::virtual_clock&, std::string&) -> task<> {
        event_loop& loop = this_loop();
        std::latch running(1);
        auto h = spawn([&]() -> task<> {
            co_await offload(abandon, [&] {
                running.count_down();
                for (;;) { // until the loop closes
                    try {
                        loop.spawn_threadsafe([]() -> task<> { co_return; }()).get();
                    } catch (const std::logic_error& e) {
                        error = e.what();
                        return;
                    }
                }
            });
        });
        co_await this_task::yield();
        running.wait();
        h.cancel();
    });
    CHECK(log == "ok");
    CHECK(error == "call_soon_threadsafe: the loop is closed");
}

TEST_CASE("O-10 run waits for an abandoned call on a pool of the user's, and its error is reported") {
    worker_pool pool{1};
    std::latch running(1);
    std::latch go(1);
    std::string reports;
    const std::string log = run_to_the_end([&](eddy::detail::virtual_clock&, std::string&) -> task<> {
        report_to(reports);
        auto h = spawn([&]() -> task<> { co_await offload(pool, abandon, [&] { running.count_down(); go.wait(); throw std::runtime_error("late"); }); }, {.name = "job"});
        co_await this_task::yield();
        running.wait();
        h.cancel();
        spawn([&]() -> task<> { // cancelled by the shutdown
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                go.count_down();
            }
        });
    });
    CHECK(log == "ok");
    CHECK(reports.find("job@: an abandoned offload failed") == 0);
}

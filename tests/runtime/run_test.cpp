// run, runner, run_main and signals. What happens to stuck tasks and workers: run_shutdown_test.cpp.
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>

#include "lib/tasks.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// run() on a clock that jumps.
template <class T>
T run_jumping(task<T> main) {
    eddy::detail::virtual_clock clock;
    run_options options;
    options.clock = &clock;
    return run(std::move(main), options);
}


/// Cancels the main task the way a user at the terminal does.
task<> wait_for_signal(int number) {
    std::raise(number);
    co_await sleep_for(1h);
}

struct custom_error {
    int code;
};

} // namespace

TEST_CASE("RN-01 run gives the value of main, or its error with the original type") {
    CHECK(run(give(3)) == 3);
    CHECK(*run([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(4); }()) == 4);
    static int x = 0;
    CHECK(&run([]() -> task<int&> { co_return x; }()) == &x);
    int code = 0;
    try {
        run([]() -> task<> {
            co_await this_task::yield();
            throw custom_error{5};
        }());
    } catch (const custom_error& e) {
        code = e.code;
    }
    CHECK(code == 5);
}

TEST_CASE("RN-02 a task that is left over is cancelled, and its cleanup finished before run returns") {
    std::string log;
    run_jumping([](std::string& out) -> task<> {
        spawn([&]() -> task<> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                out += "cancelled ";
            }
            co_await with_shield([&]() -> task<> { co_await sleep_for(10ms); });
            out += "clean";
        });
        co_await this_task::yield();
        co_await this_task::yield();
    }(log));
    CHECK(log == "cancelled clean");
}

TEST_CASE("R3 a task that is left over before its first step runs to its first checkpoint") {
    std::string log;
    run([](std::string& out) -> task<> {
        spawn([&]() -> task<> {
            out += "start";
            co_await this_task::yield();
            out += " not reached";
        });
        co_return;
    }(log));
    CHECK(log == "start");
}

TEST_CASE("RN-03 a left-over that fails while it is cancelled is reported as such; run still returns main's value") {
    std::string reported;
    const int v = run_jumping([](std::string& out) -> task<int> {
        this_loop().set_exception_handler([&](const error_context& e) {
            out += std::string(e.task_name) + ": " + std::string(e.message) + ": " + eddy::detail::describe(e.exception);
        });
        spawn([]() -> task<> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                throw std::runtime_error("in cleanup");
            }
        }, {.name = "left"});
        co_await this_task::yield();
        co_await this_task::yield();
        co_return 6;
    }(reported));
    CHECK(v == 6);
    CHECK(reported == "left: task failed during shutdown: in cleanup");
}

TEST_CASE("RN-04 a left-over that swallows its cancellation is cancelled again at its next await") {
    std::string log;
    run_jumping([](std::string& out) -> task<> {
        spawn([&]() -> task<> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                out += "swallowed ";
            }
            co_await sleep_for(40ms);
            out += "not reached";
        });
        co_await this_task::yield();
        co_await this_task::yield();
    }(log));
    CHECK(log == "swallowed ");
}

TEST_CASE("RN-07 generators that are alive at shutdown are destroyed before the loop closes") {
    std::string log;
    struct noted {
        std::string& log;
        explicit noted(std::string& l) noexcept : log(l) {}
        noted(const noted&) = delete;
        noted& operator=(const noted&) = delete;
        ~noted() { log += event_loop::current() && !event_loop::current()->is_closed() ? "gone " : "too late "; }
    };
    run_jumping([](std::string& out) -> task<> {
        const auto numbers = [](std::string& l) -> async_generator<int> {
            const noted local(l);
            for (int i = 1;; ++i) {
                co_yield i;
                co_await sleep_for(1h);
            }
        };
        spawn([&out, numbers]() -> task<> { // suspended beside its generator
            auto gen = numbers(out);
            static_cast<void>(co_await gen.next());
            co_await sleep_for(1h);
        });
        spawn([&out, numbers]() -> task<> { // suspended in it
            auto gen = numbers(out);
            for (;;) static_cast<void>(co_await gen.next());
        });
        spawn([gen = numbers(out)]() mutable -> task<> { // its closure owns it
            static_cast<void>(co_await gen.next());
            co_await sleep_for(1h);
        });
        for (int i = 0; i < 5; ++i) co_await this_task::yield();
    }(log));
    CHECK(log == "gone gone gone ");
}

TEST_CASE("left-overs may spawn while they are cancelled: nobody's cleanup is skipped") {
    std::string log;
    run([](std::string& out) -> task<> {
        spawn([&]() -> task<> {
            try {
                co_await sleep_for(1h);
            } catch (const operation_cancelled&) {
                spawn([&]() -> task<> {
                    out += "late";
                    co_await this_task::yield();
                    out += " not reached";
                });
                throw;
            }
        });
        co_await this_task::yield();
        co_await this_task::yield();
    }(log));
    CHECK(log == "late");
}

TEST_CASE("a main task that cancels itself ends run with child_cancelled") {
    CHECK(words::throws<child_cancelled>([] {
        run([]() -> task<> {
            this_task::handle().cancel();
            co_await this_task::yield();
        }());
        return 0;
    }));
}

TEST_CASE("a stop is nothing that could end a run") {
    CHECK(run([]() -> task<int> {
        this_loop().stop();
        co_await this_task::yield();
        co_await this_task::yield();
        co_return 3;
    }()) == 3);
}

TEST_CASE("RN-09 tasks that one run leaves go on in the next; a closed runner runs no more") {
    runner r;
    std::string log;
    auto background = [&]() -> task<> {
        for (int i = 0; i < 3; ++i) {
            log += std::to_string(i);
            co_await this_task::yield();
        }
    };
    r.run([](auto& body) -> task<> {
        spawn(body);
        co_await this_task::yield();
    }(background));
    CHECK(log == "0");
    CHECK(r.run([]() -> task<int> {
        for (int i = 0; i < 5; ++i) co_await this_task::yield();
        co_return 7;
    }()) == 7);
    CHECK(log == "012");
    CHECK(r.loop().stats().tasks == 0);
    r.close();
    r.close();
    CHECK(words::throws<std::logic_error>([&] { return r.run(give(1)); }));
}

TEST_CASE("SG-08 SIGINT and SIGTERM cancel main; if it unwinds, run throws interrupted") {
    for (const int number : {SIGINT, SIGTERM}) {
        int signal = 0;
        std::string what;
        try {
            run(wait_for_signal(number));
        } catch (const interrupted& i) {
            signal = i.signal();
            what = i.what();
        }
        CHECK(signal == number);
        CHECK(what == (number == SIGINT ? "interrupted by SIGINT" : "interrupted by SIGTERM"));
    }
}

TEST_CASE("SG-08 a main that returns a value after a signal has that value") {
    CHECK(run([]() -> task<int> {
        try {
            co_await wait_for_signal(SIGINT);
        } catch (const operation_cancelled& c) {
            co_return c.reason() == "SIGINT" ? 5 : 6;
        }
        co_return 7;
    }()) == 5);
}

TEST_CASE("SG-09 a main that was cancelled by itself when the signal came ends cancelled, not interrupted") {
    CHECK(words::throws<child_cancelled>([] {
        run([]() -> task<> {
            this_task::handle().cancel("by itself");
            std::raise(SIGINT);
            co_await with_shield([]() -> task<> {
                for (int i = 0; i < 5; ++i) co_await sleep_for(1ms);
            });
            co_await this_task::checkpoint();
        }());
        return 0;
    }));
}

TEST_CASE("R16 a second signal kills the process the default way") {
    const pid_t child = ::fork();
    if (child == 0) {
        try {
            run([]() -> task<> {
                std::raise(SIGINT);
                co_await with_shield([]() -> task<> {
                    for (int i = 0; i < 3; ++i) co_await sleep_for(1ms);
                    std::raise(SIGINT);
                });
            }());
        } catch (...) {
        }
        ::_exit(3);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGINT);
}

TEST_CASE("after a run the previous disposition of the signals is back") {
    struct sigaction before {};
    struct sigaction after {};
    ::sigaction(SIGINT, nullptr, &before);
    CHECK(run(give(1)) == 1);
    ::sigaction(SIGINT, nullptr, &after);
    CHECK(before.sa_handler == after.sa_handler);
}

TEST_CASE("a runner that was interrupted once runs the next main undisturbed") {
    runner r;
    CHECK(words::throws<interrupted>([&] { r.run(wait_for_signal(SIGINT)); return 0; }));
    CHECK(r.run([]() -> task<int> {
        co_await sleep_for(1ms);
        co_return 4;
    }()) == 4);
    CHECK(words::throws<child_cancelled>([&] {
        r.run([]() -> task<> {
            this_task::handle().cancel();
            co_await this_task::yield();
        }());
        return 0;
    }));
}

TEST_CASE("run_main gives an exit status") {
    CHECK(run_main(give(7)) == 7);
    CHECK(run_main([]() -> task<> { co_return; }()) == 0);
    CHECK(run_main(wait_for_signal(SIGINT)) == 130);
    CHECK(run_main(wait_for_signal(SIGTERM)) == 143);
    CHECK(run_main([]() -> task<> {
        throw std::runtime_error("expected in the test's log");
        co_return;
    }()) == 1);
}

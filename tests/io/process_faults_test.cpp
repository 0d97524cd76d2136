// Faults that concern a whole process: signals, SIGPIPE, a worker that never returns. Each runs in a child.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <condition_variable>
#include <mutex>
#include <string>

#include "io/child.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

task<> sleep_long() {
    co_await sleep_for(1h);
}

/// Says what happens to it; the cleanup takes as long as `cleanup` does.
task<> noisy(task<> (*cleanup)()) {
    say("READY");
    const auto clean = [cleanup]() -> task<> {
        say("cleaning");
        co_await cleanup();
        say("clean");
    };
    std::exception_ptr error;
    try {
        co_await sleep_long();
    } catch (...) {
        error = std::current_exception();
    }
    co_await with_shield(clean);
    std::rethrow_exception(error);
}

void never_return() {
    std::mutex m;
    std::condition_variable c;
    std::unique_lock lock(m);
    for (;;) c.wait(lock);
}

task<> leave_worker_behind() {
    spawn([]() -> task<> { co_await offload(&never_return); }, {.name = "the stuck one"});
    while (this_loop().default_pool().running() == 0) co_await this_task::yield();
    say("main ends");
}

task<> abandon_worker() {
    auto waiting = spawn([]() -> task<> { co_await offload(abandon, &never_return); }, {.name = "the abandoned one"});
    while (this_loop().default_pool().running() == 0) co_await this_task::yield();
    co_await waiting.cancel_and_join();
    say("main ends");
}

} // namespace

TEST_CASE("child: interrupted", "[.child]") {
    leave(run_main(noisy([]() -> task<> { co_await sleep_for(1ms); })));
}

TEST_CASE("child: interrupted with a long cleanup", "[.child]") {
    leave(run_main(noisy(&sleep_long)));
}

TEST_CASE("SG-08 SG-11 a first SIGINT or SIGTERM lets the program clean up and end with 128 + its number") {
    for (const int number : {SIGINT, SIGTERM}) {
        child c("child: interrupted");
        CHECK(c.prints("READY"));
        c.signal(number);
        CHECK(c.wait() == "exit " + std::to_string(128 + number));
        CHECK(c.output() == "cleaning\nclean\n");
    }
}

TEST_CASE("SG-10 a second signal kills the program the default way, whichever comes first") {
    for (const int first : {SIGINT, SIGTERM}) {
        for (const int second : {SIGINT, SIGTERM}) {
            child c("child: interrupted with a long cleanup");
            CHECK(c.prints("READY"));
            c.signal(first);
            CHECK(c.prints("cleaning"));
            c.signal(second);
            CHECK(c.wait() == "signal " + std::to_string(second));
            CHECK(c.output().empty());
        }
    }
}

TEST_CASE("child: stuck cleanup and a short grace", "[.child]") {
    leave(run_main(noisy(&sleep_long), {.grace = 10ms}));
}

TEST_CASE("RN-11 R16 a cleanup that outlives the grace period is named, and its shield is broken") {
    child c("child: stuck cleanup and a short grace");
    CHECK(c.prints("READY"));
    c.signal(SIGTERM);
    CHECK(c.wait() == "exit 143");
    CHECK(c.output().find("still there at the end of the grace period, waiting for sleep") != std::string::npos);
    CHECK(c.output().find("task 'main'") != std::string::npos);
    CHECK(c.output().find("process_faults_test.cpp:") != std::string::npos);
}

TEST_CASE("child: worker never returns", "[.child]") {
    leave(run_main(leave_worker_behind(), {.grace = 10ms}));
}

TEST_CASE("child: abandoned worker never returns", "[.child]") {
    leave(run_main(abandon_worker(), {.grace = 10ms}));
}

TEST_CASE("R16 a worker function that never returns does not keep run() from ending, and is named", "[slow]") {
    child c("child: worker never returns");
    CHECK(c.prints("main ends"));
    CHECK(c.wait() == "exit 1");
    const std::string& text = c.output();
    CHECK(text.find("still there at the end of the grace period, waiting for offload") != std::string::npos);
    CHECK(text.find("a worker is stuck and was let go: the stuck one (offloaded at ") != std::string::npos);
    CHECK(text.find("process_faults_test.cpp:") != std::string::npos);
    CHECK(text.find("eddy: the event loop was closed while tasks were stuck") != std::string::npos);
}

TEST_CASE("R16 an abandoned worker function that never returns is named as well", "[slow]") {
    child c("child: abandoned worker never returns");
    CHECK(c.prints("main ends"));
    CHECK(c.wait() == "exit 1");
    CHECK(c.output().find("a worker is stuck and was let go: the abandoned one (offloaded at ") != std::string::npos);
}

TEST_CASE("child: sigpipe", "[.child]") {
    ::signal(SIGPIPE, SIG_DFL);
    const auto body = []() -> task<> {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) leave(3);
        ::close(ends[0]);
        const bool refused = ::write(ends[1], "x", 1) < 0 && errno == EPIPE;
        say(refused ? "pipe: broken" : "pipe: written");
        ::close(ends[1]);
        connection p = co_await connected();
        co_await p.client.write("unread"sv);
        co_await p.server.close();
        outcome<> end;
        while (end) end = co_await as_result(p.client.write("x"sv));
        say("socket: " + std::string(end.error() ? "error" : "fine"));
    };
    leave(run_main(body()));
}

TEST_CASE("SIGPIPE does not end the program: writes to closed pipes and sockets are errors") {
    child c("child: sigpipe");
    CHECK(c.line() == "pipe: broken");
    CHECK(c.line() == "socket: error");
    CHECK(c.wait() == "exit 0");
}

// The end of a process_pool: closed, shut down, destroyed, moved.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <eddy/process_pool.hpp>

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/pool_functions.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using namespace pool_functions;

namespace {

void warms_nothing() {}
EDDY_REMOTE(warms_nothing)

} // namespace

EDDY_TEST_REAL("process_pool: shutdown while workers are being started ends the calls and start()") {
    process_pool pp{2};
    auto call = spawn([&]() -> task<> { co_await pp.run(hang); });
    auto starting = spawn([&]() -> task<> { co_await pp.start(); });
    co_await this_task::yield();
    while (pp.stats().waiting == 0 && pp.stats().workers == 0 && !call.done()) co_await this_task::yield(); // both have begun, or have had the time to
    co_await pp.shutdown(0ms);
    bool closed = false;
    try {
        co_await call;
    } catch (const closed_resource&) {
        closed = true;
    }
    CHECK(closed);
    CHECK(starting.done()); // as good as a call
    try {
        co_await starting;
    } catch (const closed_resource&) { // or it had come to its end
    }
    CHECK(pp.stats().workers == 0);
}

EDDY_TEST_REAL("process_pool: shutdown waits until its deadline, then ends what runs") {
    process_pool pp{2};
    queue<int> reports(1);
    auto call = spawn([&]() -> task<> { co_await pp.run({.progress = progress_to(reports)}, hang); });
    static_cast<void>(co_await reports.pop()); // it runs: one that no worker has read yet would be given to another
    co_await pp.shutdown(1ms);
    bool closed = false;
    try {
        co_await call;
    } catch (const closed_resource& e) {
        closed = std::string_view(e.what()) == "process_pool: it was closed before 'hang' was over";
    }
    CHECK(closed);
    CHECK(pp.worker_pids().empty());
}

EDDY_TEST("process_pool: closed by two at once, both have it closed") {
    process_pool pp{2};
    const int worker = co_await pp.run(own_pid);
    auto close = [&]() -> task<> {
        co_await pp.close();
        CHECK_FALSE(there_is(worker));
    };
    auto first = spawn(close);
    auto second = spawn(close);
    co_await first;
    co_await second;
    CHECK(pp.stats().workers == 0);
}

EDDY_TEST("process_pool: close when the fork server has just been killed, and destroyed during close") {
    for (const bool killed : {true, false}) {
        std::optional<process_pool> pp(std::in_place, std::size_t(1));
        const int server = co_await pp->run(parent_pid);
        if (killed) ::kill(server, SIGKILL);
        bool begun = false;
        auto close = spawn([&]() -> task<> {
            begun = true;
            co_await pp->close();
        });
        while (!begun) co_await this_task::yield();
        co_await this_task::yield();
        if (!killed) pp.reset();
        co_await close;
        co_await until_gone(server);
    }
}

TEST_CASE("process_pool: the program's coroutine returns while calls run: they end with their workers, without waiting out a grace period") {
    std::vector<int> workers;
    process_pool pp{2}; // it outlives the loop
    const auto before = std::chrono::steady_clock::now();
    const auto program = [](process_pool& pool, std::vector<int>& pids) -> task<> {
        auto call = [&pool]() -> task<> { co_await pool.run(hang); };
        auto one = spawn(call);
        auto two = spawn(call);
        while (pool.worker_pids().size() < 2 || pool.stats().busy < 2) co_await this_task::yield();
        pids = pool.worker_pids();
    };
    run(program(pp, workers));
    CHECK(std::chrono::steady_clock::now() - before < 8s); // 10 s and more where they waited for news that nobody read
    REQUIRE(workers.size() == 2);
    for (const int pid : workers) CHECK_FALSE(there_is(pid));
}

EDDY_TEST_REAL("process_pool: close kills workers that are stopped, and a fork server that is") {
    for (const bool server_too : {false, true}) {
        process_pool pp{{.workers = 1, .kill_grace = 10ms}};
        const int server = co_await pp.run(parent_pid);
        const int worker = pp.worker_pids().front();
        ::kill(worker, SIGSTOP);
        if (server_too) ::kill(server, SIGSTOP);
        co_await pp.close();
        co_await until_gone(worker);
        CHECK_FALSE(there_is(server));
        CHECK(pp.stats().workers == 0);
    }
}

EDDY_TEST_REAL("process_pool: shutdown ends calls, and workers that are being started, also when the fork server is stopped") {
    process_pool pp{{.workers = 2, .kill_grace = 10ms}};
    const int server = co_await pp.run(parent_pid);
    queue<int> reports(1);
    auto running = spawn(pp.run({.progress = progress_to(reports)}, hang));
    static_cast<void>(co_await reports.pop());
    ::kill(server, SIGSTOP);
    auto starting = spawn(pp.run(hang));
    while (pp.stats().workers < 2) co_await this_task::yield();
    co_await pp.shutdown(0ms);
    int closed = 0;
    for (task_handle<>* const call : {&running, &starting}) {
        try {
            co_await *call;
        } catch (const closed_resource&) {
            ++closed;
        }
    }
    CHECK(closed == 2);
    CHECK_FALSE(there_is(server));
    CHECK(pp.stats().workers == 0);
}

EDDY_TEST("process_pool: close lets the calls that were made end first") {
    process_pool pp{1};
    int made = 0; // not stats(): an answer may come so early that nobody sees its call run
    auto call = [&](int i) -> task<int> {
        auto running = pp.run(twice, i);
        ++made;
        co_return co_await std::move(running);
    };
    auto first = spawn(call, 1);
    auto second = spawn(call, 2);
    while (made < 2) co_await this_task::yield();
    co_await pp.close();
    CHECK(first.done());
    CHECK(second.done());
    const int v = co_await second;
    CHECK(v == 4);
}

EDDY_TEST("process_pool: tasks that are awaited after the pool object was destroyed find it closed") {
    for (const bool used : {false, true}) {
        std::optional<process_pool> pp(std::in_place, std::size_t(1));
        if (used) static_cast<void>(co_await pp->run(twice, 1));
        std::vector<task<>> refused;
        refused.push_back(pp->start());
        refused.push_back(pp->run(hang));
        auto mapping = pp->map(twice, std::vector<int>{1, 2});
        auto closing = pp->close();
        auto ending = pp->shutdown(1h);
        pp.reset();
        int closed = 0;
        for (task<>& t : refused) {
            try {
                co_await std::move(t);
            } catch (const closed_resource&) {
                ++closed;
            }
        }
        try {
            static_cast<void>(co_await std::move(mapping));
        } catch (const closed_resource&) {
            ++closed;
        }
        CHECK(closed == 3);
        co_await std::move(closing); // there is nothing left to wait for
        co_await std::move(ending);
    }
}

EDDY_TEST("process_pool: destroyed at each step of start(), which ends with closed_resource or before it") {
    for (int ticks = 0; ticks < 400; ticks += 1 + ticks / 4) {
        std::optional<process_pool> pp(std::in_place, process_pool_options{.workers = 2, .warm_up = warms_nothing});
        auto starting = spawn(pp->start());
        for (int i = 0; i < ticks && !starting.done(); ++i) co_await this_task::yield();
        const bool was_done = starting.done();
        pp.reset();
        bool closed = false;
        try {
            co_await starting;
        } catch (const closed_resource&) {
            closed = true;
        }
        CHECK(closed != was_done);
    }
}

EDDY_TEST("process_pool: moved while it starts, runs and closes, it is the same pool") {
    process_pool first{2};
    auto starting = first.start();
    process_pool second = std::move(first);
    auto started = spawn(std::move(starting));
    co_await this_task::yield();
    process_pool third = std::move(second);
    co_await started;
    CHECK(third.stats().workers == 2);
    queue<int> reports(1);
    auto call = spawn(third.run({.progress = progress_to(reports)}, until_stopped, 5));
    static_cast<void>(co_await reports.pop());
    process_pool fourth = std::move(third);
    auto closing = spawn(fourth.close());
    for (int i = 0; i < 10; ++i) co_await this_task::yield();
    process_pool fifth = std::move(fourth);
    CHECK_FALSE(closing.done());
    call.cancel();
    const int v = co_await call;
    CHECK(v == 5);
    co_await closing;
    CHECK(fifth.stats().workers == 0);
    std::string text;
    try {
        static_cast<void>(first.run(twice, 1));
    } catch (const std::logic_error& e) {
        text = e.what();
    }
    CHECK(text == "this process_pool object has been moved from");
    CHECK_THROWS_AS(first.start(), std::logic_error);
    CHECK_THROWS_AS(first.close(), std::logic_error);
}

EDDY_TEST("process_pool: another one moved into its place ends what it runs") {
    process_pool pp{1};
    queue<int> reports(1);
    auto call = spawn(pp.run({.progress = progress_to(reports)}, hang));
    static_cast<void>(co_await reports.pop());
    const int worker = pp.worker_pids().front();
    pp = process_pool(1);
    bool closed = false;
    try {
        co_await call;
    } catch (const closed_resource&) {
        closed = true;
    }
    CHECK(closed);
    co_await until_gone(worker);
    const int v = co_await pp.run(twice, 2);
    CHECK(v == 4);
}

TEST_CASE("process_pool: it belongs to the loop on which it was first used") {
    process_pool pp{1};
    const auto call = [](process_pool& pool) -> task<int> { co_return co_await pool.run(twice, 1); };
    CHECK(run(call(pp)) == 2);
    std::string text;
    try {
        run(call(pp));
    } catch (const std::logic_error& e) {
        text = e.what();
    }
    CHECK(text == "process_pool: it belongs to another loop, the one it was first used on");
}

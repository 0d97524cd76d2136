// Workers and fork servers of a process_pool that die, or cannot be started; signals.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <eddy/process_pool.hpp>

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "io/pool_functions.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using namespace pool_functions;

namespace {

/// With all that ends with a program: handlers, static objects, output.
void by_regular_exit(int code) { std::exit(code); }
EDDY_REMOTE(by_regular_exit)
void throws_if(bool bad) {
    if (bad) throw bad_order("out of a noexcept function");
}
void by_uncaught_exception() noexcept { throws_if(true); }
EDDY_REMOTE(by_uncaught_exception)

std::vector<int> sorted(std::vector<int> all) {
    std::sort(all.begin(), all.end());
    return all;
}

} // namespace

EDDY_TEST("process_pool: a signal, an exit: each fails its own call, says how, and the pool heals") {
    process_pool pp{2};
    queue<int> reports(1);
    auto bystander = spawn([&]() -> task<int> { co_return co_await pp.run({.progress = progress_to(reports)}, until_stopped, 7); });
    static_cast<void>(co_await reports.pop());
    std::optional<worker_died> e;
    try {
        co_await pp.run(by_signal, SIGSEGV);
    } catch (const worker_died& died) {
        e = died;
    }
    REQUIRE(e);
    CHECK(e->status().signal() == SIGSEGV);
    CHECK(e->function() == "by_signal");
    const std::string text = e->what();
    CHECK(text.starts_with("process_pool: the worker that ran 'by_signal' (process " + std::to_string(e->pid()) + ") died: killed by signal 11 (Segmentation fault)"));
    for (const int code : {0, 3}) {
        e.reset();
        try {
            co_await pp.run(by_exit, code);
        } catch (const worker_died& died) {
            e = died;
        }
        REQUIRE(e);
        CHECK(e->status().exited());
        CHECK(e->status().code() == code);
    }
    const int v = co_await pp.run(twice, 4);
    CHECK(v == 8);
    CHECK_FALSE(bystander.done());
    bystander.cancel();
    const outcome<int> kept = co_await as_result(bystander);
    CHECK(kept.has_value()); // it returned what it had
    CHECK(pp.stats().died == 3);
}

EDDY_TEST("process_pool: without a descriptor for a new worker the call fails, and the pool goes on") {
    process_pool pp{2};
    const int server = co_await pp.run(parent_pid);
    queue<int> reports(4);
    auto busy = spawn(pp.run({.progress = progress_to(reports)}, until_stopped, 1));
    static_cast<void>(co_await reports.pop());
    ::kill(server, SIGSTOP); // until its answer is one that we have no room for
    auto call = spawn(pp.run(twice, 1));
    while (pp.stats().workers < 2) co_await this_task::yield();
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    rlimit none = before;
    const int lowest = ::dup(0);
    ::close(lowest);
    none.rlim_cur = static_cast<rlim_t>(lowest);
    ::setrlimit(RLIMIT_NOFILE, &none);
    ::kill(server, SIGCONT);
    std::error_code code;
    try {
        static_cast<void>(co_await call);
    } catch (const std::system_error& e) {
        code = e.code();
    }
    ::setrlimit(RLIMIT_NOFILE, &before);
    CHECK(code == std::errc::too_many_files_open);
    CHECK(pp.stats().workers == 1);
    const int v = co_await pp.run(twice, 2);
    CHECK(v == 4);
    busy.cancel();
    static_cast<void>(co_await busy);
}

EDDY_TEST("process_pool: an idle worker that is killed is replaced, and no call fails") {
    process_pool pp{1};
    static_cast<void>(co_await pp.run(twice, 1));
    const int pid = pp.worker_pids().front();
    ::kill(pid, SIGKILL);
    const int v = co_await pp.run(twice, 2); // whether or not we know of it yet
    CHECK(v == 4);
    CHECK(pp.stats().started == 2);
}

EDDY_TEST("process_pool: the fork server killed: its workers go, their calls fail, and the next call has a new one") {
    process_pool pp{1};
    const int server = co_await pp.run(parent_pid);
    queue<int> reports(1);
    auto call = spawn([&]() -> task<> { co_await pp.run({.progress = progress_to(reports)}, hang); });
    static_cast<void>(co_await reports.pop()); // it runs: one that no worker has read yet would be given to another
    const int worker = pp.worker_pids().front();
    ::kill(server, SIGKILL);
    bool died = false;
    try {
        co_await call;
    } catch (const worker_died& e) {
        died = e.status().unknown();
    }
    CHECK(died);
    const int v = co_await pp.run(twice, 2);
    CHECK(v == 4);
    co_await pp.close();
    co_await until_gone(worker);
    CHECK_FALSE(there_is(server));
}

EDDY_TEST("process_pool: SIGINT, which a terminal sends to all, does not end a worker") {
    process_pool pp{1};
    queue<int> reports(4);
    auto call = spawn([&]() -> task<int> { co_return co_await pp.run({.progress = progress_to(reports)}, until_stopped, 3); });
    static_cast<void>(co_await reports.pop());
    ::kill(pp.worker_pids().front(), SIGINT);
    call.cancel();
    const int v = co_await call;
    CHECK(v == 3);
}

EDDY_TEST_REAL("process_pool: SIGTERM and SIGHUP to the process group end neither server nor workers") {
    process_pool pp{1};
    const int server = co_await pp.run(parent_pid);
    queue<int> reports(4);
    auto call = spawn(pp.run({.progress = progress_to(reports)}, until_stopped, 3));
    static_cast<void>(co_await reports.pop());
    const int worker = pp.worker_pids().front();
    for (const char* const number : {"-TERM", "-HUP"}) {
        command kill("kill", number, std::to_string(server), std::to_string(worker)); // as an init system would
        process sent = co_await process::spawn(std::move(kill));
        const exit_status end = co_await sent.wait();
        REQUIRE(end.code() == 0);
    }
    call.cancel();
    const int v = co_await call;
    CHECK(v == 3);
    const int after = co_await pp.run(parent_pid);
    CHECK(after == server);
    CHECK(pp.stats().started == 1);
}

EDDY_TEST("process_pool: how a worker died is said in words") {
    process_pool pp{1};
    std::vector<std::string> ends;
    const auto note = [&](const worker_died& e) {
        const std::string start = "process_pool: the worker that ran '" + e.function() + "' (process " + std::to_string(e.pid()) + ") died: ";
        const std::string text = e.what();
        ends.push_back(text.starts_with(start) ? text.substr(start.size()) : text);
    };
    try {
        co_await pp.run(by_signal, SIGKILL);
    } catch (const worker_died& e) {
        note(e);
    }
    try {
        co_await pp.run(by_regular_exit, 3);
    } catch (const worker_died& e) {
        note(e);
    }
    CHECK(ends == std::vector<std::string>{"killed by signal 9 (Killed); nobody here sent that: out of memory?", "exit code 3"});
    const int v = co_await pp.run(twice, 1);
    CHECK(v == 2);
    CHECK(pp.stats().died == 2);
}

EDDY_TEST("process_pool: an exception that leaves a noexcept function ends its worker by SIGABRT") {
    process_pool pp{1};
    int number = 0;
    try {
        co_await pp.run(by_uncaught_exception);
    } catch (const worker_died& e) {
        number = e.status().signal();
    }
    CHECK(number == SIGABRT);
}

EDDY_TEST("process_pool: after a hundred crashes there are as many descriptors and processes as before") {
    process_pool pp{2};
    co_await pp.start();
    const int server = co_await pp.run(parent_pid);
    const std::size_t here = descriptors_of(::getpid());
    const std::size_t there = descriptors_of(server);
    int died = 0;
    for (int i = 0; i < 100; ++i) {
        try {
            if (i % 2 == 0)
                co_await pp.run(by_signal, SIGKILL);
            else
                co_await pp.run(by_exit, 0);
        } catch (const worker_died&) {
            ++died;
        }
    }
    CHECK(died == 100);
    co_await pp.start();
    CHECK(descriptors_of(::getpid()) == here);
    while (descriptors_of(server) > there) co_await this_task::yield(); // it answers before it has closed what it was sent
    CHECK(children_of(server) == sorted(pp.worker_pids()));
    CHECK(pp.stats().workers == 2);
    CHECK(pp.stats().died == 100);
}

EDDY_TEST("process_pool: workers that are killed one after another under load: no call is lost") {
    process_pool pp{3};
    int right = 0;
    int died = 0;
    auto call = [&](int i) -> task<> {
        try {
            const int v = co_await pp.run(twice, i);
            if (v == 2 * i) ++right;
        } catch (const worker_died&) {
            ++died;
        }
    };
    auto kill_some = [&]() -> task<> {
        for (std::size_t i = 0; i < 20; ++i) {
            while (pp.worker_pids().empty()) co_await this_task::yield();
            const std::vector<int> pids = pp.worker_pids();
            ::kill(pids[i % pids.size()], SIGKILL);
            for (int t = 0; t < 20; ++t) co_await this_task::yield();
        }
    };
    auto body = [&](task_group& g) -> task<> {
        for (int i = 0; i < 500; ++i) g.spawn(call, i);
        static_cast<void>(co_await pp.run(twice, 1));
        co_await kill_some();
    };
    co_await with_task_group(body);
    CHECK(right + died == 500);
    CHECK(died <= 20);
    CHECK(pp.stats().busy == 0);
    CHECK(pp.stats().waiting == 0);
    const int v = co_await pp.run(twice, 2);
    CHECK(v == 4);
}

EDDY_TEST("process_pool: with a new worker for each call nothing piles up") {
    process_pool pp{{.workers = 2, .max_tasks_per_worker = 1}};
    const int server = co_await pp.run(parent_pid);
    const std::size_t here = descriptors_of(::getpid());
    std::vector<int> in(100);
    std::iota(in.begin(), in.end(), 0);
    const std::vector<int> all = co_await pp.map(twice, in);
    CHECK(all.back() == 198);
    CHECK(pp.stats().retired == 101);
    CHECK(pp.stats().workers == 0);
    CHECK(descriptors_of(::getpid()) == here);
    while (!children_of(server).empty()) co_await this_task::yield(); // they end with their sockets
    co_await pp.close();
    CHECK_FALSE(there_is(server));
}

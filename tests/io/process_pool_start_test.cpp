// How workers of a process_pool come to be, and who goes while they do.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <eddy/process_pool.hpp>

#include <unistd.h>

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "io/pool_functions.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using namespace pool_functions;

namespace {

int warmth = 0;
void warms_up() { warmth += 10; }
EDDY_REMOTE(warms_up)
void preloads() { warmth += 100; }
EDDY_REMOTE(preloads)
int how_warm() { return warmth; }
EDDY_REMOTE(how_warm)

} // namespace

EDDY_TEST("process_pool: a worker is replaced after max_tasks_per_worker calls") {
    process_pool pp{{.workers = 1, .max_tasks_per_worker = 2}};
    std::vector<int> pids;
    for (int i = 0; i < 5; ++i) {
        const int pid = co_await pp.run(own_pid);
        pids.push_back(pid);
    }
    CHECK(pids[0] == pids[1]);
    CHECK(pids[1] != pids[2]);
    CHECK(pids[2] == pids[3]);
    CHECK(pids[3] != pids[4]);
    CHECK(pp.stats().retired == 2);
}

EDDY_TEST("process_pool: preload runs once in the server, warm_up in each worker") {
    process_pool pp{{.workers = 1, .max_tasks_per_worker = 1, .preload = preloads, .warm_up = warms_up}};
    for (int i = 0; i < 2; ++i) {
        const int warm = co_await pp.run(how_warm);
        CHECK(warm == 110);
    }
    CHECK(warmth == 0); // not here
}

EDDY_TEST("process_pool: the call that starts the fork server is cancelled, and the next has its preload") {
    for (int ticks = 0; ticks < 400; ticks += 1 + ticks / 4) { // at each step of the start
        process_pool pp{{.workers = 1, .preload = preloads}};
        auto first = spawn(pp.run(how_warm));
        for (int i = 0; i < ticks; ++i) co_await this_task::yield();
        co_await first.cancel_and_join();
        const int warm = co_await pp.run(how_warm);
        CHECK(warm == 100);
    }
}

EDDY_TEST("process_pool: a preload that fails fails each call, also after one that was cancelled") {
    process_pool pp{{.workers = 1, .preload = fails_to_warm_up}};
    for (int i = 0; i < 3; ++i) {
        if (i == 1) {
            auto cancelled = spawn(pp.run(twice, 1));
            for (int t = 0; t < 20; ++t) co_await this_task::yield();
            co_await cancelled.cancel_and_join();
        }
        std::string text;
        try {
            static_cast<void>(co_await pp.run(twice, 1));
        } catch (const std::runtime_error& e) {
            text = e.what();
        }
        CHECK(text == "process_pool: 'fails_to_warm_up' failed in the fork server (preload)");
    }
}

EDDY_TEST("process_pool: a warm_up that fails fails the calls that needed the worker") {
    process_pool pp{{.workers = 1, .warm_up = fails_to_warm_up}};
    for (int i = 0; i < 2; ++i) {
        std::string text;
        try {
            co_await pp.run(twice, 1);
        } catch (const bad_order& e) {
            text = e.what();
        }
        CHECK(text == "cold");
    }
    CHECK(pp.stats().workers == 0);
}

EDDY_TEST("process_pool: destroyed while a call runs, that ends with closed_resource") {
    std::optional<process_pool> pp(std::in_place, std::size_t(1));
    queue<int> reports(1);
    auto call = spawn([&]() -> task<> { co_await pp->run({.progress = progress_to(reports)}, hang); });
    static_cast<void>(co_await reports.pop());
    const int worker = pp->worker_pids().front();
    pp.reset();
    bool closed = false;
    try {
        co_await call;
    } catch (const closed_resource&) {
        closed = true;
    }
    CHECK(closed);
    co_await until_gone(worker);
}

EDDY_TEST("process_pool: destroyed while a worker is being started, the call does not run") {
    for (const bool has_server : {false, true}) {
        std::optional<process_pool> pp(std::in_place, std::size_t(2));
        if (has_server) static_cast<void>(co_await pp->run(twice, 1));
        const std::size_t more = pp->stats().workers;
        auto first = spawn(pp->run(hang));
        auto second = spawn(pp->run(hang)); // with a server it is the one that starts a worker
        while (pp->stats().workers == more && !first.done()) co_await this_task::yield();
        pp.reset();
        for (task_handle<>* const call : {&first, &second}) {
            bool closed = false;
            try {
                co_await *call;
            } catch (const closed_resource&) {
                closed = true;
            }
            CHECK(closed);
        }
    }
}

EDDY_TEST("process_pool: destroyed while the fork server is being started, or in its preload") {
    for (const bool soon : {true, false}) {
        std::optional<process_pool> pp(std::in_place, process_pool_options{.workers = 1, .preload = hang});
        auto call = spawn(pp->run(hang));
        co_await this_task::yield();
        for (int i = 0; !soon && i < 1000; ++i) co_await this_task::yield();
        pp.reset();
        bool closed = false;
        try {
            co_await call;
        } catch (const closed_resource&) {
            closed = true;
        }
        CHECK(closed);
    }
}

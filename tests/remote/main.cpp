// A program whose registrations are in two sources, a static and a shared library. It prints what its workers say; in a fork server
// `main` must not run.
#include "functions.hpp"

#include <eddy/process_pool.hpp>
#include <eddy/run.hpp>
#include <eddy/spawn.hpp>
#include <eddy/this_task.hpp>

#include <cstdio>
#include <cstring>
#include <string>
#include <thread>

#include <signal.h>
#include <unistd.h>

using namespace eddy;

namespace {

struct counted {
    counted() noexcept { ++made; }
    static int made;
};
int counted::made = 0;

// Before and behind the registration, and with other priorities.
const counted first;
int twice(int x) { return 2 * x; }
EDDY_REMOTE(twice)
EDDY_REMOTE(remote_test::objects_made)
const counted last;

int worker_number() { return ::getpid(); }
EDDY_REMOTE(worker_number)
void hang() {
    for (;;) ::pause();
}
EDDY_REMOTE(hang)
/// Prints the number of the fork server, and does not end.
void hang_in_preload() {
    std::printf("%d\n", ::getpid());
    std::fflush(stdout);
    hang();
}
EDDY_REMOTE(hang_in_preload)

task<> call_all() {
    process_pool pool{2};
    const int a = co_await pool.run(twice, 1);
    const int b = co_await pool.run(remote_test::in_another_source, 2);
    const std::string c = co_await pool.run(remote_test::in_a_static_library, std::string("text"));
    const int d = co_await pool.run(remote_test::in_a_shared_library, 3);
    const int made = co_await pool.run(remote_test::objects_made);
    std::printf("%d %d %s %d, objects %d of %d\n", a, b, c.c_str(), d, made, remote_test::objects_made());
    co_await pool.close();
}

/// Prints the numbers of its workers, two that have a call and one that has none, and is killed.
task<> wait_to_be_killed() {
    process_pool pool{3};
    co_await pool.start();
    auto call = [&]() -> task<> { co_await pool.run(hang); };
    auto one = spawn(call);
    auto two = spawn(call);
    while (pool.stats().busy < 2) co_await this_task::yield();
    for (const int pid : pool.worker_pids()) std::printf("%d\n", pid);
    std::fflush(stdout);
    co_await one;
    co_await two;
}

/// Is killed while its fork server runs a function, and listens to nobody.
task<> wait_in_preload() {
    process_pool pool{{.workers = 1, .preload = hang_in_preload}};
    co_await pool.start();
}

} // namespace

namespace remote_test {
int objects_made() { return counted::made; }
} // namespace remote_test

int main(int argc, char** argv) {
    std::puts("main");
    std::fflush(stdout);
    std::thread busy([] {}); // a program with threads, before the first use
    busy.join();
    if (argc > 1 && std::strcmp(argv[1], "wait") == 0) return run_main(wait_to_be_killed());
    if (argc > 1 && std::strcmp(argv[1], "preload") == 0) return run_main(wait_in_preload());
    return run_main(call_all());
}

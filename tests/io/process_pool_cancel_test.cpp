// Calls of a process_pool that are cancelled, take too long, or need too much.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <eddy/process_pool.hpp>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "io/pool_functions.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using namespace pool_functions;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EDDY_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define EDDY_TEST_SANITIZED 1
#endif
#endif
#ifndef EDDY_TEST_SANITIZED
#define EDDY_TEST_SANITIZED 0
#endif

namespace {

int stays(int x) {
    hang();
    return x;
}
EDDY_REMOTE(stays)
void hang_hard() {
    ::signal(SIGTERM, SIG_IGN);
    hang();
}
EDDY_REMOTE(hang_hard)
void stopped_by_throwing(std::stop_token stop) {
    this_call::progress(1);
    while (!stop.stop_requested()) std::this_thread::yield();
    throw operation_cancelled();
}
EDDY_REMOTE(stopped_by_throwing)
void fails_when_stopped(std::stop_token stop) {
    while (!stop.stop_requested()) std::this_thread::yield();
    throw std::runtime_error("interrupted");
}
EDDY_REMOTE(fails_when_stopped)
std::string file_at_sigterm;
void leaves_a_file_at_sigterm(std::string file) {
    file_at_sigterm = std::move(file);
    ::signal(SIGTERM, [](int) {
        ::close(::open(file_at_sigterm.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        ::_exit(0);
    });
    this_call::progress(1);
    for (;;) ::pause();
}
EDDY_REMOTE(leaves_a_file_at_sigterm)
int requests = -1;
void note_request(const char* text) {
    static_cast<void>(!::write(requests, text, 5));
}
/// Writes into a file what is asked of it, and goes on all the same.
void goes_on(std::stop_token stop, std::string file) {
    requests = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ::signal(SIGTERM, [](int) { note_request("term "); });
    const std::stop_callback heard(stop, [] { note_request("stop "); });
    this_call::progress(1);
    for (;;) ::pause();
}
EDDY_REMOTE(goes_on)
std::size_t takes_memory(std::size_t bytes) {
    std::vector<char> v(bytes, 'x');
    return v.size();
}
EDDY_REMOTE(takes_memory)
std::string gives_memory(std::size_t bytes) { return std::string(bytes, 'x'); }
EDDY_REMOTE(gives_memory)

} // namespace

EDDY_TEST("process_pool: cancelled in the queue, the function does not run") {
    process_pool pp{1};
    queue<int> reports(4);
    auto first = spawn([&]() -> task<int> { co_return co_await pp.run({.progress = progress_to(reports)}, until_stopped, 1); });
    static_cast<void>(co_await reports.pop());
    auto second = spawn([&]() -> task<int> { co_return co_await pp.run(twice, 1); });
    while (pp.stats().waiting == 0) co_await this_task::yield();
    co_await second.cancel_and_join();
    CHECK(second.cancelled());
    CHECK(pp.stats().waiting == 0);
    first.cancel();
    const int v = co_await first; // R2: what it returns is returned
    CHECK(v == 1);
    CHECK(pp.stats().ended_by_us == 0);
}

EDDY_TEST_REAL("process_pool: cancelled, a function with a stop_token hears of it, and its worker lives on") {
    process_pool pp{1};
    queue<int> reports(4);
    auto call = spawn([&]() -> task<> { co_await pp.run({.progress = progress_to(reports)}, stopped_by_throwing); });
    static_cast<void>(co_await reports.pop());
    co_await call.cancel_and_join();
    CHECK(call.cancelled());
    CHECK(pp.stats().ended_by_us == 0);
    const int v = co_await pp.run(twice, 2);
    CHECK(v == 4);
    CHECK(pp.stats().started == 1);
}

EDDY_TEST("process_pool: cancelled, a function without a token gets SIGTERM, one that does not mind SIGKILL") {
    process_pool pp{1};
    for (void (*f)() : {&hang, &hang_hard}) {
        queue<int> reports(1);
        auto call = spawn([&]() -> task<> { co_await pp.run({.progress = progress_to(reports)}, f); });
        static_cast<void>(co_await reports.pop());
        const int pid = pp.worker_pids().front();
        co_await call.cancel_and_join();
        CHECK(call.cancelled());
        CHECK_FALSE(there_is(pid)); // collected before the cancellation went on
    }
    CHECK(pp.stats().ended_by_us == 2);
    const int v = co_await pp.run(twice, 2);
    CHECK(v == 4);
}

EDDY_TEST_REAL("process_pool: a time limit ends the call with timeout_error, and says what took too long") {
    process_pool pp{1};
    co_await pp.start();
    std::string text;
    try {
        co_await pp.run({.timeout = 50ms, .kill_grace = 0ns}, hang);
    } catch (const timeout_error& e) {
        text = e.what();
        CHECK(e.limit() == 50ms);
    }
    CHECK(text.find("hang") != std::string::npos);
    const int v = co_await pp.run({.timeout = 1h}, twice, 2);
    CHECK(v == 4);
}

EDDY_TEST_REAL("process_pool: the time limit counts, also for a function that heard of it and returned a value, or failed in its own way") {
    process_pool pp{1};
    co_await pp.start();
    int late = 0;
    try {
        co_await pp.run({.timeout = 20ms}, until_stopped, 1);
    } catch (const timeout_error&) {
        ++late;
    }
    try {
        co_await pp.run({.timeout = 20ms}, fails_when_stopped);
    } catch (const timeout_error&) {
        ++late;
    }
    CHECK(late == 2);
    CHECK(pp.stats().ended_by_us == 0); // its worker lives on
    const int v = co_await pp.run(twice, 2);
    CHECK(v == 4);
    CHECK(pp.stats().started == 1);
}

EDDY_TEST_REAL("process_pool: cancelled, map ends what runs, and start leaves a pool that works") {
    process_pool pp{{.workers = 2, .kill_grace = 1s}};
    auto starting = spawn(pp.start());
    co_await this_task::yield();
    co_await starting.cancel_and_join();
    const std::vector<int> codes(10, 1);
    auto mapping = spawn([&]() -> task<> { static_cast<void>(co_await pp.map(stays, codes)); });
    while (pp.stats().busy < 2) co_await this_task::yield();
    co_await mapping.cancel_and_join();
    CHECK(mapping.cancelled());
    CHECK(pp.stats().busy == 0);
    CHECK(pp.stats().waiting == 0);
    const int v = co_await pp.run(twice, 2);
    CHECK(v == 4);
}

EDDY_TEST_REAL("process_pool: a function that is ended has its handler of SIGTERM called first") {
    process_pool pp{{.workers = 1, .kill_grace = 30s}};
    const std::string file = "/tmp/eddy-sigterm-" + std::to_string(::getpid());
    queue<int> reports(4);
    auto call = spawn(pp.run({.progress = progress_to(reports)}, leaves_a_file_at_sigterm, file));
    static_cast<void>(co_await reports.pop());
    co_await call.cancel_and_join();
    CHECK(call.cancelled());
    CHECK(::unlink(file.c_str()) == 0);
}

EDDY_TEST_REAL("process_pool: cancelled, a function is asked to stop, then gets SIGTERM, then SIGKILL") {
    process_pool pp{{.workers = 1, .stop_grace = 500ms, .kill_grace = 500ms}};
    const std::string file = "/tmp/eddy-requests-" + std::to_string(::getpid());
    queue<int> reports(4);
    auto call = spawn(pp.run({.progress = progress_to(reports)}, goes_on, file));
    static_cast<void>(co_await reports.pop());
    const int pid = pp.worker_pids().front();
    co_await call.cancel_and_join();
    CHECK(call.cancelled());
    CHECK_FALSE(there_is(pid));
    std::string asked;
    std::getline(std::ifstream(file), asked);
    ::unlink(file.c_str());
    CHECK(asked == "stop term ");
    CHECK(pp.stats().ended_by_us == 1);
    CHECK(pp.stats().died == 0);
    const int v = co_await pp.run(twice, 2);
    CHECK(v == 4);
}

EDDY_TEST("process_pool: a call's own grace periods count, none means SIGKILL at once") {
    process_pool pp{{.workers = 1, .stop_grace = 1h, .kill_grace = 1h}};
    queue<int> reports(4);
    const std::string file = "/tmp/eddy-no-requests-" + std::to_string(::getpid());
    auto call = spawn(pp.run({.stop_grace = 0ns, .kill_grace = 0ns, .progress = progress_to(reports)}, goes_on, file));
    static_cast<void>(co_await reports.pop());
    const int pid = pp.worker_pids().front();
    co_await call.cancel_and_join();
    CHECK(call.cancelled());
    CHECK_FALSE(there_is(pid));
    CHECK(::unlink(file.c_str()) == 0);
}

EDDY_TEST("process_pool: close and shutdown cancelled leave the pool closed, and what runs goes on") {
    for (const bool has_deadline : {false, true}) {
        process_pool pp{1};
        queue<int> reports(1);
        auto call = spawn(pp.run({.progress = progress_to(reports)}, until_stopped, 5));
        static_cast<void>(co_await reports.pop());
        auto closing = has_deadline ? spawn(pp.shutdown(1h)) : spawn(pp.close());
        for (int i = 0; i < 10; ++i) co_await this_task::yield();
        CHECK_FALSE(closing.done());
        co_await closing.cancel_and_join();
        CHECK(closing.cancelled());
        bool closed = false;
        try {
            static_cast<void>(co_await pp.run(twice, 1));
        } catch (const closed_resource&) {
            closed = true;
        }
        CHECK(closed);
        CHECK_FALSE(call.done());
        CHECK(pp.stats().busy == 1);
        call.cancel();
        const int v = co_await call;
        CHECK(v == 5);
        co_await pp.close();
        CHECK(pp.stats().workers == 0);
    }
}

#if !EDDY_TEST_SANITIZED // their allocators end the process where others throw
EDDY_TEST("process_pool: a memory limit ends in memory_limit_error, and the worker lives") {
    process_pool pp{1};
    std::string text;
    try {
        co_await pp.run({.memory = 64 << 20}, takes_memory, 512 << 20);
    } catch (const memory_limit_error& e) {
        text = e.what();
    }
    CHECK(text == "process_pool: 'takes_memory' needs more memory than its limit of 67108864 bytes");
    const std::size_t n = co_await pp.run({.memory = 64 << 20}, takes_memory, 16 << 20);
    CHECK(n == 16 << 20);
    CHECK(pp.stats().started == 1);
}

EDDY_TEST("process_pool: a memory limit leaves room for the stop requests") {
    process_pool pp{1};
    queue<int> reports(4);
    auto call = spawn(pp.run({.memory = 1 << 20, .progress = progress_to(reports)}, until_stopped, 5));
    while (reports.empty() && !call.done()) co_await this_task::yield();
    call.cancel();
    const int v = co_await call;
    CHECK(v == 5);
}

EDDY_TEST("process_pool: the pool's memory limit is that of its calls, unless they have their own; results count") {
    process_pool pp{{.workers = 1, .memory = 16 << 20}};
    std::string text;
    try {
        co_await pp.run(takes_memory, 64 << 20);
    } catch (const memory_limit_error& e) {
        text = e.what();
    }
    CHECK(text == "process_pool: 'takes_memory' needs more memory than its limit of 16777216 bytes");
    text.clear();
    try {
        static_cast<void>(co_await pp.run(gives_memory, 12 << 20)); // once as a string, and once as bytes
    } catch (const memory_limit_error& e) {
        text = e.what();
    }
    CHECK(text == "process_pool: 'gives_memory' needs more memory than its limit of 16777216 bytes");
    const std::size_t n = co_await pp.run({.memory = 256 << 20}, takes_memory, 64 << 20);
    CHECK(n == 64 << 20);
    CHECK(pp.stats().started == 1);
    CHECK(pp.stats().failed == 2);
}
#endif

// Child processes: cases P of the conformance list.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "coro/allocations.hpp"
#include "io/blocked_pool.hpp"
#include "io/child.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

/// Does a process of this number still exist, be it as a zombie?
bool exists(int pid) {
    return ::kill(pid, 0) == 0;
}

/// Of other tests: processes that were let go and are about to end. Then a child that is left is one of ours.
void collect_strays() {
    while (::waitpid(-1, nullptr, 0) > 0) {}
}

/// Without being asked to.
bool loop_is_in_debug_mode() {
    const char* const wanted = std::getenv("EDDY_DEBUG");
    return wanted && *wanted && wanted != "0"sv;
}

task<> drop_a_running_process(std::vector<std::string>& reports, int& pid) {
    this_loop().set_exception_handler([&](const error_context& e) { reports.emplace_back(e.message); });
    {
        process p = co_await process::spawn(command("sleep", "100"));
        pid = p.pid();
    }
    while (exists(pid)) co_await sleep_for(1ms);
}

task<std::string> first_line(process& p) {
    buffered_reader r{p.stdout_stream()};
    std::string line = co_await r.read_line();
    co_return line;
}

} // namespace

EDDY_TEST("process: talks over pipes, and ends with its status") {
    process p = co_await process::spawn(command("cat", "-n").stdin_pipe().stdout_pipe());
    CHECK(p.pid() > 0);
    CHECK(p.running());
    co_await p.stdin_stream().write("hello\n"sv);
    const std::string line = co_await first_line(p);
    CHECK(line.find("1\thello\n") != std::string::npos);
    co_await p.stdin_stream().close();
    const exit_status st = co_await p.wait();
    CHECK(st.success());
    CHECK(st.code() == 0);
    CHECK(st.to_string() == "exit code 0");
    CHECK(p.status() == st);
}

EDDY_TEST("P-01 communicate with 2 MB each way through cat: equal bytes, no deadlock") {
    const std::string much(2'000'000, 'x');
    process p = co_await process::spawn(command("cat").stdin_pipe().stdout_pipe());
    auto got = co_await p.communicate(much);
    CHECK(got.out == much);
    CHECK(got.status.success());
}

EDDY_TEST("P-02 stderr is separate, and a stream that is not piped is absent, not empty") {
    process p = co_await process::spawn(command("sh", "-c", "echo out; echo err >&2").stdout_null().stderr_pipe());
    auto got = co_await p.communicate();
    CHECK_FALSE(got.out.has_value());
    CHECK(got.err == "err\n");
    process q = co_await process::spawn(command("true").stdout_pipe());
    auto nothing = co_await q.communicate();
    CHECK(nothing.out == "");
    CHECK_FALSE(nothing.err.has_value());
    auto both = co_await run_process(command("sh", "-c", "echo out; echo err >&2"));
    CHECK(both.out == "out\n");
    CHECK(both.err == "err\n");
    auto merged = co_await run_process(command("sh", "-c", "echo out; echo err >&2").stderr_to_stdout());
    CHECK(merged.out == "out\nerr\n");
    CHECK(merged.err.empty());
}

EDDY_TEST("communicate refuses what it could not do: to feed a program without a pipe, to talk to one on a terminal") {
    process p = co_await process::spawn(command("cat").stdin_null().stdout_pipe());
    const std::string name = "cat (process " + std::to_string(p.pid()) + ")";
    std::string end = co_await words::ending(p.communicate("lost"));
    CHECK(end == "communicate: " + name + " has no such pipe; give its command stdin_pipe()");
    auto got = co_await p.communicate(); // nothing was done
    CHECK(got.out == "");
    CHECK(got.status.success());
    process q = co_await process::spawn(command("cat").terminal());
    end = co_await words::ending(q.communicate());
    CHECK(end == "communicate: cat (process " + std::to_string(q.pid()) + ") is on a terminal, which it does not read; use terminal()");
    co_await q.stop(5s);
    process closed = co_await process::spawn(command("cat").stdin_pipe().stdout_pipe());
    co_await closed.stdin_stream().close();
    const std::string lost = "lost";
    outcome<process_output> refused = co_await as_result(closed.communicate(lost));
    CHECK(words::holds<closed_resource>(refused.exception()));
    auto nothing = co_await closed.communicate();
    CHECK(nothing.out == "");
}

EDDY_TEST("F-02 a long output is collected without the loop's thread taking, and so copying, all of it") {
    constexpr std::size_t size = 12'345'678;
    const allocations::largest_block here;
    auto done = co_await run_process(command("head", "-c", std::to_string(size), "/dev/zero"));
    CHECK(here.bytes() < size / 5);
    CHECK(done.out.size() == size);
    CHECK(done.out.find_first_not_of('\0') == std::string::npos);
}

EDDY_TEST("P-03 a process that writes into a pipe which nobody reads does not end; run_process drains it") {
    process p = co_await process::spawn(command("head", "-c", "1000000", "/dev/zero").stdout_pipe());
    auto waiting = spawn([&]() -> task<exit_status> { co_return co_await p.wait(); });
    co_await testing::settle();
    CHECK_FALSE(waiting.done());
    auto got = co_await p.communicate();
    CHECK(got.out->size() == 1'000'000);
    const exit_status st = co_await waiting;
    CHECK(st.success());
    auto drained = co_await run_process(command("head", "-c", "1000000", "/dev/zero"));
    CHECK(drained.out.size() == 1'000'000);
}

EDDY_TEST("P-04 wait returns when the process ends, whoever still holds its stdout") {
    process p = co_await process::spawn(command("sh", "-c", "sleep 100 & echo $!").stdout_pipe());
    const exit_status st = co_await p.wait(); // the grandchild has the pipe
    CHECK(st.success());
    const std::string line = co_await first_line(p);
    const int grandchild = std::stoi(line);
    std::array<std::byte, 8> buffer;
    auto reading = spawn([&]() -> task<std::size_t> { co_return co_await p.stdout_stream().read_some(buffer); });
    co_await testing::settle();
    CHECK_FALSE(reading.done());
    ::kill(grandchild, SIGKILL);
    const std::size_t end = co_await reading;
    CHECK(end == 0);
}

EDDY_TEST("P-05 ten waits at once, and one later: the same status for all") {
    process p = co_await process::spawn(command("sh", "-c", "read x; exit 7").stdin_pipe());
    std::vector<task_handle<exit_status>> waits;
    for (int i = 0; i < 10; ++i) waits.push_back(spawn([&]() -> task<exit_status> { co_return co_await p.wait(); }));
    co_await testing::settle();
    for (const auto& w : waits) CHECK_FALSE(w.done());
    co_await p.stdin_stream().write("\n"sv);
    for (auto& w : waits) {
        const exit_status st = co_await w;
        CHECK(st.code() == 7);
    }
    const exit_status later = co_await p.wait();
    CHECK(later.code() == 7);
    CHECK_FALSE(later.success());
}

EDDY_TEST("P-06 killed by a signal: the status says so") {
    process p = co_await process::spawn(command("sleep", "100"));
    p.signal(SIGUSR1);
    const exit_status st = co_await p.wait();
    CHECK(st.signaled());
    CHECK_FALSE(st.exited());
    CHECK(st.signal() == SIGUSR1);
    CHECK(st.code() == -SIGUSR1);
    CHECK(st.to_string().starts_with("killed by signal " + std::to_string(SIGUSR1) + " ("));
}

EDDY_TEST("P-07 a signal after the end is no_such_process, also before anybody noticed the end") {
    process p = co_await process::spawn(command("true"));
    co_await p.wait();
    std::string text;
    try {
        p.kill();
    } catch (const no_such_process& e) {
        CHECK(e.code() == std::errc::no_such_process);
        text = e.what();
    }
    CHECK(text.find("true (process " + std::to_string(p.pid()) + "), which has ended") != std::string::npos);
    process q = co_await process::spawn(command("cat").stdin_pipe().stdout_pipe());
    co_await q.stdin_stream().close();
    std::array<std::byte, 8> buffer;
    co_await q.stdout_stream().read_some(buffer); // its end, that is at most a moment before it is gone
    siginfo_t info{};
    static_cast<void>(::waitid(P_PID, static_cast<id_t>(q.pid()), &info, WEXITED | WNOWAIT)); // until it is gone
    CHECK_THROWS_AS(q.terminate(), no_such_process);
    CHECK(q.status()->success());
}

EDDY_TEST("P-08 a program that is missing is an error of spawn that names it") {
    collect_strays();
    std::string text;
    try {
        co_await process::spawn(command("no-such-program-here"));
    } catch (const std::system_error& e) {
        CHECK(e.code() == std::errc::no_such_file_or_directory);
        text = e.what();
    }
    CHECK(text.find("cannot run 'no-such-program-here'") != std::string::npos);
    text.clear();
    try {
        co_await process::spawn(command("true").directory("/no/such/place"));
    } catch (const std::system_error& e) {
        text = e.what();
    }
    CHECK(text.find("cannot run 'true': its directory '/no/such/place'") != std::string::npos);
    text.clear();
    try {
        co_await process::spawn(command("/etc/passwd"));
    } catch (const std::system_error& e) {
        CHECK(e.code() == std::errc::permission_denied);
        text = e.what();
    }
    CHECK(text.find("cannot run '/etc/passwd'") != std::string::npos);
    text.clear();
    try {
        co_await process::spawn(command("true").stdout_file("/no/such/place/x"));
    } catch (const std::system_error& e) {
        text = e.what();
    }
    CHECK(text.find("stdout, '/no/such/place/x'") != std::string::npos);
    CHECK((::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD)); // no zombie
}

EDDY_TEST("P-10 communicate cancelled: a bare process goes on") {
    process p = co_await process::spawn(command("cat").stdin_pipe().stdout_pipe());
    const std::string much(1'000'000, 'x');
    auto talking = spawn([&]() -> task<> { co_await p.communicate("x"); });
    co_await this_task::yield();
    co_await talking.cancel_and_join();
    CHECK(p.running());
    p.kill();
    co_await p.wait();
}

EDDY_TEST_REAL("P-10 run_process cancelled: TERM, and the program is collected before the cancellation goes on") {
    const std::string folder = std::filesystem::temp_directory_path() / ("eddy-process-" + std::to_string(::getpid()));
    std::filesystem::create_directory(folder);
    const std::string said = folder + "/said";
    // It says so when it got the signal, and takes its time to end.
    auto running = spawn([&]() -> task<> {
        co_await run_process(command("sh", "-c", "trap 'echo bye >" + said + "; kill $!; exit 3' TERM; echo $$ >" + folder + "/pid; sleep 100 & wait"));
    });
    int pid = 0;
    while (pid == 0) {
        std::ifstream(folder + "/pid") >> pid;
        co_await sleep_for(1ms);
    }
    co_await running.cancel_and_join();
    CHECK_FALSE(exists(pid));
    CHECK(std::filesystem::exists(said));
    std::filesystem::remove_all(folder);
}

EDDY_TEST("P-10 run_process cancelled: a program that ignores TERM is killed after the grace") {
    const auto start = this_loop().now();
    pipe_pair told = make_pipe();
    auto running = spawn([&]() -> task<> {
        const int out = told.writer.native_handle();
        command c("sh", "-c", "trap '' TERM; echo $$ >&" + std::to_string(out) + "; while :; do sleep 100; done");
        co_await run_process(c.inherit(out).new_process_group(), {.grace = 30s});
    });
    buffered_reader r{told.reader};
    const std::string line = co_await r.read_line();
    const int pid = std::stoi(line);
    CHECK(exists(pid));
    co_await running.cancel_and_join();
    CHECK_FALSE(exists(pid));
    CHECK(this_loop().now() - start >= 30s);
}

EDDY_TEST("P-11 spawn cancelled before a worker took it: nothing was started") {
    collect_strays();
    io_test::blocked_pool pool;
    co_await pool.block();
    auto spawning = spawn([]() -> task<> { process p = co_await process::spawn(command("sleep", "100")); });
    co_await io_test::some_turns();
    co_await spawning.cancel_and_join();
    CHECK(spawning.cancelled());
    co_await pool.release();
    CHECK((::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD));
}

EDDY_TEST("P-11 spawn cancelled half-way: no child survives") {
    collect_strays();
    std::optional<int> pid;
    auto spawning = spawn([&]() -> task<> {
        process p = co_await process::spawn(command("sleep", "100"));
        pid = p.pid();
        co_await p.wait();
    });
    while (this_loop().stats().pool_jobs == 0) co_await this_task::yield();
    spawning.cancel();
    co_await spawning.join();
    co_await testing::settle(); // it is collected in the background
    if (pid) CHECK_FALSE(exists(*pid));
    CHECK((::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD));
}

TEST_CASE("P-12 a process object that goes while the process runs: killed, collected, and reported in debug mode alone") {
    const bool always = loop_is_in_debug_mode(); // EDDY_DEBUG asks for it
    for (const engine_kind engine : testing::engines()) {
        for (const bool debug : {true, false}) {
            std::vector<std::string> reports;
            int pid = 0;
            run(drop_a_running_process(reports, pid), {.debug = debug, .engine = engine});
            CHECK_FALSE(exists(pid));
            REQUIRE(reports.size() == (debug || always ? 1 : 0));
            if (!reports.empty()) CHECK(reports[0].find("sleep (process " + std::to_string(pid) + ") still ran") == 0);
        }
    }
}

EDDY_TEST("P-13 a wait cancelled a thousand times leaves nothing behind") {
    process p = co_await process::spawn(command("sleep", "100"));
    const std::size_t tasks = this_loop().stats().tasks;
    const std::size_t operations = this_loop().stats().pending_operations;
    for (int i = 0; i < 1000; ++i) {
        auto waiting = spawn([&]() -> task<> { co_await p.wait(); });
        co_await this_task::yield();
        co_await waiting.cancel_and_join();
    }
    CHECK(this_loop().stats().tasks == tasks);
    CHECK(this_loop().stats().pending_operations == operations);
    p.kill();
    const exit_status st = co_await p.wait();
    CHECK(st.signal() == SIGKILL);
}

EDDY_TEST("P-15 output larger than the reader's limit: the pipe is full, memory bounded") {
    process p = co_await process::spawn(command("head", "-c", "1000000", "/dev/zero").stdout_pipe());
    buffered_reader r{p.stdout_stream(), {.limit = 4096}};
    bool over = false;
    try {
        co_await r.read_line();
    } catch (const limit_overrun&) {
        over = true;
    }
    CHECK(over);
    CHECK(r.buffered().size() < 100'000);
    CHECK(p.running());
    p.kill();
    co_await p.wait();
    bool limited = false;
    try {
        co_await run_process(command("head", "-c", "1000000", "/dev/zero"), {.most = 1000});
    } catch (const limit_overrun&) {
        limited = true;
    }
    CHECK(limited);
}

// P-16 changes what the whole process does, so it runs in a child.
TEST_CASE("child: SIGCHLD is ignored", "[.child]") {
    ::signal(SIGCHLD, SIG_IGN);
    const int rc = run_main([]() -> task<int> {
        process p = co_await process::spawn(command("sh", "-c", "read x; exit 3").stdin_pipe());
        auto waiting = spawn([&]() -> task<exit_status> { co_return co_await p.wait(); });
        co_await this_task::yield();
        co_await p.stdin_stream().write("\n"sv);
        const exit_status st = co_await waiting;
        io_test::say(st.unknown() ? "unknown" : st.to_string());
        auto done = co_await run_process(command("sh", "-c", "echo hi; exit 3"));
        io_test::say(done.out + (done.status.unknown() ? "unknown" : done.status.to_string()));
        co_return 0;
    }());
    io_test::leave(rc);
}
TEST_CASE("P-16 a status that somebody else collected is reported as unknown, and nothing hangs") {
    io_test::child c("child: SIGCHLD is ignored");
    CHECK(c.line() == "unknown");
    CHECK(c.line() == "hi");
    CHECK(c.line() == "unknown");
    CHECK(c.wait() == "exit 0");
}

EDDY_TEST("run_process: status, check, and input") {
    auto done = co_await run_process(command("sh", "-c", "exit 3"));
    CHECK(done.status.code() == 3);
    CHECK(done.out.empty());
    std::string text;
    try {
        co_await run_process(command("sh", "-c", "echo why >&2; exit 3"), {.check = true});
    } catch (const process_failed& e) {
        CHECK(e.status().code() == 3);
        CHECK(e.result().err == "why\n");
        text = e.what();
    }
    CHECK(text == "'sh -c 'echo why >&2; exit 3'': exit code 3");
    auto fed = co_await run_process(command("tr", "a-z", "A-Z"), {.input = "shout"});
    CHECK(fed.out == "SHOUT");
    auto unfed = co_await run_process(command("cat")); // has no input, and not ours
    CHECK(unfed.out.empty());
    auto picky = co_await run_process(command("true"), {.input = std::string_view("does not read it")});
    CHECK(picky.status.success());
}

EDDY_TEST("process: its environment, directory, descriptors and signals") {
    auto env = co_await run_process(command("sh", "-c", "echo $A-$B-$HOME").env("A", "1").env("B", "2").env("B", "3").unset_env("HOME"));
    CHECK(env.out == "1-3-\n");
    auto bare = co_await run_process(command("/usr/bin/env").clear_env().env("X", "y"));
    CHECK(bare.out == "X=y\n");
    auto where = co_await run_process(command("pwd").directory("/usr"));
    CHECK(where.out == "/usr\n");
    // Whatever is open here, in the child there are its three streams and what it opens itself.
    std::array<int, 2> open{};
    REQUIRE(::pipe(open.data()) == 0); // not close-on-exec
    auto fds = co_await run_process(command("ls", "-v", "/proc/self/fd"));
    CHECK(fds.out == "0\n1\n2\n3\n"); // 3 is the directory
    auto passed = co_await run_process(command("ls", "-v", "/proc/self/fd").inherit(open[1]));
    const int directory = open[1] == 3 ? 4 : 3;
    CHECK(passed.out == "0\n1\n2\n" + std::to_string(std::min(directory, open[1])) + "\n" + std::to_string(std::max(directory, open[1])) + "\n");
    ::close(open[0]);
    ::close(open[1]);
    // A pipeline relies on SIGPIPE, which the loop ignores for itself.
    auto pipes = co_await run_process(command("sh", "-c", "yes | head -n 1; kill -PIPE $$; echo survived"));
    CHECK(pipes.out == "y\n");
    CHECK(pipes.status.signal() == SIGPIPE);
}

EDDY_TEST("process: streams from and to files and descriptors") {
    const std::string path = std::filesystem::temp_directory_path() / ("eddy-process-out-" + std::to_string(::getpid()));
    auto first = co_await run_process(command("echo", "one").stdout_file(path));
    CHECK(first.out.empty());
    co_await run_process(command("echo", "two").stdout_append(path));
    auto read = co_await run_process(command("cat").stdin_file(path));
    CHECK(read.out == "one\ntwo\n");
    pipe_pair ends = make_pipe();
    co_await run_process(command("echo", "three").stdout_to(ends.writer.native_handle()));
    co_await ends.writer.close();
    buffered_reader r{ends.reader};
    const std::string text = co_await r.read_to_end();
    CHECK(text == "three\n");
    std::filesystem::remove(path);
    bool refused = false;
    try {
        co_await run_process(command("true").inherit(1));
    } catch (const std::invalid_argument&) {
        refused = true;
    }
    CHECK(refused);
}

EDDY_TEST("process: a pipe that was not asked for is a logic_error that says what to write") {
    process p = co_await process::spawn(command("true"));
    std::string text;
    try {
        static_cast<void>(p.stdout_stream());
    } catch (const std::logic_error& e) {
        text = e.what();
    }
    CHECK(text.find("give its command stdout_pipe()") != std::string::npos);
    CHECK_THROWS_AS(p.stdin_stream(), std::logic_error);
    CHECK_THROWS_AS(p.stderr_stream(), std::logic_error);
    CHECK_THROWS_AS(p.terminal(), std::logic_error);
    CHECK_THROWS_AS(p.signal_group(SIGTERM), std::logic_error);
    co_await p.wait();
    process none;
    CHECK(none.pid() == 0);
    CHECK_THROWS_AS(none.wait(), std::logic_error);
}

EDDY_TEST("process: a group is signalled as a whole, also after its leader ended") {
    process p = co_await process::spawn(command("sh", "-c", "sleep 100 & echo $!").stdout_pipe().new_process_group());
    const std::string line = co_await first_line(p);
    const int member = std::stoi(line);
    const exit_status st = co_await p.wait();
    CHECK(st.success());
    CHECK(exists(member));
    p.signal_group(SIGKILL);
    std::array<std::byte, 8> buffer;
    const std::size_t end = co_await p.stdout_stream().read_some(buffer); // the member had it open
    CHECK(end == 0);
}

EDDY_TEST("process: stop ends it, within the grace or not") {
    process polite = co_await process::spawn(command("sleep", "100"));
    const exit_status first = co_await polite.stop(10min);
    CHECK(first.signal() == SIGTERM);
    const exit_status again = co_await polite.stop(10min);
    CHECK(again == first);
    process p = co_await process::spawn(command("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 100; done").stdout_pipe().new_process_group());
    const std::string line = co_await first_line(p);
    CHECK(line == "ready\n");
    const exit_status second = co_await p.stop(1s);
    CHECK(second.signal() == SIGKILL);
}

EDDY_TEST("process: detached, it goes on, and is collected when it ends") {
    collect_strays();
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    process p = co_await process::spawn(command("cat").stdin_from(ends[0]).stdout_null());
    const int pid = p.pid();
    p.detach();
    CHECK(p.pid() == 0);
    CHECK(exists(pid));
    ::close(ends[0]);
    ::close(ends[1]);
    while (exists(pid)) co_await sleep_for(1ms);
    CHECK((::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD));
}

EDDY_TEST("process: on a terminal") {
    process p = co_await process::spawn(command("sh", "-c", "test -t 0 && test -t 1 && test -t 2 && stty size; read line; echo \"<$line>\"").terminal({.columns = 100, .rows = 30}));
    buffered_reader r{p.terminal()};
    const std::string size = co_await r.read_line();
    CHECK(size == "30 100\r\n");
    co_await p.terminal().write("hello\n"sv);
    const std::string echo = co_await r.read_line();
    CHECK(echo == "hello\r\n");
    const std::string answer = co_await r.read_line();
    CHECK(answer == "<hello>\r\n");
    const std::string rest = co_await r.read_to_end();
    CHECK(rest.empty());
    const exit_status st = co_await p.wait();
    CHECK(st.success());
}

TEST_CASE("process: an object that outlives its loop") {
    int pid = 0;
    {
        process p = run([]() -> task<process> {
            process child = co_await process::spawn(command("sleep", "100"));
            co_return child;
        }());
        pid = p.pid();
        CHECK(exists(pid));
    }
    CHECK_FALSE(exists(pid)); // killed and collected here, since no loop can
}

TEST_CASE("process: one that was detached does not hold up the end of run, and outlives it") {
    const int pid = run([]() -> task<int> {
        process p = co_await process::spawn(command("sleep", "100").stdin_null().stdout_null().stderr_null());
        const int number = p.pid();
        p.detach();
        co_return number;
    }());
    CHECK(exists(pid));
    ::kill(pid, SIGKILL);
    CHECK(::waitpid(pid, nullptr, 0) == pid);
}

EDDY_TEST("process: the program is looked for in its own PATH") {
    temp_directory folder = co_await temp_directory::create();
    const std::string tool = folder.path() + "/eddy-tool";
    co_await write_file(tool, std::string("#!/bin/sh\necho found\n"));
    std::filesystem::permissions(tool, std::filesystem::perms::owner_all);
    auto found = co_await run_process(command("eddy-tool").env("PATH", "/no/such/place:" + folder.path() + ":/bin"));
    CHECK(found.out == "found\n");
    std::filesystem::permissions(tool, std::filesystem::perms::owner_read);
    std::string text;
    try {
        co_await run_process(command("eddy-tool").env("PATH", folder.path()));
    } catch (const std::system_error& e) {
        CHECK(e.code() == std::errc::permission_denied);
        text = e.what();
    }
    CHECK(text.find("cannot run 'eddy-tool'") != std::string::npos);
    co_await folder.remove();
}

EDDY_TEST("process: stop in a scope that is cancelled already does nothing; one that is not awaited neither") {
    process p = co_await process::spawn(command("cat").stdin_pipe());
    {
        auto unawaited = p.stop(1s);
    }
    CHECK(p.stdin_stream().is_open());
    bool cancelled = false;
    co_await with_scope([&](cancel_scope& s) -> task<> {
        s.cancel();
        try {
            co_await p.stop(1s);
        } catch (const operation_cancelled&) {
            cancelled = true;
            throw;
        }
    });
    CHECK(cancelled);
    CHECK(p.running());
    CHECK(p.stdin_stream().is_open());
    co_await p.stop(10min);
    auto patient = co_await run_process(command("true"), {.grace = std::chrono::nanoseconds::max()});
    CHECK(patient.status.success());
}

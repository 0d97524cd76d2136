// Every system call of every scenario fails once, in each way that its manual page knows. Nothing may be left over: no descriptor,
// thread or coroutine frame, which the testing kit sees, and no block of the heap.
#include <eddy/detail/look_up_pool.hpp>
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "coro/allocations.hpp"
#include "faults/fault.hpp"
#include "faults/scenarios.hpp"
#include "io/file_back_end.hpp"
#include "io/support.hpp"
#include "lib/left_out.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

using faults::scenario;

constexpr std::size_t most_of_a_kind = 40; // more calls of one kind are more of the same

const scenario* current_scenario = nullptr;
std::string current_folder;
bool through_ring = false; // or by workers, whose calls are functions of the C library
bool path_wanted = false; // in what an error says: a call on a file failed

/// While it lives, the scenarios' loops may have a ring.
class files_through_ring {
public:
    files_through_ring() noexcept { through_ring = true; }
    files_through_ring(const files_through_ring&) = delete;
    files_through_ring& operator=(const files_through_ring&) = delete;
    ~files_through_ring() { through_ring = false; }
};

task<> run_current_scenario() {
    return current_scenario->run(current_folder);
}

testing::test_report run_once(const scenario& s) {
    std::optional<io_test::without_ring> on_workers;
    if (!through_ring) on_workers.emplace();
    const io_test::temporary_folder folder;
    current_scenario = &s;
    current_folder = folder.file("work");
    std::filesystem::create_directory(current_folder);
    testing::test_report report = testing::run_test(&run_current_scenario, s.time, engine_kind::automatic);
    fault::armed::disarm(); // a test that was given up on leaves it
    return report;
}

/// Says what failed, and not only how.
bool names_something(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const faults::wrong&) {
        return false;
    } catch (const exception_group& g) {
        for (const std::exception_ptr& e : g.errors()) {
            if (!names_something(e)) return false;
        }
        return true;
    } catch (const std::system_error& e) {
        const std::string what = e.what();
        const std::string message = e.code().message();
        if (path_wanted && what.find(current_folder) == std::string::npos) return false;
        return what.find(message) != std::string::npos && what.size() > message.size() + 2;
    } catch (const std::bad_alloc&) { // for ENOMEM
        return true;
    } catch (const std::exception& e) {
        return *e.what() != '\0';
    } catch (...) {
        return false;
    }
}

bool is_report(const std::string& problem) {
    return problem.starts_with("unreported: "); // an error that a task of the library had to report: fine while something fails
}

/// What is wrong with how it ended; empty if nothing is.
std::string judged(const testing::test_report& r, bool may_fail) {
    for (const std::string& p : r.problems) {
        if (!may_fail || !is_report(p)) return p;
    }
    if (!r.error) return {};
    if (may_fail && names_something(r.error)) return {};
    return eddy::detail::describe(r.error);
}

/// A run, and how many blocks it has left on the heap. A thread of its own: what a thread keeps for later goes with it.
long run_and_judge(const scenario& s, bool may_fail, std::string& problem) {
    const long before = allocations::live();
    std::thread([&] { problem = judged(run_once(s), may_fail); }).join();
    return allocations::live() - before;
}

/// `plan` makes the plan. A block that is left may be there for good, from a first time; that is no leak if a second run leaves none.
template <class F>
void check(const scenario& s, F plan, const std::string& description, bool may_fail) {
    std::string problem;
    plan();
    const long first = run_and_judge(s, may_fail, problem);
    if (problem.empty() && first > 0) {
        plan();
        const long second = run_and_judge(s, may_fail, problem);
        if (problem.empty() && second > 0) problem = "each run leaves blocks on the heap: " + std::to_string(first) + ", then " + std::to_string(second);
    }
    if (problem.empty()) return;
    FAIL_CHECK(std::string(s.name) + ", " + description + ": " + problem);
}

void check_without_faults(const scenario& s, const std::string& when) {
    check(s, &fault::count_calls, when, false);
}

std::vector<int> errors_of(const fault::description& d) {
    std::vector<int> errors(d.possible_errors().begin(), d.possible_errors().end());
    if (d.interruptible) errors.push_back(EINTR);
    return errors;
}

std::string message_of(int error) {
    return error < 0 ? resolve_category().message(error) : std::generic_category().message(error);
}

/// After which the scenario goes on as if nothing had been: the pool does what the ring does not, and what was not done is done again.
bool is_passed_over(fault::call c, int error) {
    using enum fault::call;
    if (!fault::is_of_ring(c)) return false;
    return c == ring_cancel || c == ring_dontfork || c == ring_probe || c == ring_setup || c == ring_submit || error == ECANCELED || error == EINTR;
}

// The first run may also do what is done once in a process.
template <class Wanted>
void fail_each_call(const scenario& s, Wanted wanted) {
    check_without_faults(s, "a first time");
    check_without_faults(s, "while its calls are counted");
    std::vector<std::size_t> calls;
    std::size_t injected = 0; // which calls a run makes may depend on when a worker or a child is ready
    for (const fault::description& d : fault::all_calls()) calls.push_back(std::min(most_of_a_kind, fault::count(d.id)));
    for (const fault::description& d : fault::all_calls()) {
        path_wanted = fault::is_of_ring(d.id);
        const std::size_t times = wanted(d.id) ? calls[static_cast<std::size_t>(d.id)] : 0;
        for (const int error : errors_of(d)) {
            const std::string name(d.name);
            for (std::size_t n = 1; n <= times; ++n) {
                const std::string plan = name + " " + std::to_string(n) + " of " + std::to_string(times) + " fails: " + message_of(error);
                check(s, [&] { fault::fail_nth(d.id, n, error); }, plan, !is_passed_over(d.id, error));
                injected += fault::injected();
            }
            if (times > 0) check_without_faults(s, "after failures of " + name);
        }
    }
    path_wanted = false;
    if (injected == 0) FAIL_CHECK(std::string(s.name) + ": no call of it failed");
}

bool is_on_asio() {
    const char* const engine = std::getenv("EDDY_ENGINE");
    return engine && std::string_view(engine) == "asio";
}

#ifdef EDDY_HAVE_IO_URING

/// The scenarios with files, on loops that have a ring.
template <class F>
void for_each_scenario_of_ring(F f) {
    if (is_on_asio()) return; // which has none
    if (!run(io_test::has_ring())) return tests::left_out("this kernel has no io_uring for us");
    const files_through_ring here;
    std::size_t found = 0;
    const auto try_one = [&](const scenario& s) {
        check_without_faults(s, "through the ring");
        if (fault::count(fault::call::ring_submit) == 0) return;
        ++found;
        f(s);
    };
    for (const scenario& s : faults::io_scenarios()) try_one(s);
    for (const scenario& s : faults::further_io_scenarios()) try_one(s);
    for (const scenario& s : faults::ring_scenarios()) try_one(s);
    CHECK(found >= 5);
}

#endif

template <class F>
void for_each_scenario(F f) {
    for (const scenario& s : faults::io_scenarios()) f(s);
    for (const scenario& s : faults::further_io_scenarios()) f(s);
    for (const scenario& s : faults::http_scenarios()) f(s);
    for (const scenario& s : faults::tls_scenarios()) f(s);
}

task<> sleep_a_little() {
    co_await sleep_for(1us);
}

/// The words of a run with its own loop, in real time, all of which is under the plan.
std::string end_of_a_run() {
    const fault::armed here;
    return words::of_call([] {
        run(sleep_a_little());
        return 0;
    });
}

template <class F>
std::size_t receive_calls_of(F f) {
    fault::count_calls();
    const fault::armed here;
    f();
    return fault::count(fault::call::recv);
}

} // namespace

TEST_CASE("the shim's descriptions are in the order of its calls") {
    std::size_t i = 0;
    for (const fault::description& d : fault::all_calls()) CHECK(static_cast<std::size_t>(d.id) == i++);
}

TEST_CASE("calls fail while a plan is armed, and only the one that it says") {
    fault::fail_nth(fault::call::socket, 2, EMFILE);
    CHECK_NOTHROW(tcp_listener::bind({"127.0.0.1", 0}));
    {
        const fault::armed here;
        CHECK_NOTHROW(tcp_listener::bind({"127.0.0.1", 0}));
        const std::string end = words::of_call([] { return tcp_listener::bind({"127.0.0.1", 0}); });
        CHECK(end == "socket for 127.0.0.1:0: Too many open files");
        CHECK_NOTHROW(tcp_listener::bind({"127.0.0.1", 0}));
    }
    CHECK(fault::injected() == 1);
    CHECK(fault::count(fault::call::socket) == 3);
}

EDDY_TEST("closing TCP looks for input that nobody has read only where it may be there and would do harm") {
    const auto close = [](tcp_stream& s) { s = tcp_stream(); };
    io_test::connection silent = co_await io_test::connected(); // nothing was written that could get lost
    const std::size_t of_silent = receive_calls_of([&] { close(silent.server); });
    CHECK(of_silent == 0);
    io_test::connection idle = co_await io_test::connected();
    co_await idle.server.write("x");
    const std::size_t of_idle = receive_calls_of([&] { close(idle.server); });
    CHECK(of_idle == 1);
    io_test::connection unread = co_await io_test::connected();
    co_await unread.server.write("x");
    co_await unread.client.write("y");
    const std::size_t of_unread = receive_calls_of([&] { close(unread.server); });
    CHECK(of_unread == 2);
    io_test::connection ended = co_await io_test::connected();
    co_await ended.server.write("x");
    co_await ended.client.shutdown_write();
    const std::string end = co_await io_test::read_text(ended.server);
    CHECK(end == "");
    const std::size_t of_ended = receive_calls_of([&] { close(ended.server); });
    CHECK(of_ended == 0);
    io_test::connection aborted = co_await io_test::connected();
    co_await aborted.server.write("x");
    const std::size_t of_aborted = receive_calls_of([&] { aborted.server.abort(); });
    CHECK(of_aborted == 0);
}

EDDY_TEST("a half-close that fails has ended nothing: writing goes on, and it may be tried again") {
    io_test::connection c = co_await io_test::connected();
    fault::fail_nth(fault::call::shutdown, 1, ENOBUFS);
    const fault::armed here;
    const std::string failed = co_await words::ending(c.client.shutdown_write());
    CHECK(failed.ends_with(": No buffer space available"));
    co_await c.client.write("more");
    co_await c.client.shutdown_write();
    const std::string got = co_await io_test::read_all(c.server);
    CHECK(got == "more");
    const std::string late = co_await words::ending(c.client.write("x"));
    CHECK(late.ends_with(" after shutdown_write"));
}

EDDY_TEST("a connection that a firewall forbids is passed over, and no server pauses for it") {
    const auto started = loop_clock::now();
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const ip_endpoint where = l.local_endpoint();
    server srv{std::move(l), [](tcp_stream s) -> task<> { co_await s.write("hello"); }, {.pause = 1h}};
    srv.start();
    co_await testing::settle();
    fault::fail_nth(fault::call::accept4, 1, EPERM);
    const fault::armed here;
    tcp_stream c = co_await tcp_connect(where);
    const std::string got = co_await io_test::read_all(c);
    CHECK(got == "hello");
    CHECK(fault::injected() == 1);
    CHECK(loop_clock::now() - started < 1h);
    co_await srv.shutdown(0s);
}

EDDY_TEST("look-ups that were cancelled while no name server answers keep sixteen threads at most, and none of those for files") {
    const io_test::without_ring on_workers;
    const io_test::temporary_folder folder;
    std::optional<fault::silent_name_servers> silent(std::in_place);
    std::vector<task_handle<std::vector<ip_endpoint>>> all;
    for (int i = 0; i < 40; ++i) all.push_back(spawn(resolve("localhost", "80")));
    while (silent->asked() < 16) co_await this_task::yield();
    for (auto& h : all) {
        co_await h.cancel_and_join();
        CHECK(h.cancelled());
    }
    CHECK(silent->asked() == 16);
    CHECK(detail::look_up_pool(this_loop()).queued() == 0);
    co_await write_file(folder.file("file"), std::string("text"));
    const std::string text = co_await read_file(folder.file("file"));
    CHECK(text == "text");
    auto given_up = spawn(resolve("localhost", "80"));
    auto late = spawn(resolve("localhost", "80"));
    while (detail::look_up_pool(this_loop()).queued() < 2) co_await this_task::yield();
    co_await given_up.cancel_and_join();
    CHECK(given_up.cancelled());
    silent.reset();
    const std::vector<ip_endpoint> found = co_await late;
    CHECK_FALSE(found.empty());
}

TEST_CASE("each system call of the library may fail: an error that names something, no leak, and no harm to what comes after") {
    for_each_scenario([](const scenario& s) { fail_each_call(s, [](fault::call) { return true; }); });
}

TEST_CASE("signals that interrupt every call are not seen") {
    for_each_scenario([](const scenario& s) {
        if (!s.outlasts_signals) return;
        for (const std::size_t in_a_row : {1u, 3u})
            check(s, [&] { fault::eintr_storm(in_a_row); }, "each call interrupted " + std::to_string(in_a_row) + " times", false);
    });
}

#ifdef EDDY_HAVE_IO_URING

TEST_CASE("files through io_uring: each operation and each step towards the ring may fail, and what cannot go there the pool does") {
    const auto is_theirs = [](fault::call c) { return fault::is_of_ring(c) || c == fault::call::epoll_add || c == fault::call::lseek; };
    for_each_scenario_of_ring([&](const scenario& s) { fail_each_call(s, is_theirs); });
}

TEST_CASE("files through io_uring: a kernel that takes nothing for a while, or nothing any more, is not seen") {
    for_each_scenario_of_ring([](const scenario& s) {
        for (const int error : {EAGAIN, EBUSY, ENOMEM, EBADF}) {
            for (const std::size_t n : {1u, 2u, 5u}) {
                const std::string plan = "submission " + std::to_string(n) + " and 19 more fail: " + message_of(error);
                check(s, [&] { fault::fail_nth(fault::call::ring_submit, n, error, 20); }, plan, false);
            }
        }
    });
}

TEST_CASE("files through io_uring: operations that are interrupted, given up by the kernel, or do less than they were asked for go on") {
    for_each_scenario_of_ring([](const scenario& s) {
        for (const std::size_t in_a_row : {1u, 3u})
            check(s, [&] { fault::eintr_storm(in_a_row); }, "each call interrupted " + std::to_string(in_a_row) + " times", false);
        check(s, [] { fault::short_transfers(false); }, "three bytes at a time", false);
        for (const fault::call c : {fault::call::ring_open, fault::call::ring_read, fault::call::ring_write})
            check(s, [&] { fault::fail_nth(c, 1, ECANCELED, 9); }, "given up nine times", false);
    });
}

#endif

TEST_CASE("calls that do less than they were asked for are made again") {
    for_each_scenario([](const scenario& s) {
        check(s, [] { fault::short_transfers(is_on_asio()); }, "three bytes at a time", false);
    });
}

TEST_CASE("a loop that lacks a descriptor or memory is not made, and its making leaves nothing behind") {
    const std::size_t before = io_test::open_descriptors();
    for (const int error : {EMFILE, ENOMEM}) {
        for (const fault::call c : {fault::call::epoll_create1, fault::call::eventfd, fault::call::timerfd_create, fault::call::epoll_add}) {
            for (std::size_t n = 1; n <= 4; ++n) {
                fault::fail_nth(c, n, error);
                const std::string end = end_of_a_run();
                const std::string message = std::generic_category().message(error);
                const bool named = end == "ok" || (end.ends_with(message) && end.size() > message.size() + 2);
                if (!named) FAIL_CHECK("call " + std::to_string(n) + " of its kind fails: " + end);
                CHECK(io_test::open_descriptors() == before);
            }
        }
    }
    fault::count_calls();
    CHECK(end_of_a_run() == "ok");
}

// Functions in other processes.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <eddy/process_pool.hpp>

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <map>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

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

using namespace eddy;
using namespace std::chrono_literals;

namespace {

int twice(int x) { return 2 * x; }
EDDY_REMOTE(twice)

struct basket {
    std::string article;
    std::vector<int> amounts;
};
auto wire_fields(basket& o) { return std::tie(o.article, o.amounts); }
int amount_of(const basket& o, std::string_view unit, std::span<const int> factors) {
    return static_cast<int>(unit.size()) + std::inner_product(factors.begin(), factors.end(), o.amounts.begin(), 0);
}
EDDY_REMOTE(amount_of)
std::string reversed(std::string text) noexcept {
    std::reverse(text.begin(), text.end());
    return text;
}
EDDY_REMOTE(reversed)
int own_pid() { return ::getpid(); }
EDDY_REMOTE(own_pid)
int parent_pid() { return ::getppid(); }
EDDY_REMOTE(parent_pid)
void by_signal(int number) { ::raise(number); }
EDDY_REMOTE(by_signal)
void by_exit(int code) { std::_Exit(code); }
EDDY_REMOTE(by_exit)
/// Until somebody ends it.
void hang() {
    this_call::progress(1);
    for (;;) ::pause();
}
EDDY_REMOTE(hang)
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
int until_stopped(std::stop_token stop, int result) {
    this_call::progress(1);
    while (!stop.stop_requested()) std::this_thread::yield();
    return result;
}
EDDY_REMOTE(until_stopped)
void stopped_by_throwing(std::stop_token stop) {
    this_call::progress(1);
    while (!stop.stop_requested()) std::this_thread::yield();
    throw operation_cancelled();
}
EDDY_REMOTE(stopped_by_throwing)
int counts_to(int n) {
    for (int i = 1; i <= n; ++i) this_call::progress(i);
    return n;
}
EDDY_REMOTE(counts_to)
/// Reports once more when its call is over, and then makes `file`.
int reports_late(std::string file) {
    std::thread([file] {
        std::this_thread::sleep_for(20ms);
        this_call::progress(99);
        std::ofstream(file).put('x');
    }).detach();
    this_call::progress(1);
    return 1;
}
EDDY_REMOTE(reports_late)
/// Its attempts are counted in a file.
int succeeds_third(std::string file) {
    std::ofstream(file, std::ios::app).put('x');
    const auto size = std::ifstream(file, std::ios::ate).tellg();
    if (size < 3) throw std::runtime_error("not yet");
    return static_cast<int>(size);
}
EDDY_REMOTE(succeeds_third)
int reports_to_listener(int n) {
    for (int i = 1; i <= n; ++i) report_progress(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(n));
    return n;
}
EDDY_REMOTE(reports_to_listener)
bool somebody_listens() { return progress_wanted(); }
EDDY_REMOTE(somebody_listens)
std::string file_at_sigterm;
void leaves_a_file_at_sigterm(std::string file) {
    file_at_sigterm = std::move(file);
    ::signal(SIGTERM, [](int) {
        std::fclose(std::fopen(file_at_sigterm.c_str(), "w"));
        std::_Exit(0);
    });
    this_call::progress(1);
    for (;;) ::pause();
}
EDDY_REMOTE(leaves_a_file_at_sigterm)
void says(const char* text) { this_call::log(text); }
EDDY_REMOTE(says)

class bad_order : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};
const remote_exception<bad_order> bad_order_crosses;
/// Its code is of a category that cannot be sent.
struct odd_error : std::runtime_error {
    odd_error() : std::runtime_error("odd") {}
    std::error_code code = std::make_error_code(std::future_errc::broken_promise);
};
auto wire_fields(odd_error& e) { return std::tie(e.code); }
const remote_exception<odd_error> odd_error_crosses;
struct unknown_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};
void fails_somehow(int how) {
    if (how == 0) throw std::out_of_range("no such article");
    if (how == 1) throw bad_order("none left");
    if (how == 2) throw unknown_error("nobody registered it");
    if (how == 3) throw std::system_error(std::make_error_code(std::errc::permission_denied), "open x");
    throw 42;
}
EDDY_REMOTE(fails_somehow)
void fails_oddly() { throw odd_error(); }
EDDY_REMOTE(fails_oddly)

int warmth = 0;
void warms_up() { warmth += 10; }
EDDY_REMOTE(warms_up)
void preloads() { warmth += 100; }
EDDY_REMOTE(preloads)
int how_warm() { return warmth; }
EDDY_REMOTE(how_warm)
void fails_to_warm_up() { throw bad_order("cold"); }
EDDY_REMOTE(fails_to_warm_up)
std::size_t takes_memory(std::size_t bytes) {
    std::vector<char> v(bytes, 'x');
    return v.size();
}
EDDY_REMOTE(takes_memory)
int not_registered(int x) { return x; }

/// Does it exist, be it as a zombie?
bool there_is(int pid) { return ::kill(pid, 0) == 0; }
/// Does it run? One that nobody collects, as in a container without an init process, does not.
bool lives(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    if (!std::getline(file, line)) return false;
    const std::size_t name_end = line.rfind(')');
    return name_end != std::string::npos && name_end + 2 < line.size() && line[name_end + 2] != 'Z' && line[name_end + 2] != 'X';
}
/// Real time; the test's watchdog ends it.
task<> until_gone(int pid) {
    while (lives(pid)) co_await this_task::yield();
}

} // namespace

EDDY_TEST("process_pool: a function runs in another process, and its result comes back") {
    process_pool pp{2};
    CHECK(pp.size() == 2);
    const int v = co_await pp.run(twice, 21);
    CHECK(v == 42);
    const int pid = co_await pp.run(own_pid);
    CHECK(pid != ::getpid());
    const int server = co_await pp.run(parent_pid);
    CHECK(server != ::getpid());
    CHECK(pp.stats().started == 1); // one was enough
    CHECK(pp.stats().calls == 3);
    co_await pp.close();
    CHECK_FALSE(there_is(pid));
    CHECK_FALSE(there_is(server));
    std::string text;
    try {
        co_await pp.run(twice, 1);
    } catch (const closed_resource& e) {
        text = e.what();
    }
    CHECK(text == "process_pool: it is closed, and 'twice' was not called");
    co_await pp.close(); // twice does no harm
}

EDDY_TEST("process_pool: arguments of many kinds, by value, by reference and as views") {
    process_pool pp{1};
    const basket o{"pears", {1, 2, 3}};
    const std::vector<int> factors{1, 10, 100};
    const int n = co_await pp.run(amount_of, o, "kilos", factors);
    CHECK(n == 326);
    const std::string text = co_await pp.run(reversed, std::string("stressed"));
    CHECK(text == "desserts");
    CHECK(amount_of(o, "kilos", factors) == 326); // it is a function like any other
}

EDDY_TEST("process_pool: arguments and results of megabytes cross in a memfd") {
    process_pool pp{1};
    for (const std::size_t size : {std::size_t(65'000), std::size_t(65'512), std::size_t(66'000), std::size_t(5'000'000)}) {
        std::string text(size, 'x');
        text.front() = 'a';
        const std::string back = co_await pp.run(reversed, text);
        CHECK(back.size() == size);
        CHECK(back.back() == 'a');
    }
}

EDDY_TEST("process_pool: map gives the results in the order of the items") {
    process_pool pp{2};
    std::vector<int> in(100);
    std::iota(in.begin(), in.end(), 0);
    const std::vector<int> all = co_await pp.map(twice, in);
    REQUIRE(all.size() == 100);
    for (int i = 0; i < 100; ++i) CHECK(all[static_cast<std::size_t>(i)] == 2 * i);
    const std::vector<int> chunked = co_await pp.map(twice, in, {.chunk = 7});
    CHECK(chunked == all);
    std::vector<int> none;
    const std::vector<int> nothing = co_await pp.map(twice, none);
    CHECK(nothing.empty());
    CHECK(pp.stats().started == 2);
}

EDDY_TEST("process_pool: a map whose items fail throws the first error, and the pool goes on") {
    process_pool pp{2};
    std::vector<int> in{1, 1, 1, 1, 1, 1};
    bool failed = false;
    try {
        co_await pp.map(fails_somehow, in);
    } catch (const bad_order& e) {
        failed = std::string_view(e.what()) == "none left";
    }
    CHECK(failed);
    const int v = co_await pp.run(twice, 1);
    CHECK(v == 2);
}

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

EDDY_TEST("process_pool: exceptions cross as themselves where they are registered, else by name and text") {
    process_pool pp{1};
    std::string log;
    for (int how = 0; how < 5; ++how) {
        try {
            co_await pp.run(fails_somehow, how);
        } catch (const std::out_of_range& e) {
            log += std::string("range: ") + e.what() + "; ";
        } catch (const bad_order& e) {
            log += std::string("order: ") + e.what() + "; ";
        } catch (const std::system_error& e) {
            log += std::string("system: ") + e.what() + (e.code() == std::errc::permission_denied ? "!; " : "?; ");
        } catch (const remote_error& e) {
            log += "[" + e.type_name() + "] [" + std::string(e.message()) + "] ";
        }
    }
    CHECK(log == "range: no such article; order: none left; [(anonymous namespace)::unknown_error] [nobody registered it] "
                 "system: open x: Permission denied!; [int] [] ");
    CHECK(pp.stats().failed == 5);
    CHECK(pp.stats().started == 1); // the worker lives
}

EDDY_TEST("process_pool: an exception that cannot be written crosses by name and text, and the worker lives") {
    process_pool pp{1};
    std::string text;
    try {
        co_await pp.run(fails_oddly);
    } catch (const remote_error& e) {
        text = e.message();
    }
    CHECK(text == "odd");
    const int v = co_await pp.run(twice, 1);
    CHECK(v == 2);
    CHECK(pp.stats().started == 1);
}

EDDY_TEST("process_pool: a function that is not registered is refused at once, with what to write") {
    process_pool pp{1};
    std::string text;
    try {
        co_await pp.run(not_registered, 1);
    } catch (const std::logic_error& e) {
        text = e.what();
    }
    CHECK(text.find("EDDY_REMOTE") != std::string::npos);
}

EDDY_TEST("process_pool: more calls than workers wait their turn, first come first served", "[fifo]") {
    process_pool pp{1};
    std::vector<int> order;
    auto call = [&](int i) -> task<> {
        static_cast<void>(co_await pp.run(twice, i));
        order.push_back(i);
    };
    auto body = [&](task_group& g) -> task<> {
        for (int i = 0; i < 5; ++i) g.spawn(call, i);
        co_return;
    };
    co_await with_task_group(body);
    CHECK(order == std::vector<int>{0, 1, 2, 3, 4});
    CHECK(pp.stats().started == 1);
}

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

EDDY_TEST("process_pool: progress goes into a queue or to a function, in order; the wrong type is an error of the call") {
    process_pool pp{1};
    std::vector<int> seen;
    auto show = [&](int i) { seen.push_back(i); };
    const int n = co_await pp.run({.progress = progress_to<int>(show)}, counts_to, 5);
    CHECK(n == 5);
    CHECK(seen == std::vector<int>{1, 2, 3, 4, 5});
    queue<double> other(4);
    std::string text;
    try {
        co_await pp.run({.progress = progress_to(other)}, counts_to, 5);
    } catch (const std::logic_error& e) {
        text = e.what();
    }
    CHECK(text.find("'counts_to' reports its progress in another type") != std::string::npos);
    CHECK(counts_to(3) == 3); // here nobody listens
}

EDDY_TEST("process_pool: what a thread reports after its call's end is not taken for the next one's") {
    process_pool pp{1};
    const std::string file = "/tmp/eddy-late-report-" + std::to_string(::getpid());
    std::vector<int> seen;
    auto show = [&](int i) { seen.push_back(i); };
    static_cast<void>(co_await pp.run({.progress = progress_to<int>(show)}, reports_late, file));
    while (::access(file.c_str(), F_OK) != 0) co_await this_task::yield();
    ::unlink(file.c_str());
    static_cast<void>(co_await pp.run({.progress = progress_to<int>(show)}, counts_to, 2));
    CHECK(seen == std::vector<int>{1, 1, 2});
}

EDDY_TEST("process_pool: background on_processes retries, maps and tells its progress") {
    process_pool pp{2};
    const std::string file = "/tmp/eddy-attempts-" + std::to_string(::getpid());
    background_options options;
    options.retry = retry_policy{.attempts = 5};
    const int third = co_await background(on_processes(pp), options, succeeds_third, file);
    ::unlink(file.c_str());
    CHECK(third == 3);
    std::vector<int> in{1, 2, 3};
    const std::vector<int> all = co_await background_map(on_processes(pp), twice, in);
    CHECK(all == std::vector<int>{2, 4, 6});
    bool listens = co_await background(on_processes(pp), somebody_listens);
    CHECK_FALSE(listens);
    std::uint64_t heard = 0;
    progress_listener listener([&](const progress_report& p) { heard = p.done; });
    const auto listening = listener.listen();
    listens = co_await background(on_processes(pp), somebody_listens);
    CHECK(listens);
    for (const int n : {1, 10, 20'000}) { // more than the socket has room for
        static_cast<void>(co_await background(on_processes(pp), reports_to_listener, n));
        CHECK(heard == static_cast<std::uint64_t>(n));
    }
}

EDDY_TEST_REAL("process_pool: background on_processes with a time limit ends the function") {
    process_pool pp{{.workers = 1, .kill_grace = 10ms}};
    co_await pp.start();
    bool late = false;
    try {
        co_await background(on_processes(pp), {.timeout = 20ms}, hang);
    } catch (const timeout_error&) {
        late = true;
    }
    CHECK(late);
    CHECK(pp.stats().ended_by_us == 1);
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

EDDY_TEST("process_pool: lines that a worker logs arrive with their function and process") {
    process_pool pp{1};
    std::vector<std::string> lines;
    int pid = 0;
    pp.on_log([&](const worker_log& l) {
        lines.push_back(std::string(l.function) + ": " + std::string(l.text));
        pid = l.pid;
    });
    co_await pp.run(says, "hello");
    CHECK(lines == std::vector<std::string>{"says: hello"});
    CHECK(pid == pp.worker_pids().front());
}

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
#endif

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

EDDY_TEST("process_pool: close lets the calls that were made end first") {
    process_pool pp{1};
    auto first = spawn([&]() -> task<int> { co_return co_await pp.run(twice, 1); });
    auto second = spawn([&]() -> task<int> { co_return co_await pp.run(twice, 2); });
    while (pp.stats().busy + pp.stats().waiting < 2) co_await this_task::yield();
    co_await pp.close();
    CHECK(first.done());
    CHECK(second.done());
    const int v = co_await second;
    CHECK(v == 4);
}

// Functions in other processes: calls, maps, and what they say while they run.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <eddy/process_pool.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "io/pool_functions.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using namespace pool_functions;

namespace {

int counts_to(int n) {
    for (int i = 1; i <= n; ++i) this_call::progress(i);
    return n;
}
EDDY_REMOTE(counts_to)
/// Reports once more when its call is over, which the caller says by a byte in a named pipe, and then makes `file`.
int reports_late(std::string file) {
    std::thread([file] {
        std::ifstream(file + ".over").get();
        this_call::progress(99);
        std::ofstream(file).put('x');
    }).detach();
    this_call::progress(1);
    return 1;
}
EDDY_REMOTE(reports_late)
bool is_in_worker() { return this_call::in_worker(); }
EDDY_REMOTE(is_in_worker)
void says(const char* text) { this_call::log(text); }
EDDY_REMOTE(says)

int not_registered(int x) { return x; }
int registered_late(int x) { return x; }

/// 0, 1, 2 and so on; tells how far it was read.
class read_range {
public:
    explicit read_range(int n) noexcept : size_(n) {}
    class iterator {
    public:
        iterator(int* read, int at) noexcept : read_(read), at_(at) {}
        int operator*() const noexcept {
            ++*read_;
            return at_;
        }
        iterator& operator++() noexcept {
            ++at_;
            return *this;
        }
        bool operator!=(const iterator& o) const noexcept { return at_ != o.at_; }

    private:
        int* read_;
        int at_;
    };
    [[nodiscard]] iterator begin() noexcept { return {&read, 0}; }
    [[nodiscard]] iterator end() noexcept { return {&read, size_}; }
    int read = 0;

private:
    int size_;
};

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
    const std::string over = file + ".over";
    REQUIRE(::mkfifo(over.c_str(), 0600) == 0);
    static_cast<void>(co_await pp.run({.progress = progress_to<int>(show)}, reports_late, file));
    const int pipe = ::open(over.c_str(), O_RDWR | O_CLOEXEC);
    REQUIRE(::write(pipe, "x", 1) == 1);
    while (::access(file.c_str(), F_OK) != 0) co_await this_task::yield();
    ::close(pipe);
    ::unlink(over.c_str());
    ::unlink(file.c_str());
    static_cast<void>(co_await pp.run({.progress = progress_to<int>(show)}, counts_to, 2));
    CHECK(seen == std::vector<int>{1, 1, 2});
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

EDDY_TEST("process_pool: a function that was registered after the program's start is not known to the workers") {
    static const eddy::detail::remote_registration<+registered_late> late("registered_late");
    process_pool pp{1};
    std::string text;
    try {
        co_await pp.run(registered_late, 1);
    } catch (const std::logic_error& e) {
        text = e.what();
    }
    CHECK(text == "process_pool: the worker does not know this function; it was registered after the program's start (in a library that was loaded later?)");
    const int v = co_await pp.run(twice, 1);
    CHECK(v == 2);
    CHECK(pp.stats().started == 1);
}

EDDY_TEST("process_pool: map reads its range no further than the calls that are on their way") {
    process_pool pp{1};
    read_range numbers(100);
    auto mapping = spawn([&]() -> task<> { static_cast<void>(co_await pp.map(until_stopped, numbers, {.in_flight = 3})); });
    while (pp.stats().busy < 1 || pp.stats().waiting < 2) co_await this_task::yield();
    for (int i = 0; i < 100; ++i) co_await this_task::yield();
    CHECK(numbers.read == 3);
    co_await mapping.cancel_and_join();
    CHECK(mapping.cancelled());
    CHECK(numbers.read <= 4); // the one whose result was kept
    const std::vector<int> all = co_await pp.map(twice, numbers, {.in_flight = 2, .chunk = 30});
    CHECK(all.size() == 100);
    CHECK(all.back() == 198);
}

EDDY_TEST("process_pool: a function can ask whether it runs in a worker") {
    process_pool pp{1};
    const bool there = co_await pp.run(is_in_worker);
    CHECK(there);
    CHECK_FALSE(is_in_worker());
}

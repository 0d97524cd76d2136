// Functions in other processes: their arguments, results, exceptions, and what they say.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <eddy/process_pool.hpp>

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <future>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "io/pool_functions.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using namespace pool_functions;

namespace {

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
bool is_in_worker() { return this_call::in_worker(); }
EDDY_REMOTE(is_in_worker)
void says(const char* text) { this_call::log(text); }
EDDY_REMOTE(says)

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
int not_registered(int x) { return x; }
int registered_late(int x) { return x; }

/// A class of other people, which a codec sends; some of them it refuses.
class temperature {
public:
    explicit temperature(double kelvin) noexcept : kelvin_(kelvin) {}
    [[nodiscard]] double kelvin() const noexcept { return kelvin_; }

private:
    double kelvin_;
};

} // namespace

template <>
struct eddy::wire::codec<temperature> {
    static void write(writer& out, const temperature& t) {
        if (t.kelvin() < 0) throw std::domain_error("there is no such temperature");
        out.write(t.kelvin());
    }
    static temperature read(reader& in) {
        const auto kelvin = in.read<double>();
        if (kelvin > 1e32) throw malformed("a temperature above all others");
        return temperature(kelvin);
    }
};

namespace {

temperature warmer(temperature t, double by) { return temperature(t.kelvin() + by); }
EDDY_REMOTE(warmer)

/// Its process may not write files, memfds among them.
std::string longer_than_it_may_be(std::size_t n) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit none{0, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &none);
    return std::string(n, 'x');
}
EDDY_REMOTE(longer_than_it_may_be)

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

EDDY_TEST("process_pool: a class with a codec crosses; what the codec refuses is an error of the call, and the worker lives") {
    process_pool pp{1};
    const temperature t = co_await pp.run(warmer, temperature(300), 5.0);
    CHECK(t.kelvin() == 305);
    std::string text;
    try {
        co_await pp.run(warmer, temperature(1), -2.0); // the result cannot be written
    } catch (const std::domain_error& e) {
        text = e.what();
    }
    CHECK(text == "there is no such temperature");
    text.clear();
    try {
        co_await pp.run(warmer, temperature(-1), 2.0); // nor can the argument: there is no call
    } catch (const std::domain_error& e) {
        text = e.what();
    }
    CHECK(text == "there is no such temperature");
    text.clear();
    try {
        co_await pp.run(warmer, temperature(1e32), 1e32); // the result cannot be read
    } catch (const wire::malformed& e) {
        text = e.what();
    }
    CHECK(text == "a temperature above all others");
    text.clear();
    try {
        co_await pp.run(warmer, temperature(2e32), 0.0); // nor can the argument, in the worker
    } catch (const wire::malformed& e) {
        text = e.what();
    }
    CHECK(text == "a temperature above all others");
    const int v = co_await pp.run(twice, 1);
    CHECK(v == 2);
    CHECK(pp.stats().started == 1);
    CHECK(pp.stats().busy == 0);
}

EDDY_TEST("process_pool: a result for which there is no room fails its call, and the worker lives") {
    process_pool pp{1};
    std::string text;
    std::error_code code;
    try {
        co_await pp.run(longer_than_it_may_be, 1'000'000);
    } catch (const std::system_error& e) {
        text = e.what();
        code = e.code();
    }
    CHECK(code == std::errc::file_too_large);
    CHECK(text == "a result of 1000008 bytes: File too large");
    const int v = co_await pp.run(twice, 1);
    CHECK(v == 2);
    CHECK(pp.stats().started == 1);
}

EDDY_TEST("process_pool: arguments for which there is no room fail their call, which no worker hears of") {
    process_pool pp{1};
    static_cast<void>(co_await pp.run(twice, 1));
    const auto handler = ::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    rlimit none = before;
    none.rlim_cur = 0;
    const std::string text(1'000'000, 'x');
    auto call = spawn(pp.run(reversed, text));
    ::setrlimit(RLIMIT_FSIZE, &none);
    while (!call.done()) co_await this_task::yield();
    ::setrlimit(RLIMIT_FSIZE, &before);
    ::signal(SIGXFSZ, handler);
    std::string what;
    try {
        static_cast<void>(co_await call);
    } catch (const std::system_error& e) {
        what = e.what();
    }
    CHECK(what == "process_pool: arguments of 'reversed': File too large");
    const int v = co_await pp.run(twice, 1);
    CHECK(v == 2);
    CHECK(pp.stats().started == 1);
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

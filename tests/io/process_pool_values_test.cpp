// What crosses between a process_pool and its workers: arguments, results, exceptions.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <eddy/process_pool.hpp>

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <future>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <vector>

#include "io/pool_functions.hpp"

using namespace eddy;
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

} // namespace

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

// The descriptor below a TLS stream is closed, or replaced, by somebody else in the program; as tests/io/closed_under_us_test.cpp.
#include "tls/support.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <utility>

#include "io/support.hpp"

using namespace tls_tests;

namespace {

enum class loss { closed, replaced };

void lose(int number, loss how) {
    if (how == loss::closed) {
        REQUIRE(::close(number) == 0);
        return;
    }
    const int other = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    REQUIRE(::dup3(other, number, O_CLOEXEC) == number);
    ::close(other);
}

/// An error that is one of the descriptor's; what replaces it may also look like a peer that is gone.
[[nodiscard]] bool is_of_loss(const std::string& end, loss how) {
    if (end == "system_error: Bad file descriptor") return true;
    return how == loss::replaced && (end.starts_with("system_error: ") || end.starts_with("truncated: ") || end.starts_with("broken: "));
}

/// The number is free, and another connection is as well as before.
task<> check_others(int number) {
    CHECK_FALSE(io_test::descriptor_is_open(number));
    auto next = co_await over_tcp();
    co_await next.client.write("hello");
    const std::string got = co_await read_text(next.server);
    CHECK(got == "hello");
}

} // namespace

EDDY_TEST("a descriptor lost before TLS reads or writes: an error, the stream can be closed, and others go on") {
    for (const loss how : {loss::closed, loss::replaced}) {
        for (const bool reads : {true, false}) {
            auto c = co_await over_tcp();
            const int number = c.client.native_handle();
            lose(number, how);
            auto use = spawn(reads ? ending_of(read_text(c.client)) : ending_of(write_text(c.client, std::string(100'000, 'x'))));
            co_await testing::settle();
            const bool waited = !use.done();
            use.cancel();
            const std::string end = co_await std::move(use);
            const bool right = is_of_loss(end, how) || (waited && end.starts_with("cancelled"));
            CAPTURE(end, reads);
            CHECK(right);
            static_cast<void>(co_await ending_of(c.client.close())); // it may say that its farewell could not be sent
            CHECK_FALSE(c.client.is_open());
            co_await check_others(number);
        }
    }
}

EDDY_TEST("a descriptor lost while TLS waits to read or to write: the cancellation works, and so does the close") {
    for (const loss how : {loss::closed, loss::replaced}) {
        for (const bool reads : {true, false}) {
            auto c = co_await over_tcp();
            const int number = c.client.native_handle();
            auto use = spawn(reads ? ending_of(read_text(c.client)) : ending_of(write_text(c.client, std::string(30'000'000, 'x'))));
            co_await testing::settle();
            CHECK_FALSE(use.done());
            lose(number, how);
            co_await testing::settle();
            const bool waited = !use.done();
            use.cancel();
            const std::string end = co_await std::move(use);
            const bool right = is_of_loss(end, how) || (waited && end.starts_with("cancelled"));
            CAPTURE(end, reads);
            CHECK(right);
            static_cast<void>(co_await ending_of(c.client.close()));
            CHECK_FALSE(c.client.is_open());
            co_await check_others(number);
        }
    }
}

EDDY_TEST("a descriptor lost while TLS shakes hands: the cancellation works, and nothing is left") {
    for (const loss how : {loss::closed, loss::replaced}) {
        io_test::connection p = co_await io_test::connected(); // whose server says nothing
        const int number = p.client.native_handle();
        tls_context tc = client_context();
        auto shaking = spawn(ending_of(tls_upgrade(std::move(p.client), tc, "localhost")));
        co_await testing::settle();
        CHECK_FALSE(shaking.done());
        lose(number, how);
        co_await testing::settle();
        shaking.cancel();
        const std::string end = co_await std::move(shaking);
        const bool right = end.starts_with("cancelled") || is_of_loss(end, how);
        CAPTURE(end);
        CHECK(right);
        co_await check_others(number);
    }
}

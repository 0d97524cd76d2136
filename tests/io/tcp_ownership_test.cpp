// Who may destroy, move, close and use what, and when.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <sys/socket.h>

#include <optional>
#include <string>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

EDDY_TEST("a stream that is destroyed while another task reads ends that read with closed_resource") {
    connection p = co_await connected();
    std::optional<tcp_stream> s(std::move(p.client));
    auto reading = spawn(words::ending(read_text(*s)));
    co_await testing::settle();
    s.reset();
    std::string end = co_await std::move(reading);
    CHECK(end.ends_with("it was closed on our side"));
    std::string seen = co_await read_text(p.server);
    CHECK(seen == "");
}

EDDY_TEST("a stream that is destroyed while tasks write ends all of them with closed_resource") {
    connection p = co_await connected();
    std::optional<tcp_stream> s(std::move(p.client));
    auto first = spawn(words::ending(write_text(*s, std::string(10'000'000, 'x'))));
    co_await testing::settle();
    auto second = spawn(words::ending(write_text(*s, "y")));
    co_await testing::settle();
    s.reset();
    std::string one = co_await std::move(first);
    std::string two = co_await std::move(second);
    CHECK(one.ends_with("it was closed on our side"));
    CHECK(two.ends_with("it was closed on our side"));
}

EDDY_TEST("a stream that is destroyed in the tick in which a read failed still tells the reader the peer's name") {
    connection p = co_await connected();
    const std::string peer = p.client.remote_endpoint().to_string();
    std::optional<tcp_stream> s(std::move(p.client));
    auto reading = spawn(words::ending(read_text(*s)));
    co_await testing::settle();
    p.server.abort();
    co_await operation_completed(1);
    s.reset();
    std::string end = co_await std::move(reading);
    CHECK(end == "read from " + peer + ": Connection reset by peer");
}

EDDY_TEST("a stream that is destroyed while a read waits for its turn ends that read with closed_resource") {
    connection p = co_await connected();
    const std::string peer = p.client.remote_endpoint().to_string();
    std::optional<tcp_stream> s(std::move(p.client));
    std::string log;
    auto reading = spawn([&]() -> task<> { // the 129th ready await of a step is put off (R12)
        std::array<std::byte, 8> buffer;
        for (int i = 0; i < 128; ++i) static_cast<void>(co_await s->read_some({}));
        log += "128 ";
        outcome<std::size_t> last = co_await as_result(s->read_some(buffer));
        log += words::of(last);
    });
    while (log.empty()) co_await this_task::yield();
    s.reset();
    co_await reading;
    CHECK(log == "128 read from " + peer + ": it was closed on our side");
}

EDDY_TEST("ST-01 a read of nothing is empty at once, also when it has to wait for its turn first") {
    connection p = co_await connected();
    std::size_t n = 0;
    for (int i = 0; i < 300; ++i) n += co_await p.client.read_some({});
    CHECK(n == 0);
}

EDDY_TEST("a stream may be moved while a task waits on it") {
    connection p = co_await connected();
    tcp_stream first = std::move(p.client);
    auto reading = spawn(read_text(first));
    co_await testing::settle();
    tcp_stream second = std::move(first);
    co_await p.server.write("for whoever reads"sv);
    std::string got = co_await std::move(reading);
    CHECK(got == "for whoever reads");
    CHECK(second.is_open());
    CHECK(!first.is_open());
    CHECK(words::of_call([&] { return first.read_some({}); }) == "this tcp_stream has no socket");
}

EDDY_TEST("closing twice does no harm, and everything after it is closed_resource") {
    connection p = co_await connected();
    co_await p.client.close();
    co_await p.client.close();
    p.client.abort();
    outcome<std::string> read = co_await as_result(read_text(p.client));
    outcome<> write = co_await as_result(p.client.write("x"sv));
    outcome<> end = co_await as_result(p.client.shutdown_write());
    CHECK(words::holds<closed_resource>(read.exception()));
    CHECK(words::holds<closed_resource>(write.exception()));
    CHECK(words::holds<closed_resource>(end.exception()));
    tcp_stream none;
    co_await none.close();
    none.abort();
    CHECK(none.native_handle() == -1);
}

EDDY_TEST("R13 a close in a cancelled scope frees the descriptor, then throws") {
    connection p = co_await connected();
    const int fd = p.client.native_handle();
    std::string log;
    const auto body = [&](cancel_scope& s) -> task<> {
        s.cancel();
        log = co_await words::ending(p.client.close());
    };
    co_await with_scope(body);
    CHECK(log == "cancelled");
    CHECK(!descriptor_is_open(fd));
}

EDDY_TEST("a listener that is closed or destroyed under an accept ends it with closed_resource") {
    std::optional<tcp_listener> l(tcp_listener::bind({"127.0.0.1", 0}));
    const std::string name = l->local_endpoint().to_string();
    auto first = spawn(words::ending(l->accept()));
    co_await testing::settle();
    co_await l->close();
    std::string end = co_await std::move(first);
    CHECK(end == "accept on " + name + ": it was closed on our side");
    CHECK(l->local_endpoint().to_string() == name); // where it was
    l.emplace(tcp_listener::bind({"127.0.0.1", 0}));
    auto second = spawn(words::ending(l->accept()));
    co_await testing::settle();
    l.reset();
    end = co_await std::move(second);
    CHECK(end.ends_with("it was closed on our side"));
}

EDDY_TEST("a second accept on one listener is busy_resource") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    auto first = spawn(words::ending(l.accept()));
    co_await testing::settle();
    outcome<tcp_stream> second = co_await as_result(l.accept());
    CHECK(words::holds<busy_resource>(second.exception()));
    first.cancel();
    co_await first.join();
}

EDDY_TEST("a descriptor that is given away stays open and belongs to its new owner") {
    connection p = co_await connected();
    const int fd = p.client.release();
    CHECK(!p.client.is_open());
    CHECK(descriptor_is_open(fd));
    tcp_stream again(fd);
    co_await again.write("same socket"sv);
    std::string got = co_await read_text(p.server);
    CHECK(got == "same socket");
}

EDDY_TEST("a blocking socket from outside is made non-blocking and close-on-exec") {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    tcp_stream a(ends[0]);
    tcp_stream b(ends[1]);
    CHECK((::fcntl(ends[0], F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(ends[0], F_GETFD) & FD_CLOEXEC) != 0);
    auto reading = spawn(read_text(a));
    co_await testing::settle(); // a blocking read would never come back
    co_await b.write("hello"sv);
    std::string got = co_await std::move(reading);
    CHECK(got == "hello");
}

EDDY_TEST("a number that is no descriptor cannot be adopted") {
    CHECK(words::of_call([] { return tcp_stream(9999); }) == "cannot adopt descriptor 9999: Bad file descriptor");
    co_return;
}

TEST_CASE("streams and listeners that are made before run() work inside it and may outlive it") {
    const std::size_t before = open_descriptors();
    {
        tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
        std::optional<connection> kept;
        auto body = [&]() -> task<std::string> {
            tcp_stream c = co_await tcp_connect(l.local_endpoint());
            tcp_stream s = co_await l.accept();
            co_await c.write("made before"sv);
            std::string got = co_await read_text(s);
            kept.emplace(std::move(c), std::move(s));
            co_return got;
        };
        CHECK(run(body()) == "made before");
        CHECK(kept->client.is_open());
        CHECK(l.is_open());
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("a stream that one loop has used is refused by another, by name") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    std::optional<connection> kept;
    auto first = [&]() -> task<> {
        tcp_stream c = co_await tcp_connect(l.local_endpoint());
        tcp_stream s = co_await l.accept();
        co_await s.write("x"sv);
        kept.emplace(std::move(c), std::move(s));
    };
    auto second = [&]() -> task<std::string> {
        std::string log = co_await words::ending(read_text(kept->client));
        log += "; " + co_await words::ending(write_text(kept->client, "x"));
        log += "; " + co_await words::ending(l.accept());
        co_await kept->client.close(); // closing is all one can do with it
        co_return log;
    };
    run(first());
    const std::string name = l.local_endpoint().to_string();
    const std::string refusal = name + " belongs to another loop; use it on the loop that used it first";
    CHECK(run(second()) == refusal + "; " + refusal + "; " + refusal);
    CHECK(!kept->client.is_open());
}

TEST_CASE("an accepted stream that was not used yet may be used on another loop") {
    std::optional<connection> kept;
    auto first = [&]() -> task<> {
        tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
        tcp_stream c = co_await tcp_connect(l.local_endpoint());
        tcp_stream s = co_await l.accept();
        co_await c.write("from the first loop"sv);
        kept.emplace(std::move(c), std::move(s));
    };
    run(first());
    CHECK(run(read_text(kept->server)) == "from the first loop");
}

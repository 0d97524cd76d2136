#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

EDDY_TEST("ST-01 a read gives what is there, and a read of nothing is empty at once, also at the end") {
    connection p = co_await connected();
    co_await p.server.write("eighteen bytes now"sv);
    std::string got = co_await read_text(p.client, 30);
    CHECK(got == "eighteen bytes now");
    std::size_t n = co_await p.client.read_some({});
    CHECK(n == 0);
    co_await p.server.close();
    std::string end = co_await read_text(p.client, 30);
    CHECK(end == "");
    n = co_await p.client.read_some({});
    CHECK(n == 0);
}

EDDY_TEST("ST-02 when the peer closes, reads give nothing, again and again") {
    connection p = co_await connected();
    buffered_reader r{p.client};
    co_await p.server.close();
    std::array<std::byte, 8> buffer;
    std::size_t n = co_await r.read_some(buffer);
    CHECK(n == 0);
    CHECK(r.at_eof());
    n = co_await r.read_some(buffer);
    CHECK(n == 0);
    n = co_await p.client.read_some(buffer);
    CHECK(n == 0);
}

EDDY_TEST("ST-05 data that comes after a cancelled read goes to the next one") {
    connection p = co_await connected();
    auto reading = spawn(read_text(p.client));
    co_await testing::settle();
    co_await reading.cancel_and_join();
    CHECK(reading.cancelled());
    co_await p.server.write("all of it"sv);
    std::string got = co_await read_text(p.client);
    CHECK(got == "all of it");
}

EDDY_TEST("ST-13 a second reader is refused by name and the first is unharmed") {
    connection p = co_await connected();
    auto first = spawn(read_text(p.client));
    co_await testing::settle();
    outcome<std::string> second = co_await as_result(read_text(p.client));
    CHECK(words::holds<busy_resource>(second.exception()));
    CHECK(words::of(second) == "another task is already reading from " + p.server.local_endpoint().to_string());
    co_await p.server.write("for the first"sv);
    std::string got = co_await std::move(first);
    CHECK(got == "for the first");
}

EDDY_TEST("ST-14 what came before a reset is read first") {
    connection p = co_await connected();
    co_await p.server.write("ab"sv);
    p.server.abort();
    std::string got = co_await read_text(p.client);
    CHECK(got == "ab");
    outcome<std::string> after = co_await as_result(read_text(p.client));
    CHECK(after.error() == std::errc::connection_reset);
}

EDDY_TEST("ST-15 a local close under a pending read is closed_resource and names the peer") {
    connection p = co_await connected();
    const std::string peer = p.client.remote_endpoint().to_string();
    auto reading = spawn(words::ending(read_text(p.client)));
    co_await testing::settle();
    co_await p.client.close();
    std::string end = co_await std::move(reading);
    CHECK(end == "read from " + peer + ": it was closed on our side");
}

EDDY_TEST("ST-16 after shutdown_write the peer sees the end and we still read its answer; writing is a logic_error") {
    connection p = co_await connected();
    co_await p.client.write("question"sv);
    co_await p.client.shutdown_write();
    std::string question = co_await read_all(p.server);
    CHECK(question == "question");
    co_await p.server.write("answer"sv);
    std::string answer = co_await read_text(p.client);
    CHECK(answer == "answer");
    outcome<> late = co_await as_result(p.client.write("more"sv));
    CHECK(words::holds<std::logic_error>(late.exception()));
    co_await p.client.shutdown_write(); // twice does no harm
}

EDDY_TEST("ST-16 a write that is queued behind shutdown_write is a logic_error too") {
    connection p = co_await connected();
    auto first = spawn(write_text(p.client, std::string(10'000'000, 'x')));
    co_await testing::settle();
    auto ending = spawn([&]() -> task<> { co_await p.client.shutdown_write(); });
    co_await testing::settle();
    auto late = spawn(words::ending(write_text(p.client, "late")));
    co_await testing::settle();
    std::string all = co_await read_all(p.server);
    CHECK(all.size() == 10'000'000);
    co_await first;
    co_await ending;
    std::string end = co_await std::move(late);
    CHECK(end == "write to " + p.client.remote_endpoint().to_string() + " after shutdown_write");
}

EDDY_TEST("ST-17 when the peer half-closes, we can still write and nothing closes by itself") {
    connection p = co_await connected();
    co_await p.server.shutdown_write();
    std::string end = co_await read_text(p.client);
    CHECK(end == "");
    CHECK(p.client.is_open());
    co_await p.client.write("still here"sv);
    std::string got = co_await read_text(p.server);
    CHECK(got == "still here");
}

EDDY_TEST("ST-18 a write to a peer that does not read waits, and ends when the peer has read") {
    connection p = co_await connected();
    auto writing = spawn(write_text(p.client, std::string(10'000'000, 'x')));
    co_await testing::settle();
    CHECK(!writing.done());
    std::size_t total = 0;
    std::string chunk(1 << 20, '\0');
    while (total < 10'000'000) total += co_await p.server.read_some(std::as_writable_bytes(std::span(chunk)));
    co_await writing;
    CHECK(total == 10'000'000);
}

EDDY_TEST("R13 concurrent writes go out first come first served and are never torn") {
    connection p = co_await connected();
    std::vector<task<>> writes;
    for (char c : "abcdefgh"sv) writes.push_back(write_text(p.client, std::string(2'000'000, c)));
    auto all = spawn(gather(std::move(writes)));
    std::string order;
    std::size_t total = 0;
    std::string chunk(1 << 20, '\0');
    while (total < 16'000'000) {
        const std::size_t n = co_await p.server.read_some(std::as_writable_bytes(std::span(chunk)));
        for (std::size_t i = 0; i < n; ++i) {
            if (order.empty() || order.back() != chunk[i]) order += chunk[i];
        }
        total += n;
    }
    co_await all.join();
    std::string sorted = order; // which is first is a matter of the ready order
    std::sort(sorted.begin(), sorted.end());
    CHECK(sorted == "abcdefgh");
}

EDDY_TEST("ST-21 a lost connection is an error for every writer, and close does not throw it again") {
    connection p = co_await connected();
    auto first = spawn(words::ending(write_text(p.client, std::string(10'000'000, 'x'))));
    co_await testing::settle();
    auto second = spawn(words::ending(write_text(p.client, "y")));
    co_await testing::settle();
    p.server.abort();
    std::string one = co_await std::move(first);
    std::string two = co_await std::move(second);
    CHECK(one.starts_with("write to 127.0.0.1:"));
    CHECK(two.starts_with("write to 127.0.0.1:"));
    co_await p.client.close();
}

EDDY_TEST("as_result of a failed write, read or accept has the error of the exception it is instead of") {
    static_assert(requires(detail::write_operation& w, detail::gather_write_operation& g, detail::write_some_operation& s, detail::accept_operation<tcp_stream>& a) {
        w.take_outcome(); // made, and not thrown
        g.take_outcome();
        s.take_outcome();
        a.take_outcome();
    });
    connection p = co_await connected();
    p.server.abort();
    std::array<std::byte, 8> bytes{};
    auto read = co_await as_result(p.client.read_some(bytes));
    CHECK(read.error() == std::errc::connection_reset);
    auto write = co_await as_result(p.client.write("x"));
    CHECK(write.error() == std::errc::broken_pipe);
    CHECK(words::of(write).find("127.0.0.1:") != std::string::npos);
    auto some = co_await as_result(p.client.write_some("x"));
    CHECK(some.error() == std::errc::broken_pipe);
    const std::array<std::span<const std::byte>, 2> parts{bytes_of("a"), bytes_of("b")};
    auto gathered = co_await as_result(p.client.write(parts));
    CHECK(gathered.error() == std::errc::broken_pipe);
    co_await p.client.close();
    auto late = co_await as_result(p.client.write("x"));
    CHECK(words::of(late).ends_with("it was closed on our side"));
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    auto accepting = spawn([&]() -> task<std::string> {
        auto accepted = co_await as_result(l.accept());
        co_return words::of(accepted);
    });
    co_await testing::settle();
    co_await l.close();
    const std::string how = co_await std::move(accepting);
    CHECK(how.ends_with("it was closed on our side"));
}

EDDY_TEST("a read whose bytes somebody else has taken goes on waiting") {
    for (const bool tcp : {true, false}) {
        std::optional<connection> over_tcp;
        unix_streams over_unix = unix_stream_pair();
        if (tcp) over_tcp.emplace(co_await connected());
        stream_socket& reader = tcp ? static_cast<stream_socket&>(over_tcp->client) : over_unix.a;
        stream_socket& writer = tcp ? static_cast<stream_socket&>(over_tcp->server) : over_unix.b;
        std::array<std::byte, 8> bytes{};
        auto reading = spawn([&]() -> task<std::size_t> { co_return co_await reader.read_some(bytes); });
        co_await testing::settle();
        REQUIRE(::send(writer.native_handle(), "x", 1, 0) == 1);
        std::array<char, 8> stolen{};
        REQUIRE(::recv(reader.native_handle(), stolen.data(), stolen.size(), 0) == 1); // as another process might
        co_await testing::settle();
        CHECK(!reading.done());
        co_await writer.write("yz");
        const std::size_t n = co_await std::move(reading);
        CHECK(n == 2);
    }
}

EDDY_TEST("ST-22 writing to a closed peer without ever suspending comes to an error") {
    connection p = co_await connected();
    co_await p.client.write("unread"sv);
    co_await p.server.close();
    outcome<> end;
    int writes = 0;
    while (end && ++writes < 100'000) end = co_await as_result(p.client.write("x"sv));
    const bool lost = end.error() == std::errc::broken_pipe || end.error() == std::errc::connection_reset;
    CHECK(lost);
}

EDDY_TEST("ST-23 close delivers what was written") {
    connection p = co_await connected();
    auto reading = spawn(read_all(p.server));
    co_await write_text(p.client, std::string(5'000'000, 'x'));
    co_await p.client.close();
    std::string got = co_await std::move(reading);
    CHECK(got.size() == 5'000'000);
}

EDDY_TEST("ST-23 close delivers what was written though there is input that nobody has read, and the end after it") {
    for (const bool by_destructor : {false, true}) {
        connection p = co_await connected();
        co_await p.client.write("never read"sv);
        const std::string much(10'000'000, 'x');
        const std::size_t taken = co_await p.server.write_some(much); // more than the peer takes without reading
        co_await testing::settle();
        if (by_destructor)
            p.server = tcp_stream();
        else
            co_await p.server.close();
        const outcome<std::string> got = co_await as_result(read_all(p.client));
        CHECK(words::of(got) == "ok");
        CHECK(got->size() == taken);
    }
}

EDDY_TEST("ST-23 close drops the input of many reads as well, and what came behind the one that was read") {
    connection p = co_await connected();
    co_await write_text(p.client, std::string(40'000, 'x'));
    const std::string some = co_await read_text(p.server, 10);
    CHECK(some == "xxxxxxxxxx");
    co_await p.server.write("an answer"sv);
    co_await p.server.close();
    const outcome<std::string> got = co_await as_result(read_all(p.client));
    CHECK(words::of(got) == "ok");
    CHECK(*got == "an answer");
}

EDDY_TEST("ST-23 a stream of which nothing was written leaves its input to who else has the descriptor") {
    connection p = co_await connected();
    co_await p.client.write("for the other"sv);
    tcp_stream other(::fcntl(p.server.native_handle(), F_DUPFD_CLOEXEC, 0));
    co_await p.server.close();
    const std::string got = co_await read_text(other);
    CHECK(got == "for the other");
}

EDDY_TEST("ST-23 abort with unread input resets, and nothing is delivered after that") {
    connection p = co_await connected();
    co_await p.client.write("never read"sv);
    const std::string much(10'000'000, 'x');
    const std::size_t taken = co_await p.server.write_some(much);
    p.server.abort();
    std::size_t total = 0;
    std::string end = "ok";
    try {
        for (;;) {
            const std::string got = co_await read_text(p.client, 65536);
            if (got.empty()) break;
            total += got.size();
        }
    } catch (const std::system_error& e) {
        end = e.code().message();
    }
    CHECK(end == "Connection reset by peer");
    CHECK(total < taken);
}

EDDY_TEST("ST-23 abort resets the connection") {
    connection p = co_await connected();
    auto writing = spawn(words::ending(write_text(p.client, std::string(10'000'000, 'x'))));
    co_await testing::settle();
    p.client.abort();
    std::string end = co_await std::move(writing);
    CHECK(end.ends_with("it was closed on our side"));
    CHECK(!p.client.is_open());
    outcome<std::string> got = co_await as_result(read_all(p.server));
    CHECK(got.error() == std::errc::connection_reset);
}

EDDY_TEST("ST-25 a cancelled write says how much went out, and the stream is broken for writing") {
    connection p = co_await connected();
    std::size_t partial = 0;
    auto writing = spawn([&]() -> task<> {
        const std::string text(10'000'000, 'x');
        try {
            co_await p.client.write(text);
        } catch (const operation_cancelled& c) {
            partial = c.partial();
            throw;
        }
    });
    co_await testing::settle();
    co_await writing.cancel_and_join();
    CHECK(writing.cancelled());
    CHECK(partial > 0);
    CHECK(partial < 10'000'000);
    outcome<> later = co_await as_result(p.client.write("x"sv));
    CHECK(words::holds<broken_resource>(later.exception()));
    outcome<> end = co_await as_result(p.client.shutdown_write()); // would pass half a message off as whole
    CHECK(words::holds<broken_resource>(end.exception()));
    co_await p.client.close();
    std::string got = co_await read_all(p.server);
    CHECK(got.size() == partial);
}

EDDY_TEST("ST-25 a write that was cancelled before its first byte leaves the stream whole") {
    connection p = co_await connected();
    auto first = spawn(write_text(p.client, std::string(10'000'000, 'x')));
    co_await testing::settle();
    auto second = spawn(write_text(p.client, "never"));
    co_await testing::settle();
    auto third = spawn(write_text(p.client, "last"));
    co_await testing::settle();
    co_await second.cancel_and_join();
    std::string got(10'000'004, '\0');
    buffered_reader r{p.server};
    co_await r.read_exactly(std::as_writable_bytes(std::span(got)));
    co_await first;
    co_await third;
    CHECK(got.ends_with("xlast"));
}

EDDY_TEST("R4 a listener whose accept was cancelled loses no connection") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    auto accepting = spawn(words::ending(l.accept()));
    co_await testing::settle();
    accepting.cancel();
    std::string end = co_await std::move(accepting);
    CHECK(end == "cancelled");
    tcp_stream c = co_await tcp_connect(l.local_endpoint());
    tcp_stream s = co_await l.accept();
    CHECK(s.remote_endpoint() == c.local_endpoint());
}

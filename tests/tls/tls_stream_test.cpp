// TLS streams that do what they should; how they end, and what goes wrong, is in the other files.
#include "tls/support.hpp"

#include <unistd.h>

using namespace tls_tests;

static_assert(tls_transport<tcp_stream> && tls_transport<testing::memory_stream> && tls_transport<tls_stream>);
static_assert(async_read_stream<tls_stream> && async_write_stream<tls_stream> && async_gather_stream<tls_stream>);

using unix_tls = basic_tls_stream<unix_stream>;
static_assert(std::same_as<decltype(std::declval<const tls_stream&>().remote_endpoint()), ip_endpoint>);
static_assert(std::same_as<decltype(std::declval<const unix_tls&>().remote_endpoint()), unix_endpoint>);
static_assert(std::same_as<decltype(std::declval<const basic_tls_stream<unix_tls>&>().local_endpoint()), unix_endpoint>);
template <class S>
concept has_endpoints = requires(const S& s) { s.local_endpoint(), s.remote_endpoint(); };
static_assert(has_endpoints<tls_stream> && !has_endpoints<memory_tls>);

namespace {

task<> echo_once(tls_stream& s) {
    std::string text = co_await read_text(s);
    co_await s.write(text);
}

std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 % 251);
    return text;
}

/// A listener, and its port.
class listening {
public:
    tcp_listener listener = tcp_listener::bind({"127.0.0.1", 0});
    [[nodiscard]] std::uint16_t port() const { return listener.local_endpoint().port(); }
};

} // namespace

EDDY_TEST("tls_connect to a server made of serve and tls_accept") {
    listening l;
    const tls_context ts = server_context();
    auto handler = [&ts](tcp_stream s) -> task<> {
        tls_stream t = co_await tls_accept(std::move(s), ts);
        co_await echo_once(t);
        co_await t.close();
    };
    auto serving = spawn(serve(l.listener, handler));
    tls_context tc = client_context();
    tls_stream t = co_await tls_connect("localhost", l.port(), tc);
    co_await t.write("hello"sv);
    const std::string answer = co_await read_text(t);
    CHECK(answer == "hello");
    const std::string end = co_await read_text(t);
    CHECK(end == "");
    const tls_session_info info = t.tls_info();
    CHECK(info.version == "TLSv1.3");
    CHECK(!info.cipher.empty());
    CHECK(info.peer_subject == "CN=localhost");
    CHECK(info.server_name == "localhost");
    CHECK(info.alpn == "");
    CHECK(!info.resumed);
    CHECK(t.remote_endpoint() == l.listener.local_endpoint());
    CHECK(t.native_handle() >= 0);
    CHECK(t.is_open());
    co_await t.close();
    CHECK(!t.is_open());
    CHECK(t.native_handle() == -1);
    co_await serving.cancel_and_join();
}

EDDY_TEST("tls_upgrade of a stream that is there") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    tcp_stream s = co_await tcp_connect(l.local_endpoint());
    auto serving = spawn([](tcp_stream below) -> task<> {
        tls_stream t = co_await tls_accept(std::move(below), server_context());
        co_await echo_once(t);
    }, co_await l.accept());
    tls_context tc = client_context();
    auto up = co_await tls_upgrade(std::move(s), tc, "localhost");
    co_await up.write("hello");
    const std::string answer = co_await read_text(up);
    CHECK(answer == "hello");
    co_await serving;
}

EDDY_TEST("every fragmentation gives the same text") {
    for (const std::size_t fragment : {1u, 3u, 1000u}) {
        auto c = co_await in_memory({.fragment = fragment, .capacity = 512});
        const std::string text = pattern(fragment == 1 ? 3000 : 40000);
        auto writing = spawn(write_text(c.client, text));
        buffered_reader r{c.server};
        const std::string got = co_await r.read_exactly(text.size());
        CHECK(got == text);
        co_await writing;
    }
}

EDDY_TEST("1 MB both ways at once") {
    auto c = co_await over_tcp();
    const std::string there = pattern(1 << 20);
    const std::string back = pattern((1 << 20) + 17);
    auto first = spawn(write_text(c.client, there));
    auto second = spawn(write_text(c.server, back));
    buffered_reader at_client{c.client};
    buffered_reader at_server{c.server};
    auto reading = gather(at_server.read_exactly(there.size()), at_client.read_exactly(back.size()));
    auto both = co_await std::move(reading);
    CHECK((std::get<0>(both) == there));
    CHECK((std::get<1>(both) == back));
    co_await first;
    co_await second;
}

EDDY_TEST("over a Unix-domain socket: data both ways, half-close and the end; the endpoints are those of the stream below") {
    const std::string name = "@eddy-tls-test-" + std::to_string(::getpid());
    unix_listener l = unix_listener::bind(name);
    unix_stream a = co_await unix_connect(name);
    unix_stream b = co_await l.accept();
    auto c = co_await shake_hands(std::move(a), std::move(b), client_context(), server_context());
    CHECK(c.client.remote_endpoint().path() == name);
    CHECK(c.server.local_endpoint() == l.local_endpoint());
    CHECK(c.server.remote_endpoint().empty());
    CHECK(c.client.native_handle() >= 0);
    const std::string there = pattern(300'000);
    auto writing = spawn([&]() -> task<> {
        co_await c.client.write(there);
        co_await c.client.shutdown_write();
    });
    const std::string got = co_await read_all(c.server);
    CHECK((got == there));
    co_await writing;
    co_await c.server.write("back");
    co_await c.server.close();
    const std::string back = co_await read_all(c.client);
    CHECK(back == "back");
    co_await c.client.close();
    CHECK_THROWS_AS(c.client.remote_endpoint(), closed_resource);
}

EDDY_TEST("over a pair of Unix-domain sockets: an end without a close_notify is told as over TCP") {
    unix_streams ends = unix_stream_pair();
    auto c = co_await shake_hands(std::move(ends.a), std::move(ends.b), client_context(), server_context());
    co_await c.server.write("half");
    const std::string half = co_await read_text(c.client);
    CHECK(half == "half");
    c.server.abort();
    const std::string end = co_await ending_of(read_text(c.client));
    CHECK_FALSE(end == "ok");
}

EDDY_TEST("writes of several tasks queue and are never torn") {
    auto c = co_await in_memory({.capacity = 100});
    const std::string a(50'000, 'a');
    const std::string b(50'000, 'b');
    auto first = spawn(write_text(c.client, a));
    auto second = spawn(write_text(c.client, b));
    buffered_reader r{c.server};
    std::string got = co_await r.read_exactly(a.size() + b.size());
    if (got.front() == 'b') std::rotate(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(b.size()), got.end());
    CHECK((got == a + b));
    co_await first;
    co_await second;
}

EDDY_TEST("several buffers are one write, whatever their sizes, and nobody else's bytes come between them") {
    auto c = co_await in_memory({.capacity = 100});
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < 40; ++i) texts.emplace_back(i * 211, static_cast<char>('a' + i % 26)); // the first is empty
    texts.emplace_back(100'000, '!');
    std::vector<std::span<const std::byte>> parts;
    std::string whole;
    for (const std::string& t : texts) {
        parts.push_back(bytes_of(t));
        whole += t;
    }
    const std::string before(40'000, '<');
    const std::string after(40'000, '>');
    auto first = spawn_eager(write_text(c.client, before));
    auto second = spawn_eager([&]() -> task<> { co_await c.client.write(parts); });
    auto third = spawn_eager(write_text(c.client, after));
    buffered_reader r{c.server};
    const std::string got = co_await r.read_exactly(before.size() + whole.size() + after.size());
    CHECK((got == before + whole + after));
    co_await first;
    co_await second;
    co_await third;
    co_await c.client.write(std::span<const std::span<const std::byte>>());
    co_await c.client.write("x");
    const std::string last = co_await r.read_exactly(1);
    CHECK(last == "x");
}

EDDY_TEST("a second reader gets busy_resource, the first is unharmed") {
    auto c = co_await in_memory();
    auto first = spawn(read_text(c.client));
    co_await testing::settle();
    const std::string second = co_await ending_of(read_text(c.client));
    CHECK(second == "busy: another task is already reading from localhost");
    co_await c.server.write("data");
    const std::string got = co_await first;
    CHECK(got == "data");
}

EDDY_TEST("an empty read and an empty write are over at once, and checkpoints") {
    auto c = co_await in_memory();
    std::span<std::byte> nothing;
    const std::size_t n = co_await testing::expect_checkpoint(c.client.read_some(nothing));
    CHECK(n == 0);
    co_await testing::expect_checkpoint(c.client.write(""));
    co_await testing::expect_checkpoint(c.client.write("x"));
    const std::string got = co_await testing::expect_checkpoint(read_text(c.server));
    CHECK(got == "x");
}

EDDY_TEST("ST-16 half-close: the peer sees the end and answers, we read the answer") {
    auto c = co_await over_tcp();
    co_await c.client.write("question");
    co_await c.client.shutdown_write();
    co_await c.client.shutdown_write();
    const std::string question = co_await read_all(c.server);
    CHECK(question == "question");
    const std::string again = co_await read_text(c.server);
    CHECK(again == "");
    co_await c.server.write("answer");
    const std::string answer = co_await read_text(c.client);
    CHECK(answer == "answer");
    const std::string late = co_await ending_of(write_text(c.client, "more"));
    CHECK(late.starts_with("logic_error: TLS write to localhost:"));
    CHECK(late.ends_with(" after shutdown_write"));
    co_await c.server.close();
    const std::string end = co_await read_text(c.client);
    CHECK(end == "");
}

EDDY_TEST("TLS inside TLS") {
    auto outer = co_await in_memory();
    auto connecting = tls_upgrade(std::move(outer.client), client_context(), "localhost");
    auto accepting = tls_accept(std::move(outer.server), server_context());
    auto both = co_await gather(std::move(connecting), std::move(accepting));
    auto& client = std::get<0>(both);
    auto& server = std::get<1>(both);
    co_await client.write("deep");
    const std::string got = co_await read_text(server);
    CHECK(got == "deep");
    co_await client.close();
    const std::string end = co_await read_text(server);
    CHECK(end == "");
}

EDDY_TEST("a buffered_writer and a buffered_reader on TLS streams") {
    auto c = co_await in_memory();
    buffered_writer w{c.client};
    co_await w.write("one\n");
    co_await w.write("two\n");
    co_await w.flush();
    buffered_reader r{c.server};
    const std::string one = co_await r.read_line();
    const std::string two = co_await r.read_line();
    CHECK(one + two == "one\ntwo\n");
}

EDDY_TEST("a stream that was moved from says so") {
    tls_stream empty;
    CHECK(!empty.is_open());
    CHECK(empty.native_handle() == -1);
    co_await empty.close();
    empty.abort();
    CHECK_THROWS_AS(empty.read_some({}), closed_resource);
    CHECK_THROWS_AS(empty.tls_info(), closed_resource);
}

// How a TLS connection begins in the middle and how it ends: upgrades, cut connections, close, time limits.
#include "tls/raw_peer.hpp"

#include <fcntl.h>

using namespace tls_tests;

EDDY_TEST("ST-34 upgrade in place: a line in the clear, then the handshake, then an encrypted line") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    auto serving = spawn([](tcp_listener& from) -> task<std::string> {
        tcp_stream s = co_await from.accept();
        buffered_reader r{s};
        const std::string clear = co_await r.read_line();
        co_await s.write("go ahead\n");
        tls_stream t = co_await tls_accept(r, server_context());
        buffered_reader encrypted{t};
        const std::string secret = co_await encrypted.read_line();
        co_await t.write("secret answer\n");
        co_await t.close();
        co_return clear + secret;
    }, std::ref(l));
    tcp_stream s = co_await tcp_connect(l.local_endpoint());
    co_await s.write("STARTTLS\n");
    buffered_reader r{s};
    const std::string answer = co_await r.read_line();
    CHECK(answer == "go ahead\n");
    tls_context tc = client_context();
    auto up = co_await tls_upgrade(std::move(s), tc, "localhost");
    co_await up.write("secret\n");
    buffered_reader encrypted{up};
    const std::string secret = co_await encrypted.read_line();
    CHECK(secret == "secret answer\n");
    const std::string both = co_await serving;
    CHECK(both == "STARTTLS\nsecret\n");
}

EDDY_TEST("ST-34 what was read ahead of the upgrade is not lost") {
    for (const bool by_reader : {true, false}) {
        testing::memory_streams ends = testing::memory_stream_pair();
        testing::memory_stream ours = std::move(ends.a);
        co_await ours.write("STARTTLS\n");
        auto connecting = spawn([](testing::memory_stream s) -> task<> {
            memory_tls t = co_await tls_upgrade(std::move(s), client_context(), "localhost");
            co_await t.write("secret\n");
            co_await t.close();
        }, std::move(ours));
        co_await testing::settle(); // the first message of the handshake is there, too
        buffered_reader r{ends.b};
        const std::string clear = co_await r.read_line();
        CHECK(clear == "STARTTLS\n");
        CHECK(r.buffered().size() > 100);
        tls_options o;
        o.received = r.buffered();
        auto accepting = by_reader ? tls_accept(r, server_context()) : tls_accept(std::move(ends.b), server_context(), o);
        memory_tls t = co_await std::move(accepting);
        const std::string secret = co_await read_all(t);
        CHECK(secret == "secret\n");
        co_await connecting;
    }
}

EDDY_TEST("ST-34 a client that has read ahead") {
    testing::memory_streams ends = testing::memory_stream_pair();
    raw_peer server(std::move(ends.b), raw_peer::role::server);
    co_await server.stream.write("220 ready\n");
    buffered_reader r{ends.a};
    const std::string clear = co_await r.read_line();
    CHECK(clear == "220 ready\n");
    auto connecting = tls_upgrade(r, client_context(), "localhost");
    auto both = co_await gather(std::move(connecting), server.handshake());
    CHECK(std::get<0>(both).is_open());
}

EDDY_TEST("ST-35 the peer vanishes without close_notify: truncated, after what had come") {
    auto c = co_await over_tcp();
    co_await c.server.write("half a mess");
    { const tls_stream gone = std::move(c.server); }
    const std::string half = co_await read_text(c.client);
    CHECK(half == "half a mess");
    const std::string port = std::to_string(c.client.remote_endpoint().port());
    for (int i = 0; i < 2; ++i) {
        const std::string e = co_await ending_of(read_text(c.client));
        CHECK(e == "truncated: TLS read from localhost:" + port + ": the connection ended without a close_notify; what came may be cut off");
    }
    CHECK(c.client.is_open());
}

EDDY_TEST("ST-35 cut in the middle of a record, and reset") {
    testing::memory_streams ends = testing::memory_stream_pair();
    raw_peer server(std::move(ends.b), raw_peer::role::server);
    auto connecting = tls_upgrade(std::move(ends.a), client_context(), "localhost");
    auto both = co_await gather(std::move(connecting), server.handshake());
    memory_tls t = std::move(std::get<0>(both));
    server.encrypt("all of it");
    const std::string record = server.output();
    co_await server.stream.write(std::string_view(record).substr(0, record.size() - 1));
    co_await server.stream.close();
    const std::string e = co_await ending_of(read_text(t));
    CHECK(e.starts_with("truncated: "));
    auto c = co_await in_memory();
    c.server.abort();
    const std::string reset = co_await ending_of(read_text(c.client));
    CHECK(reset == "system_error: Connection reset by peer");
}

EDDY_TEST("ST-35 a reader above says truncated, not that the line is incomplete") {
    auto c = co_await in_memory();
    co_await c.server.write("half a line");
    { const memory_tls gone = std::move(c.server); }
    buffered_reader r{c.client};
    const std::string e = co_await ending_of(r.read_line());
    CHECK(e.starts_with("truncated: "));
    CHECK(r.buffered() == "half a line");
}

EDDY_TEST("the peer closes during the handshake") {
    testing::memory_streams ends = testing::memory_stream_pair();
    auto connecting = spawn(ending_of(tls_upgrade(std::move(ends.a), client_context(), "localhost")));
    co_await testing::settle();
    co_await ends.b.close();
    const std::string e = co_await connecting;
    CHECK(e == "truncated: TLS handshake with localhost: the peer closed the connection before it was over");
}

EDDY_TEST("close sends a close_notify, and frees the descriptor") {
    auto c = co_await over_tcp();
    const int fd = c.client.native_handle();
    co_await c.server.write("not read by the client"); // must not turn the end into a reset
    co_await c.client.write("last words");
    co_await c.client.close();
    CHECK(::fcntl(fd, F_GETFD) < 0);
    co_await c.client.close();
    const std::string words = co_await read_all(c.server);
    CHECK(words == "last words");
    const std::string read = co_await ending_of(read_text(c.client));
    CHECK(read.starts_with("closed: TLS read from localhost:"));
    const std::string write = co_await ending_of(write_text(c.client, "x"));
    CHECK(write.starts_with("closed: TLS write to localhost:"));
    CHECK(c.client.tls_info().version == "TLSv1.3");
}

EDDY_TEST("close to a peer that is gone is no error") {
    auto c = co_await over_tcp();
    c.server.abort();
    co_await c.client.close();
    auto m = co_await in_memory();
    m.server.abort();
    co_await m.client.close();
    CHECK(!m.client.is_open());
}

EDDY_TEST("ST-36 close in a cancelled task: the descriptor is free at once, without close_notify") {
    auto c = co_await over_tcp();
    const int fd = c.client.native_handle();
    bool freed = false;
    auto closing = spawn([&]() -> task<> {
        this_task::handle().cancel();
        try {
            co_await c.client.close();
        } catch (const operation_cancelled&) {
            freed = ::fcntl(fd, F_GETFD) < 0;
            throw;
        }
    });
    co_await closing.join();
    CHECK(closing.cancelled());
    CHECK(freed);
    const std::string e = co_await ending_of(read_text(c.server));
    CHECK(e.starts_with("truncated: "));
}

EDDY_TEST("ST-36 close that is cancelled while it waits for room stops waiting, and has closed") {
    testing::memory_streams ends = testing::memory_stream_pair({.capacity = 4096});
    auto c = co_await shake_hands(std::move(ends.a), std::move(ends.b), client_context(), server_context());
    const std::string filling(4096 - 22, 'x'); // a record of exactly the room there is
    co_await c.client.write(filling);
    std::string ending;
    auto closing = spawn([&]() -> task<> {
        co_await c.client.close();
        ending = c.client.is_open() ? "open" : "closed";
        co_await this_task::checkpoint();
    });
    co_await testing::settle();
    CHECK(!closing.done());
    closing.cancel();
    co_await closing.join();
    CHECK(ending == "closed");
    CHECK(closing.cancelled());
}

EDDY_TEST("close waits for room for at most shutdown_timeout") {
    testing::memory_streams ends = testing::memory_stream_pair({.capacity = 4096});
    auto c = co_await shake_hands(std::move(ends.a), std::move(ends.b), client_context(), server_context());
    const std::string filling(4096 - 22, 'x');
    co_await c.client.write(filling);
    const auto before = loop_clock::now();
    co_await c.client.close();
    CHECK(loop_clock::now() - before == 30s);
    const std::string e = co_await ending_of(read_all(c.server));
    CHECK(e.starts_with("truncated: "));
}

EDDY_TEST("ST-37 a handshake that takes too long: an error, the socket is closed, and the server accepts the next") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    std::string refusal;
    auto handler = [&](tcp_stream s) -> task<> {
        const int fd = s.native_handle();
        auto accepting = tls_accept(std::move(s), server_context());
        outcome<tls_stream> t = co_await as_result(std::move(accepting));
        if (!t) {
            refusal = text_of(t.exception());
            if (::fcntl(fd, F_GETFD) >= 0) refusal += ", but its descriptor is open";
            co_return;
        }
        co_await t->write("welcome");
        co_await t->close();
    };
    auto serving = spawn(serve(l, handler));
    const auto before = loop_clock::now();
    tcp_stream silent = co_await tcp_connect(l.local_endpoint());
    std::array<std::byte, 1> buffer;
    const std::size_t n = co_await silent.read_some(buffer);
    CHECK(n == 0);
    CHECK(loop_clock::now() - before >= 60s);
    CHECK(refusal.starts_with("timeout: TLS handshake with 127.0.0.1:"));
    tls_stream next = co_await tls_connect("127.0.0.1", l.local_endpoint().port(), client_context());
    const std::string welcome = co_await read_text(next);
    CHECK(welcome == "welcome");
    co_await serving.cancel_and_join();
}

EDDY_TEST("ST-37 the client's side, with a limit of its own") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0}); // connects, and never answers
    tls_options o;
    o.handshake_timeout = 2s;
    const auto before = loop_clock::now();
    const std::string e = co_await ending_of(tls_connect("127.0.0.1", l.local_endpoint().port(), client_context(), o));
    CHECK(e.starts_with("timeout: TLS handshake with 127.0.0.1:"));
    CHECK(loop_clock::now() - before >= 2s);
    CHECK(loop_clock::now() - before < 60s);
}

EDDY_TEST("connecting to nobody is a connect_error") {
    const std::uint16_t port = tcp_listener::bind({"127.0.0.1", 0}).local_endpoint().port();
    auto connecting = tls_connect("127.0.0.1", port, client_context());
    const auto e = co_await as_result(std::move(connecting));
    CHECK((e.error() == std::errc::connection_refused));
}

EDDY_TEST("close under waiters: they get closed_resource") {
    for (const bool destroy : {false, true}) {
        auto c = co_await over_tcp();
        const std::string much(20 << 20, 'x');
        auto reading = spawn(ending_of(read_text(c.client)));
        auto writing = spawn(ending_of(write_text(c.client, much)));
        co_await testing::settle();
        auto queued = spawn(ending_of(write_text(c.client, "behind it")));
        co_await testing::settle();
        CHECK(!writing.done());
        if (destroy) {
            const tls_stream gone = std::move(c.client);
        } else {
            co_await c.client.close();
        }
        const std::string read = co_await reading;
        const std::string wrote = co_await writing;
        const std::string waited = co_await queued;
        CHECK(read.starts_with("closed: "));
        CHECK(wrote.starts_with("closed: "));
        CHECK(waited.starts_with("closed: "));
    }
}

EDDY_TEST("abort resets, and wakes who waits") {
    auto c = co_await over_tcp();
    auto reading = spawn(ending_of(read_text(c.client)));
    co_await testing::settle();
    c.client.abort();
    const std::string read = co_await reading;
    CHECK(read.starts_with("closed: "));
    const std::string there = co_await ending_of(read_text(c.server));
    CHECK(there == "system_error: Connection reset by peer");
}

EDDY_TEST("server::shutdown ends a TLS handler that hangs") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const std::uint16_t port = l.local_endpoint().port();
    auto handler = [](tcp_stream s) -> task<> {
        tls_stream t = co_await tls_accept(std::move(s), server_context());
        auto reading = shielded(read_text(t));
        static_cast<void>(co_await as_result(std::move(reading)));
    };
    server srv{std::move(l), handler};
    srv.start();
    tls_stream t = co_await tls_connect("127.0.0.1", port, client_context());
    co_await t.write("");
    co_await testing::settle();
    testing::manual_clock clock;
    auto ending = spawn(srv.shutdown(1s));
    co_await clock.advance(2s);
    co_await ending;
    CHECK(srv.connections() == 0);
}

EDDY_TEST("ST-35 a server that answers and closes while its tickets are on their way: the client sees a clean end") {
    testing::memory_streams ends = testing::memory_stream_pair({.capacity = 4096});
    auto serving = spawn([](testing::memory_stream s) -> task<> {
        memory_tls t = co_await tls_accept(std::move(s), server_context());
        co_await t.write(std::string(100'000, 'x')); // in the step in which the tickets were made
        co_await t.close();
    }, std::move(ends.b));
    memory_tls t = co_await tls_upgrade(std::move(ends.a), client_context(), "localhost");
    const std::string all = co_await read_all(t);
    CHECK(all.size() == 100'000);
    co_await serving;
}

EDDY_TEST("ST-25 shutdown_write that was cancelled half-way is not done when it is asked for again") {
    testing::memory_streams ends = testing::memory_stream_pair({.capacity = 8});
    auto connecting = tls_upgrade(std::move(ends.a), client_context(), "localhost");
    auto accepting = tls_accept(std::move(ends.b), server_context());
    auto both = co_await gather(std::move(connecting), std::move(accepting));
    memory_tls& client = std::get<0>(both);
    auto shutting = spawn([&]() -> task<> { co_await client.shutdown_write(); }); // more than the stream takes
    co_await testing::settle();
    CHECK_FALSE(shutting.done());
    co_await shutting.cancel_and_join();
    const std::string again = co_await ending_of(client.shutdown_write());
    CHECK(again.starts_with("broken: "));
}

// What other implementations may do to us: versions, new keys, split messages, nonsense.
#include "tls/raw_peer.hpp"

using namespace tls_tests;

namespace {

/// Our end after a handshake with a raw server.
task<memory_tls> connect_to(raw_peer& server, testing::memory_stream ours, tls_context context, bool keep = false) {
    auto connecting = tls_upgrade(std::move(ours), std::move(context), "localhost");
    auto both = co_await gather(std::move(connecting), server.handshake(keep));
    co_return std::move(std::get<0>(both));
}

} // namespace

EDDY_TEST("TLS 1.2: data, the end, and a session that is resumed") {
    tls_context tc = client_context();
    testing::memory_streams ends = testing::memory_stream_pair();
    raw_peer server(std::move(ends.b), raw_peer::role::server, TLS1_2_VERSION);
    memory_tls t = co_await connect_to(server, std::move(ends.a), tc);
    CHECK(t.tls_info().version == "TLSv1.2");
    co_await t.write("question");
    const std::string question = co_await server.receive();
    CHECK(question == "question");
    co_await server.send("answer");
    const std::string answer = co_await read_text(t);
    CHECK(answer == "answer");
    co_await t.close();
    const std::string end = co_await server.receive();
    CHECK(end == "<end>");
}

EDDY_TEST("TLS 1.1 is refused, on either side") {
    testing::memory_streams ends = testing::memory_stream_pair();
    raw_peer server(std::move(ends.b), raw_peer::role::server, TLS1_1_VERSION);
    auto connecting = ending_of(tls_upgrade(std::move(ends.a), client_context(), "localhost"));
    auto both = co_await gather(std::move(connecting), ending_of(server.handshake()));
    CHECK(std::get<0>(both).starts_with("tls_error: TLS handshake with localhost: "));
    testing::memory_streams more = testing::memory_stream_pair();
    raw_peer client(std::move(more.a), raw_peer::role::client, TLS1_1_VERSION);
    auto accepting = ending_of(tls_accept(std::move(more.b), server_context()));
    auto others = co_await gather(std::move(accepting), ending_of(client.handshake()));
    CHECK(std::get<0>(others).starts_with("tls_error: TLS handshake with a client: "));
}

EDDY_TEST("a peer that wants new keys gets them") {
    testing::memory_streams ends = testing::memory_stream_pair();
    raw_peer server(std::move(ends.b), raw_peer::role::server);
    memory_tls t = co_await connect_to(server, std::move(ends.a), client_context());
    for (int i = 0; i < 3; ++i) {
        REQUIRE(SSL_key_update(server.ssl.get(), SSL_KEY_UPDATE_REQUESTED) == 1);
        co_await server.send("with new keys");
        const std::string got = co_await read_text(t);
        CHECK(got == "with new keys");
        co_await t.write("mine are new, too");
        const std::string answer = co_await server.receive();
        CHECK(answer == "mine are new, too");
    }
}

EDDY_TEST("reading goes on while a write is stuck, and the peer wants new keys") {
    testing::memory_streams ends = testing::memory_stream_pair({.capacity = 8000});
    raw_peer server(std::move(ends.b), raw_peer::role::server);
    memory_tls t = co_await connect_to(server, std::move(ends.a), client_context());
    const std::string much(100'000, 'x');
    auto writing = spawn(write_text(t, much));
    co_await testing::settle();
    CHECK(!writing.done());
    SSL_key_update(server.ssl.get(), SSL_KEY_UPDATE_REQUESTED);
    co_await server.send("are you there?");
    const std::string got = co_await read_text(t);
    CHECK(got == "are you there?");
    std::string all;
    while (all.size() < much.size()) all += co_await server.receive();
    CHECK((all == much));
    co_await writing;
}

EDDY_TEST("a write in the middle of a ticket waits for its rest, whoever reads it") {
    for (const bool reading : {false, true}) {
        testing::memory_streams ends = testing::memory_stream_pair();
        raw_peer server(std::move(ends.b), raw_peer::role::server);
        SSL_set_max_send_fragment(server.ssl.get(), 512); // a ticket with a client's certificate in it takes two records
        SSL_set_verify(server.ssl.get(), SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
        SSL_set_session_id_context(server.ssl.get(), reinterpret_cast<const unsigned char*>("x"), 1);
        tls_context tc = client_context();
        tc.certificate_pem(somebody().certificate, somebody().key);
        memory_tls t = co_await connect_to(server, std::move(ends.a), tc, true);
        const std::string tickets = server.output();
        REQUIRE(tickets.size() > 600);
        task_handle<std::string> read;
        if (reading) read = spawn(read_text(t));
        co_await server.stream.write(std::string_view(tickets).substr(0, 300)); // not even a whole record
        co_await testing::settle();
        co_await server.stream.write(std::string_view(tickets).substr(300, 260));
        co_await testing::settle();
        auto first = spawn(write_text(t, "written meanwhile"));
        co_await testing::settle();
        co_await server.stream.write(std::string_view(tickets).substr(560));
        const std::string got = co_await server.receive();
        CHECK(got == "written meanwhile");
        co_await first;
        co_await server.send("data");
        if (!reading) read = spawn(read_text(t));
        const std::string data = co_await read;
        CHECK(data == "data");
    }
}

EDDY_TEST("a client that offers the ticket of one name to another, which asks for a certificate, is refused") {
    const identity both = make_identity({.name = "both", .names = {"DNS:localhost", "DNS:secret.test"}}, &authority());
    tls_context ts = server_context(both);
    tls_context secret = server_context(both);
    secret.require_client_certificate_pem(authority().certificate);
    ts.for_name("secret.test", secret);
    testing::memory_streams first = testing::memory_stream_pair();
    raw_peer honest(std::move(first.a), raw_peer::role::client);
    SSL_set_tlsext_host_name(honest.ssl.get(), "localhost");
    auto accepting = tls_accept(std::move(first.b), ts);
    auto opened = co_await gather(std::move(accepting), honest.handshake());
    co_await std::get<0>(opened).write("x");
    const std::string x = co_await honest.receive(); // and the tickets before it
    CHECK(x == "x");
    SSL_SESSION* const session = SSL_get1_session(honest.ssl.get());
    for (const bool cheats : {false, true}) {
        testing::memory_streams ends = testing::memory_stream_pair();
        raw_peer client(std::move(ends.a), raw_peer::role::client);
        const std::string name = cheats ? "secret.test" : "localhost";
        SSL_set_tlsext_host_name(client.ssl.get(), name.c_str());
        SSL_set_session(client.ssl.get(), session);
        auto server = ending_of(tls_accept(std::move(ends.b), ts));
        auto endings = co_await gather(std::move(server), ending_of(client.handshake()));
        CHECK(std::get<0>(endings) == (cheats ? "tls_error: TLS handshake with a client: the client has shown no certificate" : "ok"));
        CHECK(SSL_session_reused(client.ssl.get()) == (cheats ? 0 : 1));
    }
    SSL_SESSION_free(session);
}

EDDY_TEST("a peer that does not speak TLS") {
    testing::memory_streams ends = testing::memory_stream_pair();
    auto accepting = spawn(ending_of(tls_accept(std::move(ends.b), server_context())));
    co_await ends.a.write("GET / HTTP/1.1\r\n\r\n");
    const std::string e = co_await accepting;
    CHECK(e == "tls_error: TLS handshake with a client: http request");
    testing::memory_streams more = testing::memory_stream_pair();
    auto connecting = spawn(ending_of(tls_upgrade(std::move(more.a), client_context(), "localhost")));
    co_await more.b.write("220 mail.example ESMTP\r\n");
    const std::string f = co_await connecting;
    CHECK(f == "tls_error: TLS handshake with localhost: wrong version number");
}

EDDY_TEST("what was changed on its way is an error, for this read and the next, and the peer is told") {
    testing::memory_streams ends = testing::memory_stream_pair();
    raw_peer server(std::move(ends.b), raw_peer::role::server);
    memory_tls t = co_await connect_to(server, std::move(ends.a), client_context());
    server.encrypt("good");
    co_await server.flush();
    server.encrypt("evil");
    std::string changed = server.output();
    changed.back() = static_cast<char>(changed.back() ^ 1);
    co_await server.stream.write(changed);
    const std::string good = co_await read_text(t);
    CHECK(good == "good");
    const std::string e = co_await ending_of(read_text(t));
    CHECK(e == "tls_error: TLS read from localhost: decryption failed or bad record mac");
    const std::string again = co_await ending_of(read_text(t));
    CHECK(again == e);
    const std::string write = co_await ending_of(write_text(t, "x"));
    CHECK(write == e);
    const std::string told = co_await server.receive();
    CHECK(told == "<alert>");
    co_await t.close();
    CHECK(ERR_peek_error() == 0);
}

// Websockets over streams in memory: both ends ours, and one end bare bytes.
#include "http/websocket_support.hpp"

#include <exception>

using namespace websocket_tests;

namespace {

using op = websocket_opcode;

/// What a websocket of that side says when these bytes come: how its reads end, and what it sends, as the peer reads it.
task<std::string> verdict(websocket_side side, std::string bytes, websocket_options options = {}) {
    bare_pair p(side, options);
    co_await p.peer.write(std::string_view(bytes));
    auto reads = spawn([&]() -> task<std::string> { return read_messages(p.ws); });
    const std::string sent = co_await read_rest(p.peer);
    co_await p.peer.close();
    const std::string ending = co_await reads;
    co_return ending + " | " + transcript(sent, side == websocket_side::client);
}

/// The server's verdict on a client's bytes.
task<std::string> server_verdict(std::string bytes) {
    return verdict(websocket_side::server, std::move(bytes));
}

std::string violation_of(std::string_view reason, int code = 1002) {
    const std::string number = std::to_string(code);
    return "error " + number + ": WebSocket with the peer: " + std::string(reason) + " | close(" + number + ")";
}

} // namespace

EDDY_TEST("messages go both ways, in fragments of the stream of any size") {
    const std::string large(20'000, 'x');
    const std::array<std::size_t, 4> fragments{1, 3, 4096, 1'000'000};
    for (const std::size_t fragment : fragments) {
        websocket_pair p({.fragment = fragment});
        auto echo_all = spawn([&]() -> task<> {
            for (;;) {
                std::optional<http::websocket_message> m = co_await p.server.read();
                if (!m) co_return;
                if (m->is_text)
                    co_await p.server.send(m->data);
                else
                    co_await p.server.send_binary(m->bytes());
            }
        });
        auto back = spawn([&]() -> task<std::string> { return read_messages(p.client); });
        co_await p.client.send("h\xC3\xA9llo");
        co_await p.client.send("");
        co_await p.client.send(std::string("of the task"));
        co_await p.client.send(large);
        co_await p.client.send_binary(bytes_of("\xFF\xFE"));
        co_await p.client.send_binary(bytes_of(large));
        co_await testing::settle();
        co_await p.client.close(1000, "enough");
        const std::string got = co_await back;
        co_await echo_all;
        INFO(fragment);
        CHECK(got == "text(h\xC3\xA9llo) text() text(of the task) text(20000 bytes) binary(\xFF\xFE) binary(20000 bytes) closed(1000)");
        CHECK(p.server.close_code() == 1000);
        CHECK(p.server.close_reason() == "enough");
        CHECK_FALSE(p.client.is_open());
        CHECK_FALSE(p.server.is_open());
    }
}

EDDY_TEST("a server's frames are not masked, a client's are, each with another key") {
    bare_pair server(websocket_side::server);
    co_await server.ws.send("Hello");
    const std::string plain = co_await read_some_text(server.peer);
    CHECK(plain == server_frame(op::text, "Hello"));
    bare_pair client(websocket_side::client);
    co_await client.ws.send("Hello");
    co_await client.ws.send("Hello");
    const std::string masked = co_await read_some_text(client.peer);
    CHECK(masked.size() == 2 * 11);
    CHECK(masked.substr(2, 4) != masked.substr(13, 4));
    CHECK(transcript(masked, true) == "text(Hello) text(Hello)");
}

EDDY_TEST("a large message of a client is masked piece by piece") {
    bare_pair p(websocket_side::client, {}, {.capacity = 1'000'000});
    std::string large(50'001, 'a');
    for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>('a' + i % 26);
    co_await p.ws.send(large);
    const std::string sent = co_await read_some_text(p.peer);
    frame_decoder d(true, 1'000'000);
    std::string_view rest = sent;
    auto event = frame_decoder::event::needs_input;
    while (!rest.empty() && event == frame_decoder::event::needs_input) {
        const std::span<std::byte> room = d.room();
        const std::size_t n = std::min(room.size(), rest.size());
        std::copy_n(bytes_of(rest).begin(), n, room.begin());
        d.received(n);
        rest.remove_prefix(n);
        event = d.next();
    }
    CHECK((event == frame_decoder::event::message));
    CHECK(d.take_message() == large);
}

EDDY_TEST("what is no WebSocket is answered with 1002 and thrown") {
    const auto server = [](std::string bytes) { return server_verdict(std::move(bytes)); };
    const std::string unmasked = co_await server(server_frame(op::text, "Hello"));
    CHECK(unmasked == violation_of("a frame of a client that is not masked"));
    const std::string masked = co_await verdict(websocket_side::client, client_frame(op::text, "Hello"));
    CHECK(masked == violation_of("a frame of a server that is masked"));
    const std::string reserved = co_await server(raw_bytes(0xC1, 0x80, 0, 0, 0, 0));
    CHECK(reserved == violation_of("a frame with a reserved bit set"));
    const std::string unknown = co_await server(raw_bytes(0x8B, 0x80, 0, 0, 0, 0));
    CHECK(unknown == violation_of("a frame with an unknown opcode"));
    const std::string fragmented = co_await server(client_frame(op::ping, "", false));
    CHECK(fragmented == violation_of("a control frame that is fragmented"));
    const std::string long_ping = co_await server(raw_bytes(0x89, 0xFE, 0, 126));
    CHECK(long_ping == violation_of("a control frame with more than 125 bytes"));
    const std::string continuation = co_await server(client_frame(op::continuation, "x"));
    CHECK(continuation == violation_of("a continuation without a message before it"));
    const std::string within = co_await server(client_frame(op::text, "a", false) + client_frame(op::text, "b"));
    CHECK(within == violation_of("a new message within a fragmented one"));
    const std::string not_minimal = co_await server(raw_bytes(0x82, 0xFE, 0, 5, 0, 0, 0, 0));
    CHECK(not_minimal == violation_of("a frame whose length is not written in the shortest way"));
    const std::string top_bit = co_await server(raw_bytes(0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    CHECK(top_bit == violation_of("a frame with the highest bit of its length set"));
    const std::string half_code = co_await server(client_frame(op::close, "x"));
    CHECK(half_code == violation_of("a close frame with half a code"));
    const std::string bad_code = co_await server(client_frame(op::close, close_payload(1005)));
    CHECK(bad_code == violation_of("a close frame with the code 1005"));
}

EDDY_TEST("text that is not UTF-8 is answered with 1007, too much with 1009") {
    const std::string bad_text = co_await server_verdict(client_frame(op::text, "\xE2\x82", false) + client_frame(op::continuation, "x"));
    CHECK(bad_text == violation_of("a text that is not UTF-8", 1007));
    const std::string half = co_await server_verdict(client_frame(op::text, "ok") + client_frame(op::text, "\xE2\x82"));
    CHECK(half == "text(ok) " + violation_of("a text that ends in the middle of a character", 1007));
    const std::string announced = co_await verdict(websocket_side::server, client_frame(op::binary, "12345"), {.max_message = 4});
    CHECK(announced == violation_of("a message of more than 4 bytes", 1009));
    const std::string fragments =
        co_await verdict(websocket_side::server, client_frame(op::binary, "123", false) + client_frame(op::continuation, "45"), {.max_message = 4});
    CHECK(fragments == violation_of("a message of more than 4 bytes", 1009));
}

EDDY_TEST("after a violation the error stays, and nothing can be written") {
    bare_pair p(websocket_side::server);
    co_await p.peer.write(server_frame(op::text, "Hello"));
    co_await p.peer.shutdown_write();
    const std::string first = co_await read_messages(p.ws);
    const std::string second = co_await read_messages(p.ws);
    CHECK(first == second);
    CHECK(p.ws.close_code() == 1006);
    const std::string written = co_await words::ending(p.ws.send("x"));
    CHECK(written == "WebSocket with the peer: a frame of a client that is not masked");
}

EDDY_TEST("an end without a close frame is an error, also in the middle of a message") {
    const std::vector<std::string> starts{"", client_frame(op::text, "a", false), client_frame(op::text, "abc").substr(0, 7)};
    for (const std::string& before : starts) {
        bare_pair p(websocket_side::server);
        if (!before.empty()) co_await p.peer.write(std::string_view(before));
        co_await p.peer.close();
        const std::string ending = co_await read_messages(p.ws);
        CHECK(ending == "error 1006: WebSocket with the peer: it ended without a close frame");
        CHECK(p.ws.close_code() == 1006);
        CHECK_FALSE(p.ws.is_open());
    }
}

EDDY_TEST("a close of the peer is answered with its code, and the stream closed") {
    const std::vector<std::string> payloads{"", close_payload(1001), close_payload(4000, "why")};
    for (const std::string& payload : payloads) {
        bare_pair p(websocket_side::server);
        co_await p.peer.write(client_frame(op::close, payload));
        const std::optional<http::websocket_message> none = co_await p.ws.read();
        CHECK_FALSE(none);
        const std::string answer = co_await read_rest(p.peer);
        CHECK(answer == server_frame(op::close, payload.substr(0, 2)));
        CHECK(p.ws.close_code() == (payload.empty() ? 1005 : payload.size() == 2 ? 1001 : 4000));
        const std::optional<http::websocket_message> again = co_await p.ws.read();
        CHECK_FALSE(again);
        const std::string written = co_await words::ending(p.ws.send("x"));
        CHECK(written == "write to the WebSocket of the peer: it has closed");
        co_await p.ws.close();
    }
}

EDDY_TEST("pings are answered, the latest at least, and pongs counted") {
    bare_pair p(websocket_side::server);
    auto reads = spawn([&]() -> task<std::string> { return read_messages(p.ws); });
    co_await p.peer.write(client_frame(op::ping, "one"));
    const std::string pong = co_await read_some_text(p.peer);
    CHECK(pong == server_frame(op::pong, "one"));
    co_await p.peer.write(client_frame(op::ping, "two") + client_frame(op::ping, "three") + client_frame(op::pong, "") + client_frame(op::pong, ""));
    const std::string latest = co_await read_some_text(p.peer);
    CHECK(latest == server_frame(op::pong, "three"));
    CHECK(p.ws.pongs() == 2);
    co_await p.ws.ping("anybody?");
    const std::string ping = co_await read_some_text(p.peer);
    CHECK(ping == server_frame(op::ping, "anybody?"));
    co_await p.peer.write(client_frame(op::text, "a", false) + client_frame(op::ping, "within") + client_frame(op::continuation, "b"));
    const std::string within = co_await read_some_text(p.peer);
    CHECK(within == server_frame(op::pong, "within"));
    co_await p.peer.write(client_frame(op::close, ""));
    const std::string seen = co_await reads;
    CHECK(seen == "text(ab) closed(1005)");
}

EDDY_TEST("a read does not wait for room to write a pong") {
    bare_pair p(websocket_side::server, {}, {.capacity = 100});
    const std::string large(1000, 'x');
    auto writes = spawn([&]() -> task<> { co_await p.ws.send(large); }); // nobody reads it yet
    co_await testing::settle();
    co_await p.peer.write(client_frame(op::ping, "p") + client_frame(op::text, "message"));
    const std::optional<http::websocket_message> m = co_await p.ws.read();
    CHECK(m.value().data == "message");
    std::string got;
    while (got.size() < 1004 + 3) got += co_await read_some_text(p.peer);
    co_await writes;
    CHECK(transcript(got, false) == "text(1000 bytes) pong(p)");
}

EDDY_TEST("writes of several tasks are queued, and never torn", "[fifo]") {
    websocket_pair p({.capacity = 50});
    auto reads = spawn([&]() -> task<std::string> { return read_messages(p.server); });
    {
        auto a = [&]() -> task<> { co_await p.client.send(std::string(30, 'a') + std::string(300, 'a')); };
        auto b = [&]() -> task<> { co_await p.client.send(std::string(300, 'b')); };
        auto c = [&]() -> task<> { co_await p.client.ping("c"); };
        auto d = [&]() -> task<> { co_await p.client.send_binary(bytes_of("d")); };
        co_await gather(a(), b(), c(), d());
    }
    co_await p.client.close();
    const std::string seen = co_await reads;
    CHECK(seen == "text(330 bytes) text(300 bytes) binary(d) closed(1000)");
}

EDDY_TEST("one read at a time") {
    websocket_pair p;
    auto first = spawn([&]() -> task<std::string> { return read_messages(p.server); });
    co_await testing::settle();
    const std::string second = co_await words::ending(p.server.read());
    CHECK(second == "another task is already reading from the WebSocket of the peer");
    co_await p.client.send("still there");
    co_await p.client.close();
    const std::string seen = co_await first;
    CHECK(seen == "text(still there) closed(1000)");
}

EDDY_TEST("what cannot be sent is refused before anything is written") {
    bare_pair p(websocket_side::server);
    const std::string bad = co_await words::ending(p.ws.send("\xFF"));
    CHECK(bad == "a text for the WebSocket of the peer is not UTF-8; send_binary takes any bytes");
    CHECK(words::throws<std::invalid_argument>([&] { return p.ws.ping(std::string(126, 'x')); }));
    CHECK(words::throws<std::invalid_argument>([&] { return p.ws.close(1005); }));
    CHECK(words::throws<std::invalid_argument>([&] { return p.ws.close(1000, std::string(124, 'x')); }));
    CHECK(words::throws<std::invalid_argument>([&] { return p.ws.close(1000, "\xFF"); }));
    co_await p.ws.send("ok");
    const std::string sent = co_await read_some_text(p.peer);
    CHECK(sent == server_frame(op::text, "ok"));
    websocket empty;
    CHECK(words::throws<closed_resource>([&] { return empty.read(); }));
    CHECK_FALSE(empty.is_open());
    co_await empty.close();
}

// --- closing

EDDY_TEST("close waits for the peer's close frame and drops what comes before it") {
    bare_pair p(websocket_side::server);
    auto closing = spawn([&]() -> task<> { co_await p.ws.close(1001, "going"); });
    const std::string sent = co_await read_some_text(p.peer);
    CHECK(sent == server_frame(op::close, close_payload(1001, "going")));
    co_await p.peer.write(client_frame(op::text, "late") + client_frame(op::ping, "late"));
    co_await testing::settle();
    CHECK_FALSE(closing.done());
    const std::string refused = co_await words::ending(p.ws.send("x"));
    CHECK(refused == "write to the WebSocket of the peer: it was closed on our side");
    co_await p.peer.write(client_frame(op::close, close_payload(1001)));
    co_await closing;
    CHECK(p.ws.close_code() == 1001);
    const std::string rest = co_await read_rest(p.peer);
    CHECK(rest.empty());
}

EDDY_TEST("a client waits until the server has closed the stream") {
    bare_pair p(websocket_side::client);
    auto closing = spawn([&]() -> task<> { co_await p.ws.close(); });
    const std::string sent = co_await read_some_text(p.peer);
    CHECK(transcript(sent, true) == "close(1000)");
    co_await p.peer.write(server_frame(op::close, close_payload(1000)));
    co_await testing::settle();
    CHECK_FALSE(closing.done());
    co_await p.peer.close();
    co_await closing;
    CHECK(p.ws.close_code() == 1000);
}

EDDY_TEST("a close gives up after its time, with or without an answer, and a read that waits is told") {
    testing::manual_clock clock;
    bare_pair p(websocket_side::server, {.close_timeout = 3s});
    auto reads = spawn([&]() -> task<std::string> { return read_messages(p.ws); });
    co_await testing::settle();
    auto closing = spawn([&]() -> task<> { co_await p.ws.close(); });
    co_await testing::settle();
    co_await clock.advance(2999ms);
    CHECK_FALSE(closing.done());
    co_await clock.advance(1ms);
    co_await closing;
    const std::string ending = co_await reads;
    CHECK(ending == "read from a memory_stream: it was closed on our side");
    CHECK(p.ws.close_code() == 1006);
}

EDDY_TEST("a close waits for a read that waits, which gets the messages before the peer's close") {
    bare_pair p(websocket_side::server);
    auto reads = spawn([&]() -> task<std::string> { return read_messages(p.ws); });
    co_await testing::settle();
    auto closing = spawn([&]() -> task<> { co_await p.ws.close(); });
    co_await testing::settle();
    co_await p.peer.write(client_frame(op::close, close_payload(1000)));
    co_await closing;
    const std::string seen = co_await reads;
    CHECK(seen == "closed(1000)");
}

EDDY_TEST("both close at the same time") {
    websocket_pair p;
    auto a = [&]() -> task<> { co_await p.client.close(4001); };
    auto b = [&]() -> task<> { co_await p.server.close(4002); };
    const auto start = loop_clock::now();
    co_await gather(a(), b());
    const bool at_once = loop_clock::now() == start;
    CHECK(at_once);
    CHECK(p.client.close_code() == 4002);
    CHECK(p.server.close_code() == 4001);
}

EDDY_TEST("closing twice, also at the same time, does no harm; nor does a peer that is gone") {
    websocket_pair p;
    auto reads = spawn([&]() -> task<std::string> { return read_messages(p.server); });
    auto a = [&]() -> task<> { co_await p.client.close(); };
    auto b = [&]() -> task<> { co_await p.client.close(); };
    co_await gather(a(), b());
    co_await p.client.close();
    const std::string seen = co_await reads;
    CHECK(seen == "closed(1000)");
    bare_pair gone(websocket_side::client);
    gone.peer.abort();
    co_await gone.ws.close();
    CHECK_FALSE(gone.ws.is_open());
    CHECK(gone.ws.close_code() == 1006);
}

EDDY_TEST("destroyed or aborted, a websocket tells who waits") {
    auto p = std::make_unique<bare_pair>(websocket_side::server);
    auto reads = spawn([&]() -> task<std::string> { co_return co_await words::ending(p->ws.read()); });
    co_await testing::settle();
    { const websocket gone = std::move(p->ws); }
    const std::string ending = co_await reads;
    CHECK(ending == "read from a memory_stream: it was closed on our side");
    const std::string peer = co_await words::ending(p->peer.read_some(std::span<std::byte>()));
    CHECK(peer.find("reset") != std::string::npos);
}

// --- keep-alive

EDDY_TEST("a read pings a peer that is silent, and gives up when nothing comes") {
    bare_pair p(websocket_side::server, {.ping_interval = 30s, .pong_timeout = 10s});
    const auto start = loop_clock::now();
    auto reads = spawn([&]() -> task<std::string> { return read_messages(p.ws); });
    const std::string ping = co_await read_some_text(p.peer);
    CHECK(ping == server_frame(op::ping, ""));
    const auto pinged = loop_clock::now() - start;
    CHECK((pinged >= 30s && pinged < 31s));
    co_await p.peer.write(client_frame(op::pong, ""));
    const std::string again = co_await read_some_text(p.peer);
    CHECK(again == server_frame(op::ping, ""));
    const std::string ending = co_await reads;
    CHECK(ending == "error 1006: WebSocket with the peer: it gave no sign of life after a ping");
    const auto all = loop_clock::now() - start;
    CHECK((all >= 70s && all < 71s));
    CHECK(p.ws.pongs() == 1);
}

EDDY_TEST("reads that are cancelled again and again ping all the same") {
    bare_pair p(websocket_side::server, {.ping_interval = 30s});
    for (int i = 0; i < 35; ++i) {
        const auto wait = [&](cancel_scope&) -> task<> { static_cast<void>(co_await p.ws.read()); };
        co_await move_on_after(1s, wait);
    }
    const std::string ping = co_await read_some_text(p.peer);
    CHECK(ping == server_frame(op::ping, ""));
}

EDDY_TEST("without being told to, a websocket pings a peer that is silent for 20 s, and gives it up 20 s later") {
    for (const websocket_side side : {websocket_side::server, websocket_side::client}) {
        bare_pair p(side);
        const auto start = loop_clock::now();
        auto reads = spawn([&]() -> task<std::string> { return read_messages(p.ws); });
        const std::string ping = co_await read_some_text(p.peer);
        CHECK(transcript(ping, side == websocket_side::client) == "ping()");
        const auto pinged = loop_clock::now() - start;
        CHECK((pinged >= 20s && pinged < 21s));
        const std::string ending = co_await reads;
        CHECK(ending == "error 1006: WebSocket with the peer: it gave no sign of life after a ping");
        const auto all = loop_clock::now() - start;
        CHECK((all >= 40s && all < 41s));
    }
}

EDDY_TEST("a peer that takes nothing for 30 s is given up by the write that waits, by the read, and by all that come after") {
    for (const websocket_side side : {websocket_side::server, websocket_side::client}) {
        bare_pair p(side, {.ping_interval = 0s}, {.capacity = 100});
        const auto start = loop_clock::now();
        const std::string expected = "WebSocket with the peer: it took too long to take a message";
        auto reads = spawn([&]() -> task<std::string> { return read_messages(p.ws); });
        const std::string large(1000, 'x');
        const std::string end = co_await words::ending(p.ws.send(large));
        CHECK(end == expected);
        const auto all = loop_clock::now() - start;
        CHECK((all >= 30s && all < 31s));
        const std::string ending = co_await reads;
        CHECK(ending == "error 1006: " + expected);
        CHECK_FALSE(p.ws.is_open());
        CHECK(p.ws.close_code() == 1006);
        const std::string again = co_await words::ending(p.ws.send("x"));
        CHECK(again == expected);
        const std::string read_again = co_await read_messages(p.ws);
        CHECK(read_again == "error 1006: " + expected);
        co_await p.ws.close(); // does no harm
        const std::string peer = co_await words::ending(p.peer.read_some(std::span<std::byte>()));
        CHECK(peer.find("reset") != std::string::npos);
    }
}

EDDY_TEST("a peer that is slow, but takes each part of a large message in time, gets all of it") {
    bare_pair p(websocket_side::server, {.ping_interval = 0s}, {.capacity = 64 * 1024});
    const std::string large(1'000'000, 'x');
    auto sends = spawn(words::ending(p.ws.send(large)));
    std::size_t got = 0;
    const auto start = loop_clock::now();
    while (got < large.size() + 10) { // with its head
        co_await sleep_for(20s);
        const std::string part = co_await read_some_text(p.peer);
        got += part.size();
    }
    const std::string end = co_await sends;
    CHECK(end == "ok");
    const bool slow = loop_clock::now() - start > 60s;
    CHECK(slow);
    CHECK(p.ws.is_open());
}

// --- cancellation

EDDY_TEST("a read that is cancelled has lost nothing, wherever in a message it was") {
    const std::string message = client_frame(op::text, "first ", false) + client_frame(op::ping, "p") + client_frame(op::continuation, "second");
    for (std::size_t cut = 0; cut < message.size(); ++cut) {
        bare_pair p(websocket_side::server);
        auto reads = spawn([&]() -> task<> { static_cast<void>(co_await p.ws.read()); });
        if (cut > 0) co_await p.peer.write(std::string_view(message).substr(0, cut));
        co_await testing::settle();
        co_await reads.cancel_and_join();
        CHECK(reads.cancelled());
        co_await p.peer.write(std::string_view(message).substr(cut));
        const std::optional<http::websocket_message> m = co_await p.ws.read();
        CHECK(m.value().data == "first second");
    }
}

EDDY_TEST("a large message that is read straight into its place survives a cancellation too") {
    bare_pair p(websocket_side::server, {}, {.capacity = 1'000'000});
    const std::string large(100'000, 'z');
    const std::string bytes = client_frame(op::text, large);
    auto reads = spawn([&]() -> task<> { static_cast<void>(co_await p.ws.read()); });
    co_await p.peer.write(std::string_view(bytes).substr(0, 60'000));
    co_await testing::settle();
    co_await reads.cancel_and_join();
    co_await p.peer.write(std::string_view(bytes).substr(60'000));
    const std::optional<http::websocket_message> m = co_await p.ws.read();
    CHECK(m.value().data == large);
}

EDDY_TEST("a send that is cancelled half-way breaks the writing side; reading goes on") {
    bare_pair p(websocket_side::server, {}, {.capacity = 100});
    const std::string large(1000, 'x');
    outcome<> ending;
    auto sends = spawn([&]() -> task<> { ending = co_await as_result(p.ws.send(large)); });
    co_await testing::settle();
    co_await sends.cancel_and_join();
    CHECK(ending.cancelled());
    CHECK(ending.partial() == 100);
    for (int i = 0; i < 2; ++i) {
        const std::string after = co_await words::ending(p.ws.send("x"));
        CHECK(after == "write to the WebSocket of the peer: an earlier write was cancelled half-way");
    }
    co_await p.peer.write(client_frame(op::ping, "unanswered") + client_frame(op::text, "hi"));
    const std::optional<http::websocket_message> m = co_await p.ws.read();
    CHECK(m.value().data == "hi");
    co_await p.ws.close(); // without a word, as there cannot be one
    const std::string rest = co_await read_rest(p.peer);
    CHECK(rest.size() == 100);
}

EDDY_TEST("a send or ping that is cancelled before its turn has sent nothing") {
    bare_pair p(websocket_side::server, {}, {.capacity = 100});
    co_await p.ws.send(std::string(98, 'x')); // no room is left
    auto first = spawn([&]() -> task<> { co_await p.ws.send("one"); });
    co_await testing::settle();
    auto second = spawn([&]() -> task<> { co_await p.ws.ping("two"); });
    co_await testing::settle();
    co_await second.cancel_and_join();
    co_await first.cancel_and_join();
    auto third = spawn([&]() -> task<> { co_await p.ws.send("three"); });
    std::string got;
    while (got.size() < 100 + 7) got += co_await read_some_text(p.peer);
    co_await third;
    CHECK(transcript(got, false) == "text(98 bytes) text(three)");
}

EDDY_TEST("a close that is cancelled closes the stream at once, without waiting for the peer") {
    bare_pair p(websocket_side::server);
    const auto start = loop_clock::now();
    auto closing = spawn([&]() -> task<> {
        co_await p.ws.close();
        CHECK_FALSE(p.ws.is_open());
        co_await this_task::checkpoint();
    });
    co_await testing::settle();
    co_await closing.cancel_and_join();
    CHECK(closing.cancelled());
    const bool at_once = loop_clock::now() == start;
    CHECK(at_once);
    const std::string sent = co_await read_rest(p.peer);
    CHECK(sent == server_frame(op::close, close_payload(1000)));
}

EDDY_TEST("an answer to a close that is cancelled is given by the next read") {
    bare_pair p(websocket_side::server, {}, {.capacity = 100});
    co_await p.ws.send(std::string(98, 'x')); // no room is left for the answer
    co_await p.peer.write(client_frame(op::close, close_payload(1000)));
    auto reads = spawn([&]() -> task<> { static_cast<void>(co_await p.ws.read()); });
    co_await testing::settle();
    co_await reads.cancel_and_join();
    auto again = spawn([&]() -> task<std::string> { return read_messages(p.ws); });
    const std::string all = co_await read_rest(p.peer);
    const std::string seen = co_await again;
    CHECK(seen == "closed(1000)");
    CHECK(transcript(all, false) == "text(98 bytes) close(1000)");
}

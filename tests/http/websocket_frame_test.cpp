// The codec of WebSocket frames on strings: what RFC 6455 shows, every way to cut the input, and what is refused.
#include "http/websocket_support.hpp"

using namespace websocket_tests;

namespace {

using op = websocket_opcode;

std::string head_of(op opcode, std::uint64_t length, bool masked = false) {
    return text_of(frame_head(opcode, length, masked ? &test_key : nullptr).bytes());
}

/// What a server makes of the frames of a client.
std::string served(std::string_view bytes) {
    return transcript(bytes, true);
}

} // namespace

TEST_CASE("RFC 6455 5.7: a text, masked and not") {
    const std::string plain = raw_bytes(0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f);
    const std::string masked = raw_bytes(0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58);
    CHECK(server_frame(op::text, "Hello") == plain);
    CHECK(client_frame(op::text, "Hello") == masked);
    CHECK(transcript(plain, false) == "text(Hello)");
    CHECK(transcript(masked, true) == "text(Hello)");
}

TEST_CASE("RFC 6455 5.7: a text in two fragments") {
    const std::string fragments = raw_bytes(0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f);
    CHECK(server_frame(op::text, "Hel", false) + server_frame(op::continuation, "lo") == fragments);
    CHECK(transcript(fragments, false) == "text(Hello)");
}

TEST_CASE("RFC 6455 5.7: a ping and its pong") {
    CHECK(transcript(raw_bytes(0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f), false) == "ping(Hello)");
    CHECK(transcript(raw_bytes(0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58), true) == "pong(Hello)");
}

TEST_CASE("RFC 6455 5.7: 256 bytes, and 64 KiB") {
    CHECK(head_of(op::binary, 256) == raw_bytes(0x82, 0x7E, 0x01, 0x00));
    CHECK(head_of(op::binary, 65536) == raw_bytes(0x82, 0x7F, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00));
    CHECK(transcript(server_frame(op::binary, std::string(256, 'x')), false) == "binary(256 bytes)");
    CHECK(transcript(server_frame(op::binary, std::string(65536, 'x')), false) == "binary(65536 bytes)");
}

TEST_CASE("RFC 6455 1.3: the key of an answer") {
    CHECK(http::detail::websocket_accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const std::string key = http::detail::new_websocket_key();
    CHECK(key.size() == 24);
    CHECK(key != http::detail::new_websocket_key());
}

TEST_CASE("lengths are written in the shortest way") {
    CHECK(head_of(op::text, 0) == raw_bytes(0x81, 0));
    CHECK(head_of(op::text, 125) == raw_bytes(0x81, 125));
    CHECK(head_of(op::text, 126) == raw_bytes(0x81, 126, 0, 126));
    CHECK(head_of(op::text, 65535) == raw_bytes(0x81, 126, 0xff, 0xff));
    CHECK(head_of(op::text, 1, true) == raw_bytes(0x81, 0x81, 0x37, 0xfa, 0x21, 0x3d));
}

TEST_CASE("a mask is laid on from anywhere in the payload") {
    for (std::size_t size = 0; size < 40; ++size) {
        for (std::uint64_t offset = 0; offset < 9; ++offset) {
            std::string expected(size, 'a');
            for (std::size_t i = 0; i < size; ++i)
                expected[i] = static_cast<char>(static_cast<unsigned char>(expected[i]) ^ std::to_integer<unsigned>(test_key[(offset + i) % 4]));
            std::string got(size, 'a');
            http::detail::apply_mask(std::as_writable_bytes(std::span(got)), test_key, offset);
            CHECK(got == expected);
        }
    }
}

TEST_CASE("however the bytes are cut, they say the same") {
    const std::string large(10'000, 'y');
    const std::string all = client_frame(op::text, "one") + client_frame(op::text, "tw", false) + client_frame(op::ping, "p") +
                            client_frame(op::continuation, "", false) + client_frame(op::continuation, "o\xC3\xA9") + client_frame(op::pong, "") +
                            client_frame(op::binary, large) + client_frame(op::binary, "") + client_frame(op::text, "") +
                            client_frame(op::close, close_payload(1000, "bye")) + "never looked at";
    const std::string said = "text(one) ping(p) text(two\xC3\xA9) pong() binary(10000 bytes) binary() text() close(1000 bye)";
    for (const std::size_t piece : {1U, 2U, 3U, 5U, 7U, 13U, 1000U, 4095U, 4096U, 4097U, 100'000U}) {
        INFO(piece);
        CHECK(transcript(all, true, piece) == said);
    }
}

TEST_CASE("memory is taken for what has come, not for what was announced") {
    frame_decoder d(true, std::size_t{1} << 40U);
    const std::string head = head_of(op::binary, std::uint64_t{1} << 39U, true);
    std::copy_n(bytes_of(head).begin(), head.size(), d.room().begin());
    d.received(head.size());
    CHECK(next_event(d).empty());
    CHECK(d.room().size() <= 16 * 1024);
    CHECK(d.room().size() > 0);
}

TEST_CASE("frames that are no WebSocket are violations") {
    const std::string hello = client_frame(op::text, "Hello");
    CHECK(served(server_frame(op::text, "Hello")) == "violation(1002 a frame of a client that is not masked)");
    CHECK(transcript(hello, false) == "violation(1002 a frame of a server that is masked)");
    for (const unsigned bit : {0x40U, 0x20U, 0x10U}) {
        std::string reserved = hello;
        reserved[0] = static_cast<char>(0x81U | bit);
        CHECK(served(reserved) == "violation(1002 a frame with a reserved bit set)");
    }
    for (const unsigned opcode : {3U, 4U, 5U, 6U, 7U, 11U, 12U, 13U, 14U, 15U})
        CHECK(served(raw_bytes(0x80U | opcode, 0x80, 0, 0, 0, 0)) == "violation(1002 a frame with an unknown opcode)");
    CHECK(served(client_frame(op::ping, "", false)) == "violation(1002 a control frame that is fragmented)");
    CHECK(served(raw_bytes(0x89, 0xFE, 0, 126)) == "violation(1002 a control frame with more than 125 bytes)");
    CHECK(served(client_frame(op::ping, std::string(125, 'p'))) == "ping(" + std::string(125, 'p') + ")");
    CHECK(served(client_frame(op::continuation, "x")) == "violation(1002 a continuation without a message before it)");
    CHECK(served(hello + client_frame(op::continuation, "x")) == "text(Hello) violation(1002 a continuation without a message before it)");
    CHECK(served(client_frame(op::text, "a", false) + hello) == "violation(1002 a new message within a fragmented one)");
}

TEST_CASE("lengths that are longer than they need be, or beyond 63 bits, are violations") {
    const std::string shortest = "violation(1002 a frame whose length is not written in the shortest way)";
    CHECK(transcript(raw_bytes(0x82, 126, 0, 125), false) == shortest);
    CHECK(transcript(raw_bytes(0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff), false) == shortest);
    CHECK(transcript(raw_bytes(0x82, 127, 0, 0, 0, 0, 0, 0, 0, 5), false) == shortest);
    CHECK(transcript(raw_bytes(0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0), false) == "violation(1002 a frame with the highest bit of its length set)");
}

TEST_CASE("a violation is found as soon as it can be seen") {
    CHECK(served(raw_bytes(0x83, 0x80)) == "violation(1002 a frame with an unknown opcode)");
    CHECK(served(client_frame(op::text, "\xFF never ends", false)) == "violation(1007 a text that is not UTF-8)");
    CHECK(transcript(head_of(op::binary, 101, true), true, 1000, 100) == "violation(1009 a message of more than 100 bytes)");
}

TEST_CASE("messages that are too large are violations, announced or by fragments") {
    const std::string ten(10, 'x');
    CHECK(transcript(client_frame(op::binary, ten), true, 1000, 10) == "binary(xxxxxxxxxx)");
    CHECK(transcript(client_frame(op::binary, ten + "x"), true, 1000, 10) == "violation(1009 a message of more than 10 bytes)");
    const std::string by_fragments = client_frame(op::binary, ten, false) + client_frame(op::continuation, "x");
    CHECK(transcript(by_fragments, true, 1000, 10) == "violation(1009 a message of more than 10 bytes)");
    const std::string huge = raw_bytes(0x82, 0xFF, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0);
    CHECK(transcript(client_frame(op::binary, "x", false), true) == "");
    CHECK(served(huge).starts_with("violation(1009"));
}

TEST_CASE("close frames: without a code, with one, with a reason") {
    CHECK(served(client_frame(op::close, "")) == "close(1005)");
    CHECK(served(client_frame(op::close, close_payload(1001))) == "close(1001)");
    CHECK(served(client_frame(op::close, close_payload(4999, "b\xC3\xB6se"))) == "close(4999 b\xC3\xB6se)");
    CHECK(served(client_frame(op::close, "x")) == "violation(1002 a close frame with half a code)");
    CHECK(served(client_frame(op::close, close_payload(1000, "\xFF"))) == "violation(1007 a close frame whose reason is not UTF-8)");
    for (const unsigned code : {0U, 999U, 1004U, 1005U, 1006U, 1015U, 1016U, 1100U, 2000U, 2999U, 5000U, 65535U})
        CHECK(served(client_frame(op::close, close_payload(code))) == "violation(1002 a close frame with the code " + std::to_string(code) + ")");
    for (const unsigned code : {1000U, 1001U, 1002U, 1003U, 1007U, 1008U, 1009U, 1010U, 1011U, 1012U, 1013U, 1014U, 3000U, 4000U})
        CHECK(served(client_frame(op::close, close_payload(code))) == "close(" + std::to_string(code) + ")");
}

TEST_CASE("UTF-8 as RFC 3629 has it") {
    using http::detail::is_utf8;
    CHECK(is_utf8(""));
    CHECK(is_utf8("plain text of more than eight letters"));
    CHECK(is_utf8("\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xEF\xBF\xBF \xF0\x90\x80\x80 \xF4\x8F\xBF\xBF"));
    for (const char* const bad : {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xED\xBF\xBF",
                                  "\xEF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xFE", "12345678\xC3", "12345678\xFF"}) {
        INFO(bad);
        CHECK_FALSE(is_utf8(bad));
    }
}

TEST_CASE("a character may be split over fragments, but must be whole at the end") {
    const std::string euro = "\xE2\x82\xAC";
    CHECK(served(client_frame(op::text, euro.substr(0, 1), false) + client_frame(op::continuation, euro.substr(1, 1), false) +
                 client_frame(op::continuation, euro.substr(2))) == "text(" + euro + ")");
    CHECK(served(client_frame(op::text, euro.substr(0, 2))) == "violation(1007 a text that ends in the middle of a character)");
    CHECK(served(client_frame(op::text, euro.substr(0, 2), false) + client_frame(op::continuation, "x")) == "violation(1007 a text that is not UTF-8)");
    CHECK(served(client_frame(op::text, euro.substr(0, 2), false) + client_frame(op::continuation, "")) ==
          "violation(1007 a text that ends in the middle of a character)");
    CHECK(served(client_frame(op::binary, "\xFF\xFE")) == "binary(\xFF\xFE)");
}

TEST_CASE("any bytes at all do no harm to the decoder") {
    std::uint32_t state = 12345;
    for (int round = 0; round < 2000; ++round) {
        std::string noise;
        for (int i = 0; i < 60; ++i) {
            state = state * 1664525U + 1013904223U;
            noise.push_back(static_cast<char>(state >> 24U));
        }
        noise[0] = static_cast<char>(static_cast<unsigned char>(noise[0]) & 0x8FU); // often enough beyond the first check
        const std::string at_once = transcript(noise, round % 2 == 0, 1000, 1000);
        const std::string by_bytes = transcript(noise, round % 2 == 0, 1, 1000);
        CHECK(at_once == by_bytes);
    }
}

TEST_CASE("the URL of a WebSocket") {
    using http::detail::websocket_url;
    const websocket_url full("ws://a.example:8080/chat?x=1");
    CHECK(full.host == "a.example");
    CHECK(full.authority == "a.example:8080");
    CHECK(full.port == 8080);
    CHECK(full.target == "/chat?x=1");
    const websocket_url bare("WS://a.example");
    CHECK(bare.port == 80);
    CHECK(bare.target == "/");
    const websocket_url query("ws://a.example?x");
    CHECK(query.target == "/?x");
    const websocket_url v6("ws://[::1]:81/");
    CHECK(v6.host == "::1");
    CHECK(v6.authority == "[::1]:81");
    CHECK(v6.port == 81);
    CHECK_FALSE(v6.secure);
    const websocket_url encrypted("WSS://a.example/x");
    CHECK(encrypted.secure);
    CHECK(encrypted.port == 443);
    CHECK(encrypted.authority == "a.example");
    CHECK(encrypted.target == "/x");
    for (const char* const bad : {"", "ws:", "ws://", "ws:///x", "http://a/", "wss://", "ws://a/#f", "ws://a b/", "ws://a/\r\nX: y", "ws://u@a/", "ws://a:0/", "ws://a:x/",
                                  "ws://a:65536/", "ws://a:/", "ws://[::1/", "ws://:80/"}) {
        INFO(bad);
        CHECK(words::throws<std::invalid_argument>([bad] { return websocket_url(bad).port; }));
    }
}

TEST_CASE("what a handshake of a server must be") {
    using http::detail::refuse_websocket;
    const auto asked = [](std::string_view name = {}, std::string_view value = {}) {
        http::request q;
        q.method = "GET";
        q.target = "/";
        q.headers.add("Host", "a.example");
        q.headers.add("Upgrade", "WebSocket");
        q.headers.add("Connection", "keep-alive, upgrade");
        q.headers.add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        q.headers.add("Sec-WebSocket-Version", "13");
        if (!name.empty()) q.headers.set(name, value);
        return q;
    };
    const auto status = [](const http::request& q, std::string_view origins = {}) {
        const std::optional<http::response> r = refuse_websocket(q, origins);
        return r ? r->status : 101;
    };
    CHECK(status(asked()) == 101);
    http::request post = asked();
    post.method = "POST";
    CHECK(status(post) == 405);
    http::request old = asked();
    old.minor_version = 0;
    CHECK(status(old) == 426);
    CHECK(status(asked("Upgrade", "h2c")) == 426);
    CHECK(status(asked("Connection", "keep-alive")) == 426);
    CHECK(status(asked("Sec-WebSocket-Version", "8")) == 426);
    CHECK(refuse_websocket(asked("Sec-WebSocket-Version", "8"), {})->header("Sec-WebSocket-Version") == "13");
    CHECK(status(asked("Sec-WebSocket-Key", "")) == 400);
    CHECK(status(asked("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ")) == 400);
    CHECK(status(asked("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j!!==")) == 400);
    http::request twice = asked();
    twice.headers.add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    CHECK(status(twice) == 400);

    CHECK(status(asked("Origin", "https://a.example")) == 101); // a page of ours
    CHECK(status(asked("Origin", "https://evil.example")) == 403);
    CHECK(status(asked("Origin", "null")) == 403);
    CHECK(status(asked("Origin", "https://evil.example"), "*") == 101);
    CHECK(status(asked("Origin", "https://b.example"), "https://c.example, https://b.example") == 101);
    CHECK(status(asked("Origin", "https://a.example"), "https://b.example") == 403);
}

TEST_CASE("the first subprotocol of the server that the client offers is chosen") {
    http::header_list offer;
    offer.add("Sec-WebSocket-Protocol", "chat.v1, chat.v2");
    offer.add("Sec-WebSocket-Protocol", "other");
    using http::detail::choose_subprotocol;
    CHECK(choose_subprotocol(offer, "chat.v2, chat.v1") == "chat.v2");
    CHECK(choose_subprotocol(offer, "none, other") == "other");
    CHECK(choose_subprotocol(offer, "CHAT.V1") == "");
    CHECK(choose_subprotocol(offer, "") == "");
}

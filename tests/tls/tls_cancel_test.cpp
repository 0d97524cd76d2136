// Cancelled means that it did not happen (R4), or what did is known.
#include "tls/support.hpp"

using namespace tls_tests;

EDDY_TEST("ST-05 a read that is cancelled loses nothing") {
    auto c = co_await in_memory({.fragment = 10});
    for (int i = 0; i < 20; ++i) { // each time with a part of a record read
        auto reading = spawn(read_text(c.client));
        co_await testing::settle();
        auto writing = spawn(write_text(c.server, "0123456789"));
        for (int k = 0; k < i; ++k) co_await this_task::yield();
        reading.cancel();
        co_await reading.join();
        co_await writing;
        std::string got;
        if (!reading.cancelled()) got = co_await reading;
        while (got.size() < 10) got += co_await read_text(c.client);
        CHECK(got == "0123456789");
    }
}

EDDY_TEST("ST-25 a write that is cancelled half-way says how much went out, and breaks the writing side") {
    auto c = co_await in_memory({.capacity = 100'000});
    const std::string much(1 << 20, 'x');
    auto writing = spawn(ending_of([](memory_tls& s, const std::string& text) -> task<> { co_await s.write(text); }(c.client, much)));
    co_await testing::settle();
    std::string ending;
    writing.cancel();
    co_await writing.join();
    const std::string later = co_await ending_of(write_text(c.client, "more"));
    CHECK(later == "broken: TLS write to localhost: an earlier write was cancelled half-way");
    co_await c.server.write("reading goes on");
    const std::string got = co_await read_text(c.client);
    CHECK(got == "reading goes on");
    co_await c.client.close();
    CHECK(!c.client.is_open());
}

EDDY_TEST("ST-25 partial() of a cancelled write of several buffers counts them all") {
    auto c = co_await in_memory({.capacity = 100'000});
    const std::vector<std::string> texts(20, std::string(40'000, 'x'));
    std::vector<std::span<const std::byte>> parts;
    for (const std::string& t : texts) parts.push_back(bytes_of(t));
    std::size_t partial = 0;
    auto writing = spawn([&]() -> task<> {
        try {
            co_await c.client.write(parts);
        } catch (const operation_cancelled& e) {
            partial = e.partial();
            throw;
        }
    });
    co_await testing::settle();
    co_await writing.cancel_and_join();
    CHECK(writing.cancelled());
    CHECK(partial == 96 * 1024); // 32 KiB at a time, from as many buffers as that takes
    const std::string later = co_await ending_of(write_text(c.client, "more"));
    CHECK(later == "broken: TLS write to localhost: an earlier write was cancelled half-way");
    buffered_reader r{c.server};
    const std::string arrived = co_await r.read_exactly(partial);
    CHECK((arrived == std::string(partial, 'x')));
}

EDDY_TEST("ST-25 partial() of a cancelled write") {
    auto c = co_await in_memory({.capacity = 100'000});
    const std::string much(1 << 20, 'x');
    std::size_t partial = 0;
    auto writing = spawn([&]() -> task<> {
        try {
            co_await c.client.write(much);
        } catch (const operation_cancelled& e) {
            partial = e.partial();
            throw;
        }
    });
    co_await testing::settle();
    writing.cancel("enough");
    co_await writing.join();
    CHECK(writing.cancelled());
    CHECK(partial == 96 * 1024); // what fits, in whole records of 16 KiB, two at a time
    buffered_reader r{c.server};
    const std::string arrived = co_await r.read_exactly(partial);
    CHECK(arrived == much.substr(0, partial));
}

EDDY_TEST("a write that is cancelled before its turn has not happened") {
    auto c = co_await in_memory({.capacity = 1000});
    const std::string much(20'000, 'x');
    auto first = spawn(write_text(c.client, much));
    co_await testing::settle();
    auto second = spawn(write_text(c.client, "never"));
    auto third = spawn(write_text(c.client, "after"));
    co_await testing::settle();
    second.cancel();
    co_await second.join();
    CHECK(second.cancelled());
    buffered_reader r{c.server};
    const std::string got = co_await r.read_exactly(much.size());
    CHECK(got == much);
    co_await first;
    co_await third;
    const std::string after = co_await r.read_exactly(5);
    CHECK(after == "after");
}

EDDY_TEST("a write that the stream below refuses: the same error for every later one") {
    auto c = co_await in_memory();
    co_await c.server.close();
    const std::string first = co_await ending_of(write_text(c.client, "x"));
    const std::string second = co_await ending_of(write_text(c.client, "y"));
    CHECK(first == "system_error: Broken pipe");
    CHECK(second == first);
}

EDDY_TEST("a handshake that is cancelled at any moment leaves no socket, and the server goes on") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const tls_context ts = server_context();
    auto handler = [&ts](tcp_stream s) -> task<> {
        auto accepting = tls_accept(std::move(s), ts);
        outcome<tls_stream> t = co_await as_result(std::move(accepting));
        if (t.cancelled()) co_await this_task::checkpoint();
        if (t) static_cast<void>(co_await as_result(t->write("welcome")));
    };
    auto serving = spawn(serve(l, handler));
    const tls_context tc = client_context();
    for (int i = 0; i < 40; ++i) {
        auto connecting = spawn(tls_connect("127.0.0.1", l.local_endpoint().port(), tc));
        for (int k = 0; k < i; ++k) co_await this_task::yield();
        connecting.cancel();
        co_await connecting.join();
    }
    tls_stream t = co_await tls_connect("127.0.0.1", l.local_endpoint().port(), tc);
    const std::string welcome = co_await read_text(t);
    CHECK(welcome == "welcome");
    co_await serving.cancel_and_join();
}

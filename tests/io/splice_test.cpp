#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>
#include <eddy/testing_memory_stream.hpp>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

/// Text in which no two lines look the same.
[[nodiscard]] std::string numbered_text(std::size_t size) {
    std::string all;
    all.reserve(size + 256);
    for (std::size_t i = 0; all.size() < size; ++i) all.append(200, '.').append(std::to_string(i)).append("\n");
    all.resize(size);
    return all;
}

template <class S>
task<> write_and_end(S& to, std::string_view text) {
    co_await to.write(text);
    if constexpr (requires { to.shutdown_write(); })
        co_await to.shutdown_write();
    else
        co_await to.close();
}

template <class S>
task<std::string> text_until_end(S& from) {
    buffered_reader r{from};
    std::string all = co_await r.read_to_end();
    co_return all;
}

/// `text` into `source`, from there by splice to `to`, and what comes out at the far end of that.
template <class Source, class From, class To, class Sink>
task<std::string> passed_through(Source& source, From& from, To& to, Sink& sink, std::string_view text) {
    auto writing = spawn(write_and_end(source, text));
    auto reading = spawn(text_until_end(sink));
    const std::uint64_t moved = co_await splice(from, to);
    CHECK(moved == text.size());
    co_await write_and_end(to, ", end");
    co_await writing;
    std::string got = co_await std::move(reading);
    co_return got;
}

/// Until the pipe between is not empty and stays so: the receiver takes no more.
[[nodiscard]] task<> until_held_up(const splice_buffer& between) {
    do co_await testing::settle();
    while (between.size() == 0);
}

} // namespace

EDDY_TEST("splice moves all that comes, from sockets and pipes to sockets and pipes") {
    const std::string text = numbered_text(3'000'000);
    const std::string expected = text + ", end";
    connection a = co_await connected();
    connection b = co_await connected();
    const std::string by_tcp = co_await passed_through(a.client, a.server, b.client, b.server, text);
    CHECK((by_tcp == expected));
    pipe_pair p = make_pipe();
    connection c = co_await connected();
    const std::string from_pipe = co_await passed_through(p.writer, p.reader, c.client, c.server, text);
    CHECK((from_pipe == expected));
    unix_streams u = unix_stream_pair();
    pipe_pair q = make_pipe();
    const std::string to_pipe = co_await passed_through(u.a, u.b, q.writer, q.reader, text);
    CHECK((to_pipe == expected));
    pipe_pair r = make_pipe();
    pipe_pair s = make_pipe();
    const std::string by_pipes = co_await passed_through(r.writer, r.reader, s.writer, s.reader, text);
    CHECK((by_pipes == expected));
}

EDDY_TEST("streams that the kernel does not know are read and written") {
    const std::string text = numbered_text(300'000);
    const std::string expected = text + ", end";
    auto a = testing::memory_stream_pair();
    connection b = co_await connected();
    const std::string to_socket = co_await passed_through(a.a, a.b, b.client, b.server, text);
    CHECK((to_socket == expected));
    connection c = co_await connected();
    auto d = testing::memory_stream_pair();
    const std::string from_socket = co_await passed_through(c.client, c.server, d.a, d.b, text);
    CHECK((from_socket == expected));
    connection e = co_await connected();
    connection f = co_await connected();
    co_await e.client.write("a line\n");
    buffered_reader ahead{e.server}; // what it has read is not forgotten
    const std::string line = co_await ahead.read_line();
    CHECK(line == "a line\n");
    const std::string from_reader = co_await passed_through(e.client, ahead, f.client, f.server, text);
    CHECK((from_reader == expected));
}

EDDY_TEST("splice takes no more than it is asked for, and splice_some what there is") {
    connection a = co_await connected();
    connection b = co_await connected();
    co_await a.client.write("0123456789");
    std::uint64_t moved = co_await splice(a.server, b.client, 4);
    CHECK(moved == 4);
    splice_buffer between;
    std::size_t some = co_await splice_some(a.server, b.client, between, 3);
    CHECK(some == 3);
    some = co_await splice_some(a.server, b.client, between, 0);
    CHECK(some == 0);
    some = co_await splice_some(a.server, b.client, between);
    CHECK(some == 3);
    moved = co_await splice(a.server, b.client, 0);
    CHECK(moved == 0);
    std::string got;
    while (got.size() < 10) got += co_await read_text(b.server);
    CHECK(got == "0123456789");
    co_await a.client.close();
    some = co_await splice_some(a.server, b.client, between);
    CHECK(some == 0);
    some = co_await splice_some(a.server, b.client, between); // again
    CHECK(some == 0);
    CHECK(between.size() == 0);
}

EDDY_TEST("R1 R4 cancelled while it waits for bytes, a splice has lost none, and both streams go on") {
    connection a = co_await connected();
    connection b = co_await connected();
    co_await a.client.write("one ");
    std::size_t partial = 0;
    auto moving = spawn([&]() -> task<> {
        try {
            static_cast<void>(co_await splice(a.server, b.client));
        } catch (const operation_cancelled& c) {
            partial = c.partial();
            throw;
        }
    });
    co_await testing::settle();
    co_await moving.cancel_and_join();
    CHECK(moving.cancelled());
    CHECK(partial == 4);
    std::string end;
    const auto body = [&](cancel_scope& s) -> task<> {
        s.cancel();
        end = co_await words::ending(splice(a.server, b.client)); // although there is something
    };
    co_await a.client.write("two ");
    co_await with_scope(body);
    CHECK(end == "cancelled");
    co_await a.client.shutdown_write();
    static_cast<void>(co_await splice(a.server, b.client));
    co_await b.client.write("three");
    co_await b.client.shutdown_write();
    const std::string got = co_await text_until_end(b.server);
    CHECK(got == "one two three");
}

EDDY_TEST("R4 cancelled while the receiver takes no more, a splice_buffer keeps what was taken; the next goes on with it") {
    const std::string text = numbered_text(20'000'000);
    connection a = co_await connected();
    connection b = co_await connected();
    auto writing = spawn(write_and_end(a.client, text));
    splice_buffer between;
    std::size_t partial = 0;
    auto moving = spawn([&]() -> task<> {
        try {
            static_cast<void>(co_await splice(a.server, b.client, between));
        } catch (const operation_cancelled& c) {
            partial = c.partial();
            throw;
        }
    });
    co_await until_held_up(between);
    CHECK(!moving.done());
    co_await moving.cancel_and_join();
    CHECK(moving.cancelled());
    CHECK(between.size() > 0);
    CHECK(between.size() <= splice_buffer::capacity);
    auto reading = spawn(text_until_end(b.server));
    const std::uint64_t rest = co_await splice(a.server, b.client, between);
    CHECK(partial + rest == text.size());
    CHECK(between.size() == 0);
    co_await b.client.close();
    const std::string got = co_await std::move(reading);
    CHECK((got == text));
    co_await writing;
}

EDDY_TEST("what is held can be handed on to a stream of another type") {
    const std::string text = numbered_text(20'000'000);
    connection a = co_await connected();
    connection b = co_await connected();
    auto writing = spawn(words::ending(write_and_end(a.client, text)));
    splice_buffer between;
    auto moving = spawn(splice(a.server, b.client, between));
    co_await until_held_up(between);
    co_await moving.cancel_and_join();
    const std::size_t held = between.size();
    auto other = testing::memory_stream_pair({.capacity = 2 * splice_buffer::capacity});
    const std::uint64_t moved = co_await splice(a.server, other.a, between, held);
    CHECK(moved == held);
    CHECK(between.size() == 0);
    auto closing = spawn([&]() -> task<> { co_await b.client.close(); });
    const std::string before = co_await text_until_end(b.server);
    co_await closing;
    co_await other.a.close();
    const std::string got = co_await text_until_end(other.b);
    CHECK(got.size() == held);
    CHECK((text.compare(0, before.size(), before) == 0));
    CHECK((text.compare(before.size(), held, got) == 0)); // the first byte after what the other stream had
    a.server.abort();
    co_await writing.join();
}

EDDY_TEST("R4 without a splice_buffer of ours what was on its way is lost: nothing may follow the gap") {
    const std::string text = numbered_text(20'000'000);
    connection a = co_await connected();
    connection b = co_await connected();
    auto writing = spawn(words::ending(write_and_end(a.client, text)));
    auto moving = spawn(splice(a.server, b.client));
    co_await testing::settle();
    CHECK(!moving.done());
    co_await moving.cancel_and_join();
    const std::string end = co_await words::ending(b.client.write("later"sv));
    CHECK(end == "write to " + b.client.remote_endpoint().to_string() + ": an earlier write was cancelled half-way");
    a.server.abort();
    co_await writing.join();
}

EDDY_TEST("a splice takes its turn among the writes of the receiver") {
    const std::string much = numbered_text(20'000'000);
    connection a = co_await connected();
    connection b = co_await connected();
    auto first = spawn_eager(write_text(b.client, much));
    co_await a.client.write(" spliced");
    splice_buffer between;
    auto second = spawn_eager(splice_some(a.server, b.client, between));
    co_await until_held_up(between);
    second.cancel(); // before its turn
    co_await second.join();
    CHECK(between.size() == 8);
    auto third = spawn_eager(splice_some(a.server, b.client, between));
    auto reading = spawn(text_until_end(b.server));
    const std::size_t n = co_await std::move(third);
    CHECK(n == 8);
    co_await first;
    co_await b.client.close();
    const std::string got = co_await std::move(reading);
    CHECK((got == much + " spliced"));
}

EDDY_TEST("a receiver or a sender that has gone is an error that names it") {
    connection a = co_await connected();
    connection b = co_await connected();
    const std::string from = a.server.remote_endpoint().to_string();
    const std::string to = b.client.remote_endpoint().to_string();
    co_await b.server.close();
    std::string end = "ok";
    for (int i = 0; i < 100 && end == "ok"; ++i) { // the reset comes when the first bytes have arrived
        co_await a.client.write("x");
        end = co_await words::ending(splice(a.server, b.client, 1));
    }
    CHECK((end == "write to " + to + ": Broken pipe" || end == "write to " + to + ": Connection reset by peer"));
    connection c = co_await connected();
    auto waiting = spawn(words::ending(splice(a.server, c.client)));
    co_await testing::settle();
    a.client.abort();
    end = co_await std::move(waiting);
    CHECK(end == "read from " + from + ": Connection reset by peer");
    co_await c.client.write("goes on"); // it had lost nothing
    const std::string got = co_await read_text(c.server);
    CHECK(got == "goes on");
    pipe_pair p = make_pipe();
    co_await p.reader.close();
    connection d = co_await connected();
    co_await d.client.write("x");
    end = co_await words::ending(splice(d.server, p.writer));
    CHECK(end == "write to pipe: Broken pipe");
}

EDDY_TEST("R13 a splice whose stream is closed on our side says so") {
    connection a = co_await connected();
    connection b = co_await connected();
    const std::string from = a.server.remote_endpoint().to_string();
    const std::string to = b.client.remote_endpoint().to_string();
    auto waiting = spawn(words::ending(splice(a.server, b.client)));
    co_await testing::settle();
    co_await a.server.close();
    std::string end = co_await std::move(waiting);
    CHECK(end == "read from " + from + ": it was closed on our side");
    end = co_await words::ending(splice(a.server, b.client));
    CHECK(end == "read from " + from + ": it was closed on our side");

    connection c = co_await connected();
    auto writing = spawn(words::ending(write_text(c.client, numbered_text(20'000'000))));
    auto full = spawn(words::ending(splice(c.server, b.client)));
    co_await testing::settle();
    CHECK(!full.done());
    co_await b.client.close();
    end = co_await std::move(full);
    CHECK(end == "write to " + to + ": it was closed on our side");
    c.server.abort();
    co_await writing.join();
    tcp_stream none;
    end = co_await words::ending(splice(none, c.client));
    CHECK(end == "splice: this stream has no descriptor");
}

EDDY_TEST("one splice at a time through a buffer, and one reader of a stream") {
    connection a = co_await connected();
    connection b = co_await connected();
    splice_buffer between;
    auto first = spawn(splice(a.server, b.client, between));
    co_await testing::settle();
    std::string end = co_await words::ending(splice(b.server, a.client, between));
    CHECK(end == "another task is already reading from a stream, into this splice_buffer");
    end = co_await words::ending(splice(a.server, b.client));
    CHECK(end == "another task is already reading from " + a.server.remote_endpoint().to_string());
    std::array<std::byte, 1> one{};
    end = co_await words::ending(a.server.read_some(one));
    CHECK(end == "another task is already reading from " + a.server.remote_endpoint().to_string());
    co_await first.cancel_and_join();
}

EDDY_TEST("a splice that never waits lets others have their turns") {
    pipe_pair p = make_pipe();
    connection to = co_await connected(); // (a pipe has room for sixteen pieces, however small)
    bool over = false;
    std::size_t turns = 0;
    auto feeding = spawn([&]() -> task<> {
        for (int i = 0; i < 2000; ++i) co_await p.writer.write("x"sv);
        co_await p.writer.close();
    });
    auto others = spawn([&]() -> task<> {
        do {
            ++turns;
            co_await this_task::yield();
        } while (!over);
    });
    co_await feeding;
    splice_buffer between;
    for (std::size_t n = 1; n > 0;) n = co_await splice_some(p.reader, to.client, between, 1);
    over = true;
    co_await others;
    CHECK(turns > 2000 / 300);
}

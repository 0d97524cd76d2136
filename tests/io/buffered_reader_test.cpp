#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "coro/allocations.hpp"
#include "io/blocked_pool.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::string_view_literals;

namespace {

/// A stream that gives what it was told, chunk by chunk, and then waits for more or ends.
class scripted_stream {
public:
    explicit scripted_stream(std::vector<std::string> chunks, bool ends = true) : chunks_(std::move(chunks)), ends_(ends) {}
    task<std::size_t> read_some(std::span<std::byte> out) {
        co_await this_task::checkpoint();
        if (next_ == chunks_.size()) {
            if (!ends_) co_await more_.wait();
            co_return 0;
        }
        std::string& chunk = chunks_[next_];
        const std::size_t n = std::min(chunk.size(), out.size());
        std::memcpy(out.data(), chunk.data(), n);
        chunk.erase(0, n);
        if (chunk.empty()) ++next_;
        co_return n;
    }
    /// The end comes now.
    void end() {
        ends_ = true;
        more_.set();
    }

private:
    std::vector<std::string> chunks_;
    std::size_t next_ = 0;
    bool ends_;
    event more_;
};

/// So many bytes, which repeat "0123456789", as many at once as fit; and how many of them are gone.
class long_stream {
public:
    explicit long_stream(std::size_t size) : size_(size) {}
    task<std::size_t> read_some(std::span<std::byte> out) {
        co_await this_task::checkpoint();
        const std::size_t n = std::min(out.size(), size_ - given);
        for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::byte>('0' + (given + i) % 10);
        given += n;
        co_return n;
    }
    [[nodiscard]] static bool is_right(std::string_view text, std::size_t from = 0) {
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] != static_cast<char>('0' + (from + i) % 10)) return false;
        }
        return true;
    }
    std::size_t given = 0;

private:
    std::size_t size_;
};

std::vector<std::string> bytewise(std::string_view text) {
    std::vector<std::string> chunks;
    for (const char c : text) chunks.emplace_back(1, c);
    return chunks;
}

} // namespace

EDDY_TEST("ST-03 read_exactly at the end is incomplete_read with what there was, and the buffer is empty after") {
    std::vector<std::string> chunks{"eighteen ", "bytes now"};
    scripted_stream s(chunks);
    buffered_reader r{s};
    std::string partial;
    std::size_t expected = 0;
    try {
        static_cast<void>(co_await r.read_exactly(36));
    } catch (const incomplete_read& e) {
        partial = e.partial();
        expected = e.expected();
    }
    CHECK(partial == "eighteen bytes now");
    CHECK(expected == 36);
    CHECK(r.buffered() == "");
    CHECK(r.at_eof());
    std::string nothing = co_await r.read_exactly(0);
    CHECK(nothing == "");
}

EDDY_TEST("ST-05 a read that is cancelled with half a line there has consumed nothing") {
    std::vector<std::string> chunks{"half a l"};
    scripted_stream s(chunks, false);
    buffered_reader r{s};
    auto reading = spawn(r.read_line());
    co_await testing::settle();
    CHECK(!reading.done());
    co_await reading.cancel_and_join();
    CHECK(r.buffered() == "half a l");
    std::string some = co_await r.read_exactly(4);
    CHECK(some == "half");
}

EDDY_TEST("ST-06 a separator that is split over chunks is found once") {
    std::vector<std::string> chunks{"head\r", "\n\r", "\nbody"};
    scripted_stream s(chunks);
    buffered_reader r{s};
    std::string head = co_await r.read_until("\r\n\r\n");
    CHECK(head == "head\r\n\r\n");
    std::string rest = co_await r.read_to_end();
    CHECK(rest == "body");
    scripted_stream slow(bytewise("a--b---c--"));
    buffered_reader dashes{slow};
    std::string log;
    for (int i = 0; i < 3; ++i) log += co_await dashes.read_until("--") + "|";
    CHECK(log == "a--|b--|-c--|");
}

EDDY_TEST("ST-08 ST-10 data over the limit without a separator is limit_overrun, and can be read otherwise") {
    for (const bool line : {false, true}) {
        std::vector<std::string> chunks{"0123456789", "a", "bc\nnext\n"};
        scripted_stream s(chunks);
        buffered_reader r{s, {.limit = 10}};
        std::size_t consumed = 0;
        try {
            if (line) static_cast<void>(co_await r.read_line());
            if (!line) static_cast<void>(co_await r.read_until("\n"));
        } catch (const limit_overrun& e) {
            consumed = e.consumed();
        }
        CHECK(consumed == 11);
        std::string long_line = co_await r.read_exactly(13);
        CHECK(long_line == "0123456789abc");
        std::string rest = co_await r.read_to_end();
        CHECK(rest == "\nnext\n");
    }
}

EDDY_TEST("ST-09 the limit does not count the separator: a line of exactly the limit passes, one byte more does not") {
    std::vector<std::string> exact{"0123456789\r\n"};
    scripted_stream fits(exact);
    buffered_reader a{fits, {.limit = 10}};
    std::string line = co_await a.read_until("\r\n");
    CHECK(line == "0123456789\r\n");
    for (const bool at_once : {true, false}) {
        std::vector<std::string> chunks = bytewise("0123456789x\r\n");
        if (at_once) chunks.assign(1, "0123456789x\r\n");
        scripted_stream too_long(chunks);
        buffered_reader b{too_long, {.limit = 10}};
        outcome<std::string> end = co_await as_result(b.read_until("\r\n"));
        CHECK(words::holds<limit_overrun>(end.exception()));
    }
}

EDDY_TEST("ST-11 the end before the separator is incomplete_read with what there was") {
    std::vector<std::string> chunks{"no end"};
    scripted_stream s(chunks);
    buffered_reader r{s};
    std::string partial;
    try {
        static_cast<void>(co_await r.read_until("\n"));
    } catch (const incomplete_read& e) {
        partial = e.partial();
        CHECK(std::string(e.what()) == "the stream ended before the separator, after 6 bytes");
    }
    CHECK(partial == "no end");
    CHECK(r.buffered() == "");
}

EDDY_TEST("ST-12 an empty separator is invalid_argument") {
    std::vector<std::string> chunks{"text"};
    scripted_stream s(chunks);
    buffered_reader r{s};
    outcome<std::string> empty = co_await as_result(r.read_until(""));
    CHECK(words::holds<std::invalid_argument>(empty.exception()));
    const std::array<std::string_view, 2> one_empty{"\n", ""};
    outcome<std::string> among = co_await as_result(r.read_until(std::span<const std::string_view>(one_empty)));
    CHECK(words::holds<std::invalid_argument>(among.exception()));
    outcome<std::string> none = co_await as_result(r.read_until(std::span<const std::string_view>()));
    CHECK(words::holds<std::invalid_argument>(none.exception()));
    std::string text = co_await r.read_to_end();
    CHECK(text == "text");
}

EDDY_TEST("of several separators the one that ends first counts, however the text is cut") {
    const std::array<std::string_view, 3> ends{"\n", "\r\n", "END"};
    for (const bool at_once : {true, false}) {
        std::vector<std::string> chunks = bytewise("a\r\nbENDc\nEN");
        if (at_once) chunks.assign(1, "a\r\nbENDc\nEN");
        scripted_stream s(chunks);
        buffered_reader r{s};
        std::string log;
        for (int i = 0; i < 3; ++i) {
            log += co_await r.read_until(std::span<const std::string_view>(ends));
            log += "|";
        }
        CHECK(log == "a\r\n|bEND|c\n|");
        std::string rest = co_await r.read_line();
        CHECK(rest == "EN");
    }
}

EDDY_TEST("ST-13 a second read on one reader is refused and the first is unharmed") {
    connection p = co_await connected();
    buffered_reader r{p.client};
    co_await p.server.write("0123456789"sv);
    auto first = spawn([&]() -> task<std::string> { return r.read_exactly(20); });
    co_await testing::settle();
    std::array<std::byte, 8> buffer;
    outcome<std::size_t> some = co_await as_result(r.read_some(buffer));
    outcome<std::string> exactly = co_await as_result(r.read_exactly(5));
    outcome<std::string> line = co_await as_result(r.read_line());
    outcome<std::string> rest = co_await as_result(r.read_to_end());
    for (const auto& e : {some.exception(), exactly.exception(), line.exception(), rest.exception()})
        CHECK(words::holds<busy_resource>(e));
    co_await p.server.write("abcdefghij"sv);
    std::string got = co_await std::move(first);
    CHECK(got == "0123456789abcdefghij");
}

EDDY_TEST("lines of any length come out of chunks of any length") {
    std::string text;
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < 200; ++i) lines.push_back(std::string(i * 37 % 500, 'x') + "\n");
    for (const std::string& l : lines) text += l;
    for (const std::size_t size : {1u, 7u, 500u, 100'000u}) {
        std::vector<std::string> chunks;
        for (std::size_t at = 0; at < text.size(); at += size) chunks.push_back(text.substr(at, size));
        scripted_stream s(std::move(chunks));
        buffered_reader r{s, {.limit = 500, .chunk = 64}};
        std::vector<std::string> got;
        for (;;) {
            std::string line = co_await r.read_line();
            if (line.empty()) break;
            got.push_back(std::move(line));
        }
        CHECK(got == lines);
    }
}

EDDY_TEST("lines: each as read_line gives it, up to the end, empty ones and one without its newline too") {
    for (const bool at_once : {true, false}) {
        std::vector<std::string> chunks = bytewise("one\n\nthree\nrest");
        if (at_once) chunks.assign(1, "one\n\nthree\nrest");
        scripted_stream s(std::move(chunks));
        buffered_reader r{s};
        auto lines = r.lines();
        std::string log;
        while (auto line = co_await lines.next()) log += *line + "|";
        CHECK(log == "one\n|\n|three\n|rest|");
        CHECK(r.at_eof());
        const auto more = co_await lines.next();
        CHECK_FALSE(more.has_value());
    }
    std::vector<std::string> nothing;
    scripted_stream empty(nothing);
    buffered_reader r{empty};
    auto lines = r.lines();
    const auto none = co_await lines.next();
    CHECK_FALSE(none.has_value());
}

EDDY_TEST("lines: others may read in between, and what was read ahead stays with the reader when the range goes") {
    std::vector<std::string> chunks{"5\n12345next\nlast"};
    scripted_stream s(chunks);
    buffered_reader r{s};
    std::string body;
    {
        auto lines = r.lines();
        const auto head = co_await lines.next();
        CHECK(head == "5\n");
        body = co_await r.read_exactly(5);
        const auto next = co_await lines.next();
        CHECK(next == "next\n");
        co_await lines.close();
    }
    CHECK(body == "12345");
    std::string rest = co_await r.read_to_end();
    CHECK(rest == "last");
}

EDDY_TEST("R4 lines: a next that is cancelled has consumed nothing and ends the range; a new one goes on") {
    std::vector<std::string> chunks{"whole\nhalf a l"};
    scripted_stream s(chunks, false);
    buffered_reader r{s};
    auto lines = r.lines();
    const auto first = co_await lines.next();
    CHECK(first == "whole\n");
    std::optional<std::string> second;
    auto reading = spawn([&]() -> task<> { second = co_await lines.next(); });
    co_await testing::settle();
    CHECK_FALSE(reading.done());
    co_await reading.cancel_and_join();
    CHECK(reading.cancelled());
    CHECK_FALSE(second.has_value());
    CHECK(r.buffered() == "half a l");
    const auto over = co_await lines.next();
    CHECK_FALSE(over.has_value());
    s.end();
    auto anew = r.lines();
    const auto rest = co_await anew.next();
    CHECK(rest == "half a l");
}

EDDY_TEST("lines: a line over the limit is limit_overrun and can be read otherwise; a second reader is refused") {
    std::vector<std::string> chunks{"0123456789abc\nnext\n"};
    scripted_stream s(chunks);
    buffered_reader r{s, {.limit = 10}};
    auto lines = r.lines();
    std::string end = co_await words::ending(lines.next());
    CHECK(end == "read over the limit of 10 bytes: 13 are there and no end");
    std::string long_line = co_await r.read_exactly(14);
    CHECK(long_line == "0123456789abc\n");

    std::vector<std::string> none;
    scripted_stream silent(none, false);
    buffered_reader waiting{silent};
    auto first = waiting.lines();
    auto second = waiting.lines();
    auto reading = spawn([&]() -> task<> { static_cast<void>(co_await first.next()); });
    co_await testing::settle();
    end = co_await words::ending(second.next());
    CHECK(end == "another task is already reading from this buffered_reader");
    co_await reading.cancel_and_join();
}

EDDY_TEST("read_to_end has a limit of its own and says so") {
    std::vector<std::string> chunks{"0123456789", "ab"};
    scripted_stream s(chunks);
    buffered_reader r{s};
    outcome<std::string> end = co_await as_result(r.read_to_end(10));
    CHECK(words::of(end) == "read over the limit of 10 bytes: 12 are there and no end");
    std::string all = co_await r.read_to_end(12);
    CHECK(all == "0123456789ab");
}

EDDY_TEST("what was read ahead can be handed on with the stream") {
    connection p = co_await connected();
    co_await p.server.write("first line\nread ahead"sv);
    buffered_reader r{p.client};
    std::string line = co_await r.read_line();
    CHECK(line == "first line\n");
    CHECK(r.buffered() == "read ahead");
    CHECK(&r.stream() == &p.client);
}

EDDY_TEST("R1 R12 reads that the buffer could serve are checkpoints all the same") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    tcp_stream near = co_await tcp_connect(l.local_endpoint());
    tcp_stream far = co_await l.accept();
    std::string lines;
    for (int i = 0; i < 1000; ++i) lines += "line\n";
    co_await near.write(lines);
    buffered_reader r{far};
    const std::string first = co_await r.read_line();
    CHECK(first == "line\n");
    bool others_had_a_turn = false;
    this_loop().call_soon([&] { others_had_a_turn = true; });
    for (int i = 0; i < 300; ++i) {
        const std::string line = co_await r.read_line();
        CHECK(line == "line\n");
    }
    CHECK(others_had_a_turn);
    const std::string before(r.buffered());
    std::string end;
    co_await with_scope([&](cancel_scope& s) -> task<> {
        s.cancel();
        end = co_await words::ending(r.read_line());
    });
    CHECK(end == "cancelled");
    CHECK(r.buffered() == before);
}

EDDY_TEST("a text that is very long: its memory is taken, and what has come copied, by a worker; at the end nothing is copied") {
    constexpr std::size_t size = 6'543'210;
    long_stream s(size);
    buffered_reader r(s, {.chunk = 64 * 1024});
    const allocations::largest_block here;
    std::string text = co_await r.read_to_end();
    CHECK(here.bytes() < size / 5);
    CHECK(text.size() == size);
    CHECK(long_stream::is_right(text));
}

EDDY_TEST("a text that is very long, and begins in the middle of what was read ahead") {
    constexpr std::size_t size = 5'000'000;
    long_stream s(size);
    buffered_reader r(s, {.chunk = 64 * 1024});
    const std::string head = co_await r.read_exactly(1234);
    const std::string text = co_await r.read_to_end();
    CHECK(head.size() + text.size() == size);
    CHECK(long_stream::is_right(head));
    CHECK(long_stream::is_right(text, head.size()));
    CHECK(r.at_eof());
}

EDDY_TEST("R4 nothing is lost of a very long text that is cancelled while a worker is awaited, which takes memory for it") {
    constexpr std::size_t size = 6'543'210;
    long_stream s(size);
    buffered_reader r(s, {.chunk = 64 * 1024});
    blocked_pool pool;
    co_await pool.block();
    const std::size_t jobs = this_loop().stats().pool_jobs;
    auto reading = spawn([&]() -> task<std::string> { return r.read_to_end(); });
    while (this_loop().stats().pool_jobs == jobs && !reading.done()) co_await this_task::yield();
    CHECK(!reading.done());
    co_await reading.cancel_and_join();
    CHECK(r.buffered().size() == s.given);
    co_await pool.release();
    const std::string text = co_await r.read_to_end();
    CHECK(text.size() == size);
    CHECK(long_stream::is_right(text));
}

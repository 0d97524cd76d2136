#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "coro/allocations.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace borrowing {

/// A stream that has no read_borrowed.
class plain {
public:
    explicit plain(unix_stream s) noexcept : below_(std::move(s)) {}
    detail::read_operation read_some(std::span<std::byte> buffer) { return below_.read_some(buffer); }
    detail::write_operation write(std::span<const std::byte> bytes) { return below_.write(bytes); }

private:
    unix_stream below_;
};

} // namespace borrowing

namespace {

static_assert(async_borrow_stream<tcp_stream> && async_borrow_stream<unix_stream> && async_borrow_stream<any_stream>);
static_assert(!async_borrow_stream<readable_pipe>);

template <class Stream>
task<std::string> borrow_text(Stream& s) {
    const borrowed_bytes got = co_await s.read_borrowed();
    std::string text(got.text());
    co_return text;
}

/// Until the reader's bytes have come and it waits for its turn. False: it was quicker, which only a shuffled loop lets it be.
template <class T>
task<bool> until_its_turn(const task_handle<T>& reader) {
    while (!reader.done() && !reader.context().linked()) co_await this_task::yield();
    co_return !reader.done();
}

/// One read that waits: for its turn (`borrowed`), or for bytes, as every read does that has got none. Then two things happen to it.
class read_in_between {
public:
    explicit read_in_between(bool borrowed) : borrowed_(borrowed) {}
    task<> begin() {
        reading_ = borrowed_ ? spawn(size_of_borrowed()) : spawn(size_of_read());
        co_await testing::settle();
        if (!borrowed_) co_return;
        REQUIRE(::write(ends_->b.native_handle(), "x", 1) == 1);
        const bool waits = co_await until_its_turn(reading_);
        REQUIRE(waits);
    }
    void cancel() { reading_.cancel(); }
    task<> close() { co_await ends_->a.close(); }
    void abort() { ends_->a.abort(); }
    void destroy() { ends_.reset(); }
    task<std::string> end() {
        co_await reading_.join();
        if (reading_.cancelled()) co_return "cancelled";
        std::string how = co_await words::ending(std::move(reading_));
        co_return how.ends_with(": it was closed on our side") ? "closed" : how;
    }

private:
    task<std::size_t> size_of_borrowed() {
        const borrowed_bytes got = co_await ends_->a.read_borrowed();
        co_return got.size();
    }
    task<std::size_t> size_of_read() {
        std::array<std::byte, 8> buffer{};
        co_return co_await ends_->a.read_some(buffer);
    }
    bool borrowed_;
    std::optional<unix_streams> ends_ = unix_stream_pair();
    task_handle<std::size_t> reading_;
};

void send_to(const unix_stream& s, std::string_view text) { // the other end of `s`
    REQUIRE(::write(s.native_handle(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

} // namespace

EDDY_TEST("a borrowed read gives what is there, 32 KiB at the most, and nothing at the end, again and again") {
    connection p = co_await connected();
    co_await p.server.write("eighteen bytes now"sv);
    std::string got = co_await borrow_text(p.client);
    CHECK(got == "eighteen bytes now");
    auto writing = spawn(write_text(p.server, std::string(40'000, 'x')));
    std::size_t all = 0;
    while (all < 40'000) {
        const borrowed_bytes part = co_await p.client.read_borrowed();
        CHECK((part.size() >= 1 && part.size() <= borrowed_bytes::capacity));
        all += part.size();
    }
    co_await std::move(writing);
    co_await p.server.close();
    for (int i = 0; i < 2; ++i) {
        const borrowed_bytes end = co_await p.client.read_borrowed();
        CHECK(end.empty());
        CHECK(end.data() == nullptr); // nor does it hold a buffer
    }
}

EDDY_TEST("a borrowed read that waits gets what comes, round for round, and the bytes go on as they are") {
    connection p = co_await connected();
    auto echoing = spawn([&]() -> task<> {
        for (;;) {
            const borrowed_bytes got = co_await p.server.read_borrowed();
            if (got.empty()) co_return;
            co_await p.server.write(got);
        }
    });
    for (int i = 0; i < 20; ++i) {
        const std::string word = "word " + std::to_string(i);
        co_await p.client.write(word);
        std::string back = co_await read_text(p.client);
        CHECK(back == word);
    }
    co_await p.client.shutdown_write();
    co_await std::move(echoing);
}

EDDY_TEST("who waits in a borrowed read holds no memory: a buffer serves reader after reader") {
    constexpr int pairs = 50;
    std::vector<unix_streams> all;
    std::vector<task_handle<const std::byte*>> readers;
    for (int i = 0; i < pairs; ++i) all.push_back(unix_stream_pair());
    const auto where = [](unix_stream& s) -> task<const std::byte*> {
        const borrowed_bytes got = co_await s.read_borrowed();
        CHECK(got.text() == "x");
        co_return got.data();
    };
    readers.reserve(pairs);
    for (unix_streams& s : all) readers.push_back(spawn(where, std::ref(s.a)));
    co_await testing::settle();
    for (unix_streams& s : all) send_to(s.b, "x");
    std::set<const std::byte*> buffers;
    for (task_handle<const std::byte*>& r : readers) buffers.insert(co_await std::move(r));
    if (!detail::frames_are_watched()) CHECK(buffers.size() == 1);
}

EDDY_TEST("borrowed rounds allocate nothing in the steady state") {
    unix_streams ends = unix_stream_pair();
    auto echoing = spawn([&]() -> task<> {
        for (;;) {
            const borrowed_bytes got = co_await ends.a.read_borrowed();
            if (got.empty()) co_return;
            co_await ends.a.write(got);
        }
    });
    std::size_t bytes = 0;
    const auto round = [&]() -> task<> {
        co_await ends.b.write("ping"sv);
        const borrowed_bytes back = co_await ends.b.read_borrowed();
        bytes += back.size();
    };
    auto measured = allocations::in_steady_state(round, 100);
    const std::size_t n = co_await std::move(measured);
    CHECK(bytes == 400 * 4);
    if (!detail::frames_are_watched()) CHECK(n == 0);
    co_await ends.b.shutdown_write();
    co_await std::move(echoing);
}

EDDY_TEST("bytes that come after a cancelled borrowed read go to the next one, also if they came before the cancellation") {
    unix_streams ends = unix_stream_pair();
    auto reading = spawn(borrow_text(ends.a));
    co_await testing::settle();
    co_await reading.cancel_and_join();
    CHECK(reading.cancelled());
    auto again = spawn(borrow_text(ends.a));
    co_await testing::settle();
    send_to(ends.b, "all of it");
    auto canceller = spawn([&]() -> task<> { // it may see the bytes before the reader has its turn
        again.cancel();
        co_return;
    });
    outcome<std::string> got = co_await as_result(again);
    co_await std::move(canceller);
    std::string text;
    if (got)
        text = *got;
    else
        text = co_await borrow_text(ends.a);
    CHECK(text == "all of it");
}

EDDY_TEST("a second reader is refused while a borrowed read waits, and while one waits for its turn") {
    connection p = co_await connected();
    auto first = spawn(borrow_text(p.client));
    co_await testing::settle();
    outcome<std::string> second = co_await as_result(borrow_text(p.client));
    CHECK(words::of(second) == "another task is already reading from " + p.server.local_endpoint().to_string());
    outcome<> third = co_await as_result(p.client.wait_readable());
    CHECK(words::holds<busy_resource>(third.exception()));
    co_await p.server.write("for the first"sv);
    std::string got = co_await std::move(first);
    CHECK(got == "for the first");
}

EDDY_TEST("a close under a borrowed read is closed_resource, also when bytes have just come, and so is a read after it") {
    for (const bool something_came : {false, true}) {
        connection p = co_await connected();
        const std::string peer = p.client.remote_endpoint().to_string();
        auto reading = spawn(words::ending(borrow_text(p.client)));
        co_await testing::settle();
        if (something_came) REQUIRE(::write(p.server.native_handle(), "x", 1) == 1);
        co_await p.client.close();
        std::string end = co_await std::move(reading);
        CHECK(end == "read from " + peer + ": it was closed on our side");
        outcome<std::string> late = co_await as_result(borrow_text(p.client));
        CHECK(words::of(late) == end);
    }
}

EDDY_TEST("R2 a borrowed read that is cancelled when its bytes have come and its turn has not has them", "[fifo]") {
    unix_streams ends = unix_stream_pair();
    auto reading = spawn(borrow_text(ends.a));
    co_await testing::settle();
    send_to(ends.b, "all of it");
    const bool waits = co_await until_its_turn(reading);
    REQUIRE(waits);
    outcome<std::string> early = co_await as_result(borrow_text(ends.a));
    CHECK(words::holds<busy_resource>(early.exception())); // it keeps its place
    reading.cancel();
    std::string got = co_await std::move(reading);
    CHECK(got == "all of it");
}

EDDY_TEST("R4 cancelled before its turn, a borrowed read that would find nothing is cancelled, and another may read", "[fifo]") {
    unix_streams ends = unix_stream_pair();
    auto reading = spawn(borrow_text(ends.a));
    co_await testing::settle();
    send_to(ends.b, "x");
    const bool waits = co_await until_its_turn(reading);
    REQUIRE(waits);
    std::array<char, 8> stolen{};
    REQUIRE(::recv(ends.a.native_handle(), stolen.data(), stolen.size(), 0) == 1); // as another process might
    reading.cancel();
    co_await reading.join();
    CHECK(reading.cancelled());
    auto other = spawn(borrow_text(ends.a));
    co_await testing::settle();
    send_to(ends.b, "y");
    std::string got = co_await std::move(other);
    CHECK(got == "y");
}

EDDY_TEST("R13 a stream that is closed when a borrowed read has its bytes and not its turn: closed_resource, however it is closed", "[fifo]") {
    std::string log;
    for (const int how : {0, 1, 2}) {
        read_in_between r(true);
        co_await r.begin();
        if (how == 0) co_await r.close();
        if (how == 1) r.abort();
        if (how == 2) r.destroy();
        const std::string end = co_await r.end();
        log += end + " ";
    }
    CHECK(log == "closed closed closed ");
}

EDDY_TEST("R2 of a close and a cancellation in one moment the first one counts, also for a borrowed read that waits for its turn", "[fifo]") {
    for (const bool borrowed : {false, true}) {
        INFO(borrowed);
        read_in_between closed_first(borrowed);
        co_await closed_first.begin();
        co_await closed_first.close();
        closed_first.cancel();
        std::string end = co_await closed_first.end();
        CHECK(end == "closed");
        read_in_between cancelled_first(borrowed);
        co_await cancelled_first.begin();
        cancelled_first.cancel();
        co_await cancelled_first.close();
        end = co_await cancelled_first.end();
        CHECK(end == "cancelled");
    }
}

EDDY_TEST("a stream that is destroyed under a borrowed read still tells it") {
    std::optional<unix_streams> ends = unix_stream_pair();
    auto reading = spawn(words::ending(borrow_text(ends->a)));
    co_await testing::settle();
    ends.reset();
    std::string end = co_await std::move(reading);
    CHECK(end.find("it was closed on our side") != std::string::npos);
}

EDDY_TEST("a borrowed read says that the connection was reset") {
    connection p = co_await connected();
    auto reading = spawn(borrow_text(p.client));
    co_await testing::settle();
    p.server.abort();
    outcome<std::string> got = co_await as_result(std::move(reading));
    CHECK(got.error() == std::errc::connection_reset);
}

EDDY_TEST("who was quicker: a borrowed read that finds nothing in its turn goes on waiting") {
    unix_streams ends = unix_stream_pair();
    auto reading = spawn(borrow_text(ends.a));
    co_await testing::settle();
    send_to(ends.b, "x");
    std::array<char, 8> stolen{};
    REQUIRE(::recv(ends.a.native_handle(), stolen.data(), stolen.size(), 0) == 1); // as another process might
    co_await testing::settle();
    CHECK(!reading.done());
    send_to(ends.b, "y");
    std::string got = co_await std::move(reading);
    CHECK(got == "y");
}

EDDY_TEST("wait_readable ends with bytes, which it leaves, and with the end") {
    connection p = co_await connected();
    auto waiting = spawn([&]() -> task<> { co_await p.client.wait_readable(); });
    co_await testing::settle();
    CHECK(!waiting.done());
    co_await p.server.write("there"sv);
    co_await std::move(waiting);
    co_await p.client.wait_readable(); // still
    std::string got = co_await read_text(p.client);
    CHECK(got == "there");
    auto next = spawn([&]() -> task<> { co_await p.client.wait_readable(); });
    co_await testing::settle();
    CHECK(!next.done());
    co_await p.server.close();
    co_await std::move(next);
    std::string end = co_await read_text(p.client);
    CHECK(end.empty());
    co_await p.client.close();
    outcome<> late = co_await as_result(p.client.wait_readable());
    CHECK(words::holds<closed_resource>(late.exception()));
}

EDDY_TEST("read_some and read_borrowed take turns on one stream") {
    connection p = co_await connected();
    std::string all;
    for (int i = 0; i < 4; ++i) {
        auto reading = i % 2 == 0 ? spawn(borrow_text(p.client)) : spawn(read_text(p.client));
        co_await testing::settle();
        co_await p.server.write(std::to_string(i));
        all += co_await std::move(reading);
    }
    CHECK(all == "0123");
}

EDDY_TEST("any_stream borrows from what can, and reads into a buffer for what cannot") {
    unix_streams can = unix_stream_pair();
    any_stream a{std::move(can.a)};
    send_to(can.b, "one");
    std::string got = co_await borrow_text(a);
    CHECK(got == "one");
    unix_streams cannot = unix_stream_pair();
    any_stream b{borrowing::plain(std::move(cannot.a))};
    CHECK((a.lends() && !b.lends() && !any_stream().lends()));
    CHECK((lends(a) && !lends(b) && lends(can.b)));
    send_to(cannot.b, "two");
    got = co_await borrow_text(b);
    CHECK(got == "two");
    co_await cannot.b.close();
    got = co_await borrow_text(b);
    CHECK(got.empty());
}

EDDY_TEST("borrowed bytes outlive their stream, and end on any thread") {
    borrowed_bytes kept;
    {
        unix_streams ends = unix_stream_pair();
        send_to(ends.b, "kept");
        kept = co_await ends.a.read_borrowed();
    }
    CHECK(kept.text() == "kept");
    std::string seen;
    std::thread([&seen, kept = std::move(kept)] { seen = kept.text(); }).join();
    CHECK(seen == "kept");
    CHECK(kept.empty()); // moved from
}

EDDY_TEST("a buffered reader takes lines in pieces out of borrowed bytes, and lines that are longer than those") {
    unix_streams ends = unix_stream_pair();
    buffered_reader r{ends.a, {.limit = 100'000}};
    auto first = spawn([&]() -> task<std::string> {
        std::string line = co_await r.read_line();
        co_return line;
    });
    for (const std::string_view piece : {"be"sv, "gin"sv, "ning\nse"sv}) {
        co_await testing::settle();
        send_to(ends.b, piece);
    }
    std::string line = co_await std::move(first);
    CHECK(line == "beginning\n");
    CHECK(r.buffered() == "se");
    const std::string rest(50'000, 'x');
    auto writing = spawn([&]() -> task<> {
        co_await ends.b.write(rest);
        co_await ends.b.write("\nlast"sv);
        co_await ends.b.close();
    });
    line = co_await r.read_line();
    CHECK(line == "se" + rest + "\n");
    co_await std::move(writing);
    line = co_await r.read_to_end();
    CHECK(line == "last");
    CHECK(r.at_eof());
}

#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <array>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "coro/allocations.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::string_view_literals;

namespace {

using byte_span = std::span<const std::byte>;

/// `count` buffers, each fourth empty, and what they are together.
struct scattered {
    std::vector<std::string> texts;
    std::vector<byte_span> parts;
    std::string whole;
    scattered(std::size_t count, std::size_t size) {
        for (std::size_t i = 0; i < count; ++i) texts.emplace_back(i % 4 == 3 ? 0 : size + i % 3, static_cast<char>('a' + i % 26));
        for (const std::string& t : texts) {
            parts.push_back(bytes_of(t));
            whole += t;
        }
    }
};

task<> gather_to_client(connection& c, std::span<const byte_span> parts) {
    co_await c.client.write(parts);
}

} // namespace

EDDY_TEST("gather write: several buffers arrive as one text, in their order") {
    connection c = co_await connected();
    const std::string head = "head ";
    const std::string body = "body";
    co_await c.client.write(std::array{bytes_of(head), byte_span(), bytes_of(body)});
    co_await c.client.shutdown_write();
    const std::string got = co_await read_all(c.server);
    CHECK(got == "head body");
}

EDDY_TEST("gather write: more buffers than the kernel gets at once, and more bytes than it has room for") {
    const scattered s(1000, 10'000);
    connection c = co_await connected();
    auto writing = spawn(gather_to_client(c, s.parts));
    co_await testing::settle();
    CHECK_FALSE(writing.done());
    buffered_reader r{c.server};
    const std::string got = co_await r.read_exactly(s.whole.size());
    CHECK((got == s.whole));
    co_await std::move(writing);
}

EDDY_TEST("gather write: through a pipe and a Unix-domain stream") {
    const scattered s(100, 7'000);
    pipe_pair ends = make_pipe();
    auto to_pipe = spawn([&]() -> task<> { co_await ends.writer.write(s.parts); });
    buffered_reader from_pipe{ends.reader};
    const std::string piped = co_await from_pipe.read_exactly(s.whole.size());
    CHECK((piped == s.whole));
    co_await std::move(to_pipe);
    unix_streams local = unix_stream_pair();
    auto to_local = spawn([&]() -> task<> { co_await local.a.write(s.parts); });
    buffered_reader from_local{local.b};
    const std::string got = co_await from_local.read_exactly(s.whole.size());
    CHECK((got == s.whole));
    co_await std::move(to_local);
}

EDDY_TEST("gather write: it takes its turn among the writes, and none is torn") {
    const scattered s(40, 50'000);
    const std::string before(3'000'000, '<');
    const std::string after(3'000'000, '>');
    connection c = co_await connected();
    auto first = spawn_eager(write_text(c.client, before));
    auto second = spawn_eager(gather_to_client(c, s.parts));
    auto third = spawn_eager(write_text(c.client, after));
    buffered_reader r{c.server};
    const std::string got = co_await r.read_exactly(before.size() + s.whole.size() + after.size());
    CHECK((got == before + s.whole + after));
    co_await std::move(first);
    co_await std::move(second);
    co_await std::move(third);
}

EDDY_TEST("gather write: of nothing at all it is over at once") {
    connection c = co_await connected();
    co_await c.client.write(std::span<const byte_span>());
    const std::array<byte_span, 2> empty{};
    co_await c.client.write(empty);
    co_await c.client.write("x"sv);
    const std::string got = co_await read_text(c.server);
    CHECK(got == "x");
}

EDDY_TEST("R4 gather write: cancelled half-way it says how much went out, and later writes are refused") {
    const scattered s(1000, 20'000);
    connection c = co_await connected();
    std::size_t partial = 0;
    auto writing = spawn([&]() -> task<> {
        try {
            co_await c.client.write(s.parts);
        } catch (const operation_cancelled& e) {
            partial = e.partial();
            throw;
        }
    });
    co_await testing::settle();
    co_await writing.cancel_and_join();
    CHECK(partial > 0);
    CHECK(partial < s.whole.size());
    outcome<> later = co_await as_result(c.client.write(s.parts));
    CHECK(words::holds<broken_resource>(later.exception()));
    outcome<> nothing = co_await as_result(c.client.write(std::span<const byte_span>()));
    CHECK(words::holds<broken_resource>(nothing.exception()));
    buffered_reader r{c.server};
    const std::string got = co_await r.read_exactly(partial);
    CHECK((got == s.whole.substr(0, partial)));
}

EDDY_TEST("gather write: cancelled behind another write, nothing of it went out") {
    const std::string before(20'000'000, '<');
    const std::array<byte_span, 1> parts{bytes_of("never")};
    connection c = co_await connected();
    auto first = spawn_eager(write_text(c.client, before));
    auto second = spawn_eager(gather_to_client(c, parts));
    co_await testing::settle();
    co_await second.cancel_and_join();
    CHECK(second.cancelled());
    auto third = spawn_eager(write_text(c.client, "!"));
    buffered_reader r{c.server};
    const std::string got = co_await r.read_exactly(before.size() + 1);
    CHECK((got == before + "!"));
    co_await std::move(first);
    co_await std::move(third);
}

EDDY_TEST("gather write: errors are those of write, and no signal comes") {
    const std::array<byte_span, 2> parts{bytes_of("a"), bytes_of("b")};
    pipe_pair ends = make_pipe();
    co_await ends.reader.close();
    outcome<> broken = co_await as_result(ends.writer.write(parts));
    CHECK(words::of(broken).starts_with("write to pipe: "));
    connection c = co_await connected();
    co_await c.client.shutdown_write();
    outcome<> shut = co_await as_result(c.client.write(parts));
    CHECK(words::holds<std::logic_error>(shut.exception()));
    co_await c.client.close();
    outcome<> gone = co_await as_result(c.client.write(parts));
    CHECK(words::holds<closed_resource>(gone.exception()));
}

EDDY_TEST("gather write: closing the stream ends it") {
    const scattered s(1000, 20'000);
    connection c = co_await connected();
    auto writing = spawn(gather_to_client(c, s.parts));
    co_await testing::settle();
    co_await c.client.close();
    outcome<> end = co_await as_result(std::move(writing));
    CHECK(words::holds<closed_resource>(end.exception()));
}

EDDY_TEST("gather write and write_some: they allocate nothing") {
    unix_streams ends = unix_stream_pair();
    std::array<std::byte, 64> buffer;
    std::size_t received = 0;
    auto receiving = spawn([&]() -> task<> {
        for (;;) received += co_await ends.b.read_some(buffer);
    });
    const std::array<byte_span, 2> parts{bytes_of("some "), bytes_of("bytes")};
    const auto round = [&]() -> task<> {
        const std::size_t before = received;
        co_await ends.a.write(parts);
        static_cast<void>(co_await ends.a.write_some("and more"sv));
        while (received == before) co_await this_task::yield();
    };
    const std::size_t n = co_await allocations::in_steady_state(round);
    CHECK(n == 0);
    co_await receiving.cancel_and_join();
}

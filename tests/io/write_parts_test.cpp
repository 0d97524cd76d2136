// Several buffers to streams of every kind, and to those that know only one at a time.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::string_view_literals;

static_assert(async_gather_stream<tcp_stream> && async_gather_stream<unix_stream> && async_gather_stream<writable_pipe>);
static_assert(async_gather_stream<testing::memory_stream> && async_gather_stream<terminal_stream> && async_gather_stream<any_stream>);
static_assert(async_gather_stream<buffered_writer<testing::memory_stream>>);
static_assert(!async_gather_stream<file> && async_write_stream<file>);

namespace {

using part_list = std::vector<std::span<const std::byte>>;

part_list parts_of(const std::vector<std::string>& texts) {
    part_list parts;
    for (const std::string& t : texts) parts.push_back(bytes_of(t));
    return parts;
}

/// Knows only one buffer at a time. Notes each, and from a certain number of bytes on takes nothing.
class single_writes {
public:
    explicit single_writes(std::size_t room = 1000) : room_(room) {}
    task<std::size_t> read_some(std::span<std::byte>) { co_return 0; }
    task<> write(std::span<const std::byte> bytes) {
        co_await this_task::checkpoint();
        const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        const std::string_view taken = text.substr(0, room_);
        room_ -= taken.size();
        log_ += std::string(taken) + "|";
        if (taken.size() == text.size()) co_return;
        event never;
        try {
            co_await never.wait();
        } catch (const operation_cancelled&) {
            throw operation_cancelled(nullptr, taken.size());
        }
    }
    [[nodiscard]] const std::string& log() const noexcept { return log_; }

private:
    std::size_t room_;
    std::string log_;
};

/// Writes when the gate is open, also if it is gone by then.
class gated_writes {
public:
    gated_writes(std::shared_ptr<event> gate, std::shared_ptr<std::string> log) : gate_(std::move(gate)), log_(std::move(log)) {}
    task<std::size_t> read_some(std::span<std::byte>) { co_return 0; }
    task<> write(std::span<const std::byte> bytes) { return write_later(gate_, log_, bytes); }

private:
    static task<> write_later(std::shared_ptr<event> gate, std::shared_ptr<std::string> log, std::span<const std::byte> bytes) {
        co_await gate->wait();
        log->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    std::shared_ptr<event> gate_;
    std::shared_ptr<std::string> log_;
};

/// Writes without end to a stream that takes no more, is cancelled and says how much had gone out.
template <class S>
task<std::size_t> partial_of_parts(S& s, const part_list& parts) {
    std::size_t partial = 0;
    auto writing = spawn([&]() -> task<> {
        try {
            co_await write_parts(s, parts);
        } catch (const operation_cancelled& c) {
            partial = c.partial();
            throw;
        }
    });
    co_await testing::settle();
    co_await writing.cancel_and_join();
    CHECK(writing.cancelled());
    co_return partial;
}

} // namespace

EDDY_TEST("write_parts: to a stream that can, they are one write; to one that cannot, a write each") {
    const std::vector<std::string> texts{"head ", "", "body"};
    const part_list parts = parts_of(texts);
    connection c = co_await connected();
    co_await write_parts(c.client, parts);
    co_await c.client.shutdown_write();
    const std::string got = co_await read_all(c.server);
    CHECK(got == "head body");
    single_writes s;
    co_await write_parts(s, parts);
    CHECK(s.log() == "head |body|");
    co_await write_parts(s, std::array{bytes_of("an array")});
    CHECK(s.log() == "head |body|an array|");
}

EDDY_TEST("write_parts: of nothing, the stream is asked all the same") {
    single_writes s;
    co_await write_parts(s, {});
    CHECK(s.log() == "|");
    const part_list empty(3);
    co_await write_parts(s, empty);
    CHECK(s.log() == "||");
    pipe_pair ends = make_pipe();
    co_await ends.writer.close();
    const std::string end = co_await words::ending(write_parts(ends.writer, empty));
    CHECK(end.starts_with("write to pipe: "));
}

EDDY_TEST("R4 write_parts: cancelled between the writes of one that cannot, it says how much of all went out") {
    const std::vector<std::string> texts{"12345", "67890", "abc"};
    const part_list parts = parts_of(texts);
    single_writes s(7);
    const std::size_t partial = co_await partial_of_parts(s, parts);
    CHECK(partial == 7);
    CHECK(s.log() == "12345|67|");
    single_writes none;
    std::string end;
    co_await with_scope([&](cancel_scope& scope) -> task<> {
        scope.cancel();
        end = co_await words::ending(write_parts(none, parts));
    });
    CHECK(end == "cancelled");
    CHECK(none.log().empty());
}

EDDY_TEST("memory_stream: several buffers are one write, and a cancelled one says how much went out") {
    const std::vector<std::string> texts{"12345", "67890"};
    const part_list parts = parts_of(texts);
    auto ends = testing::memory_stream_pair({.capacity = 7});
    const std::size_t partial = co_await partial_of_parts(ends.a, parts);
    CHECK(partial == 7);
    const std::string later = co_await words::ending(ends.a.write(parts));
    CHECK(later == "write to a memory_stream: an earlier write was cancelled half-way");
    co_await ends.a.close();
    buffered_reader r{ends.b};
    const std::string got = co_await r.read_to_end();
    CHECK(got == "1234567");
}

EDDY_TEST("memory_stream: write_some takes what there is room for, waits for some, and cancelled has written nothing") {
    auto ends = testing::memory_stream_pair({.capacity = 4});
    const std::size_t none = co_await ends.a.write_some(""sv);
    const std::size_t taken = co_await ends.a.write_some("0123456789"sv);
    CHECK(none == 0);
    CHECK(taken == 4);
    auto waiting = spawn([&]() -> task<std::size_t> { return ends.a.write_some("45"sv); });
    co_await testing::settle();
    CHECK_FALSE(waiting.done());
    co_await waiting.cancel_and_join();
    CHECK(waiting.cancelled());
    auto again = spawn([&]() -> task<std::size_t> { return ends.a.write_some("45"sv); });
    co_await testing::settle();
    std::array<std::byte, 2> buffer;
    static_cast<void>(co_await ends.b.read_some(buffer));
    const std::size_t more = co_await std::move(again);
    CHECK(more == 2);
    co_await ends.a.close();
    buffered_reader r{ends.b};
    const std::string got = co_await r.read_to_end();
    CHECK(got == "2345");
}

EDDY_TEST("any_stream: several buffers go to the stream below, whether it knows of such or not") {
    const std::vector<std::string> texts{"head ", "body"};
    const part_list parts = parts_of(texts);
    unix_streams ends = unix_stream_pair();
    any_stream s(std::move(ends.a));
    co_await s.write(parts);
    co_await s.close();
    buffered_reader r{ends.b};
    const std::string got = co_await r.read_to_end();
    CHECK(got == "head body");
    any_stream one_at_a_time(single_writes(7));
    const std::size_t partial = co_await partial_of_parts(one_at_a_time, parts);
    CHECK(partial == 7);
    CHECK(one_at_a_time.target<single_writes>()->log() == "head |bo|");
    const std::string closed = co_await words::ending(s.write(parts));
    CHECK_FALSE(closed == "ok");
    any_stream empty;
    CHECK_THROWS_AS(empty.write(parts), closed_resource);
}

EDDY_TEST("any_stream: destroyed between two buffers, the write is told") {
    const std::vector<std::string> texts{"head ", "body"};
    const part_list parts = parts_of(texts);
    const auto gate = std::make_shared<event>();
    const auto log = std::make_shared<std::string>();
    std::optional<any_stream> s(std::in_place, gated_writes(gate, log));
    auto writing = spawn([&]() -> task<> { return s->write(parts); });
    co_await testing::settle();
    s.reset();
    gate->set();
    outcome<> told = co_await as_result(std::move(writing));
    CHECK(words::holds<closed_resource>(told.exception()));
    CHECK(*log == "head ");
}

EDDY_TEST("buffered_writer: several buffers get in together, after waiting for room") {
    const std::vector<std::string> texts{"12345", "", "67890"};
    const part_list parts = parts_of(texts);
    auto ends = testing::memory_stream_pair({.capacity = 4});
    buffered_writer w{ends.a, {.high = 4, .low = 1}};
    co_await w.write(parts);
    CHECK(w.buffered() == 10);
    auto second = spawn([&]() -> task<> { return w.write(parts); }); // over the high mark: waits
    auto third = spawn([&]() -> task<> { return w.write("!"); });
    co_await testing::settle();
    CHECK_FALSE(second.done());
    co_await third.cancel_and_join();
    buffered_reader r{ends.b};
    const std::string got = co_await r.read_exactly(20);
    CHECK(got == "12345678901234567890");
    co_await std::move(second);
    co_await w.close();
    const std::string end = co_await words::ending(w.write(parts));
    CHECK_FALSE(end == "ok");
}

EDDY_TEST("terminal_stream: several buffers, and as much as there is room for") {
    process p = co_await process::spawn(command("sh", "-c", "stty -echo; echo ready; read one; read two; echo \"<$one><$two>\"").terminal());
    buffered_reader r{p.terminal()};
    const std::string ready = co_await r.read_line();
    CHECK(ready == "ready\r\n");
    co_await p.terminal().write(std::array{bytes_of("he"), bytes_of("llo\n")});
    const std::size_t taken = co_await p.terminal().write_some("you\n");
    CHECK(taken == 4);
    const std::string answer = co_await r.read_line();
    CHECK(answer == "<hello><you>\r\n");
    const exit_status ended = co_await p.wait();
    CHECK(ended.success());
}

#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <array>
#include <string>
#include <string_view>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::string_view_literals;

namespace {

task<> note_taken(unix_stream& s, std::string_view text, std::size_t& taken) {
    taken = co_await s.write_some(text);
}

/// Takes what the kernel has of it.
std::size_t empty_out(const unix_stream& s) {
    std::string sink(1 << 16, '\0');
    std::size_t all = 0;
    for (;;) {
        const ssize_t n = ::recv(s.native_handle(), sink.data(), sink.size(), MSG_DONTWAIT);
        if (n <= 0) return all;
        all += static_cast<std::size_t>(n);
    }
}

} // namespace

EDDY_TEST("write_some: as much as there is room for, and no more") {
    unix_streams ends = unix_stream_pair();
    const std::string much(4 << 20, 'x');
    const std::size_t taken = co_await ends.a.write_some(much);
    CHECK(taken > 0);
    CHECK(taken < much.size());
    CHECK(empty_out(ends.b) == taken);
    const std::size_t all = co_await ends.a.write_some("little");
    CHECK(all == 6);
    const std::size_t none = co_await ends.a.write_some(""sv);
    CHECK(none == 0);
}

EDDY_TEST("write_some: without room it waits for some") {
    unix_streams ends = unix_stream_pair();
    const std::string much(4 << 20, 'x');
    static_cast<void>(co_await ends.a.write_some(much));
    std::size_t taken = 0;
    auto writing = spawn(note_taken(ends.a, much, taken));
    co_await testing::settle();
    CHECK_FALSE(writing.done());
    static_cast<void>(empty_out(ends.b));
    co_await std::move(writing);
    CHECK(taken > 0);
    CHECK(taken < much.size());
}

EDDY_TEST("R4 write_some: cancelled, nothing was written, and later writes go on") {
    unix_streams ends = unix_stream_pair();
    const std::string much(4 << 20, 'x');
    const std::size_t before = co_await ends.a.write_some(much);
    std::size_t taken = 0;
    auto writing = spawn(note_taken(ends.a, "never", taken));
    co_await testing::settle();
    co_await writing.cancel_and_join();
    CHECK(writing.cancelled());
    CHECK(taken == 0);
    CHECK(empty_out(ends.b) == before);
    co_await ends.a.write("later"sv);
    CHECK(empty_out(ends.b) == 5);
}

EDDY_TEST("write_some: it waits its turn behind a write, and lets the next one go on") {
    unix_streams ends = unix_stream_pair();
    const std::string before(2'000'000, '<');
    std::size_t taken = 0;
    auto first = spawn_eager([&]() -> task<> { co_await ends.a.write(before); });
    auto second = spawn_eager(note_taken(ends.a, "some", taken));
    auto third = spawn_eager([&]() -> task<> { co_await ends.a.write("!"sv); });
    co_await testing::settle();
    CHECK(taken == 0);
    buffered_reader r{ends.b};
    const std::string got = co_await r.read_exactly(before.size() + 5);
    CHECK((got == before + "some!"));
    co_await std::move(first);
    co_await std::move(second);
    co_await std::move(third);
    CHECK(taken == 4);
}

EDDY_TEST("write_some: errors are those of write") {
    pipe_pair ends = make_pipe();
    const std::size_t taken = co_await ends.writer.write_some("x");
    CHECK(taken == 1);
    co_await ends.reader.close();
    outcome<std::size_t> broken = co_await as_result(ends.writer.write_some("x"));
    CHECK(words::of(broken).starts_with("write to pipe: "));
    unix_streams local = unix_stream_pair();
    co_await local.a.shutdown_write();
    outcome<std::size_t> shut = co_await as_result(local.a.write_some("x"));
    CHECK(words::holds<std::logic_error>(shut.exception()));
    co_await local.a.close();
    outcome<std::size_t> closed = co_await as_result(local.a.write_some("x"));
    CHECK(words::holds<closed_resource>(closed.exception()));
}

EDDY_TEST("write_some: after a write that was cancelled half-way it is refused as well") {
    unix_streams ends = unix_stream_pair();
    auto writing = spawn([&]() -> task<> { co_await ends.a.write(std::string(4 << 20, 'x')); });
    co_await testing::settle();
    co_await writing.cancel_and_join();
    outcome<std::size_t> later = co_await as_result(ends.a.write_some("x"));
    CHECK(words::holds<broken_resource>(later.exception()));
}

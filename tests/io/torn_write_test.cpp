#include <eddy/detail/torn_write.hpp>
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <array>
#include <cerrno>
#include <span>
#include <string>
#include <string_view>

#include "io/half_readable.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::string_view_literals;

namespace {

/// Two writers on one stream, the first of which fails half-way. `name`: of the stream, in errors.
template <class Writer, class Reader>
task<> tear_by_failure(Writer& w, Reader& r, std::string name, bool gathered) {
    const half_readable memory;
    const std::array<std::span<const std::byte>, 2> parts{std::span<const std::byte>(), memory.bytes()};
    auto first = gathered ? spawn_eager(words::ending(w.write(parts))) : spawn_eager(words::ending(w.write(memory.bytes())));
    auto second = spawn_eager(words::ending(w.write("later"sv)));
    buffered_reader all{r};
    auto reading = spawn(all.read_to_end());
    const std::string failed = co_await std::move(first);
    CHECK(failed == "write to " + name + ": Bad address");
    const std::string broken = "write to " + name + ": an earlier write failed half-way";
    const std::string queued = co_await std::move(second);
    CHECK(queued == broken);
    const std::string afterwards = co_await words::ending(w.write("x"sv));
    CHECK(afterwards == broken);
    const std::string some = co_await words::ending(w.write_some("x"sv));
    CHECK(some == broken);
    const std::string nothing = co_await words::ending(w.write(""sv));
    CHECK(nothing == broken);
    co_await w.close();
    const std::string got = co_await std::move(reading);
    CHECK(!got.empty());
    CHECK((memory.readable().starts_with(got)));
}

} // namespace

TEST_CASE("a torn write: what later ones are told, and which errors leave nobody to tear it for") {
    const broken_resource cancelled = detail::broken_by(detail::torn_write::cancelled, "write to x");
    CHECK(cancelled.what() == "write to x: an earlier write was cancelled half-way"sv);
    const broken_resource failed = detail::broken_by(detail::torn_write::failed, "write to x");
    CHECK(failed.what() == "write to x: an earlier write failed half-way"sv);
    for (const int error : {EPIPE, ECONNRESET, ETIMEDOUT, ENETDOWN}) CHECK(detail::is_lost_connection(error));
    for (const int error : {ENOMEM, ENOBUFS, ENOSPC, EIO, EFAULT}) CHECK_FALSE(detail::is_lost_connection(error));
}

EDDY_TEST("a write that fails half-way lets no other follow it") {
    for (const bool gathered : {false, true}) {
        connection tcp = co_await connected();
        co_await tear_by_failure(tcp.client, tcp.server, tcp.client.remote_endpoint().to_string(), gathered);
        unix_streams local = unix_stream_pair();
        co_await tear_by_failure(local.a, local.b, "the other end of a pair", gathered);
        pipe_pair ends = make_pipe();
        co_await tear_by_failure(ends.writer, ends.reader, "pipe", gathered);
    }
}

EDDY_TEST("a message with descriptors that fails half-way lets no other follow it") {
    unix_streams ends = unix_stream_pair();
    const half_readable memory;
    const std::array<int, 1> passed{ends.a.native_handle()};
    auto first = spawn_eager(words::ending(ends.a.send_descriptors(memory.bytes(), passed)));
    auto second = spawn_eager(words::ending(ends.a.write("later"sv)));
    buffered_reader all{ends.b};
    auto reading = spawn(all.read_to_end());
    const std::string failed = co_await std::move(first);
    CHECK(failed == "send descriptors to the other end of a pair: Bad address");
    const std::string queued = co_await std::move(second);
    CHECK(queued == "write to the other end of a pair: an earlier write failed half-way");
    co_await ends.a.close();
    static_cast<void>(co_await std::move(reading));
}

EDDY_TEST("a half-close behind a write that failed half-way is refused, and the end of the peer is still an end") {
    connection p = co_await connected();
    const half_readable memory;
    const std::string failed = co_await words::ending(p.client.write_some(memory.bytes().subspan(memory.readable().size())));
    CHECK(failed.ends_with(": Bad address")); // nothing of it went out
    co_await p.client.write("whole "sv);
    auto writing = spawn(words::ending(p.client.write(memory.bytes())));
    auto discarding = spawn([&]() -> task<> {
        for (;;) static_cast<void>(co_await read_text(p.server));
    });
    const std::string torn = co_await std::move(writing);
    CHECK(torn.ends_with(": Bad address"));
    const std::string end = co_await words::ending(p.client.shutdown_write());
    CHECK(end.ends_with(": an earlier write failed half-way"));
    co_await p.server.shutdown_write();
    const std::string got = co_await read_text(p.client);
    CHECK(got == "");
    co_await discarding.cancel_and_join();
}

EDDY_TEST("a write that loses its connection half-way is not torn: later ones learn the same from the kernel") {
    connection p = co_await connected();
    auto first = spawn_eager(words::ending(write_text(p.client, std::string(10'000'000, 'x'))));
    auto second = spawn_eager(words::ending(write_text(p.client, "later")));
    co_await testing::settle();
    CHECK_FALSE(first.done());
    p.server.abort();
    const std::string lost = co_await std::move(first);
    CHECK(lost.ends_with(": Connection reset by peer"));
    const std::string queued = co_await std::move(second);
    CHECK(queued.ends_with(": Broken pipe"));
    const std::string afterwards = co_await words::ending(p.client.write("x"sv));
    CHECK(afterwards.ends_with(": Broken pipe"));
}

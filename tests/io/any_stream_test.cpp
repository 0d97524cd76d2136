// A stream of any type behind one.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

using namespace eddy;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

static_assert(async_read_stream<any_stream> && async_write_stream<any_stream>);

namespace {

/// Has only what a stream must have.
class plain_stream {
public:
    explicit plain_stream(std::string* written) : written_(written) {}
    task<std::size_t> read_some(std::span<std::byte>) { co_return 0; }
    task<> write(std::span<const std::byte> bytes) {
        written_->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        co_return;
    }

private:
    std::string* written_;
};

task<std::string> read_any(any_stream& s) {
    std::array<std::byte, 100> buffer;
    const std::size_t n = co_await s.read_some(buffer);
    co_return std::string(reinterpret_cast<const char*>(buffer.data()), n);
}

} // namespace

EDDY_TEST("any_stream: bytes go through, half-close and the end too") {
    auto ends = testing::memory_stream_pair();
    any_stream a(std::move(ends.a));
    any_stream b(std::move(ends.b));
    co_await a.write("hello"sv);
    const std::string there = co_await read_any(b);
    co_await a.shutdown_write();
    const std::string end = co_await read_any(b);
    co_await b.write("back");
    const std::string back = co_await read_any(a);
    CHECK(there == "hello");
    CHECK(end.empty());
    CHECK(back == "back");
    co_await a.close();
    co_await a.close();
    CHECK_FALSE(a.is_open());
    CHECK(b.is_open());
}

EDDY_TEST("any_stream: readers and writers go over it, and it knows what is below") {
    auto ends = testing::memory_stream_pair({.fragment = 2});
    any_stream a(std::move(ends.a));
    any_stream b(std::move(ends.b));
    CHECK(a.target<testing::memory_stream>() != nullptr);
    CHECK(a.target<tcp_stream>() == nullptr);
    buffered_writer w{a};
    co_await w.write("line\nrest");
    co_await w.flush();
    co_await a.close();
    buffered_reader r{b};
    const std::string line = co_await r.read_line();
    const std::string rest = co_await r.read_to_end();
    CHECK(line == "line\n");
    CHECK(rest == "rest");
}

EDDY_TEST("any_stream: a stream that has no more than it must") {
    std::string written;
    any_stream s(plain_stream{&written});
    co_await s.write("x"sv);
    CHECK(written == "x");
    outcome<void> half = co_await as_result(s.shutdown_write());
    CHECK_THROWS_AS(half.value(), std::logic_error);
    CHECK(s.is_open());
    co_await s.close();
    CHECK_FALSE(s.is_open());
    outcome<void> late = co_await as_result(s.write("y"sv));
    CHECK_THROWS_AS(late.value(), closed_resource);
}

EDDY_TEST("any_stream: an empty one says so; closing it is no error") {
    any_stream empty;
    CHECK_FALSE(empty.is_open());
    co_await empty.close();
    empty.abort();
    CHECK_THROWS_AS(empty.write("x"sv), closed_resource);
    CHECK(empty.target<tcp_stream>() == nullptr);
}

EDDY_TEST("any_stream: destroying it tells who waits, and who has not begun to") {
    auto ends = testing::memory_stream_pair();
    std::optional<any_stream> s(std::in_place, std::move(ends.a));
    std::array<std::byte, 8> buffer;
    task<std::size_t> later = s->read_some(buffer);
    auto waiting = spawn([&]() -> task<std::size_t> { return s->read_some(buffer); });
    co_await testing::settle();
    s.reset();
    outcome<std::size_t> told = co_await as_result(std::move(waiting));
    CHECK_THROWS_AS(told.value(), closed_resource);
    outcome<std::size_t> refused = co_await as_result(std::move(later));
    CHECK_THROWS_AS(refused.value(), closed_resource);
}

EDDY_TEST("any_stream: cancelled, a read has taken nothing and close closes") {
    auto ends = testing::memory_stream_pair();
    any_stream a(std::move(ends.a));
    any_stream b(std::move(ends.b));
    std::array<std::byte, 8> buffer;
    auto reading = spawn([&]() -> task<std::size_t> { return a.read_some(buffer); });
    co_await testing::settle();
    co_await reading.cancel_and_join();
    co_await b.write("kept"sv);
    const std::string kept = co_await read_any(a);
    CHECK(kept == "kept");
    bool thrown = false;
    auto body = [&](cancel_scope& scope) -> task<> {
        scope.cancel();
        try {
            co_await a.close();
        } catch (const operation_cancelled&) {
            thrown = true;
            throw;
        }
    };
    co_await with_scope(body);
    CHECK(thrown);
    CHECK_FALSE(a.is_open());
}

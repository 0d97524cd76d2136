// What is a stream, and what is not.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

using namespace eddy;

namespace {

using in_bytes = std::span<const std::byte>;
using out_bytes = std::span<std::byte>;

struct reads_a_size {
    task<std::size_t> read_some(out_bytes);
};
struct reads_an_int { // converts to a size
    task<int> read_some(out_bytes);
};
struct reads_text {
    task<std::string> read_some(out_bytes);
};
struct reads_nothing {
    task<> read_some(out_bytes);
};
struct reads_at_once { // as read(2) does: a blocking stream
    std::size_t read_some(out_bytes);
};
struct reads_into_const {
    task<std::size_t> read_some(in_bytes);
};

struct writes_later {
    task<> write(in_bytes);
};
struct writes_and_counts { // as `file` does
    task<std::size_t> write(in_bytes);
};
struct writes_by_an_operation {
    detail::write_operation write(in_bytes);
};
struct writes_at_once {
    void write(in_bytes);
};
struct counts_at_once {
    std::size_t write(in_bytes);
};
struct writes_somewhere_else { // awaitable by others' coroutines
    std::shared_ptr<int> write(in_bytes);
};
struct writes_lists_at_once {
    task<> write(in_bytes);
    void write(std::span<const in_bytes>);
};
struct writes_lists {
    task<> write(in_bytes);
    task<> write(std::span<const in_bytes>);
};

static_assert(async_read_stream<reads_a_size> && async_read_stream<reads_an_int> && async_read_stream<reads_into_const>);
static_assert(!async_read_stream<reads_text> && !async_read_stream<reads_nothing> && !async_read_stream<reads_at_once>);
static_assert(!async_read_stream<int> && !async_read_stream<const reads_a_size>);

static_assert(async_write_stream<writes_later> && async_write_stream<writes_and_counts> && async_write_stream<writes_by_an_operation>);
static_assert(!async_write_stream<writes_at_once> && !async_write_stream<counts_at_once> && !async_write_stream<writes_somewhere_else>);
static_assert(!async_write_stream<int> && !async_write_stream<reads_a_size> && !async_write_stream<const writes_later>);

static_assert(async_gather_stream<writes_lists> && async_write_stream<writes_lists>);
static_assert(!async_gather_stream<writes_later> && async_write_stream<writes_lists_at_once> && !async_gather_stream<writes_lists_at_once>);

// Those of eddy.
static_assert(async_read_stream<tcp_stream> && async_write_stream<tcp_stream> && async_read_stream<unix_stream> && async_write_stream<unix_stream>);
static_assert(async_read_stream<readable_pipe> && !async_write_stream<readable_pipe> && async_write_stream<writable_pipe>);
static_assert(async_read_stream<file> && async_write_stream<file> && async_read_stream<terminal_stream> && async_write_stream<terminal_stream>);
static_assert(async_read_stream<standard_input_stream> && async_write_stream<standard_output_stream>);
static_assert(async_read_stream<buffered_reader<tcp_stream>> && async_write_stream<buffered_writer<tcp_stream>>);

} // namespace

EDDY_TEST("bytes_of: the bytes of a text, which stay where they are") {
    const std::string text = "ab";
    const in_bytes bytes = bytes_of(text);
    CHECK(bytes.size() == 2);
    CHECK(static_cast<const void*>(bytes.data()) == static_cast<const void*>(text.data()));
    CHECK(bytes_of("").empty());
    co_return;
}

// buffered_reader: reads of a certain size or up to a separator, over any stream.
//
//     buffered_reader r{stream, {.limit = 64 * 1024}};
//     std::string line = co_await r.read_line();           // with its newline; empty at the end
//     std::string head = co_await r.read_until("\r\n\r\n");
//     auto lines = r.lines();
//     while (auto line = co_await lines.next()) use(*line);
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <eddy/async_generator.hpp>
#include <eddy/borrowed_bytes.hpp>
#include <eddy/detail/sole_reader.hpp>
#include <eddy/errors.hpp>
#include <eddy/stream.hpp>
#include <eddy/this_task.hpp>

namespace eddy {

struct buffered_reader_options {
    std::size_t limit = 64 * 1024; // the longest text before a separator
    std::size_t chunk = borrowed_bytes::capacity; // read from the stream at once
};

namespace detail {

/// The bytes that were read ahead, and the search in them.
class read_buffer {
public:
    [[nodiscard]] std::string_view view() const noexcept { return {start() + begin_, end_ - begin_}; }
    [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
    [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
    /// Room behind the data for `n` more bytes, or for so many as there is room for without moving much. Asked for while it is empty, the
    /// memory is kept from then on, also while it is empty: else it would be allocated for every read.
    [[nodiscard]] std::span<std::byte> prepare(std::size_t n);
    void commit(std::size_t n) noexcept { end_ += n; }
    /// Would `prepare(n)` take so much memory, and copy so much, that the loop's thread should not?
    [[nodiscard]] bool outgrows(std::size_t n) const noexcept;
    /// Has a worker do it. Nobody else may change the buffer meanwhile. Cancelled or failed, it is as it was.
    task<> enlarge(std::size_t n);
    /// What came while it was empty.
    void adopt(borrowed_bytes b) noexcept;
    /// A very long text that is all there is goes as it is, without a copy.
    [[nodiscard]] std::string take(std::size_t n);
    std::size_t take_into(std::span<std::byte> out) noexcept;

    /// Where the earliest end of one of the separators is; npos if there is none. `from`: searched before up to there.
    [[nodiscard]] static std::size_t find_end(std::string_view text, std::span<const std::string_view> separators, std::size_t from,
                                              std::size_t& separator_size);

private:
    [[nodiscard]] const char* start() const noexcept { return lent_.data() ? reinterpret_cast<const char*>(lent_.data()) : data_.data(); }
    void taken(std::size_t n) noexcept;
    void drop_memory() noexcept { std::string().swap(data_); }
    borrowed_bytes lent_; // the data are here, or
    std::string data_;
    bool keeps_ = false; // data_, while it is empty
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};
void check_separators(std::span<const std::string_view> separators);

} // namespace detail

/// Holds a reference to the stream; one read at a time (`busy_resource`). A read that is cancelled or fails has consumed nothing: what had
/// arrived stays in the buffer (R4). But for `incomplete_read`, which has taken it along as its `partial()`. Every read is a checkpoint before it takes anything, also if the buffer has it all (R12).
/// An empty one holds no memory, also while it waits, where the stream lends (`lends`) and `chunk` is left as it is. Else it has its buffer
/// from the first read on. Either way reading allocates nothing in the long run but the texts that it returns. Where what was read ahead
/// needs more than 1 MiB, the loop's blocking pool takes the memory and copies, a hop each time that it doubles, so that a very long text
/// does not hold the loop up.
/// After asyncio.StreamReader.
template <async_read_stream Stream>
class buffered_reader {
public:
    explicit buffered_reader(Stream& stream, buffered_reader_options options = {}) noexcept : stream_(stream), options_(options) {}

    /// At least one byte, 0 at the end: from the buffer if it has any, else from the stream directly.
    task<std::size_t> read_some(std::span<std::byte> out);
    /// Fills `out`; throws `incomplete_read` with what there was if the stream ends before. The buffer is then empty.
    task<> read_exactly(std::span<std::byte> out);
    task<std::string> read_exactly(std::size_t n);
    /// Up to and with the separator. Throws `incomplete_read` at the end of the stream, `limit_overrun` if there are more
    /// than `limit` bytes before the separator, `std::invalid_argument` for an empty separator. Of several separators
    /// the one that ends first counts.
    task<std::string> read_until(std::string separator);
    task<std::string> read_until(std::span<const std::string_view> separators);
    /// Up to and with "\n"; at the end of the stream what is left, empty if that is nothing. A line over the limit:
    /// `limit_overrun`, and the data stays, as in `read_until`.
    task<std::string> read_line();
    /// What `read_line` gives, line by line up to the end, each with its "\n". Between two of them others may read. Each `next` is a
    /// checkpoint; cancelled or failed, the range is over and the reader has consumed nothing: a new one goes on. The reader must
    /// outlive it. After `async for line in reader`.
    async_generator<std::string> lines();
    /// Everything up to the end. Throws `limit_overrun` above `most` bytes.
    task<std::string> read_to_end(std::size_t most = static_cast<std::size_t>(-1));
    /// The stream has ended and the buffer is empty.
    [[nodiscard]] bool at_eof() const noexcept { return ended_ && buffer_.empty(); }
    /// What was read ahead; for handing the stream on.
    [[nodiscard]] std::string_view buffered() const noexcept { return buffer_.view(); }
    [[nodiscard]] Stream& stream() noexcept { return stream_; }

private:
    task<bool> fill(); // false at the end
    Stream& stream_;
    buffered_reader_options options_;
    detail::read_buffer buffer_;
    bool ended_ = false;
    bool reading_ = false; // a second read would move the buffer under the first
};

template <class Stream>
buffered_reader(Stream&) -> buffered_reader<Stream>;
template <class Stream>
buffered_reader(Stream&, buffered_reader_options) -> buffered_reader<Stream>;

// --- implementation

template <async_read_stream Stream>
task<bool> buffered_reader<Stream>::fill() {
    if (ended_) co_return false;
    if constexpr (async_borrow_stream<Stream>) {
        if (buffer_.empty() && options_.chunk == borrowed_bytes::capacity && eddy::lends(stream_)) {
            borrowed_bytes got = co_await stream_.read_borrowed();
            ended_ = got.empty();
            buffer_.adopt(std::move(got));
            co_return !ended_;
        }
    }
    if (buffer_.outgrows(options_.chunk)) co_await buffer_.enlarge(options_.chunk);
    const std::span<std::byte> room = buffer_.prepare(options_.chunk);
    const std::size_t n = co_await stream_.read_some(room);
    buffer_.commit(n);
    ended_ = n == 0;
    co_return n > 0;
}

template <async_read_stream Stream>
task<std::size_t> buffered_reader<Stream>::read_some(std::span<std::byte> out) {
    co_await this_task::checkpoint();
    const detail::sole_reader me(reading_, "this buffered_reader");
    if (out.empty()) co_return 0;
    if (!buffer_.empty()) co_return buffer_.take_into(out);
    if (ended_) co_return 0;
    const std::size_t n = co_await stream_.read_some(out);
    ended_ = n == 0;
    co_return n;
}

template <async_read_stream Stream>
task<> buffered_reader<Stream>::read_exactly(std::span<std::byte> out) {
    co_await this_task::checkpoint();
    const detail::sole_reader me(reading_, "this buffered_reader");
    while (buffer_.size() < out.size()) {
        const bool more = co_await fill();
        if (!more) throw incomplete_read(buffer_.take(buffer_.size()), out.size());
    }
    buffer_.take_into(out);
}

template <async_read_stream Stream>
task<std::string> buffered_reader<Stream>::read_exactly(std::size_t n) {
    co_await this_task::checkpoint();
    const detail::sole_reader me(reading_, "this buffered_reader");
    while (buffer_.size() < n) {
        const bool more = co_await fill();
        if (!more) throw incomplete_read(buffer_.take(buffer_.size()), n);
    }
    co_return buffer_.take(n);
}

template <async_read_stream Stream>
task<std::string> buffered_reader<Stream>::read_until(std::span<const std::string_view> separators) {
    detail::check_separators(separators);
    co_await this_task::checkpoint();
    const detail::sole_reader me(reading_, "this buffered_reader");
    std::size_t searched = 0;
    for (;;) {
        std::size_t separator_size = 0;
        const std::string_view text = buffer_.view();
        const std::size_t end = detail::read_buffer::find_end(text, separators, searched, separator_size);
        if (end != std::string_view::npos) {
            if (end - separator_size > options_.limit) throw limit_overrun(options_.limit, end - separator_size);
            co_return buffer_.take(end);
        }
        std::size_t longest = 0;
        for (const std::string_view s : separators) longest = std::max(longest, s.size());
        searched = text.size() - std::min(text.size(), longest - 1);
        if (searched > options_.limit) throw limit_overrun(options_.limit, searched);
        const bool more = co_await fill();
        if (!more) throw incomplete_read(buffer_.take(buffer_.size()), 0);
    }
}

template <async_read_stream Stream>
task<std::string> buffered_reader<Stream>::read_until(std::string separator) {
    const std::array<std::string_view, 1> one{separator};
    std::string text = co_await read_until(std::span<const std::string_view>(one));
    co_return text;
}

template <async_read_stream Stream>
task<std::string> buffered_reader<Stream>::read_line() {
    std::string line;
    try {
        line = co_await read_until(std::string("\n"));
    } catch (const incomplete_read& rest) {
        line = rest.partial();
    }
    co_return line;
}

template <async_read_stream Stream>
async_generator<std::string> buffered_reader<Stream>::lines() {
    for (;;) {
        std::string line = co_await read_line();
        if (line.empty()) co_return;
        co_yield std::move(line);
    }
}

template <async_read_stream Stream>
task<std::string> buffered_reader<Stream>::read_to_end(std::size_t most) {
    co_await this_task::checkpoint();
    const detail::sole_reader me(reading_, "this buffered_reader");
    for (;;) {
        if (buffer_.size() > most) throw limit_overrun(most, buffer_.size());
        const bool more = co_await fill();
        if (!more) co_return buffer_.take(buffer_.size());
    }
}

} // namespace eddy

#include <eddy/buffered_reader.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/offload.hpp>
#include <eddy/stream.hpp>

#include <cstring>

#include <algorithm>
#include <utility>

namespace eddy {

incomplete_read::incomplete_read(std::string partial, std::size_t expected)
    : std::runtime_error(expected > 0 ? "the stream ended after " + std::to_string(partial.size()) + " of " + std::to_string(expected) + " bytes"
                                      : "the stream ended before the separator, after " + std::to_string(partial.size()) + " bytes"),
      partial_(std::move(partial)), expected_(expected) {}

limit_overrun::limit_overrun(std::size_t limit, std::size_t consumed)
    : std::runtime_error("read over the limit of " + std::to_string(limit) + " bytes: " + std::to_string(consumed) + " are there and no end"), consumed_(consumed) {}

namespace detail {
namespace {

constexpr std::size_t most_kept = 128 * 1024; // more than the longest line that is allowed unless somebody says otherwise, and a read
constexpr std::size_t most_taken_here = 1 << 20; // bytes of memory that the loop's thread takes at once, and fills

/// Room for so much, with a text in it and `more` bytes behind that. On a worker.
std::string enlarged(std::string_view text, std::size_t more, std::size_t room) {
    std::string larger;
    larger.reserve(room);
    larger.append(text);
    larger.resize(text.size() + more);
    return larger;
}

} // namespace

void read_buffer::adopt(borrowed_bytes b) noexcept {
    begin_ = 0;
    end_ = b.size();
    lent_ = std::move(b);
    keeps_ = false;
    drop_memory();
}

// It grows to at least twice its size.
bool read_buffer::outgrows(std::size_t n) const noexcept {
    if (size() + n <= data_.capacity() || (lent_.data() && n <= most_taken_here)) return false;
    return std::max(size() + n, 2 * data_.capacity()) > most_taken_here;
}

task<> read_buffer::enlarge(std::size_t n) {
    const std::size_t room = std::max(size() + n, 2 * data_.capacity());
    std::string larger = co_await offload(this_loop().blocking_pool(), &enlarged, view(), n, room);
    end_ = size();
    begin_ = 0;
    data_.swap(larger);
    lent_ = {};
}

std::span<std::byte> read_buffer::prepare(std::size_t n) {
    keeps_ = keeps_ || empty();
    if (lent_.data()) {
        const std::span<std::byte> room = lent_.room();
        if (size() <= room.size() / 4) { // the beginning of a line, say
            std::memmove(room.data(), room.data() + begin_, size());
            end_ -= std::exchange(begin_, 0);
            return room.subspan(end_, std::min(n, room.size() - end_));
        }
        data_.assign(start() + begin_, size());
        end_ -= std::exchange(begin_, 0);
        lent_ = {};
    }
    if (data_.size() - end_ < n && begin_ > 0) {
        std::memmove(data_.data(), data_.data() + begin_, size());
        end_ -= begin_;
        begin_ = 0;
    }
    if (data_.size() - end_ < n) data_.resize(end_ + n); // its memory doubles
    return std::as_writable_bytes(std::span(data_.data() + end_, n));
}

std::string read_buffer::take(std::size_t n) {
    if (n > most_kept && n == size() && !lent_.data()) { // memory of that size would not be kept
        std::string all = std::move(data_);
        drop_memory();
        all.resize(end_);
        all.erase(0, begin_);
        begin_ = end_ = 0;
        return all;
    }
    std::string out(start() + begin_, n);
    taken(n);
    return out;
}

std::size_t read_buffer::take_into(std::span<std::byte> out) noexcept {
    const std::size_t n = std::min(size(), out.size());
    if (n > 0) std::memcpy(out.data(), start() + begin_, n);
    taken(n);
    return n;
}

// What is empty holds nothing, or what it needs for the next read. One text that was very long is no reason to keep so much.
void read_buffer::taken(std::size_t n) noexcept {
    begin_ += n;
    if (begin_ < end_) return;
    begin_ = end_ = 0;
    lent_ = {};
    if (!keeps_ || data_.size() > most_kept) drop_memory();
}

std::size_t read_buffer::find_end(std::string_view text, std::span<const std::string_view> separators, std::size_t from,
                                  std::size_t& separator_size) {
    std::size_t best = std::string_view::npos;
    for (const std::string_view s : separators) {
        const std::size_t at = text.find(s, from);
        if (at == std::string_view::npos || at + s.size() >= best) continue;
        best = at + s.size();
        separator_size = s.size();
    }
    return best;
}

void check_separators(std::span<const std::string_view> separators) {
    bool bad = separators.empty();
    for (const std::string_view s : separators) bad = bad || s.empty();
    if (bad) throw std::invalid_argument("read_until: a separator cannot be empty");
}

} // namespace detail
} // namespace eddy

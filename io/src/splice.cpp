#include <eddy/splice.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include <eddy/detail/write_turn.hpp>

#include "file_handle.hpp" // uninterrupted

namespace eddy {

splice_buffer::~splice_buffer() {
    if (pipe_in_ >= 0) ::close(pipe_in_);
    if (pipe_out_ >= 0) ::close(pipe_out_);
}

bool splice_buffer::open_pipe() noexcept {
    if (!of_use_ || begin_ < end_) return false; // what is in memory goes first
    if (pipe_in_ >= 0) return true;
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return of_use_ = false;
    pipe_out_ = ends[0];
    pipe_in_ = ends[1];
    return true;
}

// The pipe has never more in it than the block has room for.
void splice_buffer::pull() {
    if (in_pipe_ == 0) return;
    std::span<std::byte> to = room(capacity);
    begin_ = end_ = 0;
    while (in_pipe_ > 0) {
        const auto n = detail::uninterrupted([&] { return ::read(pipe_out_, to.data() + end_, in_pipe_); });
        if (n <= 0) throw std::system_error(n < 0 ? errno : EIO, std::generic_category(), "reading the pipe of a splice");
        end_ += static_cast<std::size_t>(n);
        in_pipe_ -= static_cast<std::size_t>(n);
    }
}

std::span<std::byte> splice_buffer::room(std::size_t most) {
    if (!block_) block_ = std::make_unique_for_overwrite<std::byte[]>(capacity);
    begin_ = end_ = 0;
    return {block_.get(), std::min(most, capacity)};
}

std::span<const std::byte> splice_buffer::front(std::size_t most) const noexcept {
    return {block_.get() + begin_, std::min(most, end_ - begin_)};
}

namespace detail {
namespace {

/// Until there is something to be read; the stream's only reader as long as it waits.
class [[nodiscard]] until_readable final : public incoming_operation {
public:
    explicit until_readable(stream_core& core) noexcept : incoming_operation(core, io_opcode::wait_read) {}
    until_readable(until_readable&&) noexcept = default;
    [[nodiscard]] bool try_now() const {
        expect_open("read from");
        return false;
    }
    bool begin() override { return try_now() || start(); }
    void take() const { check("read from"); }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "read"; }
};

/// Streams that splice(2) cannot read or write, at all or as they are (opened with O_APPEND).
bool is_not_for_splice(int error) noexcept {
    return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP;
}

/// -1 with errno.
ssize_t splice_now(int from, int to, std::size_t most) noexcept {
    return uninterrupted([&] { return ::splice(from, nullptr, to, nullptr, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK); });
}

enum class filling : unsigned char { done, ended, impossible };

// The pipe is empty, so that EAGAIN is the stream's.
task<filling> fill_pipe(core_ref from, splice_buffer& between, std::size_t most) {
    for (;;) {
        if (!from->is_open()) throw closed_resource("read from " + from->name() + ": it was closed on our side");
        if (!from->incoming_is_free()) throw busy_resource("another task is already reading from " + from->name());
        const ssize_t n = splice_now(from->fd(), between.pipe_in(), most);
        if (n > 0) {
            between.pipe_filled(static_cast<std::size_t>(n));
            co_return filling::done;
        }
        if (n == 0) break;
        if (is_not_for_splice(errno)) co_return filling::impossible;
        if (errno != EAGAIN) throw io_error(errno, "read from", from->name());
        co_await until_readable(*from);
    }
    // A read knows better whether that is the end, or what a write has learned about the connection.
    const std::span<std::byte> one = between.room(1);
    const std::size_t n = co_await read_operation(*from, one);
    between.filled(n);
    co_return n == 0 ? filling::ended : filling::impossible;
}

/// Hands `most` bytes on, as one write among others. False if the kernel cannot.
task<bool> empty_pipe(core_ref to, splice_buffer& between, std::size_t most, std::size_t& moved) {
    write_turn turn(*to);
    co_await turn.come();
    while (moved < most) {
        const ssize_t n = splice_now(between.pipe_out(), to->fd(), most - moved);
        if (n > 0) {
            between.pipe_emptied(static_cast<std::size_t>(n));
            moved += static_cast<std::size_t>(n);
            continue;
        }
        const int error = n == 0 ? EIO : errno; // never 0 of a pipe that has something in it
        if (is_not_for_splice(error)) co_return false;
        if (error != EAGAIN) {
            if (error != EPIPE && is_lost_connection(error)) turn.lost(error);
            throw io_error(error, "write to", to->name());
        }
        co_await turn.writable();
        turn.check();
    }
    co_return true;
}

} // namespace

operation_cancelled after_splicing(const operation_cancelled& c, std::uint64_t moved) {
    const auto partial = static_cast<std::size_t>(moved);
    if (c.reason().empty()) return operation_cancelled(nullptr, partial);
    return operation_cancelled(std::make_shared<const std::string>(c.reason()), partial);
}

void note_gap(const core_ref& to, torn_write why) noexcept {
    if (to) to->tear(why);
}

task<std::optional<std::size_t>> splice_by_kernel(core_ref from, core_ref to, splice_buffer& between, std::size_t most) {
    if (!from || !to) throw closed_resource("splice: this stream has no descriptor");
    if (between.in_pipe() == 0) {
        const filling f = co_await fill_pipe(from, between, std::min(most, splice_buffer::capacity));
        if (f == filling::ended) co_return 0;
        if (f == filling::impossible) {
            if (between.size() == 0) between.give_pipe_up();
            co_return std::nullopt;
        }
    }
    const std::size_t all = std::min(most, between.in_pipe());
    std::size_t moved = 0;
    try {
        const bool possible = co_await empty_pipe(to, between, all, moved);
        if (!possible) between.give_pipe_up();
    } catch (const operation_cancelled& c) {
        throw after_splicing(c, moved);
    }
    if (moved == 0) co_return std::nullopt;
    co_return moved;
}

} // namespace detail
} // namespace eddy

#include <eddy/http/body_writer.hpp>

#include <eddy/errors.hpp>
#include <eddy/send_file.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <stdexcept>
#include <utility>

#include "connection.hpp"
#include "server_state.hpp"

namespace eddy::http {
namespace {

constexpr std::size_t longest_part = 64 * 1024; // what `write_timeout` applies to

[[nodiscard]] std::string_view text_of(std::span<const std::byte> bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

[[nodiscard]] std::string chunk(std::string_view data) {
    std::array<char, 16> digits{};
    const char* end = std::to_chars(digits.data(), digits.data() + digits.size(), data.size(), 16).ptr;
    std::string out;
    out.reserve(data.size() + 20);
    out.append(digits.data(), static_cast<std::size_t>(end - digits.data())).append("\r\n").append(data).append("\r\n");
    return out;
}

} // namespace

/// Keeps a second writer out. What is under way has broken the body, unless it goes well.
class body_writer::turn {
public:
    explicit turn(body_writer& w) : writer_(w) {
        if (w.busy_) throw busy_resource("another task is already writing the body of this response");
        if (w.broken_) throw broken_resource("the body of this response was cut off in an earlier write");
        w.busy_ = w.broken_ = true;
    }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
    ~turn() { writer_.busy_ = false; }
    void went_well() noexcept { writer_.broken_ = false; }

private:
    body_writer& writer_;
};

void body_writer::expect_room(std::uint64_t size) const {
    if (framing_ == framing::length && size > length_ - written_)
        throw std::length_error("the body of a response is longer than the " + std::to_string(length_) + " bytes that were announced");
}

task<> body_writer::write(std::span<const std::byte> bytes) {
    return send(bytes);
}
task<> body_writer::write(std::string_view text) {
    return send(bytes_of(text));
}
task<> body_writer::write(const char* text) {
    return send(bytes_of(text));
}
task<> body_writer::write(std::string&& text) {
    return write_text(std::move(text));
}
task<> body_writer::write_text(std::string text) {
    co_await send(bytes_of(text));
}

task<> body_writer::send(std::span<const std::byte> bytes) {
    expect_room(bytes.size());
    turn mine(*this);
    while (!bytes.empty()) {
        const std::span<const std::byte> part = bytes.first(std::min(bytes.size(), longest_part));
        bool sent = false;
        if (framing_ == framing::chunks) {
            const std::string framed = chunk(text_of(part));
            sent = co_await connection_.write(framed);
        } else {
            sent = co_await connection_.write(text_of(part));
        }
        if (!sent) give_up();
        written_ += part.size();
        bytes = bytes.subspan(part.size());
    }
    mine.went_well();
}

task<> body_writer::end() {
    if (framing_ == framing::length && written_ != length_ && !broken_)
        throw std::length_error("the body of a response has " + std::to_string(written_) + " bytes; " + std::to_string(length_) +
                                " were announced");
    turn mine(*this);
    if (framing_ == framing::chunks) {
        const bool sent = co_await connection_.write("0\r\n\r\n");
        if (!sent) give_up();
    }
    mine.went_well();
}

task<std::uint64_t> body_writer::send_file(file& from, std::uint64_t offset, std::uint64_t size) {
    if (framing_ == framing::length && size > length_ - written_) { // is there so much?
        const std::uint64_t end = co_await from.size();
        size = std::min(size, end - std::min(end, offset));
        expect_room(size);
    }
    std::uint64_t sent = 0;
    std::size_t n = 1;
    while (sent < size && n > 0) {
        const std::uint64_t part = std::min<std::uint64_t>(size - sent, longest_part);
        n = co_await send_part(from, offset + sent, part);
        sent += n;
    }
    co_return sent;
}

/// Up to `size` bytes of the file, which are at most a part; 0 at its end.
task<std::size_t> body_writer::send_part(file& from, std::uint64_t offset, std::uint64_t size) {
    tcp_stream* const socket = connection_.stream_.target<tcp_stream>();
    if (framing_ == framing::chunks || !socket) co_return co_await eddy::detail::send_file_by_copy(*this, from, offset, size);
    turn mine(*this);
    std::size_t sent = 0;
    eddy::detail::room_limit room(connection_.write_limit()); // what the disk takes is not the client's
    try {
        sent = co_await eddy::detail::send_file_by_kernel(socket->core_reference(), from, offset, size, &room);
    } catch (const operation_cancelled&) {
        throw;
    } catch (...) {
        if (!detail::is_of_connection(std::current_exception())) mine.went_well(); // it is the file's, and of interest
        throw;
    }
    if (room.exceeded) give_up();
    written_ += sent;
    mine.went_well();
    co_return sent;
}

void body_writer::give_up() {
    connection_.stream_.abort();
    throw broken_resource("the client took too long to take a response");
}

} // namespace eddy::http

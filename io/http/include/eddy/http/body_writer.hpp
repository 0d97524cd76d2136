// body_writer: where the body of a response goes that is made while it is sent.
//
//     co_return http::response::stream(200, "text/csv", [rows](http::body_writer& out) -> task<> {
//         for (const row& r : *rows) co_await out.write(r.line());
//     });
//
// What is written is sent at once, and a write returns when the kernel has taken it: a slow client slows down whoever makes
// the body, and nothing piles up in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <eddy/file.hpp>
#include <eddy/task.hpp>

namespace eddy::http {

namespace detail {
class connection;
}

/// The body of one response, in the hands of the function that makes it (see `response::stream`). An `async_write_stream`;
/// belongs to the loop and to the connection that calls the function, which must not keep it.
///
/// Whatever is written: one call at a time (`busy_resource`). Bytes and text stay the caller's until it returns; a string that goes, a
/// temporary, is kept by the task. Throws `broken_resource` or `std::system_error` when the client is gone or took longer than
/// `server_options::write_timeout` for 64 KiB, and `std::length_error` for more bytes than were announced. Checkpoint; a write
/// that is cancelled leaves half a body behind: later ones throw `broken_resource`, and the connection is reset as soon as the
/// function returns or throws.
class body_writer {
public:
    body_writer(const body_writer&) = delete;
    body_writer& operator=(const body_writer&) = delete;

    task<> write(std::span<const std::byte> bytes);
    task<> write(std::string_view text);
    task<> write(const char* text);
    task<> write(std::string&& text);
    /// `size` bytes of the file from `offset` on, or what there is up to its end; returns how many that was. If the length of the
    /// body was announced, inside the kernel where it can (see `eddy::send_file`). The file must live as long as the call.
    task<std::uint64_t> send_file(file& from, std::uint64_t offset = 0,
                                  std::uint64_t size = std::numeric_limits<std::uint64_t>::max());

    /// Bytes of the body so far.
    [[nodiscard]] std::uint64_t written() const noexcept { return written_; }

private:
    friend class detail::connection;
    class turn;
    enum class framing { length, chunks, until_close };
    body_writer(detail::connection& c, framing f, std::uint64_t length) noexcept : connection_(c), framing_(f), length_(length) {}

    task<> write_text(std::string text);
    task<> send(std::span<const std::byte> bytes);
    task<std::size_t> send_part(file& from, std::uint64_t offset, std::uint64_t size);
    task<> end();
    void expect_room(std::uint64_t size) const;
    [[noreturn]] void give_up();

    detail::connection& connection_;
    framing framing_;
    std::uint64_t length_; // what was announced
    std::uint64_t written_ = 0;
    bool broken_ = false; // by the client, or by a cancellation; not by whoever makes the body
    bool busy_ = false;
};

} // namespace eddy::http

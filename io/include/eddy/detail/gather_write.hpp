// Several buffers as one write.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include <eddy/detail/stream_core.hpp>

namespace eddy::detail {

/// Writes all bytes of all buffers. The buffers and the list of them are the caller's until it has ended.
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] gather_write_operation final : public outgoing_operation {
public:
    using buffer_list = std::span<const std::span<const std::byte>>;
    gather_write_operation(stream_core& core, buffer_list buffers) noexcept;
    gather_write_operation(gather_write_operation&& o) noexcept;
    [[nodiscard]] bool try_now() const;
    bool begin() override { return try_now() || start(); }
    void take() const { check("write to"); }
    [[nodiscard]] outcome<void> take_outcome() const noexcept { return outcome_of(error_pointer("write to")); }
    /// Bytes that the kernel had taken when the write was cancelled.
    [[nodiscard]] std::size_t partial() const noexcept { return written_; }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "write"; }

private:
    // The least that POSIX guarantees of IOV_MAX. More would be a larger frame for everybody; a message of many small parts
    // is better copied together (buffered_writer).
    static constexpr std::size_t most_parts = 16;
    bool drive() override;
    bool advance() noexcept override;
    [[nodiscard]] bool torn() const noexcept override { return written_ > 0; }
    void aim() noexcept;
    void skip(std::size_t bytes) noexcept;
    buffer_list rest_;       // from the first that is not through
    std::size_t offset_ = 0; // in that one
    std::size_t all_ = 0;
    std::size_t written_ = 0;
    std::array<iovec, most_parts> parts_; // these two are set when it starts: it may be moved until then
    msghdr message_{};
};

} // namespace eddy::detail

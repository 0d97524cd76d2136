// borrowed_bytes: what a read found, in memory that was taken for it when it came.
//
//     for (;;) {
//         borrowed_bytes got = co_await s.read_borrowed();     // holds no buffer while it waits
//         if (got.empty()) break;                              // the end
//         co_await s.write(got);
//     }
//
// A thousand connections that wait for their peers would each hold a buffer that nobody needs. These need as many as there are
// connections with something to do, and those that have just been used are still in the processor's cache.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace eddy {

/// Bytes on loan from the thread's pool of buffers, which get them back when this is destroyed or assigned to. Move-only; it may
/// outlive the stream and the loop, and end on another thread, whose pool then has the buffer. A thread keeps the
/// buffers that it uses again and again, as many as it had in use at once, up to 32 MiB; what it has not needed for some ten thousand loans is freed
/// by and by, but for 512 KiB. Empty: the end of the stream, or nothing.
class borrowed_bytes {
public:
    /// The most that one read gives: more than the 16 KiB of which messages are often made, since what was short need not be read again.
    static constexpr std::size_t capacity = 32 * 1024;

    borrowed_bytes() noexcept = default;
    borrowed_bytes(borrowed_bytes&& o) noexcept : start_(std::exchange(o.start_, nullptr)), size_(std::exchange(o.size_, 0)) {}
    // Not by value: clang does not destroy such a parameter in every coroutine (`*lent = {}` in tls_link::read).
    borrowed_bytes& operator=(borrowed_bytes&& o) noexcept {
        std::byte* const before = std::exchange(start_, std::exchange(o.start_, nullptr));
        size_ = std::exchange(o.size_, 0);
        if (before) give_back(before);
        return *this;
    }
    ~borrowed_bytes() {
        if (start_) give_back(start_);
    }

    [[nodiscard]] const std::byte* data() const noexcept { return start_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] const std::byte* begin() const noexcept { return start_; }
    [[nodiscard]] const std::byte* end() const noexcept { return start_ + size_; }
    /// The same as text, for as long as this lives.
    [[nodiscard]] std::string_view text() const noexcept { return {reinterpret_cast<const char*>(start_), size_}; }

    // For streams: a buffer to read into, and how much of it was read; nothing gives it back. Throws `std::bad_alloc`.
    [[nodiscard]] static borrowed_bytes with_room() {
        borrowed_bytes b;
        b.start_ = take_buffer();
        return b;
    }
    [[nodiscard]] std::span<std::byte> room() const noexcept { return {start_, start_ ? capacity : 0}; }
    void set_size(std::size_t n) noexcept {
        size_ = n;
        if (n == 0) *this = {};
    }

private:
    [[nodiscard]] static std::byte* take_buffer();
    static void give_back(std::byte* start) noexcept;
    std::byte* start_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace eddy

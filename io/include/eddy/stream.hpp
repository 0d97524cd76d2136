// What a byte stream is: the concepts that readers, writers and protocols are written against.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include <eddy/borrowed_bytes.hpp>
#include <eddy/task.hpp>

namespace eddy {

/// `co_await s.read_some(buffer)`: at least one byte, at most the buffer; 0 at the end of the stream, and for an empty buffer.
template <class S>
concept async_read_stream = requires(S& s, std::span<std::byte> buffer) {
    { s.read_some(buffer) } -> awaitable_of<std::size_t>;
};

/// Besides, `co_await s.read_borrowed()`: the same into memory that is taken for it when something has come; empty at the end.
template <class S>
concept async_borrow_stream = async_read_stream<S> && requires(S& s) {
    { s.read_borrowed() } -> awaitable_of<borrowed_bytes>;
};

/// Does `s.read_borrowed()` hold no memory while it waits? What has the function does, unless its `lends()` says otherwise: one that has
/// other streams below it may only know when it has one.
template <class S>
[[nodiscard]] bool lends(const S& s) noexcept {
    if constexpr (!async_borrow_stream<S>)
        return false;
    else if constexpr (requires { { s.lends() } noexcept -> std::same_as<bool>; })
        return s.lends();
    else
        return true;
}

/// `co_await s.write(bytes)`: all of them, handed on to whatever is below. What it returns, if anything, is not looked at.
template <class S>
concept async_write_stream = requires(S& s, std::span<const std::byte> bytes) {
    { s.write(bytes) } -> awaitable;
};

/// Besides, `co_await s.write(buffers)`: all bytes of several buffers, in their order, as one write. For any stream: `write_parts`.
template <class S>
concept async_gather_stream = async_write_stream<S> && requires(S& s, std::span<const std::span<const std::byte>> buffers) {
    { s.write(buffers) } -> awaitable;
};

/// The stream ended before a read had what it was asked for. `partial()` is what there was.
class incomplete_read : public std::runtime_error {
public:
    incomplete_read(std::string partial, std::size_t expected);
    [[nodiscard]] const std::string& partial() const noexcept { return partial_; }
    /// Bytes asked for; 0 where a separator was.
    [[nodiscard]] std::size_t expected() const noexcept { return expected_; }

private:
    std::string partial_;
    std::size_t expected_;
};

/// A separator, or the end, did not come within the limit. The data stays in the buffer and can be read otherwise.
class limit_overrun : public std::runtime_error {
public:
    limit_overrun(std::size_t limit, std::size_t consumed);
    /// Bytes in the buffer before the separator, or that hold none.
    [[nodiscard]] std::size_t consumed() const noexcept { return consumed_; }

private:
    std::size_t consumed_;
};

/// The bytes of a text.
[[nodiscard]] inline std::span<const std::byte> bytes_of(std::string_view text) noexcept {
    return std::as_bytes(std::span(text.data(), text.size()));
}

} // namespace eddy

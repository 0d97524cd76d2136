// A stream that is reset after so many bytes, to try each state of a protocol: what is on the way is lost, both ends find out.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <eddy/task.hpp>

namespace tests {

/// Everything.
inline constexpr std::size_t uncut = std::numeric_limits<std::size_t>::max();

/// Over another stream. It gives `in` bytes of what comes and takes `out` of what goes; the next read or write resets it.
template <class Below>
class cut_stream {
public:
    explicit cut_stream(Below below, std::size_t in = uncut, std::size_t out = uncut) : below_(std::move(below)), in_(in), out_(out) {}

    eddy::task<std::size_t> read_some(std::span<std::byte> buffer) {
        if (in_ == 0 && !buffer.empty()) reset("read from");
        const std::span<std::byte> part = buffer.first(std::min(buffer.size(), in_));
        const std::size_t n = co_await below_.read_some(part);
        if (in_ != uncut) in_ -= n;
        co_return n;
    }
    eddy::task<> write(std::span<const std::byte> bytes) {
        const std::span<const std::byte> part = bytes.first(std::min(bytes.size(), out_));
        if (!part.empty()) co_await below_.write(part);
        if (part.size() < bytes.size()) reset("write to");
        if (out_ != uncut) out_ -= part.size();
    }
    eddy::task<> shutdown_write() { co_await below_.shutdown_write(); }
    eddy::task<> close() { co_await below_.close(); }
    void abort() noexcept { below_.abort(); }
    [[nodiscard]] bool is_open() const noexcept { return below_.is_open(); }

private:
    [[noreturn]] void reset(const char* doing) {
        below_.abort();
        throw std::system_error(ECONNRESET, std::generic_category(), std::string(doing) + " the peer");
    }
    Below below_;
    std::size_t in_;
    std::size_t out_;
};

} // namespace tests

// A stream whose first bytes were read already.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include <eddy/any_stream.hpp>
#include <eddy/this_task.hpp>

namespace eddy::http::detail {

class rest_first_stream {
public:
    rest_first_stream(std::string rest, any_stream below) noexcept : rest_(std::move(rest)), below_(std::move(below)) {}

    task<std::size_t> read_some(std::span<std::byte> buffer) {
        if (rest_.empty()) return below_.read_some(buffer);
        return read_rest(buffer);
    }
    task<> write(std::span<const std::byte> bytes) { return below_.write(bytes); }
    task<> shutdown_write() { return below_.shutdown_write(); }
    task<> close() { return below_.close(); }
    void abort() noexcept { below_.abort(); }
    [[nodiscard]] bool is_open() const noexcept { return below_.is_open(); }

private:
    task<std::size_t> read_rest(std::span<std::byte> buffer) {
        co_await this_task::checkpoint();
        const std::size_t n = std::min(buffer.size(), rest_.size());
        std::memcpy(buffer.data(), rest_.data(), n);
        rest_.erase(0, n);
        co_return n;
    }
    std::string rest_;
    any_stream below_;
};

} // namespace eddy::http::detail

// A stream whose first bytes were read already.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <eddy/any_stream.hpp>
#include <eddy/this_task.hpp>

namespace eddy::http::detail {

class rest_first_stream {
public:
    rest_first_stream(std::string rest, any_stream below) : rest_(std::make_shared<std::string>(std::move(rest))), below_(std::move(below)) {}

    task<std::size_t> read_some(std::span<std::byte> buffer) {
        if (rest_->empty()) return below_.read_some(buffer);
        return read_rest(rest_, buffer);
    }
    task<> write(std::span<const std::byte> bytes) { return below_.write(bytes); }
    task<> shutdown_write() { return below_.shutdown_write(); }
    task<> close() { return below_.close(); }
    void abort() noexcept { below_.abort(); }
    [[nodiscard]] bool is_open() const noexcept { return below_.is_open(); }

private:
    /// Outlives the stream, if need be.
    static task<std::size_t> read_rest(std::shared_ptr<std::string> rest, std::span<std::byte> buffer) {
        co_await this_task::checkpoint();
        const std::size_t n = std::min(buffer.size(), rest->size());
        std::memcpy(buffer.data(), rest->data(), n);
        rest->erase(0, n);
        co_return n;
    }
    std::shared_ptr<std::string> rest_;
    any_stream below_;
};

} // namespace eddy::http::detail

// The part of a streamed body that has come and was not read yet.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include <eddy/event.hpp>

namespace eddy::http::detail {

// Bounded: a piece that does not fit stays with libcurl, which stops reading from the connection until we say so. An empty
// buffer takes any piece; libcurl's have at most 16 KiB.
class incoming_body {
public:
    explicit incoming_body(std::size_t limit) noexcept : limit_(limit) {}

    /// False: there is no room, libcurl has to pause.
    [[nodiscard]] bool put(std::string_view piece) {
        if (!empty() && piece.size() > limit_ - std::min(limit_, size())) return !(paused_ = true);
        if (begin_ > data_.size() / 2) {
            data_.erase(0, begin_);
            begin_ = 0;
        }
        data_.append(piece);
        changed.set();
        return true;
    }
    std::size_t take(std::span<std::byte> out) noexcept {
        const std::size_t n = std::min(out.size(), size());
        if (n == 0) return 0;
        std::memcpy(out.data(), data_.data() + begin_, n);
        begin_ += n;
        if (!empty()) return n;
        data_.clear();
        begin_ = 0;
        return n;
    }
    [[nodiscard]] std::size_t size() const noexcept { return data_.size() - begin_; }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    /// Should libcurl go on? It is then taken as told.
    [[nodiscard]] bool resume() noexcept {
        if (!paused_ || size() > limit_ / 2) return false;
        paused_ = false;
        return true;
    }

    event changed; // the head is complete, there are bytes, or it ended
    bool head_complete = false;
    bool reading = false;

private:
    std::string data_;
    std::size_t begin_ = 0; // of what was not read
    std::size_t limit_;
    bool paused_ = false;
};

} // namespace eddy::http::detail

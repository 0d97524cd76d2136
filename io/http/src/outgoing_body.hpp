// The piece of an upload that libcurl has not sent yet.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <curl/curl.h>

#include <eddy/event.hpp>

namespace eddy::http::detail {

// libcurl asks for bytes; where there are none it pauses until it is told that there are.
class outgoing_body {
public:
    explicit outgoing_body(std::optional<std::uint64_t> size) noexcept : size_(size) {}

    /// What libcurl asks for: bytes, 0 at the end, CURL_READFUNC_PAUSE.
    [[nodiscard]] std::size_t read(char* out, std::size_t room) noexcept {
        const std::size_t n = std::min(room, piece_.size() - at_);
        if (n == 0 && !ended_) {
            paused_ = true;
            return CURL_READFUNC_PAUSE;
        }
        std::copy_n(piece_.data() + at_, n, out);
        at_ += n;
        if (empty()) taken.set();
        return n;
    }
    void give(std::string piece) {
        if (!empty()) { // it goes out once more
            piece_.append(piece);
            return;
        }
        has_gone_ = has_gone_ || at_ > 0;
        piece_ = std::move(piece);
        at_ = 0;
    }
    void end() noexcept { ended_ = true; }
    [[nodiscard]] bool empty() const noexcept { return at_ == piece_.size(); }
    /// From its start once more, because a kept connection turned out to be closed: if all that was sent of it is still here, its
    /// first piece. For a redirect, only if nothing was sent, or if it is not needed any more. False if not.
    [[nodiscard]] bool rewind() noexcept {
        if (unwanted) return true;
        if (has_gone_ || (at_ > 0 && answered.is_set())) return false;
        at_ = 0;
        return true;
    }
    [[nodiscard]] const std::optional<std::uint64_t>& size() const noexcept { return size_; }
    /// Should libcurl go on? It is then taken as told.
    [[nodiscard]] bool resume() noexcept { return std::exchange(paused_, false); }

    event taken;    // the piece, or the transfer ended
    event answered; // the head of the answer is there, or the transfer ended
    bool unwanted = false; // the request goes on as a GET

private:
    std::optional<std::uint64_t> size_;
    std::string piece_;
    std::size_t at_ = 0;
    bool paused_ = false;
    bool ended_ = false;
    bool has_gone_ = false; // a piece that was sent, at least in part
};

} // namespace eddy::http::detail

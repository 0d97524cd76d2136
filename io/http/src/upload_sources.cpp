#include "upload_sources.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <stdexcept>

namespace eddy::http::detail {
namespace {

constexpr std::size_t piece_bytes = std::size_t{128} << 10;

/// At most so many bytes from the position; none at the end.
task<std::string> read_piece_of(file& f, std::size_t most) {
    std::string piece(most, '\0');
    const std::span<std::byte> room = std::as_writable_bytes(std::span<char>(piece.data(), piece.size()));
    const std::size_t n = co_await f.read(room);
    piece.resize(n);
    co_return piece;
}

} // namespace

// --- a file

task<file_source> file_source::measure(file f, std::optional<std::uint64_t> announced) {
    file_source s;
    s.file_ = std::move(f);
    s.size_ = announced;
    if (announced) co_return s;
    const off_t at = ::lseek(s.file_.native_handle(), 0, SEEK_CUR); // does not block: the kernel has noted it
    if (at < 0) co_return s;                                        // a pipe, or it is closed: reading tells
    const auto begin = static_cast<std::uint64_t>(at);
    const std::uint64_t end = co_await s.file_.size();
    if (end > begin) {
        s.size_ = end - begin;
        co_return s;
    }
    s.first_ = co_await read_piece_of(s.file_, piece_bytes); // those of /proc do not tell their size, nor do devices
    if (s.first_.empty()) s.size_ = 0;
    co_return s;
}

async_generator<std::string> file_source::pieces(file_source s) {
    std::uint64_t given = s.first_.size();
    if (given > 0) co_yield std::move(s.first_);
    while (!s.size_ || given < *s.size_) {
        const std::uint64_t most = s.size_ ? std::min<std::uint64_t>(*s.size_ - given, piece_bytes) : piece_bytes;
        std::string piece = co_await read_piece_of(s.file_, static_cast<std::size_t>(most));
        if (piece.empty()) break;
        given += piece.size();
        co_yield std::move(piece);
    }
    if (s.size_ && given < *s.size_)
        throw std::length_error("'" + s.file_.path() + "' ended after " + std::to_string(given) + " of the " + std::to_string(*s.size_) +
                                " bytes that were announced");
}

// --- a form

void multipart_source::count(std::optional<std::uint64_t> bytes) noexcept {
    if (size_ && bytes)
        *size_ += *bytes;
    else
        size_.reset();
}

task<multipart_source> multipart_source::open(multipart m) {
    multipart_source s;
    const std::string boundary(m.boundary());
    std::string text;
    for (multipart::part& p : m.parts_) {
        text.append("--").append(boundary).append("\r\n").append(p.head).append("\r\n");
        if (!p.streamed()) {
            text.append(std::exchange(p.content, {})).append("\r\n");
            continue;
        }
        if (!p.path.empty()) {
            file f = co_await file::open(p.path);
            file_source measured = co_await file_source::measure(std::move(f), std::nullopt);
            p.size = measured.size();
            p.source = file_source::pieces(std::move(measured));
        }
        s.count(text.size());
        s.count(p.size);
        s.segments_.emplace_back(std::exchange(text, "\r\n"), std::move(p.source));
    }
    s.tail_ = text.append("--").append(boundary).append("--\r\n");
    s.count(s.tail_.size());
    co_return s;
}

async_generator<std::string> multipart_source::pieces(multipart_source s) {
    for (segment& g : s.segments_) {
        co_yield std::move(g.text);
        while (std::optional<std::string> piece = co_await g.source.next()) co_yield std::move(*piece);
    }
    co_yield std::move(s.tail_);
}

} // namespace eddy::http::detail

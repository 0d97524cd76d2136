#include "generated_bytes.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <eddy/http/body_writer.hpp>
#include <eddy/http/byte_range.hpp>

#include "json.hpp"

namespace http_service {

namespace http = eddy::http;

namespace {

// The bytes from `first` on.
void fill(std::span<char> block, std::uint64_t first) {
    for (char& c : block) c = static_cast<char>((first++ * 2654435761U) >> 13U);
}

} // namespace

http::response generated_bytes(const http::request& q, std::uint64_t size) {
    const std::string tag = fmt::format("\"bytes-{}\"", size);
    const bool if_range = q.header("If-Range").empty() || q.header("If-Range") == tag;
    const auto range = if_range ? http::parse_range(q.header("Range"), size) : std::nullopt;
    if (range && range->size == 0)
        return json_error(416, "there is nothing behind the end").set("Content-Range", fmt::format("bytes */{}", size));
    const http::byte_range part = range.value_or(http::byte_range{0, size});
    auto make = [part](http::body_writer& out) -> eddy::task<> {
        std::vector<char> block(64 * 1024);
        while (out.written() < part.size) {
            const auto piece = std::span(block).first(std::min<std::uint64_t>(block.size(), part.size - out.written()));
            fill(piece, part.first + out.written());
            co_await out.write(std::as_bytes(piece));
        }
    };
    http::response r = http::response::stream(range ? 206 : 200, "application/octet-stream", make);
    r.content_length(part.size).set("ETag", tag).set("Accept-Ranges", "bytes");
    if (range)
        r.set("Content-Range", fmt::format("bytes {}-{}/{}", part.first, part.first + part.size - 1, size));
    return r;
}

} // namespace http_service

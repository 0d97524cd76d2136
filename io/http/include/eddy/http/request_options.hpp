// request_options: what differs for one request.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include <eddy/http/headers.hpp>

namespace eddy::http {

/// What differs for one request. The texts and headers are copied by the call that takes the options.
struct request_options {
    std::optional<std::chrono::nanoseconds> timeout = {};
    std::optional<std::chrono::nanoseconds> connect_timeout = {};
    std::optional<int> max_redirects = {};
    std::optional<std::size_t> max_body = {};
    std::string_view content_type = {};        // of the body we send
    std::span<const header> headers = {};      // a header_list, or a vector or array of headers
    std::size_t stream_buffer = std::size_t{256} << 10;  // bytes of a streamed body that wait for their reader, at least 16 KiB
    std::optional<std::uint64_t> content_length = {};    // of an upload; unknown: it is sent in chunks
};

static_assert(std::is_trivially_destructible_v<request_options>); // it is written into co_await expressions (trap T1)

} // namespace eddy::http

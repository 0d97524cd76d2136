// A body that is made while it is sent.
#pragma once

#include <cstdint>

#include <eddy/http/message.hpp>

namespace http_service {

/// `size` bytes, or the part of them that `q` asks for by Range and If-Range. However many they are, 64 KiB of them are in memory: a
/// write returns when the kernel has taken them.
[[nodiscard]] eddy::http::response generated_bytes(const eddy::http::request& q, std::uint64_t size);

} // namespace http_service

// Half a message in a stream: whatever came after it would be taken for the rest.
#pragma once

#include <cstdint>
#include <string>

#include <eddy/errors.hpp>

namespace eddy::detail {

/// Why a stream takes no more writes.
enum class torn_write : std::uint8_t { none, cancelled, failed };

/// What later writes throw: "write to 127.0.0.1:80: an earlier write was cancelled half-way".
[[nodiscard]] broken_resource broken_by(torn_write why, const std::string& doing);

/// Does this errno of a write say that nobody is there any more? Nothing reaches the peer after that, and the kernel tells later
/// writes so by itself (EPIPE). After any other, what comes next would arrive.
[[nodiscard]] bool is_lost_connection(int error) noexcept;

} // namespace eddy::detail

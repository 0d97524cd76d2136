// byte_range: the part of a body that a request asks for (RFC 9110, 14.2), for handlers that make what they send. `static_files`
// knows it by itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace eddy::http {

/// A part of a body: `size` bytes from `first` on; 0 bytes: what was asked for begins behind the end.
class byte_range {
public:
    std::uint64_t first = 0;
    std::uint64_t size = 0;
};

/// What a Range header says: "bytes=0-99", "bytes=100-" or "bytes=-5" of a body of `size` bytes. Nothing if it is to be ignored: it is malformed, in another
/// unit, more than one range, which a server may ignore, or the last bytes of an empty body.
[[nodiscard]] std::optional<byte_range> parse_range(std::string_view text, std::uint64_t size) noexcept;

} // namespace eddy::http

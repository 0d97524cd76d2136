// Text of a peer's in a message for people: it must not forge lines of a log, or talk to a terminal.
#pragma once

#include <string>
#include <string_view>

namespace eddy::http::detail {

/// Control characters as \xHH, and so is every byte that is not ASCII, unless the whole is UTF-8.
[[nodiscard]] std::string escaped(std::string_view text);

} // namespace eddy::http::detail

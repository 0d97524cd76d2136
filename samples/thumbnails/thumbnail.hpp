// The function that moves from scale to scale.
#pragma once

#include <cstdint>
#include <exception>
#include <stop_token>
#include <string>

namespace thumbnails {

/// Makes the picture `from` at most `width` wide and writes it to `to`; the pixels that it had. A plain function: it may be called
/// anywhere, tells `eddy::report_progress` how far it is, and ends by `eddy::operation_cancelled` soon after a stop was requested.
/// `to` is there whole or, if it throws, as it was. Throws `bad_picture`, `std::system_error`.
std::uint64_t make_thumbnail(std::stop_token stop, const std::string& from, const std::string& to, std::uint32_t width);

/// May the next attempt end better? A picture that is damaged stays so. A process that died, a disk that was full: who knows.
[[nodiscard]] bool worth_another_attempt(const std::exception_ptr& error);
/// What went wrong, for the user; at which scale it went wrong makes no difference.
[[nodiscard]] std::string describe(const std::exception_ptr& error);

} // namespace thumbnails

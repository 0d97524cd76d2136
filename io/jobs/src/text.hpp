// Texts of the protocols: base64, times, ids, and values as Python prints them.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <eddy/jobs/json.hpp>

namespace eddy::jobs::detail {

using wall_time = std::chrono::system_clock::time_point;

/// What the calendar says on this loop.
[[nodiscard]] wall_time wall_now();
[[nodiscard]] double to_unix(wall_time t) noexcept;
[[nodiscard]] wall_time from_unix(double seconds) noexcept;

[[nodiscard]] std::string to_base64(std::string_view bytes);
/// Nullopt for what is none.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

/// "2026-11-21T22:41:08.005881+00:00".
[[nodiscard]] std::string to_iso(wall_time t);
/// Also with `Z`, another offset or none (UTC), and without a fraction; nullopt for what is none.
[[nodiscard]] std::optional<wall_time> from_iso(std::string_view text);

/// A random one (version 4).
[[nodiscard]] std::string make_uuid();

/// The same one for the same name, in all programs (version 8).
[[nodiscard]] std::string uuid_of(std::string_view name);

/// JSON as Python writes it: besides JSON proper, NaN and Infinity. Throws `json::exception`.
[[nodiscard]] json parse_json(std::string_view text);
/// The same; nothing for what is no JSON.
[[nodiscard]] std::optional<json> try_parse_json(std::string_view text);
/// On one line; what is not UTF-8 is replaced.
[[nodiscard]] std::string dump_json(const json& v);
/// The same of what must arrive as it is; strings that are no UTF-8 are refused with `std::invalid_argument`, which says what `what` is.
[[nodiscard]] std::string dump_strict(const json& v, std::string_view what);

/// As Python's repr shows it, cut at about 1000 bytes; a list as a tuple.
[[nodiscard]] std::string python_repr(const json& v);
[[nodiscard]] std::string python_repr_tuple(const json& list);

/// This machine's; "localhost" if it has none.
[[nodiscard]] std::string host_name();

/// The class of an exception without its namespaces: "runtime_error".
[[nodiscard]] std::string exception_name(const std::exception& e);
[[nodiscard]] std::string plain_name(std::string type);

} // namespace eddy::jobs::detail

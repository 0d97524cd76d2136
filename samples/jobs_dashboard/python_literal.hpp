// Arguments as events show them: Python's repr, "(2, 'x', None)".
#pragma once

#include <optional>
#include <string_view>

#include <eddy/jobs/json.hpp>

namespace jobs_dashboard {

/// The JSON that such a text was made from; tuples become lists. Nothing for what is no literal, or has no JSON (an object's repr,
/// bytes, nan, integers beyond 64 bits), and for what may have been cut: workers cut texts at about 1000 bytes, or with "...".
[[nodiscard]] std::optional<eddy::jobs::json> read_python_literal(std::string_view text);

} // namespace jobs_dashboard

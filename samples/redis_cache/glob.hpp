// The patterns of KEYS and CONFIG GET.
#pragma once

#include <string_view>

namespace redis_cache {

/// *, ?, [a-z], \x. At a mismatch only the last star has to take more, so that the time is bounded by the product of the sizes.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view text);

} // namespace redis_cache

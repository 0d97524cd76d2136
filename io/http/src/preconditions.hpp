// Conditional requests (RFC 9110, 13).
#pragma once

#include <ctime>
#include <string>
#include <utility>

#include <eddy/http/headers.hpp>

namespace eddy::http::detail {

/// What tells one version of a resource from another.
class validators {
public:
    validators(std::string entity_tag, std::time_t last_modified) : tag(std::move(entity_tag)), modified(last_modified) {}
    std::string tag; // a strong one, with its quotes
    std::time_t modified;
};

/// What a GET or HEAD with these headers is to be answered with: 304, 412, or 200 to go on. In the order of RFC 9110, 13.2.2.
[[nodiscard]] int check_preconditions(const header_list& headers, const validators& now);
/// Does If-Range allow a part to be sent? True without one.
[[nodiscard]] bool if_range_holds(const header_list& headers, const validators& now);

} // namespace eddy::http::detail

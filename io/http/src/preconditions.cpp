#include "preconditions.hpp"

#include <curl/curl.h>

#include <optional>
#include <string_view>
#include <utility>

namespace eddy::http::detail {
namespace {

[[nodiscard]] std::optional<std::time_t> date(const std::string& text) {
    const std::time_t t = ::curl_getdate(text.c_str(), nullptr); // takes the two obsolete forms as well
    if (text.empty() || t == -1) return std::nullopt;
    return t;
}

/// Is the tag among those of a header? A weak one counts only where `weak` says so.
[[nodiscard]] bool has_tag(const header_list& headers, std::string_view name, std::string_view tag, bool weak) {
    for (const std::string_view value : headers.get_all(name)) {
        if (value == "*") return true; // alone: within a tag it means nothing
        for (std::string_view rest = value; !rest.empty();) {
            const std::size_t comma = rest.find(','); // ours has none in it
            std::string_view one = trim(rest.substr(0, comma));
            rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
            if (weak && one.starts_with("W/")) one.remove_prefix(2);
            if (one == tag) return true;
        }
    }
    return false;
}

} // namespace

int check_preconditions(const header_list& headers, const validators& now) {
    if (headers.contains("If-Match")) {
        if (!has_tag(headers, "If-Match", now.tag, false)) return 412;
    } else if (const std::optional<std::time_t> since = date(headers.get("If-Unmodified-Since"))) {
        if (now.modified > *since) return 412;
    }
    if (headers.contains("If-None-Match")) return has_tag(headers, "If-None-Match", now.tag, true) ? 304 : 200;
    const std::optional<std::time_t> since = date(headers.get("If-Modified-Since"));
    return since && now.modified <= *since ? 304 : 200;
}

bool if_range_holds(const header_list& headers, const validators& now) {
    const std::string& condition = headers.get("If-Range");
    if (condition.empty() || condition == now.tag) return true;
    return date(condition) == now.modified; // a tag is no date
}

} // namespace eddy::http::detail

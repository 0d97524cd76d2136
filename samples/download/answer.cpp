#include "answer.hpp"

#include <cstddef>

#include <fmt/format.h>

#include <eddy/http/error.hpp>

#include "../number.hpp"

namespace download_manager {

refused::refused(const http::response& r)
    : std::runtime_error(fmt::format("{} answered {} {}", r.url, r.status, http::reason_phrase(r.status))), status_(r.status) {}

bool may_pass(int status) {
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

bool may_pass(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const refused& e) {
        return may_pass(e.status());
    } catch (const http::error& e) {
        using enum http::error_kind;
        return e.kind() == connect || e.kind() == timeout || e.kind() == disconnected || e.kind() == truncated;
    } catch (...) {
        return false;
    }
}

std::optional<content_range> parse_content_range(std::string_view text) {
    if (!text.starts_with("bytes ")) return std::nullopt;
    text.remove_prefix(6);
    const std::size_t dash = text.find('-');
    const std::size_t slash = text.find('/');
    if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) return std::nullopt;
    const auto first = samples::to_number<std::uint64_t>(text.substr(0, dash));
    const auto last = samples::to_number<std::uint64_t>(text.substr(dash + 1, slash - dash - 1));
    const auto total = samples::to_number<std::uint64_t>(text.substr(slash + 1));
    if (!first || !last || !total || *last < *first || *total <= *last) return std::nullopt;
    return content_range{*first, *last, *total};
}

std::string version_mark(const http::response& r) {
    const std::string& tag = r.header("ETag");
    if (!tag.empty() && !tag.starts_with("W/")) return tag;
    return r.header("Last-Modified");
}

} // namespace download_manager

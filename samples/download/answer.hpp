// What a server's answers mean to a download.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <eddy/http/message.hpp>

namespace download_manager {

namespace http = eddy::http;

// An answer that says no.
class refused : public std::runtime_error {
public:
    explicit refused(const http::response& r);
    [[nodiscard]] int status() const noexcept { return status_; }

private:
    int status_;
};

// The server has its moods, too.
[[nodiscard]] bool may_pass(int status);
// What another attempt may cure.
[[nodiscard]] bool may_pass(const std::exception_ptr& error);

struct content_range {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint64_t total = 0;
};

// "bytes 0-99/1000", of status 206. Nothing if it is anything else, or makes no sense.
[[nodiscard]] std::optional<content_range> parse_content_range(std::string_view text);

// By what the server tells one version of a file from another. A weak ETag does not mean the same bytes.
[[nodiscard]] std::string version_mark(const http::response& r);

} // namespace download_manager

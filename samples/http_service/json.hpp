// Answers in JSON.
#pragma once

#include <string>
#include <string_view>

#include <eddy/http/message.hpp>

namespace http_service {

/// As a JSON string, quotes and all. What is not UTF-8 is replaced: JSON has no way to say it.
[[nodiscard]] std::string in_quotes(std::string_view text);

[[nodiscard]] eddy::http::response json(int status, std::string text);
[[nodiscard]] eddy::http::response json_error(int status, std::string_view what);

} // namespace http_service

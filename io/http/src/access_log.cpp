#include <eddy/http/access_log.hpp>

#include <fmt/format.h>

#include <ctime>
#include <iterator>
#include <string_view>

#include "response_writer.hpp"

namespace eddy::http {
namespace {

void append_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        const auto u = static_cast<unsigned char>(c);
        if (u < 0x20 || u >= 0x7f || c == '"' || c == '\\')
            fmt::format_to(std::back_inserter(out), "\\x{:02X}", u);
        else
            out += c;
    }
}

void append_quoted(std::string& out, std::string_view text) {
    out += " \"";
    append_escaped(out, text.empty() ? "-" : text);
    out += '"';
}

} // namespace

std::string common_log_line(const access_record& r) {
    const std::string client = r.remote == ip_endpoint() ? "unix:" : r.remote.address();
    std::string out = client + " - - [" + detail::log_date(std::chrono::system_clock::to_time_t(r.received)) + "]";
    if (r.method.empty())
        append_quoted(out, {});
    else
        append_quoted(out, r.method + " " + r.target + " HTTP/1." + std::to_string(r.minor_version));
    out += " " + std::to_string(r.status) + " " + std::to_string(r.body_bytes);
    append_quoted(out, r.referer);
    append_quoted(out, r.user_agent);
    return out;
}

} // namespace eddy::http

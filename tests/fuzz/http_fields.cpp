// What a server reads in a request that its parser has let through. The first line says what: "range", "conditions", "decode",
// "framing" or "route".
#include <exception>
#include <stdexcept>

#include <eddy/event_loop.hpp>
#include <eddy/http/message.hpp>
#include <eddy/http/router.hpp>

#include <eddy/http/byte_range.hpp>
#include "../../io/http/src/head_check.hpp"
#include "../../io/http/src/preconditions.hpp"
#include "fuzz/fuzz.hpp"

namespace {

using namespace eddy;

/// Lines "Name: value" as far as they can be fields.
http::header_list fields(std::string_view rest) {
    http::header_list h;
    while (!rest.empty() && h.size() < 20) {
        const std::string_view line = fuzz::take_line(rest);
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos) continue;
        try {
            h.add(line.substr(0, colon), http::detail::trim(line.substr(colon + 1)));
        } catch (const std::invalid_argument&) { // is refused before
        }
    }
    return h;
}

void range(std::string_view rest) {
    const std::uint64_t size = fuzz::number_of(fuzz::take_line(rest));
    const auto r = http::parse_range(rest, size);
    if (!r || r->size == 0) return;
    fuzz::require(r->first < size && r->size <= size - r->first, "a range lies within the body");
}

void conditions(std::string_view rest) {
    const http::detail::validators now("\"tag\"", 1'700'000'000);
    const http::header_list h = fields(rest);
    const int status = http::detail::check_preconditions(h, now);
    fuzz::require(status == 200 || status == 304 || status == 412, "the status of a precondition is one of three");
    static_cast<void>(http::detail::if_range_holds(h, now));
}

void framing(std::string_view rest) {
    const int minor = fuzz::take_line(rest) == "0" ? 0 : 1;
    const http::header_list h = fields(rest);
    const http::detail::refusal r = http::detail::check_framing(h, minor);
    if (h.contains("Transfer-Encoding") && h.contains("Content-Length")) fuzz::require(static_cast<bool>(r), "two lengths are refused");
    if (r) fuzz::require(r.status >= 400 && r.status < 600, "a refusal has an error status");
    static_cast<void>(http::detail::check_head(rest));
}

void decode(std::string_view rest) {
    const std::string path = http::decode_path(rest);
    const std::string query = http::decode_query(rest);
    fuzz::require(path.size() <= rest.size() && query.size() == path.size(), "decoding makes nothing longer");
    if (rest.find('%') == std::string_view::npos) fuzz::require_equal(path, rest, "a path without % and what it is decoded to");
    http::request q;
    q.method = "GET";
    q.target = "/?" + std::string(rest);
    static_cast<void>(q.parameter("a"));
}

task<http::response> found(http::request q) {
    std::string text;
    for (const http::header& p : q.path_parameters) text += p.name + "=" + p.value + ";";
    co_return http::response{200, std::move(text)};
}

/// Patterns, an empty line, a path.
void route(std::string_view rest) {
    static event_loop loop;
    http::router routes;
    int patterns = 0;
    for (std::string_view p = fuzz::take_line(rest); !p.empty() && patterns < 20; p = fuzz::take_line(rest), ++patterns) {
        try {
            routes.get(p, &found);
        } catch (const std::invalid_argument&) { // no pattern
        } catch (const std::logic_error&) { // there already
        }
    }
    http::request q;
    q.method = "GET";
    q.target = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
    const http::response answer = loop.run_until_complete(routes(std::move(q)));
    fuzz::require(answer.status == 200 || answer.status == 404, "a GET finds its route or none");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view rest = fuzz::text_of(data, size);
    const std::string_view what = fuzz::take_line(rest);
    if (what == "range") range(rest);
    if (what == "conditions") conditions(rest);
    if (what == "framing") framing(rest);
    if (what == "decode") decode(rest);
    if (what == "route" && size < 4096) route(rest); // of deep ones the stack is the limit, and the server's limit of a head is below
    return 0;
}

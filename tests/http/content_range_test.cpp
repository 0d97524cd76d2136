// The header that says which part of a file an answer has, on strings (RFC 9110 14.4).
#include "http/support.hpp"

#include "../../io/http/src/content_range.hpp"

#include <array>

using namespace http_tests;
using http::detail::content_range;

namespace {

std::string number_or_star(const std::optional<std::uint64_t>& n) {
    return n ? std::to_string(*n) : "*";
}

/// As it is understood: "first last total", "malformed".
std::string understood(std::string_view text) {
    const std::optional<content_range> r = content_range::parse(text);
    if (!r) return "malformed";
    return number_or_star(r->first) + " " + number_or_star(r->last) + " " + number_or_star(r->total);
}

} // namespace

TEST_CASE("Content-Range: a part, of a file of known size or not, and no part at all") {
    CHECK(understood("bytes 5-9/10") == "5 9 10");
    CHECK(understood("bytes 0-0/1") == "0 0 1");
    CHECK(understood("bytes 0042-0099/1234") == "42 99 1234");
    CHECK(understood("bytes 5-9/*") == "5 9 *");
    CHECK(understood("bytes */10") == "* * 10");
    CHECK(understood("bytes */0") == "* * 0");
    CHECK(understood("Bytes 5-9/10") == "5 9 10"); // names of units are the same in any case (14.1)
    CHECK(understood("bytes 0-18446744073709551614/18446744073709551615") == "0 18446744073709551614 18446744073709551615");
}

TEST_CASE("Content-Range: what lies beyond the end, or ends before it begins, is none") {
    CHECK(understood("bytes 5-10/10") == "malformed");
    CHECK(understood("bytes 5-4/10") == "malformed");
    CHECK(understood("bytes 5-4/*") == "malformed");
    CHECK(understood("bytes 0-0/0") == "malformed");
    CHECK(understood("bytes 5-18446744073709551616/*") == "malformed");
    CHECK(understood("bytes 18446744073709551616-18446744073709551617/*") == "malformed");
    CHECK(understood("bytes 0-1/18446744073709551616") == "malformed");
}

TEST_CASE("Content-Range: nothing is read into what is not written as it has to be") {
    const std::array<const char*, 25> wrong{
        "",           "bytes",        "bytes ",        "bytes 5-9",     "bytes 5/10",     "bytes -9/10",   "bytes 5-/10",
        "bytes -/10", "bytes +5-9/10", "bytes 5-+9/10", "bytes 5--9/10", "bytes 5-9/-10", "bytes 5-9/+10", "bytes  5-9/10",
        "bytes 5 -9/10", "bytes 5- 9/10", "bytes 5-9 /10", "bytes 5-9/ 10", "bytes 5-9/10 ", "bytes=5-9/10",   "bytes\t5-9/10",
        "bytes */*",  "bytes *-*/10", "bytes 5-9/10/10", "lines 5-9/10"};
    for (const char* text : wrong) {
        INFO(text);
        CHECK(understood(text) == "malformed");
    }
    CHECK(understood(std::string("bytes 5-9/10\0", 13)) == "malformed");
}

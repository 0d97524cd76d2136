// The server's parser: the bytes of one connection. How they are cut into pieces must make no difference.
#include <algorithm>

#include "../../io/http/src/request_parser.hpp"
#include "fuzz/fuzz.hpp"

namespace {

using eddy::http::request;
using eddy::http::detail::request_parser;

constexpr std::size_t max_header = 1024;
constexpr std::size_t max_body = 2048;

std::string described(const request& q) {
    std::string text = q.method + " " + q.target + " 1." + std::to_string(q.minor_version) + "\n";
    for (const eddy::http::header& h : q.headers) text += h.name + ": " + h.value + "\n";
    return text + "\n" + q.body + "\n";
}

void check(const request& q) {
    fuzz::require(eddy::http::detail::is_token(q.method), "the method is a token");
    fuzz::require(!q.target.empty(), "there is a target");
    fuzz::require(q.target.find_first_of(std::string_view("\0 \r\n\t", 5)) == std::string::npos, "the target has no blanks in it");
    fuzz::require(q.body.size() <= max_body, "the body is within its limit");
    for (const eddy::http::header& h : q.headers) {
        fuzz::require(eddy::http::detail::is_token(h.name), "a field's name is a token");
        fuzz::require(eddy::http::detail::is_field_value(h.value), "a field's value has no line break");
    }
    fuzz::require(!(q.headers.contains("Transfer-Encoding") && q.headers.contains("Content-Length")), "the body has one length");
    static_cast<void>(q.path());
    static_cast<void>(q.parameter("a"));
}

/// What a server would have seen: requests up to the last that the connection serves, or up to a refusal. (Not which: of two
/// reasons, the one that is found first depends on what has come.)
std::string served(std::string_view bytes, std::size_t piece) {
    request_parser p(max_header);
    std::string log;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        p.feed(bytes.substr(at, piece));
        p.begin_body(max_body);
        while (p.current() == request_parser::state::ready) {
            request q = p.take_head();
            q.body = p.take_body();
            check(q);
            log += described(q);
            if (!p.keep_alive()) return log + "close";
            p.next();
            p.begin_body(max_body);
        }
        if (p.current() == request_parser::state::refused) {
            fuzz::require(p.why().status >= 400 && p.why().status < 600 && !p.why().reason.empty(), "a refusal says why");
            return log + "refused";
        }
    }
    return log + (p.begun() ? "unfinished" : "idle");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes = fuzz::text_of(data, std::min<std::size_t>(size, 16 * 1024));
    const std::string whole = served(bytes, std::max<std::size_t>(bytes.size(), 1));
    fuzz::require_equal(whole, served(bytes, 1), "what is seen at once and byte by byte");
    fuzz::require_equal(whole, served(bytes, 7), "what is seen at once and in pieces");
    return 0;
}

// What a Redis server sends, as the client takes it apart. How it is cut into pieces must make no difference.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include <eddy/redis/error.hpp>
#include <eddy/redis/stream_entry.hpp>

#include "fuzz/fuzz.hpp"
#include "reply_parser.hpp"

namespace {

constexpr std::size_t all = std::size_t{1} << 30;

/// The accessors throw `type_mismatch` or the server's error, or give something.
void ask(const eddy::redis::value& v) {
    try {
        static_cast<void>(v.as_double());
    } catch (const std::runtime_error&) {
    }
    try {
        static_cast<void>(eddy::redis::to_streams(v));
    } catch (const std::runtime_error&) {
    }
    try {
        static_cast<void>(eddy::redis::to_entries(v));
    } catch (const std::runtime_error&) {
    }
}

/// The replies, and why it goes on no more, or "open".
std::string taken_apart(std::string_view bytes, std::size_t piece) {
    eddy::redis::detail::reply_parser p(all);
    std::string log;
    try {
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
            p.feed(bytes.substr(at, piece));
            while (std::optional<eddy::redis::value> v = p.next()) {
                log.append(v->describe(all)).append("\n");
                ask(*v);
            }
        }
    } catch (const eddy::redis::protocol_error& e) {
        return log + e.what();
    }
    return log + (p.in_the_middle() ? "in the middle" : "open");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes = fuzz::text_of(data, std::min<std::size_t>(size, 16 * 1024));
    const std::string whole = taken_apart(bytes, std::max<std::size_t>(bytes.size(), 1));
    fuzz::require_equal(whole, taken_apart(bytes, 1), "what is seen at once and byte by byte");
    fuzz::require_equal(whole, taken_apart(bytes, 7), "what is seen at once and in pieces");
    return 0;
}

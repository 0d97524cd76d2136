// The parser of the sample redis_cache: the bytes of one connection. How they are cut into pieces must make no difference.
#include "resp.hpp"

#include <algorithm>

#include "fuzz/fuzz.hpp"

namespace {

constexpr std::size_t max_value = 200;

std::string encoded(const redis_cache::argument_list& command) {
    redis_cache::reply_writer out;
    out.array(command.size());
    for (const std::string& a : command) out.bulk(a);
    return out.text();
}

void check(const redis_cache::argument_list& command) {
    fuzz::require(!command.empty(), "a command has a name");
    fuzz::require(command.size() <= redis_cache::max_arguments, "the arguments are within their limit");
    for (const std::string& a : command) fuzz::require(a.size() <= max_value, "an argument is within its limit");
    redis_cache::command_parser again(max_value);
    again.feed(encoded(command));
    const redis_cache::argument_list* same = again.next();
    fuzz::require(same && *same == command, "a command that is written as an array is read as the same");
    fuzz::require(!again.next(), "nothing comes after it");
}

/// What a server would have seen: the commands, and why it goes on no more, or "open".
std::string served(std::string_view bytes, std::size_t piece) {
    redis_cache::command_parser p(max_value);
    std::string log;
    try {
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
            p.feed(bytes.substr(at, piece));
            while (const redis_cache::argument_list* command = p.next()) {
                check(*command);
                log += encoded(*command);
            }
        }
    } catch (const redis_cache::protocol_error& e) {
        redis_cache::reply_writer out;
        out.error(e.what());
        fuzz::require(out.text().find_first_of("\r\n") == out.text().size() - 2, "an error is one line");
        return log + out.text();
    }
    return log + "open";
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes = fuzz::text_of(data, std::min<std::size_t>(size, 16 * 1024));
    const std::string whole = served(bytes, std::max<std::size_t>(bytes.size(), 1));
    fuzz::require_equal(whole, served(bytes, 1), "what is seen at once and byte by byte");
    fuzz::require_equal(whole, served(bytes, 7), "what is seen at once and in pieces");
    return 0;
}

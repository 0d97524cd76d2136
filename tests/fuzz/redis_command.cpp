// The cache's parser of commands: the bytes of one connection. How they are cut into pieces must make no difference.
#define main redis_cache_main // the sample is one file
#include "../../samples/redis_cache.cpp"
#undef main

#include "fuzz/fuzz.hpp"

namespace {

std::string commands_of(std::string_view bytes, std::size_t piece) {
    constexpr std::size_t max_value = 1000;
    command_parser p(max_value);
    std::string log;
    try {
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
            p.feed(bytes.substr(at, piece));
            while (const argument_list* const command = p.next()) {
                fuzz::require(!command->empty() && command->size() <= max_arguments, "a command has arguments, and not too many");
                for (const std::string& a : *command) {
                    fuzz::require(a.size() <= max_value, "an argument is within its limit");
                    log += std::to_string(a.size()) + ":" + a + " ";
                }
                log += "\n";
            }
        }
    } catch (const protocol_error&) { // which one may depend on what has come
        log += "error";
    }
    return log;
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes = fuzz::text_of(data, std::min<std::size_t>(size, 16 * 1024));
    const std::string whole = commands_of(bytes, std::max<std::size_t>(bytes.size(), 1));
    fuzz::require_equal(whole, commands_of(bytes, 1), "what is seen at once and byte by byte");
    fuzz::require_equal(whole, commands_of(bytes, 7), "what is seen at once and in pieces");
    return 0;
}

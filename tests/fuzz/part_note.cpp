// What an interrupted download has left beside its part: a file that anybody may have written, and half of one after a crash.
#include <string>

#include "../../io/http/src/download.hpp"
#include "fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using eddy::http::detail::part_note;
    constexpr std::string_view version = "eddy-part 1";
    std::string_view text = fuzz::text_of(data, size);
    const part_note n = part_note::parse(text);
    const bool known = fuzz::take_line(text) == version;
    fuzz::require(known || (n.url_hash.empty() && n.validator.empty() && !n.total), "what another version has written means nothing");
    for (const char c : n.validator) fuzz::require(c != '\r' && c != '\n' && c != '\0', "a validator goes into a header");
    fuzz::require(n.validator.empty() || (n.validator.front() != ' ' && n.validator.back() != ' '), "a validator has no blanks around it");
    const std::string written = n.text();
    const part_note again = part_note::parse(written);
    fuzz::require_equal(again.url_hash, n.url_hash, "a note and what it is written as: the address");
    fuzz::require_equal(again.validator, n.validator, "a note and what it is written as: the validator");
    fuzz::require(again.total == n.total, "a note and what it is written as: the size");
    fuzz::require_equal(again.text(), written, "a note and what it is written as");
    return 0;
}

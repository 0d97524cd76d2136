// Content-Range as the HTTP client reads it, and as the sample download does, each with a parser of its own.
#include <optional>
#include <string>

#include "../../io/http/src/content_range.hpp"
#include "answer.hpp"
#include "fuzz/fuzz.hpp"

namespace {

using eddy::http::detail::content_range;

std::string written(const content_range& r) {
    std::string text = "bytes ";
    if (r.first)
        text += std::to_string(*r.first) + "-" + std::to_string(r.last.value_or(0));
    else
        text += "*";
    return text + "/" + (r.total ? std::to_string(*r.total) : "*");
}

void check(const content_range& r) {
    fuzz::require(r.first.has_value() == r.last.has_value(), "a part has a beginning and an end");
    fuzz::require(r.first.has_value() || r.total.has_value(), "something is known");
    if (r.first) fuzz::require(*r.first <= *r.last, "a part begins before it ends");
    if (r.first && r.total) fuzz::require(*r.last < *r.total, "a part lies within its file");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = fuzz::text_of(data, size);
    const std::optional<content_range> r = content_range::parse(text);
    const auto sample = download_manager::parse_content_range(text);
    if (sample) fuzz::require(r && r->first == sample->first && r->last == sample->last && r->total == sample->total, "what the sample reads we read, too");
    if (!r) return 0;
    check(*r);
    const std::string shown = written(*r);
    const std::optional<content_range> again = content_range::parse(shown);
    fuzz::require(again.has_value(), "what is written is read");
    fuzz::require_equal(written(*again), shown, "a range and what it is written as");
    const auto by_sample = download_manager::parse_content_range(shown);
    fuzz::require(by_sample.has_value() == (r->first && r->total), "the sample reads parts of files of known size");
    for (const char c : {' ', '-', '/', '*', '\0'})
        fuzz::require(!content_range::parse(shown + c) && !content_range::parse(c + shown), "nothing may be added");
    return 0;
}

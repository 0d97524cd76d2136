// What the fuzzers share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

/// One run, with any bytes; libFuzzer's entry. It returns 0, or aborts.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace fuzz {

/// What must hold whatever the bytes are.
inline void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "fuzz: this does not hold: %s\n", what);
    std::abort();
}

inline void require_equal(std::string_view a, std::string_view b, const char* what) {
    if (a == b) return;
    std::fprintf(stderr, "fuzz: %s differ:\n%.*s\n---\n%.*s\n", what, static_cast<int>(a.size()), a.data(), static_cast<int>(b.size()), b.data());
    std::abort();
}

[[nodiscard]] inline std::string_view text_of(const std::uint8_t* data, std::size_t size) noexcept {
    return size == 0 ? std::string_view() : std::string_view(reinterpret_cast<const char*>(data), size);
}

/// Takes what comes before the next line feed, or all.
[[nodiscard]] inline std::string_view take_line(std::string_view& rest) noexcept {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return line;
}

/// A number in decimal at the start of a text, modulo 2^64; 0 without one.
[[nodiscard]] inline std::uint64_t number_of(std::string_view text) noexcept {
    std::uint64_t n = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') break;
        n = n * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return n;
}

} // namespace fuzz

#include <eddy/redis/detail/words.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <system_error>

namespace eddy::redis::detail {
namespace {

constexpr std::size_t most_digits = 32; // of any number, in its shortest form

template <class N>
void append_digits(std::string& out, N n) {
    std::array<char, most_digits> text;
    const std::to_chars_result end = std::to_chars(text.data(), text.data() + text.size(), n);
    out.append(text.data(), end.ptr);
}

void append_head(std::string& out, char kind, std::size_t n) {
    out += kind;
    append_digits(out, n);
    out.append("\r\n", 2);
}

template <class N>
void append_number_word(std::string& out, N n) {
    std::array<char, most_digits> text;
    const std::to_chars_result end = std::to_chars(text.data(), text.data() + text.size(), n);
    append_word(out, std::string_view(text.data(), static_cast<std::size_t>(end.ptr - text.data())));
}

} // namespace

void append_array(std::string& out, std::size_t words) {
    append_head(out, '*', words);
}

void append_word(std::string& out, std::string_view word) {
    constexpr std::size_t most = std::size_t{512} << 20; // proto-max-bulk-len
    if (word.size() > most) throw std::length_error("redis: a word of " + std::to_string(word.size()) + " bytes; a server takes 512 MB at most");
    append_head(out, '$', word.size());
    out.append(word).append("\r\n", 2);
}

void append_integer(std::string& out, long long n) {
    append_number_word(out, n);
}
void append_integer(std::string& out, unsigned long long n) {
    append_number_word(out, n);
}

void append_number(std::string& out, double d) {
    if (std::isnan(d)) throw std::invalid_argument("redis: an argument is not a number (NaN)");
    if (std::isinf(d)) return append_word(out, d < 0 ? "-inf" : "+inf");
    append_number_word(out, d);
}

} // namespace eddy::redis::detail

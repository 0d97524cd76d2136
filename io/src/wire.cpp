#include <eddy/wire.hpp>

#include <string>

namespace eddy::wire {

namespace {

constexpr int deepest = 200;
enum class error_family : std::uint8_t { generic, system };

} // namespace

void writer::bytes(std::span<const std::byte> b) {
    out_->insert(out_->end(), b.begin(), b.end());
}

std::span<const std::byte> reader::bytes(std::size_t n, const char* what) {
    if (n > in_.size())
        throw malformed("wire: malformed: " + std::to_string(n) + " " + what + " expected, and " + std::to_string(in_.size()) + " bytes are left");
    const std::span<const std::byte> taken = in_.first(n);
    in_ = in_.subspan(n);
    return taken;
}

std::size_t reader::count(const char* what) {
    const auto n = read<std::uint64_t>();
    if (n > in_.size())
        throw malformed("wire: malformed: " + std::to_string(n) + " " + what + " announced, and " + std::to_string(in_.size()) + " bytes are left");
    return static_cast<std::size_t>(n);
}

void reader::expect_end() const {
    if (!in_.empty()) throw malformed("wire: malformed: " + std::to_string(in_.size()) + " bytes are left over");
}

reader::level::level(reader& r) : reader_(&r) {
    if (r.depth_ == deepest) throw malformed("wire: malformed: more than " + std::to_string(deepest) + " levels of values in values");
    ++r.depth_;
}

namespace detail {

void refuse(const char* what, std::size_t found) {
    throw malformed(std::string("wire: malformed: ") + what + " cannot be " + std::to_string(found));
}

void write_error_code(writer& out, const std::error_code& code) {
    error_family family = error_family::generic;
    if (code.category() == std::system_category())
        family = error_family::system;
    else if (code.category() != std::generic_category())
        throw std::invalid_argument(std::string("wire: an error_code of the category '") + code.category().name() +
                                    "' cannot be sent; the generic and the system category can");
    out.write(family);
    out.write(code.value());
}

std::error_code read_error_code(reader& in) {
    const auto family = in.read<std::uint8_t>();
    if (family > 1) refuse("the category of an error_code", family);
    const int value = in.read<int>();
    return {value, family == 1 ? std::system_category() : std::generic_category()};
}

} // namespace detail

} // namespace eddy::wire

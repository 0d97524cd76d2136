// Values from bytes (<eddy/wire.hpp>): malformed, or a value that is written as the same bytes.
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <eddy/wire.hpp>

#include "fuzz/fuzz.hpp"

namespace {

struct node {
    std::string name;
    std::vector<node> children;
    std::unique_ptr<node> next;
};
auto wire_fields(node& n) { return std::tie(n.name, n.children, n.next); }

using all = std::tuple<bool, std::vector<bool>, std::array<std::optional<std::string>, 2>, std::variant<int, std::monostate, std::string>,
                       std::vector<std::pair<std::uint16_t, double>>, std::error_code, node>;

template <class T>
void there_and_back(std::span<const std::byte> bytes) {
    try {
        const T value = eddy::wire::decode<T>(bytes);
        fuzz::require(std::ranges::equal(eddy::wire::encode(value), bytes), "a value is written as the bytes it was read from");
    } catch (const eddy::wire::malformed& e) {
        fuzz::require(*e.what() != '\0', "an error says what is wrong");
    }
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    there_and_back<all>(bytes);
    there_and_back<node>(bytes);
    there_and_back<std::vector<std::string>>(bytes);
    return 0;
}

// Values as bytes and back.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <eddy/wire.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <filesystem>
#include <ios>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

using namespace eddy;

namespace {

struct flat {
    int a;
    double b;
    friend bool operator==(const flat&, const flat&) = default;
};
struct member_of_family {
    std::string name;
    int age = 0;
    std::vector<member_of_family> children;
    friend bool operator==(const member_of_family&, const member_of_family&) = default;
};
auto wire_fields(member_of_family& m) { return std::tie(m.name, m.age, m.children); }
/// Written by hand: without a default constructor.
class celsius {
public:
    explicit celsius(double d) noexcept : degrees(d) {}
    double degrees;
    friend bool operator==(const celsius&, const celsius&) = default;
};

/// Equal after there and back; and each shorter or longer text of bytes is malformed.
template <class T>
bool survives(const T& value) {
    const std::vector<std::byte> bytes = wire::encode(value);
    if (!(wire::decode<T>(bytes) == value)) return false;
    std::vector<std::byte> longer = bytes;
    longer.push_back(std::byte{0});
    int refused = 0;
    for (std::size_t n = 0; n < bytes.size(); ++n) {
        try {
            static_cast<void>(wire::decode<T>(std::span(bytes).first(n)));
        } catch (const wire::malformed&) {
            ++refused;
        }
    }
    try {
        static_cast<void>(wire::decode<T>(longer));
    } catch (const wire::malformed&) {
        ++refused;
    }
    return refused == static_cast<int>(bytes.size()) + 1;
}

template <class T>
std::string complaint(std::span<const std::byte> bytes) {
    try {
        static_cast<void>(wire::decode<T>(bytes));
    } catch (const wire::malformed& e) {
        return e.what();
    }
    return "none";
}

} // namespace

template <>
struct eddy::wire::codec<celsius> {
    static void write(writer& out, const celsius& c) { out.write(c.degrees); }
    static celsius read(reader& in) { return celsius(in.read<double>()); }
};

TEST_CASE("wire: each kind of type comes back as it was, and no part of its bytes passes for all") {
    CHECK(survives(42));
    CHECK(survives(true));
    CHECK(survives(std::errc::timed_out));
    CHECK(survives(flat{1, 2.5}));
    CHECK(survives(std::string("text\0more", 9)));
    CHECK(survives(std::u16string(u"wide")));
    CHECK(survives(std::vector<int>{1, 2, 3}));
    CHECK(survives(std::vector<bool>{true, false, true}));
    CHECK(survives(std::vector<std::string>{"a", "", "c"}));
    CHECK(survives(std::deque<flat>{{1, 2}}));
    CHECK(survives(std::list<std::string>{"a", "b"}));
    CHECK(survives(std::set<int>{3, 1, 2}));
    CHECK(survives(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}}));
    CHECK(survives(std::multimap<int, int>{{1, 1}, {1, 2}}));
    CHECK(survives(std::unordered_map<int, std::string>{{1, "one"}, {2, "two"}}));
    CHECK(survives(std::array<std::string, 2>{"a", "b"}));
    CHECK(survives(std::pair(1, std::string("one"))));
    CHECK(survives(std::tuple(1, std::string("one"), 2.0)));
    CHECK(survives(std::vector<std::tuple<>>(3)));
    CHECK(survives(std::optional<std::string>()));
    CHECK(survives(std::optional<int>(3)));
    CHECK(survives(std::variant<int, std::monostate, std::string>("third")));
    CHECK(survives(std::make_error_code(std::errc::permission_denied)));
    CHECK(survives(std::filesystem::path("/a/b")));
    CHECK(survives(std::chrono::nanoseconds(7)));
    CHECK(survives(member_of_family{"a", 70, {{"b", 40, {{"c", 10, {}}}}, {"d", 38, {}}}}));
    CHECK(survives(celsius(36.6)));
}

TEST_CASE("wire: a unique_ptr, or none") {
    const std::vector<std::byte> bytes = wire::encode(std::make_unique<int>(3));
    CHECK(*wire::decode<std::unique_ptr<int>>(bytes) == 3);
    CHECK(wire::decode<std::unique_ptr<int>>(wire::encode(std::unique_ptr<int>())) == nullptr);
}

TEST_CASE("wire: views are written like what they show") {
    const std::vector<int> numbers{1, 2};
    CHECK(wire::encode(std::string_view("text")) == wire::encode(std::string("text")));
    CHECK(wire::encode(std::span<const int>(numbers)) == wire::encode(numbers));
}

TEST_CASE("wire: bytes that are none of ours are refused before anything is allocated for them") {
    const std::vector<std::byte> huge = wire::encode(std::uint64_t{1} << 60);
    CHECK(complaint<std::string>(huge) == "wire: malformed: 1152921504606846976 elements announced, and 0 bytes are left");
    CHECK(complaint<std::vector<std::tuple<>>>(huge) == "wire: malformed: 1152921504606846976 elements announced, and 0 bytes are left");
    const std::vector<std::byte> two{std::byte{2}};
    CHECK(complaint<bool>(two) == "wire: malformed: a bool cannot be 2");
    CHECK(complaint<int>(two) == "wire: malformed: 4 bytes expected, and 1 bytes are left");
    CHECK(complaint<std::variant<int, char>>(wire::encode(std::uint32_t{2})) == "wire: malformed: the alternative of a variant cannot be 2");
    std::vector<std::byte> left_over = wire::encode(1);
    left_over.resize(6);
    CHECK(complaint<int>(left_over) == "wire: malformed: 2 bytes are left over");
}

TEST_CASE("wire: values in values end before the stack does") {
    std::vector<std::byte> deep;
    wire::writer out(deep);
    for (int i = 0; i < 1000; ++i) { // a name, an age, and one child
        out.write(std::string());
        out.write(0);
        out.count(1);
    }
    CHECK(complaint<member_of_family>(deep) == "wire: malformed: more than 200 levels of values in values");
}

TEST_CASE("wire: an error_code of a category that is not the same in all processes is not sent") {
    CHECK_THROWS_AS(wire::encode(std::make_error_code(std::io_errc::stream)), std::invalid_argument);
}

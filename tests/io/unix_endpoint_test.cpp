#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <string>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::string_view_literals;

TEST_CASE("a unix_endpoint is a path, an abstract name or nothing") {
    const unix_endpoint file("/tmp/x");
    CHECK(file.path() == "/tmp/x");
    CHECK(!file.is_abstract());
    CHECK(file.size() == 2 + 6 + 1);
    const unix_endpoint abstract("@x");
    CHECK(abstract.path() == "@x");
    CHECK(abstract.is_abstract());
    CHECK(abstract.size() == 2 + 2);
    CHECK(abstract == unix_endpoint("\0x"sv));
    CHECK(unix_endpoint("@x\0y"sv) != abstract);
    CHECK(unix_endpoint("./@x").path() == "./@x");
    CHECK(!unix_endpoint("./@x").is_abstract());
    const unix_endpoint none;
    CHECK(none.empty());
    CHECK(none.path() == "");
    CHECK(none.to_string() == "a socket without a name");
    CHECK(none != file);
}

TEST_CASE("what cannot be the name of a Unix-domain socket is refused with the reason") {
    const auto of = [](std::string_view path) { return words::of_call([&] { return unix_endpoint(path); }); };
    CHECK(of(std::string(107, 'x')) == "ok");
    CHECK(of(std::string(108, 'x')).ends_with("108 bytes, at most 107 are possible; a relative path may be shorter"));
    CHECK(of("@" + std::string(107, 'x')) == "ok");
    CHECK(of("@" + std::string(108, 'x')).find("108 bytes") != std::string::npos);
    CHECK(of("") == "the path of a Unix-domain socket must not be empty");
    CHECK(of("a\0b"sv) == "the path of a Unix-domain socket must not contain '\\0', except in front, for an abstract name");
}

#include "event_message.hpp"

#include <string>

#include "catch.hpp"

using namespace jobs_dashboard;

namespace {

/// The types of the events in a message.
std::string types_in(std::string_view message) {
    std::string all;
    for (const auto& e : read_events(message)) all += e["type"].get<std::string>() + " ";
    return all;
}

} // namespace

TEST_CASE("base64") {
    CHECK(decode_base64("") == "");
    CHECK(decode_base64("Zg==") == "f");
    CHECK(decode_base64("Zm8=") == "fo");
    CHECK(decode_base64("Zm9v") == "foo");
    CHECK(decode_base64("Zm9vYg") == "foob");
    CHECK_FALSE(decode_base64("Z"));
    CHECK_FALSE(decode_base64("Zm9v!A=="));
}

TEST_CASE("one event, and several together") {
    // {"type":"worker-online"}
    CHECK(types_in(R"({"body":"eyJ0eXBlIjoid29ya2VyLW9ubGluZSJ9","properties":{"body_encoding":"base64"}})") == "worker-online ");
    CHECK(types_in(R"({"body":"{\"type\":\"a\"}","properties":{}})") == "a ");
    CHECK(types_in(R"({"body":"[{\"type\":\"a\"},{\"type\":1},7,{\"type\":\"b\"}]"})") == "a b ");
}

TEST_CASE("what is no event is none") {
    for (const char* message : {"", "x", "[]", "{}", R"({"body":1})", R"({"body":"x"})", R"({"body":"7"})", R"({"body":"{}"})",
                                R"({"body":"!","properties":{"body_encoding":"base64"}})", R"({"body":"{\"type\":\"a\"}","properties":{"body_encoding":"base64"}})"})
        CHECK(types_in(message).empty());
    const std::string large = R"({"body":"{\"type\":\"a\",\"x\":\")" + std::string(std::size_t{5} << 20, 'x') + R"(\"}"})";
    CHECK(types_in(large).empty());
}

TEST_CASE("the channels of a database") {
    CHECK(event_channels("redis://127.0.0.1:6379/0", "") == "/0.celeryev/*");
    CHECK(event_channels("redis://h:1/12", "app:") == "app:/12.celeryev/*");
    CHECK(event_channels("unix:///run/redis.sock?db=3", "a*[b]") == "a\\*\\[b\\]/3.celeryev/*");
}

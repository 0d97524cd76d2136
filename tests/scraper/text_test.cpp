#include "charset.hpp"
#include "text.hpp"

#include "catch.hpp"

using namespace scraper;
using namespace std::string_literals;

TEST_CASE("valid UTF-8 is recognised") {
    CHECK(is_valid_utf8(""));
    CHECK(is_valid_utf8("abc é 漢 😀"));
    CHECK(is_valid_utf8("\xF4\x8F\xBF\xBF"));
    for (const char* bad : {"\x80", "\xC3", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                            "\xF5\x80\x80\x80", "\xFF", "a\xE2\x82"}) {
        CHECK_FALSE(is_valid_utf8(bad));
    }
}

TEST_CASE("invalid bytes are replaced, what is around them stays") {
    CHECK(to_valid_utf8("a\xFF"
                        "b") == "a\uFFFDb");
    CHECK(to_valid_utf8("\xE2\x82"
                        "b") == "\uFFFDb");
    CHECK(to_valid_utf8("\xC3") == "\uFFFD");
    CHECK(to_valid_utf8("a\0b"s) == "a\uFFFDb");
    CHECK(to_valid_utf8("é漢😀") == "é漢😀");
}

TEST_CASE("words and characters are counted") {
    const auto words = [](std::string_view text) { return count(text).words; };
    CHECK(words("") == 0);
    CHECK(words("one two  three") == 3);
    CHECK(words("don't stop – it's l’été") == 4);
    CHECK(words("Größe: 42 cm, x=3.") == 5);
    CHECK(words("привет мир") == 2);
    CHECK(words("漢字かな") == 4);
    CHECK(words("  … !  ") == 0);
    CHECK(words("rock 'n' roll") == 3);
    CHECK(count("  a \n\t b  ").characters == 3);
    CHECK(count("é漢😀").characters == 3);
    CHECK(count(" \n ").characters == 0);
}

TEST_CASE("white space is collapsed") {
    CHECK(collapse_white_space(" a\n\t b\u00A0\u3000c ") == "a b c");
    CHECK(collapse_white_space("\n") == "");
}

TEST_CASE("the charset comes from the header, the page or the bytes") {
    const auto charset = [](std::string_view bytes, std::string_view header) {
        return decode_html(bytes, header).charset;
    };
    CHECK(charset("x", "text/html; charset=UTF-8") == "utf-8");
    CHECK(charset("x", "text/html; charset=\"ISO-8859-1\"") == "windows-1252");
    CHECK(charset("x", "text/html;charset=koi8-r; x=y") == "koi8-r");
    CHECK(charset("<meta charset=iso-8859-15>", "text/html") == "iso-8859-15");
    CHECK(charset("<META http-equiv='Content-Type' content='text/html; CHARSET = shift_jis'>", "") == "shift_jis");
    CHECK(charset("<meta name=x content=y><meta charset='utf-8'>", "") == "utf-8");
    CHECK(charset("<meta charset=utf-16>x", "") == "utf-8");
    CHECK(charset("x", "") == "utf-8");
    CHECK(charset("caf\xE9", "") == "windows-1252");
    CHECK(charset("x", "text/html; charset=no-such-thing") == "utf-8");
    CHECK(charset("\xEF\xBB\xBFx", "text/html; charset=koi8-r") == "utf-8");
}

TEST_CASE("text is converted to UTF-8") {
    CHECK(decode_html("caf\xE9", "text/html; charset=ISO-8859-1").text == "café");
    CHECK(decode_html("caf\xE9", "").text == "café");
    CHECK(decode_html("\x93quoted\x94", "text/html; charset=latin1").text == "“quoted”");
    CHECK(decode_html("caf\xC3\xA9", "").text == "café");
    CHECK(decode_html("\xD0\xD2\xC9\xD7\xC5\xD4", "text/html; charset=koi8-r").text == "привет");
    CHECK(decode_html("\xFF\xFE\x61\x00\xE9\x00"s, "").text == "aé");
    CHECK(decode_html("\xEF\xBB\xBF"
                      "a",
                      "")
              .text == "a");
}

TEST_CASE("bytes that a declared charset does not allow are replaced") {
    CHECK(decode_html("a\xFFz", "text/html; charset=utf-8").text == "a\uFFFDz");
    CHECK(decode_html("a\x81z", "text/html; charset=windows-1252").text == "a\uFFFDz");
    CHECK(decode_html("\xFE\xFF\x00\x61\x00"s, "").text == "a\uFFFD");
    CHECK(decode_html("a\0z"s, "text/html; charset=utf-8").text == "a\uFFFDz");
}

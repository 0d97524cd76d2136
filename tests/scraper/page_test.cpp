#include "page.hpp"

#include "catch.hpp"

using namespace scraper;
using namespace std::string_literals;

namespace {

page_content parse(const std::string& html, const std::string& content_type = "text/html; charset=utf-8",
                   const char* address = "http://example.org/dir/page") {
    return parse_page(html, content_type, parse_url(address));
}

std::string links(const std::string& html) {
    std::string all;
    for (const page_link& l : parse(html).links)
        all += (all.empty() ? "" : " ") + l.target.text + (l.nofollow ? " (nofollow)" : "");
    return all;
}

} // namespace

TEST_CASE("the title") {
    CHECK(parse("<title> A\n tale &amp; more </title>").title == "A tale & more");
    CHECK(parse("<html><head><title>First</title></head><body><svg><title>Second</title></svg></body>").title ==
          "First");
    CHECK(parse("<p>no title</p>").title == "");
    CHECK(parse("<title>un<b>closed").title.find("un") == 0);
}

TEST_CASE("text counts without what readers do not see") {
    const page_content p = parse("<title>t</title><style>x y</style><body><script>var a;</script><p>one "
                                 "<b>t</b>wo<td>three<br>four</p><!-- five --></body>");
    CHECK(p.text.words == 4);
    CHECK(p.text.characters == std::string("one two three four").size());
}

TEST_CASE("entities are characters") {
    CHECK(parse("<p>caf&eacute;&nbsp;&#x1F600;</p>").text.characters == 6);
}

TEST_CASE("links are absolute, once each, in order") {
    CHECK(links("<a href=b>1</a><a href='/c#x'>2</a><a href='../dir/b'>3</a><a name=x>no</a>") ==
          "http://example.org/dir/b http://example.org/c");
    CHECK(links("<map><area href='http://other.org/'></map><iframe src=f></iframe>") ==
          "http://other.org/ http://example.org/dir/f");
    CHECK(links("<a href='mailto:x@y'>1</a><a href='javascript:f()'>2</a><a href='http://['>3</a>") == "");
    CHECK(links("<a href='a&amp;b?x=1&y=2'>1</a>") == "http://example.org/dir/a&b?x=1&y=2");
}

TEST_CASE("the first base counts") {
    CHECK(links("<base href='/other/'><base href='/third/'><a href=x>1</a>") == "http://example.org/other/x");
    CHECK(links("<base target=_top><base href='http://b.org/'><a href=x>1</a>") == "http://b.org/x");
}

TEST_CASE("nofollow is kept") {
    CHECK(links("<a rel='noopener NoFollow' href=a>1</a><a rel=nofollower href=b>2</a>") ==
          "http://example.org/dir/a (nofollow) http://example.org/dir/b");
    CHECK(links("<meta name=Robots content='noindex, nofollow'><a href=a>1</a>") ==
          "http://example.org/dir/a (nofollow)");
}

TEST_CASE("other charsets are read, and whatever comes the text is valid") {
    CHECK(parse("<title>caf\xE9</title>", "text/html; charset=iso-8859-1").title == "café");
    CHECK(parse("<meta charset=iso-8859-1><title>caf\xE9</title>", "text/html").title == "café");
    CHECK(parse("<title>caf\xE9</title>", "").title == "café");
    CHECK(parse("<title>caf\xE9 \xFF</title><a href=b>x</a>").title == "caf\uFFFD \uFFFD");
    CHECK(parse("<meta charset=koi8-r><title>é</title>").title == "é"); // the header is stronger
}

TEST_CASE("broken pages are read as far as they go") {
    CHECK(parse("").links.empty());
    CHECK(parse("\0\0\0"s).title == "");
    CHECK(parse("<").text.words == 0);
    CHECK(links("<a href=a><a href=b><td></p></html><a href=c") != "");
    CHECK(parse("<title>a\0b</title><p>c"s).text.words == 1);
    CHECK(parse("just text").text.words == 2);
}

TEST_CASE("a deeply nested page does not overflow the stack") {
    std::string html;
    for (int i = 0; i < 200'000; ++i) html += "<div>";
    CHECK(parse("<title>t</title>" + html + "x").title == "t");
}

// Downloads into files: from the start, from where they were interrupted, and what they leave.
#include "http/peer.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include <eddy/fs.hpp>

#include "lib/full_disk.hpp"
#include "lib/words.hpp"

using namespace http_tests;
using http::error_kind;

namespace {

/// What a server stores, with an ETag, and ranges of it. `asked` notes the ranges.
class store {
public:
    std::string content = "0123456789";
    std::string etag = "\"v1\"";
    std::string asked;
    bool ranges = true;      // it knows ranges
    bool conditions = true;  // it knows If-Range
    bool breaks_off = false; // after four bytes
    std::size_t most = std::string::npos; // bytes of a range that it gives at once
    int changes_after = 0;   // so many answers, if it is not 0: then it is another file

    task<http::response> answer(http::request q) {
        const std::string range = q.header("Range");
        asked += "[" + range + (q.header("If-Range").empty() ? "" : " if " + q.header("If-Range")) + "]";
        if (changes_after > 0 && --changes_after == 0) {
            content = "abcdefghij";
            etag = "\"v2\"";
        }
        http::response r = part(range, q.header("If-Range"));
        if (!etag.empty()) r.set("ETag", etag);
        if (breaks_off) r.truncate_after(4);
        co_return r;
    }

private:
    http::response part(const std::string& range, const std::string& condition) const {
        const bool same = !conditions || condition.empty() || condition == etag;
        if (range.empty() || !ranges || !same) return http::response{200, content};
        const auto from = static_cast<std::size_t>(std::stoul(range.substr(6)));
        const std::string size = std::to_string(content.size());
        if (from >= content.size()) return http::response(416).set("Content-Range", "bytes */" + size);
        const std::string given = content.substr(from, most);
        return http::response{206, given}.set(
            "Content-Range", "bytes " + std::to_string(from) + "-" + std::to_string(from + given.size() - 1) + "/" + size);
    }
};

/// A server with a store, a client, and a folder to download to.
class download_rig {
public:
    store s;
    http::server hs{[this](http::request q) { return s.answer(std::move(q)); }};
    http::client hc;
    temp_directory folder;

    task<> prepare() {
        folder = co_await temp_directory::create();
        co_await hs.listen({"127.0.0.1", 0});
    }
    [[nodiscard]] std::string path() const { return folder.path() + "/file"; }
    task<http::download_result> download(http::download_options options = {}) { return hc.download(hs.url("/d"), path(), options); }
    /// A first attempt, which gets four bytes.
    task<> break_off() {
        s.breaks_off = true;
        co_await kind_of_failure(download());
        s.breaks_off = false;
        s.asked.clear();
    }
    /// The names in the folder, and what is in the file.
    task<std::string> left() {
        std::string names;
        std::vector<fs::entry> entries = co_await fs::list(folder.path());
        std::vector<std::string> sorted;
        for (const fs::entry& e : entries) sorted.push_back(e.path().filename().string());
        std::sort(sorted.begin(), sorted.end());
        for (const std::string& n : sorted) names += n + " ";
        for (const char* const which : {"", ".part"}) {
            const bool there = co_await fs::exists(path() + which);
            if (!there) continue;
            const std::string text = co_await read_file(path() + which);
            names += "<" + text + ">";
        }
        co_return names;
    }
};

} // namespace

EDDY_TEST("a download is a file when all of it is there, and nothing else is left") {
    download_rig d;
    co_await d.prepare();
    co_await write_file(d.path(), "old");
    http::download_progress progress;
    const http::download_result r = co_await d.download({.progress = &progress});
    CHECK(r.size == 10);
    CHECK(r.resumed_from == 0);
    CHECK(r.url == d.hs.url("/d"));
    CHECK(r.headers.get("ETag") == "\"v1\"");
    const std::string left = co_await d.left();
    CHECK(left == "file <0123456789>");
    CHECK(d.s.asked == "[]");
    CHECK((progress.received == 10 && progress.total == 10U && progress.resumed_from == 0));
}

EDDY_TEST("a download that broke off goes on where it was") {
    download_rig d;
    co_await d.prepare();
    d.s.breaks_off = true;
    const std::optional<error_kind> kind = co_await kind_of_failure(d.download());
    CHECK(kind == error_kind::truncated);
    const std::string between = co_await d.left();
    CHECK(between == "file.part file.part.note <0123>");
    d.s.breaks_off = false;
    http::download_progress progress;
    const http::download_result r = co_await d.download({.progress = &progress});
    CHECK((r.size == 10 && r.resumed_from == 4));
    CHECK((progress.received == 10 && progress.total == 10U && progress.resumed_from == 4));
    const std::string left = co_await d.left();
    CHECK(left == "file <0123456789>");
    CHECK(d.s.asked == "[][bytes=4- if \"v1\"]");
}

EDDY_TEST("a file that has changed is downloaded from its start") {
    download_rig d;
    co_await d.prepare();
    std::string log;
    for (const bool conditions : {true, false}) {
        co_await d.break_off();
        d.s.content = "abcdefghij";
        d.s.etag = "\"v2\"";
        d.s.conditions = conditions; // else it sends the rest of the wrong one
        const http::download_result r = co_await d.download();
        CHECK(r.resumed_from == 0);
        const std::string left = co_await d.left();
        log += d.s.asked + left + "\n";
        co_await fs::remove(d.path());
        d.s = store();
    }
    CHECK(log == "[bytes=4- if \"v1\"]file <abcdefghij>\n[bytes=4- if \"v1\"][]file <abcdefghij>\n");
}

EDDY_TEST("a server without ranges, or without a strong validator, sends all of it again") {
    download_rig d;
    co_await d.prepare();
    d.s.ranges = false;
    co_await d.break_off();
    const http::download_result whole = co_await d.download();
    CHECK((whole.size == 10 && whole.resumed_from == 0));
    CHECK(d.s.asked == "[bytes=4- if \"v1\"]");
    d.s.ranges = true;
    for (const char* const weak : {"", "W/\"v1\""}) {
        d.s.etag = weak;
        co_await d.break_off();
        const http::download_result again = co_await d.download();
        CHECK((again.size == 10 && again.resumed_from == 0));
        CHECK(d.s.asked == "[]");
    }
    d.s = store();
    co_await d.break_off();
    const http::download_result asked_to = co_await d.download({.resume = false});
    CHECK(asked_to.resumed_from == 0);
    CHECK(d.s.asked == "[]");
    const std::string left = co_await d.left();
    CHECK(left == "file <0123456789>");
}

EDDY_TEST("the part of another address is not continued") {
    download_rig d;
    co_await d.prepare();
    co_await d.break_off();
    const http::download_result r = co_await d.hc.download(d.hs.url("/other"), d.path());
    CHECK(r.resumed_from == 0);
    CHECK(d.s.asked == "[]");
}

EDDY_TEST("a note that somebody has spoilt continues nothing") {
    download_rig d;
    co_await d.prepare();
    const std::string good = "if-range \"v1\"\n";
    for (const char* const spoilt : {"", "other", "eddy-part 1\n", "if-range \"v1\"\r\n", "if-range \n"}) {
        INFO(spoilt);
        co_await d.break_off();
        std::string text = co_await read_file(d.path() + ".part.note");
        const std::size_t at = text.find(good);
        CHECK(at != std::string::npos);
        if (std::string_view(spoilt).starts_with("if-range"))
            text.replace(at, good.size(), spoilt);
        else
            text = spoilt;
        co_await write_file(d.path() + ".part.note", text);
        const http::download_result r = co_await d.download();
        CHECK((r.size == 10 && r.resumed_from == 0));
        CHECK(d.s.asked == "[]");
    }
}

EDDY_TEST("a part that is complete becomes the file, one that is too long is thrown away") {
    download_rig d;
    co_await d.prepare();
    co_await d.break_off();
    co_await write_file(d.path() + ".part", "0123456789");
    const http::download_result r = co_await d.download();
    CHECK((r.size == 10 && r.resumed_from == 10));
    CHECK(d.s.asked == "[bytes=10- if \"v1\"]");
    co_await d.break_off();
    co_await write_file(d.path() + ".part", "0123456789?");
    const http::download_result anew = co_await d.download();
    CHECK((anew.size == 10 && anew.resumed_from == 0));
    CHECK(d.s.asked == "[bytes=11- if \"v1\"][]");
    const std::string left = co_await d.left();
    CHECK(left == "file <0123456789>");
}

EDDY_TEST("an error status is an error of the download, and touches no file") {
    temp_directory folder = co_await temp_directory::create();
    http::server hs{[](http::request) -> task<http::response> { co_return http::response{404, "not here"}; }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const std::string path = folder.path() + "/file";
    co_await write_file(path, "old");
    std::string message;
    int status = 0;
    try {
        co_await hc.download(hs.url(), path);
    } catch (const http::error& e) {
        message = e.what();
        status = e.status();
        CHECK(e.kind() == error_kind::bad_status);
    }
    CHECK(message == "GET " + hs.url() + " failed: unexpected status: 404 Not Found");
    CHECK(status == 404);
    const std::string old = co_await read_file(path);
    const bool part = co_await fs::exists(path + ".part");
    CHECK(old == "old");
    CHECK_FALSE(part);
}

EDDY_TEST("a download writes through no symbolic link") {
    download_rig d;
    co_await d.prepare();
    const std::string victim = d.folder.path() + "/victim";
    for (const char* const link : {".part", ".part.note"}) {
        co_await write_file(victim, "precious");
        std::filesystem::create_symlink("victim", d.path() + link);
        bool refused = false;
        try {
            co_await d.download();
        } catch (const std::system_error& e) {
            refused = e.code() == std::errc::too_many_symbolic_link_levels;
        }
        CHECK(refused);
        const std::string text = co_await read_file(victim);
        CHECK(text == "precious");
        std::filesystem::remove(d.path() + link);
    }
}

EDDY_TEST("a cancelled download leaves its part, and is continued by the next one") {
    temp_directory folder = co_await temp_directory::create();
    const std::string path = folder.path() + "/file";
    peer p;
    http::client hc;
    http::download_progress progress;
    auto first = spawn(hc.download(p.url(), path, {.progress = &progress}));
    co_await p.take_request();
    co_await p.send("HTTP/1.1 200 OK\r\nETag: \"v\"\r\nContent-Length: 10\r\n\r\n01234");
    while (progress.received < 5) co_await sleep_for(1ms);
    const std::string second = co_await words::ending(hc.download(p.url(), path));
    CHECK(second == "'" + path + ".part' is being written by another download");
    co_await first.cancel_and_join();
    CHECK(first.cancelled());
    CHECK(hc.active() == 0);
    const std::string part = co_await read_file(path + ".part");
    CHECK(part == "01234");
    auto next = spawn(hc.download(p.url(), path));
    const std::string head = co_await p.take_request();
    CHECK(head.find("Range: bytes=5-\r\n") != std::string::npos);
    CHECK(head.find("If-Range: \"v\"\r\n") != std::string::npos);
    CHECK(head.find("Accept-Encoding: identity\r\n") != std::string::npos);
    co_await p.send("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\n56789");
    const http::download_result r = co_await next;
    CHECK((r.size == 10 && r.resumed_from == 5));
    const std::string all = co_await read_file(path);
    CHECK(all == "0123456789");
}

EDDY_TEST("a download cancelled at any moment can be done again") {
    download_rig d;
    co_await d.prepare();
    d.s.content = std::string(1'000'000, 'x');
    for (int ticks = 0; ticks < 60; ++ticks) {
        auto h = spawn(d.download());
        for (int i = 0; i < ticks && !h.done(); ++i) co_await this_task::yield();
        co_await h.cancel_and_join();
    }
    const http::download_result r = co_await d.download();
    CHECK(r.size == 1'000'000);
    const std::string all = co_await read_file(d.path());
    CHECK((all == d.s.content));
    const bool part = co_await fs::exists(d.path() + ".part");
    CHECK_FALSE(part);
}

EDDY_TEST("a date continues a download if it is older than its answer") {
    temp_directory folder = co_await temp_directory::create();
    const std::string path = folder.path() + "/file";
    peer p;
    http::client hc;
    const std::string date = "Sun, 06 Nov 1994 08:49:37 GMT";
    std::string log;
    for (const char* const sent : {"Sun, 06 Nov 1994 08:49:38 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"}) {
        for (int attempt = 0; attempt < 2; ++attempt) {
            auto running = spawn(kind_of_failure(hc.download(p.url(), path)));
            const std::string head = co_await p.take_request();
            log += raw_connection::count(head, "If-Range: " + date) == 1 ? "if " : "whole ";
            co_await p.send("HTTP/1.1 200 OK\r\nLast-Modified: " + date + "\r\nDate: " + sent + "\r\nContent-Length: 9\r\n\r\n0123");
            co_await p.hang_up();
            co_await running;
        }
    }
    CHECK(log == "whole if if whole ");
}

EDDY_TEST("a server that gives less of the rest than it is asked for is asked for what follows, and all of it is kept") {
    download_rig d;
    co_await d.prepare();
    co_await d.break_off();
    d.s.most = 2;
    http::download_progress progress;
    const http::download_result r = co_await d.download({.progress = &progress});
    CHECK((r.size == 10 && r.resumed_from == 4));
    CHECK((progress.received == 10 && progress.total == 10U && progress.resumed_from == 4));
    CHECK(r.headers.get("Content-Range") == "bytes 8-9/10");
    CHECK(d.s.asked == "[bytes=4- if \"v1\"][bytes=6- if \"v1\"][bytes=8- if \"v1\"]");
    const std::string left = co_await d.left();
    CHECK(left == "file <0123456789>");
}

EDDY_TEST("a file that changes between two pieces of its rest is downloaded from its start") {
    download_rig d;
    co_await d.prepare();
    std::string log;
    for (const bool conditions : {true, false}) {
        co_await d.break_off();
        d.s.most = 2;
        d.s.changes_after = 2;
        d.s.conditions = conditions; // else it sends a piece of the wrong one
        const http::download_result r = co_await d.download();
        CHECK((r.size == 10 && r.resumed_from == 0));
        const std::string left = co_await d.left();
        log += d.s.asked + left + "\n";
        co_await fs::remove(d.path());
        d.s = store();
    }
    const std::string asked = "[bytes=4- if \"v1\"][bytes=6- if \"v1\"]";
    CHECK(log == asked + "file <abcdefghij>\n" + asked + "[]file <abcdefghij>\n");
}

EDDY_TEST("a piece of the rest that breaks off is kept as far as it came, one with more bytes than it has announced is not") {
    temp_directory folder = co_await temp_directory::create();
    const std::string path = folder.path() + "/file";
    peer p;
    http::client hc;
    struct step {
        std::string_view answer;
        std::string_view asked;
        error_kind kind;
        std::string_view part;
    };
    constexpr std::string_view head = "HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes ";
    const std::array<step, 4> steps{{
        {"4-7/10\r\n\r\n2\r\n45\r\n0\r\n\r\n", "bytes=4-", error_kind::truncated, "012345"},
        {"6-7/10\r\n\r\n3\r\n67?\r\n0\r\n\r\n", "bytes=6-", error_kind::protocol, "012345"},
        {"6-9/10\r\n\r\n2\r\n67\r\n3\r\n89?\r\n0\r\n\r\n", "bytes=6-", error_kind::protocol, "012345"},
        {"6-8/10\r\n\r\n1\r\n6\r\n", "bytes=6-", error_kind::truncated, "0123456"},
    }};
    auto first = spawn(kind_of_failure(hc.download(p.url(), path)));
    co_await p.take_request();
    co_await p.send("HTTP/1.1 200 OK\r\nETag: \"v\"\r\nContent-Length: 10\r\n\r\n0123");
    co_await p.hang_up();
    co_await first;
    for (const step& s : steps) {
        INFO(s.answer);
        auto running = spawn(kind_of_failure(hc.download(p.url(), path)));
        const std::string asked = co_await p.take_request();
        CHECK(raw_connection::count(asked, "Range: " + std::string(s.asked) + "\r\n") == 1);
        co_await p.send(std::string(head) + std::string(s.answer));
        co_await p.hang_up();
        const std::optional<error_kind> kind = co_await running;
        CHECK(kind == s.kind);
        const std::string part = co_await read_file(path + ".part");
        CHECK(part == s.part);
    }
}

EDDY_TEST("a rest that may be of another file, or of one whose end nobody knows, is not appended") {
    temp_directory folder = co_await temp_directory::create();
    const std::string path = folder.path() + "/file";
    peer p;
    http::client hc;
    const std::string date = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    const std::string whole = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 09:00:00 GMT\r\nTransfer-Encoding: chunked\r\n";
    const std::string changed = "Last-Modified: Mon, 07 Nov 1994 08:49:37 GMT\r\n";
    const std::array<std::string, 4> rests{changed + "Content-Range: bytes 4-5/6\r\n", date + "Content-Range: bytes 4-5/*\r\n",
                                           date + "Content-Range: bytes 3-5/6\r\n", date};
    for (const std::string& rest : rests) {
        INFO(rest);
        auto first = spawn(kind_of_failure(hc.download(p.url(), path)));
        co_await p.take_request();
        co_await p.send(whole + date + "\r\n4\r\n0123\r\n");
        co_await p.hang_up();
        co_await first;
        auto second = spawn(hc.download(p.url(), path));
        const std::string asked = co_await p.take_request();
        CHECK(raw_connection::count(asked, "Range: bytes=4-\r\n") == 1);
        co_await p.send("HTTP/1.1 206 Partial Content\r\nContent-Length: 9\r\n" + rest + "\r\nxx");
        const std::string again = co_await p.take_request();
        CHECK(raw_connection::count(again, "Range: ") == 0);
        co_await p.send(whole + date + "\r\n6\r\nabcdef\r\n0\r\n\r\n");
        const http::download_result r = co_await second;
        CHECK((r.size == 6 && r.resumed_from == 0));
        const std::string text = co_await read_file(path);
        CHECK(text == "abcdef");
        co_await p.hang_up(); // the next request comes on a connection of its own
    }
}

EDDY_TEST("what a download cannot do it says") {
    download_rig d;
    co_await d.prepare();
    const std::array<http::header, 1> range{http::header("range", "bytes=1-2")};
    CHECK_THROWS_AS(d.download({.request = {.headers = range}}), std::invalid_argument);
    bool named = false;
    try {
        co_await d.hc.download(d.hs.url(), d.folder.path() + "/none/file");
    } catch (const std::system_error& e) {
        named = e.code() == std::errc::no_such_file_or_directory;
    }
    CHECK(named);
    co_await fs::create_directory(d.path());
    named = false;
    try {
        co_await d.download();
    } catch (const std::system_error& e) {
        named = e.code() == std::errc::is_a_directory;
    }
    CHECK(named);
    const std::string part = co_await read_file(d.path() + ".part");
    CHECK(part == "0123456789");
    const http::download_options small{.request = {.max_body = 5}, .resume = false};
    const std::optional<error_kind> kind = co_await kind_of_failure(d.hc.download(d.hs.url(), d.path(), small));
    CHECK(kind == error_kind::too_large);
}

EDDY_TEST("a download to a disk that is full: the part stays, the file is as it was, and there is room later for the rest") {
    download_rig d;
    co_await d.prepare();
    d.s.content.clear();
    for (int i = 0; d.s.content.size() < 300'000; ++i) d.s.content += std::to_string(i) + "\n";
    co_await write_file(d.path(), std::string("old"));
    std::string end;
    {
        const tests::full_disk disk(100'000);
        end = co_await words::ending(d.download());
    }
    CHECK(end == "cannot write '" + d.path() + ".part': File too large");
    std::string text = co_await read_file(d.path());
    CHECK(text == "old");
    text = co_await read_file(d.path() + ".part");
    CHECK(!text.empty());
    CHECK(d.s.content.starts_with(text));
    d.s.asked.clear();
    const http::download_result r = co_await d.download();
    CHECK(r.resumed_from == text.size());
    CHECK(d.s.asked == "[bytes=" + std::to_string(text.size()) + "- if \"v1\"]");
    const std::string whole = co_await read_file(d.path());
    CHECK((whole == d.s.content));
}

namespace {

/// Three downloads: one breaks off, one goes on with its part, one comes to nothing.
task<std::string> downloads_and_what_is_left() {
    download_rig d;
    co_await d.prepare();
    co_await d.break_off();
    const http::download_result r = co_await d.download();
    CHECK(r.resumed_from == 4);
    const std::string left = co_await d.left();
    const std::string none = co_await words::ending(d.hc.download(d.hs.url("/d"), d.folder.path() + "/no/folder"));
    CHECK(none.find("No such file or directory") != std::string::npos);
    co_return left;
}

} // namespace

TEST_CASE("debug mode: a download closes what it has written, and has nothing to report, be the file whole or a part that is kept") {
    for (const engine_kind engine : testing::engines()) {
        std::string reports;
        event_loop loop(loop_options{.debug = true, .engine = engine});
        loop.set_exception_handler([&](const error_context& c) { reports += std::string(c.message) + "\n"; });
        const std::string left = loop.run_until_complete(downloads_and_what_is_left());
        loop.close();
        CHECK(left == "file <0123456789>");
        CHECK(reports.find("was written and dropped") == std::string::npos);
    }
}

EDDY_TEST("a download leaves the workers alone that are there to compute") {
    download_rig d;
    co_await d.prepare();
    co_await d.break_off();
    co_await d.download();
    CHECK(this_loop().default_pool().threads() == 0);
}

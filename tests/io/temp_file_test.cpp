#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>

#include "io/blocked_pool.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

bool there(const std::string& path) {
    return std::filesystem::exists(std::filesystem::symlink_status(path));
}

std::size_t entries(const std::string& folder) {
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(folder)) ++n;
    return n;
}

mode_t permissions_of(const std::string& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}

} // namespace

EDDY_TEST("a temporary file is there for its user only, and goes with its object") {
    temporary_folder folder;
    const std::string place = folder.file("");
    std::string path;
    {
        temp_file t = co_await temp_file::create({.directory = place, .prefix = "in-", .suffix = ".csv"});
        path = t.path();
        CHECK(path.starts_with(place + "/in-"));
        CHECK(path.ends_with(".csv"));
        CHECK(permissions_of(path) == 0600);
        CHECK((::fcntl(t.file().native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
        co_await t.file().write("a,b"sv);
        std::string got = co_await read_file(path);
        CHECK(got == "a,b");
        temp_file moved = std::move(t);
        CHECK(t.path() == "");
        CHECK(moved.path() == path);
        CHECK(there(path));
    }
    CHECK(!there(path));
}

EDDY_TEST("temporary files are made where TMPDIR says, under different names") {
    temp_file a = co_await temp_file::create();
    temp_file b = co_await temp_file::create();
    CHECK(a.path() != b.path());
    CHECK(std::filesystem::equivalent(std::filesystem::path(a.path()).parent_path(), std::filesystem::temp_directory_path()));
    co_await a.remove();
    co_await b.remove();
}

EDDY_TEST("a temporary file that is removed is closed and gone; twice does no harm") {
    temporary_folder folder;
    const std::string place = folder.file("");
    temp_file t = co_await temp_file::create({.directory = place});
    const int fd = t.file().native_handle();
    co_await t.file().write("x"sv);
    co_await t.remove();
    CHECK(!descriptor_is_open(fd));
    CHECK(entries(place) == 0);
    CHECK(t.path() == "");
    CHECK(!t.file().is_open());
    co_await t.remove();
    temp_file gone = co_await temp_file::create({.directory = place});
    ::unlink(gone.path().c_str());
    co_await gone.remove(); // somebody else has done it
}

EDDY_TEST("R13 F-10 a temporary file is removed in a cancelled scope, and if its close fails") {
    temporary_folder folder;
    const std::string place = folder.file("");
    temp_file t = co_await temp_file::create({.directory = place});
    std::string log;
    const auto body = [&](cancel_scope& s) -> task<> {
        s.cancel();
        log = co_await words::ending(t.remove());
    };
    co_await with_scope(body);
    CHECK(log == "cancelled");
    CHECK(entries(place) == 0);

    temp_file bad = co_await temp_file::create({.directory = place});
    const std::string path = bad.path();
    ::close(bad.file().native_handle());
    log = co_await words::ending(bad.remove());
    CHECK(log == "closing '" + path + "': Bad file descriptor");
    CHECK(entries(place) == 0);
}

EDDY_TEST("a temporary file can be kept under another name; that is no longer removed") {
    temporary_folder folder;
    const std::string place = folder.file("");
    const std::string kept = folder.file("kept");
    {
        temp_file t = co_await temp_file::create({.directory = place});
        co_await t.file().write("result"sv);
        std::string end = co_await words::ending(t.keep("/no/such/folder/x"));
        CHECK(end == "cannot rename '" + t.path() + "' to '/no/such/folder/x': No such file or directory");
        CHECK(there(t.path()));
        CHECK(!t.file().is_open());
        co_await t.keep(kept);
        CHECK(t.path() == "");
        CHECK(!t.file().is_open());
        end = co_await words::ending(t.keep(kept));
        CHECK(end == "temp_file::keep: there is no file any more");
    }
    std::string got = co_await read_file(kept);
    CHECK(got == "result");
    CHECK(entries(place) == 1);
}

EDDY_TEST("R4 cancelled while it waits for a worker, keep leaves the file temporary") {
    temporary_folder folder;
    const std::string place = folder.file("");
    temp_file t = co_await temp_file::create({.directory = place});
    blocked_pool pool;
    co_await pool.block();
    auto keeping = spawn(words::ending(t.keep(folder.file("kept"))));
    co_await some_turns();
    keeping.cancel();
    std::string end = co_await std::move(keeping);
    CHECK(end == "cancelled");
    co_await pool.release();
    CHECK(there(t.path()));
    CHECK(!there(folder.file("kept")));
}

EDDY_TEST("a temporary file whose keep was cancelled can be kept again") {
    temporary_folder folder;
    const std::string kept = folder.file("kept");
    temp_file t = co_await temp_file::create({.directory = folder.file("")});
    co_await t.file().write("text"sv);
    std::string end;
    const auto body = [&](cancel_scope& s) -> task<> {
        s.cancel();
        end = co_await words::ending(t.keep(kept));
    };
    co_await with_scope(body);
    CHECK(end == "cancelled");
    CHECK(there(t.path()));
    CHECK(!there(kept));
    co_await t.keep(kept);
    std::string got = co_await read_file(kept);
    CHECK(got == "text");
    CHECK(t.path() == "");
}

EDDY_TEST("F-10 a temporary file that cannot be removed keeps its name, and its destructor tries again") {
    words::reports reports;
    temporary_folder folder;
    std::optional<temp_file> t(co_await temp_file::create({.directory = folder.file("")}));
    const std::string path = t->path();
    ::unlink(path.c_str());
    std::filesystem::create_directory(path);
    std::string end = co_await words::ending(t->remove());
    CHECK(end == "cannot remove '" + path + "': Is a directory");
    CHECK(t->path() == path);
    t.reset();
    CHECK(reports.text() == "cannot remove '" + path + "': Is a directory");
}

EDDY_TEST("an unnamed temporary file has no name and works as a file") {
    temporary_folder folder;
    const std::string place = folder.file("");
    file f = co_await temp_file::open_unnamed({.directory = place});
    CHECK(entries(place) == 0);
    CHECK(f.path() == place + "/(unnamed)");
    CHECK((::fcntl(f.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    co_await f.write("text"sv);
    std::array<std::byte, 8> buffer{};
    const std::size_t n = co_await f.read_at(0, buffer);
    CHECK(n == 4);
    co_await f.close();
}

EDDY_TEST("a temporary directory goes with all that is in it, and follows no link") {
    temporary_folder folder;
    const std::string place = folder.file("");
    const std::string outside = folder.file("outside");
    co_await write_file(outside, std::string("stays"));
    std::string path;
    {
        temp_directory d = co_await temp_directory::create({.directory = place, .prefix = "work-"});
        path = d.path();
        CHECK(path.starts_with(place + "/work-"));
        CHECK(permissions_of(path) == 0700);
        co_await write_file(path + "/x", std::string("x"));
        std::filesystem::create_directories(path + "/a/b");
        std::filesystem::create_symlink(outside, path + "/a/link");
    }
    CHECK(!there(path));
    CHECK(there(outside));
    temp_directory d = co_await temp_directory::create({.directory = place});
    std::filesystem::create_directories(d.path() + "/a/b");
    co_await d.remove();
    CHECK(d.path() == "");
    co_await d.remove();
    CHECK(entries(place) == 1);
}

EDDY_TEST("R13 a temporary directory is removed in a cancelled scope") {
    temporary_folder folder;
    const std::string place = folder.file("");
    temp_directory d = co_await temp_directory::create({.directory = place});
    std::string log;
    const auto body = [&](cancel_scope& s) -> task<> {
        s.cancel();
        log = co_await words::ending(d.remove());
    };
    co_await with_scope(body);
    CHECK(log == "cancelled");
    CHECK(entries(place) == 0);
}

EDDY_TEST("what cannot be made is an error that says where") {
    const std::string end = co_await words::ending(temp_file::create({.directory = "/no/such"}));
    CHECK(end.starts_with("cannot create '/no/such/eddy-"));
    CHECK(end.ends_with("': No such file or directory"));
    const std::string unnamed = co_await words::ending(temp_file::open_unnamed({.directory = "/no/such"}));
    CHECK(unnamed == "cannot create a temporary file in '/no/such': No such file or directory");
    const std::string directory = co_await words::ending(temp_directory::create({.directory = "/no/such"}));
    CHECK(directory.ends_with("': No such file or directory"));
    CHECK(words::of_call([] { return temp_file::create({.prefix = "a/b"}); }) ==
          "temp_options: prefix and suffix are parts of a name and cannot have a '/'; see directory");
}

EDDY_TEST("F-10 what a destructor cannot remove goes to the exception handler") {
    words::reports reports;
    temporary_folder folder;
    const std::string place = folder.file("");
    std::optional<temp_file> t(co_await temp_file::create({.directory = place}));
    const std::string path = t->path();
    ::unlink(path.c_str());
    std::filesystem::create_directory(path);
    t.reset();
    CHECK(reports.text() == "cannot remove '" + path + "': Is a directory");
    CHECK(there(path));
}

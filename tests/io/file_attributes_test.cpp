#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <sys/stat.h>

#include <chrono>
#include <string>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;
using mode = file::mode;

EDDY_TEST("room for a file can be had beforehand, and its contents stay") {
    const temporary_folder folder;
    file f = co_await file::open(folder.file("x"), mode::read_write | mode::create);
    co_await f.write("text"sv);
    co_await f.allocate(0, 1 << 20);
    const std::uint64_t size = co_await f.size();
    CHECK(size == 1 << 20);
    struct stat st {};
    ::fstat(f.native_handle(), &st);
    CHECK(st.st_blocks * 512 >= 1 << 20);
    std::string text(4, '\0');
    static_cast<void>(co_await f.read_at(0, std::as_writable_bytes(std::span(text))));
    CHECK(text == "text");
    co_await f.datasync();
    std::string end = co_await words::ending(f.allocate(0, 0));
    CHECK(end == "cannot allocate room for '" + folder.file("x") + "': Invalid argument");
    file reads = co_await file::open(folder.file("x"));
    end = co_await words::ending(reads.allocate(0, 1));
    CHECK(end == "cannot allocate room for '" + folder.file("x") + "': Bad file descriptor");
    co_await f.close();
    end = co_await words::ending(f.datasync());
    CHECK(end == "this file is not open");
}

EDDY_TEST("advice about a file changes nothing that is read") {
    const temporary_folder folder;
    co_await write_file(folder.file("x"), std::string("text"));
    file f = co_await file::open(folder.file("x"));
    using enum file::advice;
    for (const file::advice a : {normal, sequential, random, will_need, dont_need, no_reuse}) co_await f.advise(a);
    co_await f.advise(dont_need, 1, 2);
    std::string text(4, '\0');
    static_cast<void>(co_await f.read(std::as_writable_bytes(std::span(text))));
    CHECK(text == "text");
    std::string end = co_await words::ending(f.advise(static_cast<file::advice>(99)));
    CHECK(end == "cannot advise on '" + folder.file("x") + "': Invalid argument");
    pipe_pair p = make_pipe();
    file piped = file::adopt(p.reader.release(), "a pipe");
    end = co_await words::ending(piped.advise(sequential));
    CHECK(end == "cannot advise on 'a pipe': Illegal seek");
    end = co_await words::ending(piped.datasync());
    CHECK(end == "cannot sync 'a pipe': Invalid argument");
}

EDDY_TEST("when a file was written last can be told and set") {
    const temporary_folder folder;
    file f = co_await file::open(folder.file("x"), mode::write | mode::create);
    using clock = std::chrono::system_clock;
    clock::time_point written = co_await f.last_write_time();
    CHECK(written > clock::now() - 1h);
    const clock::time_point wanted = clock::time_point() + 1234567890s + 5ms;
    co_await f.last_write_time(wanted);
    written = co_await f.last_write_time();
    CHECK(written.time_since_epoch() == wanted.time_since_epoch());
    co_await f.write("x"sv);
    written = co_await f.last_write_time();
    CHECK(written.time_since_epoch() > wanted.time_since_epoch());
    co_await f.close(); // in debug mode it is reported if a written file is not
}

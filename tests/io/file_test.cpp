#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "io/blocked_pool.hpp"
#include "io/file_back_end.hpp"
#include "io/file_bytes.hpp"
#include "io/support.hpp"
#include "lib/left_out.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;
using mode = file::mode;

namespace {

std::string contents(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::size_t entries_of(const temporary_folder& folder) {
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(folder.file(""))) ++n;
    return n;
}

/// Files of this process cannot grow further, as on a full disk.
class file_size_limit {
public:
    explicit file_size_limit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit limit{bytes, before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    file_size_limit(const file_size_limit&) = delete;
    file_size_limit& operator=(const file_size_limit&) = delete;
    ~file_size_limit() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, handler_);
    }

private:
    void (*handler_)(int);
    rlimit before_{};
};

/// Another user, as long as it lives, where this one is root: root may read everything.
class not_root {
public:
    static constexpr uid_t nobody = 65534;
    not_root() : dropped_(::geteuid() == 0 && ::seteuid(nobody) == 0) {}
    not_root(const not_root&) = delete;
    not_root& operator=(const not_root&) = delete;
    ~not_root() {
        if (!dropped_) return;
        if (::seteuid(0) != 0) std::abort();
        ::prctl(PR_SET_DUMPABLE, 1); // as it was before: a process that changes its user leaves no core
    }

private:
    bool dropped_; // on all threads, as POSIX wants it
};

/// A folder that may be written and not be read, for who is not root. The folders above it may be gone through.
bool make_unreadable(const temporary_folder& folder, const std::string& path) {
    if (::chmod(folder.file("").c_str(), 0711) != 0 || ::mkdir(path.c_str(), 0300) != 0) return false;
    return ::geteuid() != 0 || ::chown(path.c_str(), not_root::nobody, static_cast<gid_t>(-1)) == 0;
}

bool can_only_be_written(const std::string& folder) {
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) ::close(fd);
    return fd < 0 && ::faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0;
}

} // namespace

EDDY_TEST("F-01 what is written, sought, truncated and appended is what the blocking calls give") {
    temporary_folder folder;
    const std::string path = folder.file("x");
    file f = co_await file::open(path, mode::read_write | mode::create);
    CHECK(f.path() == path);
    std::size_t n = co_await f.write("0123456789"sv);
    CHECK(n == 10);
    n = co_await f.write_at(2, "ab"sv);
    CHECK(n == 2);
    CHECK(contents(path) == "01ab456789");
    CHECK(f.seek(1) == 1);
    std::string got = co_await next_bytes(f, 4);
    CHECK(got == "1ab4");
    got = co_await bytes_from(f, 8, 100);
    CHECK(got == "89");
    got = co_await next_bytes(f, 100); // the position did not move
    CHECK(got == "56789");
    got = co_await next_bytes(f, 100);
    CHECK(got == "");
    co_await f.truncate(5);
    const std::uint64_t size = co_await f.size();
    CHECK(size == 5);
    CHECK(f.seek_end() == 5);
    co_await f.sync();
    co_await f.close();
    CHECK(!f.is_open());
    file a = co_await file::open(path, mode::append);
    co_await a.write("end"sv);
    co_await a.close();
    CHECK(contents(path) == "01ab4end");
}

EDDY_TEST("F-01 modes: create, exclusive and truncate mean what open(2) says") {
    temporary_folder folder;
    const std::string path = folder.file("x");
    co_await write_file(path, std::string("old"));
    outcome<file> taken = co_await as_result(file::open(path, mode::write | mode::create | mode::exclusive));
    CHECK(taken.error() == std::errc::file_exists);
    file f = co_await file::open(path, mode::write | mode::truncate);
    outcome<std::string> unreadable = co_await as_result(next_bytes(f, 1));
    CHECK(unreadable.error() == std::errc::bad_file_descriptor);
    co_await f.close();
    CHECK(contents(path) == "");
    file p = co_await file::open(folder.file("private"), mode::write | mode::create, 0600);
    struct stat st {};
    CHECK(::fstat(p.native_handle(), &st) == 0);
    CHECK((st.st_mode & 0777) == 0600);
    co_await p.close();
}

EDDY_TEST("F-01 whole files: empty, small, large, and files whose size the kernel does not say") {
    temporary_folder folder;
    const std::string path = folder.file("x");
    for (const std::size_t size : {0u, 1u, 4096u, 3'000'000u}) {
        std::string text(size, '\0');
        for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7);
        co_await write_file(path, text);
        std::string got = co_await read_file(path);
        CHECK((got == text));
    }
    const std::array<std::byte, 3> bytes{std::byte{'a'}, std::byte{0}, std::byte{'b'}};
    co_await write_file(path, std::span<const std::byte>(bytes));
    std::string got = co_await read_file(path);
    CHECK(got == std::string("a\0b", 3));
    std::string status = co_await read_file("/proc/self/status");
    CHECK(status.starts_with("Name:"));
    CHECK(status.find("\nThreads:") != std::string::npos);
}

EDDY_TEST("F-02 a large read beside a ticker: the ticker has its turn in each tick") {
    temporary_folder folder;
    constexpr std::size_t size = 64 << 20;
    const std::string path = folder.file("large");
    co_await write_file(path, "");
    std::filesystem::resize_file(path, size);
    auto reading = spawn(read_file(path));
    bool over = false;
    std::uint64_t turns = 0;
    std::uint64_t longest_gap = 0; // in ticks
    auto ticking = spawn([&]() -> task<> {
        std::uint64_t before = this_loop().stats().ticks;
        while (!over) {
            co_await this_task::yield();
            const std::uint64_t now = this_loop().stats().ticks;
            longest_gap = std::max(longest_gap, now - before);
            before = now;
            ++turns;
        }
    });
    const std::string got = co_await std::move(reading);
    over = true;
    co_await ticking;
    CHECK(got.size() == size);
    CHECK(longest_gap == 1);
    CHECK(turns > 10); // one or two if the loop had been the one that read
}

EDDY_TEST("F-02 the loop goes on while a worker waits for the kernel") {
    temporary_folder folder;
    const std::string path = fifo_in(folder);
    auto reading = spawn(read_file(path));
    for (int i = 0; i < 1000; ++i) co_await this_task::yield();
    CHECK(!reading.done());
    co_await write_file(path, std::string("at last"));
    std::string got = co_await std::move(reading);
    CHECK(got == "at last");
}

EDDY_TEST("F-03 a read that is cancelled on a worker is waited for and gives its data; the next checkpoint throws") {
    const without_ring on_workers;
    temporary_folder folder;
    file f = co_await file::open(fifo_in(folder), mode::read_write);
    file feed = co_await file::open(f.path(), mode::write);
    std::string log;
    auto reading = spawn([&]() -> task<> {
        log += co_await next_bytes(f, 100);
        log += " " + co_await words::ending(this_task::checkpoint());
    });
    while (this_loop().blocking_pool().running() == 0) co_await this_task::yield();
    reading.cancel();
    co_await some_turns();
    CHECK(!reading.done());
    co_await feed.write("data"sv);
    co_await reading.join();
    CHECK(log == "data cancelled");
    co_await feed.close();
    co_await f.close();
}

EDDY_TEST("F-04 a write that is cancelled in the kernel is done in full") {
    temporary_folder folder;
    const std::string path = fifo_in(folder);
    file in = co_await file::open(path, mode::read_write);
    file out = co_await file::open(path, mode::read);
    const std::string much(300'000, 'x'); // more than a pipe holds
    std::size_t written = 0;
    auto writing = spawn([&]() -> task<> { written = co_await in.write(much); });
    while (this_loop().blocking_pool().running() == 0) co_await this_task::yield();
    writing.cancel();
    std::size_t total = 0;
    while (total < much.size()) {
        std::string got = co_await next_bytes(out, 1 << 16);
        total += got.size();
    }
    co_await writing.join();
    CHECK(written == much.size());
    co_await in.close();
    co_await out.close();
}

EDDY_TEST("F-06 a second user of the position is refused by name; positional reads may overlap") {
    const without_ring on_workers;
    temporary_folder folder;
    const std::string path = folder.file("x");
    co_await write_file(path, std::string("0123456789"));
    file f = co_await file::open(path);
    blocked_pool pool;
    co_await pool.block();
    auto first = spawn(next_bytes(f, 4));
    auto one = spawn(bytes_from(f, 2, 3));
    auto two = spawn(bytes_from(f, 4, 3));
    co_await some_turns();
    outcome<std::string> second = co_await as_result(next_bytes(f, 4));
    CHECK(words::of(second) == "another task is already using the position of '" + path + "'; use read_at and write_at");
    co_await pool.release();
    std::string a = co_await std::move(first);
    std::string b = co_await std::move(one);
    std::string c = co_await std::move(two);
    CHECK(a + " " + b + " " + c == "0123 234 456");
    co_await f.close();
}

EDDY_TEST("F-07 a file that cannot be opened is an error that says the path and why") {
    std::string end = co_await words::ending(file::open("/no/such/file"));
    CHECK(end == "cannot open '/no/such/file': No such file or directory");
    end = co_await words::ending(read_file("/no/such/file"));
    CHECK(end == "cannot open '/no/such/file': No such file or directory");
    end = co_await words::ending(write_file("/no/such/file", std::string("x")));
    CHECK(end == "cannot open '/no/such/file': No such file or directory");
    end = co_await words::ending(read_file("/"));
    CHECK(end == "cannot read '/': Is a directory");
    end = co_await words::ending(write_file("/", std::string("x")));
    CHECK(end == "cannot open '/': Is a directory");
    end = co_await words::ending(read_file(""));
    CHECK(end == "cannot open '': No such file or directory");
}

EDDY_TEST("F-01 modes: no_follow, direct, and what makes no sense is refused") {
    temporary_folder folder;
    const std::string path = folder.file("x");
    co_await write_file(path, std::string("text"));
    std::filesystem::create_symlink(path, folder.file("link"));
    std::string end = co_await words::ending(file::open(folder.file("link"), mode::read | mode::no_follow));
    CHECK(end == "cannot open '" + folder.file("link") + "': Too many levels of symbolic links");
    file f = co_await file::open(folder.file("link"));
    co_await f.close();
    outcome<file> direct = co_await as_result(file::open(path, mode::read | mode::direct)); // not every file system has it
    CHECK((direct.has_value() || direct.error() == std::errc::invalid_argument));
    if (direct.has_value()) {
        CHECK((::fcntl(direct.value().native_handle(), F_GETFL) & O_DIRECT) != 0);
        co_await direct.value().close();
    }
    end = co_await words::ending(file::open(path, mode::write | mode::exclusive));
    CHECK(end == "file::open: mode::exclusive says that the file must be new; add mode::create");
    end = co_await words::ending(file::open(path, mode::read | mode::truncate));
    CHECK(end == "file::open: mode::truncate empties the file; add mode::write");
    CHECK(contents(path) == "text");
    file a = co_await file::open(path, mode::append | mode::truncate);
    co_await a.close();
    CHECK(contents(path) == "");
}

EDDY_TEST("F-06 the position cannot be set while a read uses it") {
    const without_ring on_workers;
    temporary_folder folder;
    const std::string path = folder.file("x");
    co_await write_file(path, std::string("0123456789"));
    file f = co_await file::open(path);
    blocked_pool pool;
    co_await pool.block();
    auto reading = spawn(next_bytes(f, 4));
    co_await some_turns();
    const std::string busy = "another task is already using the position of '" + path + "'; use read_at and write_at";
    CHECK(words::of_call([&] { return f.seek(7); }) == busy);
    CHECK(words::of_call([&] { return f.seek_end(); }) == busy);
    co_await pool.release();
    std::string got = co_await std::move(reading);
    CHECK(got == "0123");
    CHECK(f.seek(7) == 7);
    CHECK(words::of_call([&] { return f.seek(std::uint64_t(1) << 63); }) == "cannot seek in '" + path + "': Invalid argument");
    got = co_await next_bytes(f, 9);
    CHECK(got == "789");
    co_await f.close();
}

EDDY_TEST("F-09 files need no ring: what they do runs on the blocking pool, on every engine") {
    const without_ring on_workers;
    temporary_folder folder;
    blocked_pool pool;
    file f = co_await file::open(folder.file("x"), mode::read_write | mode::create);
    co_await pool.block();
    const std::size_t jobs = this_loop().stats().pool_jobs;
    auto writing = spawn([&]() -> task<> { co_await f.write("text"sv); });
    co_await some_turns();
    CHECK(this_loop().stats().pool_jobs == jobs + 1);
    co_await pool.release();
    co_await writing;
    std::string got = co_await bytes_from(f, 0, 10);
    CHECK(got == "text");
    co_await f.close();
}

EDDY_TEST("a file is a stream that a buffered_reader reads by lines") {
    temporary_folder folder;
    const std::string path = folder.file("x");
    co_await write_file(path, std::string("one\ntwo\nthree"));
    file f = co_await file::open(path);
    static_assert(async_read_stream<file>);
    buffered_reader r{f};
    std::string line = co_await r.read_line();
    CHECK(line == "one\n");
    line = co_await r.read_line();
    CHECK(line == "two\n");
    line = co_await r.read_to_end();
    CHECK(line == "three");
    co_await f.close();
}

EDDY_TEST("F-10 a full disk is an error of the write, whichever it is") {
    file full = co_await file::open("/dev/full", mode::write);
    std::string end = co_await words::ending(full.write("x"sv));
    CHECK(end == "cannot write '/dev/full': No space left on device");
    end = co_await words::ending(full.write_at(0, "x"sv));
    CHECK(end == "cannot write '/dev/full': No space left on device");
    co_await full.close();
    end = co_await words::ending(write_file("/dev/full", std::string("x")));
    CHECK(end == "cannot write '/dev/full': No space left on device");
}

EDDY_TEST("F-10 an I/O error is an error of the read, the write or the sync") {
    file memory = co_await file::open("/proc/self/mem", mode::read_write); // where nothing is mapped
    std::string end = co_await words::ending(bytes_from(memory, 0, 10));
    CHECK(end == "cannot read '/proc/self/mem': Input/output error");
    end = co_await words::ending(memory.write_at(0, "x"sv));
    CHECK(end == "cannot write '/proc/self/mem': Input/output error");
    co_await memory.close();
    temporary_folder folder;
    file fifo = co_await file::open(fifo_in(folder), mode::read_write);
    end = co_await words::ending(fifo.sync());
    CHECK(end == "cannot sync '" + fifo.path() + "': Invalid argument");
    co_await fifo.close();
}

EDDY_TEST("a file is replaced as a whole: a reader sees the old one or the new one") {
    temporary_folder folder;
    const std::string path = folder.file("x");
    const std::string a(200'000, 'a');
    const std::string b(100'000, 'b');
    co_await write_file_atomically(path, a);
    bool over = false;
    std::size_t reads = 0;
    auto reader = spawn([&]() -> task<> {
        while (!over) {
            std::string got = co_await read_file(path);
            CHECK((got == a || got == b));
            ++reads;
        }
    });
    for (int i = 0; i < 20; ++i) {
        co_await write_file_atomically(path, b);
        co_await write_file_atomically(path, bytes_of(a));
    }
    over = true;
    co_await reader;
    CHECK(reads > 0);
    CHECK(entries_of(folder) == 1);
}

EDDY_TEST("a file that is replaced keeps its permissions, and a link to it leads to the new one") {
    temporary_folder folder;
    const std::string path = folder.file("x");
    const std::string link = folder.file("link");
    co_await write_file_atomically(path, std::string("old"));
    struct stat st {};
    CHECK(::stat(path.c_str(), &st) == 0);
    const mode_t mask = ::umask(0);
    ::umask(mask);
    CHECK((st.st_mode & 0777) == (0666 & ~mask));
    CHECK(::chmod(path.c_str(), 0640) == 0);
    std::filesystem::create_symlink("x", link);
    co_await write_file_atomically(link, std::string("new"));
    CHECK(std::filesystem::is_symlink(link));
    CHECK(contents(path) == "new");
    CHECK(::stat(path.c_str(), &st) == 0);
    CHECK((st.st_mode & 0777) == 0640);
    CHECK(::chmod(path.c_str(), 0600) == 0);
    co_await write_file_atomically(path, std::string("private"));
    CHECK(::stat(path.c_str(), &st) == 0);
    CHECK((st.st_mode & 0777) == 0600);
    CHECK(entries_of(folder) == 2);
}

EDDY_TEST("a file is replaced in a folder that may be written, but not read") {
    temporary_folder folder;
    const std::string inside = folder.file("letterbox");
    const std::string path = inside + "/x";
    const bool made = make_unreadable(folder, inside);
    std::string end;
    {
        const not_root user;
        if (!made || !can_only_be_written(inside)) {
            tests::left_out("this process may read every folder, or cannot become another user");
            co_return;
        }
        co_await write_file_atomically(path, std::string("old"));
        co_await write_file_atomically(path, std::string("new"));
        end = contents(path);
    }
    CHECK(end == "new");
    CHECK(::chmod(inside.c_str(), 0700) == 0);
    std::size_t entries = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(inside)) ++entries;
    CHECK(entries == 1);
}

EDDY_TEST("a write keeps a string that goes until it is awaited") {
    temporary_folder folder;
    const std::string path = folder.file("x");
    file f = co_await file::open(path, mode::read_write | mode::create);
    const std::string lasting = "of the caller, too long for a small string\n";
    task<std::size_t> first = f.write(std::string("a temporary, too long for a small string\n"));
    task<std::size_t> second = f.write(lasting);
    task<std::size_t> third = f.write("a literal\n");
    task<std::size_t> fourth = f.write_at(0, std::string("A TEMPORARY"));
    task<std::size_t> fifth = f.write_at(2, "t");
    co_await std::move(first);
    co_await std::move(second);
    const std::size_t n = co_await std::move(third);
    CHECK(n == 10);
    co_await std::move(fourth);
    co_await std::move(fifth);
    co_await f.close();
    CHECK(contents(path) == "A tEMPORARY, too long for a small string\n" + lasting + "a literal\n");
}

EDDY_TEST("F-10 a replacement that fails leaves the old file and nothing else") {
    temporary_folder folder;
    const std::string path = folder.file("x");
    co_await write_file(path, std::string("old"));
    std::string end;
    {
        const file_size_limit limit(1000);
        end = co_await words::ending(write_file_atomically(path, std::string(5000, 'x')));
    }
    CHECK(end == "cannot write '" + path + "': File too large");
    CHECK(contents(path) == "old");
    CHECK(entries_of(folder) == 1);
    end = co_await words::ending(write_file_atomically("/no/such/file", std::string("x")));
    CHECK(end == "cannot create a file beside '/no/such/file': No such file or directory");
    std::filesystem::create_directory(folder.file("d"));
    end = co_await words::ending(write_file_atomically(folder.file("d"), std::string("x")));
    CHECK(end == "cannot replace '" + folder.file("d") + "': Is a directory");
    end = co_await words::ending(write_file_atomically("/dev/null", std::string("x")));
    CHECK(end == "cannot replace '/dev/null': Invalid argument");
    CHECK(entries_of(folder) == 2);
    const std::string circle = folder.file("circle"); // nobody can say where it leads: it is not replaced for want of knowing
    std::filesystem::create_symlink("circle", circle);
    end = co_await words::ending(write_file_atomically(circle, std::string("x")));
    CHECK(end == "cannot replace '" + circle + "': Too many levels of symbolic links");
    CHECK(std::filesystem::is_symlink(circle));
    CHECK(entries_of(folder) == 3);
}

EDDY_TEST("R13 a close waits for the call that runs, and calls that wait for a worker find the file closed") {
    temporary_folder folder;
    file f = co_await file::open(fifo_in(folder), mode::read_write);
    file feed = co_await file::open(f.path(), mode::write);
    const int fd = f.native_handle();
    auto running = spawn(next_bytes(f, 100));
    co_await call_is_in_kernel();
    auto closing = spawn([&]() -> task<> { co_await f.close(); });
    co_await some_turns();
    CHECK(!f.is_open());
    CHECK(descriptor_is_open(fd));
    CHECK(!closing.done());
    std::string late = co_await words::ending(bytes_from(f, 0, 1));
    CHECK(late == "this file is not open");
    co_await feed.write("x"sv);
    std::string got = co_await std::move(running);
    CHECK(got == "x");
    co_await closing;
    CHECK(!descriptor_is_open(fd));
    co_await f.close(); // twice does no harm
    co_await feed.close();
}

EDDY_TEST("R13 a close in a cancelled scope frees the descriptor and then throws; a cancel during it waits") {
    const without_ring on_workers;
    temporary_folder folder;
    file f = co_await file::open(folder.file("x"), mode::write | mode::create);
    int fd = f.native_handle();
    std::string log;
    const auto body = [&](cancel_scope& s) -> task<> {
        s.cancel();
        log = co_await words::ending(f.close());
    };
    co_await with_scope(body);
    CHECK(log == "cancelled");
    CHECK(!descriptor_is_open(fd));

    file g = co_await file::open(folder.file("x"), mode::write);
    fd = g.native_handle();
    blocked_pool pool;
    co_await pool.block();
    auto closing = spawn([&]() -> task<> {
        log = co_await words::ending(g.close());
        log += " " + co_await words::ending(this_task::checkpoint());
    });
    co_await some_turns();
    closing.cancel();
    co_await some_turns();
    CHECK(!closing.done());
    co_await pool.release();
    co_await closing.join();
    CHECK(log == "ok cancelled");
    CHECK(!descriptor_is_open(fd));
}

EDDY_TEST("a file object that is destroyed while a call runs is closed when the call is through") {
    temporary_folder folder;
    std::optional<file> f(co_await file::open(fifo_in(folder), mode::read_write));
    file feed = co_await file::open(f->path(), mode::write);
    const int fd = f->native_handle();
    auto reading = spawn(next_bytes(*f, 100));
    co_await call_is_in_kernel();
    f.reset();
    CHECK(descriptor_is_open(fd));
    co_await feed.write("late"sv);
    std::string got = co_await std::move(reading);
    CHECK(got == "late");
    CHECK(!descriptor_is_open(fd));
    co_await feed.close();
}

EDDY_TEST("F-10 an error of the close that a destructor does goes to the exception handler") {
    words::reports reports;
    temporary_folder folder;
    const std::string path = folder.file("x");
    std::optional<file> f(co_await file::open(path, mode::write | mode::create));
    ::close(f->native_handle()); // the nearest to a failing close that can be had
    f.reset();
    CHECK(reports.text() == "closing '" + path + "': Bad file descriptor");
}

EDDY_TEST("F-10 a close that fails throws, and the file is closed all the same") {
    temporary_folder folder;
    const std::string path = folder.file("x");
    file f = co_await file::open(path, mode::write | mode::create);
    ::close(f.native_handle());
    std::string end = co_await words::ending(f.close());
    CHECK(end == "closing '" + path + "': Bad file descriptor");
    CHECK(!f.is_open());
}

TEST_CASE("debug mode reports a file that was written and dropped without a close") {
    const io_test::temporary_folder folder;
    event_loop loop(loop_options{.debug = true});
    const words::reports reports(loop);
    loop.run_until_complete([](std::string path) -> task<> {
        {
            file dropped = co_await file::open(path, file::mode::write | file::mode::create);
            co_await dropped.write(std::string_view("abc"));
        }
        file closed = co_await file::open(path, file::mode::write);
        co_await closed.write(std::string_view("abc"));
        co_await closed.close();
        file read = co_await file::open(path);
    }(folder.file("x")));
    CHECK(reports.count() == 1);
    CHECK(reports.text().find("/x' was written and dropped; co_await close()") != std::string::npos);
}

EDDY_TEST("a descriptor can be taken over as a file") {
    const io_test::temporary_folder folder;
    const std::string path = folder.file("f");
    co_await write_file(path, "0123456789");
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    {
        file f = file::adopt(fd, path);
        CHECK(f.native_handle() == fd);
        CHECK(f.path() == path);
        std::array<std::byte, 4> buffer{};
        const std::size_t n = co_await f.read_at(6, buffer);
        CHECK(n == 4);
        CHECK(std::to_integer<char>(buffer[3]) == '9');
    }
    CHECK(!io_test::descriptor_is_open(fd));
    CHECK_THROWS_AS(file::adopt(-1, path), std::invalid_argument);
}

// Files through the ring. Where a loop has none (Asio's engine, a kernel or a build without) the same tests are about the pool,
// or left out when there is nothing to compare.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <eddy/asio.hpp>
#include <eddy/detail/file_ring.hpp>

#include "coro/allocations.hpp"
#include "io/blocked_pool.hpp"
#include "io/child.hpp"
#include "io/file_back_end.hpp"
#include "io/file_bytes.hpp"
#include "io/support.hpp"
#include "lib/full_disk.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;
using mode = file::mode;

namespace {

/// What is in a pipe, without waiting.
std::string taken_from(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    std::string text(1 << 16, '\0');
    const ssize_t n = ::read(fd, text.data(), text.size());
    ::fcntl(fd, F_SETFL, flags);
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
}

detail::file_ring* ring_of_this_loop() {
    return detail::engine_of(*detail::current().loop)->files();
}

/// Everything that a file can do, and what it gives.
task<std::string> all_calls(const temporary_folder& folder) {
    const std::string path = folder.file("all");
    std::string log;
    file f = co_await file::open(path, mode::read_write | mode::create | mode::truncate);
    co_await f.write("0123456789"sv);
    co_await f.write_at(2, "ab"sv);
    f.seek(1);
    log += co_await next_bytes(f, 4);
    log += " " + co_await bytes_from(f, 8, 100);
    co_await f.sync();
    co_await f.datasync();
    const std::uint64_t size = co_await f.size();
    log += " " + std::to_string(size);
    const auto written = co_await f.last_write_time();
    log += written > std::chrono::system_clock::now() - 1h ? " now" : " never";
    co_await f.close();
    log += " " + co_await read_file(path);
    co_await write_file(path, std::string("whole"));
    log += " " + co_await read_file(path);
    log += " " + co_await words::ending(file::open(folder.file("none") + "/x"));
    co_return log;
}

std::string result_of_all_calls(const temporary_folder& folder) {
    return "1ab4 89 10 now 01ab456789 whole cannot open '" + folder.file("none") + "/x': No such file or directory";
}

/// The kernel answers this call with that error from now on, for good.
bool forbid(int call, int error) {
    std::array<sock_filter, 4> program{
        sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog whole{static_cast<unsigned short>(program.size()), program.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) == 0;
}

/// Memory that nobody has touched: whoever is the first to read or write a page of it has a page fault.
class fresh_pages {
public:
    fresh_pages() : start_(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
        if (start_ == MAP_FAILED) throw std::bad_alloc();
        ::madvise(start_, size, MADV_NOHUGEPAGE);
    }
    fresh_pages(const fresh_pages&) = delete;
    fresh_pages& operator=(const fresh_pages&) = delete;
    ~fresh_pages() { ::munmap(start_, size); }
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {static_cast<std::byte*>(start_), size}; }

    static constexpr std::size_t size = 4 << 20;
    static constexpr long pages = size / 4096;

private:
    void* start_;
};

std::string words_of_file(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

long faults_of_this_thread() {
    rusage u{};
    ::getrusage(RUSAGE_THREAD, &u);
    return u.ru_minflt;
}

constexpr std::size_t large = 8 << 20;         // bytes of a large file
constexpr std::size_t little = 2 << 20;       // and what the loop's thread may take at once: much less than that

const char* used_by(const event_loop& loop) {
    return loop.stats().files == file_back_end::ring ? "ring" : "pool";
}

} // namespace

EDDY_TEST("F-01 F-09 every call gives the same through the ring and on the pool, and the ring leaves the pool alone") {
    const temporary_folder folder;
    std::string log = co_await all_calls(folder);
    CHECK(log == result_of_all_calls(folder));
    const loop_stats s = this_loop().stats();
    CHECK(s.ring_operations == 0);
    CHECK((s.files == file_back_end::ring) == (s.ring_submissions > 0));
    if (s.files == file_back_end::ring) CHECK(this_loop().blocking_pool().threads() == 0);
    if (s.engine != engine_kind::native) CHECK(s.files == file_back_end::pool);
}

EDDY_TEST("F-09 what the ring's kernel does not know the pool does") {
    using enum detail::ring_opcode;
    const temporary_folder folder;
    const bool ring = co_await has_ring();
    if (!ring) co_return;
    for (const detail::ring_opcode o : {stat, sync, close, write, read, open, datasync}) {
        ring_of_this_loop()->forgo(o);
        std::string log = co_await all_calls(folder);
        CHECK(log == result_of_all_calls(folder));
    }
    const std::uint64_t before = this_loop().stats().ring_submissions;
    std::string log = co_await all_calls(folder);
    CHECK(log == result_of_all_calls(folder));
    CHECK(this_loop().stats().ring_submissions == before);
    CHECK(this_loop().stats().files == file_back_end::pool);
}

EDDY_TEST("F-03 a read that the kernel gives up is cancelled: nothing was read, and the next one gets it all") {
    const temporary_folder folder;
    const bool ring = co_await has_ring();
    if (!ring) co_return;
    file f = co_await file::open(fifo_in(folder), mode::read_write);
    auto reading = spawn(words::ending(next_bytes(f, 100)));
    co_await call_is_in_kernel();
    reading.cancel();
    std::string end = co_await std::move(reading);
    CHECK(end == "cancelled");
    co_await f.write("data"sv);
    std::string got = co_await next_bytes(f, 100);
    CHECK(got == "data");
    co_await f.close();
}

EDDY_TEST("R2 R4 a read that data reached before its cancellation did gives the data, or leaves it") {
    const temporary_folder folder;
    file f = co_await file::open(fifo_in(folder), mode::read_write);
    std::string got;
    auto reading = spawn([&]() -> task<> { got = co_await next_bytes(f, 100); });
    co_await call_is_in_kernel();
    CHECK(::write(f.native_handle(), "data", 4) == 4); // and the loop has not seen it
    reading.cancel();
    co_await reading.join();
    CHECK(got + taken_from(f.native_handle()) == "data");
    co_await f.close();
}

EDDY_TEST("R2 R4 a write that is cancelled in the tick that begins it has happened, or it has not") {
    const temporary_folder folder;
    const bool ring = co_await has_ring();
    if (!ring) co_return;
    file f = co_await file::open(folder.file("x"), mode::read_write | mode::create);
    co_await f.write("kept"sv);
    auto writing = spawn(words::ending(f.write_at(0, "gone"sv)));
    while (this_loop().stats().ring_operations == 0) co_await this_task::yield();
    writing.cancel();
    std::string end = co_await std::move(writing);
    std::string text = co_await bytes_from(f, 0, 10);
    CHECK(end + " " + text == (end == "ok" ? "ok gone" : "cancelled kept"));
    co_await f.close();
}

EDDY_TEST("a storm of cancellations: each read has its byte or leaves it, more reads than the ring has places") {
    const temporary_folder folder;
    const bool ring = co_await has_ring();
    if (!ring) co_return;
    const std::string path = fifo_in(folder);
    constexpr std::size_t count = 1500;
    std::vector<file> readers; // the position of each is used by one at a time
    for (std::size_t i = 0; i < 200; ++i) readers.push_back(co_await file::open(path, mode::read_write));
    std::size_t got = 0;
    const auto read_one = [&](file& f) -> task<> {
        std::string text = co_await next_bytes(f, 1);
        got += text.size();
    };
    std::size_t fed = 0;
    for (std::size_t round = 0; round < count / readers.size() + 1; ++round) {
        std::vector<task_handle<>> reading;
        for (file& f : readers) reading.push_back(spawn(read_one(f)));
        co_await call_is_in_kernel();
        const std::string some(50 + round, 'x');
        CHECK(::write(readers[0].native_handle(), some.data(), some.size()) == static_cast<ssize_t>(some.size()));
        fed += some.size();
        for (task_handle<>& h : reading) h.cancel();
        for (task_handle<>& h : reading) co_await h.join();
        CHECK(this_loop().stats().ring_operations == 0);
    }
    CHECK(got + taken_from(readers[0].native_handle()).size() == fed);
    for (file& f : readers) co_await f.close();
}

EDDY_TEST("more calls than the ring has places, all at once: none is lost, and a tick's go to the kernel together") {
    const temporary_folder folder;
    const std::string path = folder.file("x");
    constexpr std::size_t count = 2000;
    std::string numbers;
    for (std::size_t i = 0; i < count; ++i) numbers += static_cast<char>('a' + i % 26);
    co_await write_file(path, numbers);
    file f = co_await file::open(path);
    std::string got(count, ' ');
    const auto read_one = [&](std::size_t i) -> task<> {
        std::string one = co_await bytes_from(f, i, 1);
        got[i] = one[0];
    };
    const std::uint64_t before = this_loop().stats().ring_submissions;
    const auto all = [&](task_group& g) -> task<> {
        for (std::size_t i = 0; i < count; ++i) g.spawn(read_one(i));
        co_return;
    };
    co_await with_task_group(all);
    CHECK((got == numbers));
    CHECK(this_loop().stats().ring_submissions - before < count / 10);
    co_await f.close();
}

EDDY_TEST("reads and writes through the ring allocate nothing") {
    const temporary_folder folder;
    const bool ring = co_await has_ring();
    if (!ring) co_return;
    file f = co_await file::open(folder.file("x"), mode::read_write | mode::create);
    std::array<std::byte, 64> buffer{};
    const auto round = [&]() -> task<> {
        co_await f.write_at(0, std::span<const std::byte>(buffer));
        static_cast<void>(co_await f.read_at(0, buffer));
    };
    const std::size_t n = co_await allocations::in_steady_state(round);
    CHECK(n == 0);
    co_await f.close();
}

EDDY_TEST("F-02 a whole file that is large is read by a worker: the loop's thread does not take the memory for it, which it would have to fill") {
    const temporary_folder folder;
    const std::string path = folder.file("x");
    const std::string written(large, 'x');
    co_await write_file(path, std::as_bytes(std::span(written)));
    const allocations::largest_block here;
    const std::string text = co_await read_file(path);
    CHECK(here.bytes() < little);
    CHECK((text == written));
}

EDDY_TEST("F-02 a file that says no size and is large, as those of /proc: read to its end, and not by the loop's thread") {
    const std::string path = "/proc/kallsyms";
    std::string expected;
    try {
        expected = co_await offload(this_loop().blocking_pool(), &words_of_file, path);
    } catch (const std::exception&) { // this kernel does not show it
    }
    if (expected.size() < little) co_return;
    const allocations::largest_block here;
    const std::string text = co_await read_file(path);
    CHECK(here.bytes() < little);
    CHECK((text == expected));
}

EDDY_TEST("F-03 a large file whose reading waits for a worker: cancelled, it is not read, and closed again") {
    const temporary_folder folder;
    const std::string path = folder.file("x");
    co_await write_file(path, std::string(large, 'x'));
    blocked_pool pool;
    co_await pool.block();
    const std::size_t jobs = this_loop().stats().pool_jobs;
    auto reading = spawn(words::ending(read_file(path)));
    while (this_loop().stats().pool_jobs == jobs && !reading.done()) co_await this_task::yield();
    CHECK(!reading.done());
    reading.cancel();
    std::string end = co_await std::move(reading);
    CHECK(end == "cancelled");
    co_await pool.release();
}

EDDY_TEST("F-02 a large read or write through the ring is not done on the loop's thread when the kernel is told of it") {
    const temporary_folder folder;
    const bool ring = co_await has_ring();
    if (!ring) co_return;
    file f = co_await file::open(folder.file("x"), mode::read_write | mode::create);
    const fresh_pages from;
    long before = faults_of_this_thread();
    const std::size_t written = co_await f.write_at(0, std::span<const std::byte>(from.bytes()));
    CHECK(faults_of_this_thread() - before < fresh_pages::pages / 2);
    CHECK(written == fresh_pages::size);
    const fresh_pages to;
    before = faults_of_this_thread();
    const std::size_t n = co_await f.read_at(0, to.bytes());
    CHECK(faults_of_this_thread() - before < fresh_pages::pages / 2);
    CHECK(n == fresh_pages::size); // it is in memory
    co_await f.close();
}

EDDY_TEST("what is no plain file has no positions, and a write to it is not the ring's: errors are those of the pool") {
    const temporary_folder folder;
    file f = co_await file::open(fifo_in(folder), mode::read_write);
    std::string end = co_await words::ending(bytes_from(f, 0, 1));
    CHECK(end == "cannot read '" + f.path() + "': Illegal seek");
    end = co_await words::ending(f.write_at(0, "x"sv));
    CHECK(end == "cannot write '" + f.path() + "': Illegal seek");
    co_await f.close();
    file plain = co_await file::open(folder.file("x"), mode::read_write | mode::create);
    end = co_await words::ending(bytes_from(plain, static_cast<std::uint64_t>(-1), 1)); // not the position
    CHECK(end == "cannot read '" + plain.path() + "': Invalid argument");
    const std::size_t n = co_await plain.write(""sv);
    CHECK(n == 0);
    co_await plain.close();
}

EDDY_TEST("a pipe with a name waits for its other end when it is opened, and may be cancelled there") {
    const temporary_folder folder;
    const bool ring = co_await has_ring();
    if (!ring) co_return;
    const std::string path = fifo_in(folder);
    auto opening = spawn(words::ending(file::open(path)));
    co_await call_is_in_kernel();
    opening.cancel();
    std::string end = co_await std::move(opening);
    CHECK(end == "cancelled");
    auto reading = spawn(read_file(path));
    co_await write_file(path, std::string("both"));
    std::string got = co_await std::move(reading);
    CHECK(got == "both");
}

EDDY_TEST("write_file, once it has opened the file, writes it whatever is cancelled") {
    const temporary_folder folder;
    const std::string path = folder.file("x");
    for (int turns = 0; turns < 40; ++turns) {
        co_await write_file(path, std::string("old"));
        auto writing = spawn(words::ending(write_file(path, std::string("new"))));
        for (int i = 0; i < turns; ++i) co_await this_task::yield();
        writing.cancel();
        std::string end = co_await std::move(writing);
        std::string text = co_await read_file(path);
        CHECK(end + " " + text == (end == "ok" ? "ok new" : "cancelled old"));
    }
}

EDDY_TEST("F-10 a write that has room for a part only is an error, and the next one goes on behind that part") {
    const temporary_folder folder;
    for (const file::mode how : {file::mode::write, file::mode::append}) {
        const std::string path = folder.file(how == file::mode::append ? "appended" : "written");
        file f = co_await file::open(path, how | file::mode::create);
        std::string end;
        {
            const tests::full_disk limited(100'000);
            end = co_await words::ending(f.write(std::string(350'000, 'x')));
        }
        CHECK(end == "cannot write '" + path + "': File too large");
        co_await f.write("end"sv);
        co_await f.close();
        const std::string text = co_await read_file(path);
        CHECK((text == std::string(100'000, 'x') + "end"));
    }
}

EDDY_TEST("the ring's descriptor is not given to other programs") {
    const bool ring = co_await has_ring();
    if (!ring) co_return;
    std::size_t rings = 0;
    for (const auto& e : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        if (std::filesystem::read_symlink(e.path(), gone) != "anon_inode:[io_uring]") continue;
        ++rings;
        CHECK((::fcntl(std::stoi(e.path().filename()), F_GETFD) & FD_CLOEXEC) != 0);
    }
    CHECK(rings == 1);
}

EDDY_TEST_REAL("a read in the ring wakes a loop that sleeps, also when Asio sleeps for it") {
    const temporary_folder folder;
    file f = co_await file::open(fifo_in(folder), mode::read_write);
    for (const bool asio_too : {false, true}) {
        if (asio_too) static_cast<void>(this_loop().io_context());
        auto reading = spawn(next_bytes(f, 100));
        co_await call_is_in_kernel();
        std::thread feeder([fd = f.native_handle()] {
            if (::write(fd, "late", 4) != 4) std::abort();
        });
        std::string got = co_await std::move(reading);
        feeder.join();
        CHECK(got == "late");
    }
    co_await f.close();
}

TEST_CASE("a loop that ends with a read in the ring has it cancelled, and is not held up") {
    const temporary_folder folder;
    const std::string path = fifo_in(folder);
    std::string end;
    event_loop loop(loop_options{.engine = engine_kind::native});
    const auto body = [&]() -> task<bool> {
        const bool ring = co_await has_ring();
        if (!ring) co_return false;
        file f = co_await file::open(path, mode::read_write);
        static_cast<void>(spawn([](file in, std::string& log) -> task<> { log = co_await words::ending(next_bytes(in, 1)); }(std::move(f), end)));
        co_await call_is_in_kernel();
        co_return true;
    };
    const bool ring = loop.run_until_complete(body());
    loop.close();
    if (ring) CHECK(end == "cancelled");
}

TEST_CASE("a read in the ring outlives the thread that began it") {
    const temporary_folder folder;
    const std::string path = fifo_in(folder);
    event_loop loop(loop_options{.engine = engine_kind::native});
    file f;
    std::thread beginner([&] {
        loop.run_until_complete([](file& out, std::string p) -> task<> { out = co_await file::open(p, mode::read_write); }(f, path));
        static_cast<void>(loop.spawn([](file& in) -> task<> {
            std::string got = co_await next_bytes(in, 10);
            CHECK(got == "late");
        }(f)));
        for (int i = 0; i < 10; ++i) loop.run_once();
    });
    beginner.join();
    CHECK(loop.stats().tasks == 1);
    CHECK(::write(f.native_handle(), "late", 4) == 4);
    for (int i = 0; i < 1000 && loop.stats().tasks > 0; ++i) loop.run_once(10ms);
    CHECK(loop.stats().tasks == 0);
    loop.run_until_complete([](file& in) -> task<> { co_await in.close(); }(f));
}

TEST_CASE("a process that was forked leaves its parent's ring alone") {
    const temporary_folder folder;
    const std::string path = fifo_in(folder);
    event_loop loop(loop_options{.engine = engine_kind::native});
    std::string end;
    const auto body = [&]() -> task<bool> {
        const bool ring = co_await has_ring();
        if (!ring) co_return false;
        file f = co_await file::open(path, mode::read_write);
        auto reading = spawn([&]() -> task<> { end = co_await next_bytes(f, 10); });
        co_await call_is_in_kernel();
        const pid_t child = ::fork();
        if (child == 0) {
            const bool none = !ring_of_this_loop()->supports(detail::ring_opcode::read) && this_loop().stats().ring_operations == 0;
            reading.cancel(); // of the copy
            ::_exit(none ? 0 : 1);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        CHECK(ending_text(status) == "exit 0");
        CHECK(::write(f.native_handle(), "data", 4) == 4);
        co_await reading;
        co_await f.close();
        co_return true;
    };
    const bool ring = loop.run_until_complete(body());
    if (ring) CHECK(end == "data");
}

// --- a kernel that forbids it

TEST_CASE("child: files under a filter that forbids io_uring", "[.child]") {
    const std::string argument = child_argument();
    const std::size_t space = argument.find(' ');
    const int error = std::stoi(argument.substr(space + 1));
    const temporary_folder folder;
    event_loop loop(loop_options{.debug = true, .engine = engine_kind::native});
    const auto ending = [&] { return loop.run_until_complete(all_calls(folder)) == result_of_all_calls(folder) ? "ok" : "wrong"; };
    if (argument.starts_with("late")) say(std::string("before: ") + ending());
    const int call = argument.starts_with("late") ? SYS_io_uring_enter : argument.starts_with("probe") ? SYS_io_uring_register : SYS_io_uring_setup;
    if (!forbid(call, error)) {
        say("no filter");
        leave(0);
    }
    const std::string text = ending();
    say(text + ": " + used_by(loop));
    std::error_code ignored;
    std::filesystem::remove_all(folder.file(""), ignored);
    leave(0);
}

TEST_CASE("F-09 where the kernel refuses a ring, files go to the pool, and debug mode says so") {
    event_loop loop(loop_options{.engine = engine_kind::native});
    const bool ring = loop.run_until_complete(has_ring());
    if (!ring) return; // this build or this kernel has none to refuse
    for (const int error : {EPERM, ENOSYS, ENOMEM}) {
        child c("child: files under a filter that forbids io_uring", "never " + std::to_string(error));
        const std::string end = c.wait();
        CHECK(end == "exit 0");
        const std::string text = c.output();
        if (text.find("no filter") != std::string::npos) continue;
        CHECK(text.find("ok: pool") != std::string::npos);
        CHECK(text.find("eddy: files go to the blocking pool, without io_uring: ") != std::string::npos);
    }
}

TEST_CASE("F-09 a ring that cannot say what it can do, or is forbidden later, is given up") {
    for (const std::string when : {"probe ", "late "}) {
        child c("child: files under a filter that forbids io_uring", when + std::to_string(EPERM));
        const std::string end = c.wait();
        CHECK(end == "exit 0");
        const std::string text = c.output();
        if (text.find("no filter") != std::string::npos) continue;
        CHECK(text.find("ok: pool") != std::string::npos);
    }
}

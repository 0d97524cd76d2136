// Every call that runs on the blocking pool, cancelled before it has a worker. What happens when the kernel has it is in
// file_test.cpp (F-03, F-04), and what the ring makes of it in file_ring_test.cpp.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <eddy/detail/look_up_pool.hpp>

#include "io/blocked_pool.hpp"
#include "io/file_back_end.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;
using mode = file::mode;

namespace {

/// The pool for files and the one for names.
class blocked_pools {
public:
    task<> block() {
        co_await files_.block();
        co_await names_.block();
    }
    task<> release() {
        co_await files_.release();
        co_await names_.release();
    }

private:
    blocked_pool files_;
    blocked_pool names_{detail::look_up_pool(this_loop())};
};

/// Files to try the calls on; none of the calls may leave a trace.
class files {
public:
    task<> prepare() {
        co_await write_file(kept(), std::string("kept"));
        open_ = co_await file::open(kept(), mode::read_write);
    }
    task<> check_and_close() {
        std::string text = co_await read_file(kept());
        CHECK(text == "kept");
        CHECK(!std::filesystem::exists(made()));
        CHECK(std::filesystem::file_size(kept()) == 4);
        const std::chrono::system_clock::time_point changed = co_await open_.last_write_time();
        CHECK(changed != std::chrono::system_clock::time_point());
        std::size_t entries = 0;
        for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(folder())) ++entries;
        CHECK(entries == 1);
        std::string from_start(4, '\0'); // the position did not move
        const std::size_t n = co_await open_.read(std::as_writable_bytes(std::span(from_start)));
        CHECK(n == 4);
        co_await open_.close();
    }
    [[nodiscard]] std::string folder() const { return folder_.file(""); }
    [[nodiscard]] std::string kept() const { return folder_.file("kept"); }
    [[nodiscard]] std::string made() const { return folder_.file("made"); }
    file& open() { return open_; }
    std::array<std::byte, 4> buffer{};

private:
    temporary_folder folder_;
    file open_;
};

struct file_call {
    std::string name;
    std::function<task<>(files&)> make;
};

task<> open_new(files& f) {
    static_cast<void>(co_await file::open(f.made(), mode::write | mode::create));
}
task<> read_position(files& f) {
    static_cast<void>(co_await f.open().read(f.buffer));
}
task<> read_offset(files& f) {
    static_cast<void>(co_await f.open().read_at(0, f.buffer));
}
task<> write_position(files& f) {
    static_cast<void>(co_await f.open().write("gone"sv));
}
task<> write_offset(files& f) {
    static_cast<void>(co_await f.open().write_at(0, "gone"sv));
}
task<> sync(files& f) {
    co_await f.open().sync();
}
task<> size(files& f) {
    static_cast<void>(co_await f.open().size());
}
task<> truncate(files& f) {
    co_await f.open().truncate(0);
}
task<> datasync(files& f) {
    co_await f.open().datasync();
}
task<> allocate(files& f) {
    co_await f.open().allocate(0, 1 << 20);
}
task<> advise(files& f) {
    co_await f.open().advise(file::advice::will_need);
}
task<> last_write_time(files& f) {
    static_cast<void>(co_await f.open().last_write_time());
}
task<> set_last_write_time(files& f) {
    co_await f.open().last_write_time(std::chrono::system_clock::time_point());
}
task<> read_whole(files& f) {
    static_cast<void>(co_await read_file(f.kept()));
}
task<> write_whole(files& f) {
    co_await write_file(f.kept(), std::string("gone"));
}
task<> write_whole_atomically(files& f) {
    co_await write_file_atomically(f.kept(), std::string("gone"));
}
task<> read_position_as_stream(files& f) {
    static_cast<void>(co_await f.open().read_some(f.buffer));
}
task<> lock(files& f) {
    const file_lock held = co_await f.open().lock();
}
task<> try_lock(files& f) {
    const std::optional<file_lock> held = co_await f.open().try_lock();
}
task<> create_temporary(files& f) {
    temp_file t = co_await temp_file::create({.directory = f.folder()});
}
task<> create_temporary_directory(files& f) {
    temp_directory d = co_await temp_directory::create({.directory = f.folder()});
}
task<> open_unnamed(files& f) {
    file t = co_await temp_file::open_unnamed({.directory = f.folder()});
}
task<> look_up(files&) {
    static_cast<void>(co_await resolve("localhost", "80"));
}
task<> connect_by_name(files&) {
    static_cast<void>(co_await tcp_connect("localhost", 1));
}

std::vector<file_call> file_calls() {
    std::vector<file_call> all;
    all.push_back({"file::open", &open_new});
    all.push_back({"read", &read_position});
    all.push_back({"read_at", &read_offset});
    all.push_back({"write", &write_position});
    all.push_back({"write_at", &write_offset});
    all.push_back({"sync", &sync});
    all.push_back({"size", &size});
    all.push_back({"truncate", &truncate});
    all.push_back({"datasync", &datasync});
    all.push_back({"allocate", &allocate});
    all.push_back({"advise", &advise});
    all.push_back({"last_write_time", &last_write_time});
    all.push_back({"last_write_time, set", &set_last_write_time});
    all.push_back({"read_file", &read_whole});
    all.push_back({"write_file", &write_whole});
    all.push_back({"write_file_atomically", &write_whole_atomically});
    all.push_back({"read_some", &read_position_as_stream});
    all.push_back({"lock", &lock});
    all.push_back({"try_lock", &try_lock});
    all.push_back({"temp_file::create", &create_temporary});
    all.push_back({"temp_directory::create", &create_temporary_directory});
    all.push_back({"temp_file::open_unnamed", &open_unnamed});
    all.push_back({"resolve", &look_up});
    all.push_back({"tcp_connect by name", &connect_by_name});
    return all;
}

} // namespace

EDDY_TEST("R1 F-03 in a cancelled scope no file call is begun") {
    files f;
    co_await f.prepare();
    for (const file_call& c : file_calls()) {
        std::string log;
        const auto body = [&](cancel_scope& s) -> task<> {
            s.cancel();
            log = co_await words::ending(c.make(f));
        };
        co_await with_scope(body);
        CHECK(c.name + ": " + log == c.name + ": cancelled");
    }
    CHECK(this_loop().stats().pool_jobs == 0);
    co_await f.check_and_close();
}

EDDY_TEST("R4 F-03 F-04 cancelled while it waits for a worker, a file call does not happen") {
    const without_ring on_workers;
    files f;
    co_await f.prepare();
    blocked_pools pools;
    co_await pools.block();
    const std::size_t jobs = this_loop().stats().pool_jobs;
    for (const file_call& c : file_calls()) {
        auto waiting = spawn(words::ending(c.make(f)));
        co_await some_turns();
        CHECK(this_loop().stats().pool_jobs == jobs + 1);
        waiting.cancel();
        std::string log = co_await std::move(waiting);
        CHECK(c.name + ": " + log == c.name + ": cancelled");
        CHECK(this_loop().stats().pool_jobs == jobs);
    }
    co_await pools.release();
    co_await f.check_and_close();
}

EDDY_TEST_REAL("R6 timed out while it waits for a worker, a file call is the timeout's error and does not happen") {
    const without_ring on_workers;
    files f;
    co_await f.prepare();
    blocked_pools pools;
    co_await pools.block();
    for (const file_call& c : file_calls()) {
        const auto body = [&](cancel_scope&) { return c.make(f); };
        outcome<> end = co_await as_result(with_timeout(1ms, body));
        CHECK(c.name + ": " + words::of(end).substr(0, 9) == c.name + ": timed out");
    }
    co_await pools.release();
    co_await f.check_and_close();
}

EDDY_TEST("shielded, a file call waits for its worker although its task is cancelled") {
    const without_ring on_workers;
    files f;
    co_await f.prepare();
    blocked_pools pools;
    co_await pools.block();
    std::string log;
    const auto inner = [&]() -> task<> { co_await write_file(f.made(), std::string("shielded")); };
    auto waiting = spawn([&]() -> task<> {
        co_await with_shield(inner);
        log = co_await words::ending(this_task::checkpoint());
    });
    co_await some_turns();
    waiting.cancel();
    co_await some_turns();
    CHECK(!waiting.done());
    co_await pools.release();
    co_await waiting.join();
    CHECK(log == "cancelled");
    std::string text = co_await read_file(f.made());
    CHECK(text == "shielded");
    std::filesystem::remove(f.made());
    co_await f.check_and_close();
}

#include <eddy/eddy.hpp>
#include <eddy/fs.hpp>
#include <eddy/fs_watcher.hpp>
#include <eddy/testing.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "io/blocked_pool.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using fs::change;

static_assert(!std::is_same_v<fs::watcher, eddy::watcher<int>>); // another thing of that name: <eddy/watch.hpp>

namespace {

std::string name_of(change c) {
    switch (c) {
    case change::created: return "created";
    case change::modified: return "modified";
    case change::written: return "written";
    case change::removed: return "removed";
    case change::moved_from: return "moved_from";
    case change::moved_to: return "moved_to";
    case change::attributes: return "attributes";
    case change::self_removed: return "self_removed";
    case change::self_moved: return "self_moved";
    case change::overflow: return "overflow";
    }
    return "?";
}

/// "created x", with the name relative to the folder.
std::string words_of(const fs::event& e, const std::string& folder) {
    std::string name = e.path().string();
    if (name.starts_with(folder)) name = "." + name.substr(folder.size());
    return name_of(e.kind()) + (e.is_directory() ? " directory " : " ") + name;
}

/// The next n events.
task<std::string> next_words(fs::watcher& w, int n, std::string folder) {
    std::string all;
    for (int i = 0; i < n; ++i) {
        const fs::event e = co_await w.next();
        all += words_of(e, folder) + "\n";
    }
    co_return all;
}

task<bool> is_quiet(fs::watcher& w) {
    const auto wait = [&](cancel_scope&) -> task<> { static_cast<void>(co_await w.next()); };
    const bool something = co_await move_on_after(1ms, wait);
    co_return !something;
}

void put(const std::string& path, std::string_view text) {
    std::ofstream(path) << text;
}

class watched_folder {
public:
    watched_folder() { std::filesystem::create_directory(path()); }
    [[nodiscard]] std::string path() const { return folder_.file("watched"); }
    [[nodiscard]] std::string outside(const std::string& name) const { return folder_.file(name); }
    [[nodiscard]] std::string in(const std::string& name) const { return path() + "/" + name; }

private:
    temporary_folder folder_;
};

/// Does the kernel watch it, for any watcher of this process?
bool is_watched(const std::string& path) {
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) return false;
    std::array<char, 32> wanted{};
    std::snprintf(wanted.data(), wanted.size(), " ino:%lx ", static_cast<unsigned long>(st.st_ino));
    for (const auto& e : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
        std::ifstream info(e.path());
        for (std::string line; std::getline(info, line);) {
            if (line.starts_with("inotify") && line.find(wanted.data()) != std::string::npos) return true;
        }
    }
    return false;
}

/// Turns enough for a task to have read what there is.
task<> operation_begun(const task_handle<std::string>& h) {
    for (int i = 0; i < 30 && !h.done(); ++i) co_await this_task::yield();
}

} // namespace

EDDY_TEST("what happens in a directory is told in its order, from the moment it is watched") {
    const watched_folder d;
    fs::watcher w;
    co_await w.add(d.path());
    put(d.in("x"), "text");
    ::chmod(d.in("x").c_str(), 0600);
    std::filesystem::remove(d.in("x"));
    std::filesystem::create_directory(d.in("sub"));
    std::filesystem::remove(d.in("sub"));
    std::string got = co_await next_words(w, 7, d.path());
    CHECK(got == "created ./x\nmodified ./x\nwritten ./x\nattributes ./x\nremoved ./x\ncreated directory ./sub\nremoved directory ./sub\n");
    co_await w.close();
}

EDDY_TEST("only what was asked for is told, and what is below is not") {
    const watched_folder d;
    std::filesystem::create_directory(d.in("sub"));
    fs::watcher w;
    co_await w.add(d.path(), change::written | change::removed);
    put(d.in("sub/deep"), "x");
    put(d.in("x"), "x");
    std::filesystem::remove(d.in("x"));
    std::string got = co_await next_words(w, 2, d.path());
    CHECK(got == "written ./x\nremoved ./x\n");
    co_await w.add(d.path(), change::created); // instead
    put(d.in("y"), "x");
    got = co_await next_words(w, 1, d.path());
    CHECK(got == "created ./y\n");
    const bool quiet = co_await is_quiet(w);
    CHECK(quiet);
}

EDDY_TEST("the two events of a move have the same cookie") {
    const watched_folder d;
    std::filesystem::create_directory(d.in("sub"));
    put(d.in("a"), "x");
    fs::watcher w;
    co_await w.add(d.path(), change::moved_from | change::moved_to);
    co_await w.add(d.in("sub"), change::moved_from | change::moved_to);
    std::filesystem::rename(d.in("a"), d.in("sub/b"));
    const fs::event from = co_await w.next();
    const fs::event to = co_await w.next();
    CHECK(words_of(from, d.path()) == "moved_from ./a");
    CHECK(words_of(to, d.path()) == "moved_to ./sub/b");
    CHECK(from.cookie() == to.cookie());
    CHECK(from.cookie() != 0);
    std::filesystem::rename(d.in("sub/b"), d.outside("c")); // out of sight
    std::string got = co_await next_words(w, 1, d.path());
    CHECK(got == "moved_from ./sub/b\n");
}

EDDY_TEST("a watched file tells of itself, until it is gone") {
    const watched_folder d;
    put(d.in("x"), "x");
    fs::watcher w;
    co_await w.add(d.in("x"), change::written);
    put(d.in("y"), "another");
    put(d.in("x"), "again");
    std::string got = co_await next_words(w, 1, d.path());
    CHECK(got == "written ./x\n");
    std::filesystem::remove(d.in("x"));
    got = co_await next_words(w, 1, d.path());
    CHECK(got == "self_removed ./x\n");
    CHECK_FALSE(w.remove(d.in("x"))); // the watch has gone with it
    put(d.in("x"), "a new one");
    const bool quiet = co_await is_quiet(w);
    CHECK(quiet);
}

EDDY_TEST("a directory that is moved says so, and its watch goes with it") {
    const watched_folder d;
    fs::watcher w;
    co_await w.add(d.path(), change::created);
    std::filesystem::rename(d.path(), d.outside("elsewhere"));
    std::string got = co_await next_words(w, 1, d.path());
    CHECK(got == "self_moved .\n");
    put(d.outside("elsewhere/x"), "x");
    got = co_await next_words(w, 1, d.path());
    CHECK(got == "created ./x\n"); // by the path that was given
    co_await w.add(d.outside("elsewhere"), change::created);
    put(d.outside("elsewhere/y"), "x");
    got = co_await next_words(w, 1, d.outside("elsewhere"));
    CHECK(got == "created ./y\n");
}

EDDY_TEST("what was not taken of a path that is no longer watched is dropped") {
    const watched_folder d;
    std::filesystem::create_directory(d.in("sub"));
    fs::watcher w;
    co_await w.add(d.path(), change::created);
    co_await w.add(d.in("sub"), change::created);
    put(d.in("x"), "x");
    put(d.in("sub/y"), "x");
    std::string got = co_await next_words(w, 1, d.path()); // both have been received
    CHECK(got == "created ./x\n");
    CHECK(w.remove(d.in("sub")));
    CHECK_FALSE(w.remove(d.in("sub")));
    put(d.in("z"), "x");
    got = co_await next_words(w, 1, d.path());
    CHECK(got == "created ./z\n");
}

EDDY_TEST("events that the kernel had to drop are told of") {
    const watched_folder d;
    put(d.in("a"), "x");
    put(d.in("b"), "x");
    std::size_t limit = 0;
    std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> limit;
    if (limit == 0 || limit > 100'000) co_return; // more than a test should make
    fs::watcher w;
    co_await w.add(d.path(), change::attributes);
    for (std::size_t i = 0; i < limit / 2 + 10; ++i) {
        ::chmod(d.in("a").c_str(), 0600);
        ::chmod(d.in("b").c_str(), 0600);
    }
    std::size_t before = 0;
    fs::event e = co_await w.next();
    for (; e.kind() == change::attributes; e = co_await w.next()) ++before;
    CHECK(e.kind() == change::overflow);
    CHECK(e.path().empty());
    CHECK(before == limit);
    ::chmod(d.in("a").c_str(), 0600);
    std::string got = co_await next_words(w, 1, d.path());
    CHECK(got == "attributes ./a\n");
}

EDDY_TEST("R13 who waits when a watcher is closed or goes is told") {
    const watched_folder d;
    fs::watcher w;
    co_await w.add(d.path());
    auto waiting = spawn(words::ending(w.next()));
    co_await testing::settle();
    CHECK(!waiting.done());
    co_await w.close();
    std::string end = co_await std::move(waiting);
    CHECK(end == "read from a file watcher: it was closed on our side");
    CHECK_FALSE(w.is_open());
    co_await w.close(); // twice does no harm
    end = co_await words::ending(w.next());
    CHECK(end == "this file watcher is closed");
    end = co_await words::ending(w.add(d.path()));
    CHECK(end == "this file watcher is closed");

    std::optional<fs::watcher> goes(std::in_place);
    co_await goes->add(d.path());
    auto left = spawn(words::ending(goes->next()));
    co_await testing::settle();
    goes.reset();
    end = co_await std::move(left);
    CHECK(end == "read from a file watcher: it was closed on our side");

    fs::watcher a;
    fs::watcher b = std::move(a);
    CHECK_FALSE(a.is_open());
    b = fs::watcher();
    CHECK(b.is_open());
}

EDDY_TEST("R4 R13 a cancelled wait has taken nothing, and a second waiter is refused") {
    const watched_folder d;
    fs::watcher w;
    co_await w.add(d.path(), change::created);
    auto first = spawn(next_words(w, 1, d.path()));
    co_await testing::settle();
    std::string end = co_await words::ending(w.next());
    CHECK(end == "another task is already reading from a file watcher");
    co_await first.cancel_and_join();
    put(d.in("x"), "x");
    put(d.in("y"), "x");
    const auto body = [&](cancel_scope& s) -> task<> {
        s.cancel();
        end = co_await words::ending(w.next()); // although there are some
    };
    co_await with_scope(body);
    CHECK(end == "cancelled");
    std::string got = co_await next_words(w, 2, d.path());
    CHECK(got == "created ./x\ncreated ./y\n");
}

EDDY_TEST("a path that cannot be watched is an error that says it") {
    fs::watcher w;
    std::string end = co_await words::ending(w.add("/no/such"));
    CHECK(end == "cannot watch '/no/such': No such file or directory");
    CHECK_FALSE(w.remove("/no/such"));
    co_await w.close();
}

EDDY_TEST("a tree is watched by walking it") {
    const watched_folder d;
    std::filesystem::create_directories(d.in("a/b/c"));
    fs::watcher w;
    co_await w.add(d.path(), change::created);
    auto found = fs::walk(d.path());
    while (auto e = co_await found.next()) {
        if (e->is_directory()) co_await w.add(e->path(), change::created);
    }
    put(d.in("a/b/c/x"), "x");
    std::string got = co_await next_words(w, 1, d.path());
    CHECK(got == "created ./a/b/c/x\n");
}

EDDY_TEST("a second waiter is refused also in the tick in which the first one's events came") {
    const watched_folder d;
    fs::watcher w;
    co_await w.add(d.path(), change::created);
    auto first = spawn(next_words(w, 2, d.path()));
    co_await testing::settle();
    const std::size_t pending = this_loop().stats().pending_operations;
    ::mkdir(d.in("x").c_str(), 0700);
    ::mkdir(d.in("y").c_str(), 0700);
    co_await operation_completed(pending);
    const bool in_that_tick = !first.done(); // in another order of ready tasks it has run already
    std::string end = "another task is already reading from a file watcher";
    if (in_that_tick) end = co_await words::ending(w.next());
    CHECK(end == "another task is already reading from a file watcher");
    std::string got = co_await std::move(first);
    CHECK(got == "created directory ./x\ncreated directory ./y\n");
}

EDDY_TEST("R1 R4 add, cancelled before it has a worker, watches nothing") {
    const watched_folder d;
    fs::watcher w;
    std::string end;
    const auto body = [&](cancel_scope& s) -> task<> {
        s.cancel();
        end = co_await words::ending(w.add(d.path()));
    };
    co_await with_scope(body);
    CHECK(end == "cancelled");
    blocked_pool pool;
    co_await pool.block();
    const std::size_t descriptors = open_descriptors();
    auto waiting = spawn(words::ending(w.add(d.path())));
    co_await some_turns();
    CHECK(!waiting.done());
    waiting.cancel();
    end = co_await std::move(waiting);
    CHECK(end == "cancelled");
    CHECK(open_descriptors() == descriptors);
    co_await pool.release();
    CHECK_FALSE(w.remove(d.path()));
    put(d.in("x"), "x");
    const bool quiet = co_await is_quiet(w);
    CHECK(quiet);
}

EDDY_TEST("R13 a watcher that is closed while a path waits to be looked up says so") {
    const watched_folder d;
    blocked_pool pool;
    fs::watcher w;
    co_await pool.block();
    auto waiting = spawn(words::ending(w.add(d.path())));
    co_await some_turns();
    co_await w.close();
    co_await pool.release();
    std::string end = co_await std::move(waiting);
    CHECK(end == "cannot watch '" + d.path() + "': this file watcher was closed");
}

EDDY_TEST("events of a watch that came before its worker was back are told, in their order") {
    const watched_folder d;
    std::filesystem::create_directory(d.in("sub"));
    fs::watcher w;
    co_await w.add(d.path(), change::created);
    for (int i = 0; i < 20; ++i) {
        auto got = spawn(next_words(w, 2, d.path()));
        auto adding = spawn(w.add(d.in("sub"), change::created));
        const auto number = std::to_string(i);
        while (!is_watched(d.in("sub"))) co_await this_task::yield(); // perhaps before `add` knows
        put(d.in("sub/" + number), "x");
        put(d.in(number), "x");
        std::string told = co_await std::move(got);
        CHECK(told == "created ./sub/" + number + "\ncreated ./" + number + "\n");
        co_await adding;
        CHECK(w.remove(d.in("sub")));
    }
}

EDDY_TEST("R4 R13 next waits for a path that is looked up; cancelled or closed meanwhile, it has taken nothing or is told") {
    const watched_folder d;
    std::filesystem::create_directory(d.in("sub"));
    fs::watcher w;
    co_await w.add(d.path(), change::created);
    co_await w.add(d.in("sub"), change::created);
    CHECK(w.remove(d.in("sub"))); // which the kernel confirms by an event of a number that is not known any more
    blocked_pool pool;
    co_await pool.block();
    auto adding = spawn(w.add(d.in("sub"), change::created));
    co_await some_turns();
    put(d.in("x"), "x");
    auto first = spawn(words::ending(w.next()));
    co_await operation_begun(first);
    CHECK(!first.done());
    first.cancel();
    std::string end = co_await std::move(first);
    CHECK(end == "cancelled");
    auto second = spawn(next_words(w, 1, d.path()));
    co_await pool.release();
    co_await adding;
    end = co_await std::move(second);
    CHECK(end == "created ./x\n");

    CHECK(w.remove(d.in("sub")));
    blocked_pool again;
    co_await again.block();
    auto late = spawn(words::ending(w.add(d.in("sub"), change::created)));
    co_await some_turns();
    auto third = spawn(words::ending(w.next()));
    co_await operation_begun(third);
    co_await w.close();
    end = co_await std::move(third);
    CHECK(end == "read from a file watcher: it was closed on our side");
    co_await again.release();
    co_await late.join();
}

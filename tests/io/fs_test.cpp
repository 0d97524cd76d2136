#include <eddy/eddy.hpp>
#include <eddy/fs.hpp>
#include <eddy/testing.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "io/blocked_pool.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;

namespace {

void put(const fs::path& p, std::string_view text) {
    std::ofstream(p) << text;
}

/// root/{one, two/{three, four/{five}}, empty/}
class tree {
public:
    tree() {
        std::filesystem::create_directories(root() / "two/four");
        std::filesystem::create_directory(root() / "empty");
        put(root() / "one", "1");
        put(root() / "two/three", "333");
        put(root() / "two/four/five", "55555");
    }
    [[nodiscard]] fs::path root() const { return folder_.file("root"); }
    [[nodiscard]] fs::path outside(const std::string& name) const { return folder_.file(name); }

private:
    temporary_folder folder_;
};

/// "name:depth" of all, sorted.
task<std::string> walked(fs::path root, fs::walk_options options = {}) {
    std::set<std::string> names;
    auto all = fs::walk(root, options);
    while (auto e = co_await all.next()) {
        std::string name = e->path().lexically_relative(root).string() + ":" + std::to_string(e->depth());
        if (e->is_directory()) name += "/";
        if (e->is_symlink()) name += "@";
        if (!names.insert(name).second) name += " twice";
        names.insert(std::move(name));
    }
    std::string text;
    for (const std::string& n : names) text += n + " ";
    co_return text;
}

/// Directories in each other whose path is longer than the kernel takes: the one nobody can open by its path, whoever runs this.
void make_deep(const fs::path& root) {
    const std::string name(200, 'd');
    std::filesystem::create_directory(root);
    int at = ::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 25; ++i) {
        if (::mkdirat(at, name.c_str(), 0700) != 0) break;
        const int next = ::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ::close(std::exchange(at, next));
    }
    ::close(at);
}

} // namespace

EDDY_TEST("what there is: exists, status, links and kinds") {
    const tree t;
    const fs::path one = t.root() / "one";
    const fs::path link = t.outside("link");
    bool there = co_await fs::exists(one);
    CHECK(there);
    there = co_await fs::exists(t.root() / "none");
    CHECK_FALSE(there);
    co_await fs::create_symlink(one, link);
    fs::file_info i = co_await fs::status(link);
    CHECK(i.kind == fs::file_type::regular);
    CHECK(i.size == 1);
    CHECK(i.links == 1);
    CHECK(i.owner == ::geteuid());
    CHECK(i.modified <= std::chrono::system_clock::now() + 1s);
    CHECK(i.modified > std::chrono::system_clock::now() - 1h);
    const fs::file_info l = co_await fs::symlink_status(link);
    CHECK(l.kind == fs::file_type::symlink);
    CHECK(l.inode != i.inode);
    const fs::path target = co_await fs::read_symlink(link);
    CHECK(target == one);
    const fs::file_info directory = co_await fs::status(t.root());
    CHECK(directory.kind == fs::file_type::directory);
    co_await fs::permissions(one, fs::perms::owner_read);
    i = co_await fs::status(one);
    CHECK(i.permissions == fs::perms::owner_read);
    co_await fs::create_hard_link(one, t.outside("hard"));
    i = co_await fs::status(one);
    CHECK(i.links == 2);
    co_await fs::remove(one);
    there = co_await fs::exists(link); // leads nowhere now
    CHECK_FALSE(there);
}

EDDY_TEST("what can be done: directories, copies, names, sizes, removal") {
    const tree t;
    bool done = co_await fs::create_directory(t.outside("new"));
    CHECK(done);
    done = co_await fs::create_directory(t.outside("new"));
    CHECK_FALSE(done);
    done = co_await fs::create_directories(t.outside("new/a/b"));
    CHECK(done);
    done = co_await fs::copy_file(t.root() / "two/three", t.outside("new/copy"));
    CHECK(done);
    done = co_await fs::copy_file(t.root() / "one", t.outside("new/copy"), fs::copy_options::skip_existing);
    CHECK_FALSE(done);
    std::string got = co_await read_file(t.outside("new/copy"));
    CHECK(got == "333");
    co_await fs::rename(t.outside("new/copy"), t.outside("renamed"));
    co_await fs::resize_file(t.outside("renamed"), 2);
    got = co_await read_file(t.outside("renamed"));
    CHECK(got == "33");
    co_await fs::copy(t.root(), t.outside("all"), fs::copy_options::recursive);
    got = co_await walked(t.outside("all"));
    CHECK(got == "empty:1/ one:1 two/four/five:3 two/four:2/ two/three:2 two:1/ ");
    const std::uintmax_t removed = co_await fs::remove_all(t.outside("all"));
    CHECK(removed == 7);
    done = co_await fs::remove(t.outside("renamed"));
    CHECK(done);
    done = co_await fs::remove(t.outside("renamed"));
    CHECK_FALSE(done);
    const fs::space_info room = co_await fs::space(t.root());
    CHECK(room.capacity > 0);
}

EDDY_TEST("paths: canonical, absolute, current and temporary") {
    const tree t;
    const fs::path canonical = co_await fs::canonical(t.root() / "two/../one");
    CHECK(canonical == std::filesystem::canonical(t.root()) / "one");
    const fs::path weakly = co_await fs::weakly_canonical(t.root() / "none/../other");
    CHECK(weakly == std::filesystem::canonical(t.root()) / "other");
    const fs::path here = co_await fs::current_path();
    CHECK(here == std::filesystem::current_path());
    const fs::path absolute = co_await fs::absolute("x");
    CHECK(absolute == here / "x");
    const fs::path temporary = co_await fs::temp_directory_path();
    CHECK(temporary == std::filesystem::temp_directory_path());
}

EDDY_TEST("what there is, asked in short: kinds, sizes, emptiness, and whether two names are one") {
    const tree t;
    std::filesystem::create_symlink("one", t.root() / "link");
    std::string kinds;
    for (const char* const name : {"one", "two", "link", "none"}) {
        const bool directory = co_await fs::is_directory(t.root() / name);
        const bool regular = co_await fs::is_regular_file(t.root() / name);
        const bool link = co_await fs::is_symlink(t.root() / name);
        kinds += std::string(name) + (directory ? " directory" : "") + (regular ? " file" : "") + (link ? " link" : "") + "; ";
    }
    CHECK(kinds == "one file; two directory; link file link; none; ");
    bool empty = co_await fs::is_empty(t.root() / "empty");
    CHECK(empty);
    empty = co_await fs::is_empty(t.root() / "two");
    CHECK_FALSE(empty);
    const std::uintmax_t size = co_await fs::file_size(t.root() / "two/three");
    CHECK(size == 3);
    bool same = co_await fs::equivalent(t.root() / "one", t.root() / "two/../link");
    CHECK(same);
    same = co_await fs::equivalent(t.root() / "one", t.root() / "two/three");
    CHECK_FALSE(same);
    co_await fs::copy_symlink(t.root() / "link", t.root() / "another");
    const fs::path target = co_await fs::read_symlink(t.root() / "another");
    CHECK(target == "one");
    fs::path way = co_await fs::relative(t.root() / "two/three", t.root() / "empty");
    CHECK(way == "../two/three");
    way = co_await fs::proximate(t.root() / "two/three", t.root());
    CHECK(way == "two/three");
}

EDDY_TEST("the time of the last change can be told and set, also before 1970") {
    const tree t;
    using clock = std::chrono::system_clock;
    const auto before = clock::now() - 1h;
    clock::time_point changed = co_await fs::last_write_time(t.root() / "one");
    CHECK(changed > before);
    for (const auto since : {1234567890123456789ns, -1500000000ns, 0ns}) {
        const clock::time_point wanted{std::chrono::duration_cast<clock::duration>(since)};
        co_await fs::last_write_time(t.root() / "one", wanted);
        changed = co_await fs::last_write_time(t.root() / "one");
        CHECK(changed.time_since_epoch() == wanted.time_since_epoch());
        const fs::file_info info = co_await fs::status(t.root() / "one");
        CHECK(info.accessed > before); // as it was
    }
    const std::string none = (t.root() / "none").string();
    std::string end = co_await words::ending(fs::last_write_time(none, clock::now()));
    CHECK(end == "filesystem error: cannot set the time: No such file or directory [" + none + "]");
    end = co_await words::ending(fs::last_write_time(none));
    CHECK(end == "filesystem error: cannot get status: No such file or directory [" + none + "]");
}

EDDY_TEST("F-07 what fails says the path, or both, and why") {
    const tree t;
    const std::string none = (t.root() / "none").string();
    const auto fails = [](std::string text, const std::string& path) {
        return text.find(path) != std::string::npos && text.find("No such file or directory") != std::string::npos;
    };
    std::string end = co_await words::ending(fs::status(none));
    CHECK(end == "filesystem error: cannot get status: No such file or directory [" + none + "]");
    end = co_await words::ending(fs::symlink_status(none));
    CHECK(fails(end, none));
    end = co_await words::ending(fs::list(none));
    CHECK(end == "filesystem error: cannot open directory: No such file or directory [" + none + "]");
    end = co_await words::ending(fs::rename(none, t.outside("x")));
    CHECK(fails(end, none));
    CHECK(end.find(t.outside("x").string()) != std::string::npos);
    end = co_await words::ending(fs::copy_file(none, t.outside("x")));
    CHECK(fails(end, none));
    end = co_await words::ending(fs::canonical(none));
    CHECK(fails(end, none));
    end = co_await words::ending(fs::resize_file(none, 1));
    CHECK(fails(end, none));
    end = co_await words::ending(fs::create_directory(none + "/below"));
    CHECK(fails(end, none + "/below"));
    end = co_await words::ending(fs::remove(t.root())); // not empty
    CHECK(end.find("Directory not empty") != std::string::npos);
    outcome<fs::file_info> as_code = co_await as_result(fs::status(none));
    CHECK(as_code.error() == std::errc::no_such_file_or_directory);
    end = co_await words::ending(fs::exists(t.root() / "one" / "below"));
    CHECK(end == "ok"); // there is none
    end = co_await words::ending(fs::exists(std::string(5000, 'x')));
    CHECK(end.find("File name too long") != std::string::npos);
}

EDDY_TEST("a list has one level, by name") {
    const tree t;
    const std::vector<fs::entry> all = co_await fs::list(t.root());
    REQUIRE(all.size() == 3);
    CHECK(all[0].path() == t.root() / "empty");
    CHECK(all[0].is_directory());
    CHECK(all[1].path() == t.root() / "one");
    CHECK(all[1].is_regular_file());
    CHECK(all[2].path() == t.root() / "two");
    CHECK(all[2].depth() == 1);
    const std::vector<fs::entry> none = co_await fs::list(t.root() / "empty");
    CHECK(none.empty());
}

EDDY_TEST("a walk has all that is below, as deep as it is asked to") {
    const tree t;
    std::string got = co_await walked(t.root());
    CHECK(got == "empty:1/ one:1 two/four/five:3 two/four:2/ two/three:2 two:1/ ");
    got = co_await walked(t.root(), {.max_depth = 2});
    CHECK(got == "empty:1/ one:1 two/four:2/ two/three:2 two:1/ ");
    got = co_await walked(t.root(), {.max_depth = 1});
    CHECK(got == "empty:1/ one:1 two:1/ ");
    got = co_await walked(t.root(), {.max_depth = 0});
    CHECK(got == "");
    got = co_await walked(t.root() / "empty");
    CHECK(got == "");
}

EDDY_TEST("a directory is an entry before what is in it") {
    const tree t;
    std::vector<fs::path> seen;
    auto all = fs::walk(t.root());
    while (auto e = co_await all.next()) {
        const fs::path above = e->path().parent_path();
        CHECK((above == t.root() || std::find(seen.begin(), seen.end(), above) != seen.end()));
        seen.push_back(e->path());
    }
    CHECK(seen.size() == 6);
}

EDDY_TEST("links are entries; followed, they are entered once, also in a circle") {
    const tree t;
    std::filesystem::create_directory_symlink(t.root(), t.root() / "two/up");
    std::filesystem::create_directory_symlink(t.root() / "two/four", t.root() / "four");
    std::filesystem::create_symlink("nowhere", t.root() / "dangling");
    std::string got = co_await walked(t.root());
    CHECK(got == "dangling:1@ empty:1/ four:1@ one:1 two/four/five:3 two/four:2/ two/three:2 two/up:2@ two:1/ ");
    got = co_await walked(t.root(), {.follow_symlinks = true});
    CHECK(got.find("twice") == std::string::npos);
    const bool by_link = got.find("four/five:2") != std::string::npos && got.find("two/four/five") == std::string::npos;
    const bool by_name = got.find("two/four/five:3") != std::string::npos && got.find(" four/five") == std::string::npos;
    CHECK(by_link != by_name); // whichever came first
    CHECK(got.find("two/up/") == std::string::npos);
    std::filesystem::create_directory_symlink(t.root(), t.outside("root link"));
    got = co_await walked(t.outside("root link"), {.max_depth = 1}); // the root itself may be one
    CHECK(got == "dangling:1@ empty:1/ four:1@ one:1 two:1/ ");
}

EDDY_TEST("a root that cannot be read is an error in any case") {
    const tree t;
    std::string end = co_await words::ending(walked(t.outside("none")));
    CHECK(end == "filesystem error: cannot open directory: No such file or directory [" + t.outside("none").string() + "]");
    end = co_await words::ending(walked(t.outside("none"), {.skip_unreadable = true}));
    CHECK(end.ends_with("No such file or directory [" + t.outside("none").string() + "]"));
    end = co_await words::ending(walked(t.root() / "one"));
    CHECK(end.find("Not a directory") != std::string::npos);
}

EDDY_TEST("a directory that cannot be read is an error with its path, after what came before it, or left out") {
    const tree t;
    const fs::path deep = t.outside("deep");
    make_deep(deep);
    std::size_t seen = 0;
    std::string end;
    auto all = fs::walk(deep);
    try {
        while (auto e = co_await all.next()) ++seen;
    } catch (const fs::filesystem_error& e) {
        end = e.what();
        CHECK(e.path1().string().starts_with(deep.string() + "/ddd"));
    }
    CHECK(end.starts_with("filesystem error: cannot open directory: File name too long ["));
    CHECK(seen >= 18);
    auto after = co_await all.next(); // it is over
    CHECK_FALSE(after.has_value());
    std::size_t left = 0;
    auto others = fs::walk(deep, {.skip_unreadable = true});
    while (auto e = co_await others.next()) ++left;
    CHECK(left == seen);
}

EDDY_TEST("a directory that goes while it waits for its turn is left out") {
    const tree t;
    for (int i = 0; i < 300; ++i) put(t.root() / ("x" + std::to_string(i)), ""); // more than one batch
    auto all = fs::walk(t.root());
    std::size_t seen = 0;
    while (auto e = co_await all.next()) {
        if (++seen == 1) std::filesystem::remove_all(t.root() / "two");
    }
    CHECK(seen >= 300);
    CHECK(seen <= 306);
}

EDDY_TEST("F-08 a walk of 10 000 entries leaves the loop to others, again and again") {
    const tree t;
    const fs::path big = t.outside("big");
    std::filesystem::create_directory(big);
    const int at = ::open(big.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 10'000; ++i) ::close(::openat(at, std::to_string(i).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    ::close(at);
    std::size_t seen = 0;
    std::size_t most = 0;
    bool over = false;
    auto ticker = spawn([&]() -> task<> {
        while (!over) {
            const std::size_t before = seen;
            co_await this_task::yield();
            most = std::max(most, seen - before);
        }
    });
    auto all = fs::walk(big);
    while (auto e = co_await all.next()) ++seen;
    over = true;
    co_await ticker;
    CHECK(seen == 10'000);
    CHECK(most <= 2 * 256); // between two turns of the others
}

EDDY_TEST("a walk that is given up leaves nothing open") {
    const tree t;
    for (int i = 0; i < 600; ++i) put(t.root() / ("x" + std::to_string(i)), "");
    const std::size_t descriptors = open_descriptors();
    {
        auto all = fs::walk(t.root());
        const auto first = co_await all.next();
        CHECK(first.has_value());
    }
    CHECK(open_descriptors() == descriptors);
    auto closed = fs::walk(t.root());
    static_cast<void>(co_await closed.next());
    co_await closed.close();
    CHECK(open_descriptors() == descriptors);
    auto unused = fs::walk("/no/such"); // lazy
}

namespace {

struct fs_call {
    std::string name;
    std::function<task<>(const tree&)> make;
};

template <class A>
task<> dropped(A a) {
    if constexpr (std::is_void_v<typename A::value_type>)
        co_await std::move(a);
    else
        static_cast<void>(co_await std::move(a));
}

std::vector<fs_call> fs_calls() {
    std::vector<fs_call> all;
    const auto add = [&](std::string name, auto make) { all.push_back({std::move(name), [make](const tree& t) { return dropped(make(t)); }}); };
    add("exists", [](const tree& t) { return fs::exists(t.root()); });
    add("status", [](const tree& t) { return fs::status(t.root()); });
    add("symlink_status", [](const tree& t) { return fs::symlink_status(t.root()); });
    add("create_directory", [](const tree& t) { return fs::create_directory(t.outside("made")); });
    add("create_directories", [](const tree& t) { return fs::create_directories(t.outside("made")); });
    add("remove", [](const tree& t) { return fs::remove(t.root() / "one"); });
    add("remove_all", [](const tree& t) { return fs::remove_all(t.root()); });
    add("rename", [](const tree& t) { return fs::rename(t.root(), t.outside("made")); });
    add("copy_file", [](const tree& t) { return fs::copy_file(t.root() / "one", t.outside("made")); });
    add("copy", [](const tree& t) { return fs::copy(t.root(), t.outside("made")); });
    add("read_symlink", [](const tree& t) { return fs::read_symlink(t.root()); });
    add("create_symlink", [](const tree& t) { return fs::create_symlink(t.root(), t.outside("made")); });
    add("create_hard_link", [](const tree& t) { return fs::create_hard_link(t.root() / "one", t.outside("made")); });
    add("resize_file", [](const tree& t) { return fs::resize_file(t.root() / "one", 0); });
    add("permissions", [](const tree& t) { return fs::permissions(t.root() / "one", fs::perms::none); });
    add("canonical", [](const tree& t) { return fs::canonical(t.root()); });
    add("weakly_canonical", [](const tree& t) { return fs::weakly_canonical(t.root()); });
    add("absolute", [](const tree&) { return fs::absolute("x"); });
    add("current_path", [](const tree&) { return fs::current_path(); });
    add("temp_directory_path", [](const tree&) { return fs::temp_directory_path(); });
    add("space", [](const tree& t) { return fs::space(t.root()); });
    add("is_directory", [](const tree& t) { return fs::is_directory(t.root()); });
    add("is_regular_file", [](const tree& t) { return fs::is_regular_file(t.root()); });
    add("is_symlink", [](const tree& t) { return fs::is_symlink(t.root()); });
    add("is_empty", [](const tree& t) { return fs::is_empty(t.root()); });
    add("file_size", [](const tree& t) { return fs::file_size(t.root() / "one"); });
    add("equivalent", [](const tree& t) { return fs::equivalent(t.root(), t.root()); });
    add("last_write_time", [](const tree& t) { return fs::last_write_time(t.root()); });
    add("last_write_time, set", [](const tree& t) { return fs::last_write_time(t.root() / "one", std::chrono::system_clock::time_point()); });
    add("copy_symlink", [](const tree& t) { return fs::copy_symlink(t.root() / "one", t.outside("made")); });
    add("relative", [](const tree& t) { return fs::relative(t.root() / "one", t.root()); });
    add("proximate", [](const tree& t) { return fs::proximate(t.root() / "one", t.root()); });
    add("list", [](const tree& t) { return fs::list(t.root()); });
    add("walk", [](const tree& t) { return walked(t.root()); });
    return all;
}

task<> check_untouched(const tree& t) {
    std::string got = co_await walked(t.root());
    CHECK(got == "empty:1/ one:1 two/four/five:3 two/four:2/ two/three:2 two:1/ ");
    const fs::file_info one = co_await fs::status(t.root() / "one");
    CHECK(one.size == 1);
    CHECK(one.permissions != fs::perms::none);
    CHECK(one.modified != std::chrono::system_clock::time_point());
    const bool made = co_await fs::exists(t.outside("made"));
    CHECK_FALSE(made);
}

} // namespace

EDDY_TEST("R1 in a cancelled scope no fs call is begun") {
    const tree t;
    for (const fs_call& c : fs_calls()) {
        std::string log;
        const auto body = [&](cancel_scope& s) -> task<> {
            s.cancel();
            log = co_await words::ending(c.make(t));
        };
        co_await with_scope(body);
        CHECK(c.name + ": " + log == c.name + ": cancelled");
    }
    CHECK(this_loop().stats().pool_jobs == 0);
    co_await check_untouched(t);
}

EDDY_TEST("R4 cancelled while it waits for a worker, an fs call does not happen") {
    const tree t;
    blocked_pool pool;
    co_await pool.block();
    const std::size_t jobs = this_loop().stats().pool_jobs;
    for (const fs_call& c : fs_calls()) {
        auto waiting = spawn(words::ending(c.make(t)));
        co_await some_turns();
        CHECK(this_loop().stats().pool_jobs == jobs + 1);
        waiting.cancel();
        std::string log = co_await std::move(waiting);
        CHECK(c.name + ": " + log == c.name + ": cancelled");
    }
    co_await pool.release();
    co_await check_untouched(t);
}

// tail: the last lines of files, and then what is added to them: as `tail -F` of the GNU coreutils.
//
//     tail [-n LINES] FILE...
//
// Follows names: a file may be added to, cut short, replaced by another (as log files are), or come into being later. What becomes of
// the files is told on stderr. A line is shown when it is complete, so that lines of different files do not mix. Ctrl-C ends it.
//
// One task waits for what happens in the directories (fs::watcher) and wakes the tasks of the files concerned; each of these reads
// its file up to its end whenever it is woken, however many events there were: a slow disk or a flood of events holds up nobody else.
#include <unistd.h>

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <eddy/errors.hpp>
#include <eddy/event.hpp>
#include <eddy/file.hpp>
#include <eddy/fs.hpp>
#include <eddy/fs_watcher.hpp>
#include <eddy/mutex.hpp>
#include <eddy/readiness.hpp>
#include <eddy/run.hpp>
#include <eddy/task_group.hpp>
#include <eddy/with_cleanup.hpp>

namespace {

using namespace std::chrono_literals;
namespace fs = eddy::fs;

constexpr std::size_t block = 64 * 1024;        // read at once
constexpr std::size_t longest_line = 64 * 1024; // kept until it is complete; a longer one is shown in parts

struct options {
    std::size_t lines = 10;
    std::vector<std::string> files;
};

// --- standard output

class output_error : public std::runtime_error {
public:
    explicit output_error(int error) : std::runtime_error("cannot write to standard output: " + std::generic_category().message(error)) {}
};

/// Shows text of several files, with a heading where another file goes on.
class printer {
public:
    explicit printer(bool headings) noexcept : headings_(headings) {}
    eddy::task<> print(const std::string& file, std::string_view text);

private:
    static eddy::task<> write(std::string_view text);
    eddy::mutex writing_; // text and heading of one file belong together
    const bool headings_;
    std::optional<std::string> last_file_;
    bool at_line_start_ = true;
    bool failed_ = false;
};

eddy::task<> printer::print(const std::string& file, std::string_view text) {
    const eddy::mutex_guard guard = co_await writing_.lock();
    if (failed_ || text.empty()) co_return;
    try {
        if (headings_ && last_file_ != file) {
            const std::string heading = (at_line_start_ ? "" : "\n") + std::string(last_file_ ? "\n" : "") + "==> " + file + " <==\n";
            last_file_ = file;
            co_await write(heading);
        }
        at_line_start_ = text.back() == '\n';
        co_await write(text);
    } catch (const output_error&) {
        failed_ = true;
        throw;
    }
}

/// Waits where it can be cancelled: a pipe that is writable takes as much as PIPE_BUF (POSIX) without blocking.
eddy::task<> printer::write(std::string_view text) {
    constexpr std::size_t portion = 4096;
    while (!text.empty()) {
        co_await eddy::wait_writable(STDOUT_FILENO);
        const ssize_t n = ::write(STDOUT_FILENO, text.data(), std::min(text.size(), portion));
        if (n >= 0)
            text.remove_prefix(static_cast<std::size_t>(n));
        else if (errno != EINTR && errno != EAGAIN)
            throw output_error(errno);
    }
}

// --- the files

class tail;

/// A name that is followed, and the file that it stands for now, if there is one.
class followed_file {
public:
    followed_file(tail& t, printer& p, std::string name) : tail_(t), printer_(p), name_(std::move(name)) {}
    followed_file(const followed_file&) = delete;
    followed_file& operator=(const followed_file&) = delete;

    /// Opens the file, if there is one, and shows its end.
    eddy::task<> show_last(std::size_t lines);
    /// Shows what is added whenever it is woken, until it is cancelled.
    eddy::task<> follow();
    void wake() noexcept { woken_.set(); }
    /// Shows the beginning of a line that is not complete.
    eddy::task<> show_rest();
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    struct identity {
        std::uint64_t device = 0;
        std::uint64_t inode = 0;
        bool operator==(const identity&) const = default;
    };
    eddy::task<std::optional<identity>> look_up();
    eddy::task<> open();
    [[nodiscard]] struct stat status_of_open() const;
    eddy::task<> let_go();
    eddy::task<> catch_up();
    eddy::task<> read_on();
    eddy::task<std::uint64_t> start_of_last(std::size_t lines);
    eddy::task<> show_lines(std::string_view more);
    void tell(std::string message);

    tail& tail_;
    printer& printer_;
    const std::string name_;
    eddy::event woken_;
    eddy::file file_; // stays open when it is renamed, until there is another of that name
    identity opened_;
    std::uint64_t position_ = 0; // shown up to here, but for rest_
    std::string rest_;           // of a line that is not complete
    std::string problem_;        // told last: not again
};

/// The files, and who is to be told when something happens in a directory.
class tail {
public:
    explicit tail(const options& o);
    eddy::task<> run();
    /// What happens to that directory entry, and if it is a link, to where it leads, concerns `f`. The directory has to be there.
    eddy::task<> watch(std::filesystem::path entry, followed_file& f);

private:
    eddy::task<> follow();
    eddy::task<> dispatch();
    void directory_gone(const std::string& directory);
    eddy::task<> add_watch(std::filesystem::path directory, std::filesystem::path entry_name, followed_file& f);

    const std::size_t lines_;
    printer printer_;
    std::list<followed_file> files_;
    fs::watcher watcher_;
    std::set<std::string> directories_;
    std::map<std::string, std::set<followed_file*>> concerned_; // by directory/name
};

/// Once, until it is well again.
void followed_file::tell(std::string message) {
    if (message == problem_) return;
    problem_ = std::move(message);
    std::fprintf(stderr, "tail: %s\n", problem_.c_str());
}

/// What the name stands for now: only a regular file has an end that can be followed, and opening a pipe would wait for a writer.
eddy::task<std::optional<followed_file::identity>> followed_file::look_up() {
    std::optional<identity> found;
    try {
        const fs::file_info info = co_await fs::status(name_);
        if (info.kind == fs::file_type::regular)
            found = identity{info.device, info.inode};
        else
            tell("'" + name_ + "' is no regular file; waiting for one");
    } catch (const fs::filesystem_error& e) {
        tell("'" + name_ + "' cannot be followed: " + e.code().message() + "; waiting for it");
    }
    co_return found;
}

struct stat followed_file::status_of_open() const {
    struct stat s{};
    // Quick, because it is open.
    if (::fstat(file_.native_handle(), &s) != 0) throw std::system_error(errno, std::generic_category(), "fstat " + name_);
    return s;
}

/// It has no name any more. Open, it would keep its directory from going, and us from hearing of that.
eddy::task<> followed_file::let_go() {
    co_await read_on();
    co_await show_rest();
    co_await file_.close();
}

eddy::task<> followed_file::open() {
    file_ = co_await eddy::file::open(name_);
    const struct stat s = status_of_open();
    opened_ = {s.st_dev, s.st_ino};
    position_ = 0;
    problem_.clear();
    co_await tail_.watch(name_, *this); // if it is a link, where it leads now
}

eddy::task<> followed_file::show_last(std::size_t lines) {
    try {
        if (const auto there = co_await look_up(); !there) co_return;
        co_await open();
        position_ = co_await start_of_last(lines);
        co_await read_on();
        co_await show_rest();
    } catch (const std::system_error& e) {
        tell(e.what());
    }
}

/// Reads backwards, block by block.
eddy::task<std::uint64_t> followed_file::start_of_last(std::size_t lines) {
    const std::uint64_t size = co_await file_.size();
    if (lines == 0) co_return size;
    std::vector<char> buffer(block);
    std::size_t found = 0;
    for (std::uint64_t end = size; end > 0;) {
        const std::uint64_t begin = end - std::min<std::uint64_t>(end, block);
        const std::span<char> part(buffer.data(), static_cast<std::size_t>(end - begin));
        const std::size_t n = co_await file_.read_at(begin, std::as_writable_bytes(part));
        for (std::size_t i = n; i-- > 0;) {
            const std::uint64_t after = begin + i + 1;
            if (part[i] == '\n' && after != size && ++found == lines) co_return after;
        }
        end = begin;
    }
    co_return 0;
}

eddy::task<> followed_file::follow() {
    for (;;) {
        co_await woken_.wait();
        woken_.clear(); // what happens from now on is seen by this round, or wakes us again
        try {
            co_await catch_up();
        } catch (const std::system_error& e) {
            tell(e.what()); // of this file; it may be well again, and the others are
        }
    }
}

/// The file that was open first, to its end: whoever writes to it may notice a replacement late. Then its successor.
eddy::task<> followed_file::catch_up() {
    if (file_.is_open()) co_await read_on();
    const auto now = co_await look_up();
    if (!now) {
        if (file_.is_open() && status_of_open().st_nlink == 0) co_await let_go();
        co_return;
    }
    const bool had_one = file_.is_open();
    if (had_one && *now == opened_) {
        problem_.clear();
        co_return;
    }
    co_await show_rest();
    co_await open();
    std::fprintf(stderr, "tail: '%s' %s\n", name_.c_str(), had_one ? "was replaced; following the new one" : "has appeared");
    co_await read_on();
}

eddy::task<> followed_file::read_on() {
    const std::uint64_t size = co_await file_.size();
    if (size < position_) {
        co_await show_rest();
        std::fprintf(stderr, "tail: '%s' was cut short\n", name_.c_str());
        position_ = 0;
    }
    std::vector<char> buffer(block);
    for (;;) {
        const std::size_t n = co_await file_.read_at(position_, std::as_writable_bytes(std::span(buffer)));
        if (n == 0) co_return;
        position_ += n;
        co_await show_lines(std::string_view(buffer.data(), n));
    }
}

eddy::task<> followed_file::show_lines(std::string_view more) {
    rest_ += more;
    const std::size_t complete = rest_.rfind('\n') + 1; // 0 if there is none
    const std::string lines = rest_.substr(0, complete == 0 && rest_.size() > longest_line ? rest_.size() : complete);
    rest_.erase(0, lines.size());
    co_await printer_.print(name_, lines);
}

eddy::task<> followed_file::show_rest() {
    const std::string rest = std::exchange(rest_, {});
    co_await printer_.print(name_, rest);
}

// --- the directories

tail::tail(const options& o) : lines_(o.lines), printer_(o.files.size() > 1) {
    for (const std::string& name : o.files) files_.emplace_back(*this, printer_, name);
}

eddy::task<> tail::add_watch(std::filesystem::path directory, std::filesystem::path entry_name, followed_file& f) {
    using enum fs::change;
    co_await watcher_.add(directory, created | modified | removed | moved_from | moved_to);
    directories_.insert(directory.string());
    concerned_[(directory / entry_name).string()].insert(&f);
}

/// Directories are known by their canonical paths: one that has two names is watched by one of them only.
eddy::task<> tail::watch(std::filesystem::path entry, followed_file& f) {
    const std::filesystem::path parent = entry.has_parent_path() ? entry.parent_path() : std::filesystem::path(".");
    const std::filesystem::path directory = co_await fs::canonical(parent);
    co_await add_watch(directory, entry.filename(), f);
    std::optional<std::filesystem::path> target;
    try {
        target = co_await fs::canonical(entry);
    } catch (const fs::filesystem_error&) {
        // There is nothing yet.
    }
    if (target && *target != directory / entry.filename()) co_await add_watch(target->parent_path(), target->filename(), f);
}

eddy::task<> tail::dispatch() {
    for (;;) {
        const fs::event e = co_await watcher_.next();
        switch (e.kind()) {
        case fs::change::overflow: // nobody knows what has happened: all look for themselves
            for (followed_file& f : files_) f.wake();
            break;
        case fs::change::self_removed:
        case fs::change::self_moved:
            directory_gone(e.path().string());
            break;
        default:
            if (const auto found = concerned_.find(e.path().string()); found != concerned_.end())
                for (followed_file* f : found->second) f->wake();
        }
    }
}

void tail::directory_gone(const std::string& directory) {
    if (directories_.erase(directory) == 0) return;
    watcher_.remove(directory);
    std::fprintf(stderr, "tail: the directory '%s' is gone; nothing in it is followed any more\n", directory.c_str());
    if (directories_.empty()) throw std::runtime_error("nothing is left to follow");
}

eddy::task<> tail::follow() {
    auto all = [this](eddy::task_group& g) -> eddy::task<> {
        for (followed_file& f : files_) g.spawn(f.follow(), {.name = f.name()});
        co_await dispatch();
    };
    try {
        co_await eddy::with_task_group(all);
    } catch (const eddy::exception_group& failures) {
        failures.rethrow_if_single(); // its words are better than those of the group
        throw;
    }
}

/// Watching comes first, then reading, so that nothing falls between the two.
eddy::task<> tail::run() {
    for (followed_file& f : files_) co_await watch(f.name(), f);
    for (followed_file& f : files_) co_await f.show_last(lines_);
    auto until_cancelled = [this] { return follow(); };
    auto last_words = [this]() -> eddy::task<> {
        for (followed_file& f : files_) co_await f.show_rest();
    };
    co_await eddy::with_cleanup(until_cancelled, last_words, 1s);
}

// --- the program

options parse_options(std::span<char*> arguments) {
    options o;
    bool names_only = false;
    for (; !arguments.empty(); arguments = arguments.subspan(1)) {
        const std::string_view argument = arguments.front();
        if (names_only || !argument.starts_with('-')) {
            o.files.emplace_back(argument);
        } else if (argument == "--") {
            names_only = true;
        } else if (argument == "-n") {
            if (arguments.size() < 2) throw std::invalid_argument("-n needs a value");
            arguments = arguments.subspan(1);
            const std::string_view value = arguments.front();
            const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), o.lines);
            if (error != std::errc() || end != value.data() + value.size())
                throw std::invalid_argument("-n: '" + std::string(value) + "' is no number of lines");
        } else {
            throw std::invalid_argument("there is no option '" + std::string(argument) + "'");
        }
    }
    if (o.files.empty()) throw std::invalid_argument("there is no file to follow");
    return o;
}

eddy::task<int> run_tail(options o) {
    try {
        tail t(o);
        co_await t.run();
    } catch (const std::exception& e) {
        std::fprintf(stderr, "tail: %s\n", e.what());
        co_return 1;
    }
    co_return 0;
}

} // namespace

int main(int argc, char** argv) {
    try {
        const options o = parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
        return eddy::run_main(run_tail(o));
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "tail: %s\nusage: tail [-n LINES] FILE...\n", e.what());
        return 2;
    }
}

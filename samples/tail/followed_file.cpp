#include "followed_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <span>
#include <system_error>
#include <vector>

#include <eddy/fs.hpp>

namespace file_tail {

namespace fs = eddy::fs;

namespace {

constexpr std::size_t block = 64 * 1024;        // read at once
constexpr std::size_t longest_line = 64 * 1024; // kept until it is complete; a longer one is shown in parts

} // namespace

// Once, until it is well again.
void followed_file::tell(std::string message) {
    if (message == problem_) return;
    problem_ = std::move(message);
    std::fprintf(stderr, "tail: %s\n", problem_.c_str());
}

// What the name stands for now: only a regular file has an end that can be followed, and opening a pipe would wait for a writer.
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

// It has no name any more. Open, it would keep its directory from going, and us from hearing of that.
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
    co_await watch(); // if it is a link, where it leads now
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

// Reads backwards, block by block.
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

// The file that was open first, to its end: whoever writes to it may notice a replacement late. Then its successor.
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

} // namespace file_tail

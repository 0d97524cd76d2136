// fs: what std::filesystem does, awaited: the system calls run on the loop's blocking pool.
//
//     if (!co_await fs::exists("data")) co_await fs::create_directories("data/in");
//     auto found = fs::walk("data", {.max_depth = 3});
//     while (auto e = co_await found.next()) use(e->path());
//
// The functions do what those of the same name in <filesystem> do, with the same types, paths among them. Errors are
// `std::filesystem::filesystem_error`s (a `std::system_error`), whose message has the path or both.
//
// Cancellation, for all of them: a call that has not begun does not happen; one that the kernel has begun is waited for and its
// result returned (R2, R4), and the next checkpoint throws. So a long `copy_file` or `remove_all` is not cut short.
//
// Not part of <eddy/io.hpp>: <filesystem> alone costs a fifth of the time to compile that.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <utility>
#include <vector>

#include <eddy/async_generator.hpp>
#include <eddy/task.hpp>

namespace eddy::fs {

using std::filesystem::copy_options;
using std::filesystem::file_type;
using std::filesystem::filesystem_error;
using std::filesystem::path;
using std::filesystem::perm_options;
using std::filesystem::perms;
using std::filesystem::space_info;

/// What stat(2) says. Times have the resolution of the file system.
struct file_info {
    file_type kind = file_type::none;
    perms permissions = perms::unknown;
    std::uint64_t size = 0; // bytes
    std::uint64_t links = 0;
    std::uint64_t device = 0; // with inode: which file it is, whatever its name
    std::uint64_t inode = 0;
    std::uint32_t owner = 0;
    std::uint32_t group = 0;
    std::chrono::system_clock::time_point modified{}; // contents
    std::chrono::system_clock::time_point changed{};  // contents, permissions, owner, links
    std::chrono::system_clock::time_point accessed{};
};

/// Something in a directory, as it was when that was read.
class entry {
public:
    entry() = default;
    entry(fs::path p, file_type k, std::size_t depth) noexcept : path_(std::move(p)), kind_(k), depth_(depth) {}
    /// Begins with the directory as it was given.
    [[nodiscard]] const fs::path& path() const noexcept { return path_; }
    /// Of the entry itself: a link is a `symlink`, whatever it leads to.
    [[nodiscard]] file_type kind() const noexcept { return kind_; }
    /// 1 for what is in the directory that was given.
    [[nodiscard]] std::size_t depth() const noexcept { return depth_; }
    [[nodiscard]] bool is_directory() const noexcept { return kind_ == file_type::directory; }
    [[nodiscard]] bool is_regular_file() const noexcept { return kind_ == file_type::regular; }
    [[nodiscard]] bool is_symlink() const noexcept { return kind_ == file_type::symlink; }

private:
    fs::path path_;
    file_type kind_ = file_type::none;
    std::size_t depth_ = 0;
};

/// False if there is nothing of that name, or a link that leads nowhere.
task<bool> exists(path p);
/// Throws if there is none. `status` follows links.
task<file_info> status(path p);
task<file_info> symlink_status(path p);
/// Links are followed, but for `is_symlink`. False if there is none.
task<bool> is_directory(path p);
task<bool> is_regular_file(path p);
task<bool> is_symlink(path p);
/// A file of no bytes, or a directory with nothing in it. Throws if there is none.
task<bool> is_empty(path p);
/// In bytes. Throws for what is no regular file.
task<std::uintmax_t> file_size(path p);
/// Do both names lead to the same thing? Throws if one of them leads nowhere.
task<bool> equivalent(path a, path b);
/// When the contents were changed last, and says when: of the system clock, as `file_info` has it, and not of the `file_clock` of
/// <filesystem>. Links are followed.
task<std::chrono::system_clock::time_point> last_write_time(path p);
task<> last_write_time(path p, std::chrono::system_clock::time_point t);

/// False if it was there.
task<bool> create_directory(path p);
/// With those above it.
task<bool> create_directories(path p);
/// A file, a link, an empty directory. False if there was none.
task<bool> remove(path p);
/// With all that is in it; links are not followed. How many were removed.
task<std::uintmax_t> remove_all(path p);
task<> rename(path from, path to);
/// A regular file. False if it was not copied, as the options say.
task<bool> copy_file(path from, path to, copy_options options = copy_options::none);
/// Also directories and links, as the options say.
task<> copy(path from, path to, copy_options options = copy_options::none);

task<path> read_symlink(path p);
task<> create_symlink(path target, path link);
task<> create_hard_link(path target, path link);
/// The link itself, to a new name.
task<> copy_symlink(path from, path to);
task<> resize_file(path p, std::uintmax_t size);
task<> permissions(path p, perms set, perm_options options = perm_options::replace);

/// Without links, "." and ".."; it has to be there. For `weakly_canonical` only the start of it.
task<path> canonical(path p);
task<path> weakly_canonical(path p);
task<path> absolute(path p);
/// The way from `base` to `p`, links followed; empty if there is none. `proximate`: `p` then.
task<path> relative(path p, path base);
task<path> proximate(path p, path base);
task<path> current_path();
/// Where temporary files go: $TMPDIR, …, /tmp. See <eddy/temp_file.hpp>.
task<path> temp_directory_path();
task<space_info> space(path p);

/// What is in a directory, by name; without "." and "..". Only its own level: see `walk`.
task<std::vector<entry>> list(path directory);

struct walk_options {
    std::size_t max_depth = std::numeric_limits<std::size_t>::max(); // 1: only the directory itself
    bool follow_symlinks = false;                                    // enter directories that links lead to, each directory once
    bool skip_unreadable = false;                                    // directories that cannot be read are left out, not an error
};

/// All that is below a directory: its entries, then those of its directories, one after another, in the order of the file system.
/// A directory is an entry before those in it. Read ahead in batches of at most 256 entries, each in one hop to the pool, so that
/// others have their turns however many there are. One directory is open at a time, and none while nothing is asked for and it was
/// read to its end. What comes or goes meanwhile may be there or not; a directory that is gone when its turn comes is left out.
/// Throws if `root` cannot be read, and for the others unless `skip_unreadable`; the walk is over then.
async_generator<entry> walk(path root, walk_options options = {});

} // namespace eddy::fs

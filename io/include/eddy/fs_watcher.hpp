// fs::watcher: what changes in directories and files, as it happens (inotify(7)).
//
//     fs::watcher w;
//     co_await w.add("conf.d", fs::change::written | fs::change::moved_to);
//     for (;;) {
//         const fs::event e = co_await w.next();
//         if (e.kind() == fs::change::overflow) …             // some were lost: look for yourself
//         reload(e.path());
//     }
//
// A watched directory tells of its entries, not of what is below them; a watched file of itself, as long as it is the same file:
// many programs replace files instead of writing to them, so watch the directory. A watch stays with what it was set on when that
// is renamed; the paths of its events go on being made from the path that was given.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>

#include <eddy/detail/stream_core.hpp>
#include <eddy/task.hpp>

namespace eddy::detail {
class watcher_state;
}

namespace eddy::fs {

enum class change : std::uint32_t {
    created = 1,     // an entry: a file, a directory, a link
    modified = 2,    // contents, with each write
    written = 4,     // closed after it was open for writing
    removed = 8,     // an entry
    moved_from = 16, // an entry has lost this name
    moved_to = 32,   // an entry has got this name; both have the same `cookie`
    attributes = 64, // permissions, owner, times, number of links
    // These are told of in any case:
    self_removed = 128, // what was watched is gone, or its file system; so is the watch
    self_moved = 256,   // what was watched has another name
    overflow = 512,     // the kernel's queue was full and events were dropped, of any watch; no path
};
[[nodiscard]] constexpr change operator|(change a, change b) noexcept {
    return static_cast<change>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
[[nodiscard]] constexpr bool operator&(change a, change b) noexcept {
    return (static_cast<std::uint32_t>(a) & static_cast<std::uint32_t>(b)) != 0;
}
inline constexpr change any_change = static_cast<change>(127);

class event {
public:
    event() = default;
    event(std::filesystem::path p, change k, bool is_directory, std::uint32_t cookie) noexcept
        : path_(std::move(p)), kind_(k), is_directory_(is_directory), cookie_(cookie) {}
    /// The path given to `add`, and the entry's name if it is about one.
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    /// One of them.
    [[nodiscard]] change kind() const noexcept { return kind_; }
    [[nodiscard]] bool is_directory() const noexcept { return is_directory_; }
    /// Joins the two events of a move, if both names are watched; 0 for others.
    [[nodiscard]] std::uint32_t cookie() const noexcept { return cookie_; }

private:
    std::filesystem::path path_;
    change kind_{};
    bool is_directory_ = false;
    std::uint32_t cookie_ = 0;
};

/// Move-only. Bound to the loop that first awaits it, and of its thread.
class watcher {
public:
    /// Throws `std::system_error` if there are too many (/proc/sys/fs/inotify/max_user_instances) or no descriptor.
    watcher();
    watcher(watcher&&) noexcept;
    watcher& operator=(watcher&&) noexcept;
    /// Closes it: who waits gets `closed_resource`.
    ~watcher();

    /// Awaitable: watches from then on; what happens between that and the next `next` is not lost. A second time changes what is
    /// watched for (and, if the same file has another path, the path). A link is followed. The path is looked up on the blocking
    /// pool; meanwhile `next` may wait for it, so that events come in their order, and of two calls at once for one path either may
    /// be the later. Checkpoint; cancelled before a worker has it, nothing is watched; one that the kernel has is waited for and
    /// stays (R2, R4). Throws `std::system_error` that names the path: ENOENT, EACCES, ENOSPC (too many watches); `closed_resource`
    /// after or on a close.
    task<> add(std::filesystem::path p, change changes = any_change);
    /// False if it is not watched by this path. What came and was not taken is dropped. Looks nothing up, and does not wait.
    bool remove(const std::filesystem::path& p);

    /// Awaitable: what happened, in the order it did. Equal events that follow each other may be one. Checkpoint; cancelled, none was
    /// taken. Throws `busy_resource` while another task waits, `closed_resource` after or on a close.
    task<event> next();
    /// Awaitable: frees the descriptor at once, and with it all watches; who waits gets `closed_resource`. A cancellation that was
    /// there before is thrown after the descriptor is free (R13). Twice does no harm.
    detail::close_operation close() noexcept;
    [[nodiscard]] bool is_open() const noexcept;

private:
    std::shared_ptr<detail::watcher_state> state_; // shared with who waits
    [[nodiscard]] detail::watcher_state& open_state() const;
};

} // namespace eddy::fs

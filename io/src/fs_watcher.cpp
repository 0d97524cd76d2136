#include <eddy/fs_watcher.hpp>

#include <sys/inotify.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <unordered_map>

#include <eddy/detail/sole_reader.hpp>
#include <eddy/errors.hpp>
#include <eddy/this_task.hpp>

namespace eddy::detail {
namespace {

using fs::change;
using fs::event;

struct meaning {
    change ours;
    std::uint32_t kernels;
};
constexpr std::array<meaning, 10> meanings{{
    {change::created, IN_CREATE},
    {change::modified, IN_MODIFY},
    {change::written, IN_CLOSE_WRITE},
    {change::removed, IN_DELETE},
    {change::moved_from, IN_MOVED_FROM},
    {change::moved_to, IN_MOVED_TO},
    {change::attributes, IN_ATTRIB},
    {change::self_removed, IN_DELETE_SELF | IN_UNMOUNT},
    {change::self_moved, IN_MOVE_SELF},
    {change::overflow, IN_Q_OVERFLOW},
}};

std::uint32_t mask_of(change changes) noexcept {
    std::uint32_t mask = IN_DELETE_SELF | IN_MOVE_SELF;
    for (const meaning& m : meanings) {
        if (changes & m.ours) mask |= m.kernels & IN_ALL_EVENTS;
    }
    return mask;
}

core_owner open_inotify() {
    const int fd = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0) throw std::system_error(errno, std::generic_category(), "cannot make a file watcher");
    return make_core(fd, false, "a file watcher");
}

} // namespace

/// Events stay as the kernel gave them until they are asked for.
class watcher_state {
public:
    watcher_state() : core(open_inotify()) {}
    [[nodiscard]] std::span<std::byte> room() noexcept { return buffer_; }
    void filled(std::size_t n) noexcept {
        begin_ = 0;
        end_ = n;
    }
    [[nodiscard]] std::optional<event> take() {
        while (begin_ < end_) {
            inotify_event e{};
            std::memcpy(&e, buffer_.data() + begin_, sizeof e);
            const char* const name = reinterpret_cast<const char*>(buffer_.data() + begin_ + sizeof e);
            std::optional<event> made = translated(e, e.len > 0 ? name : "");
            begin_ += sizeof e + e.len;
            if (made) return made;
        }
        return std::nullopt;
    }
    core_owner core;
    std::unordered_map<int, std::filesystem::path> watched;
    bool busy = false; // a task is in `next`: the buffer is its own

private:
    [[nodiscard]] std::optional<event> translated(const inotify_event& e, const char* name) {
        const auto at = watched.find(e.wd);
        if (at == watched.end() && (e.mask & IN_Q_OVERFLOW) == 0) return std::nullopt; // removed meanwhile
        std::optional<event> made;
        for (const meaning& m : meanings) {
            if ((e.mask & m.kernels) == 0) continue;
            std::filesystem::path p;
            if (at != watched.end()) p = *name ? at->second / name : at->second;
            made.emplace(std::move(p), m.ours, (e.mask & IN_ISDIR) != 0, e.cookie);
            break;
        }
        if (at != watched.end() && (e.mask & (IN_DELETE_SELF | IN_UNMOUNT | IN_IGNORED))) watched.erase(at);
        return made;
    }
    alignas(inotify_event) std::array<std::byte, 16 * 1024> buffer_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

} // namespace eddy::detail

namespace eddy::fs {

watcher::watcher() : state_(std::make_shared<detail::watcher_state>()) {}
watcher::watcher(watcher&&) noexcept = default;
watcher& watcher::operator=(watcher&& o) noexcept {
    if (state_) state_->core->close();
    state_ = std::move(o.state_);
    return *this;
}
watcher::~watcher() {
    if (state_) state_->core->close();
}

detail::watcher_state& watcher::open_state() const {
    if (!is_open()) throw closed_resource("this file watcher is closed");
    return *state_;
}

bool watcher::is_open() const noexcept {
    return state_ && state_->core->is_open();
}

void watcher::add(const std::filesystem::path& p, change changes) {
    detail::watcher_state& s = open_state();
    const int number = ::inotify_add_watch(s.core->fd(), p.c_str(), detail::mask_of(changes));
    if (number < 0) {
        const int error = errno;
        const char* const hint = error == ENOSPC ? " (the limit is /proc/sys/fs/inotify/max_user_watches)" : "";
        throw std::system_error(error, std::generic_category(), "cannot watch '" + p.string() + "'" + hint);
    }
    try {
        s.watched.insert_or_assign(number, p);
    } catch (...) {
        ::inotify_rm_watch(s.core->fd(), number);
        throw;
    }
}

bool watcher::remove(const std::filesystem::path& p) {
    detail::watcher_state& s = open_state();
    for (auto it = s.watched.begin(); it != s.watched.end(); ++it) {
        if (it->second != p) continue;
        ::inotify_rm_watch(s.core->fd(), it->first);
        s.watched.erase(it);
        return true;
    }
    return false;
}

task<event> watcher::next() {
    static_cast<void>(open_state());
    const std::shared_ptr<detail::watcher_state> s = state_;
    const detail::sole_reader me(s->busy, s->core->name());
    co_await this_task::checkpoint();
    for (;;) {
        if (std::optional<event> e = s->take()) co_return std::move(*e);
        const std::size_t n = co_await detail::read_operation(*s->core, s->room());
        s->filled(n);
    }
}

detail::close_operation watcher::close() noexcept {
    return detail::close_operation(state_ ? state_->core.ref() : detail::core_ref());
}

} // namespace eddy::fs

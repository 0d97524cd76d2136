#include <eddy/fs_watcher.hpp>

#include <sys/inotify.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include <eddy/detail/sole_reader.hpp>
#include <eddy/errors.hpp>
#include <eddy/event.hpp>
#include <eddy/offload.hpp>
#include <eddy/this_task.hpp>

#include "file_handle.hpp"
#include "second_number.hpp"

namespace eddy::detail {
namespace {

using fs::change;

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

std::string refusal(const std::filesystem::path& p) {
    return "cannot watch '" + p.string() + "'";
}

/// On a worker: the path may lead over a network. The number of the watch.
int watch_now(int inotify, const std::filesystem::path& p, std::uint32_t mask) {
    const int number = uninterrupted([&] { return ::inotify_add_watch(inotify, p.c_str(), mask); });
    if (number >= 0) return number;
    const int error = errno;
    const char* const hint = error == ENOSPC ? " (the limit is /proc/sys/fs/inotify/max_user_watches)" : "";
    throw std::system_error(error, std::generic_category(), refusal(p) + hint);
}

/// Who waits for paths to be looked up is told of a close.
class wakes_at_close final : public close_hook {
public:
    explicit wakes_at_close(event& settled) noexcept : settled_(settled) {}
    void closing() noexcept override { settled_.set(); }

private:
    event& settled_;
};

} // namespace

/// Events stay as the kernel gave them until they are asked for. The kernel knows a watch before we do: the worker that has set it
/// is still on its way back. Events of numbers we do not know wait for it, and those behind them.
class watcher_state {
public:
    watcher_state() : core(open_inotify()) { core->set_close_hook(std::make_unique<wakes_at_close>(settled)); }
    [[nodiscard]] std::span<std::byte> room() noexcept { return buffer_; }
    void filled(std::size_t n) noexcept {
        begin_ = 0;
        end_ = n;
    }
    [[nodiscard]] std::optional<fs::event> take() {
        while (begin_ < end_) {
            inotify_event e{};
            std::memcpy(&e, buffer_.data() + begin_, sizeof e);
            if (may_be_new(e)) return std::nullopt;
            const char* const name = reinterpret_cast<const char*>(buffer_.data() + begin_ + sizeof e);
            std::optional<fs::event> made = translated(e, e.len > 0 ? name : "");
            begin_ += sizeof e + e.len;
            if (made) return made;
        }
        return std::nullopt;
    }
    /// After a `take` of nothing: there is something, which waits until `settled`.
    [[nodiscard]] bool is_held_up() const noexcept { return begin_ < end_; }
    /// A watch that was set. It may be gone again: it was one we knew, by another path perhaps.
    void know(int number, std::filesystem::path p) {
        if (std::find(gone_.begin(), gone_.end(), number) == gone_.end()) watched_.insert_or_assign(number, std::move(p));
    }
    [[nodiscard]] bool remove(const std::filesystem::path& p) {
        const auto at = std::find_if(watched_.begin(), watched_.end(), [&](const auto& w) { return w.second == p; });
        if (at == watched_.end()) return false;
        ::inotify_rm_watch(core->fd(), at->first);
        forget(at);
        return true;
    }

    /// A path is being looked up while this lives.
    class addition {
    public:
        explicit addition(watcher_state& s) noexcept : state_(s) {
            ++state_.additions_;
            state_.settled.clear();
        }
        addition(const addition&) = delete;
        addition& operator=(const addition&) = delete;
        ~addition() {
            if (--state_.additions_ > 0) return;
            state_.gone_.clear();
            state_.settled.set();
        }

    private:
        watcher_state& state_;
    };

    event settled; // no path is being looked up, or it was closed
    core_owner core;
    bool busy = false; // a task is in `next`: the buffer is its own

private:
    using watches = std::unordered_map<int, std::filesystem::path>;

    [[nodiscard]] bool may_be_new(const inotify_event& e) const noexcept {
        return additions_ > 0 && (e.mask & IN_Q_OVERFLOW) == 0 && !watched_.contains(e.wd) &&
               std::find(gone_.begin(), gone_.end(), e.wd) == gone_.end();
    }
    [[nodiscard]] std::optional<fs::event> translated(const inotify_event& e, const char* name) {
        const auto at = watched_.find(e.wd);
        if (at == watched_.end() && (e.mask & IN_Q_OVERFLOW) == 0) return std::nullopt; // removed meanwhile
        std::optional<fs::event> made;
        for (const meaning& m : meanings) {
            if ((e.mask & m.kernels) == 0) continue;
            std::filesystem::path p;
            if (at != watched_.end()) p = *name ? at->second / name : at->second;
            made.emplace(std::move(p), m.ours, (e.mask & IN_ISDIR) != 0, e.cookie);
            break;
        }
        if (at != watched_.end() && (e.mask & (IN_DELETE_SELF | IN_UNMOUNT | IN_IGNORED))) forget(at);
        return made;
    }
    void forget(watches::iterator at) {
        if (additions_ > 0) gone_.push_back(at->first);
        watched_.erase(at);
    }

    watches watched_;
    std::vector<int> gone_; // numbers that ended while paths were being looked up; the kernel gives none again soon
    std::size_t additions_ = 0;
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

task<> watcher::add(std::filesystem::path p, change changes) {
    static_cast<void>(open_state());
    const std::shared_ptr<detail::watcher_state> s = state_;
    const detail::second_number inotify(s->core->fd(), detail::refusal(p));
    const detail::watcher_state::addition adding(*s);
    const int number = co_await offload(detail::pool(), &detail::watch_now, inotify.get(), std::cref(p), detail::mask_of(changes));
    if (!s->core->is_open()) throw closed_resource(detail::refusal(p) + ": this file watcher was closed");
    try {
        s->know(number, p);
    } catch (...) {
        ::inotify_rm_watch(s->core->fd(), number);
        throw;
    }
}

bool watcher::remove(const std::filesystem::path& p) {
    return open_state().remove(p);
}

task<event> watcher::next() {
    static_cast<void>(open_state());
    const std::shared_ptr<detail::watcher_state> s = state_;
    const detail::sole_reader me(s->busy, s->core->name());
    co_await this_task::checkpoint();
    for (;;) {
        if (std::optional<event> e = s->take()) co_return std::move(*e);
        if (s->is_held_up() && s->core->is_open()) {
            co_await s->settled.wait();
            continue;
        }
        const std::size_t n = co_await detail::read_operation(*s->core, s->room()); // throws if it is closed
        if (n == 0) throw detail::io_error(EBADF, "read from", s->core->name()); // inotify has no end: the number is something else's now
        s->filled(n);
    }
}

detail::close_operation watcher::close() noexcept {
    return detail::close_operation(state_ ? state_->core.ref() : detail::core_ref());
}

} // namespace eddy::fs

#include <eddy/file.hpp>
#include <eddy/file_lock.hpp>

#include <sys/file.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include <eddy/offload.hpp>
#include <eddy/sleep.hpp>

#include "file_handle.hpp"

namespace eddy {

using detail::file_handle;

namespace {

constexpr std::chrono::milliseconds shortest_pause{1};
constexpr std::chrono::milliseconds longest_pause{64};

/// On a worker: the file may be on another machine, which is asked then. True if we have it.
bool lock_now(const detail::handle_ptr& h, lock_kind kind) {
    const detail::open_number fd(*h);
    const int how = (kind == lock_kind::shared ? LOCK_SH : LOCK_EX) | LOCK_NB;
    if (detail::uninterrupted([&] { return ::flock(fd, how); }) == 0) return true;
    if (errno == EWOULDBLOCK) return false;
    detail::fail("cannot lock", h->path());
}

/// The one lock that a file object may have: the kernel would change the kind of the first if it were asked for a second.
class claim {
public:
    explicit claim(detail::handle_ptr h) : handle_(std::move(h)) {
        if (handle_->locked)
            throw busy_resource("'" + handle_->path() + "' is locked, or is being locked, through this file object; open it once more for another lock");
        handle_->locked = true;
    }
    claim(const claim&) = delete;
    claim& operator=(const claim&) = delete;
    ~claim() {
        if (handle_) handle_->locked = false;
    }
    [[nodiscard]] const detail::handle_ptr& handle() const noexcept { return handle_; }
    [[nodiscard]] file_lock granted() noexcept { return file_lock(std::move(handle_)); }

private:
    detail::handle_ptr handle_;
};

} // namespace

file_lock::file_lock() noexcept = default;
file_lock::file_lock(file_lock&&) noexcept = default;
file_lock::file_lock(std::shared_ptr<file_handle> h) noexcept : handle_(std::move(h)) {}
file_lock& file_lock::operator=(file_lock&& o) noexcept {
    unlock();
    handle_ = std::move(o.handle_);
    return *this;
}
file_lock::~file_lock() {
    unlock();
}

void file_lock::unlock() noexcept {
    const std::shared_ptr<file_handle> h = std::exchange(handle_, nullptr);
    if (!h) return;
    h->locked = false;
    const std::shared_lock<detail::shared_gate> access(h->access, std::try_to_lock); // else it is being closed
    if (access && h->fd() >= 0) ::flock(h->fd(), LOCK_UN);
}

bool file_lock::owns_lock() const noexcept {
    if (!handle_) return false;
    const std::shared_lock<detail::shared_gate> access(handle_->access, std::try_to_lock);
    return access && handle_->fd() >= 0;
}

task<file_lock> file::lock(lock_kind kind) {
    claim mine(handle());
    for (std::chrono::milliseconds pause = shortest_pause;; pause = std::min(2 * pause, longest_pause)) {
        const bool got = co_await offload(detail::pool(), &lock_now, mine.handle(), kind);
        if (got) co_return mine.granted();
        co_await sleep_for(pause);
    }
}

task<std::optional<file_lock>> file::try_lock(lock_kind kind) {
    claim mine(handle());
    const bool got = co_await offload(detail::pool(), &lock_now, mine.handle(), kind);
    if (!got) co_return std::nullopt;
    co_return mine.granted();
}

} // namespace eddy

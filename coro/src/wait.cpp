#include <eddy/wait.hpp>

#include <algorithm>
#include <stdexcept>

namespace eddy::detail {

std::vector<bool> wait_base::add(std::span<task_context* const> tasks) {
    if (tasks.empty()) throw std::invalid_argument("wait: the list of handles is empty: it would never be over");
    std::vector<std::pair<task_context*, std::size_t>> sorted;
    sorted.reserve(tasks.size());
    for (task_context* t : tasks) sorted.emplace_back(t, sorted.size());
    std::sort(sorted.begin(), sorted.end());
    std::vector<bool> first(tasks.size());
    for (std::size_t i = 0; i < sorted.size(); ++i) first[sorted[i].second] = i == 0 || sorted[i].first != sorted[i - 1].first;
    watched_.reserve(tasks.size());
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        if (first[i]) watched_.emplace_back(*tasks[i], *this);
    }
    return first;
}

bool wait_base::awaits(const task_context& t) const noexcept {
    return std::any_of(watched_.begin(), watched_.end(), [&](const watched& w) { return w.task == &t; });
}

// Does the end of this one end the wait?
bool wait_base::suffices(const task_context& t) const noexcept {
    return until_ == wait_until::first_completed ||
           (until_ == wait_until::first_exception && t.error() && !t.was_cancelled());
}

bool wait_base::over() const noexcept {
    bool all = true;
    for (const watched& w : watched_) {
        if (!w.task->done())
            all = false;
        else if (suffices(*w.task))
            return true;
    }
    return all;
}

bool wait_base::try_now() const noexcept {
    return over() || (timeout_ && timeout_->count() <= 0) || (deadline_ && *deadline_ <= task().loop().now());
}

bool wait_base::start() {
    for (const watched& w : watched_) {
        if (!w.task->done()) require_awaitable_here(*w.task);
    }
    if (timeout_) task().loop().arm(timer_, after(task().loop().now(), *timeout_));
    if (deadline_) task().loop().arm(timer_, *deadline_);
    for (watched& w : watched_) {
        w.wait = this; // the operation may have been moved since
        if (w.task->done()) continue;
        w.task->watch(w);
        ++running_;
    }
    return false;
}

void wait_base::let_go() noexcept {
    task().loop().disarm(timer_);
    for (watched& w : watched_) {
        if (task_watchers::linked(w)) w.task->unwatch(w);
    }
}

void wait_base::watched::task_ended(task_watcher& w) noexcept {
    wait_base& wait = *static_cast<watched&>(w).wait;
    if (--wait.running_ == 0 || wait.suffices(*static_cast<watched&>(w).task)) wait.end();
}

} // namespace eddy::detail

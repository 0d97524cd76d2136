#include <eddy/loop_group.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <thread>

#include <eddy/errors.hpp>

namespace eddy {

namespace detail {

void loop_round_base::begins() {
    const std::lock_guard lock(mutex_);
    ++running_;
}

void loop_round_base::ended(bool well) noexcept {
    const std::lock_guard lock(mutex_);
    --running_;
    if (!well) failed_ = true;
    changed_.notify_all(); // under the lock: who waits may destroy us after it
}

void loop_round_base::finish() {
    std::unique_lock lock(mutex_);
    const auto all_ended = [this] { return running_ == 0 || over_; };
    changed_.wait(lock, [&] { return all_ended() || failed_; });
    if (all_ended()) return;
    lock.unlock();
    cancel();
    lock.lock();
    changed_.wait(lock, all_ended);
}

void loop_round_base::over() noexcept {
    const std::lock_guard lock(mutex_);
    over_ = true;
    changed_.notify_all();
}

void round_errors::add_current() {
    try {
        throw;
    } catch (const child_cancelled&) {
        cancelled_.push_back(std::current_exception());
    } catch (...) {
        errors_.push_back(std::current_exception());
    }
}

void round_errors::raise(bool values_wanted) {
    if (!errors_.empty()) throw exception_group(std::move(errors_), "loop group");
    if (values_wanted && !cancelled_.empty()) std::rethrow_exception(cancelled_.front());
}

} // namespace detail

loop_group::loop_group(std::size_t loops, const run_options& options) {
    if (loops == 0) loops = std::max(1U, std::thread::hardware_concurrency());
    loops_.reserve(loops);
    while (loops_.size() < loops) loops_.push_back(std::make_unique<loop_thread>(options));
}

loop_group::~loop_group() {
    try {
        shutdown();
    } catch (const std::exception& e) {
        std::fputs((std::string("eddy: while a loop_group was destroyed: ") + e.what() + "\n").c_str(), stderr);
    }
}

std::size_t loop_group::next() noexcept {
    const event_loop* const own = event_loop::current();
    for (;;) {
        const std::size_t i = next_.fetch_add(1, std::memory_order_relaxed) % size();
        if (size() == 1 || &loops_[i]->loop() != own) return i;
    }
}

void loop_group::watch(const std::shared_ptr<detail::loop_round_base>& round) {
    const std::lock_guard lock(mutex_);
    std::erase_if(watched_, [](const auto& w) { return w.expired(); });
    watched_.push_back(round);
}

void loop_group::join() {
    require_other_thread();
    for (;;) {
        std::shared_ptr<detail::loop_round<void>> round;
        {
            const std::lock_guard lock(mutex_);
            if (rounds_.empty()) return;
            round = rounds_.front();
            rounds_.erase(rounds_.begin());
        }
        round->take();
    }
}

// All loops are asked before one is waited for: their grace periods run side by side.
void loop_group::end(std::optional<std::chrono::nanoseconds> grace) {
    require_other_thread();
    for (const auto& l : loops_) l->begin_close(grace);
    std::exception_ptr first;
    for (const auto& l : loops_) {
        try {
            l->close();
        } catch (...) {
            if (!first) first = std::current_exception();
        }
    }
    {
        const std::lock_guard lock(mutex_);
        for (const auto& w : watched_) {
            if (const auto round = w.lock()) round->over();
        }
    }
    if (first) std::rethrow_exception(first);
}

void loop_group::require_other_thread() const {
    for (const auto& l : loops_) {
        if (event_loop::current() == &l->loop())
            detail::throw_logic_error("loop_group: this is a thread of the group, which would wait for itself; use co_await here");
    }
}

} // namespace eddy

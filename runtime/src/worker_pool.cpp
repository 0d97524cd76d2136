#include <eddy/worker_pool.hpp>

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <fmt/format.h>

namespace eddy {
namespace detail {

class pool_core;

namespace {

using job_list = intrusive_list<pool_job, &pool_job::link>;

thread_local pool_core* pool_here = nullptr; // of a worker thread

void pause_a_little() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

} // namespace

/// Shared by the pool and its threads, so that a thread that was let go finds it alive.
class pool_core : public std::enable_shared_from_this<pool_core> {
public:
    explicit pool_core(const worker_pool_options& o)
        : most_(o.threads ? o.threads : std::max(1u, std::thread::hardware_concurrency())), name_(o.name) {}

    void submit(pool_job& job) {
        std::unique_lock lock(mutex_);
        if (stopping_) throw pool_stopped("offload: the worker pool was shut down");
        if (idle_ <= waiting_.load(std::memory_order_relaxed) && threads_.size() < most_) start_thread_if_possible();
        queue_.push_back(job);
        waiting_.fetch_add(1, std::memory_order_release);
        const bool sleeper = sleeping_ > 0;
        lock.unlock();
        if (sleeper) work_.notify_one();
    }
    bool withdraw(pool_job& job) noexcept {
        const std::lock_guard lock(mutex_);
        if (!job_list::linked(job)) return false; // a worker has it
        queue_.erase(job);
        waiting_.fetch_sub(1, std::memory_order_relaxed);
        return true;
    }
    std::vector<std::string> shutdown(std::chrono::nanoseconds limit);

    [[nodiscard]] std::size_t threads() const noexcept {
        const std::lock_guard lock(mutex_);
        return threads_.size();
    }
    [[nodiscard]] std::size_t queued() const noexcept { return waiting_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::size_t running() const noexcept {
        const std::lock_guard lock(mutex_);
        return running_.size();
    }
    [[nodiscard]] bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }
    void worker_blocked(std::ptrdiff_t more) noexcept {
        const std::lock_guard lock(mutex_);
        blocked_ += more;
        if (more < 0) was_starved_ = false;
    }
    [[nodiscard]] bool newly_starved() noexcept {
        const std::lock_guard lock(mutex_);
        const bool starved = !queue_.empty() && static_cast<std::size_t>(blocked_) >= most_;
        return !std::exchange(was_starved_, starved) && starved;
    }

private:
    // What a worker runs, by what names it: the job itself may be gone before the worker takes the entry out. On the
    // worker's stack.
    struct running_call {
        std::string label;
        std::source_location site;
        list_link<running_call> link;
    };
    void start_thread() {
        threads_.emplace_back([self = shared_from_this()] { self->work(); });
        ++idle_;
        ++started_threads_;
    }
    // The system may refuse another thread; those that are there do the work then.
    void start_thread_if_possible() {
        try {
            start_thread();
        } catch (const std::system_error& e) {
            if (threads_.empty()) throw std::system_error(e.code(), fmt::format("cannot start a thread of the worker pool '{}'", name_));
        }
    }
    void work();
    pool_job* next(std::unique_lock<std::mutex>& lock);

    const std::size_t most_;
    const char* const name_;
    mutable std::mutex mutex_;
    std::condition_variable work_;
    std::condition_variable ended_;
    job_list queue_;
    std::atomic<std::size_t> waiting_{0};
    intrusive_list<running_call, &running_call::link> running_;
    std::vector<std::thread> threads_;
    std::size_t idle_ = 0; // not inside a call
    std::size_t sleeping_ = 0;
    std::size_t started_threads_ = 0;
    std::size_t finished_threads_ = 0;
    std::ptrdiff_t blocked_ = 0; // in `in_loop`
    bool was_starved_ = false;
    bool let_go_ = false; // threads were detached
    std::atomic<bool> stopping_{false};
};

// With the lock held: the next call, or null when the pool stops. Spins before it sleeps: a call that comes right after
// another then costs no system call.
pool_job* pool_core::next(std::unique_lock<std::mutex>& lock) {
    for (;;) {
        if (pool_job* job = queue_.pop_front()) {
            waiting_.fetch_sub(1, std::memory_order_relaxed);
            return job;
        }
        if (stopping_) return nullptr;
        lock.unlock();
        for (int i = 0; i < 400 && waiting_.load(std::memory_order_acquire) == 0 && !stopping_.load(std::memory_order_relaxed); ++i)
            pause_a_little();
        lock.lock();
        if (!queue_.empty() || stopping_) continue;
        ++sleeping_;
        work_.wait(lock, [&] { return !queue_.empty() || stopping_; });
        --sleeping_;
    }
}

void pool_core::work() {
#ifdef __linux__
    ::pthread_setname_np(::pthread_self(), name_);
#endif
    pool_here = this;
    std::unique_lock lock(mutex_);
    while (pool_job* job = next(lock)) {
        --idle_;
        running_call call{job->label, job->site, {}};
        running_.push_back(call);
        lock.unlock();
        job->execute();
        lock.lock();
        ++idle_;
        running_.erase(call);
        lock.unlock();
        job->deliver();
        lock.lock();
    }
    ++finished_threads_;
    lock.unlock();
    ended_.notify_all();
}

std::vector<std::string> pool_core::shutdown(std::chrono::nanoseconds limit) {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    work_.notify_all();
    std::vector<std::thread> threads = std::move(threads_);
    threads_.clear();
    using clock = std::chrono::steady_clock;
    const auto now = clock::now();
    const auto deadline = limit > clock::time_point::max() - now ? clock::time_point::max() : now + limit;
    const bool all = ended_.wait_until(lock, deadline, [&] { return let_go_ || finished_threads_ == started_threads_; }) && !let_go_;
    if (!all) let_go_ = true;
    std::vector<std::string> stuck;
    if (!all && !threads.empty()) {
        for (const running_call* c = running_.front(); c; c = running_.next(*c))
            stuck.push_back(fmt::format("{} (offloaded at {}:{})", c->label, c->site.file_name(), c->site.line()));
    }
    while (pool_job* const job = queue_.pop_front()) { // behind those that are stuck
        waiting_.fetch_sub(1, std::memory_order_relaxed);
        lock.unlock();
        job->refuse();
        job->deliver();
        lock.lock();
    }
    lock.unlock();
    for (std::thread& t : threads) {
        if (all)
            t.join();
        else
            t.detach();
    }
    return stuck;
}

} // namespace detail

worker_pool::worker_pool(const worker_pool_options& options) : core_(std::make_shared<detail::pool_core>(options)) {}

worker_pool::~worker_pool() {
    for (const std::string& call : shutdown(std::chrono::seconds(10)))
        fmt::print(stderr, "eddy: worker_pool destroyed while a call is stuck: {}\n", call);
}

std::size_t worker_pool::threads() const noexcept {
    return core_->threads();
}
std::size_t worker_pool::queued() const noexcept {
    return core_->queued();
}
std::size_t worker_pool::running() const noexcept {
    return core_->running();
}
std::vector<std::string> worker_pool::stop(std::chrono::nanoseconds limit) {
    return core_->shutdown(limit);
}
bool worker_pool::newly_starved() noexcept {
    return core_->newly_starved();
}
void worker_pool::submit(detail::pool_job& job) {
    core_->submit(job);
}
bool worker_pool::withdraw(detail::pool_job& job) noexcept {
    return core_->withdraw(job);
}

namespace detail {

std::shared_ptr<pool_core> pool_of_this_worker() noexcept {
    return pool_here ? pool_here->shared_from_this() : nullptr;
}
bool is_stopping(const pool_core& pool) noexcept {
    return pool.stopping();
}

blocked_worker::blocked_worker(std::shared_ptr<pool_core> pool) noexcept : core_(std::move(pool)) {
    core_->worker_blocked(1);
}
blocked_worker::~blocked_worker() {
    core_->worker_blocked(-1);
}

} // namespace detail
} // namespace eddy

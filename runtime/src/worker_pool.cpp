#include <eddy/worker_pool.hpp>

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "spin.hpp"

namespace eddy {
namespace detail {

class pool_core;

namespace {

using job_list = intrusive_list<pool_job, &pool_job::link>;

constexpr auto quick_call = std::chrono::microseconds(200); // ten times what spinning takes: in vain it is a tenth of a processor at most
constexpr int most_hot = 8;

thread_local pool_core* pool_here = nullptr; // of a worker thread

// In place of the calls that were submitted: there will be no more.
class : public pool_job {
    void execute() noexcept override {}
    void refuse() noexcept override {}
    void deliver(std::shared_ptr<mailbox>&) noexcept override {}
} no_more_calls;

/// What a worker runs, by what names it: the call itself may be gone before the worker has noticed. On the worker's stack.
struct worker {
    std::atomic<bool> running{false}; // set with the pool's lock held, like the two below; cleared without
    waiting_task waited_for_by;
    std::source_location site;
    list_link<worker> link;
};

} // namespace

/// Shared by the pool and its threads, so that a thread that was let go finds it alive.
class pool_core : public std::enable_shared_from_this<pool_core> {
public:
    explicit pool_core(const worker_pool_options& o)
        : most_(o.threads ? o.threads : std::max(1u, std::thread::hardware_concurrency())), name_(o.name) {}

    void submit(pool_job& job);
    bool withdraw(pool_job& job) noexcept;
    std::vector<std::string> shutdown(std::chrono::nanoseconds limit);

    [[nodiscard]] std::size_t max_threads() const noexcept { return most_; }
    [[nodiscard]] std::size_t threads() const noexcept {
        const std::lock_guard lock(mutex_);
        return threads_.size();
    }
    [[nodiscard]] std::size_t queued() noexcept {
        const std::lock_guard lock(mutex_);
        collect();
        return queue_.size();
    }
    [[nodiscard]] std::size_t running() const noexcept {
        const std::lock_guard lock(mutex_);
        std::size_t n = 0;
        for (const worker* w = workers_.front(); w; w = workers_.next(*w)) n += w->running.load(std::memory_order_relaxed) ? 1 : 0;
        return n;
    }
    [[nodiscard]] bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }
    void worker_blocked(std::ptrdiff_t more) noexcept {
        const std::lock_guard lock(mutex_);
        blocked_ += more;
        if (more < 0) was_starved_ = false;
    }
    [[nodiscard]] bool newly_starved() noexcept {
        const std::lock_guard lock(mutex_);
        collect();
        const bool starved = !queue_.empty() && static_cast<std::size_t>(blocked_) >= most_;
        return !std::exchange(was_starved_, starved) && starved;
    }

private:
    void add_thread();
    bool push(pool_job& job) noexcept;
    void take_submitted(pool_job* next) noexcept;
    void collect() noexcept;
    void refuse_further() noexcept;
    void wake_one() noexcept;
    void work();
    void sleep(std::unique_lock<std::mutex>& lock);
    pool_job* next(std::unique_lock<std::mutex>& lock, std::shared_ptr<mailbox>& last, int& hot);

    const std::size_t most_;
    const char* const name_;
    // Calls come in by a stack that nobody needs a lock for, and go in their order to the queue, under the lock, once the
    // queue is empty or somebody must see all of them.
    std::atomic<pool_job*> submitted_{nullptr};
    std::atomic<std::ptrdiff_t> short_of_{0}; // calls that wait, less workers that are in no call
    std::atomic<std::size_t> sleeping_{0};    // workers that nobody has woken; changed with the lock held
    std::atomic<bool> complete_{false};       // there are as many threads as there may be
    std::atomic<bool> stopping_{false};

    mutable std::mutex mutex_; // for all below
    std::condition_variable work_;
    std::condition_variable ended_;
    job_list queue_;
    intrusive_list<worker, &worker::link> workers_;
    std::vector<std::thread> threads_;
    std::size_t woken_ = 0; // and not up yet
    std::size_t started_threads_ = 0;
    std::size_t finished_threads_ = 0;
    std::ptrdiff_t blocked_ = 0; // in `in_loop`
    bool was_starved_ = false;
    bool let_go_ = false; // threads were detached
};

// Whoever finds no worker for its call starts one. Counting calls and workers together makes that exact: of a worker that
// has just become free, only one call can think that it is for it.
void pool_core::submit(pool_job& job) {
    if (short_of_.fetch_add(1, std::memory_order_relaxed) >= 0 && !complete_.load(std::memory_order_relaxed)) {
        try {
            add_thread();
        } catch (...) {
            short_of_.fetch_sub(1, std::memory_order_relaxed);
            throw;
        }
    }
    if (!push(job)) {
        short_of_.fetch_sub(1, std::memory_order_relaxed);
        throw pool_stopped("offload: the worker pool was shut down");
    }
    if (sleeping_.load(std::memory_order_seq_cst) > 0) wake_one(); // either we see it asleep or it sees our call
}

bool pool_core::push(pool_job& job) noexcept {
    pool_job* before = submitted_.load(std::memory_order_relaxed);
    do {
        if (before == &no_more_calls) return false;
        job.submitted_before = before;
    } while (!submitted_.compare_exchange_weak(before, &job, std::memory_order_seq_cst, std::memory_order_relaxed));
    return true;
}

// With the lock held: to the queue with what was submitted, and `next` in its place. The stack has the latest on top.
void pool_core::take_submitted(pool_job* next) noexcept {
    pool_job* first = nullptr;
    for (pool_job* j = submitted_.exchange(next, std::memory_order_acq_rel); j;) {
        pool_job* const before = std::exchange(j->submitted_before, first);
        first = j;
        j = before;
    }
    while (first) queue_.push_back(*std::exchange(first, first->submitted_before));
}

// With the lock held, like the next one.
void pool_core::collect() noexcept {
    if (submitted_.load(std::memory_order_relaxed) && !stopping_.load(std::memory_order_relaxed)) take_submitted(nullptr);
}

void pool_core::refuse_further() noexcept {
    if (stopping_.load(std::memory_order_relaxed)) return;
    take_submitted(&no_more_calls);
    stopping_.store(true, std::memory_order_relaxed);
}

bool pool_core::withdraw(pool_job& job) noexcept {
    const std::lock_guard lock(mutex_);
    collect();
    if (!job_list::linked(job)) return false; // a worker has it
    queue_.erase(job);
    short_of_.fetch_sub(1, std::memory_order_relaxed);
    return true;
}

// The system may refuse another thread; those that are there do the work then.
void pool_core::add_thread() {
    const std::lock_guard lock(mutex_);
    if (stopping_.load(std::memory_order_relaxed) || threads_.size() >= most_) return;
    try {
        threads_.emplace_back([self = shared_from_this()] { self->work(); });
    } catch (const std::system_error& e) {
        if (threads_.empty()) throw std::system_error(e.code(), fmt::format("cannot start a thread of the worker pool '{}'", name_));
        return;
    }
    short_of_.fetch_sub(1, std::memory_order_relaxed);
    ++started_threads_;
    complete_.store(threads_.size() >= most_, std::memory_order_relaxed);
}

void pool_core::wake_one() noexcept {
    {
        const std::lock_guard lock(mutex_);
        const std::size_t asleep = sleeping_.load(std::memory_order_relaxed);
        if (asleep == 0) return; // others were quicker
        sleeping_.store(asleep - 1, std::memory_order_relaxed);
        ++woken_;
    }
    work_.notify_one();
}

// With the lock held, which it lets go meanwhile.
void pool_core::sleep(std::unique_lock<std::mutex>& lock) {
    sleeping_.fetch_add(1, std::memory_order_seq_cst);
    if (submitted_.load(std::memory_order_seq_cst) == nullptr) work_.wait(lock, [&] { return woken_ > 0 || stopping_.load(std::memory_order_relaxed); });
    if (woken_ > 0)
        --woken_; // whoever woke us has counted us as awake
    else
        sleeping_.fetch_sub(1, std::memory_order_relaxed);
}

// With the lock held: the next call, or null when the pool stops. Spins before it sleeps: a call that comes right after
// another then costs no system call. That pays off where calls come quickly, and there alone: each wait in vain is followed by fewer,
// and each short sleep by more (that of a worker whose loop sleeps as well takes two wake-ups).
pool_job* pool_core::next(std::unique_lock<std::mutex>& lock, std::shared_ptr<mailbox>& last, int& hot) {
    for (;;) {
        if (queue_.empty()) collect();
        if (pool_job* const job = queue_.pop_front()) return job;
        if (stopping_.load(std::memory_order_relaxed)) return nullptr;
        lock.unlock();
        last = nullptr; // an idle worker keeps nothing of a loop that may be gone
        const bool spins = hot > 0;
        const bool came = spins && spin_until([&] { return submitted_.load(std::memory_order_relaxed) != nullptr; });
        if (spins) hot = came ? std::min(hot + 1, most_hot) : hot / 2;
        lock.lock();
        if (!queue_.empty() || submitted_.load(std::memory_order_relaxed) != nullptr) continue;
        const auto since = std::chrono::steady_clock::now();
        sleep(lock);
        if (std::chrono::steady_clock::now() - since < quick_call) hot = std::min(hot + 1, most_hot);
    }
}

void pool_core::work() {
#ifdef __linux__
    ::pthread_setname_np(::pthread_self(), name_);
#endif
    pool_here = this;
    worker me;
    std::shared_ptr<mailbox> last;
    std::unique_lock lock(mutex_);
    workers_.push_back(me);
    int hot = 0;
    while (pool_job* const job = next(lock, last, hot)) {
        me.waited_for_by = job->waited_for_by;
        me.site = job->site;
        me.running.store(true, std::memory_order_relaxed);
        lock.unlock();
        job->execute();
        me.running.store(false, std::memory_order_relaxed);
        short_of_.fetch_sub(1, std::memory_order_relaxed); // one call waits no more, and one worker was taken by it until now
        job->deliver(last);
        lock.lock();
    }
    workers_.erase(me);
    ++finished_threads_;
    lock.unlock();
    last = nullptr;
    ended_.notify_all();
}

std::vector<std::string> pool_core::shutdown(std::chrono::nanoseconds limit) {
    std::unique_lock lock(mutex_);
    refuse_further();
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
        for (const worker* w = workers_.front(); w; w = workers_.next(*w)) {
            if (w->running.load(std::memory_order_relaxed))
                stuck.push_back(fmt::format("{} (offloaded at {}:{})", w->waited_for_by.name(), w->site.file_name(), w->site.line()));
        }
    }
    while (pool_job* const job = queue_.pop_front()) { // behind those that are stuck
        short_of_.fetch_sub(1, std::memory_order_relaxed);
        lock.unlock();
        job->refuse();
        std::shared_ptr<mailbox> mail;
        job->deliver(mail);
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

std::size_t worker_pool::max_threads() const noexcept {
    return core_->max_threads();
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

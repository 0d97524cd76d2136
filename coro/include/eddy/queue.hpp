// queue<T>: a bounded FIFO between tasks of one loop.
//
//     queue<int> q{10};
//     co_await q.push(1);
//     int v = co_await q.pop();
#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <eddy/detail/ring.hpp>
#include <eddy/detail/wait_queue.hpp>
#include <eddy/errors.hpp>

namespace eddy {

namespace detail {
template <class T>
class queue_push;
template <class T>
class queue_pop;
class queue_join;
} // namespace detail

/// After asyncio.Queue. An item that meets a waiting `pop` belongs to it from that moment (R8), so `try_pop` cannot take
/// it, and a cancelled `pop` has taken nothing (R4). Loop thread only; must outlive its waiters.
template <class T>
class queue {
public:
    /// `capacity`: how many items may lie in it. Throws `std::invalid_argument` for 0.
    explicit queue(std::size_t capacity);
    queue(const queue&) = delete;
    queue& operator=(const queue&) = delete;
    ~queue() = default;

    /// Awaitable: puts the item in, waiting for room. Checkpoint; cancelled, the item was not put in (and is destroyed
    /// with the operation). Throws `queue_closed` if the queue is closed, before or while it waits.
    template <class U = T>
    [[nodiscard]] auto push(U&& item) -> detail::hazard_t<detail::queue_push<T>, U> {
        return detail::queue_push<T>(*this, std::forward<U>(item));
    }
    /// Awaitable: the oldest item, waiting for one. Checkpoint; cancelled, no item was taken; a popper that was given an
    /// item returns it even if it is cancelled in that tick (R2). Throws `queue_closed` once the queue is closed and empty.
    [[nodiscard]] detail::queue_pop<T> pop() noexcept { return detail::queue_pop<T>(*this); }
    /// False if the queue is full; throws `queue_closed`.
    template <class U = T>
    bool try_push(U&& item);
    /// Nothing if the queue is empty; throws `queue_closed` if it is closed as well.
    [[nodiscard]] std::optional<T> try_pop();

    [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
    [[nodiscard]] bool empty() const noexcept { return items_.empty(); }
    [[nodiscard]] bool full() const noexcept { return items_.size() >= capacity_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

    /// Tells `join` that the work on one popped item is finished. Throws `std::logic_error` if called more often than
    /// there were items.
    void task_done();
    /// Awaitable: until every item ever pushed is done. Checkpoint; cancelled, nothing happened.
    [[nodiscard]] detail::queue_join join() noexcept;

    /// No more pushes: waiting and later ones throw `queue_closed`. What is in the queue can still be popped.
    void close() noexcept;
    /// The same, and drops what is in the queue; the dropped items count as done.
    void close_now() noexcept;
    [[nodiscard]] bool closed() const noexcept { return closed_; }

private:
    friend class detail::queue_push<T>;
    friend class detail::queue_pop<T>;
    void accept(T&& item);
    [[nodiscard]] T release();
    void done(std::size_t n) noexcept;
    [[noreturn]] static void throw_closed() { throw queue_closed("the queue is closed"); }

    detail::fifo<T> items_;
    detail::wait_queue pushers_; // not empty only while the queue is full
    detail::wait_queue poppers_; // not empty only while it is empty
    detail::wait_queue joiners_;
    std::size_t capacity_;
    std::size_t unfinished_ = 0;
    bool closed_ = false;
};

// --- implementation

namespace detail {

template <class T>
class queue_push final : public queued<queue_push<T>> {
public:
    template <class U>
    queue_push(queue<T>& q, U&& item) : queued<queue_push>(q.pushers_), queue_(&q), item_(std::forward<U>(item)) {}
    queue_push(queue_push&&) = default;
    [[nodiscard]] bool try_now() {
        if (queue_->closed_) queue<T>::throw_closed();
        if (queue_->full() && queue_->poppers_.empty()) return false;
        queue_->accept(std::move(item_));
        return true;
    }
    void take() const {
        if (refused_) queue<T>::throw_closed();
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "queue push"; }

private:
    friend class queue<T>;
    queue<T>* queue_;
    T item_;
    bool refused_ = false;
};

template <class T>
class queue_pop final : public queued<queue_pop<T>> {
public:
    explicit queue_pop(queue<T>& q) noexcept : queued<queue_pop>(q.poppers_), queue_(&q) {}
    queue_pop(queue_pop&& o) noexcept : queued<queue_pop>(std::move(o)), queue_(o.queue_) {}
    [[nodiscard]] bool try_now() {
        if (!queue_->items_.empty()) {
            item_.emplace(queue_->release());
            return true;
        }
        if (queue_->closed_) queue<T>::throw_closed();
        return false;
    }
    [[nodiscard]] T take() {
        if (!item_) queue<T>::throw_closed();
        return std::move(*item_);
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "queue pop"; }

private:
    friend class queue<T>;
    queue<T>* queue_;
    std::optional<T> item_;
};

class queue_join final : public queued<queue_join> {
public:
    queue_join(wait_queue& q, const std::size_t& unfinished) noexcept : queued(q), unfinished_(&unfinished) {}
    [[nodiscard]] bool try_now() const noexcept { return *unfinished_ == 0; }
    void take() const noexcept {}
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "queue join"; }

private:
    const std::size_t* unfinished_;
};

} // namespace detail

template <class T>
queue<T>::queue(std::size_t capacity) : capacity_(capacity) {
    if (capacity == 0) throw std::invalid_argument("queue: the capacity cannot be 0; use a channel for a rendezvous");
}

// Takes an item that there is room for, or a popper.
template <class T>
void queue<T>::accept(T&& item) {
    if (auto* next = static_cast<detail::queue_pop<T>*>(poppers_.front())) {
        next->item_.emplace(std::move(item)); // may throw; the popper then still waits
        poppers_.erase(*next);
        ++unfinished_;
        next->grant();
        return;
    }
    items_.push_back(std::move(item));
    ++unfinished_;
}

template <class T>
T queue<T>::release() {
    if (auto* next = static_cast<detail::queue_push<T>*>(pushers_.front())) {
        items_.push_back(std::move(next->item_)); // may throw; nothing has happened then
        ++unfinished_;
        pushers_.erase(*next);
        next->grant();
    }
    T item = std::move(items_.front());
    items_.pop_front();
    return item;
}

template <class T>
template <class U>
bool queue<T>::try_push(U&& item) {
    if (closed_) throw_closed();
    if (full() && poppers_.empty()) return false;
    accept(T(std::forward<U>(item)));
    return true;
}

template <class T>
std::optional<T> queue<T>::try_pop() {
    if (items_.empty()) {
        if (closed_) throw_closed();
        return std::nullopt;
    }
    return release();
}

template <class T>
void queue<T>::task_done() {
    if (unfinished_ == 0) detail::throw_logic_error("queue::task_done was called more often than there were items");
    done(1);
}

template <class T>
void queue<T>::done(std::size_t n) noexcept {
    unfinished_ -= n;
    if (unfinished_ > 0) return;
    while (detail::queued_operation* j = joiners_.pop_front()) j->grant();
}

template <class T>
detail::queue_join queue<T>::join() noexcept {
    return detail::queue_join(joiners_, unfinished_);
}

template <class T>
void queue<T>::close() noexcept {
    closed_ = true;
    while (auto* p = static_cast<detail::queue_push<T>*>(pushers_.pop_front())) {
        p->refused_ = true;
        p->grant();
    }
    while (detail::queued_operation* p = poppers_.pop_front()) p->grant(); // without an item: they throw
}

template <class T>
void queue<T>::close_now() noexcept {
    close();
    const std::size_t dropped = items_.size();
    items_.clear();
    done(dropped);
}

} // namespace eddy

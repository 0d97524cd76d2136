// queue<T>: a bounded FIFO between tasks of one loop.
//
//     queue<int> q{10};
//     co_await q.push(1);
//     int v = co_await q.pop();
//
// `priority_queue` and `stack_queue` have the same verbs and give items back in another order.
#pragma once

#include <cstddef>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <eddy/detail/attributes.hpp>
#include <eddy/detail/ring.hpp>
#include <eddy/detail/wait_queue.hpp>
#include <eddy/errors.hpp>

namespace eddy {

namespace detail {
template <class T, class Items>
class queue_push;
template <class T, class Items>
class queue_pop;
class queue_join;
} // namespace detail

/// Counts one item of a queue as done at the end of its life. Move-only; the queue must outlive it.
class [[nodiscard("the item counts as done when this object goes: keep it in a variable")]] queue_token {
public:
    template <class Queue>
    explicit queue_token(Queue& q) noexcept : queue_(&q), done_([](void* p) { static_cast<Queue*>(p)->task_done(); }) {}
    queue_token(queue_token&& o) noexcept : queue_(std::exchange(o.queue_, nullptr)), done_(o.done_) {}
    queue_token& operator=(queue_token&&) = delete;
    ~queue_token() {
        if (queue_) finish();
    }

private:
    void finish() noexcept; // too many: to the exception handler
    void* queue_;
    void (*done_)(void*);
};

/// After asyncio.Queue. An item that meets a waiting `pop` belongs to it from that moment (R8), so `try_pop` cannot take
/// it, and a cancelled `pop` has taken nothing (R4). Loop thread only; must outlive its waiters.
/// `Items` keeps what lies in it and says which item is next; use `queue`, `priority_queue` or `stack_queue`.
template <class T, class Items>
class basic_queue {
public:
    basic_queue(const basic_queue&) = delete;
    basic_queue& operator=(const basic_queue&) = delete;

    /// Awaitable: puts the item in, waiting for room. Checkpoint; cancelled, the item was not put in (and is destroyed
    /// with the operation). Throws `queue_closed` if the queue is closed, before or while it waits.
    template <class U = T>
    [[nodiscard]] auto push(U&& item) -> detail::hazard_t<detail::queue_push<T, Items>, U> {
        return detail::queue_push<T, Items>(*this, std::forward<U>(item));
    }
    /// Awaitable: the next item, waiting for one. Checkpoint; cancelled, no item was taken; a popper that was given an
    /// item returns it even if it is cancelled in that tick (R2). Throws `queue_closed` once the queue is closed and empty.
    detail::queue_pop<T, Items> pop() noexcept { return detail::queue_pop<T, Items>(*this); }
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
    /// Calls `task_done` when it goes, however the work on an item ends:
    ///     auto item = co_await q.pop();
    ///     auto done = q.done_at_end();
    [[nodiscard]] queue_token done_at_end() noexcept { return queue_token(*this); }
    /// Awaitable: until every item ever pushed is done. Checkpoint; cancelled, nothing happened.
    detail::queue_join join() noexcept EDDY_LIFETIMEBOUND;

    /// No more pushes: waiting and later ones throw `queue_closed`. What is in the queue can still be popped.
    void close() noexcept;
    /// The same, and drops what is in the queue; the dropped items count as done.
    void close_now() noexcept;
    [[nodiscard]] bool closed() const noexcept { return closed_; }

protected:
    template <class... A>
    explicit basic_queue(std::size_t capacity, A&&... for_items);
    ~basic_queue() = default;

private:
    using pusher = detail::queue_push<T, Items>;
    using popper = detail::queue_pop<T, Items>;
    friend pusher;
    friend popper;
    void accept(T&& item);
    void release_into(std::optional<T>& out);
    void admit_next() noexcept;
    void done(std::size_t n) noexcept;
    [[noreturn]] static void throw_closed() { throw queue_closed("the queue is closed"); }

    Items items_;
    detail::wait_queue pushers_; // not empty only while the queue is full
    detail::wait_queue poppers_; // not empty only while it is empty
    detail::wait_queue joiners_;
    std::size_t capacity_;
    std::size_t unfinished_ = 0;
    bool closed_ = false;
};

/// Items come out in the order they went in.
template <class T>
class queue : public basic_queue<T, detail::fifo_items<T>> {
public:
    /// `capacity`: how many items may lie in it. Throws `std::invalid_argument` for 0.
    explicit queue(std::size_t capacity) : basic_queue<T, detail::fifo_items<T>>(capacity) {}
};

// --- implementation

namespace detail {

template <class T, class Items>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] queue_push final : public queued<queue_push<T, Items>> {
public:
    template <class U>
    queue_push(basic_queue<T, Items>& q, U&& item) : queued<queue_push>(q.pushers_), queue_(&q), item_(std::forward<U>(item)) {}
    queue_push(queue_push&&) = default;
    [[nodiscard]] bool try_now() {
        if (queue_->closed_) queue_->throw_closed();
        if (queue_->full() && queue_->poppers_.empty()) return false;
        queue_->accept(std::move(item_));
        return true;
    }
    void take() const {
        if (refused_) basic_queue<T, Items>::throw_closed();
        if (error_) std::rethrow_exception(error_);
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "queue push"; }

private:
    friend class basic_queue<T, Items>;
    basic_queue<T, Items>* queue_;
    T item_;
    std::exception_ptr error_; // of its move, when there was room
    bool refused_ = false;
};

template <class T, class Items>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] queue_pop final : public queued<queue_pop<T, Items>> {
public:
    explicit queue_pop(basic_queue<T, Items>& q) noexcept : queued<queue_pop>(q.poppers_), queue_(&q) {}
    queue_pop(queue_pop&& o) noexcept : queued<queue_pop>(std::move(o)), queue_(o.queue_) {}
    [[nodiscard]] bool try_now() {
        if (!queue_->items_.empty()) {
            queue_->release_into(item_);
            return true;
        }
        if (queue_->closed_) queue_->throw_closed();
        return false;
    }
    [[nodiscard]] T take() {
        if (!item_) basic_queue<T, Items>::throw_closed();
        return std::move(*item_);
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "queue pop"; }

private:
    friend class basic_queue<T, Items>;
    basic_queue<T, Items>* queue_;
    std::optional<T> item_;
};

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] queue_join final : public queued<queue_join> {
public:
    queue_join(wait_queue& q, const std::size_t& unfinished) noexcept : queued(q), unfinished_(&unfinished) {}
    [[nodiscard]] bool try_now() const noexcept { return *unfinished_ == 0; }
    void take() const noexcept {}
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "queue join"; }

private:
    const std::size_t* unfinished_;
};

} // namespace detail

template <class T, class Items>
template <class... A>
basic_queue<T, Items>::basic_queue(std::size_t capacity, A&&... for_items)
    : items_(std::forward<A>(for_items)...), capacity_(capacity) {
    if (capacity == 0) throw std::invalid_argument("queue: the capacity cannot be 0; use a channel for a rendezvous");
}

// Takes an item that there is room for, or a popper.
template <class T, class Items>
void basic_queue<T, Items>::accept(T&& item) {
    if (auto* next = static_cast<popper*>(poppers_.front())) {
        next->item_.emplace(std::move(item)); // may throw; the popper then still waits
        poppers_.erase(*next);
        ++unfinished_;
        next->grant();
        return;
    }
    items_.push(std::move(item));
    ++unfinished_;
}

// Where the move of an item throws that comes out, it is still in the queue.
template <class T, class Items>
void basic_queue<T, Items>::release_into(std::optional<T>& out) {
    items_.pop_into(out);
    admit_next();
}

// Lets the first pusher in that waits for room. One whose item cannot be moved in fails, and the next one gets its place:
// it is no error of the popper's, who has its item.
template <class T, class Items>
void basic_queue<T, Items>::admit_next() noexcept {
    while (auto* const next = static_cast<pusher*>(pushers_.pop_front())) {
        try {
            items_.push(std::move(next->item_));
            ++unfinished_;
        } catch (...) {
            next->error_ = std::current_exception();
        }
        next->grant();
        if (!next->error_) return;
    }
}

template <class T, class Items>
template <class U>
bool basic_queue<T, Items>::try_push(U&& item) {
    if (closed_) throw_closed();
    if (full() && poppers_.empty()) return false;
    accept(T(std::forward<U>(item)));
    return true;
}

template <class T, class Items>
std::optional<T> basic_queue<T, Items>::try_pop() {
    if (items_.empty()) {
        if (closed_) throw_closed();
        return std::nullopt;
    }
    std::optional<T> item;
    release_into(item);
    return item;
}

template <class T, class Items>
void basic_queue<T, Items>::task_done() {
    if (unfinished_ == 0) detail::throw_logic_error("queue::task_done was called more often than there were items");
    done(1);
}

template <class T, class Items>
void basic_queue<T, Items>::done(std::size_t n) noexcept {
    unfinished_ -= n;
    if (unfinished_ > 0) return;
    while (detail::queued_operation* j = joiners_.pop_front()) j->grant();
}

template <class T, class Items>
detail::queue_join basic_queue<T, Items>::join() noexcept EDDY_LIFETIMEBOUND {
    return detail::queue_join(joiners_, unfinished_);
}

template <class T, class Items>
void basic_queue<T, Items>::close() noexcept {
    closed_ = true;
    while (auto* p = static_cast<pusher*>(pushers_.pop_front())) {
        p->refused_ = true;
        p->grant();
    }
    while (detail::queued_operation* p = poppers_.pop_front()) p->grant(); // without an item: they throw
}

template <class T, class Items>
void basic_queue<T, Items>::close_now() noexcept {
    close();
    const std::size_t dropped = items_.size();
    items_.clear();
    done(dropped);
}

} // namespace eddy

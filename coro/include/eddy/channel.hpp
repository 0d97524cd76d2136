// channel<T>(capacity): a bounded way from tasks to tasks of one loop, whose two sides know when the other one is gone.
//
//     auto ch = channel<int>(0);                   // 0: a rendezvous, send waits for the receiver
//     auto tx2 = ch.tx.clone();
//     co_await ch.tx.send(1);
//     while (auto v = co_await ch.rx.next()) …;    // std::optional<int>: ends when every sender is closed
//
// Each side has any number of ends: clones, which are moved to the tasks that use them and close themselves when they go. The
// last end closed closes the side. No senders: receivers get what is in the channel, then the end. No receivers: senders
// get `broken_resource`, and what is in the channel is dropped. Memory is bounded by the capacity; an operation allocates
// nothing.
//
// An item is not lost silently: `send` throws if it was not taken. To get such an item back, name the operation:
//
//     auto op = tx.send(std::move(job));
//     const bool taken = (co_await as_result(op)).has_value();
//     if (!taken) job = op.take_back();
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include <eddy/detail/frame.hpp>
#include <eddy/detail/ring.hpp>
#include <eddy/detail/wait_queue.hpp>
#include <eddy/errors.hpp>

namespace eddy {

namespace detail {
template <class T>
class channel_core;
template <class T>
class channel_send;
template <class T>
class channel_next;

/// One end, shared by its handle and its operations.
class channel_end : public in_frame_memory {
public:
    channel_end() noexcept = default;
    channel_end(const channel_end&) = delete;
    channel_end& operator=(const channel_end&) = delete;
    void retain() noexcept { ++references_; }
    void release() noexcept {
        if (--references_ == 0) unreferenced();
    }
    /// Does an operation refer to it, besides its handle?
    [[nodiscard]] bool in_use() const noexcept { return references_ > 1; }
    bool closed = false;

protected:
    virtual ~channel_end() = default;

private:
    virtual void unreferenced() noexcept = 0;
    std::size_t references_ = 1;
};

/// A counted pointer to an end; null in a moved-from handle.
template <class End>
class end_ptr {
public:
    explicit end_ptr(End* e) noexcept : end_(e) {} // takes a reference over
    end_ptr(const end_ptr& o) noexcept : end_(o.end_) {
        if (end_) end_->retain();
    }
    end_ptr(end_ptr&& o) noexcept : end_(std::exchange(o.end_, nullptr)) {}
    end_ptr& operator=(end_ptr o) noexcept {
        std::swap(end_, o.end_);
        return *this;
    }
    ~end_ptr() {
        if (end_) end_->release();
    }
    [[nodiscard]] End* get() const noexcept { return end_; }
    [[nodiscard]] End* operator->() const noexcept { return end_; }
    [[nodiscard]] explicit operator bool() const noexcept { return end_ != nullptr; }

private:
    End* end_;
};

template <class T>
class typed_end final : public channel_end {
public:
    explicit typed_end(channel_core<T>& c) noexcept : core(c) {}
    channel_core<T>& core;

private:
    void unreferenced() noexcept override { core.end_unreferenced(*this); }
};

[[noreturn]] void throw_empty_end(const char* what);
[[noreturn]] void throw_closed_end(const char* what);
} // namespace detail

template <class T>
struct channel_ends;
/// Throws `std::bad_alloc`: the one allocation of a channel, but for its ring when it first fills.
template <class T>
[[nodiscard]] channel_ends<T> channel(std::size_t capacity);

/// The writing end; move-only, closes itself when it goes. Loop thread only.
template <class T>
class sender {
public:
    sender(sender&&) noexcept = default;
    sender& operator=(sender&& o) noexcept {
        sender(std::move(o)).swap(*this);
        return *this;
    }
    ~sender() { close(); }

    /// Awaitable: gives the item to a waiting receiver, or puts it into the buffer, waiting for one of them. Checkpoint;
    /// cancelled, the item was not sent; a sender whose item was taken returns normally even if it is cancelled in that tick
    /// (R2). Throws `broken_resource` if all receivers are closed, before or while it waits, and `closed_resource` if this
    /// end is. Whenever it throws, the item is still in the operation: `take_back()`.
    template <class U = T>
    [[nodiscard]] auto send(U&& item) -> detail::hazard_t<detail::channel_send<T>, U>;
    /// False if nobody waits for it and there is no room. Throws as `send`. `item` is moved from only if it returns true.
    template <class U = T>
    bool try_send(U&& item);

    /// Another end of this side. Throws `closed_resource` if this one is closed, and `std::bad_alloc`.
    [[nodiscard]] sender clone() const;
    /// Closes this end. Sends that wait on it throw `closed_resource`. After the last end of the side, receivers get what
    /// is in the channel, then nothing. Idempotent.
    void close() noexcept;
    [[nodiscard]] bool closed() const noexcept { return !end_ || end_->closed; }
    /// Are all receivers closed, so that `send` would throw?
    [[nodiscard]] bool broken() const noexcept { return !closed() && end_->core.receivers() == 0; }

    explicit sender(detail::typed_end<T>* e) noexcept : end_(e) {} // for the library

private:
    void swap(sender& o) noexcept { std::swap(end_, o.end_); }
    detail::channel_core<T>& open_core() const;
    detail::end_ptr<detail::typed_end<T>> end_;
};

/// The reading end; move-only, closes itself when it goes. Several receivers share the items, first come first served. Loop
/// thread only.
template <class T>
class receiver {
public:
    receiver(receiver&&) noexcept = default;
    receiver& operator=(receiver&& o) noexcept {
        receiver(std::move(o)).swap(*this);
        return *this;
    }
    ~receiver() { close(); }

    /// Awaitable: the oldest item, waiting for one; nothing when all senders are closed and the channel is empty. An item
    /// that meets a waiting receiver belongs to it from that moment (R8). Checkpoint; cancelled, no item was taken; a
    /// receiver that was given an item returns it even if it is cancelled in that tick (R2). Throws `closed_resource` if
    /// this end is closed, before or while it waits.
    detail::channel_next<T> next();
    /// Nothing if there is no item now; see `ended`. Throws `closed_resource`.
    [[nodiscard]] std::optional<T> try_receive();
    /// Are all senders closed and the channel empty?
    [[nodiscard]] bool ended() const noexcept { return !closed() && end_->core.ended(); }
    /// Items in the buffer.
    [[nodiscard]] std::size_t size() const noexcept { return end_ ? end_->core.size() : 0; }

    /// Another end of this side. Throws `closed_resource` if this one is closed, and `std::bad_alloc`.
    [[nodiscard]] receiver clone() const;
    /// Closes this end. Receives that wait on it throw `closed_resource`. After the last end of the side, senders get
    /// `broken_resource` and what is in the channel is destroyed; to keep it, `try_receive` it first. Idempotent.
    void close() noexcept;
    [[nodiscard]] bool closed() const noexcept { return !end_ || end_->closed; }

    explicit receiver(detail::typed_end<T>* e) noexcept : end_(e) {} // for the library

private:
    void swap(receiver& o) noexcept { std::swap(end_, o.end_); }
    detail::channel_core<T>& open_core() const;
    detail::end_ptr<detail::typed_end<T>> end_;
};

template <class T>
struct channel_ends {
    sender<T> tx;
    receiver<T> rx;
};

} // namespace eddy

#include <eddy/detail/channel_impl.hpp> // --- implementation

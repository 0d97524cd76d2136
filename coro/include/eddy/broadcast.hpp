// broadcast<T>: every subscriber gets every value.
//
//     broadcast<int> news(16);                     // keeps the last 16 values
//     auto sub = news.subscribe();
//     news.send(1);                                // never waits
//     while (auto v = co_await sub.next()) …;      // std::optional<int>; ends when the broadcast is closed
//
// The sender does not wait for anybody. A subscriber that falls behind by more than the capacity has lost the oldest values:
// its `next()` throws `lagged`, which says how many, and then goes on with the oldest that is left.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <eddy/detail/reader.hpp>
#include <eddy/errors.hpp>

namespace eddy {

/// A subscriber of a `broadcast` was too slow.
class lagged : public std::runtime_error {
public:
    explicit lagged(std::uint64_t missed);
    /// How many values it has not seen and will not see.
    [[nodiscard]] std::uint64_t missed() const noexcept { return missed_; }

private:
    std::uint64_t missed_;
};

namespace detail {

template <class T>
struct broadcast_core {
    explicit broadcast_core(std::size_t capacity) : slots(capacity) {}
    [[nodiscard]] std::uint64_t oldest() const noexcept { return sent - std::min<std::uint64_t>(sent, slots.size()); }
    std::vector<std::optional<T>> slots; // value n is in slot n % capacity
    std::uint64_t sent = 0;
    std::size_t readers = 0;
    wait_queue waiters_;
    bool closed = false;
};

template <class T>
class broadcast_reader : public reader_state {
public:
    using value_type = std::optional<T>;
    static constexpr const char* name = "broadcast";
    explicit broadcast_reader(std::shared_ptr<broadcast_core<T>> c) noexcept : core_(std::move(c)), position_(core_->sent) {}
    [[nodiscard]] wait_queue& waiters() const noexcept { return core_->waiters_; }
    [[nodiscard]] bool ready() const noexcept { return position_ < core_->sent || core_->closed; }
    [[nodiscard]] value_type read() {
        if (position_ == core_->sent) return std::nullopt;
        if (const std::uint64_t oldest = core_->oldest(); position_ < oldest)
            throw lagged(oldest - std::exchange(position_, oldest));
        value_type v = core_->slots[static_cast<std::size_t>(position_ % core_->slots.size())];
        ++position_;
        return v;
    }
    void close() noexcept {
        if (closed) return;
        --core_->readers;
        close_in(core_->waiters_);
    }

private:
    std::shared_ptr<broadcast_core<T>> core_;
    std::uint64_t position_; // of the next value it will see
};

} // namespace detail

/// One subscriber; move-only, for one consumer at a time. Loop thread only. May outlive the broadcast.
template <class T>
class subscription {
public:
    subscription(subscription&&) noexcept = default;
    subscription& operator=(subscription&& o) noexcept {
        subscription(std::move(o)).reader_.swap(reader_);
        return *this;
    }
    ~subscription() { close(); }

    /// Awaitable: a copy of the next value sent since it subscribed, waiting for one; nothing when the broadcast is closed and
    /// all was seen. Throws `lagged` instead of values that are gone. Checkpoint; cancelled, no value was taken; a
    /// subscriber that was woken for a value gets it even if it is cancelled in that tick (R2). Throws `busy_resource` if a
    /// `next` of this subscription is outstanding, `closed_resource` if it is closed, before or while it waits.
    detail::reader_next<detail::broadcast_reader<T>> next() { return detail::reader_next(reader()); }
    /// Nothing if there is no value now. Throws as `next`.
    [[nodiscard]] std::optional<T> try_next() {
        detail::broadcast_reader<T>& r = *reader();
        if (r.waiter) detail::throw_reader_busy();
        if (r.closed) detail::throw_reader_closed();
        return r.read();
    }
    void close() noexcept {
        if (reader_) reader_->close();
    }

    explicit subscription(std::shared_ptr<detail::broadcast_reader<T>> r) noexcept : reader_(std::move(r)) {} // for the library

private:
    [[nodiscard]] const std::shared_ptr<detail::broadcast_reader<T>>& reader() const {
        if (!reader_) detail::throw_logic_error("this subscription is empty (it was moved from)");
        return reader_;
    }
    std::shared_ptr<detail::broadcast_reader<T>> reader_;
};

/// T is copied for each subscriber. Memory for `capacity` values is there from the start; sending allocates nothing. Loop
/// thread only; destroying it closes it.
template <class T>
class broadcast {
    static_assert(std::copy_constructible<T> && std::is_nothrow_move_constructible_v<T>,
                  "each subscriber gets a copy; send a std::shared_ptr to what cannot be copied");

public:
    /// Throws `std::invalid_argument` for 0.
    explicit broadcast(std::size_t capacity) {
        if (capacity == 0) throw std::invalid_argument("broadcast: the capacity cannot be 0; use watch for the latest value only");
        core_ = std::make_shared<detail::broadcast_core<T>>(capacity);
    }
    broadcast(const broadcast&) = delete;
    broadcast& operator=(const broadcast&) = delete;
    ~broadcast() { close(); }

    /// Sees the values sent from now on. Throws `std::bad_alloc`; of a closed broadcast, the subscription is at its end.
    [[nodiscard]] subscription<T> subscribe() {
        auto r = std::make_shared<detail::broadcast_reader<T>>(core_);
        ++core_->readers;
        return subscription<T>(std::move(r));
    }
    /// Wakes the subscribers that wait; returns how many there are. Throws `closed_resource`, and what making a T throws.
    template <class U = T>
    std::size_t send(U&& value) {
        if (core_->closed) throw closed_resource("broadcast::send: the broadcast was closed");
        T v(std::forward<U>(value));
        core_->slots[static_cast<std::size_t>(core_->sent % core_->slots.size())].emplace(std::move(v));
        ++core_->sent;
        detail::wake_all(core_->waiters_);
        return core_->readers;
    }
    /// Subscribers get what they have not seen yet, then the end. Idempotent.
    void close() noexcept {
        core_->closed = true;
        detail::wake_all(core_->waiters_);
    }
    [[nodiscard]] bool closed() const noexcept { return core_->closed; }
    [[nodiscard]] std::size_t subscribers() const noexcept { return core_->readers; }

private:
    std::shared_ptr<detail::broadcast_core<T>> core_;
};

} // namespace eddy

// A growing ring buffer: a FIFO that allocates nothing once it has its size.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace eddy::detail {

template <class T>
class ring {
    static_assert(std::is_nothrow_move_constructible_v<T>, "a ring moves its items when it grows");

public:
    ring() noexcept = default;
    ring(const ring&) = delete;
    ring& operator=(const ring&) = delete;
    ~ring() {
        clear();
        if (items_) std::allocator<T>().deallocate(items_, capacity_);
    }

    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] T& front() noexcept { return items_[first_]; }
    /// Throws `std::bad_alloc`; nothing has changed then.
    void push_back(T&& item) {
        if (size_ == capacity_) grow();
        std::construct_at(at(size_), std::move(item));
        ++size_;
    }
    void pop_front() noexcept {
        std::destroy_at(at(0));
        first_ = (first_ + 1) & (capacity_ - 1);
        --size_;
    }
    void clear() noexcept {
        while (!empty()) pop_front();
    }

private:
    [[nodiscard]] T* at(std::size_t i) const noexcept { return items_ + ((first_ + i) & (capacity_ - 1)); }
    void grow() {
        const std::size_t larger = capacity_ == 0 ? 8 : 2 * capacity_; // powers of two: positions wrap by a mask
        T* const items = std::allocator<T>().allocate(larger);
        for (std::size_t i = 0; i < size_; ++i) {
            std::construct_at(items + i, std::move(*at(i)));
            std::destroy_at(at(i));
        }
        if (items_) std::allocator<T>().deallocate(items_, capacity_);
        items_ = items;
        capacity_ = larger;
        first_ = 0;
    }

    T* items_ = nullptr;
    std::size_t capacity_ = 0;
    std::size_t first_ = 0;
    std::size_t size_ = 0;
};

/// A FIFO of items; those whose move can throw are never moved inside it.
template <class T>
struct fifo_of {
    using type = std::deque<T>;
};
template <class T>
    requires std::is_nothrow_move_constructible_v<T>
struct fifo_of<T> {
    using type = ring<T>;
};
template <class T>
using fifo = typename fifo_of<T>::type;

/// An item that its container may move: in memory of its own if its move can throw.
template <class T>
class movable_item {
public:
    explicit movable_item(T&& item) : item_(std::make_unique<T>(std::move(item))) {}
    [[nodiscard]] T& get() noexcept { return *item_; }
    [[nodiscard]] const T& get() const noexcept { return *item_; }

private:
    std::unique_ptr<T> item_;
};
template <class T>
    requires(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>)
class movable_item<T> {
public:
    explicit movable_item(T&& item) noexcept : item_(std::move(item)) {}
    [[nodiscard]] T& get() noexcept { return item_; }
    [[nodiscard]] const T& get() const noexcept { return item_; }

private:
    T item_;
};

/// What a queue asks of its items; see `basic_queue`.
template <class T>
class fifo_items {
public:
    [[nodiscard]] bool empty() const noexcept { return items_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
    void push(T&& item) { items_.push_back(std::move(item)); }
    void pop_into(std::optional<T>& out) {
        out.emplace(std::move(items_.front())); // may throw; it is still here then
        items_.pop_front();
    }
    void clear() noexcept { items_.clear(); }

private:
    fifo<T> items_;
};

} // namespace eddy::detail

// priority_queue<T, Cmp>: a bounded queue whose smallest item comes out first; equal ones in the order they went in.
//
//     priority_queue<int> q{10};
//     co_await q.push(2);
//     co_await q.push(1);
//     int v = co_await q.pop();       // 1
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <eddy/queue.hpp>

namespace eddy {

namespace detail {

/// A binary heap. Each item has the number of its push, which decides between equals.
template <class T, class Cmp>
class heap_items {
public:
    explicit heap_items(Cmp cmp) : later_(std::move(cmp)) {}
    [[nodiscard]] bool empty() const noexcept { return items_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
    /// Throws `std::bad_alloc`; nothing has changed then.
    void push(T&& item) {
        items_.emplace_back(std::move(item), next_);
        ++next_;
        raise_last();
    }
    void pop_into(std::optional<T>& out) {
        out.emplace(std::move(items_.front().item.get())); // may throw; it is still here then
        std::pop_heap(items_.begin(), items_.end(), std::ref(later_));
        items_.pop_back();
    }
    void clear() noexcept { items_.clear(); }

private:
    struct entry {
        entry(T&& i, std::uint64_t n) : item(std::move(i)), number(n) {}
        movable_item<T> item;
        std::uint64_t number;
    };
    struct comes_later { // the heap's greatest is our next
        explicit comes_later(Cmp c) : cmp(std::move(c)) {}
        [[nodiscard]] bool operator()(const entry& a, const entry& b) {
            if (cmp(b.item.get(), a.item.get())) return true;
            return !cmp(a.item.get(), b.item.get()) && a.number > b.number;
        }
        [[no_unique_address]] Cmp cmp;
    };
    void raise_last() noexcept { std::push_heap(items_.begin(), items_.end(), std::ref(later_)); }

    std::vector<entry> items_;
    comes_later later_;
    std::uint64_t next_ = 0;
};

} // namespace detail

/// After asyncio.PriorityQueue, but stable. `Cmp(a, b)`: a comes out before b; it must not throw. Same verbs and rules
/// as `queue`; see `basic_queue`. Tasks that wait are still served first come, first served: an item that meets a
/// waiting `pop` goes to it, and of pushers that wait for room the first goes first.
template <class T, class Cmp = std::less<T>>
class priority_queue : public basic_queue<T, detail::heap_items<T, Cmp>> {
public:
    /// `capacity`: how many items may lie in it. Throws `std::invalid_argument` for 0.
    explicit priority_queue(std::size_t capacity, Cmp cmp = Cmp())
        : basic_queue<T, detail::heap_items<T, Cmp>>(capacity, std::move(cmp)) {}
};

} // namespace eddy

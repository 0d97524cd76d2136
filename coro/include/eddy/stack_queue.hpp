// stack_queue<T>: a bounded queue whose newest item comes out first.
//
//     stack_queue<int> q{10};
//     co_await q.push(1);
//     co_await q.push(2);
//     int v = co_await q.pop();       // 2
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include <eddy/queue.hpp>

namespace eddy {

namespace detail {

template <class T>
class stack_items {
public:
    [[nodiscard]] bool empty() const noexcept { return items_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
    void push(T&& item) { items_.emplace_back(std::move(item)); }
    void pop_into(std::optional<T>& out) {
        out.emplace(std::move(items_.back().get())); // may throw; it is still here then
        items_.pop_back();
    }
    void clear() noexcept { items_.clear(); }

private:
    std::vector<movable_item<T>> items_;
};

} // namespace detail

/// After asyncio.LifoQueue. Same verbs and rules as `queue`; see `basic_queue`. Tasks that wait are still served first
/// come, first served: an item that meets a waiting `pop` goes to it, and of pushers that wait for room the first goes
/// first, on top of what is there.
template <class T>
class stack_queue : public basic_queue<T, detail::stack_items<T>> {
public:
    /// `capacity`: how many items may lie in it. Throws `std::invalid_argument` for 0.
    explicit stack_queue(std::size_t capacity) : basic_queue<T, detail::stack_items<T>>(capacity) {}
};

} // namespace eddy

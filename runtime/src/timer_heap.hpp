// The loop's timers: a 4-ary heap of deadlines, first set first fired among equals (rule R7).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <eddy/detail/scheduler.hpp>

namespace eddy::detail {

/// Setting and cancelling cost O(log n); memory is 24 bytes a live timer, nothing is left of cancelled ones.
class timer_heap {
public:
    [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }
    [[nodiscard]] loop_clock::time_point next() const noexcept { return heap_.front().when; }

    void insert(timer_node& n, loop_clock::time_point when);
    void erase(timer_node& n) noexcept;
    /// The earliest timer if it is due at `now`, taken out; else null.
    [[nodiscard]] timer_node* pop_due(loop_clock::time_point now) noexcept;

private:
    struct entry {
        loop_clock::time_point when;
        std::uint64_t order;
        timer_node* node;
    };
    [[nodiscard]] static bool before(const entry& a, const entry& b) noexcept {
        return a.when < b.when || (a.when == b.when && a.order < b.order);
    }
    void place(std::size_t i, const entry& e) noexcept {
        heap_[i] = e;
        e.node->position = i;
    }
    void sift_up(std::size_t i, entry e) noexcept;
    void sift_down(std::size_t i, entry e) noexcept;
    void remove_at(std::size_t i) noexcept;

    std::vector<entry> heap_;
    std::uint64_t order_ = 0;
};

} // namespace eddy::detail

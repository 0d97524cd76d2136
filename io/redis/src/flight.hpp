// What is on its way: the commands that were sent and not answered, in their order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <eddy/loop_clock.hpp>

namespace eddy::redis::detail {

class request;

/// A time limit that there is none.
inline constexpr loop_clock::time_point never = loop_clock::time_point::max();

/// Of each command, or pipeline, that was sent.
struct flight {
    request* waiting = nullptr; // null: cancelled or timed out; its replies are read and dropped
    std::size_t replies = 0;    // that are still to come
    loop_clock::time_point deadline = never;
};

/// A FIFO in a ring; an entry is found by its number, which goes up by one with each. Allocates when it grows only.
class flight_queue {
public:
    [[nodiscard]] bool empty() const noexcept { return first_ == end_; }
    [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(end_ - first_); }
    [[nodiscard]] flight& front() noexcept { return at(first_); }
    [[nodiscard]] flight& at(std::uint64_t number) noexcept { return entries_[static_cast<std::size_t>(number) & (entries_.size() - 1)]; }
    /// Throws `std::bad_alloc`; nothing has changed then.
    void reserve_one() {
        if (size() < entries_.size()) return;
        std::vector<flight> larger(entries_.empty() ? 16 : 2 * entries_.size()); // powers of two: places wrap by a mask
        for (std::uint64_t n = first_; n != end_; ++n) larger[static_cast<std::size_t>(n) & (larger.size() - 1)] = at(n);
        entries_.swap(larger);
    }
    /// Its number. There is room, by `reserve_one`.
    std::uint64_t push(const flight& f) noexcept {
        at(end_) = f;
        return end_++;
    }
    void pop() noexcept {
        ++first_;
        if (in_time_ < first_) in_time_ = first_;
    }

    /// The first one whose time is not over; null if there is none.
    [[nodiscard]] flight* first_in_time() noexcept { return in_time_ == end_ ? nullptr : &at(in_time_); }
    /// Its time is over.
    void pass_first_in_time() noexcept { ++in_time_; }

private:
    std::vector<flight> entries_;
    std::uint64_t first_ = 0;
    std::uint64_t in_time_ = 0;
    std::uint64_t end_ = 0;
};

} // namespace eddy::redis::detail

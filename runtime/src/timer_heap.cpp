#include "timer_heap.hpp"

namespace eddy::detail {

void timer_heap::insert(timer_node& n, loop_clock::time_point when) {
    heap_.emplace_back(); // may throw; nothing has changed then
    n.when = when;
    sift_up(heap_.size() - 1, entry{when, order_++, &n});
}

void timer_heap::erase(timer_node& n) noexcept {
    if (n.position != timer_node::idle) remove_at(n.position);
}

timer_node* timer_heap::pop_due(loop_clock::time_point now) noexcept {
    if (heap_.empty() || heap_.front().when > now) return nullptr;
    timer_node* const n = heap_.front().node;
    remove_at(0);
    return n;
}

void timer_heap::remove_at(std::size_t i) noexcept {
    heap_[i].node->position = timer_node::idle;
    const entry last = heap_.back();
    heap_.pop_back();
    if (i < heap_.size()) {
        if (i > 0 && before(last, heap_[(i - 1) / 4]))
            sift_up(i, last);
        else
            sift_down(i, last);
    }
    if (heap_.capacity() > 1024 && heap_.size() < heap_.capacity() / 8) {
        try {
            std::vector<entry> smaller;
            smaller.reserve(heap_.capacity() / 4);
            smaller.assign(heap_.begin(), heap_.end());
            heap_.swap(smaller);
        } catch (...) { // shrinking is a favour
        }
    }
}

void timer_heap::sift_up(std::size_t i, entry e) noexcept {
    while (i > 0) {
        const std::size_t parent = (i - 1) / 4;
        if (!before(e, heap_[parent])) break;
        place(i, heap_[parent]);
        i = parent;
    }
    place(i, e);
}

void timer_heap::sift_down(std::size_t i, entry e) noexcept {
    for (;;) {
        const std::size_t first = i * 4 + 1;
        if (first >= heap_.size()) break;
        std::size_t least = first;
        for (std::size_t c = first + 1; c < first + 4 && c < heap_.size(); ++c) {
            if (before(heap_[c], heap_[least])) least = c;
        }
        if (!before(heap_[least], e)) break;
        place(i, heap_[least]);
        i = least;
    }
    place(i, e);
}

} // namespace eddy::detail

#include <eddy/latch.hpp>

#include <eddy/errors.hpp>

#include <stdexcept>
#include <string>

namespace eddy {

latch::latch(std::ptrdiff_t count) : count_(count) {
    if (count < 0) throw std::invalid_argument("latch: the count cannot be negative (" + std::to_string(count) + ")");
}

void latch::count_down(std::ptrdiff_t n) {
    if (n < 0) detail::throw_logic_error("latch::count_down: a latch only counts down; the number cannot be negative");
    if (n > count_) detail::throw_logic_error("latch::count_down: more was counted down than was left");
    count_ -= n;
    if (count_ > 0) return;
    while (detail::queued_operation* w = waiters_.pop_front()) w->grant();
}

} // namespace eddy

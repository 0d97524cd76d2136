#include <eddy/semaphore.hpp>

#include <limits>
#include <stdexcept>

namespace eddy {

semaphore::semaphore(std::ptrdiff_t permits, std::optional<std::ptrdiff_t> bound)
    : free_(permits), bound_(bound.value_or(std::numeric_limits<std::ptrdiff_t>::max())) {
    if (permits < 0) throw std::invalid_argument("semaphore: the number of permits cannot be negative (" + std::to_string(permits) + ")");
    if (bound_ < permits) throw std::invalid_argument("semaphore: more permits than the bound allows");
}

std::optional<semaphore_permit> semaphore::try_acquire() noexcept {
    if (!take()) return std::nullopt;
    return semaphore_permit(*this);
}

void semaphore::release() {
    if (free_ + held_ >= bound_) detail::throw_logic_error("semaphore::release: more permits were released than the bound allows");
    add();
}

} // namespace eddy

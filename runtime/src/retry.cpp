#include <eddy/retry.hpp>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <eddy/detail/task_context.hpp>

namespace eddy {

bool worth_a_retry(const std::exception_ptr& error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (const operation_cancelled&) {
        return false;
    } catch (const std::logic_error&) {
        return false;
    } catch (const child_cancelled&) {
        return false;
    } catch (...) {
        return true;
    }
}

namespace detail {

void check_retry_policy(const retry_policy& p) {
    if (p.attempts < 1) throw std::invalid_argument("retry: attempts has to be at least 1; the first call counts");
    if (p.first_delay.count() < 0 || p.max_delay.count() < 0 || (p.total && p.total->count() < 0))
        throw std::invalid_argument("retry: a delay is negative");
    if (!std::isfinite(p.factor) || p.factor <= 0)
        throw std::invalid_argument("retry: factor has to be a positive number");
    if (!(p.jitter >= 0 && p.jitter <= 1)) throw std::invalid_argument("retry: jitter is a fraction between 0 and 1");
    if (!p.retry_if) throw std::invalid_argument("retry: retry_if is null");
}

std::chrono::nanoseconds retry_course::next_pause() noexcept {
    const double longest = static_cast<double>(policy_.max_delay.count());
    const double base = std::min(delay_, longest);
    delay_ = std::min(delay_ * policy_.factor, longest);
    const double spread = policy_.jitter > 0 ? policy_.jitter * (2 * jitter_.next() - 1) : 0;
    return to_nanoseconds(std::chrono::duration<double, std::nano>(base * (1 + spread)));
}

std::chrono::nanoseconds retry_course::pause_after(const std::exception_ptr& error, task_context& self) {
    const bool last = attempt_ >= policy_.attempts && policy_.attempts != retry_policy::without_limit;
    if (last || self.cancel_pending() || !policy_.retry_if(error)) std::rethrow_exception(error);
    const std::chrono::nanoseconds pause = next_pause();
    if (policy_.total && after(self.loop().now(), pause) > after(start_, *policy_.total)) std::rethrow_exception(error);
    if (attempt_ < retry_policy::without_limit) ++attempt_;
    return pause;
}

} // namespace detail
} // namespace eddy

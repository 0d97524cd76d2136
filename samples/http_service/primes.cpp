#include "primes.hpp"

#include <eddy/errors.hpp>

namespace http_service {

std::uint64_t count_primes(std::stop_token stop, std::uint32_t below) {
    std::uint64_t count = 0;
    for (std::uint32_t n = 2; n < below; ++n) {
        if (n % 1024 == 0 && stop.stop_requested()) throw eddy::operation_cancelled();
        bool prime = true;
        for (std::uint32_t d = 2; std::uint64_t{d} * d <= n && prime; ++d) prime = n % d != 0;
        count += prime ? 1 : 0;
    }
    return count;
}

} // namespace http_service

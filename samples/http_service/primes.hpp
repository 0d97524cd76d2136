// Something to compute.
#pragma once

#include <cstdint>
#include <stop_token>

namespace http_service {

/// How many primes there are below `below`. Runs on a worker thread: ordinary code, which looks at the token now and then, for
/// the client may be gone or the service about to end. Throws `operation_cancelled` then.
[[nodiscard]] std::uint64_t count_primes(std::stop_token stop, std::uint32_t below);

} // namespace http_service

// resolver_cache: remembers what was looked up a moment ago.
//
//     resolver_cache names;                                                   // ten seconds, 256 names
//     tcp_stream s = co_await tcp_connect("example.org", 80, {.cache = &names});
//
// `resolve` itself remembers nothing, as in asyncio: getaddrinfo does not say how long an answer holds, so every cache above
// it may use an address that has moved, and the machine may have one already (nscd, systemd-resolved). A program that connects to
// the same names all the time makes a cache and says how long that may be; the ten seconds are aiohttp's.
//
// Look-ups of one name at one time share one getaddrinfo. It belongs to nobody who waits for it: whoever is cancelled leaves, and it
// goes on. Failures are told to all who wait and not kept: the next call asks anew.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/endpoint.hpp>
#include <eddy/resolve.hpp>
#include <eddy/task.hpp>

namespace eddy {

struct resolver_cache_options {
    /// From the answer on, by the loop's clock; 0: nothing is kept, but look-ups at one time are one.
    std::chrono::nanoseconds time_to_live = std::chrono::seconds(10);
    std::size_t capacity = 256; // answers; the one that was not used for longest makes room. 0: nothing is kept
};

struct resolver_cache_stats {
    std::uint64_t hits = 0;     // calls that were answered at once
    std::uint64_t shared = 0;   // calls that joined a look-up which was in progress
    std::uint64_t look_ups = 0; // calls of the look-up function
    std::uint64_t failures = 0; // those that ended with an error
    std::size_t entries = 0;    // answers that are kept, those that are too old included
};

/// Loop thread only; for one loop. It may go while look-ups are in progress: who waits still gets the answer.
class resolver_cache {
public:
    /// What is remembered, by default `resolve`. It gets the options of the call; addresses of another family than was asked for are
    /// dropped from what it gives.
    using look_up_function = std::function<task<std::vector<ip_endpoint>>(std::string host, std::string service, resolve_options options)>;
    /// One that is content with the name.
    using name_function = std::function<task<std::vector<ip_endpoint>>(std::string host, std::string service)>;

    explicit resolver_cache(resolver_cache_options options = {});
    resolver_cache(resolver_cache_options options, look_up_function look_up);
    resolver_cache(resolver_cache_options options, name_function look_up);
    resolver_cache(const resolver_cache&) = delete;
    resolver_cache& operator=(const resolver_cache&) = delete;
    ~resolver_cache();

    /// As `eddy::resolve`; the case of the host does not matter. Literal addresses with a number are neither looked up nor kept.
    /// Answers are kept by host, service and options: what was asked for IPv4 alone is no answer for both families.
    /// Checkpoint; cancelled, the look-up goes on in a task of the loop's root group, for others and for the cache.
    /// Throws `resolve_error`.
    task<std::vector<ip_endpoint>> resolve(std::string host, std::string service, resolve_options options = {});
    /// Forgets everything. What is being looked up is not kept either: it was asked before.
    void clear() noexcept;
    /// The same for one host, with all its services and families. `tcp_connect` does so when none of the addresses could be
    /// connected to, or answered within its timeout; not when it was cancelled, nor for want of descriptors, memory or ports on
    /// this machine.
    void forget(std::string_view host);
    [[nodiscard]] resolver_cache_stats stats() const noexcept;

private:
    class answers;
    std::shared_ptr<answers> answers_;
};

} // namespace eddy

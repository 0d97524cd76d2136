// Sockets on several endpoints: all of them or none, on one port where that is free to choose.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include <eddy/endpoint.hpp>

namespace eddy::detail {

/// The kernel picks a port that is free on the first address; on another one it may be taken.
inline constexpr int most_port_attempts = 16;

template <class Socket, class BindOne, class MaySkip>
std::vector<Socket> bind_each(std::span<const ip_endpoint> endpoints, const BindOne& bind_one, const MaySkip& may_skip,
                              bool& picked_port_is_taken) {
    std::vector<Socket> all;
    std::exception_ptr skipped;
    std::uint16_t picked = 0;
    for (const ip_endpoint& e : endpoints) {
        const bool any_port = e.port() == 0;
        try {
            all.push_back(bind_one(any_port ? e.with_port(picked) : e));
        } catch (const std::system_error& error) {
            if (may_skip(e, error.code())) {
                if (!skipped) skipped = std::current_exception();
                continue;
            }
            picked_port_is_taken = any_port && picked != 0 && error.code() == std::errc::address_in_use;
            throw;
        }
        if (any_port && picked == 0) picked = all.back().local_endpoint().port();
    }
    if (all.empty() && skipped) std::rethrow_exception(skipped);
    return all;
}

/// `bind_one(endpoint)` makes a socket or throws; `may_skip(endpoint, why)`: is that a reason to do without this one?
template <class Socket, class BindOne, class MaySkip>
std::vector<Socket> bind_all(std::span<const ip_endpoint> endpoints, const BindOne& bind_one, const MaySkip& may_skip) {
    std::vector<ip_endpoint> different;
    for (const ip_endpoint& e : endpoints) {
        if (std::find(different.begin(), different.end(), e) == different.end()) different.push_back(e);
    }
    for (int left = most_port_attempts;;) {
        bool taken = false;
        try {
            return bind_each<Socket>(different, bind_one, may_skip, taken);
        } catch (const std::system_error&) {
            if (!taken || --left == 0) throw;
        }
    }
}

} // namespace eddy::detail

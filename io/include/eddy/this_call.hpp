// this_call: what a function says while it runs in a worker of a `process_pool`. Called anywhere else it does nothing much, so
// that such functions can be called, and tested, like any other.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <eddy/detail/remote_function.hpp>
#include <eddy/wire.hpp>

namespace eddy {

namespace detail {
void send_progress(std::uint64_t type, std::span<const std::byte> value);
} // namespace detail

namespace this_call {

/// Does this process serve a pool?
[[nodiscard]] bool in_worker() noexcept;
/// Tells the caller how far it is: any type that can be sent (<eddy/wire.hpp>). Waits while the caller has not taken what it was told
/// before. From any thread, while the call lasts. See `progress_to`. Nothing outside of a worker.
template <class T>
void progress(const T& value) {
    if (!in_worker()) return;
    detail::send_progress(detail::hash_of_type<T>(), wire::encode(value));
}
/// A line for the log of the program: see `process_pool::on_log`. Outside of a worker it goes to stderr.
void log(std::string_view text);

} // namespace this_call
} // namespace eddy

// request_handler: what answers the requests of a server.
#pragma once

#include <type_traits>

#include <eddy/detail/function.hpp>
#include <eddy/http/message.hpp>
#include <eddy/task.hpp>

namespace eddy::http {

namespace detail {
using handler_function = eddy::detail::unique_function<task<response>(request&&)>;
} // namespace detail

/// A handler that can answer requests: `handler(request)` or `handler(const request&)` returns `task<response>`.
template <class H>
concept request_handler = std::is_invocable_r_v<task<response>, std::decay_t<H>&, request&&>;

} // namespace eddy::http

// request_handler: what answers the requests of a server.
#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include <eddy/detail/function.hpp>
#include <eddy/http/body_reader.hpp>
#include <eddy/http/message.hpp>
#include <eddy/task.hpp>
#include <eddy/this_task.hpp>

namespace eddy::http {

/// `handler(request)` or `handler(const request&)` returns `task<response>`; it is called when the whole body is there.
template <class H>
concept whole_body_handler = std::is_invocable_r_v<task<response>, std::decay_t<H>&, request&&>;
/// `handler(request, body_reader&)`; it is called when the head is there, with an empty `request::body`.
template <class H>
concept streaming_handler = std::is_invocable_r_v<task<response>, std::decay_t<H>&, request&&, body_reader&>;
/// A handler that can answer requests. What is both is called as a streaming one.
template <class H>
concept request_handler = whole_body_handler<H> || streaming_handler<H>;

namespace detail {

/// Called with a request that outlives the task.
using handler_function = eddy::detail::unique_function<task<response>(request&&, body_reader&)>;

/// Reads the body, then calls the handler.
template <class H>
class whole_body {
public:
    template <class G>
    explicit whole_body(G&& handler) : handler_(std::forward<G>(handler)) {}
    task<response> operator()(request&& q, body_reader& body) {
        if (body.take_whole(q.body)) return handler_(std::move(q));
        return read_and_call(handler_, q, body);
    }

private:
    static task<response> read_and_call(H& handler, request& q, body_reader& body) {
        q.body = co_await body.read_all();
        co_await this_task::checkpoint(); // a server that is gone starts no handler
        task<response> answer = handler(std::move(q));
        co_return co_await std::move(answer);
    }
    H handler_;
};

template <request_handler H>
[[nodiscard]] handler_function make_handler(H&& handler) {
    if constexpr (streaming_handler<H>)
        return handler_function(std::forward<H>(handler));
    else
        return handler_function(whole_body<std::decay_t<H>>(std::forward<H>(handler)));
}

} // namespace detail
} // namespace eddy::http

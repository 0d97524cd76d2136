// router: a handler for a server that passes each request on by its method and path.
//
//     http::router routes;
//     routes.get("/users/{id}", [](http::request q) -> task<http::response> {
//         co_return http::response{200, "user " + q.path_parameter("id")};
//     });
//     routes.get("/static/{path...}", http::static_files("www"));
//     http::server hs{std::move(routes)};
//
// A path is compared part by part, each decoded first, so that "%2F" never separates parts. A literal part is preferred to
// `{name}`, which takes any one part that is not empty, and that to `{name...}`, which takes all that is left, slashes
// included, or nothing. The order in which routes were added does not matter.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <eddy/http/handler.hpp>
#include <eddy/http/message.hpp>
#include <eddy/task.hpp>

namespace eddy::http {

namespace detail {
class route_tree;
} // namespace detail

/// Routes and their handlers; itself a handler. Move-only. Made before the server, which takes it over; handlers run as the
/// server calls them, on its loop.
///
/// A HEAD request goes to the route for GET unless there is one for HEAD. A path that has routes, but none for the method (not
/// even a less specific one), is answered with 405 and all methods that have one in `Allow` (OPTIONS: with 204), any other path
/// with 404. `.` and `..` are parts like any other: they match a parameter, and its handler has to know what it does with them.
class router {
public:
    router();
    router(router&&) noexcept;
    router& operator=(router&&) noexcept;
    ~router();

    /// Adds a route. Throws `std::invalid_argument` for a pattern that does not begin with "/", has a malformed, repeated or
    /// misplaced `{…}`, and for a method that is no token; `std::logic_error` if the route is there already.
    template <request_handler H>
    router& add(std::string_view method, std::string_view pattern, H&& handler) {
        insert(method, pattern, detail::make_handler(std::forward<H>(handler)));
        return *this;
    }
    template <request_handler H>
    router& get(std::string_view pattern, H&& handler) {
        return add("GET", pattern, std::forward<H>(handler));
    }
    template <request_handler H>
    router& post(std::string_view pattern, H&& handler) {
        return add("POST", pattern, std::forward<H>(handler));
    }
    template <request_handler H>
    router& put(std::string_view pattern, H&& handler) {
        return add("PUT", pattern, std::forward<H>(handler));
    }
    template <request_handler H>
    router& patch(std::string_view pattern, H&& handler) {
        return add("PATCH", pattern, std::forward<H>(handler));
    }
    template <request_handler H>
    router& del(std::string_view pattern, H&& handler) {
        return add("DELETE", pattern, std::forward<H>(handler));
    }
    /// Answers what no route takes, instead of 404.
    template <request_handler H>
    router& otherwise(H&& handler) {
        set_otherwise(detail::make_handler(std::forward<H>(handler)));
        return *this;
    }

    /// Passes a request on, with its body yet to be read, or in it. The router must live until the task has ended; cancelling it
    /// cancels the handler.
    task<response> operator()(request q, body_reader& body);
    task<response> operator()(request q);

private:
    void insert(std::string_view method, std::string_view pattern, detail::handler_function handler);
    void set_otherwise(detail::handler_function handler);
    std::unique_ptr<detail::route_tree> routes_;
};

} // namespace eddy::http

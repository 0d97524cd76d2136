// One connection of the server.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/cancel_scope.hpp>
#include <eddy/detail/ready_list.hpp>
#include <eddy/http/body_writer.hpp>
#include <eddy/http/server.hpp>

#include "request_parser.hpp"
#include "response_writer.hpp"

namespace eddy::http::detail {

class server_state;

//   idle ──first byte──► head ──► body ──► handler ──► response ──► idle …
//
// A request that is refused is answered, and the connection closed. Errors of the socket leave as exceptions.
class connection {
public:
    connection(server_state& server, tcp_stream stream);
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    ~connection();

    /// Serves until the connection ends; throws only if it is cancelled.
    task<> run();
    /// Answers 503 instead.
    task<> turn_away();
    /// The server shuts down: ends the connection now if it is idle, else after the request it serves.
    void stop_soon() noexcept;

    eddy::detail::list_link<connection> link;

private:
    friend class http::body_writer;
    enum class outcome { request, refused, closed };
    task<> until_gone(task<> work);
    task<> serve_requests();
    task<outcome> read_request();
    task<bool> read_first_bytes();
    task<outcome> read_rest(request_parser::state phase, std::chrono::nanoseconds limit);
    task<bool> receive();
    task<bool> answer();
    task<response> call_handler(request q);
    void report(const std::string& message, const std::exception_ptr& failure) const;
    task<bool> send(const response& r, response_context context);
    task<bool> send_stream(const response& r, response_context context);
    task<> produce(const response& r, body_writer& out);
    task<bool> write(std::string_view bytes);
    [[nodiscard]] std::chrono::nanoseconds write_limit() const noexcept;
    task<> refuse(refusal why);
    task<> linger();

    server_state& server_;
    tcp_stream stream_;
    ip_endpoint remote_;
    request_parser parser_;
    std::vector<std::byte> buffer_;
    std::size_t served_ = 0;
    std::string subject_; // of the request that is being answered: "GET /x"
    refusal refusal_;
    cancel_scope* idle_ = nullptr; // around the wait for a request
};

/// The life of an accepted connection.
task<> serve_connection(std::shared_ptr<server_state> server, tcp_stream stream);

} // namespace eddy::http::detail

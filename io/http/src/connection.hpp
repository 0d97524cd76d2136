// One connection of the server.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/any_stream.hpp>
#include <eddy/cancel_scope.hpp>
#include <eddy/detail/ready_list.hpp>
#include <eddy/http/access_log.hpp>
#include <eddy/http/body_reader.hpp>
#include <eddy/http/body_writer.hpp>
#include <eddy/http/server.hpp>
#include <eddy/loop_clock.hpp>
#include <eddy/unix.hpp>

#include "request_parser.hpp"
#include "response_writer.hpp"

namespace eddy::http::detail {

class server_state;

//   set up ──► idle ──first byte──► head ──► handler ──► response ──► idle …  or  ──► another protocol
//                                              └─ body, as the handler reads it
//
// A request that is refused is answered, and the connection closed. Errors of the socket leave as exceptions.
class connection {
public:
    connection(server_state& server, tcp_stream stream);
    connection(server_state& server, unix_stream stream);
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    ~connection();

    /// Serves until the connection ends; throws only if it is cancelled.
    task<> run();
    /// Answers 503 instead.
    task<> turn_away();
    /// The server shuts down: ends the connection now if nothing would be lost by that, else after the request it serves.
    void stop_soon() noexcept;

    eddy::detail::list_link<connection> link;

private:
    friend class http::body_writer;
    friend class http::body_reader;
    enum class outcome { request, refused, closed };
    connection(server_state& server, eddy::detail::core_ref socket);
    task<> until_gone(task<> work);
    task<> serve_requests();
    task<> answer_busy();
    task<bool> set_up();
    task<> wrap();
    task<bool> interruptible(std::chrono::nanoseconds limit, task<> work);
    task<outcome> read_head();
    task<bool> read_first_bytes();
    task<outcome> read_rest_of_head();
    task<bool> receive();
    task<> invite();

    task<bool> answer();
    task<response> call_handler(request q, body_reader& body);
    void prepare(const request& q, response_context& context);
    void begin_record(const request& q);
    [[nodiscard]] bool keeps_alive(const response& r, const response_context& c) const noexcept;
    [[nodiscard]] bool may_upgrade(const response& r) const;
    task<bool> send(const response& r, response_context context);
    task<bool> send_whole(const response& r, response_context context);
    task<bool> send_stream(const response& r, response_context context);
    task<> produce(const response& r, body_writer& out);
    task<> hand_over(const response& r);
    task<bool> write(std::string_view bytes);
    [[nodiscard]] std::chrono::nanoseconds write_limit() const noexcept;
    task<> refuse(refusal why);
    [[nodiscard]] bool has_unread() const noexcept;
    task<> linger();
    void report(const std::string& message, const std::exception_ptr& failure) const;
    void log(int status, bool complete);

    server_state& server_;
    tcp_stream accepted_; // until it is set up
    any_stream stream_;
    eddy::detail::core_ref socket_; // below all that
    ip_endpoint remote_;
    request_parser parser_;
    std::vector<std::byte> buffer_; // while a body arrives
    std::size_t served_ = 0;
    std::string subject_; // of the request that is being answered: "GET /x"
    header_list asked_;   // the protocols it would go on in
    std::unique_ptr<access_record> record_; // of it, if anybody wants to know
    loop_clock::time_point began_;
    std::uint64_t sent_ = 0;      // bytes, over all responses
    std::uint64_t body_sent_ = 0; // of the body of this response
    refusal refusal_;
    bool lost_ = false; // in the middle of a body
    cancel_scope* idle_ = nullptr; // around what may be interrupted
};

/// The life of an accepted connection.
task<> serve_connection(std::shared_ptr<server_state> server, tcp_stream stream);
task<> serve_connection(std::shared_ptr<server_state> server, unix_stream stream);

/// 0 stands for "no limit".
[[nodiscard]] inline std::chrono::nanoseconds limit_of(std::chrono::nanoseconds t) noexcept {
    return t.count() > 0 ? t : std::chrono::nanoseconds(std::chrono::hours(24 * 365 * 100));
}
/// Is it that the peer is gone?
[[nodiscard]] bool is_of_connection(const std::exception_ptr& failure) noexcept;

} // namespace eddy::http::detail

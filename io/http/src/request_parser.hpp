// Turns the bytes of one connection into requests, one after the other. No I/O: bytes in, requests out.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <eddy/http/message.hpp>

#include "head_check.hpp"

namespace eddy::http::detail {

class parser_limits {
public:
    std::size_t max_header = 0;
    std::size_t max_body = 0;
};

//   head ──► (body) ──► ready ──next()──► head …          any ──► refused
//
// The parser itself is Boost.Beast's; what it is lenient about, head_check refuses before and after it.
class request_parser {
public:
    enum class state { head, body, ready, refused };

    explicit request_parser(parser_limits limits);
    request_parser(const request_parser&) = delete;
    request_parser& operator=(const request_parser&) = delete;
    ~request_parser();

    /// Takes bytes in and parses as far as they go, at most to the end of one request; the rest waits for `next`.
    void feed(std::string_view bytes);
    [[nodiscard]] state current() const noexcept { return state_; }
    /// Why it was refused.
    [[nodiscard]] const refusal& why() const noexcept { return refusal_; }
    /// Has the request begun: is there a byte of it?
    [[nodiscard]] bool begun() const noexcept { return state_ != state::head || !input_.empty(); }
    /// Does the client wait for "100 Continue" before it sends the body? True once a request.
    [[nodiscard]] bool take_expectation() noexcept;
    /// May the connection serve another request after this one?
    [[nodiscard]] bool keep_alive() const noexcept { return keep_alive_; }

    /// The complete request, moved out. Only when `ready`.
    [[nodiscard]] request take();
    /// Goes on with what follows the request, which may be ready already.
    void next();
    /// Bytes that were not used.
    [[nodiscard]] std::size_t unused() const noexcept { return input_.size(); }

private:
    class beast;
    void parse();
    void parse_head();
    void parse_body();
    void head_complete();
    void refuse(int status, std::string_view reason) noexcept;

    parser_limits limits_;
    state state_ = state::head;
    std::string input_;
    head_scanner scanner_;
    refusal refusal_;
    request request_;
    bool expectation_ = false;
    bool keep_alive_ = true;
    std::unique_ptr<beast> beast_;
};

} // namespace eddy::http::detail

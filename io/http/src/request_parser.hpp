// Turns the bytes of one connection into requests, one after the other. No I/O: bytes in, requests out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <eddy/http/message.hpp>

#include "head_check.hpp"

namespace eddy::http::detail {

//   head ──► (body) ──► ready ──next()──► head …          any ──► refused
//
// The body is parsed from `begin_body` on, and can be taken as it comes or all of it at the end. The parser itself is Boost.Beast's; what it is lenient about, head_check refuses before and after it.
class request_parser {
public:
    enum class state { head, body, ready, refused };

    explicit request_parser(std::size_t max_header);
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
    /// From here on the body is parsed: what has come of it, and what `feed` brings. Refused with 413 if it has more than `limit`
    /// bytes or says that it has. Once a request; nothing happens if there is no body.
    void begin_body(std::uint64_t limit);
    /// Does the client wait for "100 Continue" before it sends the body? After `begin_body`; true once a request.
    [[nodiscard]] bool take_expectation() noexcept;
    /// It was not told after all.
    void repeat_expectation() noexcept { expectation_ = true; }
    /// May the connection serve another request after this one?
    [[nodiscard]] bool keep_alive() const noexcept { return keep_alive_; }

    /// The request without its body, moved out. Once its head is complete.
    [[nodiscard]] request take_head() noexcept { return std::move(request_); }
    /// What of the body has come and was not taken before, moved out.
    [[nodiscard]] std::string take_body();
    [[nodiscard]] bool has_body() const noexcept;
    /// The length that the client has announced.
    [[nodiscard]] std::optional<std::uint64_t> announced_length() const;
    /// Goes on with what follows the request, which may be ready already.
    void next();
    /// Bytes that were not used.
    [[nodiscard]] std::size_t unused() const noexcept { return input_.size(); }
    [[nodiscard]] std::string take_unused() noexcept { return std::exchange(input_, std::string()); }

private:
    class beast;
    void parse();
    void parse_head();
    void parse_body();
    void head_complete();
    void refuse(int status, std::string_view reason) noexcept;

    std::size_t max_header_;
    state state_ = state::head;
    std::string input_;
    head_scanner scanner_;
    refusal refusal_;
    request request_;
    bool body_begun_ = false;
    bool expectation_ = false;
    bool keep_alive_ = true;
    std::unique_ptr<beast> beast_;
};

} // namespace eddy::http::detail

// The messages of SOCKS5 (RFC 1928, and RFC 1929 for passwords): bytes in, bytes out. Knows nothing of sockets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <eddy/endpoint.hpp>

#include "options.hpp"

namespace port_proxy::socks {

enum class method : std::uint8_t { none = 0, password = 2, no_acceptable = 0xff };

enum class reply : std::uint8_t {
    succeeded = 0,
    general_failure = 1,
    not_allowed = 2,
    network_unreachable = 3,
    host_unreachable = 4,
    connection_refused = 5,
    command_not_supported = 7,
    address_type_not_supported = 8
};

/// The client asked for what it does not get.
class refusal : public std::runtime_error {
public:
    explicit refusal(const std::string& why, std::optional<reply> answer = std::nullopt) : std::runtime_error(why), answer_(answer) {}
    /// What it is to be told; nothing if there are no words for it.
    [[nodiscard]] std::optional<reply> answer() const noexcept { return answer_; }

private:
    std::optional<reply> answer_;
};

/// Of a message of which the first bytes are known: how many it has, as far as they tell. As many as they are: it is all there, or they
/// cannot be understood, and no more need to be read to say so.
[[nodiscard]] std::size_t greeting_size(std::string_view beginning) noexcept;
[[nodiscard]] std::size_t login_size(std::string_view beginning) noexcept;
[[nodiscard]] std::size_t request_size(std::string_view beginning) noexcept;

struct login {
    std::string name;
    std::string password;
};

/// What a message says that is as long as `…_size` of it. They throw `refusal`; for half a message, `std::invalid_argument`.
[[nodiscard]] bool offers(std::string_view greeting, method m);
[[nodiscard]] login parse_login(std::string_view message);
[[nodiscard]] target parse_request(std::string_view message);

/// Our answers.
[[nodiscard]] std::string method_bytes(method m);
[[nodiscard]] std::string login_answer_bytes(bool welcome);
[[nodiscard]] std::string reply_bytes(reply code, const eddy::ip_endpoint& bound = {});

} // namespace port_proxy::socks

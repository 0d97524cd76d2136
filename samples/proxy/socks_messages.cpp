#include "socks_messages.hpp"

#include <arpa/inet.h>

#include <array>

namespace port_proxy::socks {

namespace {

constexpr std::uint8_t version = 5;
constexpr std::uint8_t login_version = 1;

enum class address_type : std::uint8_t { v4 = 1, name = 3, v6 = 4 };

std::uint8_t byte_at(std::string_view text, std::size_t i) {
    return static_cast<std::uint8_t>(text[i]);
}

bool begins_with(std::string_view text, std::uint8_t first) {
    return !text.empty() && byte_at(text, 0) == first;
}

void require_whole(std::string_view message, std::size_t size) {
    if (message.empty() || message.size() != size) throw std::invalid_argument("SOCKS5: this is not one whole message");
}

std::string literal(int family, std::string_view raw) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(family, raw.data(), text.data(), text.size());
    return text.data();
}

} // namespace

// VER NMETHODS METHODS
std::size_t greeting_size(std::string_view beginning) noexcept {
    if (!begins_with(beginning, version)) return 1;
    return beginning.size() < 2 ? 2 : 2U + byte_at(beginning, 1);
}

bool offers(std::string_view greeting, method m) {
    require_whole(greeting, greeting_size(greeting));
    // SOCKS4, HTTP, …: there is nothing to answer that it would understand.
    if (!begins_with(greeting, version))
        throw refusal("this is not SOCKS5: its first byte is " + std::to_string(byte_at(greeting, 0)));
    return greeting.substr(2).find(static_cast<char>(m)) != std::string_view::npos;
}

// VER ULEN UNAME PLEN PASSWD
std::size_t login_size(std::string_view beginning) noexcept {
    if (!begins_with(beginning, login_version)) return 1;
    if (beginning.size() < 2) return 2;
    const std::size_t password_at = 2U + byte_at(beginning, 1);
    return beginning.size() <= password_at ? password_at + 1 : password_at + 1 + byte_at(beginning, password_at);
}

login parse_login(std::string_view message) {
    require_whole(message, login_size(message));
    if (!begins_with(message, login_version))
        throw refusal("version " + std::to_string(byte_at(message, 0)) + " of the password negotiation");
    const std::size_t name_size = byte_at(message, 1);
    return {std::string(message.substr(2, name_size)), std::string(message.substr(2 + name_size + 1))};
}

// VER CMD RSV ATYP DST.ADDR DST.PORT
std::size_t request_size(std::string_view beginning) noexcept {
    constexpr std::size_t head = 4;
    constexpr std::size_t port = 2;
    if (beginning.size() < head || !begins_with(beginning, version)) return head;
    switch (static_cast<address_type>(byte_at(beginning, 3))) {
    case address_type::v4: return head + 4 + port;
    case address_type::v6: return head + 16 + port;
    case address_type::name: return beginning.size() == head ? head + 1 : head + 1 + byte_at(beginning, head) + port;
    }
    return head;
}

// The address is read also for a command we do not have: the answer comes after the request.
target parse_request(std::string_view message) {
    require_whole(message, request_size(message));
    if (!begins_with(message, version)) throw refusal("the request is of version " + std::to_string(byte_at(message, 0)));
    const std::uint8_t kind = byte_at(message, 3);
    if (message.size() == 4) throw refusal("address type " + std::to_string(kind), reply::address_type_not_supported);
    const std::uint8_t command = byte_at(message, 1);
    if (command != 1) throw refusal("command " + std::to_string(command), reply::command_not_supported);

    const std::string_view address = message.substr(4, message.size() - 6);
    const std::string_view port = message.substr(message.size() - 2);
    target to;
    to.port = static_cast<std::uint16_t>(byte_at(port, 0) << 8U | byte_at(port, 1));
    if (static_cast<address_type>(kind) == address_type::name)
        to.host = address.substr(1);
    else
        to.host = literal(address.size() == 4 ? AF_INET : AF_INET6, address);
    if (to.host.empty() || to.host.find('\0') != std::string::npos)
        throw refusal("a host name that cannot be one", reply::general_failure);
    return to;
}

// VER METHOD
std::string method_bytes(method m) {
    return {static_cast<char>(version), static_cast<char>(m)};
}

// VER STATUS
std::string login_answer_bytes(bool welcome) {
    return {static_cast<char>(login_version), static_cast<char>(welcome ? 0 : 1)};
}

// VER REP RSV ATYP BND.ADDR BND.PORT
std::string reply_bytes(reply code, const eddy::ip_endpoint& bound) {
    const address_type type = bound.is_v6() ? address_type::v6 : address_type::v4;
    std::string text{static_cast<char>(version), static_cast<char>(code), 0, static_cast<char>(type)};
    std::array<char, 16> raw{};
    inet_pton(bound.is_v6() ? AF_INET6 : AF_INET, bound.address().c_str(), raw.data());
    text.append(raw.data(), bound.is_v6() ? 16 : 4);
    text += static_cast<char>(bound.port() >> 8U);
    text += static_cast<char>(bound.port() & 0xffU);
    return text;
}

} // namespace port_proxy::socks

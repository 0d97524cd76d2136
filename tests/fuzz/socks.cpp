// The messages that a SOCKS5 client sends to the sample proxy. Each is read as the proxy does: as many bytes as what there is says that
// there are.
#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>

#include "fuzz/fuzz.hpp"
#include "socks_messages.hpp"

namespace {

using namespace port_proxy;

/// A kind of message.
struct kind {
    std::size_t (*size)(std::string_view beginning) noexcept;
    void (*parse)(std::string_view message);
    std::size_t longest;
};

bool is_whole(const kind& k, std::string_view bytes) {
    try {
        k.parse(bytes);
    } catch (const std::invalid_argument&) {
        return false;
    } catch (const socks::refusal&) { // is something else
    }
    return true;
}

/// The first message of the bytes; nothing if they end before. Nothing but the whole can be parsed, and no read is too long.
std::optional<std::string_view> first_of(std::string_view bytes, const kind& k) {
    std::size_t had = 0;
    for (;;) {
        const std::size_t wanted = k.size(bytes.substr(0, had));
        fuzz::require(wanted >= had, "no more was read than there is");
        fuzz::require(wanted <= k.longest, "no message is longer than the protocol has it");
        if (wanted == had) break;
        const std::size_t there = std::min(wanted, bytes.size());
        for (; had < there; ++had) {
            const std::string_view beginning = bytes.substr(0, had);
            fuzz::require(k.size(beginning) > had && k.size(beginning) <= wanted, "what is missing is found out step by step");
            fuzz::require(!is_whole(k, beginning), "half a message is none");
        }
        if (there < wanted) return std::nullopt;
    }
    fuzz::require(k.size(bytes) == had, "what comes after a message makes no difference to its size");
    fuzz::require(had == bytes.size() || !is_whole(k, bytes.substr(0, had + 1)), "a message and a byte are none");
    return bytes.substr(0, had);
}

void greeting(std::string_view bytes) {
    const auto parse = [](std::string_view m) { static_cast<void>(socks::offers(m, socks::method::none)); };
    const std::optional<std::string_view> message = first_of(bytes, {&socks::greeting_size, parse, 2 + 255});
    if (!message) return;
    const bool spoken = message->front() == 5;
    std::string methods;
    try {
        for (unsigned m = 0; m < 256; ++m) {
            if (!socks::offers(*message, static_cast<socks::method>(m))) continue;
            methods += static_cast<char>(m);
            fuzz::require(message->find(static_cast<char>(m), 2) != std::string_view::npos, "what is offered is in the message");
        }
    } catch (const socks::refusal& e) {
        fuzz::require(!spoken && message->size() == 1 && !e.answer(), "who does not speak SOCKS5 is told nothing, at the first byte");
        return;
    }
    fuzz::require(spoken && message->substr(2).find_first_not_of(methods) == std::string_view::npos, "every method is offered");
}

void login(std::string_view bytes) {
    const auto parse = [](std::string_view m) { static_cast<void>(socks::parse_login(m)); };
    const std::optional<std::string_view> message = first_of(bytes, {&socks::login_size, parse, 1 + 1 + 255 + 1 + 255});
    if (!message) return;
    try {
        const socks::login l = socks::parse_login(*message);
        const std::string again = '\1' + std::string(1, static_cast<char>(l.name.size())) + l.name +
                                  std::string(1, static_cast<char>(l.password.size())) + l.password;
        fuzz::require_equal(*message, again, "a login and what it is written as");
    } catch (const socks::refusal& e) {
        fuzz::require(message->front() != 1 && message->size() == 1 && !e.answer(), "another version is refused at its first byte");
    }
}

/// As a request by name, and by address if it is one.
std::string written(const target& to, bool by_name) {
    // A reply has the shape of a request: where that has the command, it has the code.
    if (!by_name) return socks::reply_bytes(static_cast<socks::reply>(1), eddy::ip_endpoint(to.host, to.port));
    std::string text{5, 1, 0, 3, static_cast<char>(to.host.size())};
    text += to.host;
    text += static_cast<char>(to.port >> 8U);
    text += static_cast<char>(to.port & 0xffU);
    return text;
}

void request(std::string_view bytes) {
    const auto parse = [](std::string_view m) { static_cast<void>(socks::parse_request(m)); };
    const std::optional<std::string_view> message = first_of(bytes, {&socks::request_size, parse, 4 + 1 + 255 + 2});
    if (!message) return;
    try {
        const target to = socks::parse_request(*message);
        fuzz::require(!to.host.empty() && to.host.find('\0') == std::string::npos, "a host is one for the C library");
        const std::string again = written(to, (*message)[3] == 3);
        fuzz::require_equal(message->substr(0, 2), again.substr(0, 2), "the beginning of a request and of what it is written as");
        fuzz::require_equal(message->substr(3), again.substr(3), "a request and what it is written as"); // the byte between is reserved
        fuzz::require(socks::parse_request(written(to, true)) == to, "an address is understood as a name, too");
    } catch (const socks::refusal& e) {
        fuzz::require(e.answer().has_value() == (message->front() == 5), "who speaks SOCKS5 is told why");
        fuzz::require(e.answer() != socks::reply::succeeded, "a refusal is no success");
    }
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes = fuzz::text_of(data, size);
    greeting(bytes);
    login(bytes);
    request(bytes);
    return 0;
}

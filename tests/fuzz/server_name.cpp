// Names of hosts in TLS: what a client says in its ClientHello, and what an application wants to be checked. The first line says what:
// "extension" or "host".
#include <stdexcept>
#include <string>

#include "../../io/tls/src/openssl.hpp"
#include "../../io/tls/src/tls_context_core.hpp"
#include "fuzz/fuzz.hpp"

namespace {

using namespace eddy::detail;

std::string two_bytes(std::size_t n) {
    return {static_cast<char>(n >> 8U & 0xffU), static_cast<char>(n & 0xffU)};
}

/// A list with one name in it.
std::string extension_of(std::string_view name) {
    return two_bytes(name.size() + 3) + '\0' + two_bytes(name.size()) + std::string(name);
}

void extension(std::string_view rest) {
    const std::string name = server_name_in(rest);
    fuzz::require(name.empty() || name.size() + 5 <= rest.size(), "a name lies within its extension");
    fuzz::require_equal(small_letters(name), name, "a name and the same in small letters");
    if (!name.empty()) {
        fuzz::require_equal(small_letters(rest.substr(5, name.size())), name, "a name and what was sent");
        fuzz::require_equal(server_name_in(extension_of(name)), name, "a name and what it is sent as");
        fuzz::require(server_name_in(rest.substr(0, rest.size() - 1)).empty(), "a list that is cut off has no name");
        fuzz::require(server_name_in(std::string(rest) + 'x').empty(), "nor one with something behind it");
    }
    if (rest.size() > 65532) return;
    fuzz::require_equal(server_name_in(extension_of(rest)), small_letters(rest), "any bytes and the name that they are sent as");
}

void host(std::string_view rest) {
    std::string plain;
    try {
        plain = plain_host(rest);
    } catch (const std::invalid_argument&) { // cannot be a name
        return;
    }
    fuzz::require(!plain.empty() && plain.size() <= 255, "a name has 1 to 255 bytes");
    fuzz::require(!plain.starts_with('.'), "a name does not stand for all below it");
    fuzz::require(plain.find('\0') == std::string::npos, "a name is one for OpenSSL");
    fuzz::require(rest.find(plain) != std::string_view::npos, "nothing is added to a name");
    if (is_address(plain)) fuzz::require(plain.find('%') == std::string::npos, "an address that is checked has no zone");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view rest = fuzz::text_of(data, size);
    const std::string_view what = fuzz::take_line(rest);
    if (what == "extension") extension(rest);
    if (what == "host") host(rest);
    return 0;
}

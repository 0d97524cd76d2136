#include <eddy/tls_error.hpp>

#include <cstring>
#include <new>
#include <stdexcept>

#include "openssl.hpp"

namespace eddy {
namespace {

class category_of_tls final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "tls"; }
    [[nodiscard]] std::string message(int value) const override {
        switch (static_cast<tls_errc>(value)) {
            case tls_errc::certificate: return "certificate not accepted";
            case tls_errc::refused: return "refused by the peer";
            case tls_errc::protocol: return "not valid TLS";
            case tls_errc::truncated: return "the peer went away without a close_notify";
            case tls_errc::configuration: return "unusable TLS configuration";
        }
        return "TLS failed";
    }
};

} // namespace

const std::error_category& tls_category() noexcept {
    static const category_of_tls instance;
    return instance;
}

std::error_code make_error_code(tls_errc e) noexcept {
    return {static_cast<int>(e), tls_category()};
}

namespace detail {

unsigned long take_error(int library) noexcept {
    unsigned long first = 0;
    unsigned long chosen = 0;
    while (const unsigned long e = ERR_get_error()) {
        if (first == 0) first = e;
        const bool wanted = ERR_GET_LIB(e) == library || ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE;
        if (chosen == 0 && wanted) chosen = e;
    }
    return chosen != 0 ? chosen : first;
}

std::string reason_of(unsigned long error) {
    if (error == 0) return "unknown error";
    if (ERR_SYSTEM_ERROR(error)) return std::system_category().message(ERR_GET_REASON(error));
    if (const char* text = ERR_reason_error_string(error)) return text;
    return "error " + std::to_string(error);
}

void throw_configuration(const std::string& what) {
    const unsigned long error = take_error();
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE) throw std::bad_alloc();
    throw tls_error(tls_errc::configuration, error == 0 ? what : what + ": " + reason_of(error));
}

std::string plain_host(std::string_view host) {
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (host.ends_with('.')) host.remove_suffix(1);
    if (host.find(':') != std::string_view::npos) host = host.substr(0, host.find('%')); // the zone of an address is ours, not in certificates
    // A name that begins with a dot would be taken for all that end with it.
    if (host.empty() || host.size() > 255 || host.starts_with('.') || host.find('\0') != std::string_view::npos)
        throw std::invalid_argument("TLS: a client needs the name of the host to check its certificate, and '" + std::string(host.substr(0, 255)) + "' is none");
    return std::string(host);
}

bool is_address(const std::string& host) noexcept {
    const ip_ptr address(a2i_IPADDRESS(host.c_str()));
    ERR_clear_error();
    return address != nullptr;
}

} // namespace detail
} // namespace eddy

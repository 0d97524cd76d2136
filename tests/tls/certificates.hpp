// Certificates for the tests, made when they are needed.
#pragma once

#include <string>
#include <vector>

namespace tls_tests {

/// A certificate with its key, as PEM text.
class identity {
public:
    identity(std::string c, std::string k) : certificate(std::move(c)), key(std::move(k)) {}
    std::string certificate;
    std::string key;
};

struct certificate_request {
    std::string name;               // its subject's common name
    std::vector<std::string> names; // that it is good for: "DNS:localhost", "IP:127.0.0.1"
    bool authority = false;         // may sign others
    long valid_from = -3600;        // seconds from now
    long valid_to = 3600L * 24 * 365;
};

/// Signed by `issuer`, or by itself.
[[nodiscard]] identity make_identity(const certificate_request& wanted, const identity* issuer = nullptr);

/// An authority; servers that it has signed, good for localhost and 127.0.0.1, for other.test, and for localhost until
/// yesterday; a client; and a server that nobody has signed. All made once.
[[nodiscard]] const identity& authority();
[[nodiscard]] const identity& localhost();
[[nodiscard]] const identity& other();
[[nodiscard]] const identity& expired();
[[nodiscard]] const identity& somebody();
[[nodiscard]] const identity& self_signed();

} // namespace tls_tests

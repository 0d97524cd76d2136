// request_error: what is wrong with a request, as a handler's exception.
#pragma once

#include <stdexcept>
#include <string>

namespace eddy::http {

/// Left to leave a handler, it is answered with its status and reason, and nobody is told: it is the client's fault. `body_reader`
/// throws it for a body that is malformed (400), too slow (408) or too large (413); handlers may throw it for reasons of theirs.
class request_error : public std::runtime_error {
public:
    /// Throws `std::invalid_argument` for a status outside 400–499. The reason goes to the client.
    explicit request_error(int status, const std::string& reason);
    [[nodiscard]] int status() const noexcept { return status_; }

private:
    int status_;
};

} // namespace eddy::http

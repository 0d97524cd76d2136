// Exceptions as they cross from a worker.
#pragma once

#include <cstdint>
#include <string>

#include <eddy/wire.hpp>

namespace eddy::detail {

/// Writes the exception that is being handled. `item`: which of the call's it was.
void write_failure(wire::writer& out, std::uint32_t item);

/// What came.
struct remote_failure {
    std::uint32_t item = 0;
    std::string type; // as C++ writes it
    std::string what;
    bool registered = false;
    std::string key;  // the compiler's name of the type
    wire::reader rest;
    [[nodiscard]] bool is_cancellation() const noexcept;
    [[nodiscard]] bool is_bad_alloc() const noexcept;
    /// As itself, or a `remote_error`.
    [[noreturn]] void raise();
};
[[nodiscard]] remote_failure read_failure(wire::reader in);

} // namespace eddy::detail

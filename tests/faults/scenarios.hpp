// What the library is put through while system calls fail: each part of it once, from the first call to the last. A scenario prepares
// what it needs, arms the plan of fault.hpp, and either succeeds or throws what the library threw.
#pragma once

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include <eddy/task.hpp>
#include <eddy/testing.hpp>

namespace faults {

/// The library said that it succeeded, and did not.
class wrong : public std::logic_error {
public:
    using std::logic_error::logic_error;
};

class scenario {
public:
    std::string_view name;
    /// `folder` is empty and goes afterwards.
    eddy::task<> (*run)(std::string folder);
    /// The virtual clock stands still beside a running process: what waits for one by looking again needs a real one.
    eddy::testing::test_time time = eddy::testing::test_time::jumps;
    /// Whether everything in it goes on where a signal has interrupted it: other people's code may not.
    bool outlasts_signals = true;
};

[[nodiscard]] std::span<const scenario> io_scenarios() noexcept;
[[nodiscard]] std::span<const scenario> further_io_scenarios() noexcept;
/// For loops that have a ring.
[[nodiscard]] std::span<const scenario> ring_scenarios() noexcept;
/// Empty in a build without eddy::http, or eddy::tls.
[[nodiscard]] std::span<const scenario> http_scenarios() noexcept;
[[nodiscard]] std::span<const scenario> tls_scenarios() noexcept;

/// Throws `wrong` that says what came instead.
inline void expect(std::string_view got, std::string_view expected) {
    if (got != expected) throw wrong("'" + std::string(got) + "' instead of '" + std::string(expected) + "'");
}

} // namespace faults

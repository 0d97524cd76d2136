// Everything in the io layer that can be waited for, in one shape, for the cancellation tests.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <eddy/task.hpp>

namespace io_test {

class rig {
public:
    rig() = default;
    rig(const rig&) = delete;
    rig& operator=(const rig&) = delete;
    virtual ~rig() = default;
    [[nodiscard]] virtual eddy::task<> prepare() = 0;
    /// The wait that is tested.
    [[nodiscard]] virtual eddy::task<> wait() = 0;
    /// Makes what is waited for happen.
    [[nodiscard]] virtual eddy::task<> release() = 0;
};

/// What a rig can be used for.
enum class rig_kind {
    repeatable, // after a cancelled wait another one works as if the first had not been (R4)
    once,       // `release` works, but a cancelled wait leaves a mark that is tested elsewhere
    endless,    // nothing makes it happen in a test's time
};

struct rig_entry {
    std::string name;
    rig_kind kind;
    bool by_kernel; // the kernel completes it, so that "in the tick of its completion" can be met
    std::function<std::shared_ptr<rig>()> make;
};

[[nodiscard]] const std::vector<rig_entry>& rigs();

} // namespace io_test

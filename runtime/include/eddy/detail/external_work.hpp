// Work outside the process that will end by itself soon: a virtual clock waits for it, as it does for a worker.
#pragma once

#include <eddy/detail/scheduler.hpp>

namespace eddy::detail {

/// While one lives, the virtual time of the loop stands still. Nothing under a real clock.
class external_work {
public:
    explicit external_work(scheduler& loop) noexcept;
    external_work(const external_work&) = delete;
    external_work& operator=(const external_work&) = delete;
    ~external_work();

private:
    loop_link loop_; // the frame that holds us may outlive it
};

} // namespace eddy::detail

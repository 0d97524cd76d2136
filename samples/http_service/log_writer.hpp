// The access log, which goes to standard error.
#pragma once

#include <cstdint>
#include <string>

#include <eddy/queue.hpp>
#include <eddy/task.hpp>

namespace http_service {

/// Standard error may be a pipe that nobody reads. So lines are written by a task of their own, on the blocking pool,
/// and when it cannot keep up they are dropped and counted: a service does not stop because of its log.
class log_writer {
public:
    void add(std::string line);
    /// Writes until the log is closed and all that was added has been written.
    eddy::task<> run();
    void close() noexcept { lines_.close(); }
    [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }

private:
    eddy::queue<std::string> lines_{4096};
    std::uint64_t dropped_ = 0;
};

} // namespace http_service

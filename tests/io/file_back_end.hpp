// Where calls on files run: in the ring or on the blocking pool, and tests that want one of the two.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

#include <eddy/eddy.hpp>

namespace io_test {

/// Loops that use their first file while this lives have no ring.
class without_ring {
public:
    without_ring() {
        if (const char* const e = std::getenv("EDDY_IO_URING")) before_ = e;
        ::setenv("EDDY_IO_URING", "off", 1);
    }
    without_ring(const without_ring&) = delete;
    without_ring& operator=(const without_ring&) = delete;
    ~without_ring() {
        if (before_)
            ::setenv("EDDY_IO_URING", before_->c_str(), 1);
        else
            ::unsetenv("EDDY_IO_URING");
    }

private:
    std::optional<std::string> before_;
};

/// Does this loop have a ring? Not on Asio's engine, nor where the kernel or the build has none.
[[nodiscard]] inline eddy::task<bool> has_ring() {
    eddy::file f = co_await eddy::file::open("/dev/null");
    co_await f.close();
    co_return eddy::this_loop().stats().files == eddy::file_back_end::ring;
}

/// Until the kernel has a call on a file, which some task has begun: by a worker or in the ring.
[[nodiscard]] inline eddy::task<> call_is_in_kernel() {
    const std::uint64_t before = eddy::this_loop().stats().ring_submissions;
    const auto begun = [&] {
        const eddy::loop_stats now = eddy::this_loop().stats();
        return eddy::this_loop().blocking_pool().running() > 0 || (now.ring_operations > 0 && now.ring_submissions > before);
    };
    while (!begun()) co_await eddy::this_task::yield();
}

} // namespace io_test

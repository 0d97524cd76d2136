// A blocking pool whose workers are all held up, so that calls wait for a worker until the test lets them go.
#pragma once

#include <latch>
#include <vector>

#include <eddy/eddy.hpp>

namespace io_test {

class blocked_pool {
public:
    explicit blocked_pool(eddy::worker_pool& pool = eddy::this_loop().blocking_pool()) noexcept : pool_(&pool) {}
    /// More calls than the pool has workers: what is offloaded afterwards waits.
    [[nodiscard]] eddy::task<> block() {
        const std::size_t before = eddy::this_loop().stats().pool_jobs;
        for (int i = 0; i < 64; ++i) holders_.push_back(eddy::spawn(hold()));
        while (eddy::this_loop().stats().pool_jobs < before + 64) co_await eddy::this_task::yield();
    }
    [[nodiscard]] eddy::task<> release() {
        gate_.count_down();
        for (eddy::task_handle<>& h : holders_) co_await h.join();
    }

private:
    eddy::task<> hold() {
        co_await eddy::offload(*pool_, [this] { gate_.wait(); });
    }
    eddy::worker_pool* pool_;
    std::latch gate_{1};
    std::vector<eddy::task_handle<>> holders_;
};

/// Lets every task run that can, without time passing; for where pool calls run and `settle` would wait for them.
[[nodiscard]] inline eddy::task<> some_turns() {
    for (int i = 0; i < 10; ++i) co_await eddy::this_task::yield();
}

} // namespace io_test

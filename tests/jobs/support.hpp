// What the tests of jobs share.
#pragma once

#include <string>
#include <utility>

#include <eddy/eddy.hpp>
#include <eddy/jobs.hpp>
#include <eddy/testing.hpp>

namespace jobs_tests {

using namespace std::chrono_literals;
using namespace eddy;
using jobs::json;

/// Runs `body` while the worker serves, and shuts it down.
template <class F>
task<> while_serving(jobs::worker& w, F& body) {
    const auto all = [&](task_group& g) -> task<> {
        auto serving = g.spawn(w.serve(), {.name = "serve"});
        co_await w.wait_ready();
        co_await body();
        w.shutdown();
        co_await serving.join();
    };
    co_await with_task_group(all);
}

/// "TYPE: MESSAGE" of a job that failed, "revoked: …", or its value.
inline task<std::string> ending_of(jobs::client& c, std::string id) {
    try {
        const json v = co_await c.result(std::move(id));
        co_return v.dump();
    } catch (const jobs::task_failed& e) {
        co_return std::string(e.what());
    } catch (const jobs::task_revoked& e) {
        co_return std::string(e.what());
    }
}

} // namespace jobs_tests

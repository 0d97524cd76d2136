// What the tests of jobs share.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>

#include <eddy/eddy.hpp>
#include <eddy/jobs.hpp>
#include <eddy/testing.hpp>

namespace jobs_tests {

using namespace std::chrono_literals;
using namespace eddy;
using jobs::json;

/// A database of its own, gone at the end.
class job_file {
public:
    job_file() {
        std::string name = (std::filesystem::temp_directory_path() / "eddy-jobs-XXXXXX").string();
        if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
        folder_ = name;
    }
    job_file(const job_file&) = delete;
    job_file& operator=(const job_file&) = delete;
    ~job_file() { std::filesystem::remove_all(folder_); }
    [[nodiscard]] std::string url() const { return "sqlite:" + folder_ + "/jobs.db"; }

private:
    std::string folder_;
};

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

// on_jobs: the scale of `background` for jobs.
//
//     auto r = co_await background(on_jobs(client, "images.resize"), resize, file, 800);
//
// `fn` says what the arguments and the result are, and makes the program the same at every scale; what runs is what the worker has
// under that name, usually the same function.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>

#include <eddy/background.hpp>
#include <eddy/jobs/client.hpp>
#include <eddy/jobs/json.hpp>

namespace eddy::jobs {

namespace detail {
/// Sends it and waits for its value; revoked, should the wait end before the job.
task<json> run_as_job(client c, std::string name, json args);
} // namespace detail

/// Arguments and result are what JSON can hold. Cancelled, the job is revoked, and terminated if it runs: it may have been executed
/// all the same. Throws what `client::call` throws. Reports of the job's progress (`report_progress` in ours, an update_state with
/// `current` and `total` in Python's) reach the caller's listener; they are asked for twice a second while somebody listens.
class jobs_scale {
public:
    /// `name`: as the workers know it.
    jobs_scale(client c, std::string name) : client_(std::move(c)), name_(std::move(name)) {}
    template <class F, class... A>
        requires eddy::detail::callable_in_background<F, A...>
    [[nodiscard]] auto call(F& fn, A&... args) const -> task<eddy::detail::loop_value_t<F, A...>> {
        static_cast<void>(fn);
        return detail::typed_result<eddy::detail::loop_value_t<F, A...>>(detail::run_as_job(client_, name_, detail::pack(args...)), "the result of " + name_);
    }
    /// Jobs on their way at a time: workers fetch a few before they need them.
    [[nodiscard]] static constexpr std::size_t width() noexcept { return 256; }

private:
    client client_;
    std::string name_;
};
[[nodiscard]] inline jobs_scale on_jobs(client c, std::string name) {
    return {std::move(c), std::move(name)};
}

} // namespace eddy::jobs

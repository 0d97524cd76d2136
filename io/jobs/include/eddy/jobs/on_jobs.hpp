// on_jobs: the scale of `background` for jobs.
//
//     auto r = co_await background(on_jobs(client, "images.resize"), resize, file, 800);
//     auto s = co_await background(on_jobs(client, "images.resize", {.queue = "large", .priority = 6}), resize, file, 4000);
//
// `fn` says what the arguments and the result are, and makes the program the same at every scale; what runs is what the worker has
// under that name, usually the same function.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include <eddy/background.hpp>
#include <eddy/jobs/client.hpp>
#include <eddy/jobs/json.hpp>

namespace eddy::jobs {

namespace detail {
/// How its jobs are sent, copied.
class job_template;
[[nodiscard]] std::shared_ptr<const job_template> make_job_template(const send_options& how);
/// Sends it and waits for its value; revoked, should the wait end before the job.
task<json> run_as_job(client c, std::string name, std::shared_ptr<const job_template> how, json args);
} // namespace detail

/// Arguments and result are what JSON can hold. Cancelled, the job is revoked, and terminated if it runs: it may have been executed
/// all the same. Throws what `client::call` throws. Reports of the job's progress (`report_progress` in ours, an update_state with
/// `current` and `total` in Python's) reach the caller's listener; they are asked for twice a second while somebody listens.
class jobs_scale {
public:
    /// `name`: as the workers know it. `how`: each job is sent so; a countdown and `expires` begin anew with each attempt. All of it is copied.
    /// An `id`, which several attempts would share, and `ignore_result`, which would be waited for in vain: `std::invalid_argument`.
    jobs_scale(client c, std::string name, const send_options& how = {}) : client_(std::move(c)), name_(std::move(name)), how_(detail::make_job_template(how)) {}
    template <class F, class... A>
        requires eddy::detail::callable_in_background<F, A...>
    [[nodiscard]] auto call(F& fn, A&... args) const -> task<eddy::detail::loop_value_t<F, A...>> {
        static_cast<void>(fn);
        return detail::typed_result<eddy::detail::loop_value_t<F, A...>>(detail::run_as_job(client_, name_, how_, detail::pack(args...)), "the result of " + name_);
    }
    /// Jobs on their way at a time: workers fetch a few before they need them.
    [[nodiscard]] static constexpr std::size_t width() noexcept { return 256; }

private:
    client client_;
    std::string name_;
    std::shared_ptr<const detail::job_template> how_;
};
[[nodiscard]] inline jobs_scale on_jobs(client c, std::string name, const send_options& how = {}) {
    return {std::move(c), std::move(name), how};
}

} // namespace eddy::jobs

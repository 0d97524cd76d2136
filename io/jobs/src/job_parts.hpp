// What the parts of a job's life share: how it ended, as it is stored, and times.
#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "message.hpp"
#include "worker_core.hpp"

namespace eddy::jobs::detail {

[[nodiscard]] inline std::chrono::nanoseconds of_seconds(double s) {
    return eddy::detail::to_nanoseconds(std::chrono::duration<double>(s));
}
[[nodiscard]] inline std::optional<double> limit_of(const std::optional<double>& jobs_own, const std::optional<std::chrono::nanoseconds>& tasks) {
    if (jobs_own) return jobs_own;
    if (tasks) return std::chrono::duration<double>(*tasks).count();
    return {};
}

[[nodiscard]] inline job_result failed_with(std::string_view type, json arguments, std::string_view module, std::string traceback = {}) {
    job_result r;
    r.state = "FAILURE";
    r.value = make_exception(type, std::move(arguments), module);
    r.traceback = std::move(traceback);
    return r;
}
[[nodiscard]] inline job_result revoked_for(const char* why) {
    job_result r;
    r.state = "REVOKED";
    r.value = make_exception("TaskRevokedError", json::array({why}), "celery.exceptions");
    return r;
}
/// Of a dead letter.
[[nodiscard]] inline job_result dead_for(const std::string& reason) {
    return failed_with(dead_letter_type, json::array({reason}), "cpp");
}
/// Built by hand: GCC 12 takes no initializer lists in coroutines' awaits.
[[nodiscard]] inline json list_of(json one) {
    json list = json::array();
    list.push_back(std::move(one));
    return list;
}

/// Counts what it says, as long as it lives.
class counted {
public:
    explicit counted(std::size_t& n) noexcept : n_(&n) { ++n; }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;
    ~counted() { --*n_; }

private:
    std::size_t* n_;
};

} // namespace eddy::jobs::detail

// jobs::signature: a call that is not made yet; with chain, group and chord, a workflow of them.
//
//     using jobs::signature;
//     auto pair = jobs::group(signature("tasks.add", 1, 1), signature("tasks.add", 2, 2));
//     auto id = co_await jc.send(jobs::chord(pair, signature("tasks.tsum")));       // tsum([2, 4])
//     int six = co_await jc.result<int>(id);
//     id = co_await jc.send(jobs::chain(signature("tasks.add", 2, 3), signature("tasks.add", 4)));   // 9
//
// The workers run workflows among themselves; the client only sends the first messages. They are Celery's, so that Python's workers
// take part.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/jobs/json.hpp>

namespace eddy::jobs {

/// A task's name with arguments, which may lack the first ones: the result of the call before it is put in front of them.
class signature {
public:
    template <class... A>
    explicit signature(std::string_view task, A&&... args) : signature(task) {
        (form_["args"].push_back(json(std::forward<A>(args))), ...);
    }
    explicit signature(std::string_view task);

    /// A keyword argument.
    signature& named(std::string_view name, json value);
    /// It does not take the result of what came before it.
    signature& immutable(bool yes = true);
    /// `task_id`, `queue`, `priority`, `countdown` (seconds), `time_limit`, `soft_time_limit`, …: Celery's names.
    signature& option(std::string_view name, json value);
    /// Runs with the result when this one has succeeded, beside what the workflow does next; may be given several times.
    signature& on_success(const signature& next);
    /// Runs with this one's id when it has failed.
    signature& on_error(const signature& next);

    /// As Celery writes it: {"task", "args", "kwargs", "options", "subtask_type", "immutable"}.
    [[nodiscard]] const json& form() const noexcept { return form_; }
    [[nodiscard]] static signature from(json form); // for the library

private:
    signature() = default;
    json form_;
};

/// One after another, each with the result of the one before.
[[nodiscard]] signature chain(std::vector<signature> steps);
/// All at once.
[[nodiscard]] signature group(std::vector<signature> members);
/// `body` with the list of the members' results, in their order, when all have succeeded; if one fails, so does the body.
[[nodiscard]] signature chord(const signature& header, const signature& body);
template <class... S>
    requires(std::same_as<std::remove_cvref_t<S>, signature> && ...)
[[nodiscard]] signature chain(const signature& first, S&&... rest) {
    return chain(std::vector<signature>{first, rest...});
}
template <class... S>
    requires(std::same_as<std::remove_cvref_t<S>, signature> && ...)
[[nodiscard]] signature group(const signature& first, S&&... rest) {
    return group(std::vector<signature>{first, rest...});
}

} // namespace eddy::jobs

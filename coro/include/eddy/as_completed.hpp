// as_completed: several tasks, in the order in which they end.
//
//     auto stream = as_completed(std::move(tasks));
//     while (auto h = co_await stream.next()) use(h->result());
//
// Tasks are owned: they start now, as children of the task group around the current task (else of the loop's root group; a
// race or gather is no such group, and a shield ends the search), and destroying the stream cancels those that are left; that group joins them. `co_await stream.close()` cancels and joins
// them now. Handles are only observed. A member that failed is yielded like any other; its error appears when its result
// is read, and goes to the exception handler if the handle is dropped unread. One may stop and go on with the same stream.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/detail/attributes.hpp>
#include <eddy/detail/completion_set.hpp>
#include <eddy/detail/duration.hpp>

namespace eddy {

/// Loop thread only. Destroying it cancels the tasks that are left, not the handles' ones.
template <class T>
class [[nodiscard("a stream that is dropped cancels its tasks: keep it in a variable")]] completion_stream {
public:
    /// Awaitable: `std::optional<task_handle<T>>`, the handle of the next member that has ended; nullopt after the last.
    /// Throws `timeout_error` once the timeout has passed and no member is there that ended before it; the members go on
    /// until the stream is closed or destroyed. Checkpoint; cancelled, nothing was taken. One reader at a time, else
    /// `busy_resource`; `closed_resource` if the stream goes meanwhile.
    detail::next_completed<T> next() EDDY_LIFETIMEBOUND { return detail::next_completed<T>(set()); }
    /// Awaitable: cancels the tasks that are left and waits until they have unwound. Not a checkpoint, not cancellable.
    detail::completion_set::join_operation close() {
        set().cancel_rest("not needed any more");
        return detail::completion_set::join_operation(set());
    }

    explicit completion_stream(detail::completion_set_ptr s) noexcept : set_(std::move(s)) {} // for the library

private:
    [[nodiscard]] detail::completion_set& set() const {
        if (!set_) detail::throw_logic_error("this completion_stream is empty (it was moved from)");
        return *set_;
    }
    detail::completion_set_ptr set_;
};

template <class T>
[[nodiscard]] completion_stream<T> as_completed(std::vector<task<T>> tasks,
                                                std::source_location site = std::source_location::current());
/// `timeout`: from now, for the whole stream.
template <class T, class Rep, class Period>
[[nodiscard]] completion_stream<T> as_completed(std::vector<task<T>> tasks, std::chrono::duration<Rep, Period> timeout,
                                                std::source_location site = std::source_location::current());
template <class T>
[[nodiscard]] completion_stream<T> as_completed(std::vector<task_handle<T>> handles,
                                                std::source_location site = std::source_location::current());
template <class T, class Rep, class Period>
[[nodiscard]] completion_stream<T> as_completed(std::vector<task_handle<T>> handles, std::chrono::duration<Rep, Period> timeout,
                                                std::source_location site = std::source_location::current());

// --- implementation

namespace detail {

template <class T>
task_state<T>* make_member(task<T>&& t) {
    if (!t) throw_logic_error("as_completed: a task is empty (it was moved from)");
    return new task_state<T>(std::move(t));
}

template <class T, class Members>
completion_stream<T> make_completion_stream(Members members, std::optional<std::chrono::nanoseconds> timeout, std::source_location site) {
    completion_set_ptr set(new completion_set("completion_stream", timeout, site));
    for (auto& m : members) {
        if constexpr (is_task<typename Members::value_type>)
            set->start(make_member(std::move(m)), {.name = {}, .site = site});
        else
            set->observe(std::move(m));
    }
    return completion_stream<T>(std::move(set));
}

} // namespace detail

template <class T>
completion_stream<T> as_completed(std::vector<task<T>> tasks, std::source_location site) {
    return detail::make_completion_stream<T>(std::move(tasks), std::nullopt, site);
}
template <class T, class Rep, class Period>
completion_stream<T> as_completed(std::vector<task<T>> tasks, std::chrono::duration<Rep, Period> timeout, std::source_location site) {
    return detail::make_completion_stream<T>(std::move(tasks), detail::to_nanoseconds(timeout), site);
}
template <class T>
completion_stream<T> as_completed(std::vector<task_handle<T>> handles, std::source_location site) {
    return detail::make_completion_stream<T>(std::move(handles), std::nullopt, site);
}
template <class T, class Rep, class Period>
completion_stream<T> as_completed(std::vector<task_handle<T>> handles, std::chrono::duration<Rep, Period> timeout, std::source_location site) {
    return detail::make_completion_stream<T>(std::move(handles), detail::to_nanoseconds(timeout), site);
}

} // namespace eddy

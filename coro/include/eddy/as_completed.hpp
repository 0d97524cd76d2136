// as_completed: several tasks, in the order in which they end.
//
//     auto stream = as_completed(std::move(tasks));
//     while (auto h = co_await stream.next()) use(h->result());
//
// Tasks are owned: they start now, as children of the group around the current task (else of the loop's root group), and
// destroying the stream cancels those that are left; that group joins them. `co_await stream.close()` cancels and joins
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

#include <eddy/detail/child_set.hpp>
#include <eddy/detail/duration.hpp>
#include <eddy/errors.hpp>

namespace eddy {

namespace detail {

/// The members of a stream. Lives until the stream is gone and its tasks have ended.
class completion_set {
public:
    completion_set(std::size_t members, std::optional<std::chrono::nanoseconds> timeout, std::source_location site);
    completion_set(const completion_set&) = delete;
    completion_set& operator=(const completion_set&) = delete;

    template <class T>
    void start(task<T>&& t) {
        if (!t) throw_logic_error("as_completed: a task is empty (it was moved from)");
        task_handle<T> h = launch(new task_state<T>(std::move(t)), loop_, nullptr, parent_scope(), {.name = {}, .site = site_});
        add(std::move(h), true);
    }
    void observe(any_task t) { add(std::move(t), false); }

    [[nodiscard]] bool has(const task_context& t) const noexcept;
    void let_go() noexcept; // the stream goes
    void cancel_rest() noexcept;

    class next_base : public operation {
    public:
        bool begin() final { return try_now() || start(); }
        [[nodiscard]] bool try_now();
        bool start() noexcept {
            set_->reader_ = this;
            return false;
        }
        bool abort() noexcept final {
            if (set_) set_->reader_ = nullptr;
            return true;
        }
        [[nodiscard]] std::string_view waits_for() const noexcept override { return "the next of several tasks"; }
        [[nodiscard]] bool awaits(const task_context& t) const noexcept override { return set_ && set_->has(t); }

    protected:
        explicit next_base(completion_set& s) noexcept : set_(&s) {}
        next_base(next_base&&) noexcept = default;
        ~next_base() = default;
        [[nodiscard]] any_task take_ended();

    private:
        friend class completion_set;
        completion_set* set_; // null once the stream has gone
    };
    class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] join_operation final : public leaf<join_operation> {
    public:
        static constexpr bool shielded = true;
        explicit join_operation(completion_set& s) noexcept : set_(&s) {}
        [[nodiscard]] bool try_now() const noexcept { return set_->running_ == 0; }
        bool start() noexcept {
            next_ = std::exchange(set_->joiners_, this);
            return false;
        }
        bool abort() noexcept override { return false; }
        void take() const noexcept {}
        [[nodiscard]] std::string_view waits_for() const noexcept override { return "cancelled tasks"; }

    private:
        friend class completion_set;
        completion_set* set_;
        join_operation* next_ = nullptr;
    };

private:
    struct member final : task_watcher {
        member(any_task t, completion_set& s, bool o) noexcept
            : task_watcher(&task_ended), task(std::move(t)), set(&s), owned(o) {}
        static void task_ended(task_watcher& w) noexcept;
        any_task task; // empty once it was yielded
        completion_set* set;
        bool owned;
    };
    struct owned_timer final : timer_node {
        explicit owned_timer(completion_set& s) noexcept : timer_node(&due), set(s) {}
        static void due(ready_node& n);
        completion_set& set;
    };
    ~completion_set() = default;
    void add(any_task t, bool owned);
    [[nodiscard]] scope_node& parent_scope() const noexcept;
    [[nodiscard]] bool at_end() const noexcept { return yielded_ == members_.size(); }
    [[nodiscard]] any_task take_ended(const next_base& reader);
    void ended(member& m) noexcept;
    void wake() noexcept;
    void wake_joiners() noexcept;

    scheduler& loop_;
    loop_link home_;
    child_set* group_; // around the task that made the stream: joins what is left over
    std::source_location site_;
    std::optional<std::chrono::nanoseconds> timeout_;
    owned_timer timer_{*this};
    std::vector<member> members_; // stay where they are: room is made first
    std::vector<member*> ended_;  // in the order they ended
    std::size_t yielded_ = 0;     // of `ended_`
    std::size_t running_ = 0;     // of those that are owned
    next_base* reader_ = nullptr;
    bool woken_ = false; // the reader was, and has not taken its member yet
    join_operation* joiners_ = nullptr;
    bool expired_ = false;
    bool let_go_ = false;
};

/// Deletes a set that was not completed.
struct let_go_of_set {
    void operator()(completion_set* s) const noexcept { s->let_go(); }
};

template <class T>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] next_completed final : public completion_set::next_base {
public:
    explicit next_completed(completion_set& s) noexcept : next_base(s) {}
    [[nodiscard]] std::optional<task_handle<T>> take() {
        const any_task t = take_ended();
        if (!t) return std::nullopt;
        return task_handle<T>(static_cast<task_state<T>*>(&t.context()));
    }
};

} // namespace detail

/// Loop thread only. Destroying it cancels the tasks that are left, not the handles' ones.
template <class T>
class [[nodiscard("a stream that is dropped cancels its tasks: keep it in a variable")]] completion_stream {
public:
    completion_stream(completion_stream&& o) noexcept : set_(std::exchange(o.set_, nullptr)) {}
    completion_stream& operator=(completion_stream&& o) noexcept {
        completion_stream(std::move(o)).swap(*this);
        return *this;
    }
    ~completion_stream() {
        if (set_) set_->let_go();
    }

    /// Awaitable: `std::optional<task_handle<T>>`, the handle of the next member that has ended; nullopt after the last.
    /// Throws `timeout_error` once the timeout has passed and no member is there that ended before it; the members go on
    /// until the stream is closed or destroyed. Checkpoint; cancelled, nothing was taken. One reader at a time, else
    /// `busy_resource`; `closed_resource` if the stream goes meanwhile.
    detail::next_completed<T> next() { return detail::next_completed<T>(set()); }
    /// Awaitable: cancels the tasks that are left and waits until they have unwound. Not a checkpoint, not cancellable.
    detail::completion_set::join_operation close() {
        set().cancel_rest();
        return detail::completion_set::join_operation(set());
    }

    explicit completion_stream(detail::completion_set* s) noexcept : set_(s) {} // for the library

private:
    void swap(completion_stream& o) noexcept { std::swap(set_, o.set_); }
    [[nodiscard]] detail::completion_set& set() const {
        if (!set_) detail::throw_logic_error("this completion_stream is empty (it was moved from)");
        return *set_;
    }
    detail::completion_set* set_;
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

template <class T, class Members>
completion_stream<T> make_completion_stream(Members members, std::optional<std::chrono::nanoseconds> timeout, std::source_location site) {
    std::unique_ptr<completion_set, let_go_of_set> set(new completion_set(members.size(), timeout, site));
    for (auto& m : members) {
        if constexpr (is_task<typename Members::value_type>)
            set->start(std::move(m));
        else
            set->observe(std::move(m));
    }
    return completion_stream<T>(set.release());
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

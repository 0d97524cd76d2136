// What completion_stream and join_set are made of: tasks that are handed out one after another as they end.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <source_location>
#include <string_view>
#include <utility>

#include <eddy/detail/child_set.hpp>
#include <eddy/detail/duration.hpp>
#include <eddy/errors.hpp>

namespace eddy::detail {

/// The members of a stream or set. Lives until that is gone and its tasks have ended.
class completion_set {
public:
    /// Null from the moment that the owner is gone: operations may exist longer.
    using link = std::shared_ptr<completion_set*>;
    completion_set(const char* what, std::optional<std::chrono::nanoseconds> timeout, std::source_location site);
    completion_set(const completion_set&) = delete;
    completion_set& operator=(const completion_set&) = delete;

    /// A task of our own: a child of the group around the current task, else of the loop's root group.
    template <class T>
    task_handle<T> start(task_state<T>* state, spawn_options options) {
        std::unique_ptr<task_state<T>> unstarted(state);
        require_home();
        std::list<member> room = make_room(child_set::around(current().task));
        task_handle<T> h = launch(unstarted.release(), loop_, nullptr, parent_scope(room.front()), options);
        add(room, h);
        return h;
    }
    /// A task of somebody else.
    void observe(any_task t);

    [[nodiscard]] bool has(const task_context& t) const noexcept;
    [[nodiscard]] bool owns(const task_context& t) const noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return members_.size(); } // not handed out
    [[nodiscard]] std::size_t running() const noexcept { return running_; }     // of those that are our own
    [[nodiscard]] std::source_location site() const noexcept { return site_; }
    void cancel_rest(std::string_view reason) noexcept;
    void let_go() noexcept; // its owner goes

    class next_base : public operation {
    public:
        bool begin() final { return try_now() || start(); }
        [[nodiscard]] bool try_now();
        bool start() noexcept {
            set()->reader_ = this;
            return false;
        }
        bool abort() noexcept final {
            if (set()) set()->reader_ = nullptr;
            return true;
        }
        [[nodiscard]] std::string_view waits_for() const noexcept override { return "the next of several tasks"; }
        [[nodiscard]] bool awaits(const task_context& t) const noexcept override { return set() && set()->has(t); }

    protected:
        explicit next_base(completion_set& s) noexcept : link_(s.link_), what_(s.what_) {}
        next_base(next_base&&) noexcept = default;
        ~next_base() = default;
        [[nodiscard]] any_task take_ended();

    private:
        friend class completion_set;
        [[nodiscard]] completion_set* set() const noexcept { return *link_; }
        link link_;
        const char* what_;
    };
    class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] join_operation final : public leaf<join_operation> {
    public:
        static constexpr bool shielded = true;
        explicit join_operation(completion_set& s) noexcept : link_(s.link_) {}
        [[nodiscard]] bool try_now() const;
        bool start() noexcept {
            next_ = std::exchange((*link_)->joiners_, this);
            return false;
        }
        bool abort() noexcept override { return false; }
        void take() const noexcept {}
        [[nodiscard]] std::string_view waits_for() const noexcept override { return "cancelled tasks"; }
        [[nodiscard]] bool awaits(const task_context& t) const noexcept override { return *link_ && (*link_)->has(t); }

    private:
        friend class completion_set;
        link link_;
        join_operation* next_ = nullptr;
    };

private:
    struct member final : task_watcher {
        member(completion_set& s, child_set* g) noexcept : task_watcher(&task_ended), set(&s), group(g) {}
        static void task_ended(task_watcher& w) noexcept;
        any_task task;
        completion_set* set;
        child_set* group; // around the task that started it: joins it if nobody does before
        std::list<member>::iterator self;
        member* next_ended = nullptr;
        bool owned = true;
    };
    struct owned_timer final : timer_node {
        explicit owned_timer(completion_set& s) noexcept : timer_node(&due), set(s) {}
        static void due(ready_node& n);
        completion_set& set;
    };
    ~completion_set() = default;
    /// Throws unless this is the set's loop, and it takes new tasks.
    void require_home() const;
    [[nodiscard]] std::list<member> make_room(child_set* group);
    void add(std::list<member>& room, any_task t) noexcept;
    [[nodiscard]] scope_node& parent_scope(const member& m) const noexcept;
    [[nodiscard]] any_task take_ended(const next_base& reader);
    void ended(member& m) noexcept;
    void wake() noexcept;
    void wake_joiners() noexcept;

    const char* what_; // in messages
    scheduler& loop_;
    loop_link home_;
    link link_ = std::make_shared<completion_set*>(this);
    std::source_location site_;
    std::optional<std::chrono::nanoseconds> timeout_;
    owned_timer timer_{*this};
    std::list<member> members_;    // those that were not handed out
    member* first_ended_ = nullptr; // of them, in the order they ended
    member* last_ended_ = nullptr;
    std::size_t running_ = 0; // of those that are our own
    next_base* reader_ = nullptr;
    bool woken_ = false; // the reader was, and has not taken its member yet
    join_operation* joiners_ = nullptr;
    bool expired_ = false;
    bool let_go_ = false;
};

struct let_go_of_set {
    void operator()(completion_set* s) const noexcept { s->let_go(); }
};
using completion_set_ptr = std::unique_ptr<completion_set, let_go_of_set>;

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

} // namespace eddy::detail

// Tasks that belong to a block: what groups, gather, race and as_completed have in common.
#pragma once

#include <source_location>
#include <string_view>
#include <utility>

#include <eddy/detail/scope.hpp>
#include <eddy/spawn.hpp>

namespace eddy::detail {

class child_set;

class group_scope final : public scope_node {
public:
    explicit group_scope(child_set& s) noexcept : set_(s) {}
    [[nodiscard]] child_set* as_group() noexcept override { return &set_; }
    template <class F>
    void for_each_child(F f) {
        for (scope_node* c = children_.front(); c; c = children::next(*c)) f(*c->host());
    }

private:
    child_set& set_;
};

// A set is opened by the task that owns it (its scope is then the task's innermost), gets children, is joined and
// closed, in this order. Joining is no checkpoint: a cancellation reaches the children through the scope, and the owner
// looks afterwards (R9). While the set is open its children keep it alive by construction: the owner cannot leave.
class child_set : public task_owner {
public:
    child_set() noexcept = default;
    child_set(const child_set&) = delete;
    child_set& operator=(const child_set&) = delete;

    void open(task_context& host) noexcept {
        host_ = &host;
        scope_.enter(host);
    }
    void close() noexcept { scope_.leave(); }

    template <class T>
    task_handle<T> launch_child(task_state<T>* state, spawn_options options = no_options()) {
        task_handle<T> h = launch(state, host_->loop(), this, scope_, options);
        ++alive_;
        return h;
    }
    /// Children that have not ended.
    [[nodiscard]] std::size_t alive() const noexcept { return alive_ - guests_; }
    [[nodiscard]] bool all_ended() const noexcept { return alive_ == 0; }
    /// The group around a task that takes guests: the innermost one inside the innermost shield, or null. What gather and race
    /// run is theirs only until they return, and what is started behind a shield is not for the group around that to cancel.
    [[nodiscard]] static child_set* around(task_context* t) noexcept;
    /// Tasks that somebody else owns, but that are joined with the children: their scope is below this set's.
    void guest_came() noexcept {
        ++alive_;
        ++guests_;
    }
    void guest_left() noexcept;
    [[nodiscard]] scope_node& scope() noexcept { return scope_; }
    [[nodiscard]] const scope_node& scope() const noexcept { return scope_; }
    [[nodiscard]] task_context& host() const noexcept { return *host_; }
    /// A cancellation from outside arrived while the owner waited for the children.
    [[nodiscard]] bool cancelled_while_joining() const noexcept { return interrupted_; }

    class join_children final : public leaf<join_children> {
    public:
        static constexpr bool shielded = true;
        explicit join_children(child_set& set) noexcept : set_(&set) {}
        [[nodiscard]] bool try_now() const noexcept { return set_->alive_ == 0; }
        bool start() noexcept {
            set_->joiner_ = this;
            return false;
        }
        bool abort() noexcept override {
            set_->interrupted_ = true;
            return false;
        }
        void take() const noexcept {}
        [[nodiscard]] std::string_view waits_for() const noexcept override { return "its children"; }

    private:
        friend class child_set;
        child_set* set_;
    };
    /// Awaitable: until no child is left. Never cancelled.
    [[nodiscard]] join_children join() noexcept { return join_children(*this); }

protected:
    ~child_set() = default;
    /// Those that have not ended, in the order in which they were launched; guests too.
    template <class F>
    void for_each_child(F f) {
        scope_.for_each_child(f);
    }
    virtual void child_ended(task_context& child) noexcept = 0;

private:
    [[nodiscard]] virtual bool takes_guests() const noexcept { return false; }
    void child_finished(task_context& child) noexcept final;
    void one_less() noexcept;

    group_scope scope_{*this};
    task_context* host_ = nullptr;
    join_children* joiner_ = nullptr;
    std::size_t alive_ = 0; // guests included
    std::size_t guests_ = 0;
    bool interrupted_ = false;
};

} // namespace eddy::detail

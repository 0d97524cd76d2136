// Tasks that belong to a block: what groups, gather, race and as_completed have in common.
#pragma once

#include <source_location>
#include <string_view>
#include <utility>

#include <eddy/detail/scope.hpp>
#include <eddy/spawn.hpp>

namespace eddy::detail {

class group_scope final : public scope_node {};

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
    task_handle<T> launch_child(task_state<T>* state, spawn_options options = {}, std::source_location site = {}) {
        task_handle<T> h = launch(state, host_->loop(), this, scope_, options, site);
        ++alive_;
        return h;
    }
    [[nodiscard]] std::size_t alive() const noexcept { return alive_; }
    [[nodiscard]] scope_node& scope() noexcept { return scope_; }
    [[nodiscard]] const scope_node& scope() const noexcept { return scope_; }
    [[nodiscard]] task_context& host() const noexcept { return *host_; }
    /// A cancellation from outside arrived while the owner waited for the children.
    [[nodiscard]] bool cancelled_while_joining() const noexcept { return interrupted_ && scope_.inherited(); }

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
    virtual void child_ended(task_context& child) noexcept = 0;

private:
    void child_finished(task_context& child) noexcept final;

    group_scope scope_;
    task_context* host_ = nullptr;
    join_children* joiner_ = nullptr;
    std::size_t alive_ = 0;
    bool interrupted_ = false;
};

} // namespace eddy::detail

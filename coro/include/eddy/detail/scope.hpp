// The tree of cancel scopes: who is inside whom, and who is cancelled (rules R1 to R6).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <eddy/detail/ready_list.hpp>
#include <eddy/loop_clock.hpp>

namespace eddy::detail {

class task_context;
class child_set;

// Every task has a root scope, whose parent is the scope of the group that spawned it. Scopes that a task enters form a
// stack on its root scope: each has at most one `inner_` scope of the same task. A group's scope has, besides, the root
// scopes of the group's children. Cancelling marks the whole subtree down to shields, then aborts what the tasks in it
// wait for: children in spawn order first, then the scope's own task. "Am I cancelled" is therefore one flag.
class scope_node {
public:
    scope_node() noexcept = default;
    scope_node(const scope_node&) = delete;
    scope_node& operator=(const scope_node&) = delete;

    /// Marks this scope cancelled; false if it already was. The first reason stands.
    bool cancel_scope_now(std::string_view reason) noexcept;
    /// The same with a reason that was made before: allocates nothing.
    using reason_ptr = std::shared_ptr<const std::string>;
    bool cancel_scope_now(const reason_ptr& reason) noexcept;

    [[nodiscard]] bool own() const noexcept { return own_; }
    [[nodiscard]] bool inherited() const noexcept { return inherited_; }
    [[nodiscard]] bool effective() const noexcept { return own_ || inherited_; }
    /// A cancellation that leaves this scope ends here: the outermost cancelled scope wins (R5).
    [[nodiscard]] bool catches() const noexcept { return own_ && !inherited_; }
    [[nodiscard]] scope_node* parent() const noexcept { return parent_; }
    /// Does it keep cancellations of the scopes around it out?
    [[nodiscard]] bool shields() const noexcept { return shield_; }
    /// The children that this is the scope of, if it is a group's.
    [[nodiscard]] virtual child_set* as_group() noexcept { return nullptr; }
    [[nodiscard]] task_context* host() const noexcept { return host_; }
    /// The reason of the outermost cancelled scope that reaches this one.
    [[nodiscard]] std::shared_ptr<const std::string> effective_reason() const noexcept;

    /// Of the tasks whose root scopes are here; see `task_context::in_flight`.
    [[nodiscard]] bool any_child_in_flight(int levels) const noexcept;

    /// The earliest deadline from here outwards, up to and including the first shield.
    [[nodiscard]] std::optional<loop_clock::time_point> effective_deadline() const noexcept;

    /// Makes this the innermost scope of `host`, and back.
    void enter(task_context& host) noexcept;
    void leave() noexcept;
    /// Attaches the root scope of a task below `parent`, and back.
    void attach(scope_node& parent, task_context& host) noexcept;
    void detach() noexcept;

    /// Lets cancellations of the parents through from now on (end of the grace period, R16).
    void break_shield() noexcept;

    list_link<scope_node> sibling_link;

protected:
    ~scope_node() = default;
    friend class task_context;

    [[nodiscard]] virtual std::optional<loop_clock::time_point> own_deadline() const noexcept { return std::nullopt; }
    virtual void on_effective() noexcept {} // a hook for stop tokens; must not touch the tree

    using children = intrusive_list<scope_node, &scope_node::sibling_link>;
    scope_node* parent_ = nullptr;
    scope_node* inner_ = nullptr;
    task_context* host_ = nullptr;
    children children_;
    std::shared_ptr<const std::string> reason_;
    bool own_ = false;
    bool inherited_ = false;
    bool shield_ = false;

private:
    void propagate() noexcept;
    [[nodiscard]] bool inherit() noexcept;
    void deliver() noexcept;
    [[nodiscard]] static scope_node* next_open(scope_node* s) noexcept;
};

class root_scope_node final : public scope_node {};

} // namespace eddy::detail

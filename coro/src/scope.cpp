#include <eddy/detail/scope.hpp>

#include <eddy/detail/task_context.hpp>

namespace eddy::detail {

bool scope_node::cancel_scope_now(std::string_view reason) noexcept {
    if (own_) return false;
    try {
        return cancel_scope_now(reason.empty() ? nullptr : std::make_shared<const std::string>(reason));
    } catch (const std::bad_alloc&) { // cancelled all the same, without a reason
        return cancel_scope_now(reason_ptr());
    }
}

bool scope_node::cancel_scope_now(const reason_ptr& reason) noexcept {
    if (own_) return false;
    reason_ = reason;
    own_ = true;
    if (!inherited_) propagate();
    return true;
}

std::shared_ptr<const std::string> scope_node::effective_reason() const noexcept {
    const scope_node* outermost = nullptr;
    for (const scope_node* s = this; s; s = s->parent_) {
        if (s->own_) outermost = s;
        if (!s->inherited_) break;
    }
    return outermost ? outermost->reason_ : nullptr;
}

std::optional<loop_clock::time_point> scope_node::effective_deadline() const noexcept {
    std::optional<loop_clock::time_point> earliest;
    for (const scope_node* s = this; s; s = s->parent_) {
        const auto own = s->own_deadline();
        if (own && (!earliest || *own < *earliest)) earliest = own;
        if (s->shield_) break;
    }
    return earliest;
}

bool scope_node::any_child_in_flight(int levels) const noexcept {
    for (const scope_node* c = children_.front(); c; c = children::next(*c)) {
        if (c->host_ && c->host_->in_flight(levels)) return true;
    }
    return false;
}

void scope_node::enter(task_context& host) noexcept {
    host_ = &host;
    parent_ = host.scope_;
    parent_->inner_ = this;
    host.scope_ = this;
    inherited_ = !shield_ && parent_->effective();
    host.cancel_pending_ = effective();
    if (effective()) on_effective();
}

void scope_node::leave() noexcept {
    if (own_ && !parent_->effective()) host_->cancellation_over();
    host_->scope_ = parent_;
    parent_->inner_ = nullptr;
    host_->cancel_pending_ = parent_->effective();
    parent_ = nullptr;
}

void scope_node::attach(scope_node& parent, task_context& host) noexcept {
    host_ = &host;
    parent_ = &parent;
    parent.children_.push_back(*this);
    inherited_ = parent.effective();
    host.scope_ = this;
    host.cancel_pending_ = effective();
}

void scope_node::detach() noexcept {
    if (parent_) parent_->children_.erase(*this);
    parent_ = nullptr;
}

void scope_node::break_shield() noexcept {
    if (!shield_) return;
    shield_ = false;
    if (!parent_ || !parent_->effective() || inherited_) return;
    const bool was_effective = effective();
    inherited_ = true;
    if (!was_effective) propagate();
}

// Does a cancellation from outside go into this scope? A shield protects all that is below it. What was cancelled on its
// own account before was walked then; from now on a cancellation only goes past it (R5), which matters to a task that
// waits there for its children.
bool scope_node::inherit() noexcept {
    if (shield_ || inherited_) return false;
    inherited_ = true;
    if (!own_) return true;
    if (!inner_) deliver();
    return false;
}

scope_node* scope_node::next_open(scope_node* s) noexcept {
    while (s && !s->inherit()) s = children::next(*s);
    return s;
}

// Depth first without recursion (a thousand nested scopes are legal). This scope has just become effective.
void scope_node::propagate() noexcept {
    on_effective();
    scope_node* s = this;
    scope_node* child = next_open(children_.front());
    for (;;) {
        scope_node* down = child;
        if (!down && s->inner_ && s->inner_->inherit()) down = s->inner_;
        if (down) {
            s = down;
            s->on_effective();
            child = next_open(s->children_.front());
            continue;
        }
        if (!s->inner_) s->deliver();
        for (;;) { // climb to the next sibling, or to a parent whose own task is still to do
            if (s == this) return;
            scope_node* up = s->parent_;
            const bool was_inner = up->inner_ == s;
            if (!was_inner) child = next_open(children::next(*s));
            s = up;
            if (!was_inner) break;
        }
    }
}

void scope_node::deliver() noexcept {
    if (host_) host_->deliver_cancellation();
}

} // namespace eddy::detail

#include <eddy/detail/child_set.hpp>

namespace eddy::detail {

void child_set::child_finished(task_context& child) noexcept {
    child_ended(child);
    one_less();
}

void child_set::guest_left() noexcept {
    --guests_;
    one_less();
}

void child_set::one_less() noexcept {
    if (--alive_ > 0 || !joiner_) return;
    interrupted_ = interrupted_ && scope_.inherited();
    std::exchange(joiner_, nullptr)->finish();
}

child_set* child_set::around(task_context* t) noexcept {
    for (scope_node* s = t ? &t->scope() : nullptr; s; s = s->parent()) {
        child_set* const set = s->as_group();
        if (set && set->takes_guests()) return set;
        if (s->shields()) break;
    }
    return nullptr;
}

} // namespace eddy::detail

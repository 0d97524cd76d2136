#include <eddy/task_observer.hpp>

namespace eddy {

task_observer::~task_observer() {
    if (home_ && *home_) (*home_)->remove_observer(*this);
}

namespace detail {

void scheduler::add_observer(task_observer& o) {
    if (o.home_) throw_logic_error("this task_observer observes a loop already");
    o.home_ = link_;
    o.next_ = std::exchange(observers_, &o);
}

void scheduler::remove_observer(task_observer& o) noexcept {
    task_observer** place = &observers_;
    while (*place && *place != &o) place = &(*place)->next_;
    if (!*place) return;
    *place = o.next_;
    if (next_observer_ == &o) next_observer_ = o.next_;
    o.next_ = nullptr;
    o.home_ = nullptr;
}

void scheduler::tell(task_event e, task_context& t) noexcept {
    const any_task handle(&t);
    for (task_observer* o = observers_; o; o = next_observer_) {
        next_observer_ = o->next_; // any of them may go meanwhile
        switch (e) {
        case task_event::spawned: o->spawned(handle); break;
        case task_event::step_begins: o->step_begins(handle); break;
        case task_event::step_ends: o->step_ends(handle); break;
        case task_event::ended: o->ended(handle); break;
        }
    }
    next_observer_ = nullptr;
}

} // namespace detail
} // namespace eddy

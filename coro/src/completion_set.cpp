#include <eddy/detail/completion_set.hpp>

#include <string>

namespace eddy::detail {

completion_set::completion_set(const char* what, std::optional<std::chrono::nanoseconds> timeout, std::source_location site)
    : what_(what), loop_(require_open_loop(what)), home_(loop_.link()), site_(site), timeout_(timeout) {
    if (timeout_) loop_.arm(timer_, after(loop_.now(), *timeout_));
}

std::list<completion_set::member> completion_set::make_room(child_set* group) {
    std::list<member> room;
    room.emplace_back(*this, group);
    room.front().self = room.begin();
    return room;
}

scope_node& completion_set::parent_scope(const member& m) const noexcept {
    return m.group ? m.group->scope() : loop_.root_scope();
}

void completion_set::require_home() const {
    if (*home_ != &require_open_loop(what_)) throw_logic_error("a task was spawned into a set that belongs to another loop, or to one that is gone");
}

void completion_set::observe(any_task t) {
    if (!t.done()) require_awaitable_here(t.context());
    std::list<member> room = make_room(nullptr);
    room.front().owned = false;
    add(room, std::move(t));
}

void completion_set::add(std::list<member>& room, any_task t) noexcept {
    member& m = room.front();
    m.task = std::move(t);
    members_.splice(members_.end(), room);
    if (m.owned) {
        ++running_;
        if (m.group) m.group->guest_came();
    }
    if (m.task.done())
        ended(m);
    else
        m.task.context().watch(m);
}

void completion_set::member::task_ended(task_watcher& w) noexcept {
    member& m = static_cast<member&>(w);
    m.set->ended(m);
}

void completion_set::ended(member& m) noexcept {
    const bool last = m.owned && --running_ == 0;
    if (m.owned && m.group) m.group->guest_left();
    if (let_go_) {
        m.task = {}; // reports an error that nobody will ask for (R10)
        if (!last) return;
        wake_joiners();
        delete this;
        return;
    }
    (last_ended_ ? last_ended_->next_ended : first_ended_) = &m;
    last_ended_ = &m;
    wake();
    if (last) wake_joiners();
}

void completion_set::owned_timer::due(ready_node& n) {
    completion_set& s = static_cast<owned_timer&>(n).set;
    s.expired_ = true;
    s.wake();
}

void completion_set::wake() noexcept {
    if (reader_ && !std::exchange(woken_, true)) reader_->finish();
}

bool completion_set::next_base::try_now() {
    const completion_set* const s = set();
    if (!s) return true; // `take` says so
    if (s->reader_ && s->reader_ != this) throw busy_resource(std::string(what_) + "::next: another task waits for the next one already");
    return s->first_ended_ || s->members_.empty() || s->expired_;
}

any_task completion_set::next_base::take_ended() {
    if (!set()) throw closed_resource(std::string(what_) + "::next: it was destroyed meanwhile");
    return set()->take_ended(*this);
}

bool completion_set::join_operation::try_now() const {
    const completion_set* const s = *link_;
    if (s && s->owns(task())) throw_logic_error("close: this task is in the set, and would wait for itself");
    return !s || s->running_ == 0;
}

any_task completion_set::take_ended(const next_base& reader) {
    if (reader_ == &reader) { // it kept its place until now: nobody could take its member away
        reader_ = nullptr;
        woken_ = false;
    }
    if (member* const m = first_ended_) {
        first_ended_ = m->next_ended;
        if (!first_ended_) last_ended_ = nullptr;
        any_task t = std::move(m->task);
        members_.erase(m->self);
        return t;
    }
    if (members_.empty()) return {};
    throw timeout_error(*timeout_, site_, "as_completed");
}

bool completion_set::has(const task_context& t) const noexcept {
    for (const member& m : members_) {
        if (m.task && &m.task.context() == &t) return true;
    }
    return false;
}

bool completion_set::owns(const task_context& t) const noexcept {
    for (const member& m : members_) {
        if (m.owned && m.task && &m.task.context() == &t) return true;
    }
    return false;
}

void completion_set::wake_joiners() noexcept {
    while (join_operation* const j = joiners_) {
        joiners_ = j->next_;
        j->finish();
    }
}

void completion_set::cancel_rest(std::string_view reason) noexcept {
    for (const member& m : members_) {
        if (m.owned && m.task && !m.task.done()) m.task.context().cancel(reason);
    }
}

void completion_set::let_go() noexcept {
    let_go_ = true;
    *link_ = nullptr;
    next_base* const r = std::exchange(reader_, nullptr);
    if (r && !woken_) r->finish();
    if (*home_) loop_.disarm(timer_);
    for (member& m : members_) {
        // A task that is just ending is done, and still has its watchers.
        if (!m.owned && task_watchers::linked(m)) m.task.context().unwatch(m);
    }
    for (member* m = first_ended_; m; m = m->next_ended) m->task = {};
    if (running_ == 0) {
        wake_joiners();
        delete this;
        return;
    }
    cancel_rest("not needed any more");
}

} // namespace eddy::detail

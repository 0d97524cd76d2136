#include <eddy/as_completed.hpp>

namespace eddy::detail {

completion_set::completion_set(std::size_t members, std::optional<std::chrono::nanoseconds> timeout, std::source_location site)
    : loop_(require_open_loop("as_completed")), home_(loop_.link()), group_(child_set::around(current().task)), site_(site),
      timeout_(timeout) {
    members_.reserve(members);
    ended_.reserve(members);
    if (timeout_) loop_.arm(timer_, after(loop_.now(), *timeout_));
}

scope_node& completion_set::parent_scope() const noexcept {
    return group_ ? group_->scope() : loop_.root_scope();
}

void completion_set::add(any_task t, bool owned) {
    task_context& context = t.context();
    if (!context.done()) require_awaitable_here(context);
    member& m = members_.emplace_back(std::move(t), *this, owned);
    if (owned) {
        ++running_;
        if (group_) group_->guest_came();
    }
    if (context.done())
        ended(m);
    else
        context.watch(m);
}

void completion_set::member::task_ended(task_watcher& w) noexcept {
    member& m = static_cast<member&>(w);
    m.set->ended(m);
}

void completion_set::ended(member& m) noexcept {
    const bool last = m.owned && --running_ == 0;
    if (m.owned && group_) group_->guest_left();
    if (let_go_) {
        m.task = {}; // reports an error that nobody will ask for (R10)
        if (!last) return;
        wake_joiners();
        delete this;
        return;
    }
    ended_.push_back(&m);
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
    if (set_->reader_ && set_->reader_ != this) throw busy_resource("completion_stream::next: another task waits for the next one already");
    return set_->yielded_ < set_->ended_.size() || set_->at_end() || set_->expired_;
}

any_task completion_set::next_base::take_ended() {
    if (!set_) throw closed_resource("completion_stream::next: the stream was destroyed meanwhile");
    return set_->take_ended(*this);
}

any_task completion_set::take_ended(const next_base& reader) {
    if (reader_ == &reader) { // it kept its place until now: nobody could take its member away
        reader_ = nullptr;
        woken_ = false;
    }
    if (yielded_ < ended_.size()) return std::move(ended_[yielded_++]->task);
    if (at_end()) return {};
    throw timeout_error(*timeout_, site_, "as_completed");
}

bool completion_set::has(const task_context& t) const noexcept {
    for (const member& m : members_) {
        if (m.task && &m.task.context() == &t) return true;
    }
    return false;
}

void completion_set::wake_joiners() noexcept {
    while (join_operation* const j = joiners_) {
        joiners_ = j->next_;
        j->finish();
    }
}

void completion_set::cancel_rest() noexcept {
    for (const member& m : members_) {
        if (m.owned && m.task && !m.task.done()) m.task.context().cancel("not needed any more");
    }
}

void completion_set::let_go() noexcept {
    let_go_ = true;
    if (next_base* const r = std::exchange(reader_, nullptr)) {
        r->set_ = nullptr;
        if (!woken_) r->finish();
    }
    if (*home_) loop_.disarm(timer_);
    for (member& m : members_) {
        if (m.owned || !m.task || m.task.done()) continue;
        m.task.context().unwatch(m);
    }
    for (member* m : ended_) m->task = {};
    if (running_ == 0) {
        wake_joiners();
        delete this;
        return;
    }
    cancel_rest();
}

} // namespace eddy::detail

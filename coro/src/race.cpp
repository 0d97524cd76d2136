#include <eddy/race.hpp>

namespace eddy::detail {

namespace {

constexpr int most_levels = 16; // of races and groups inside each other
const scope_node::reason_ptr lost = std::make_shared<const std::string>("another member won the race"); // made once, ahead of time

} // namespace

// Members end one after another; the first decides, with two exceptions. A value beats an error if it was on its way when
// the error came (its task was ready to go on, and not interrupted), and among values of one tick the earlier argument wins.
void race_set::child_ended(task_context& child) noexcept {
    child.mark_seen();
    const bool decided = first_ != nullptr;
    if (child.error()) {
        if (child.was_cancelled()) {
            if (scope().effective()) return; // lost, or the race is being cancelled
        } else if (decided || scope().effective()) {
            return report(child);
        }
        if (ends_with_ == race_ends_with::first_value) { // not yet decided, see above
            (last_failed_ ? last_failed_->next_failed : first_failed_) = &child;
            last_failed_ = &child;
            return;
        }
        if (!decided) failed_first(child);
    } else {
        const std::uint64_t now = host().loop().tick();
        const bool counts = !decided || (first_->error() && child.on_its_way && !child.interrupted());
        if (counts && !first_with_value_) {
            first_with_value_ = &child;
            first_value_tick_ = now;
            if (decided) report(*first_); // the error that seemed to decide
        } else if (first_with_value_ && now == first_value_tick_ && !child.interrupted()) {
            for (std::size_t i = 0; i < count_; ++i) { // the earlier argument of the two
                if (members_[i] != &child && members_[i] != first_with_value_) continue;
                first_with_value_ = members_[i];
                break;
            }
        }
        if (!decided) first_ = &child;
    }
    scope().cancel_scope_now(lost);
}

void race_set::failed_first(task_context& child) noexcept {
    first_ = &child;
    for (std::size_t i = 0; i < count_; ++i) members_[i]->on_its_way = members_[i]->in_flight(most_levels);
}

void race_set::report(const task_context& member) noexcept {
    if (member.was_cancelled() || (first_ && &member != first_ && first_->error() == member.error())) return; // the error that race throws
    if (std::exchange(last_reported_, member.error()) == member.error()) return; // two members observe one task
    const std::string name = member.name();
    host().loop().report({.message = "a member of a race failed, and the race has no use for its error",
                          .exception = member.error(),
                          .task_name = name,
                          .where = member.where()});
}

std::size_t race_set::finish() {
    const bool interrupted = cancelled_while_joining();
    close();
    const task_context* winner = first_with_value_ ? first_with_value_ : first_;
    if (!winner && first_failed_ && !interrupted) throw exception_group(failures(), "race_first_success");
    if (!winner) {
        for (const task_context* t = first_failed_; t; t = t->next_failed) report(*t);
        host().throw_cancelled();
    }
    if (winner->was_cancelled()) throw_child_cancelled(*winner);
    if (winner->error()) std::rethrow_exception(winner->error());
    for (std::size_t i = 0; i < count_; ++i) {
        if (members_[i] == winner) return i;
    }
    return 0;
}

std::vector<std::exception_ptr> race_set::failures() const {
    std::vector<std::exception_ptr> errors;
    for (const task_context* t = first_failed_; t; t = t->next_failed) {
        try {
            if (t->was_cancelled()) throw_child_cancelled(*t);
            errors.push_back(t->error());
        } catch (const child_cancelled&) {
            errors.push_back(std::current_exception());
        }
    }
    return errors;
}

} // namespace eddy::detail

#include <eddy/race.hpp>

namespace eddy::detail {

// Members end one after another; the first decides, with two exceptions. A value beats an error if it was on its way when
// the error came (its task was not interrupted), and among values of one tick the earlier argument wins.
void race_set::child_ended(task_context& child) noexcept {
    child.mark_seen();
    const bool decided = first_ != nullptr;
    if (child.error()) {
        if (child.was_cancelled()) {
            if (scope().effective()) return; // lost, or the race is being cancelled
        } else if (decided || scope().effective()) {
            const std::string name = child.name();
            host().loop().report({.message = "a member of a race failed after it was decided",
                                  .exception = child.error(),
                                  .task_name = name,
                                  .where = child.where()});
            return;
        }
        if (!decided) first_ = &child;
    } else {
        const std::uint64_t now = host().loop().tick();
        const bool counts = !decided || (first_->error() && !child.interrupted());
        if (counts && !first_with_value_) {
            first_with_value_ = &child;
            first_value_tick_ = now;
        } else if (first_with_value_ && now == first_value_tick_ && !child.interrupted()) {
            for (std::size_t i = 0; i < count_; ++i) { // the earlier argument of the two
                if (members_[i] != &child && members_[i] != first_with_value_) continue;
                first_with_value_ = members_[i];
                break;
            }
        }
        if (!decided) first_ = &child;
    }
    scope().cancel_scope_now("another member won the race");
}

std::size_t race_set::finish() {
    const bool interrupted = cancelled_while_joining();
    const auto reason = scope().effective_reason();
    close();
    const task_context* winner = first_with_value_ ? first_with_value_ : first_;
    if (!winner) throw operation_cancelled(interrupted ? reason : nullptr);
    if (winner->was_cancelled()) throw_child_cancelled(*winner);
    if (winner->error()) std::rethrow_exception(winner->error());
    for (std::size_t i = 0; i < count_; ++i) {
        if (members_[i] == winner) return i;
    }
    return 0;
}

} // namespace eddy::detail

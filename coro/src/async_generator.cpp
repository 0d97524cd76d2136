#include <eddy/async_generator.hpp>

namespace eddy::detail {

void generator_state::check_idle() const {
    if (running_) throw busy_resource("next() or close() of this generator is outstanding; a generator serves one consumer at a time");
}

void generator_state::check_scope(const task_context& t) const {
    if (&t.scope() == scope_) return;
    throw_logic_error("co_yield inside a scope or task group that the generator has opened: it would stay open in the consumer's "
                      "task; close it before yielding, or feed a channel from a task of its own");
}

} // namespace eddy::detail

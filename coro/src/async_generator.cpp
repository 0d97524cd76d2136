#include <eddy/async_generator.hpp>
#include <eddy/generator_adaptors.hpp>

namespace eddy::detail {

void generator_state::check_idle() const {
    if (running_) throw busy_resource("next() or close() of this generator is outstanding; a generator serves one consumer at a time");
}

void generator_state::check_scope(const task_context& t) const {
    if (&t.scope() == scope_) return;
    throw_logic_error("co_yield inside a scope or task group that the generator has opened: it would stay open in the consumer's "
                      "task; close it before yielding, or feed a channel from a task of its own");
}

// --- adaptors

namespace {

[[nodiscard]] bool is_failure(const std::exception_ptr& e) noexcept {
    if (!e) return false;
    try {
        std::rethrow_exception(e);
    } catch (const generator_closed&) {
        return false;
    } catch (const operation_cancelled&) {
        return false;
    } catch (...) {
        return true;
    }
}

} // namespace

void end_adaptor(const std::exception_ptr& why, const std::exception_ptr& of_close) {
    if (is_failure(why)) {
        if (is_failure(of_close)) require_loop("a generator").report({.message = "the source of a generator that failed could not be closed", .exception = of_close});
        std::rethrow_exception(why);
    }
    if (of_close) std::rethrow_exception(of_close);
    if (why) std::rethrow_exception(why);
}

} // namespace eddy::detail

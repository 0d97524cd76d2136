#include <eddy/with_cleanup.hpp>

namespace eddy::detail {

void report_cleanup(task_context& self, const std::exception_ptr& error, bool in_time) noexcept {
    bool cancelled = false;
    try {
        if (error) std::rethrow_exception(error);
    } catch (const operation_cancelled&) { // a shield that was broken at shutdown, which is reported there
        cancelled = true;
    } catch (...) { // what is reported below
    }
    if (cancelled) return;
    const std::string name = self.name();
    self.loop().report({.message = in_time ? "a cleanup failed" : "a cleanup took too long and was cancelled",
                        .exception = error,
                        .task_name = name,
                        .where = self.where()});
}

} // namespace eddy::detail

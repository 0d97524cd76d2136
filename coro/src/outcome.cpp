#include <eddy/outcome.hpp>

namespace eddy::detail {

std::error_code error_code_of(const std::exception_ptr& e) noexcept {
    try {
        std::rethrow_exception(e);
    } catch (const std::system_error& s) {
        return s.code();
    } catch (...) {
        return {};
    }
}

} // namespace eddy::detail

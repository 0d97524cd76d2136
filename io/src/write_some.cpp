#include <eddy/detail/write_some.hpp>

namespace eddy::detail {

bool write_some_operation::try_now() const {
    if (!core_->is_open()) throw_closed("write to");
    if (core_->is_write_shut()) throw_shut("write to");
    return length == 0 && !core_->is_write_broken();
}

bool write_some_operation::drive() {
    if (refused()) return true;
    return submit() && advance();
}

// The first that the kernel takes is all.
bool write_some_operation::advance() noexcept {
    std::size_t written = 0;
    static_cast<void>(note_written(written, length));
    return true;
}

} // namespace eddy::detail

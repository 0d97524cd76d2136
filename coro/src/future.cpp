#include <eddy/future.hpp>

namespace eddy::detail {

future_cell::~future_cell() = default;

void future_cell::check_unset() const {
    if (settled_) throw invalid_state("this promise was settled before; its first outcome stays");
}

void future_cell::settle() noexcept {
    settled_ = true;
    while (future_listener* l = listeners_.pop_front()) l->settled();
}

} // namespace eddy::detail

#include <eddy/future.hpp>

namespace eddy::detail {

future_cell::~future_cell() {
    if (!error || seen) return;
    const error_context e{.message = "an error was set on a promise and nobody awaited it", .exception = error};
    if (scheduler* const loop = current().loop)
        loop->report(e);
    else
        print_report(e);
}

void future_cell::check_unset() const {
    if (settled_) throw invalid_state("this promise was settled before; its first outcome stays");
}

void future_cell::require_one_loop(const scheduler& loop) {
    if (!listeners_.empty() && home_ && home_ != &loop)
        throw_logic_error("this future is waited for on another loop; between loops there are call_soon_threadsafe and spawn_threadsafe");
    home_ = &loop;
}

void future_cell::settle() noexcept {
    settled_ = true;
    while (future_listener* l = listeners_.pop_front()) l->settled();
}

} // namespace eddy::detail

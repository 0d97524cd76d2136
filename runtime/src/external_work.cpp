#include <eddy/detail/external_work.hpp>

#include "loop_core.hpp"

namespace eddy::detail {

external_work::external_work(scheduler& loop) noexcept : loop_(loop.link()) {
    ++core_of(loop).external_work;
}
external_work::~external_work() {
    if (*loop_) --core_of(**loop_).external_work;
}

} // namespace eddy::detail

#include <eddy/detail/reader.hpp>

namespace eddy::detail {

void throw_reader_busy() {
    throw busy_resource("next() of this subscription is outstanding; subscribe once more for another task");
}
void throw_reader_closed() {
    throw closed_resource("this subscription was closed");
}

} // namespace eddy::detail

// oneshot<T>: one value from one place to another, once.
//
//     auto o = oneshot<int>();
//     loop.call_later(5ms, [&] { o.tx.set_value(1); });
//     int v = co_await o.rx;
//
// A name for the two ends of a promise (<eddy/future.hpp>, which has the details): the sending end settles it once, with a
// value or an error; destroyed before that, the receiving end throws `broken_promise`.
#pragma once

#include <utility>

#include <eddy/future.hpp>

namespace eddy {

/// `tx` is move-only, copies of `rx` share the value. Loop thread only.
template <class T>
struct oneshot_ends {
    promise<T> tx;
    future<T> rx = tx.get_future();
};

/// Throws `std::bad_alloc`: its one allocation.
template <class T = void>
[[nodiscard]] oneshot_ends<T> oneshot() {
    return {};
}

} // namespace eddy

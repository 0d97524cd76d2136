// must-compile
// The counterpart of operation_outlives_event: a temporary of the awaiting expression itself lives long enough.
#if defined(__clang__)
#pragma clang diagnostic error "-Wdangling"
#endif
#include <eddy/coro.hpp>

eddy::task<> f(eddy::event& e) {
    co_await eddy::event().wait();
    auto waiting = e.wait();
    co_await waiting;
}

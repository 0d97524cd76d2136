// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: the bodies of scopes, timeouts and groups are callables like others.
#include <eddy/runtime.hpp>
#include <string>

using namespace std::chrono_literals;

eddy::task<> f(std::string s) {
    co_await eddy::with_timeout(1s, [s](eddy::cancel_scope&) -> eddy::task<> { co_return; });
}

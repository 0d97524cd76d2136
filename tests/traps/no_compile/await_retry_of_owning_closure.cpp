// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: so is what retry calls.
#include <eddy/runtime.hpp>
#include <string>

eddy::task<> f(std::string s) {
    co_await eddy::retry({}, [s]() -> eddy::task<> { co_return; });
}

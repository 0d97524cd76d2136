// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: the handle carries the hazard of the closure it was spawned from.
#include <eddy/runtime.hpp>
#include <string>

eddy::task<> f(std::string s) {
    co_await eddy::spawn([s]() -> eddy::task<> { co_return; });
}

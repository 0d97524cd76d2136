// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: owned carries the hazard of the handle it is given.
#include <eddy/runtime.hpp>
#include <string>

eddy::task<> f(std::string s) {
    co_await eddy::owned(eddy::spawn([s]() -> eddy::task<> { co_return; }));
}

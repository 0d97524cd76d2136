// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: so do its join and cancel_and_join.
#include <eddy/runtime.hpp>
#include <string>

eddy::task<> f(std::string s) {
    co_await eddy::spawn([s]() -> eddy::task<> { co_return; }).join();
}

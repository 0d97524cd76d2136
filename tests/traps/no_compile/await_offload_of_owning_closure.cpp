// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: a closure that owns something, as a temporary inside a co_await expression.
#include <eddy/runtime.hpp>
#include <string>

eddy::task<std::size_t> f(std::string s) {
    co_return co_await eddy::offload([s] { return s.size(); });
}

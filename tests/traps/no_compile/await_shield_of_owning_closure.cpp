// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: a shield runs its body like any scope.
#include <eddy/runtime.hpp>
#include <string>

eddy::task<> f(std::string s) {
    co_await eddy::with_shield([s]() -> eddy::task<> { co_return; });
}

// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: with_cleanup looks at both of its callables, not at the body alone.
#include <eddy/runtime.hpp>
#include <string>

eddy::task<> f(std::string s) {
    co_await eddy::with_cleanup([]() -> eddy::task<> { co_return; }, [s]() -> eddy::task<> { co_return; });
}

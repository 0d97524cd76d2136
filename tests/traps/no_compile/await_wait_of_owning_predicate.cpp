// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: the predicate of a condition is a closure like any other.
#include <eddy/runtime.hpp>
#include <string>

eddy::task<> f(eddy::condition& c, eddy::mutex_guard& g, std::string s) {
    co_await c.wait(g, [s] { return s.empty(); });
}

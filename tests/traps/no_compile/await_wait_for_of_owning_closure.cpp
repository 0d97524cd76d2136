// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: wait_for carries the hazard of what it bounds.
#include <eddy/runtime.hpp>
#include <string>

using namespace std::chrono_literals;

eddy::task<> f(std::string s) {
    co_await eddy::wait_for(eddy::offload([s] { return s.size(); }), 1s);
}

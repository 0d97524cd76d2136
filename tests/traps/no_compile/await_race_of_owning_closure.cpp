// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: race, gather, shielded, wait_for and as_result carry the hazard of what they are given.
#include <eddy/runtime.hpp>
#include <string>

using namespace std::chrono_literals;

eddy::task<> f(std::string s) {
    co_await eddy::race(eddy::offload([s] { return s.size(); }), eddy::sleep_for(1s));
}

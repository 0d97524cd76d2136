// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: so does gather.
#include <eddy/runtime.hpp>
#include <string>

eddy::task<> f(std::string s) {
    co_await eddy::gather(eddy::offload([s] { return s.size(); }));
}

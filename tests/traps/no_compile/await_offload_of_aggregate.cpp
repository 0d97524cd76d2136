// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: the arguments of an offloaded function are parts of the operation, too.
#include <eddy/runtime.hpp>
#include <string>

struct job {
    std::string name;
    int number;
};

eddy::task<> f(std::string s) {
    co_await eddy::offload([](job j) { return j.number; }, job{s, 1});
}

// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: what a channel is to carry is held in the operation, like a pushed item.
#include <eddy/runtime.hpp>
#include <string>

struct job {
    std::string name;
    int number;
};

eddy::task<> f(eddy::sender<job>& tx, std::string s) {
    co_await tx.send(job{s, 1});
}

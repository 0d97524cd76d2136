// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: an aggregate with a member that owns something.
#include <eddy/runtime.hpp>
#include <string>

struct job {
    std::string name;
    int number;
};

eddy::task<> f(eddy::queue<job>& q, std::string s) {
    co_await q.push(job{s, 1});
}

// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: a std::array of what owns something is an aggregate.
#include <eddy/runtime.hpp>
#include <array>
#include <string>

eddy::task<> f(eddy::queue<std::array<std::string, 2>>& q, std::string s) {
    co_await q.push(std::array<std::string, 2>{s, s});
}

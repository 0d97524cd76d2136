// expect-error: GCC before 13 destroys a yielded temporary of this type twice
// only: gcc<13
// Trap T1: co_yield is a co_await.
#include <eddy/async_generator.hpp>
#include <string>

struct row {
    std::string name;
    int number;
};

eddy::async_generator<row> f(std::string s) {
    co_yield row{s, 1};
}

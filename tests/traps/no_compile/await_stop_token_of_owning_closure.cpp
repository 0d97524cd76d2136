// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: so does a block that ends with a stop token.
#include <eddy/runtime.hpp>
#include <stop_token>
#include <string>

eddy::task<> f(std::stop_token t, std::string s) {
    co_await eddy::with_stop_token(t, [s]() -> eddy::task<> { co_return; });
}

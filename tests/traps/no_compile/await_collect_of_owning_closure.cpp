// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: the closure of a generator's adaptor is a temporary of the awaiting expression, however deep inside.
#include <eddy/coro.hpp>
#include <memory>

eddy::async_generator<int> numbers();

eddy::task<> f(std::shared_ptr<int> most) {
    const auto all = co_await eddy::collect(eddy::take(eddy::filter(numbers(), [most](const int& i) { return i < *most; }), 3));
}

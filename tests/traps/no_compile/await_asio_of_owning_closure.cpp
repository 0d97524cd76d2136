// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: an operation of Asio's whose implementation is a closure that owns something.
#include <eddy/asio.hpp>
#include <string>

eddy::task<> f(std::string s) {
    co_await asio::async_compose<const eddy::use_eddy_t, void()>([s](auto& self) { self.complete(); }, eddy::use_eddy);
}

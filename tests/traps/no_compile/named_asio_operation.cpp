// must-compile
// The counterpart of await_asio_of_owning_closure: the operation has a name.
#include <eddy/asio.hpp>
#include <string>

eddy::task<> f(std::string s) {
    auto op = asio::async_compose<const eddy::use_eddy_t, void()>([s](auto& self) { self.complete(); }, eddy::use_eddy);
    co_await op;
}

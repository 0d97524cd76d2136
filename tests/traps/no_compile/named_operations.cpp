// must-compile
// Trap T1: what to write instead. Named operations, named callables, arguments beside the callable, captures by reference.
#include <eddy/runtime.hpp>
#include <functional>
#include <string>

using namespace std::chrono_literals;

struct job {
    std::string name;
    int number;
};

eddy::task<std::size_t> f(eddy::queue<job>& q, std::string s) {
    auto op = eddy::offload([s] { return s.size(); });
    std::size_t n = co_await op;

    auto fn = [s] { return s.size(); };
    n += co_await eddy::offload(fn);
    n += co_await eddy::offload(std::function<std::size_t()>(fn));
    n += co_await eddy::offload([](const std::string& t) { return t.size(); }, s);
    n += co_await eddy::offload([&] { return s.size(); });

    eddy::spawn([s]() -> eddy::task<> { co_return; });
    auto h = eddy::spawn([s]() -> eddy::task<> { co_return; }, {.name = "named"});
    co_await h;
    co_await h.join();
    co_await eddy::spawn([](std::string) -> eddy::task<> { co_return; }, s);

    auto body = [s](eddy::cancel_scope&) -> eddy::task<> { co_return; };
    co_await eddy::with_timeout(1s, body);
    auto timed = eddy::with_timeout(1s, [s](eddy::cancel_scope&) -> eddy::task<> { co_return; });
    co_await std::move(timed);

    job item{s, 1};
    co_await q.push(item);
    auto moved = q.push(std::move(item));
    co_await moved;
    auto push = q.push(job{s, 2});
    co_await push;
    co_return n;
}

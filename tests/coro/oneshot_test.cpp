#include <eddy/oneshot.hpp>
#include <eddy/testing.hpp>

#include <string>
#include <utility>

#include <eddy/spawn.hpp>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("a oneshot carries one value from a callback to a task") {
    auto o = oneshot<std::string>();
    this_loop().call_later(5ms, [&] { o.tx.set_value("hello"); });
    const std::string v = co_await o.rx;
    CHECK(v == "hello");
    CHECK(words::throws<invalid_state>([&] { o.tx.set_value("again"); return 0; }));
}

EDDY_TEST("a sender that goes without a value breaks the promise") {
    auto o = oneshot();
    auto h = spawn([](future<> rx) -> task<> { co_await rx; }, o.rx);
    co_await testing::settle();
    { const auto gone = std::move(o.tx); }
    const std::string end = co_await words::ending(h.join());
    CHECK(end == "ok");
    CHECK(words::holds<broken_promise>(h.exception()));
}

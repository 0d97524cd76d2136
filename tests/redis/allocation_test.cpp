// What a command costs in memory, once everything has its size.
#include "coro/allocations.hpp"

#include "redis/support.hpp"

using namespace redis_tests;

EDDY_TEST("redis client: a command allocates nothing but what its reply holds") {
    scene s = co_await play();
    std::string request(4096, '\0');
    const std::string key = "a key that fits into no small string, for it is long";
    // A number as the reply: a value that owns nothing.
    auto round = [&]() -> task<> {
        auto answering = [&]() -> task<> {
            static_cast<void>(co_await s.server.stream().read_some(std::as_writable_bytes(std::span(request))));
            co_await s.server.stream().write(":12345\r\n"sv);
        };
        auto server = spawn(answering);
        const redis::value v = co_await s.rc.command("INCRBY", key, 12);
        if (v.as_integer() != 12345) throw std::logic_error("another reply");
        co_await server;
    };
    const std::size_t n = co_await allocations::in_steady_state(round);
    INFO(n << " allocations in 1000 rounds");
    CHECK((n == 0 || !allocations::counted));
}

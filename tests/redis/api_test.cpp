// The lines of the specification of the interface, as they stand there.
#include "redis/support.hpp"

using namespace redis_tests;

EDDY_TEST_REAL("the interface: redis") {
    real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    const std::string url = server.url();
    redis::client rc = co_await redis::connect(url); auto pong = co_await rc.command("PING");
    CHECK(pong.as_string() == "PONG");
}

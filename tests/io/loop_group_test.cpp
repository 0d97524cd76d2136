// A server on several loops: each has its own socket on the same port.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <eddy/eddy.hpp>
#include <eddy/loop_group.hpp>
#include <eddy/testing.hpp>

#include <array>
#include <atomic>
#include <string>
#include <thread>

#include "io/support.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;

namespace {

tcp_listener bind_shared(std::uint16_t port) {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", port}, {.reuse_port = true});
    return l;
}

/// How many connections each loop got.
struct spread {
    std::array<std::atomic<int>, 3> by_loop{};
};

task<> serve_on(std::size_t index, std::uint16_t port, spread& s, std::atomic<int>& listening) {
    tcp_listener l = bind_shared(port);
    ++listening;
    auto handler = [&s, index](tcp_stream c) -> task<> {
        ++s.by_loop[index];
        co_await echo(std::move(c));
    };
    co_await serve(l, handler);
}

task<int> talk(std::uint16_t port, int connections) {
    int echoed = 0;
    for (int i = 0; i < connections; ++i) {
        const ip_endpoint server_side("127.0.0.1", port);
        tcp_stream c = co_await tcp_connect(server_side);
        co_await c.write("hello");
        std::string answer;
        while (answer.size() < 5) answer += co_await read_text(c);
        if (answer == "hello") ++echoed;
        co_await c.close();
    }
    co_return echoed;
}

} // namespace

TEST_CASE("an echo server on three loops shares a port, and the kernel spreads the connections") {
    loop_group g{3};
    spread s;
    std::atomic<int> listening{0};
    // The kernel picks the port for a socket that stays bound, and without listening gets no connections.
    const int holder = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(holder, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof a;
    REQUIRE(::bind(holder, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0);
    ::getsockname(holder, reinterpret_cast<sockaddr*>(&a), &size);
    const std::uint16_t port = ntohs(a.sin_port);

    g.spawn_each([&](std::size_t index) -> task<> { co_await serve_on(index, port, s, listening); });
    while (listening < 3) std::this_thread::yield();
    loop_thread clients;
    CHECK(clients.call(talk(port, 200)) == 200);
    int all = 0;
    int loops_used = 0;
    for (const auto& n : s.by_loop) {
        all += n;
        loops_used += n > 0 ? 1 : 0;
    }
    CHECK(all == 200);
    CHECK(loops_used == 3); // by a hash of the ports: that one gets none of 200 will not be seen
    g.shutdown(5s);
    g.join();
    ::close(holder);
}

TEST_CASE("a listener that cannot be bound on one of the loops is the caller's error") {
    loop_group g{2};
    std::string text;
    try {
        g.call_each([](std::size_t i) -> task<> {
            if (i == 0) co_await sleep_for(1h);
            tcp_listener l = tcp_listener::bind({"192.0.2.1", 1}); // not ours
            co_await l.close();
        });
    } catch (const exception_group& e) {
        e.for_each<std::system_error>([&](const std::system_error& x) { text = x.what(); });
    }
    CHECK(text.find("192.0.2.1") != std::string::npos);
}

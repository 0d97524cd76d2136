// Sockets and files in a loop that somebody else's drives: nothing that gets ready may be missed by the descriptor he watches.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <string>
#include <thread>
#include <vector>

#include "io/support.hpp"
#include "lib/foreign_loop.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using foreign::drive_until;

namespace {

task<> talk(ip_endpoint where, int rounds, int& done) {
    tcp_stream s = co_await tcp_connect(where);
    for (int i = 0; i < rounds; ++i) {
        const std::string word = "message " + std::to_string(i);
        co_await s.write(word);
        std::string answer;
        while (answer.size() < word.size()) answer += co_await read_text(s);
        if (answer != word) throw std::runtime_error("not an echo: " + answer);
    }
    co_await s.close();
    ++done;
}

} // namespace

TEST_CASE("row 12 a server and its clients, both driven by a foreign loop") {
    event_loop loop;
    REQUIRE(loop.native_handle() >= 0);
    int done = 0;
    auto h = loop.spawn([&]() -> task<> {
        server srv{tcp_listener::bind({"127.0.0.1", 0}), echo};
        srv.start();
        std::vector<task<>> clients;
        for (int i = 0; i < 100; ++i) clients.push_back(talk(srv.local_endpoint(), 20, done)); // more than one poll handles
        co_await gather(std::move(clients));
        co_await srv.shutdown(5s);
    });
    drive_until(loop, [&] { return h.done(); });
    CHECK(h.exception() == nullptr);
    CHECK(done == 100);
}

TEST_CASE("row 12 what arrives from outside while the foreign loop sleeps, into a stream from before native_handle") {
    event_loop loop;
    std::optional<connection> c;
    loop.run_until_complete([](std::optional<connection>& out) -> task<> { out.emplace(co_await connected()); }(c));
    REQUIRE(loop.native_handle() >= 0);
    auto h = loop.spawn([&]() -> task<std::string> {
        std::string all;
        while (all.size() < 50) all += co_await read_text(c->server);
        co_return all;
    });
    std::thread peer([fd = c->client.native_handle()] {
        for (int i = 0; i < 50; ++i) {
            static_cast<void>(::write(fd, "x", 1));
            std::this_thread::yield();
        }
    });
    drive_until(loop, [&] { return h.done(); });
    peer.join();
    CHECK(h.result() == std::string(50, 'x'));
    c.reset();
    loop.poll();
    CHECK_FALSE(foreign::readable(loop.native_handle()));
}

TEST_CASE("row 12 data that came between a read and the next wait is not missed") {
    event_loop loop;
    REQUIRE(loop.native_handle() >= 0);
    std::string all;
    auto h = loop.spawn([&]() -> task<> {
        connection c = co_await connected();
        for (int i = 0; i < 100; ++i) {
            static_cast<void>(::write(c.client.native_handle(), "a", 1));
            all += co_await read_text(c.server); // a short read: the next one waits without trying
            static_cast<void>(::write(c.client.native_handle(), "b", 1));
            all += co_await read_text(c.server);
        }
    });
    drive_until(loop, [&] { return h.done(); });
    CHECK(h.exception() == nullptr);
    CHECK(all.size() == 200);
}

TEST_CASE("row 12 files and names in a foreign loop") {
    event_loop loop;
    REQUIRE(loop.native_handle() >= 0);
    auto h = loop.spawn([]() -> task<std::size_t> {
        const std::string text = co_await read_file("/proc/self/status");
        static_cast<void>(co_await resolve("127.0.0.1", "80"));
        co_return text.size();
    });
    drive_until(loop, [&] { return h.done(); });
    CHECK(h.exception() == nullptr);
    CHECK(h.result() > 0);
}

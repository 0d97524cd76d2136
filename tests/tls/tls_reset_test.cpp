// Connections that are reset after each number of bytes, in the handshake and after it, at either end.
#include "tls/support.hpp"

#include <stdexcept>

#include "lib/cut_stream.hpp"
#include "lib/words.hpp"

using namespace tls_tests;
using tests::uncut;

namespace {

using cut_memory = tests::cut_stream<testing::memory_stream>;

task<> say_ping(cut_memory below, tls_context context) {
    auto t = co_await tls_upgrade(std::move(below), std::move(context), "localhost");
    co_await t.write("ping");
    const std::string answer = co_await read_all(t);
    if (answer != "pong") throw std::logic_error("the server said '" + answer + "'");
    co_await t.close();
}

task<> say_pong(cut_memory below, tls_context context) {
    auto t = co_await tls_accept(std::move(below), std::move(context));
    buffered_reader r{t};
    const std::string asked = co_await r.read_exactly(4);
    if (asked != "ping") throw std::logic_error("the client said '" + asked + "'");
    co_await t.write("pong");
    co_await t.close();
}

/// Where a connection is cut: at one of its ends, in one direction.
class cut_place {
public:
    bool client;
    bool incoming;
    [[nodiscard]] cut_memory over(testing::memory_stream s, bool is_client, std::size_t n) const {
        const std::size_t limit = is_client == client ? n : uncut;
        return cut_memory(std::move(s), incoming ? limit : uncut, incoming ? uncut : limit);
    }
};

/// How both ends end, if it is cut after `n` bytes.
task<endings> talk(cut_place place, std::size_t n, tls_context client, tls_context server) {
    testing::memory_streams ends = testing::memory_stream_pair();
    auto asking = words::ending(say_ping(place.over(std::move(ends.a), true, n), std::move(client)));
    auto answering = words::ending(say_pong(place.over(std::move(ends.b), false, n), std::move(server)));
    auto both = co_await gather(std::move(asking), std::move(answering));
    co_return endings{std::get<0>(both), std::get<1>(both)};
}

/// An end that has all it needs may not notice; else it is told that the other one is gone, and who that is.
bool is_loss(const std::string& end) {
    const bool named = end.find("the peer") != std::string::npos || end.find("memory_stream") != std::string::npos || end.find("localhost") != std::string::npos;
    const bool lost = end.find("Connection reset by peer") != std::string::npos || end.find("Broken pipe") != std::string::npos ||
                      end.find("without a close_notify") != std::string::npos;
    return end == "ok" || (named && lost);
}

/// The next state that is tried: each byte at first, of certificates a few.
std::size_t after(std::size_t n) {
    return n < 100 ? n + 1 : n + 29;
}

} // namespace

EDDY_TEST("TLS: a connection that is reset after each number of bytes costs itself, and the next one works") {
    const tls_context client = client_context();
    const tls_context server = server_context();
    for (const cut_place place : {cut_place{true, true}, cut_place{true, false}, cut_place{false, true}, cut_place{false, false}}) {
        std::size_t n = 0;
        endings how;
        for (bool both = false; !both && n < 10'000; n = after(n)) {
            how = co_await talk(place, n, client, server);
            both = how.client == "ok" && how.server == "ok";
            if (!is_loss(how.client) || !is_loss(how.server)) FAIL_CHECK("after " + std::to_string(n) + " bytes: " + how.client + "; " + how.server);
        }
        CHECK(n > 300);
        CHECK(n < 10'000);
        how = co_await talk(place, uncut, client, server);
        CHECK(how.client == "ok");
        CHECK(how.server == "ok");
    }
}

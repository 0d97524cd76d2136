// redis::subscription: messages, changes, and the connection that is lost and replaced.
#include "redis/support.hpp"

using namespace redis_tests;

namespace {

using heard_words = answering_server::words;

constexpr redis::options replaced_soon{.timeout = 60s, .reconnect = {.attempts = 5, .first_delay = 10ms, .factor = 2, .jitter = 0}};

/// Confirms what is subscribed to.
[[nodiscard]] std::string confirm_subscriptions(const heard_words& w) {
    std::string out;
    for (std::size_t i = 1; i < w.size(); ++i) out += "*3\r\n" + bulk("subscribe") + bulk(w[i]) + ":1\r\n";
    return w.front() == "SUBSCRIBE" ? out : joined(w) == "CLIENT ID" ? ":1\r\n" : "+OK\r\n";
}
/// Connections of subscriptions, so far: those of commands are dropped and replaced as well.
[[nodiscard]] int subscribed(const answering_server& server) {
    int n = 0;
    for (std::size_t at = 0; (at = server.heard().find("SUBSCRIBE news", at)) != std::string::npos; ++at) ++n;
    return n;
}
/// "gap", "over", what was published, or the error.
[[nodiscard]] task<std::string> next_message_of(redis::subscription& s) {
    try {
        const std::optional<redis::message> m = co_await s.next();
        co_return !m ? "over" : m->gap ? "gap" : m->payload;
    } catch (...) {
        co_return text_of(std::current_exception());
    }
}

} // namespace

EDDY_TEST("redis subscription: messages, changes, a gap, and the end") {
    answering_server server([](const heard_words& w) -> std::string {
        std::string out;
        std::string verb = w.front();
        for (char& c : verb) c = static_cast<char>(c | 0x20);
        if (!has(verb, "subscribe")) return joined(w) == "CLIENT ID" ? ":1\r\n" : "+OK\r\n";
        for (std::size_t i = 1; i < w.size(); ++i) out += "*3\r\n" + bulk(verb) + bulk(w[i]) + ":1\r\n";
        return out;
    });
    redis::client rc = co_await redis::connect(server.url(), replaced_soon);
    redis::subscription s = co_await rc.subscribe("news", "weather");
    CHECK(has(server.heard(), "SUBSCRIBE news weather"));
    co_await server.say_on_last("*3\r\n" + bulk("message") + bulk("news") + bulk("hello"));
    std::optional<redis::message> m = co_await s.next();
    REQUIRE(m);
    CHECK(m->channel == "news");
    CHECK(m->payload == "hello");
    CHECK(m->pattern.empty());

    const std::vector<std::string> patterns{"w*"};
    co_await s.psubscribe(patterns);
    auto waiting = spawn(s.next());
    co_await sleep_for(1ms);
    const std::string message = "*4\r\n" + bulk("pmessage") + bulk("w*") + bulk("weather") + bulk("rain");
    co_await server.say_on_last(message.substr(0, 20));
    co_await sleep_for(1ms);
    waiting.cancel(); // in the middle of a message
    co_await waiting.join();
    co_await server.say_on_last(message.substr(20));
    m = co_await s.next();
    REQUIRE(m);
    CHECK(m->channel == "weather");
    CHECK(m->pattern == "w*");
    CHECK(m->payload == "rain");
    const std::string busy = co_await [](redis::subscription& sub) -> task<std::string> {
        auto first = spawn(sub.next());
        co_await this_task::yield();
        co_await this_task::yield();
        std::string text = co_await failure_of(sub.next());
        co_await first.cancel_and_join();
        co_return text;
    }(s);
    CHECK(has(busy, "another task waits for the next message"));

    server.drop_connections();
    m = co_await s.next();
    REQUIRE(m);
    CHECK(m->gap);
    CHECK(s.gaps() == 1);
    CHECK(has(server.heard().substr(server.heard().size() - 45), "SUBSCRIBE news weather|PSUBSCRIBE w*"));

    const std::vector<std::string> channels{"news", "weather"};
    co_await s.unsubscribe(channels);
    co_await s.punsubscribe(patterns);
    m = co_await s.next();
    CHECK_FALSE(m);
    redis::subscription other = co_await rc.psubscribe("x*");
    auto last = spawn(other.next());
    co_await sleep_for(1ms);
    other.close();
    m = co_await std::move(last);
    CHECK_FALSE(m);
}

EDDY_TEST("redis subscription: a server that drops every connection is asked again as commands are, with pauses and so many times") {
    answering_server server(confirm_subscriptions);
    redis::client rc = co_await redis::connect(server.url(), replaced_soon);
    redis::subscription s = co_await rc.subscribe("news");
    const auto start = this_loop().now();
    std::string all;
    for (int i = 0; i < 5; ++i) {
        auto waiting = spawn_eager(next_message_of(s));
        co_await sleep_for(1ms);
        server.drop_connections();
        const std::string text = co_await waiting;
        all += text.substr(0, 5) + " ";
    }
    CHECK(all == "gap gap gap gap not s ");
    CHECK(this_loop().now() - start >= 10ms + 20ms + 40ms + 80ms);
    CHECK(this_loop().now() - start < 200ms);
    CHECK(subscribed(server) == 5);
    const std::string anew = co_await next_message_of(s);
    CHECK(anew == "gap");
    CHECK(s.gaps() == 5);

    // One that has brought a message was of use: the next is made at once.
    co_await server.say_on_last("*3\r\n" + bulk("message") + bulk("news") + bulk("hello"));
    const std::string hello = co_await next_message_of(s);
    CHECK(hello == "hello");
    const auto then = this_loop().now();
    server.drop_connections();
    const std::string gap = co_await next_message_of(s);
    CHECK(gap == "gap");
    CHECK(this_loop().now() - then < 5ms);
}

EDDY_TEST("redis subscription: a server that never confirms is an attempt that fails; closed in a pause, it is over") {
    bool confirms = true;
    answering_server server([&](const heard_words& w) -> std::string { return w.front() == "SUBSCRIBE" && !confirms ? "" : confirm_subscriptions(w); });
    redis::client rc = co_await redis::connect(server.url(), replaced_soon);
    redis::subscription s = co_await rc.subscribe("news");
    confirms = false;
    server.drop_connections();
    // Each of them is dropped when it has asked.
    int asked = subscribed(server);
    const auto drop_next = [&]() -> task<> {
        if (subscribed(server) > asked) {
            asked = subscribed(server);
            server.drop_connections();
        }
        co_await sleep_for(1ms);
    };
    auto waiting = spawn_eager(next_message_of(s));
    const auto start = this_loop().now();
    while (!waiting.done()) co_await drop_next();
    CHECK(has(waiting.result(), "not sent: " + server.url() + ", SUBSCRIBE: "));
    CHECK(asked == 5);
    CHECK(this_loop().now() - start >= 10ms + 20ms + 40ms + 80ms);

    waiting = spawn_eager(next_message_of(s));
    while (asked < 7) co_await drop_next();
    co_await sleep_for(5ms);
    CHECK_FALSE(waiting.done()); // it pauses
    const auto then = this_loop().now();
    s.close();
    const std::string text = co_await waiting;
    CHECK(text == "over");
    CHECK(this_loop().now() == then);
}

#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <netdb.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

using endpoints = std::vector<ip_endpoint>;

/// Answers with 192.0.2.n, n counting the questions, after a second.
class fake_names {
public:
    std::string log;
    bool failing = false;
    std::chrono::nanoseconds takes = 1s;
    [[nodiscard]] resolver_cache::name_function function() {
        return [this](std::string host, std::string service) { return look_up(std::move(host), std::move(service)); };
    }
    [[nodiscard]] task<endpoints> look_up(std::string host, std::string service) {
        log += host + ":" + service + " ";
        const int n = ++asked_;
        co_await sleep_for(takes);
        if (failing) throw resolve_error(EAI_AGAIN, resolve_category(), "cannot look up '" + host + "'");
        co_return endpoints(1, ip_endpoint("192.0.2." + std::to_string(n), 80));
    }

private:
    int asked_ = 0;
};

task<std::string> cached_address(resolver_cache& names, std::string host, std::string service = "80") {
    const endpoints found = co_await names.resolve(std::move(host), std::move(service));
    co_return found.front().address();
}

} // namespace

EDDY_TEST("resolver_cache: an answer is kept for its time, and then asked for again") {
    fake_names fake;
    resolver_cache names({.time_to_live = 10s}, fake.function());
    const std::string first = co_await cached_address(names, "a.test");
    co_await sleep_for(9s);
    const std::string kept = co_await cached_address(names, "A.Test");
    co_await sleep_for(1s);
    const std::string later = co_await cached_address(names, "a.test");
    CHECK(first + " " + kept + " " + later == "192.0.2.1 192.0.2.1 192.0.2.2");
    CHECK(fake.log == "a.test:80 a.test:80 ");
    CHECK(names.stats().hits == 1);
    CHECK(names.stats().look_ups == 2);
    CHECK(names.stats().entries == 1);
}

EDDY_TEST("resolver_cache: another host and another service are other questions") {
    fake_names fake;
    resolver_cache names({}, fake.function());
    static_cast<void>(co_await cached_address(names, "a.test"));
    static_cast<void>(co_await cached_address(names, "a.test", "81"));
    static_cast<void>(co_await cached_address(names, "b.test"));
    static_cast<void>(co_await cached_address(names, "a.test"));
    CHECK(fake.log == "a.test:80 a.test:81 b.test:80 ");
}

EDDY_TEST("resolver_cache: look-ups of one name at one time are one") {
    fake_names fake;
    resolver_cache names({}, fake.function());
    std::vector<task<std::string>> all;
    for (int i = 0; i < 10; ++i) all.push_back(cached_address(names, "a.test"));
    const std::vector<std::string> got = co_await gather(std::move(all));
    CHECK(got == std::vector<std::string>(10, "192.0.2.1"));
    CHECK(fake.log == "a.test:80 ");
    CHECK(names.stats().shared == 9);
}

EDDY_TEST("resolver_cache: whoever is cancelled leaves; the look-up goes on for the others and for the cache") {
    fake_names fake;
    resolver_cache names({}, fake.function());
    auto first = spawn(cached_address(names, "a.test"));
    auto second = spawn(cached_address(names, "a.test"));
    co_await sleep_for(500ms);
    co_await first.cancel_and_join();
    CHECK(first.cancelled());
    const std::string got = co_await std::move(second);
    CHECK(got == "192.0.2.1");
    auto alone = spawn(cached_address(names, "b.test"));
    co_await sleep_for(500ms);
    co_await alone.cancel_and_join();
    co_await sleep_for(1s);
    const std::string kept = co_await cached_address(names, "b.test");
    CHECK(kept == "192.0.2.2");
    CHECK(fake.log == "a.test:80 b.test:80 ");
}

EDDY_TEST("resolver_cache: a failure is told to everybody who waits, and not kept") {
    fake_names fake;
    fake.failing = true;
    resolver_cache names({}, fake.function());
    auto first = spawn(cached_address(names, "a.test"));
    auto second = spawn(cached_address(names, "a.test"));
    const std::string one = co_await words::ending(std::move(first));
    const std::string two = co_await words::ending(std::move(second));
    CHECK(one.starts_with("cannot look up 'a.test'"));
    CHECK(one == two);
    CHECK(names.stats().failures == 1);
    CHECK(names.stats().entries == 0);
    fake.failing = false;
    const std::string got = co_await cached_address(names, "a.test");
    CHECK(got == "192.0.2.2");
}

EDDY_TEST("resolver_cache: the answer that was not used for longest makes room") {
    fake_names fake;
    resolver_cache names({.time_to_live = 1h, .capacity = 2}, fake.function());
    static_cast<void>(co_await cached_address(names, "a.test"));
    static_cast<void>(co_await cached_address(names, "b.test"));
    static_cast<void>(co_await cached_address(names, "a.test"));
    static_cast<void>(co_await cached_address(names, "c.test"));
    CHECK(names.stats().entries == 2);
    static_cast<void>(co_await cached_address(names, "a.test"));
    static_cast<void>(co_await cached_address(names, "b.test"));
    CHECK(fake.log == "a.test:80 b.test:80 c.test:80 b.test:80 ");
}

EDDY_TEST("resolver_cache: with nothing to be kept, look-ups at one time are still one") {
    fake_names fake;
    resolver_cache names({.capacity = 0}, fake.function());
    auto first = spawn(cached_address(names, "a.test"));
    auto second = spawn(cached_address(names, "a.test"));
    static_cast<void>(co_await std::move(first));
    static_cast<void>(co_await std::move(second));
    static_cast<void>(co_await cached_address(names, "a.test"));
    CHECK(fake.log == "a.test:80 a.test:80 ");
    CHECK(names.stats().entries == 0);
}

EDDY_TEST("resolver_cache: what is forgotten while it is looked up is not kept, but told to who waits") {
    fake_names fake;
    resolver_cache names({}, fake.function());
    auto before = spawn(cached_address(names, "a.test"));
    co_await sleep_for(500ms);
    names.clear();
    const std::string after = co_await cached_address(names, "a.test");
    const std::string old = co_await std::move(before);
    CHECK(old + " " + after == "192.0.2.1 192.0.2.2");
    const std::string kept = co_await cached_address(names, "a.test");
    CHECK(kept == "192.0.2.2");
    static_cast<void>(co_await cached_address(names, "a.test", "81"));
    static_cast<void>(co_await cached_address(names, "a.test.b", "80"));
    names.forget("A.test");
    CHECK(names.stats().entries == 1);
    const std::string other = co_await cached_address(names, "a.test.b");
    CHECK(other == "192.0.2.4");
}

EDDY_TEST("resolver_cache: it may go while a look-up is in progress") {
    fake_names fake;
    std::optional<resolver_cache> names;
    names.emplace(resolver_cache_options{}, fake.function());
    auto waiting = spawn(cached_address(*names, "a.test"));
    co_await sleep_for(500ms);
    names.reset();
    const std::string got = co_await std::move(waiting);
    CHECK(got == "192.0.2.1");
}

EDDY_TEST("resolver_cache: literal addresses are neither looked up nor kept, and nonsense is refused") {
    fake_names fake;
    resolver_cache names({}, fake.function());
    const std::string four = co_await cached_address(names, "127.0.0.1");
    const std::string six = co_await cached_address(names, "::1");
    CHECK(four + " " + six == "127.0.0.1 ::1");
    const std::string wrong = co_await words::ending(cached_address(names, "a.test", "65536"));
    CHECK(wrong.find("the service is neither a port nor a name") != std::string::npos);
    CHECK(fake.log.empty());
    CHECK(names.stats().entries == 0);
}

EDDY_TEST("resolver_cache: a family is a question of its own, which the look-up is asked, and its answer has no other") {
    std::string log;
    const auto look_up = [&log](std::string host, std::string, resolve_options o) -> task<endpoints> {
        log += host + " " + std::string(to_string(o.family)) + "; ";
        endpoints both{ip_endpoint("192.0.2.1", 80), ip_endpoint("2001:db8::1", 80)};
        co_return both;
    };
    resolver_cache names({}, look_up);
    const endpoints all = co_await names.resolve("a.test", "80");
    const endpoints four = co_await names.resolve("a.test", "80", {.family = address_family::ipv4});
    const endpoints six = co_await names.resolve("a.test", "80", {.family = address_family::ipv6});
    const endpoints again = co_await names.resolve("a.test", "80", {.family = address_family::ipv4});
    CHECK(all.size() == 2);
    REQUIRE(four.size() == 1);
    CHECK(four[0].address() == "192.0.2.1");
    REQUIRE(six.size() == 1);
    CHECK(six[0].address() == "2001:db8::1");
    CHECK(again == four);
    CHECK(log == "a.test any family; a.test IPv4; a.test IPv6; ");
    CHECK(names.stats().entries == 3);
    names.forget("a.test");
    CHECK(names.stats().entries == 0);
}

EDDY_TEST("resolver_cache: a name without an address of the family, and a literal of another one, are errors that name the host") {
    fake_names fake; // knows IPv4 addresses alone
    resolver_cache names({}, fake.function());
    outcome<endpoints> none = co_await as_result(names.resolve("a.test", "80", {.family = address_family::ipv6}));
    CHECK(words::holds<resolve_error>(none.exception()));
    CHECK(words::of(none).starts_with("cannot look up 'a.test' (service 80, IPv6 only): "));
    CHECK(names.stats().entries == 0);
    outcome<endpoints> literal = co_await as_result(names.resolve("192.0.2.1", "80", {.family = address_family::ipv6}));
    CHECK(words::of(literal).starts_with("cannot look up '192.0.2.1' (service 80, IPv6 only): it is an IPv4 address: "));
    CHECK(fake.log == "a.test:80 ");
}

EDDY_TEST("resolver_cache: tcp_connect asks it for the family alone") {
    std::string log;
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const auto look_up = [&log, at = l.local_endpoint()](std::string, std::string, resolve_options o) -> task<endpoints> {
        log += to_string(o.family);
        endpoints both{ip_endpoint("::1", at.port()), at};
        co_return both;
    };
    resolver_cache names({}, look_up);
    tcp_stream c = co_await tcp_connect("a.test", l.local_endpoint().port(), {.family = address_family::ipv4, .cache = &names});
    CHECK(c.remote_endpoint() == l.local_endpoint());
    CHECK(log == "IPv4");
}

EDDY_TEST("resolver_cache: tcp_connect uses it, and forgets a host that cannot be connected to") {
    resolver_cache names;
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const std::uint16_t port = l.local_endpoint().port();
    tcp_stream first = co_await tcp_connect("localhost", port, {.cache = &names});
    tcp_stream second = co_await tcp_connect("localhost", port, {.cache = &names});
    CHECK(names.stats().look_ups == 1);
    CHECK(names.stats().hits == 1);
    co_await l.close();
    outcome<tcp_stream> refused = co_await as_result(tcp_connect("localhost", port, {.cache = &names}));
    CHECK(words::holds<connect_error>(refused.exception()));
    CHECK(names.stats().entries == 0);
}

EDDY_TEST("resolver_cache: a host of which no address answers in time is forgotten") {
    io_test::silent_peer silent = co_await io_test::silent_peer::make();
    const endpoints both{silent.endpoint(), io_test::closed_port()}; // and one that refuses meanwhile
    resolver_cache names({.time_to_live = 1h}, [both](std::string, std::string) -> task<endpoints> { co_return both; });
    const std::string end = co_await words::ending(tcp_connect("a.test", 80, {.timeout = 3s, .cache = &names}));
    CHECK(end.starts_with("connect to a.test:80 timed out after 3000 ms"));
    CHECK(names.stats().look_ups == 1);
    CHECK(names.stats().entries == 0);
}

EDDY_TEST("resolver_cache: a connect that is cancelled, or too late for the look-up, leaves what is known and what is asked") {
    io_test::silent_peer silent = co_await io_test::silent_peer::make();
    const ip_endpoint there = silent.endpoint();
    resolver_cache names({}, [there](std::string, std::string) -> task<endpoints> { co_return endpoints(1, there); });
    auto connecting = spawn(tcp_connect("a.test", 80, {.cache = &names}));
    co_await testing::settle();
    co_await connecting.cancel_and_join();
    CHECK(connecting.cancelled());
    CHECK(names.stats().entries == 1);
    fake_names fake;
    fake.takes = 5s;
    resolver_cache slow({}, fake.function());
    const std::string end = co_await words::ending(tcp_connect("a.test", 80, {.timeout = 3s, .cache = &slow}));
    CHECK(end.starts_with("connect to a.test:80 timed out"));
    const std::string got = co_await cached_address(slow, "a.test");
    CHECK(got == "192.0.2.1");
    CHECK(fake.log == "a.test:80 ");
}

EDDY_TEST("resolver_cache: trouble on this machine is no reason to forget a host") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const ip_endpoint there = l.local_endpoint();
    resolver_cache names({}, [there](std::string, std::string) -> task<endpoints> { co_return endpoints(1, there); });
    connect_options from_elsewhere{.cache = &names};
    from_elsewhere.local = ip_endpoint("192.0.2.1", 0);
    const std::string end = co_await words::ending(tcp_connect("a.test", 80, from_elsewhere));
    CHECK(end == "connect to a.test:80 failed (tried 1 address): Cannot assign requested address");
    CHECK(names.stats().entries == 1);
    tcp_stream c = co_await tcp_connect("a.test", 80, {.cache = &names});
    CHECK(c.is_open());
    CHECK(names.stats().look_ups == 1);
}

TEST_CASE("resolver_cache: a loop that shuts down ends a look-up; who waits in a shield asks by himself") {
    fake_names fake;
    std::string log;
    detail::virtual_clock clock;
    const auto main = [&]() -> task<> {
        auto names = std::make_shared<resolver_cache>(resolver_cache_options{}, fake.function());
        spawn([](std::shared_ptr<resolver_cache> n, std::string& to) -> task<> {
            const auto body = [&]() -> task<> { to = co_await cached_address(*n, "a.test"); };
            co_await with_shield(body);
        }, names, std::ref(log));
        co_await testing::settle();
    };
    run(main(), {.handle_signals = false, .clock = &clock});
    CHECK(log == "192.0.2.2");
}

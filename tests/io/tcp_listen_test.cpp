// Listening on several endpoints, and by name.
#include <eddy/detail/look_up_pool.hpp>
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <system_error>
#include <vector>

#include "../../io/src/bind_all.hpp"
#include "io/blocked_pool.hpp"
#include "io/support.hpp"
#include "lib/left_out.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;

namespace {

std::string addresses_of(const std::vector<tcp_listener>& all) {
    std::string text;
    for (const tcp_listener& l : all) text += l.local_endpoint().address() + " ";
    return text;
}

/// What `bind_all` makes of a kernel that gives ports from 1001 on and has some of them taken on the second address.
class fake_kernel {
public:
    struct socket {
        ip_endpoint at;
        [[nodiscard]] ip_endpoint local_endpoint() const { return at; }
    };
    std::string log;
    std::uint16_t free_from = 1001;
    [[nodiscard]] socket bind(const ip_endpoint& e) {
        log += e.to_string() + " ";
        if (e.is_v6()) throw std::system_error(EAFNOSUPPORT, std::generic_category(), "no IPv6");
        if (e.address() == "127.0.0.2" && e.port() < free_from) throw std::system_error(EADDRINUSE, std::generic_category(), "taken");
        return {e.port() == 0 ? e.with_port(next_++) : e};
    }
    [[nodiscard]] std::vector<socket> bind_all(const std::vector<ip_endpoint>& where) {
        const auto bind_one = [this](const ip_endpoint& e) { return bind(e); };
        const auto may_skip = [](const ip_endpoint&, const std::error_code& why) { return why == std::errc::address_family_not_supported; };
        return detail::bind_all<socket>(where, bind_one, may_skip);
    }

private:
    std::uint16_t next_ = 1001;
};

} // namespace

EDDY_TEST("bind_all: where the port that the kernel picked is taken on another address, another one is tried") {
    fake_kernel kernel;
    kernel.free_from = 1003;
    const auto all = kernel.bind_all(two_addresses());
    REQUIRE(all.size() == 2);
    CHECK(all[0].at == ip_endpoint("127.0.0.1", 1003));
    CHECK(all[1].at == ip_endpoint("127.0.0.2", 1003));
    CHECK(kernel.log == "127.0.0.1:0 127.0.0.2:1001 127.0.0.1:0 127.0.0.2:1002 127.0.0.1:0 127.0.0.2:1003 ");
    co_return;
}

EDDY_TEST("bind_all: but not for ever, and not for a port that was asked for") {
    fake_kernel kernel;
    kernel.free_from = 65535;
    CHECK(words::of_call([&] { return kernel.bind_all(two_addresses()); }) == "taken: Address already in use");
    CHECK(kernel.log.ends_with("127.0.0.2:1016 "));
    kernel.log.clear();
    std::vector<ip_endpoint> fixed{ip_endpoint("127.0.0.1", 0), ip_endpoint("127.0.0.2", 80)};
    CHECK(words::of_call([&] { return kernel.bind_all(fixed); }) == "taken: Address already in use");
    CHECK(kernel.log == "127.0.0.1:0 127.0.0.2:80 ");
    co_return;
}

EDDY_TEST("bind_all: a family that is not there is left out, unless nothing is left then; doubles are bound once") {
    fake_kernel kernel;
    const ip_endpoint four("127.0.0.1", 0);
    const ip_endpoint six("::1", 0);
    const auto one = kernel.bind_all(std::vector<ip_endpoint>{six, four, four});
    REQUIRE(one.size() == 1);
    CHECK(one[0].at == ip_endpoint("127.0.0.1", 1001));
    CHECK(kernel.log == "[::1]:0 127.0.0.1:0 ");
    CHECK(words::of_call([&] { return kernel.bind_all(std::vector<ip_endpoint>{six}); }).starts_with("no IPv6: "));
    co_return;
}

EDDY_TEST("ip_endpoint::with_port keeps the address") {
    CHECK(ip_endpoint("127.0.0.1", 0).with_port(80) == ip_endpoint("127.0.0.1", 80));
    CHECK(ip_endpoint("::1", 1).with_port(8080).to_string() == "[::1]:8080");
    co_return;
}

EDDY_TEST("tcp_listener::bind on several endpoints: a socket for each, on one port that the kernel picks") {
    const std::vector<ip_endpoint> where = two_addresses();
    std::vector<tcp_listener> all = tcp_listener::bind(where);
    CHECK(addresses_of(all) == "127.0.0.1 127.0.0.2 ");
    CHECK(all[0].local_endpoint().port() != 0);
    CHECK(all[1].local_endpoint().port() == all[0].local_endpoint().port());
    for (tcp_listener& l : all) {
        tcp_stream c = co_await tcp_connect(l.local_endpoint());
        tcp_stream s = co_await l.accept();
        CHECK(s.local_endpoint() == l.local_endpoint());
    }
}

EDDY_TEST("tcp_listener::bind on several endpoints: IPv6 beside IPv4 takes IPv6 alone, and is left out where the machine has none") {
    const std::vector<ip_endpoint> where{ip_endpoint("::1", 0), ip_endpoint("127.0.0.1", 0)};
    std::vector<tcp_listener> all = tcp_listener::bind(where);
    REQUIRE(!all.empty());
    CHECK(all.back().local_endpoint().address() == "127.0.0.1");
    if (all.size() == 1) {
        tests::left_out("no ::1 on this machine");
        co_return;
    }
    CHECK(all[0].local_endpoint() == ip_endpoint("::1", all[1].local_endpoint().port()));
    int only_v6 = 0;
    socklen_t size = sizeof only_v6;
    ::getsockopt(all[0].native_handle(), IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, &size);
    CHECK(only_v6 == 1);
}

EDDY_TEST("tcp_listener::bind on several endpoints: all of them or none") {
    tcp_listener taken = tcp_listener::bind({"127.0.0.2", 0});
    const std::size_t before = open_descriptors();
    const std::vector<ip_endpoint> where{ip_endpoint("127.0.0.1", 0), taken.local_endpoint()};
    CHECK(words::of_call([&] { return tcp_listener::bind(where); }) ==
          "bind to " + taken.local_endpoint().to_string() + ": Address already in use");
    const std::vector<ip_endpoint> foreign{ip_endpoint("127.0.0.1", 0), ip_endpoint("192.0.2.1", 0)};
    CHECK(words::of_call([&] { return tcp_listener::bind(foreign); }).starts_with("bind to 192.0.2.1:"));
    CHECK(open_descriptors() == before);
    co_return;
}

EDDY_TEST("tcp_listener::bind: endpoints of another family are left out, and what cannot be meant is refused") {
    const std::vector<ip_endpoint> where{ip_endpoint("::1", 0), ip_endpoint("127.0.0.1", 0)};
    CHECK(addresses_of(tcp_listener::bind(where, {.family = address_family::ipv4})) == "127.0.0.1 ");
    CHECK(words::throws<std::invalid_argument>([&] { return tcp_listener::bind(std::span(where).first(1), {.family = address_family::ipv4}); }));
    CHECK(words::of_call([] { return tcp_listener::bind({"127.0.0.1", 80}, {.family = address_family::ipv6}); }) ==
          "tcp_listener::bind: 127.0.0.1:80 is not of IPv6, which alone was asked for");
    CHECK(words::of_call([&] { return tcp_listener::bind(where, {.dual_stack = true}); }) ==
          "tcp_listener::bind: dual_stack is for IPv6 alone; here IPv4 has a socket of its own");
    CHECK(words::of_call([] { return tcp_listener::bind(std::vector<ip_endpoint>()); }) == "tcp_listener::bind: there is no address");
    co_return;
}

EDDY_TEST("tcp_listen: all addresses of a name, on one port") {
    std::vector<tcp_listener> all = co_await tcp_listen("localhost", 0);
    REQUIRE(!all.empty());
    for (tcp_listener& l : all) {
        CHECK(l.local_endpoint().port() == all.front().local_endpoint().port());
        tcp_stream c = co_await tcp_connect(l.local_endpoint());
        tcp_stream s = co_await l.accept();
        CHECK(s.remote_endpoint() == c.local_endpoint());
    }
}

EDDY_TEST("tcp_listen: every address of the machine, and several names") {
    std::vector<tcp_listener> any = co_await tcp_listen("", 0, {.family = address_family::ipv4});
    CHECK(addresses_of(any) == "0.0.0.0 ");
    std::vector<std::string> names{"127.0.0.2", "127.0.0.1", "127.0.0.2"};
    std::vector<tcp_listener> both = co_await tcp_listen(names, 0);
    CHECK(addresses_of(both) == "127.0.0.2 127.0.0.1 ");
    CHECK(both[0].local_endpoint().port() == both[1].local_endpoint().port());
}

EDDY_TEST("tcp_listen: what goes wrong names the host, and options are copied") {
    std::string unknown = co_await words::ending(tcp_listen("no-such-host.invalid", 80));
    CHECK(unknown.starts_with("cannot look up 'no-such-host.invalid' (service 80): "));
    std::string family = co_await words::ending(tcp_listen("127.0.0.1", 80, {.family = address_family::ipv6}));
    CHECK(family.starts_with("cannot look up '127.0.0.1' (service 80, IPv6 only): it is an IPv4 address"));
    CHECK(words::throws<std::invalid_argument>([] { return tcp_listen(std::vector<std::string>(), 80); }));
    std::string device = "nothing0";
    task<std::vector<tcp_listener>> later = tcp_listen("127.0.0.1", 0, {.bind_to_device = device});
    device = "another";
    std::string text = co_await words::ending(std::move(later));
    CHECK(text == "bind to device nothing0: No such device");
}

EDDY_TEST("R4 tcp_listen: cancelled while it looks up, no socket is left") {
    io_test::blocked_pool pool(detail::look_up_pool(this_loop()));
    co_await pool.block();
    const std::size_t before = open_descriptors();
    auto h = spawn(tcp_listen("localhost", 0));
    co_await io_test::some_turns();
    CHECK_FALSE(h.done());
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
    CHECK(open_descriptors() == before);
    co_await pool.release();
}

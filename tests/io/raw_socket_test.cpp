#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

static_assert(async_read_stream<raw_socket> && async_write_stream<raw_socket> && stream_listener<raw_socket>);
static_assert(std::constructible_from<any_stream, raw_socket>);

/// What came with one receive.
task<std::string> receive_message(raw_socket& s) {
    std::array<std::byte, 100> room;
    const raw_socket::received got = co_await s.receive(room);
    co_return std::string(reinterpret_cast<const char*>(room.data()), got.size);
}

raw_socket seqpacket_listener(const unix_endpoint& name) {
    raw_socket l(AF_UNIX, SOCK_SEQPACKET);
    l.bind(name);
    l.listen();
    return l;
}

template <class T>
T take_from(std::span<const std::byte> bytes) {
    T t{};
    std::memcpy(&t, bytes.data(), std::min(sizeof t, bytes.size()));
    return t;
}

constexpr std::size_t aligned(std::size_t n) noexcept {
    return (n + 3) / 4 * 4;
}

/// The name of a link, if it is the loopback one.
std::string loopback_name(std::span<const std::byte> link) {
    if (link.size() < sizeof(ifinfomsg)) return {};
    const auto info = take_from<ifinfomsg>(link);
    if ((info.ifi_flags & IFF_LOOPBACK) == 0) return {};
    std::span<const std::byte> rest = link.subspan(sizeof info);
    while (rest.size() >= sizeof(rtattr)) {
        const auto attribute = take_from<rtattr>(rest);
        if (attribute.rta_len < sizeof attribute || attribute.rta_len > rest.size()) return {};
        if (attribute.rta_type == IFLA_IFNAME) {
            const std::span<const std::byte> name = rest.subspan(sizeof attribute, attribute.rta_len - sizeof attribute);
            return std::string(reinterpret_cast<const char*>(name.data()), ::strnlen(reinterpret_cast<const char*>(name.data()), name.size()));
        }
        rest = rest.subspan(std::min(rest.size(), aligned(attribute.rta_len)));
    }
    return {};
}

/// Goes through the answers in one datagram. True if the last one was among them.
bool read_links(std::span<const std::byte> rest, std::string& loopback) {
    while (rest.size() >= sizeof(nlmsghdr)) {
        const auto head = take_from<nlmsghdr>(rest);
        if (head.nlmsg_type == NLMSG_DONE || head.nlmsg_type == NLMSG_ERROR) return true;
        if (head.nlmsg_len < sizeof head || head.nlmsg_len > rest.size()) return true;
        if (head.nlmsg_type == RTM_NEWLINK) loopback += loopback_name(rest.subspan(sizeof head, head.nlmsg_len - sizeof head));
        rest = rest.subspan(std::min(rest.size(), aligned(head.nlmsg_len)));
    }
    return false;
}

} // namespace

EDDY_TEST("raw_socket: SOCK_SEQPACKET, connected and accepted: messages keep their limits, and have an end") {
    const unix_endpoint name(abstract_name());
    raw_socket l = seqpacket_listener(name);
    CHECK(l.local_address().unix_path() == name);
    raw_socket c(AF_UNIX, SOCK_SEQPACKET);
    co_await c.connect(name);
    raw_socket s = co_await l.accept();
    CHECK(c.remote_address() == socket_address(name));
    co_await c.send("one");
    co_await c.send("second");
    const std::string first = co_await receive_message(s);
    const std::string second = co_await receive_message(s);
    CHECK(first + "|" + second == "one|second");
    co_await s.send("answer");
    std::array<std::byte, 3> small;
    const raw_socket::received cut = co_await c.receive(small);
    CHECK(cut.size == 3);
    CHECK(cut.truncated);
    co_await c.close();
    const raw_socket::received end = co_await s.receive(small);
    CHECK(end.size == 0);
}

EDDY_TEST("raw_socket: AF_NETLINK: the links of the machine, and the loopback one among them") {
    raw_socket s(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    struct link_request {
        nlmsghdr head;
        rtgenmsg body;
    } request{};
    request.head.nlmsg_len = NLMSG_LENGTH(sizeof request.body);
    request.head.nlmsg_type = RTM_GETLINK;
    request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.body.rtgen_family = AF_UNSPEC;
    const std::span<const std::byte> bytes = std::as_bytes(std::span(&request, 1)).first(request.head.nlmsg_len);
    co_await s.send_to(bytes, socket_address(&kernel, sizeof kernel));
    std::string room(64 * 1024, '\0');
    std::string loopback;
    for (bool last = false; !last;) {
        const raw_socket::received got = co_await s.receive_from(std::as_writable_bytes(std::span(room)));
        REQUIRE(!got.truncated);
        CHECK(got.from.family() == AF_NETLINK);
        last = got.size == 0 || read_links(std::as_bytes(std::span(room)).first(got.size), loopback);
    }
    CHECK(loopback == "lo");
}

EDDY_TEST("raw_socket: UDP: who sent it, what did not fit, and answers to an address") {
    raw_socket s(AF_INET, SOCK_DGRAM);
    s.bind(ip_endpoint("127.0.0.1", 0));
    const std::optional<ip_endpoint> here = s.local_address().ip();
    REQUIRE(here);
    udp_socket u = udp_socket::bind({"127.0.0.1", 0});
    co_await u.send_to("0123456789", *here);
    std::array<std::byte, 4> small;
    const raw_socket::received got = co_await s.receive_from(small);
    CHECK(got.size == 4);
    CHECK(got.truncated);
    REQUIRE(got.from.ip());
    CHECK(*got.from.ip() == u.local_endpoint());
    co_await s.send_to("back", got.from);
    const udp_socket::received answer = co_await u.receive_from(small);
    CHECK(answer.size == 4);
    CHECK(answer.from == *here);
    co_await s.connect(u.local_endpoint());
    co_await s.send(""); // an empty one
    const udp_socket::received empty = co_await u.receive_from(small);
    CHECK(empty.size == 0);
    outcome<> nowhere = co_await as_result(s.send_to("x", socket_address()));
    CHECK(words::holds<std::invalid_argument>(nowhere.exception()));
}

EDDY_TEST("raw_socket: one of bytes is a stream like others") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    raw_socket c(AF_INET, SOCK_STREAM);
    co_await c.connect(l.local_endpoint());
    tcp_stream s = co_await l.accept();
    const std::string much(1'000'000, 'x');
    auto writing = spawn([&]() -> task<> {
        co_await c.write(much);
        co_await c.write("end\n");
        co_await c.shutdown_write();
    });
    std::string all = co_await read_all(s);
    co_await writing;
    CHECK(all == much + "end\n");
    co_await s.write("line\nrest");
    buffered_reader r{c};
    std::string line = co_await r.read_line();
    CHECK(line == "line\n");
    CHECK(c.option(SOL_SOCKET, SO_TYPE) == SOCK_STREAM);
    c.set_option(SOL_SOCKET, SO_KEEPALIVE, 1);
    CHECK(c.option(SOL_SOCKET, SO_KEEPALIVE) == 1);
}

EDDY_TEST("raw_socket: a server of messages") {
    const unix_endpoint name(abstract_name());
    const auto handler = [](raw_socket s) -> task<> {
        for (;;) {
            const std::string message = co_await receive_message(s);
            if (message.empty()) co_return;
            co_await s.send(message);
        }
    };
    server srv{seqpacket_listener(name), handler};
    srv.start();
    raw_socket c(AF_UNIX, SOCK_SEQPACKET);
    co_await c.connect(name);
    co_await c.send("hello");
    const std::string answer = co_await receive_message(c);
    CHECK(answer == "hello");
    CHECK(srv.connections() == 1);
    co_await srv.shutdown(0s);
    const std::string end = co_await receive_message(c);
    CHECK(end.empty());

    raw_socket l = seqpacket_listener(unix_endpoint(abstract_name()));
    auto serving = spawn(serve(l, handler));
    co_await testing::settle();
    outcome<> again = co_await as_result(serve(l, handler));
    CHECK(words::holds<std::logic_error>(again.exception()));
    co_await serving.cancel_and_join();
}

EDDY_TEST("raw_socket: what is for the other kind is refused, for a message would be cut off and bytes be left over") {
    raw_sockets messages = raw_socket_pair(AF_UNIX, SOCK_SEQPACKET);
    raw_sockets bytes = raw_socket_pair(AF_UNIX, SOCK_STREAM);
    std::array<std::byte, 4> room;
    CHECK(words::of_call([&] { static_cast<void>(messages.a.read_some(room)); return 0; }) ==
          "raw_socket::read_some on the other end of a pair: it carries messages; use receive and send");
    CHECK(words::throws<std::logic_error>([&] { static_cast<void>(messages.a.write("x")); return 0; }));
    CHECK(words::throws<std::logic_error>([&] { static_cast<void>(bytes.a.send("x")); return 0; }));
    co_await bytes.a.write("ab");
    const raw_socket::received got = co_await bytes.b.receive(room);
    CHECK(got.size == 2);
}

EDDY_TEST("raw_socket: errors name the address, and closed ones and those without a socket say so") {
    raw_socket c(AF_INET, SOCK_STREAM);
    const ip_endpoint nobody = closed_port();
    std::string refused = co_await words::ending(c.connect(nobody));
    CHECK(refused == "connect to " + nobody.to_string() + ": Connection refused");
    const unix_endpoint missing(abstract_name());
    raw_socket u(AF_UNIX, SOCK_SEQPACKET);
    std::string unknown = co_await words::ending(u.connect(missing));
    CHECK(unknown == "connect to " + missing.path() + ": Connection refused");
    tcp_listener taken = tcp_listener::bind({"127.0.0.1", 0});
    raw_socket l(AF_INET, SOCK_STREAM);
    CHECK(words::of_call([&] { l.bind(taken.local_endpoint()); return 0; }) ==
          "bind to " + taken.local_endpoint().to_string() + ": Address already in use");
    CHECK(words::of_call([] { return raw_socket(AF_INET, 99); }).starts_with("a socket of domain 2, type 99: "));
    CHECK(words::of_call([] { return raw_socket().local_address(); }) == "this raw_socket has no socket");
    co_await u.close();
    std::array<std::byte, 4> room;
    std::string closed = co_await words::ending(u.receive(room));
    CHECK(closed.ends_with("it was closed on our side"));
    outcome<> gone = co_await as_result(u.connect(missing));
    CHECK(words::holds<closed_resource>(gone.exception()));
}

EDDY_TEST("raw_socket: a socket from outside is adopted, and knows its kind") {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends.data()) == 0);
    raw_socket a(ends[0]);
    raw_socket b(ends[1]);
    CHECK((::fcntl(ends[0], F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(ends[0], F_GETFD) & FD_CLOEXEC) != 0);
    co_await a.send("x");
    const std::string got = co_await receive_message(b);
    CHECK(got == "x");
    CHECK(words::throws<std::logic_error>([&] { static_cast<void>(a.write("x")); return 0; }));
    const int fd = a.release();
    CHECK_FALSE(a.is_open());
    ::close(fd);
}

EDDY_TEST("R4 raw_socket: a connect that is cancelled on its way closes the socket; one that has not begun does not") {
    silent_peer silent = co_await silent_peer::make();
    raw_socket s(AF_INET, SOCK_STREAM);
    auto early = spawn([&]() -> task<> {
        this_task::handle().cancel();
        co_await s.connect(silent.endpoint());
    });
    co_await early.join();
    CHECK(early.cancelled());
    CHECK(s.is_open());
    auto connecting = spawn([&]() -> task<> { co_await s.connect(silent.endpoint()); });
    co_await testing::settle();
    CHECK(!connecting.done());
    co_await connecting.cancel_and_join();
    CHECK(connecting.cancelled());
    CHECK_FALSE(s.is_open());
}

EDDY_TEST("R13 raw_socket: a close under a connect and under what is queued behind it") {
    silent_peer silent = co_await silent_peer::make();
    raw_socket s(AF_INET, SOCK_STREAM);
    std::string connect_end;
    std::string write_end;
    const auto connecting = [&]() -> task<> { connect_end = co_await words::ending(s.connect(silent.endpoint())); };
    const auto writing = [&]() -> task<> { write_end = co_await words::ending(s.write("x")); };
    auto first = spawn(connecting);
    co_await testing::settle();
    auto second = spawn(writing);
    co_await testing::settle();
    CHECK(connect_end == "");
    CHECK(write_end == "");
    co_await s.close();
    co_await first;
    co_await second;
    CHECK(connect_end.substr(connect_end.find(": ") + 2) == "it was closed on our side");
    CHECK(write_end.substr(write_end.find(": ") + 2) == "it was closed on our side");
}

EDDY_TEST("R4 raw_socket: a receive that is cancelled has taken nothing; a second one at the same time is refused") {
    raw_sockets ends = raw_socket_pair(AF_UNIX, SOCK_SEQPACKET);
    auto receiving = spawn([&]() -> task<> { static_cast<void>(co_await receive_message(ends.a)); });
    co_await testing::settle();
    std::array<std::byte, 4> room;
    outcome<raw_socket::received> second = co_await as_result(ends.a.receive(room));
    CHECK(words::holds<busy_resource>(second.exception()));
    co_await receiving.cancel_and_join();
    co_await ends.b.send("kept");
    const std::string got = co_await receive_message(ends.a);
    CHECK(got == "kept");
}

#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <sys/socket.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::string_view_literals;

namespace {

const ip_endpoint any_port("127.0.0.1", 0);

std::string text_of(std::span<const std::byte> bytes) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

/// "the text from 127.0.0.1:1", with an ellipsis where it was cut off.
task<std::string> next_of(udp_socket& u, std::size_t room = 64) {
    std::string text(room, '\0');
    auto got = co_await u.receive_from(std::as_writable_bytes(std::span(text)));
    text.resize(got.size);
    co_return text + (got.truncated ? "…" : "") + " from " + got.from.to_string();
}

task<> send_text(udp_socket& u, std::string text) {
    co_await u.send(text);
}

/// A pair whose kernel queue is short, in place of a network that is slow: over loopback UDP always has room.
struct slow_pair {
    udp_socket near;
    udp_socket far;
    slow_pair() {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends.data()) != 0) throw std::runtime_error("no socketpair");
        near = udp_socket::adopt(ends[0]);
        far = udp_socket::adopt(ends[1]);
        near.set_send_buffer_size(8192);
    }
    /// How many datagrams it took until there was no room.
    int fill() {
        const std::string block(1000, 'x');
        int n = 0;
        while (near.try_send(block)) ++n;
        return n;
    }
    void drain_one() {
        std::array<std::byte, 1000> room;
        if (!far.try_receive_from(room)) throw std::runtime_error("nothing to drain");
    }
};

} // namespace

EDDY_TEST("the interface: UDP") {
    udp_socket u = udp_socket::bind({"127.0.0.1", 0});
    ip_endpoint peer = u.local_endpoint();
    udp_socket cu = udp_socket::connect(peer);
    std::string data = "datagram";
    std::array<std::byte, 4096> buf;
    co_await cu.send_to(data, peer);
    auto got = co_await u.receive_from(buf);
    CHECK(got.size == 8);
    CHECK(got.from == cu.local_endpoint());
    CHECK(!got.truncated);
    co_await u.send_to(std::span<const std::byte>(buf).first(got.size), got.from);
    auto back = co_await cu.receive(buf);
    CHECK(back.size == 8);
    CHECK(back.from == peer);
    CHECK(cu.remote_endpoint() == peer);
    co_await u.close();
    CHECK(!u.is_open());
}

EDDY_TEST("ST-31 datagrams keep their boundaries, the empty one included") {
    udp_socket u = udp_socket::bind(any_port);
    udp_socket c = udp_socket::connect(u.local_endpoint());
    co_await c.send("ab");
    co_await c.send("cd"sv);
    co_await c.send(""sv);
    const std::string from = " from " + c.local_endpoint().to_string();
    std::string one = co_await next_of(u);
    std::string two = co_await next_of(u);
    std::string three = co_await next_of(u);
    CHECK(one == "ab" + from);
    CHECK(two == "cd" + from);
    CHECK(three == from);
}

EDDY_TEST("ST-33 a buffer that is too small is reported, and the next datagram is whole") {
    udp_socket u = udp_socket::bind(any_port);
    udp_socket c = udp_socket::connect(u.local_endpoint());
    co_await c.send("0123456789"sv);
    co_await c.send("next"sv);
    co_await c.send("gone"sv);
    co_await c.send(""sv);
    const std::string from = " from " + c.local_endpoint().to_string();
    std::string cut = co_await next_of(u, 4);
    std::string next = co_await next_of(u, 4);
    std::string nothing = co_await next_of(u, 0);
    std::string empty = co_await next_of(u, 0);
    CHECK(cut == "0123…" + from);
    CHECK(next == "next" + from);
    CHECK(nothing == "…" + from);
    CHECK(empty == from);
}

EDDY_TEST("a receive waits for its datagram, and a second receiver is refused by name") {
    udp_socket u = udp_socket::bind(any_port);
    udp_socket c = udp_socket::connect(u.local_endpoint());
    auto first = spawn(next_of(u));
    co_await testing::settle();
    std::array<std::byte, 8> room;
    std::string second = co_await words::ending(next_of(u));
    CHECK(second == "another task is already reading from " + u.local_endpoint().to_string());
    CHECK(words::throws<busy_resource>([&] { return u.try_receive_from(room); }));
    co_await c.send("for the first"sv);
    std::string got = co_await std::move(first);
    CHECK(got == "for the first from " + c.local_endpoint().to_string());
}

EDDY_TEST("a refusal by the network names the peer, and the socket goes on") {
    const ip_endpoint nobody = udp_socket::bind(any_port).local_endpoint();
    udp_socket c = udp_socket::connect(nobody);
    co_await c.send("anybody there?"sv);
    std::array<std::byte, 8> room;
    outcome<received_datagram<ip_endpoint>> answer = co_await as_result(c.receive(room));
    CHECK(answer.error() == std::errc::connection_refused);
    CHECK(words::of(answer) == "receive from " + nobody.to_string() + ": Connection refused");
    co_await c.send("and now?"sv);
    outcome<> again = co_await as_result(c.send("really?"sv)); // tells of the one before
    CHECK(words::of(again) == "send to " + nobody.to_string() + ": Connection refused");
    udp_socket late = udp_socket::bind(nobody);
    co_await c.send("now there is"sv);
    std::string got = co_await next_of(late);
    CHECK(got == "now there is from " + c.local_endpoint().to_string());
}

EDDY_TEST("a refusal ends a receive that waits") {
    const ip_endpoint nobody = udp_socket::bind(any_port).local_endpoint();
    udp_socket c = udp_socket::connect(nobody);
    auto receiving = spawn(words::ending(next_of(c)));
    co_await testing::settle();
    co_await c.send("anybody there?"sv);
    std::string end = co_await std::move(receiving);
    CHECK(end == "receive from " + nobody.to_string() + ": Connection refused");
}

EDDY_TEST("errors name who was sent to") {
    udp_socket u = udp_socket::bind(any_port);
    const ip_endpoint peer("127.0.0.1", 9);
    std::string much(70'000, 'x');
    outcome<> too_long = co_await as_result(u.send_to(much, peer));
    CHECK(words::of(too_long) == "send to 127.0.0.1:9: Message too long");
    CHECK(too_long.error() == std::errc::message_size);
    outcome<> nowhere = co_await as_result(u.send("x"sv));
    CHECK(nowhere.error() == std::errc::destination_address_required);
    const ip_endpoint everybody("127.255.255.255", 9);
    outcome<> not_allowed = co_await as_result(u.send_to("x"sv, everybody));
    CHECK(words::of(not_allowed) == "send to 127.255.255.255:9: Permission denied");
    u.set_broadcast(true);
    co_await u.send_to("x"sv, everybody);
    const ip_endpoint taken = u.local_endpoint();
    CHECK(words::of_call([&] { return udp_socket::bind(taken); }) == "bind to " + taken.to_string() + ": Address already in use");
    CHECK(words::of_call([&] { return u.remote_endpoint(); }) == "remote_endpoint: Transport endpoint is not connected");
}

EDDY_TEST("send_to goes to whom it says, also on a connected socket; no port is no destination") {
    udp_socket peer = udp_socket::bind(any_port);
    udp_socket other = udp_socket::bind(any_port);
    udp_socket c = udp_socket::connect(peer.local_endpoint());
    const std::string refused = "send_to: '127.0.0.1:0' is no destination; send() is for the peer of a connected socket";
    std::string end = co_await words::ending(c.send_to("x"sv, any_port));
    CHECK(end == refused);
    CHECK(words::throws<std::invalid_argument>([&] { return c.try_send_to("x"sv, any_port); }));
    CHECK(words::throws<std::invalid_argument>([&] { return c.try_send_to("x"sv, ip_endpoint()); }));
    co_await c.send_to("to another"sv, other.local_endpoint());
    co_await c.send("to the peer"sv);
    std::string got = co_await next_of(other);
    CHECK(got == "to another from " + c.local_endpoint().to_string());
    got = co_await next_of(peer);
    CHECK(got == "to the peer from " + c.local_endpoint().to_string());
    udp_socket free = udp_socket::bind(any_port);
    end = co_await words::ending(free.send_to("x"sv, any_port));
    CHECK(end == refused);
}

EDDY_TEST("a connected socket hears nobody but its peer") {
    udp_socket peer = udp_socket::bind(any_port);
    udp_socket stranger = udp_socket::bind(any_port);
    udp_socket c = udp_socket::connect(peer.local_endpoint(), any_port);
    co_await stranger.send_to("not for you"sv, c.local_endpoint());
    co_await peer.send_to("for you"sv, c.local_endpoint());
    std::string got = co_await next_of(c);
    CHECK(got == "for you from " + peer.local_endpoint().to_string());
}

EDDY_TEST("a send waits while the kernel has no room, and sends queue in their order") {
    slow_pair p;
    const int taken = p.fill();
    CHECK(taken > 0);
    auto first = spawn(send_text(p.near, "first"));
    co_await testing::settle();
    auto second = spawn(send_text(p.near, "second"));
    co_await testing::settle();
    CHECK(!first.done());
    CHECK(!p.near.try_send("does not overtake"));
    std::vector<std::string> order;
    std::string room(1000, '\0');
    while (order.size() < 2) {
        auto got = co_await p.far.receive(std::as_writable_bytes(std::span(room)));
        if (got.size < 1000) order.push_back(room.substr(0, got.size));
    }
    CHECK(order[0] == "first");
    CHECK(order[1] == "second");
    co_await first;
    co_await second;
}

EDDY_TEST("R4 a send that is cancelled while it waits did not happen, and the one behind it goes out") {
    slow_pair p;
    const int taken = p.fill();
    auto first = spawn(send_text(p.near, "cancelled"));
    co_await testing::settle();
    auto second = spawn(send_text(p.near, "sent"));
    co_await testing::settle();
    co_await first.cancel_and_join();
    CHECK(first.cancelled());
    for (int i = 0; i < taken; ++i) p.drain_one();
    co_await second;
    std::string room(1000, '\0');
    auto got = co_await p.far.receive(std::as_writable_bytes(std::span(room)));
    CHECK(room.substr(0, got.size) == "sent");
    CHECK(!p.far.try_receive_from({}));
}

EDDY_TEST("R4 a cancelled receive takes no datagram") {
    udp_socket u = udp_socket::bind(any_port);
    udp_socket c = udp_socket::connect(u.local_endpoint());
    auto receiving = spawn(next_of(u));
    co_await testing::settle();
    co_await receiving.cancel_and_join();
    co_await c.send("kept"sv);
    std::string got = co_await next_of(u);
    CHECK(got == "kept from " + c.local_endpoint().to_string());
}

EDDY_TEST("R2 a datagram that has come is delivered even if its receiver is cancelled in that tick") {
    udp_socket u = udp_socket::bind(any_port);
    udp_socket c = udp_socket::connect(u.local_endpoint());
    std::string got;
    auto receiving = spawn([&]() -> task<> { got = co_await next_of(u); });
    co_await testing::settle();
    const std::size_t pending = this_loop().stats().pending_operations;
    CHECK(c.try_send("at the last moment"));
    co_await operation_completed(pending);
    receiving.cancel();
    co_await receiving.join();
    CHECK(got == "at the last moment from " + c.local_endpoint().to_string());
}

EDDY_TEST("R13 a close wakes whoever waits, and everything after it is closed_resource") {
    slow_pair p;
    p.fill();
    const std::string name = p.near.local_endpoint().to_string();
    auto sending = spawn(words::ending(send_text(p.near, "x")));
    auto receiving = spawn(words::ending(next_of(p.near)));
    co_await testing::settle();
    co_await p.near.close();
    co_await p.near.close();
    std::string sent = co_await std::move(sending);
    std::string received = co_await std::move(receiving);
    CHECK(sent.ends_with("it was closed on our side"));
    CHECK(received.ends_with("it was closed on our side"));
    std::array<std::byte, 8> room;
    outcome<> after = co_await as_result(p.near.send("x"sv));
    CHECK(words::holds<closed_resource>(after.exception()));
    CHECK(words::throws<closed_resource>([&] { return p.near.try_receive_from(room); }));
    CHECK(words::throws<closed_resource>([&] { return p.near.local_endpoint(); }));
    CHECK(words::of_call([] { return udp_socket().local_endpoint(); }) == "this udp_socket has no socket");
}

EDDY_TEST("a socket that is destroyed while a task receives ends that receive with closed_resource") {
    std::optional<udp_socket> u(udp_socket::bind(any_port));
    const std::string name = u->local_endpoint().to_string();
    auto receiving = spawn(words::ending(next_of(*u)));
    co_await testing::settle();
    u.reset();
    std::string end = co_await std::move(receiving);
    CHECK(end == "receive on " + name + ": it was closed on our side");
}

EDDY_TEST("trying neither waits nor suspends") {
    udp_socket u = udp_socket::bind(any_port);
    udp_socket c = udp_socket::bind(any_port);
    std::array<std::byte, 8> room;
    CHECK(!u.try_receive_from(room));
    CHECK(c.try_send_to("now"sv, u.local_endpoint()));
    std::optional<udp_socket::received> got = u.try_receive_from(room);
    REQUIRE(got);
    CHECK(text_of(std::span(room).first(got->size)) == "now");
    CHECK(got->from == c.local_endpoint());
    co_return;
}

EDDY_TEST("a batch goes out and comes in with its boundaries, more than one system call takes included") {
    udp_socket u = udp_socket::bind(any_port);
    udp_socket c = udp_socket::bind(any_port);
    std::vector<std::string> texts;
    for (int i = 0; i < 70; ++i) texts.push_back(i == 7 ? "" : "datagram " + std::to_string(i));
    std::vector<udp_socket::outgoing> batch;
    for (const std::string& t : texts) batch.push_back({bytes_of(t), u.local_endpoint()});
    co_await c.send_many(batch);
    std::vector<std::array<std::byte, 16>> rooms(40);
    std::vector<udp_socket::incoming> in(rooms.size());
    for (std::size_t i = 0; i < in.size(); ++i) in[i].buffer = rooms[i];
    std::vector<std::string> got;
    std::vector<std::size_t> calls;
    while (got.size() < texts.size()) {
        const std::size_t n = co_await u.receive_many(in);
        calls.push_back(n);
        for (std::size_t i = 0; i < n; ++i) {
            got.push_back(text_of(in[i].bytes()));
            CHECK(in[i].from == c.local_endpoint());
            CHECK(!in[i].truncated);
        }
    }
    CHECK(got == texts);
    CHECK(calls == std::vector<std::size_t>{32, 32, 6});
    const std::size_t none = co_await u.receive_many({});
    CHECK(none == 0);
}

EDDY_TEST("receive_many waits for the first, and reports what was cut off") {
    udp_socket u = udp_socket::bind(any_port);
    udp_socket c = udp_socket::connect(u.local_endpoint());
    std::array<std::array<std::byte, 4>, 2> rooms;
    std::array<udp_socket::incoming, 2> in{};
    for (std::size_t i = 0; i < in.size(); ++i) in[i].buffer = rooms[i];
    auto receiving = spawn([&]() -> task<std::size_t> { co_return co_await u.receive_many(in); });
    co_await testing::settle();
    CHECK(!receiving.done());
    CHECK(c.try_send("0123456789"));
    std::size_t n = co_await receiving;
    CHECK(n == 1);
    CHECK(text_of(in[0].bytes()) == "0123");
    CHECK(in[0].truncated);
}

EDDY_TEST("a batch of a connected socket goes to the peer; an error says at which datagram") {
    slow_pair p;
    const std::string little = "fits";
    const std::string much(400'000, 'x');
    const std::array<udp_socket::outgoing, 3> batch{{{bytes_of(little)}, {bytes_of(much)}, {bytes_of(little)}}};
    outcome<> sent = co_await as_result(p.near.send_many(batch));
    CHECK(sent.error() == std::errc::message_size);
    CHECK(words::of(sent).find("(datagram 2 of 3)") != std::string::npos);
    p.drain_one();
    CHECK(!p.far.try_receive_from({}));
}

EDDY_TEST("R4 a batch that is cancelled tells how many datagrams went out") {
    slow_pair p;
    const std::string block(1000, 'x');
    const std::vector<udp_socket::outgoing> batch(100, udp_socket::outgoing{bytes_of(block)});
    std::size_t partial = 0;
    auto sending = spawn([&]() -> task<> {
        try {
            co_await p.near.send_many(batch);
        } catch (const operation_cancelled& c) {
            partial = c.partial();
            throw;
        }
    });
    co_await testing::settle();
    co_await sending.cancel_and_join();
    CHECK(partial > 0);
    CHECK(partial < 100);
    for (std::size_t i = 0; i < partial; ++i) p.drain_one();
    CHECK(!p.far.try_receive_from({}));
    co_await p.near.send("as before"sv); // nothing is torn
}

EDDY_TEST("options are the kernel's") {
    const udp_options options{
        .reuse_address = true, .reuse_port = true, .broadcast = true, .receive_buffer_size = 50'000, .send_buffer_size = 40'000};
    udp_socket a = udp_socket::bind(any_port, options);
    udp_socket b = udp_socket::bind(a.local_endpoint(), options);
    CHECK(a.local_endpoint() == b.local_endpoint());
    CHECK(a.receive_buffer_size() == 100'000); // Linux doubles it
    CHECK(a.send_buffer_size() == 80'000);
    a.set_receive_buffer_size(30'000);
    CHECK(a.receive_buffer_size() == 60'000);
    a.set_ttl(3);
    CHECK(words::of_call([&] { a.set_ttl(1000); return 0; }) == "set_ttl: Invalid argument");
    CHECK(words::of_call([] { return udp_socket::bind(any_port, {.bind_to_device = "nothing0"}); }) ==
          "bind to device nothing0: No such device");
    co_return;
}

EDDY_TEST("a dual-stack socket hears both families") {
    udp_socket u = udp_socket::bind({"::", 0}, {.dual_stack = true});
    const std::uint16_t port = u.local_endpoint().port();
    udp_socket four = udp_socket::connect({"127.0.0.1", port});
    co_await four.send("4"sv);
    std::string got = co_await next_of(u);
    CHECK(got == "4 from [::ffff:127.0.0.1]:" + std::to_string(four.local_endpoint().port()));
    udp_socket six = udp_socket::connect({"::1", port});
    co_await six.send("6"sv);
    got = co_await next_of(u);
    CHECK(got == "6 from " + six.local_endpoint().to_string());
}

EDDY_TEST("members of a multicast group on this machine get what is sent to it") {
    udp_socket member = udp_socket::bind({"0.0.0.0", 0}, {.reuse_address = true});
    const ip_endpoint group("239.255.13.37", member.local_endpoint().port());
    member.join_multicast(group, "lo");
    udp_socket s = udp_socket::bind(any_port);
    s.set_multicast_interface("lo");
    s.set_multicast_ttl(0);
    s.set_multicast_loop(true);
    co_await s.send_to("to all"sv, group);
    std::string got = co_await next_of(member);
    CHECK(got == "to all from " + s.local_endpoint().to_string());
    member.leave_multicast(group, "lo");
    CHECK(words::of_call([&] { member.leave_multicast(group, "lo"); return 0; }).starts_with("leave multicast group 239.255.13.37: "));
    CHECK(words::of_call([&] { member.join_multicast(any_port); return 0; }) == "join multicast group 127.0.0.1: Invalid argument");
    CHECK(words::of_call([&] { member.join_multicast(group, "nothing0"); return 0; }).starts_with("multicast on interface nothing0: "));
}

EDDY_TEST("a socket from outside is made non-blocking and close-on-exec, and can be given away again") {
    const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
    REQUIRE(::bind(fd, any_port.data(), static_cast<socklen_t>(any_port.size())) == 0);
    udp_socket u = udp_socket::adopt(fd);
    CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    co_await u.send_to("to myself"sv, u.local_endpoint());
    std::string got = co_await next_of(u);
    CHECK(got == "to myself from " + u.local_endpoint().to_string());
    CHECK(u.release() == fd);
    CHECK(!u.is_open());
    CHECK(descriptor_is_open(fd));
    ::close(fd);
}

#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <sys/socket.h>

#include <array>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::string_view_literals;

namespace {

/// "the text from @x", with an ellipsis where it was cut off.
task<std::string> next_of(unix_datagram_socket& u, std::size_t room = 64) {
    std::string text(room, '\0');
    auto got = co_await u.receive_from(std::as_writable_bytes(std::span(text)));
    text.resize(got.size);
    co_return text + (got.truncated ? "…" : "") + " from " + got.from.to_string();
}

} // namespace

EDDY_TEST("ST-31 Unix-domain datagrams keep their boundaries, and say who sent them") {
    temporary_folder folder;
    const std::string here = folder.file("here.sock");
    unix_datagram_socket u = unix_datagram_socket::bind(here, {.cleanup = true});
    unix_datagram_socket c = unix_datagram_socket::bind(folder.file("there.sock"), {.cleanup = true});
    const unix_endpoint to(here);
    co_await c.send_to("ab", to);
    co_await c.send_to(""sv, to);
    co_await c.send_to("0123456789"sv, to);
    std::string one = co_await next_of(u);
    std::string two = co_await next_of(u);
    std::string three = co_await next_of(u, 4); // ST-33
    CHECK(one == "ab from " + folder.file("there.sock"));
    CHECK(two == " from " + folder.file("there.sock"));
    CHECK(three == "0123… from " + folder.file("there.sock"));
    co_await u.close();
    CHECK(!std::filesystem::exists(here));
    std::string end = co_await words::ending(c.send_to("x", to));
    CHECK(end == "send to " + here + ": No such file or directory");
}

EDDY_TEST("a connected socket with a path can be answered, one without is anonymous") {
    const std::string server_name = abstract_name();
    const std::string client_name = abstract_name();
    unix_datagram_socket server = unix_datagram_socket::bind(server_name);
    unix_datagram_socket client = unix_datagram_socket::connect(server_name, client_name);
    CHECK(client.remote_endpoint() == server.local_endpoint());
    co_await client.send("ping"sv);
    std::array<std::byte, 8> room;
    auto got = co_await server.receive_from(room);
    CHECK(got.from.path() == client_name);
    co_await server.send_to("pong", got.from);
    std::string answer = co_await next_of(client);
    CHECK(answer == "pong from " + server_name);
    unix_datagram_socket anonymous = unix_datagram_socket::connect(server_name);
    co_await anonymous.send("who?"sv);
    std::string text = co_await next_of(server);
    CHECK(text == "who? from a socket without a name");
    co_await server.close();
    std::string end = co_await words::ending(client.send("x"sv));
    CHECK(end == "send to " + server_name + ": Connection refused");
}

EDDY_TEST("a send waits while the receiver's queue is full, connected or not") {
    const std::string name = abstract_name();
    unix_datagram_socket u = unix_datagram_socket::bind(name);
    unix_datagram_socket connected = unix_datagram_socket::connect(name);
    unix_datagram_socket free = unix_datagram_socket::bind(abstract_name());
    int filled = 0;
    while (connected.try_send("filler")) ++filled;
    auto first = spawn([&]() -> task<> { co_await connected.send("connected"sv); });
    auto second = spawn([&]() -> task<> { co_await free.send_to("free", u.local_endpoint()); });
    co_await testing::settle();
    CHECK(!first.done());
    CHECK(!second.done());
    int fillers = 0;
    std::string others;
    std::array<char, 16> room;
    for (int i = 0; i < filled + 2; ++i) {
        auto got = co_await u.receive(std::as_writable_bytes(std::span(room)));
        const std::string text(room.data(), got.size);
        if (text == "filler") ++fillers;
        else others += text + " ";
    }
    CHECK(fillers == filled);
    CHECK((others == "connected free " || others == "free connected "));
    co_await first;
    co_await second;
}

EDDY_TEST("a socket that is destroyed while a task waits to send ends that with closed_resource") {
    const std::string name = abstract_name();
    unix_datagram_socket u = unix_datagram_socket::bind(name);
    std::optional<unix_datagram_socket> c(unix_datagram_socket::bind(abstract_name()));
    while (c->try_send_to("filler", u.local_endpoint())) {}
    auto sending = spawn(words::ending(c->send_to("x", u.local_endpoint())));
    co_await testing::settle();
    c.reset();
    std::string end = co_await std::move(sending);
    CHECK(end.ends_with("it was closed on our side"));
}

EDDY_TEST("a pair of datagram sockets, and one from outside") {
    unix_datagram_sockets ends = unix_datagram_pair();
    co_await ends.a.send("to b"sv);
    std::string got = co_await next_of(ends.b);
    CHECK(got == "to b from a socket without a name");
    unix_datagram_socket again = unix_datagram_socket::adopt(ends.b.release());
    co_await again.send("to a"sv);
    got = co_await next_of(ends.a);
    CHECK(got == "to a from a socket without a name");
}

EDDY_TEST("a stale datagram socket file may be replaced, one in use may not") {
    temporary_folder folder;
    const std::string path = folder.file("x.sock");
    {
        unix_datagram_socket old = unix_datagram_socket::bind(path);
    }
    const std::string in_use = "bind to " + path + ": Address already in use";
    CHECK(words::of_call([&] { return unix_datagram_socket::bind(path); }) == in_use);
    unix_datagram_socket u = unix_datagram_socket::bind(path, {.replace_stale = true});
    CHECK(words::of_call([&] { return unix_datagram_socket::bind(path, {.replace_stale = true}); }) == in_use);
    CHECK(words::of_call([&] { return unix_listener::bind(path, {.replace_stale = true}); }) == in_use);
    CHECK(words::of_call([&] { return unix_datagram_socket::connect(folder.file("none")); }) ==
          "connect to " + folder.file("none") + ": No such file or directory");
    co_return;
}

EDDY_TEST("a send_to keeps a string that goes until it is awaited") {
    unix_datagram_socket u = unix_datagram_socket::bind(abstract_name());
    unix_datagram_socket c = unix_datagram_socket::bind(abstract_name());
    const unix_endpoint to = u.local_endpoint();
    task<> sending = c.send_to(std::string("a temporary, too long for a small string"), to);
    task<> literal = c.send_to("a literal", to);
    co_await std::move(sending);
    co_await std::move(literal);
    const std::string from = " from " + c.local_endpoint().to_string();
    std::string got = co_await next_of(u);
    CHECK(got == "a temporary, too long for a small string" + from);
    got = co_await next_of(u);
    CHECK(got == "a literal" + from);
}

EDDY_TEST("the empty endpoint is no destination, also on a connected socket") {
    unix_datagram_sockets ends = unix_datagram_pair();
    std::string end = co_await words::ending(ends.a.send_to("x", unix_endpoint()));
    CHECK(end == "send_to: 'a socket without a name' is no destination; send() is for the peer of a connected socket");
    CHECK(words::throws<std::invalid_argument>([&] { return ends.a.try_send_to("x", unix_endpoint()); }));
}

#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <filesystem>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "coro/allocations.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

task<std::string> read_text(unix_stream& s, std::size_t most = 4096) {
    std::string text(most, '\0');
    const std::size_t n = co_await s.read_some(std::as_writable_bytes(std::span(text)));
    text.resize(n);
    co_return text;
}

task<> echo_unix(unix_stream s) {
    std::array<std::byte, 4096> buffer;
    for (;;) {
        const std::size_t n = co_await s.read_some(buffer);
        if (n == 0) co_return;
        co_await s.write(std::span<const std::byte>(buffer).first(n));
    }
}

/// What a client gets back for a word.
task<std::string> answer_of(std::string path, std::string word) {
    unix_stream s = co_await unix_connect(path);
    co_await s.write(word);
    std::string answer = co_await read_text(s);
    co_return answer;
}

/// A socket file that nobody listens on any more, as a crash leaves it.
void leave_stale(const std::string& path) {
    unix_listener l = unix_listener::bind(path);
}

} // namespace

EDDY_TEST("a close with unread input: the peer gets what was written, and connection_reset in place of the end") {
    unix_streams ends = unix_stream_pair();
    co_await ends.a.write("never read"sv);
    co_await ends.b.write("last words"sv);
    co_await ends.b.close();
    const std::string got = co_await read_text(ends.a);
    CHECK(got == "last words");
    const outcome<std::string> end = co_await as_result(read_text(ends.a));
    CHECK(end.error() == std::errc::connection_reset);
}

EDDY_TEST("the interface: Unix-domain streams") {
    temporary_folder folder;
    const std::string path = folder.file("x.sock");
    unix_listener ul = unix_listener::bind(path, {.cleanup = true});
    auto us = co_await unix_connect(path);
    unix_stream c = co_await ul.accept();
    co_await us.write("hello"sv);
    co_await us.shutdown_write();
    std::string got = co_await read_text(c);
    CHECK(got == "hello");
    std::string end = co_await read_text(c);
    CHECK(end == "");
    buffered_writer w{c};
    co_await w.write("a line\n"sv);
    co_await w.flush();
    buffered_reader r{us};
    std::string line = co_await r.read_line();
    CHECK(line == "a line\n");
    CHECK(ul.local_endpoint().path() == path);
    CHECK(us.remote_endpoint().path() == path);
    CHECK(us.local_endpoint().empty());
    co_await ul.close();
    CHECK(ul.local_endpoint().path() == path);
}

EDDY_TEST("serve and server take a unix_listener") {
    temporary_folder folder;
    const std::string path = folder.file("x.sock");
    unix_listener l = unix_listener::bind(path, {.cleanup = true});
    auto serving = spawn(serve(l, [](unix_stream s) -> task<> { co_await echo_unix(std::move(s)); }));
    std::string answer = co_await answer_of(path, "hello");
    CHECK(answer == "hello");
    CHECK(!l.is_open()); // the server has it
    CHECK(words::of_call([&] { return l.accept(); }) == "this unix_listener belongs to a server");
    co_await serving.cancel_and_join();
    CHECK(!std::filesystem::exists(path));

    server srv{unix_listener::bind(path, {.cleanup = true}), echo_unix};
    srv.start();
    answer = co_await answer_of(path, "again");
    CHECK(answer == "again");
    CHECK(words::throws<std::logic_error>([&] { return srv.local_endpoint(); }));
    co_await srv.shutdown(1s);
    CHECK(!std::filesystem::exists(path));
}

EDDY_TEST("a server's grace period ends, and its connections with it") {
    const std::string path = abstract_name();
    server srv{unix_listener::bind(path), echo_unix};
    srv.start();
    unix_stream s = co_await unix_connect(path);
    co_await s.write("x"sv);
    std::string got = co_await read_text(s);
    CHECK(got == "x");
    co_await srv.shutdown(1s);
    got = co_await read_text(s);
    CHECK(got == "");
}

EDDY_TEST("with cleanup, the file goes when the listener is closed or destroyed; without, it stays") {
    temporary_folder folder;
    const std::string path = folder.file("x.sock");
    unix_listener l = unix_listener::bind(path, {.cleanup = true});
    CHECK(std::filesystem::exists(path));
    co_await l.close();
    CHECK(!std::filesystem::exists(path));
    {
        unix_listener second = unix_listener::bind(path, {.cleanup = true});
    }
    CHECK(!std::filesystem::exists(path));
    {
        unix_listener third = unix_listener::bind(path);
    }
    CHECK(std::filesystem::exists(path));
}

EDDY_TEST("a file that is not ours any more stays") {
    temporary_folder folder;
    const std::string path = folder.file("x.sock");
    unix_listener l = unix_listener::bind(path, {.cleanup = true});
    std::filesystem::remove(path);
    unix_listener successor = unix_listener::bind(path);
    co_await l.close();
    CHECK(std::filesystem::exists(path));
    unix_stream s = co_await unix_connect(path);
    unix_stream c = co_await successor.accept();
    CHECK(c.is_open());
}

EDDY_TEST("a file that is gone already does no harm") {
    temporary_folder folder;
    unix_listener l = unix_listener::bind(folder.file("x.sock"), {.cleanup = true});
    std::filesystem::remove(folder.file("x.sock"));
    co_await l.close();
}

EDDY_TEST("the file of a relative path is removed from where it was made") {
    temporary_folder folder;
    const std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::current_path(folder.file(""));
    std::optional<unix_listener> l(unix_listener::bind("x.sock", {.cleanup = true}));
    std::filesystem::current_path(before);
    CHECK(std::filesystem::exists(folder.file("x.sock")));
    l.reset();
    CHECK(!std::filesystem::exists(folder.file("x.sock")));
    co_return;
}

EDDY_TEST("a listener that is given away leaves its file alone, and can be adopted") {
    temporary_folder folder;
    const std::string path = folder.file("x.sock");
    unix_listener l = unix_listener::bind(path);
    const int copy = ::fcntl(l.native_handle(), F_DUPFD, 0);
    co_await l.close();
    unix_listener again(copy);
    CHECK((::fcntl(copy, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(again.local_endpoint().path() == path);
    unix_stream s = co_await unix_connect(path);
    unix_stream c = co_await again.accept();
    co_await s.write("x"sv);
    std::string got = co_await read_text(c);
    CHECK(got == "x");
}

EDDY_TEST("a stale socket file is in the way, unless it may be replaced") {
    temporary_folder folder;
    const std::string path = folder.file("x.sock");
    leave_stale(path);
    CHECK(words::of_call([&] { return unix_listener::bind(path); }) == "bind to " + path + ": Address already in use");
    unix_listener l = unix_listener::bind(path, {.replace_stale = true});
    unix_stream s = co_await unix_connect(path);
    CHECK(s.is_open());
}

EDDY_TEST("a path that somebody listens on, or that is no socket, is never replaced") {
    temporary_folder folder;
    const std::string path = folder.file("x.sock");
    unix_listener l = unix_listener::bind(path, {.backlog = 0});
    const std::string in_use = "bind to " + path + ": Address already in use";
    CHECK(words::of_call([&] { return unix_listener::bind(path, {.replace_stale = true}); }) == in_use);
    CHECK(words::of_call([&] { return unix_listener::bind(path, {.replace_stale = true}); }) == in_use); // its queue is full now
    const std::string file = folder.file("data");
    co_await write_file(file, "precious");
    CHECK(words::of_call([&] { return unix_listener::bind(file, {.replace_stale = true}); }) ==
          "bind to " + file + ": Address already in use");
    std::string text = co_await read_file(file);
    CHECK(text == "precious");
}

EDDY_TEST("the file has the permissions that were asked for") {
    temporary_folder folder;
    unix_listener l = unix_listener::bind(folder.file("x.sock"), {.permissions = 0600});
    struct ::stat s {};
    REQUIRE(::stat(folder.file("x.sock").c_str(), &s) == 0);
    CHECK((s.st_mode & 0777) == 0600);
    co_return;
}

EDDY_TEST("errors name the path") {
    temporary_folder folder;
    const std::string path = folder.file("nobody.sock");
    std::string end = co_await words::ending(unix_connect(path));
    CHECK(end == "connect to " + path + ": No such file or directory");
    leave_stale(path);
    end = co_await words::ending(unix_connect(path));
    CHECK(end == "connect to " + path + ": Connection refused");
    const std::string nowhere = folder.file("no/such/folder");
    CHECK(words::of_call([&] { return unix_listener::bind(nowhere); }) == "bind to " + nowhere + ": No such file or directory");
    unix_listener l = unix_listener::bind(path, {.replace_stale = true});
    unix_stream s = co_await unix_connect(path);
    unix_stream c = co_await l.accept();
    co_await s.close();
    end = co_await words::ending(s.write("x"sv));
    CHECK(end == "write to " + path + ": it was closed on our side");
    end = co_await words::ending([&]() -> task<> {
        for (;;) co_await c.write("x"sv);
    }());
    CHECK(end == "write to a client of " + path + ": Broken pipe");
}

EDDY_TEST("a path that is too long or empty is an invalid argument, everywhere") {
    const std::string too_long = "/" + std::string(107, 'x');
    const std::string message = "'" + too_long +
                                "' is too long for a Unix-domain socket: 108 bytes, at most 107 are possible; a relative path may be shorter";
    CHECK(words::of_call([&] { return unix_listener::bind(too_long); }) == message);
    CHECK(words::throws<std::invalid_argument>([&] { return unix_listener::bind(too_long); }));
    CHECK(words::throws<std::invalid_argument>([&] { return unix_listener::bind(""); }));
    CHECK(words::throws<std::invalid_argument>([&] { return unix_listener::bind("a\0b"sv); }));
    CHECK(words::of_call([&] { return unix_connect(too_long); }) == message);
    co_return;
}

EDDY_TEST("abstract names have no file and go with their socket") {
    const std::string name = abstract_name();
    unix_listener l = unix_listener::bind(name);
    CHECK(l.local_endpoint().is_abstract());
    CHECK(l.local_endpoint().path() == name);
    CHECK(!std::filesystem::exists(name));
    std::string same = name;
    same[0] = '\0';
    unix_stream s = co_await unix_connect(same);
    unix_stream c = co_await l.accept();
    CHECK(s.remote_endpoint() == l.local_endpoint());
    CHECK(words::of_call([&] { return unix_listener::bind(name); }) == "bind to " + name + ": Address already in use");
    co_await l.close();
    std::string end = co_await words::ending(unix_connect(name));
    CHECK(end == "connect to " + name + ": Connection refused");
}

EDDY_TEST("a connect waits while the queue is full, and may have a limit") {
    const std::string path = abstract_name();
    unix_listener l = unix_listener::bind(path, {.backlog = 0});
    unix_stream first = co_await unix_connect(path);
    std::string end = co_await words::ending(unix_connect(path, {.timeout = 1s}));
    CHECK(end.find("connect to " + path) != std::string::npos);
    auto second = spawn([&]() -> task<> {
        unix_stream s = co_await unix_connect(path, {.timeout = 10s});
        co_await s.write("through"sv);
    });
    co_await testing::settle();
    CHECK(!second.done());
    unix_stream one = co_await l.accept();
    unix_stream two = co_await l.accept();
    std::string got = co_await read_text(two);
    CHECK(got == "through");
    co_await second;
}

EDDY_TEST("a pair is connected, and has no names") {
    unix_streams ends = unix_stream_pair();
    co_await ends.a.write("to b"sv);
    std::string got = co_await read_text(ends.b);
    CHECK(got == "to b");
    CHECK(ends.a.remote_endpoint().empty());
    CHECK(ends.a.remote_endpoint().to_string() == "a socket without a name");
    CHECK((::fcntl(ends.a.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    auto reading = spawn(words::ending(read_text(ends.a)));
    co_await testing::settle();
    co_await ends.a.close();
    std::string end = co_await std::move(reading);
    CHECK(end == "read from the other end of a pair: it was closed on our side");
    CHECK(words::of_call([] { return unix_stream().read_some({}); }) == "this unix_stream has no socket");
}

EDDY_TEST("the peer's credentials are ours, for it is us") {
    unix_streams ends = unix_stream_pair();
    const peer_credentials who = ends.a.credentials();
    CHECK(who.pid == ::getpid());
    CHECK(who.uid == ::getuid());
    CHECK(who.gid == ::getgid());
    co_return;
}

EDDY_TEST("descriptors travel with bytes, and belong to the receiver") {
    unix_streams ends = unix_stream_pair();
    connection p = co_await connected();
    const std::array<int, 2> passed{p.client.native_handle(), p.server.native_handle()};
    co_await ends.a.send_descriptors("two of them", passed);
    co_await ends.a.write("none"sv);
    std::array<std::byte, 64> buffer;
    received_descriptors got = co_await ends.b.receive_descriptors(buffer);
    CHECK(got.size == 11);
    CHECK(!got.truncated);
    REQUIRE(got.descriptors.size() == 2);
    CHECK((::fcntl(got.descriptors[0], F_GETFD) & FD_CLOEXEC) != 0);
    co_await p.client.close(); // ours; the duplicate keeps the connection
    tcp_stream client(got.descriptors.take(0));
    CHECK(got.descriptors[0] == -1);
    co_await client.write("through the duplicate"sv);
    std::string text = co_await io_test::read_text(p.server);
    CHECK(text == "through the duplicate");
    received_descriptors none = co_await ends.b.receive_descriptors(buffer);
    CHECK(none.size == 4);
    CHECK(none.descriptors.empty());
    co_await ends.a.close();
    received_descriptors end = co_await ends.b.receive_descriptors(buffer);
    CHECK(end.size == 0);
}

EDDY_TEST("descriptors that nobody takes are closed, and so are those of bytes that are read otherwise") {
    unix_streams ends = unix_stream_pair();
    const std::vector<int> many(253, ends.a.native_handle());
    const std::size_t before = open_descriptors();
    co_await ends.a.send_descriptors("x", many);
    {
        std::array<std::byte, 8> buffer;
        received_descriptors got = co_await ends.b.receive_descriptors(buffer);
        CHECK(got.descriptors.size() == 253);
        CHECK(open_descriptors() == before + 253);
        descriptor_list moved = std::move(got.descriptors);
        CHECK(moved.size() == 253);
        CHECK(got.descriptors.empty());
    }
    CHECK(open_descriptors() == before);
    co_await ends.a.send_descriptors("y", many);
    std::string text = co_await read_text(ends.b);
    CHECK(text == "y");
    CHECK(open_descriptors() == before);
}

EDDY_TEST("descriptors go once with bytes that take several turns") {
    unix_streams ends = unix_stream_pair();
    const std::string much(3'000'000, 'x');
    const std::array<int, 1> passed{ends.a.native_handle()};
    auto sending = spawn([&]() -> task<> { co_await ends.a.send_descriptors(much, passed); });
    std::string buffer(1 << 16, '\0');
    std::size_t bytes = 0;
    std::size_t descriptors = 0;
    while (bytes < much.size()) {
        received_descriptors got = co_await ends.b.receive_descriptors(std::as_writable_bytes(std::span(buffer)));
        bytes += got.size;
        descriptors += got.descriptors.size();
    }
    CHECK(bytes == much.size());
    CHECK(descriptors == 1);
    co_await sending;
}

EDDY_TEST("what cannot be sent with descriptors is said at once") {
    unix_streams ends = unix_stream_pair();
    const std::array<int, 1> passed{0};
    std::string end = co_await words::ending(ends.a.send_descriptors("", passed));
    CHECK(end == "send_descriptors: descriptors travel with bytes; send at least one");
    const std::vector<int> many(254, 0);
    end = co_await words::ending(ends.a.send_descriptors("x", many));
    CHECK(end == "send_descriptors: at most 253 descriptors go at once");
    const std::array<int, 1> none{-1};
    end = co_await words::ending(ends.a.send_descriptors("x", none));
    CHECK(end == "send descriptors to the other end of a pair: Bad file descriptor");
    co_await ends.a.send_descriptors("plain", std::span<const int>());
    std::string got = co_await read_text(ends.b);
    CHECK(got == "plain");
    co_await ends.a.shutdown_write();
    end = co_await words::ending(ends.a.send_descriptors("x", passed));
    CHECK(end == "send descriptors to the other end of a pair after shutdown_write");
}

EDDY_TEST("R4 a cancelled half of a message with descriptors breaks the stream") {
    unix_streams ends = unix_stream_pair();
    const std::string much(3'000'000, 'x');
    const std::array<int, 1> passed{ends.a.native_handle()};
    std::size_t partial = 0;
    auto sending = spawn([&]() -> task<> {
        try {
            co_await ends.a.send_descriptors(much, passed);
        } catch (const operation_cancelled& c) {
            partial = c.partial();
            throw;
        }
    });
    co_await testing::settle();
    co_await sending.cancel_and_join();
    CHECK(partial > 0);
    CHECK(partial < much.size());
    outcome<> after = co_await as_result(ends.a.write("x"sv));
    CHECK(words::holds<broken_resource>(after.exception()));
    outcome<> again = co_await as_result(ends.a.send_descriptors("x", passed));
    CHECK(words::holds<broken_resource>(again.exception()));
}

EDDY_TEST("descriptors for which this process has no room are reported as lost") {
    unix_streams ends = unix_stream_pair();
    const std::array<int, 3> passed{ends.a.native_handle(), ends.a.native_handle(), ends.a.native_handle()};
    co_await ends.a.send_descriptors("x", passed);
    std::array<std::byte, 8> buffer;
    co_await wait_readable(ends.b.native_handle()); // what it needs for itself is there
    ::rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int next_free = ::fcntl(ends.a.native_handle(), F_DUPFD_CLOEXEC, 0);
    ::close(next_free);
    ::rlimit low = before;
    low.rlim_cur = static_cast<::rlim_t>(next_free) + 1;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
    received_descriptors got = co_await ends.b.receive_descriptors(buffer);
    ::setrlimit(RLIMIT_NOFILE, &before);
    CHECK(got.size == 1);
    CHECK(got.truncated);
    CHECK(got.descriptors.size() == 1);
}

EDDY_TEST("unix_connect that is cancelled leaves no socket") {
    const std::string path = abstract_name();
    unix_listener l = unix_listener::bind(path, {.backlog = 0});
    unix_stream first = co_await unix_connect(path);
    const std::size_t before = open_descriptors();
    auto connecting = spawn(unix_connect(path));
    co_await this_task::yield();
    co_await this_task::yield();
    co_await connecting.cancel_and_join();
    CHECK(connecting.cancelled());
    CHECK(open_descriptors() == before);
}

namespace {

/// Calls it with its first, its second, … allocation failing, until none does. True if it left no descriptor behind.
template <class F>
bool leaks_nothing(F call) {
    for (long n = 0; n < 100; ++n) {
        const std::size_t before = open_descriptors();
        bool happened = true;
        try {
            const allocations::failing out_of_memory(n);
            call();
            happened = out_of_memory.happened();
        } catch (const std::bad_alloc&) {
        }
        if (open_descriptors() != before) return false;
        if (!happened) return true;
    }
    return false;
}

/// The same for a class that adopts a number: it stays ours if that fails.
template <class F>
bool leaves_it_to_us(int original, F adopt) {
    for (long n = 0; n < 100; ++n) {
        const int fd = ::dup(original);
        bool happened = true;
        try {
            const allocations::failing out_of_memory(n);
            adopt(fd);
            happened = out_of_memory.happened();
        } catch (const std::bad_alloc&) {
            if (!descriptor_is_open(fd)) return false;
            ::close(fd);
        }
        if (descriptor_is_open(fd)) return false; // the object has closed it
        if (!happened) return true;
    }
    return false;
}

} // namespace

EDDY_TEST("sockets that there is no memory for leave no descriptor behind") {
    temporary_folder folder;
    const std::string path = folder.file("a path that is no small string.sock");
    const ip_endpoint any("127.0.0.1", 0);
    CHECK(leaks_nothing([] { static_cast<void>(unix_stream_pair()); }));
    CHECK(leaks_nothing([] { static_cast<void>(unix_datagram_pair()); }));
    CHECK(leaks_nothing([&] { static_cast<void>(unix_listener::bind(path, {.cleanup = true})); }));
    CHECK(leaks_nothing([&] { static_cast<void>(unix_datagram_socket::bind(path, {.cleanup = true})); }));
    CHECK(leaks_nothing([&] { static_cast<void>(udp_socket::bind(any)); }));
    CHECK(leaks_nothing([&] { static_cast<void>(tcp_listener::bind(any)); }));
    co_return;
}

EDDY_TEST("a socket from outside stays the caller's if there is no memory to adopt it") {
    const unix_streams pair = unix_stream_pair();
    const unix_datagram_sockets datagrams = unix_datagram_pair();
    const unix_listener local = unix_listener::bind("@eddy-adopt-test-" + std::to_string(::getpid()));
    const ip_endpoint any("127.0.0.1", 0);
    const tcp_listener tcp = tcp_listener::bind(any);
    const udp_socket udp = udp_socket::bind(any);
    connection c = co_await connected();
    CHECK(leaves_it_to_us(pair.a.native_handle(), [](int fd) { unix_stream s(fd); }));
    CHECK(leaves_it_to_us(local.native_handle(), [](int fd) { unix_listener l(fd); }));
    CHECK(leaves_it_to_us(c.client.native_handle(), [](int fd) { tcp_stream s(fd); }));
    CHECK(leaves_it_to_us(tcp.native_handle(), [](int fd) { tcp_listener l(fd); }));
    CHECK(leaves_it_to_us(udp.native_handle(), [](int fd) { static_cast<void>(udp_socket::adopt(fd)); }));
    CHECK(leaves_it_to_us(datagrams.a.native_handle(), [](int fd) { static_cast<void>(unix_datagram_socket::adopt(fd)); }));
}

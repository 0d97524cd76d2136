// The seam between loop and kernel, with descriptors and operations of the test's own: what every engine has to do.
#include <fcntl.h>
#include <netinet/in.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <eddy/detail/engine.hpp>
#include <eddy/detail/task_context.hpp>
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

using namespace eddy;
using namespace std::chrono_literals;
using detail::io_opcode;

namespace {

[[nodiscard]] detail::engine& engine_here() {
    return *detail::engine_of(*detail::current().loop);
}

int require_descriptor(int r, const char* what) {
    if (r < 0) throw std::system_error(errno, std::generic_category(), what);
    return r;
}

/// A descriptor and what the engine has for it; closed at the end.
class adopted {
public:
    explicit adopted(int fd) : fd_(fd), in_engine_(&engine_here().adopt(fd)) {}
    adopted(adopted&& o) noexcept : fd_(std::exchange(o.fd_, -1)), in_engine_(std::exchange(o.in_engine_, nullptr)) {}
    adopted& operator=(adopted&&) = delete;
    ~adopted() {
        release();
        if (fd_ >= 0) ::close(fd_);
    }
    void release() noexcept {
        if (in_engine_) engine_here().release(*std::exchange(in_engine_, nullptr));
    }
    /// It was closed already.
    int forget() noexcept { return std::exchange(fd_, -1); }
    [[nodiscard]] int fd() const noexcept { return fd_; }
    [[nodiscard]] detail::io_descriptor& operator*() const noexcept { return *in_engine_; }

private:
    int fd_;
    detail::io_descriptor* in_engine_;
};

struct two_ends {
    adopted a;
    adopted b;
};

[[nodiscard]] two_ends socket_ends(int domain = AF_UNIX, int type = SOCK_STREAM) {
    int fds[2];
    require_descriptor(::socketpair(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), "socketpair");
    return {adopted(fds[0]), adopted(fds[1])};
}

[[nodiscard]] two_ends pipe_ends() {
    int fds[2];
    require_descriptor(::pipe2(fds, O_NONBLOCK | O_CLOEXEC), "pipe");
    return {adopted(fds[0]), adopted(fds[1])};
}

[[nodiscard]] two_ends tcp_ends() {
    const int listening = require_descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    require_descriptor(::bind(listening, reinterpret_cast<const sockaddr*>(&at), size), "bind");
    require_descriptor(::listen(listening, 1), "listen");
    require_descriptor(::getsockname(listening, reinterpret_cast<sockaddr*>(&at), &size), "getsockname");
    const int a = require_descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    require_descriptor(::connect(a, reinterpret_cast<const sockaddr*>(&at), size), "connect");
    const int b = require_descriptor(::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK), "accept");
    ::close(listening);
    ::fcntl(a, F_SETFL, O_NONBLOCK);
    return {adopted(a), adopted(b)};
}

/// One operation, that tells when it is complete.
class probe : public detail::io_operation {
public:
    probe(const adopted& d, io_opcode o, std::span<char> room, bool socket) : descriptor_(*d) {
        opcode = o;
        buffer = room.data();
        length = room.size();
        is_socket = socket;
        complete = [](detail::io_operation& op) noexcept { static_cast<probe&>(op).came(); };
    }
    probe(const probe&) = delete;
    probe& operator=(const probe&) = delete;
    ~probe() { cancel(); }
    /// True if it is complete at once.
    bool start() {
        waits_ = !engine_here().start(descriptor_, *this);
        return !waits_;
    }
    void cancel() noexcept {
        if (std::exchange(waits_, false)) static_cast<void>(engine_here().cancel(descriptor_, *this));
    }
    [[nodiscard]] task<std::ptrdiff_t> finish() {
        if (waits_) co_await done_.wait();
        co_return result;
    }
    [[nodiscard]] bool waits() const noexcept { return waits_; }
    void (*then)(void*) = nullptr; // in its completion
    void* argument = nullptr;

private:
    void came() noexcept {
        waits_ = false;
        if (then) then(argument);
        done_.set();
    }
    detail::io_descriptor& descriptor_;
    event done_;
    bool waits_ = false;
};

/// What one read of up to `most` bytes gives; "" is the end.
[[nodiscard]] task<std::string> read_from(const adopted& d, bool socket, std::size_t most = 64) {
    std::string text(most, '\0');
    probe p(d, io_opcode::read, text, socket);
    p.start();
    const std::ptrdiff_t n = co_await p.finish();
    if (n < 0) throw std::system_error(p.error, std::generic_category(), "read");
    text.resize(static_cast<std::size_t>(n));
    co_return text;
}

void send_text(const adopted& d, std::string_view text) {
    if (::write(d.fd(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) throw std::runtime_error("a short write");
}

void pass_descriptor(const adopted& through, char text, int fd) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fd)> room{};
    iovec part{&text, 1};
    msghdr m{};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    m.msg_control = room.data();
    m.msg_controllen = room.size();
    cmsghdr* const c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
    require_descriptor(static_cast<int>(::sendmsg(through.fd(), &m, MSG_NOSIGNAL)), "sendmsg");
}

} // namespace

EDDY_TEST("engine: a read that waits, and one that need not") {
    two_ends s = tcp_ends();
    for (int i = 0; i < 3; ++i) {
        send_text(s.a, "early");
        const std::string early = co_await read_from(s.b, true);
        CHECK(early == "early");
        std::string room(16, '\0');
        probe late(s.b, io_opcode::read, room, true);
        const bool at_once = late.start();
        CHECK_FALSE(at_once);
        send_text(s.a, "late");
        const std::ptrdiff_t n = co_await late.finish();
        CHECK(n == 4);
    }
}

EDDY_TEST("engine: what comes between a short read and the next one is not missed") {
    two_ends s = tcp_ends();
    for (int turns = 0; turns < 3; ++turns) {
        send_text(s.a, "one");
        const std::string one = co_await read_from(s.b, true);
        CHECK(one == "one");
        send_text(s.a, "two");
        for (int i = 0; i < turns; ++i) co_await sleep_for(1ms); // the engine sees it meanwhile, or not
        const std::string two = co_await read_from(s.b, true);
        CHECK(two == "two");
    }
}

EDDY_TEST("engine: an end that comes together with the last bytes is seen") {
    for (const bool seen_before : {false, true}) {
        two_ends s = tcp_ends();
        send_text(s.a, "last");
        ::shutdown(s.a.fd(), SHUT_WR);
        if (seen_before) co_await sleep_for(1ms);
        const std::string last = co_await read_from(s.b, true);
        CHECK(last == "last");
        const std::string end = co_await read_from(s.b, true);
        CHECK(end.empty());
        const std::string again = co_await read_from(s.b, true);
        CHECK(again.empty());
    }
}

EDDY_TEST("engine: an urgent mark makes a short read, and hides nothing") {
    two_ends s = tcp_ends();
    send_text(s.a, "ab");
    require_descriptor(static_cast<int>(::send(s.a.fd(), "!", 1, MSG_OOB)), "send");
    send_text(s.a, "cd");
    co_await sleep_for(1ms);
    std::string text;
    while (text.size() < 4) text += co_await read_from(s.b, true);
    CHECK(text == "abcd");
}

EDDY_TEST("engine: a passed descriptor makes a short read, and hides nothing") {
    two_ends s = socket_ends();
    send_text(s.a, "ab");
    pass_descriptor(s.a, 'c', STDERR_FILENO);
    send_text(s.a, "de");
    co_await sleep_for(1ms);
    std::string text;
    while (text.size() < 5) text += co_await read_from(s.b, true);
    CHECK(text == "abcde");
}

EDDY_TEST("engine: a terminal gives a line at a time, and hides none") {
    int master = -1;
    int slave = -1;
    require_descriptor(::openpty(&master, &slave, nullptr, nullptr, nullptr), "openpty");
    ::fcntl(slave, F_SETFL, O_NONBLOCK);
    ::fcntl(master, F_SETFL, O_NONBLOCK);
    adopted typed(master);
    adopted terminal(slave);
    send_text(typed, "one\ntwo\nthree\n");
    co_await sleep_for(1ms);
    for (const char* const line : {"one\n", "two\n", "three\n"}) {
        const std::string got = co_await read_from(terminal, false);
        CHECK(got == line);
    }
}

EDDY_TEST("engine: a write waits for room, again and again") {
    two_ends p = pipe_ends();
    std::string block(1 << 16, 'x');
    std::size_t sent = 0;
    std::size_t got = 0;
    for (int i = 0; i < 4; ++i) {
        probe fills(p.b, io_opcode::write, block, false);
        while (fills.start()) sent += static_cast<std::size_t>(fills.result);
        std::string room(1 << 20, '\0');
        probe takes(p.a, io_opcode::read, room, false);
        takes.start();
        const std::ptrdiff_t taken = co_await takes.finish();
        CHECK(taken > 0);
        got += static_cast<std::size_t>(taken);
        const std::ptrdiff_t n = co_await fills.finish();
        CHECK(n > 0);
        sent += static_cast<std::size_t>(n);
    }
    while (got < sent) {
        const std::string more = co_await read_from(p.a, false, 1 << 16);
        got += more.size();
    }
    CHECK(got == sent);
}

EDDY_TEST("engine: both sides of a descriptor wait by themselves") {
    two_ends s = socket_ends();
    std::string block(1 << 16, 'x');
    probe fills(s.a, io_opcode::write, block, true);
    while (fills.start()) {}
    std::string room(16, '\0');
    probe reads(s.a, io_opcode::read, room, true);
    const bool at_once = reads.start();
    CHECK_FALSE(at_once);
    send_text(s.b, "hello");
    const std::ptrdiff_t n = co_await reads.finish();
    CHECK(n == 5);
    CHECK(fills.waits());
    std::string all(1 << 20, '\0');
    while (::read(s.b.fd(), all.data(), all.size()) > 0) {}
    const std::ptrdiff_t written = co_await fills.finish();
    CHECK(written > 0);
}

EDDY_TEST("engine: readable, writable and hung up in one moment: both sides are told") {
    two_ends s = socket_ends();
    std::string block(1 << 16, 'x');
    probe fills(s.a, io_opcode::write, block, true);
    while (fills.start()) {}
    std::string room(16, '\0');
    probe reads(s.a, io_opcode::read, room, true);
    const bool at_once = reads.start();
    CHECK_FALSE(at_once);
    send_text(s.b, "bye");
    std::string all(1 << 20, '\0');
    while (::read(s.b.fd(), all.data(), all.size()) > 0) {}
    s.b.release();
    ::close(s.b.forget());
    const std::ptrdiff_t n = co_await reads.finish();
    const std::ptrdiff_t written = co_await fills.finish();
    CHECK(n == 3);
    CHECK(room.substr(0, 3) == "bye");
    CHECK(written == -1);
    CHECK(fills.error == EPIPE);
    const std::string end = co_await read_from(s.a, true);
    CHECK(end.empty());
}

EDDY_TEST("engine: a storm of cancellations: every byte is read once, in its order") {
    two_ends s = tcp_ends();
    std::minstd_rand random(7); // the same in each run
    std::string sent;
    std::string received;
    int cancelled = 0;
    for (int round = 0; round < 5000; ++round) {
        std::string room(4, '\0');
        probe reads(s.b, io_opcode::read, room, true);
        const auto send_one = [&] {
            const char c = static_cast<char>('a' + sent.size() % 26);
            send_text(s.a, std::string_view(&c, 1));
            sent += c;
        };
        const auto chance = random() % 8;
        if (chance < 3) send_one();
        bool over = reads.start();
        if (chance == 3) send_one();
        if (chance % 2 == 0) co_await this_task::yield(); // a poll may complete it
        over = over || !reads.waits();
        if (!over) {
            reads.cancel();
            ++cancelled;
        } else {
            received.append(room, 0, static_cast<std::size_t>(reads.result));
        }
    }
    s.a.release();
    ::close(s.a.forget());
    for (std::string more = "?"; !more.empty();) {
        more = co_await read_from(s.b, true, 1024);
        received += more;
    }
    CHECK((received == sent));
    CHECK(cancelled > 1000);
}

EDDY_TEST("engine: what is cancelled has not happened, and the next one gets it") {
    two_ends s = tcp_ends();
    std::string room(16, '\0');
    {
        probe first(s.b, io_opcode::read, room, true);
        const bool at_once = first.start();
        CHECK_FALSE(at_once);
        send_text(s.a, "bytes");
        first.cancel();
    }
    const std::string got = co_await read_from(s.b, true);
    CHECK(got == "bytes");
    CHECK(room == std::string(16, '\0'));
}

EDDY_TEST("engine: a peer that resets is an error to both sides") {
    two_ends s = tcp_ends();
    std::string room(16, '\0');
    probe reads(s.b, io_opcode::read, room, true);
    const bool at_once = reads.start();
    CHECK_FALSE(at_once);
    const linger now{1, 0};
    ::setsockopt(s.a.fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    s.a.release();
    ::close(s.a.forget());
    const std::ptrdiff_t n = co_await reads.finish();
    CHECK(n == -1);
    CHECK(reads.error == ECONNRESET);
}

EDDY_TEST("engine: a plain file need not be watched") {
    const std::string name = "/proc/self/exe";
    adopted file(require_descriptor(::open(name.c_str(), O_RDONLY | O_CLOEXEC), "open"));
    const std::string magic = co_await read_from(file, false, 4);
    CHECK(magic == "\x7f" "ELF");
}

EDDY_TEST("engine: a descriptor that is adopted twice, and one that is none") {
    two_ends s = socket_ends();
    CHECK_THROWS_AS(engine_here().adopt(s.a.fd()), std::system_error);
    CHECK_THROWS_AS(engine_here().adopt(-1), std::system_error);
    send_text(s.b, "x");
    const std::string still_there = co_await read_from(s.a, true);
    CHECK(still_there == "x");
}

EDDY_TEST("engine: released in the completion of another operation of the same poll") {
    two_ends one = socket_ends();
    two_ends two = socket_ends();
    std::string room(16, '\0');
    std::string other_room(16, '\0');
    probe first(one.a, io_opcode::read, room, true);
    probe second(two.a, io_opcode::read, other_room, true);
    CHECK_FALSE(first.start());
    CHECK_FALSE(second.start());
    struct pair_of {
        probe* other;
        adopted* descriptor;
    };
    pair_of from_first{&second, &two.a};
    pair_of from_second{&first, &one.a};
    const auto let_go = [](void* p) {
        const auto& them = *static_cast<pair_of*>(p);
        if (!them.other->waits()) return;
        them.other->cancel();
        them.descriptor->release();
    };
    first.then = second.then = let_go;
    first.argument = &from_first;
    second.argument = &from_second;
    send_text(one.b, "x");
    send_text(two.b, "x");
    co_await sleep_for(1ms);
    const int complete = static_cast<int>(first.result == 1) + static_cast<int>(second.result == 1);
    CHECK(complete == 1);
    CHECK_FALSE(first.waits());
    CHECK_FALSE(second.waits());
}

EDDY_TEST("engine: closed by somebody else while it is adopted, and the number used again") {
    two_ends old = socket_ends();
    const int number = old.a.fd();
    ::close(number);
    int fds[2];
    require_descriptor(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), "socketpair");
    REQUIRE(fds[0] == number);
    if (engine_here().kind() == engine_kind::asio) { // Asio keeps no account of numbers
        old.a.release();
        old.a.forget();
    }
    adopted a(fds[0]);
    adopted b(fds[1]);
    if (engine_here().kind() != engine_kind::asio) {
        old.a.release();
        old.a.forget();
    }
    send_text(b, "new");
    const std::string got = co_await read_from(a, true);
    CHECK(got == "new");
}

EDDY_TEST("engine: closed by somebody else while the open file lives on: its events reach nobody") {
    two_ends s = socket_ends();
    const int elsewhere = require_descriptor(::fcntl(s.a.fd(), F_DUPFD_CLOEXEC, 0), "dup");
    ::close(s.a.forget());
    s.a.release();
    send_text(s.b, "for whom?");
    co_await sleep_for(1ms);
    char c = 0;
    CHECK(::read(elsewhere, &c, 1) == 1);
    ::close(elsewhere);
}

EDDY_TEST("engine: many descriptors that are ready at once all get their turn") {
    constexpr std::size_t many = 200; // more than one poll handles
    std::vector<two_ends> pairs;
    pairs.reserve(many);
    for (std::size_t i = 0; i < many; ++i) pairs.push_back(socket_ends());
    std::vector<task<std::string>> reads;
    for (const two_ends& p : pairs) reads.push_back(read_from(p.a, true));
    auto all = spawn(gather(std::move(reads)));
    co_await sleep_for(1ms);
    for (const two_ends& p : pairs) send_text(p.b, "x");
    const std::vector<std::string> texts = co_await all;
    CHECK(texts == std::vector<std::string>(many, "x"));
}

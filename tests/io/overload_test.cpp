// More connections than descriptors: 20 000 connects at once, from processes of their own, against a server that may have
// 256 descriptors. And more connections than ports: 100 000 in waves, none of which ends
// in order.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "io/child.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

constexpr int connects = 20'000;
constexpr int load_processes = 4;
constexpr int descriptor_limit = 256;

void limit_descriptors(rlim_t n) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::min(n, limit.rlim_max);
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) leave(3);
}

bool out_of_descriptors() {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) ::close(fd);
    return fd < 0 && errno == EMFILE;
}

/// Says "FULL" each time the process is out of descriptors, "FREE" when it has some again.
task<> watch_descriptors() {
    bool full = false;
    for (;;) {
        co_await sleep_for(1ms);
        if (out_of_descriptors() == full) continue;
        full = !full;
        say(full ? "FULL" : "FREE");
    }
}

task<> serve_with_few_descriptors() {
    server srv{tcp_listener::bind({"127.0.0.1", 0}), echo};
    srv.start();
    say(std::to_string(srv.local_endpoint().port()));
    auto watching = spawn(watch_descriptors());
    std::exception_ptr stopped;
    try {
        co_await srv.join();
    } catch (...) {
        stopped = std::current_exception();
    }
    const auto end = [&]() -> task<> { co_await srv.shutdown(0s); };
    co_await with_shield(end);
    watching.cancel();
    std::rethrow_exception(stopped);
}

task<> ask(ip_endpoint where, std::size_t& answered) {
    tcp_stream s = co_await tcp_connect(where);
    co_await s.write("hello"sv);
    buffered_reader r{s};
    std::string answer = co_await r.read_exactly(5);
    if (answer == "hello") ++answered;
}

/// What became of the connections of one server.
struct tally {
    int begun = 0;
    int answered = 0;
    int resets = 0;
    int ended = 0;
    event changed;
};

task<> answer_until_reset(tcp_stream s, tally& t) {
    ++t.begun;
    std::array<std::byte, 16> buffer;
    try {
        for (;;) {
            const std::size_t n = co_await s.read_some(buffer);
            if (n == 0) break;
            co_await s.write(std::span<const std::byte>(buffer).first(n));
            ++t.answered;
            t.changed.set();
        }
    } catch (const std::system_error& e) {
        if (e.code() == std::errc::connection_reset) ++t.resets;
    }
    ++t.ended;
    t.changed.set();
}

task<> until_count(tally& t, const int& count, int goal) {
    while (count < goal) {
        t.changed.clear();
        co_await t.changed.wait();
    }
}

/// The kernel takes it while nobody accepts.
int connected_socket(const ip_endpoint& where) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ::connect(fd, where.data(), static_cast<socklen_t>(where.size())) != 0)
        throw std::system_error(errno, std::generic_category(), "connect");
    return fd;
}

/// Leaves no port behind that waits.
void close_with_reset(int fd) {
    const linger at_once{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ::close(fd);
}

/// A wave of connections: of each three one is reset at once, one when its answer is on its way, one when it has been read.
task<> send_wave(const ip_endpoint& where, tally& t, std::size_t size, int& wrong_answers) {
    std::vector<int> sockets;
    int asked = t.answered;
    for (std::size_t i = 0; i < size; ++i) {
        sockets.push_back(connected_socket(where));
        if (i % 3 == 0)
            close_with_reset(sockets.back());
        else if (::send(sockets.back(), "x", 1, MSG_NOSIGNAL) == 1)
            ++asked;
    }
    co_await until_count(t, t.answered, asked);
    for (std::size_t i = 0; i < size; ++i) {
        if (i % 3 == 0) continue;
        char answer = 0;
        if (i % 3 == 2 && (::recv(sockets[i], &answer, 1, 0) != 1 || answer != 'x')) ++wrong_answers;
        close_with_reset(sockets[i]);
    }
}

ip_endpoint local(const std::string& port) {
    return {"127.0.0.1", static_cast<std::uint16_t>(std::stoi(port))};
}

} // namespace

TEST_CASE("child: server with few descriptors", "[.child]") {
    const std::size_t before = open_descriptors();
    limit_descriptors(descriptor_limit);
    const int status = run_main(serve_with_few_descriptors(), {.grace = 5s});
    say("descriptors left over: " + std::to_string(open_descriptors() - before));
    leave(status);
}

// Starts its share of the connects and holds them until it is killed, which resets them.
TEST_CASE("child: load", "[.child]") {
    limit_descriptors(connects);
    const ip_endpoint where = local(child_argument());
    for (int i = 0; i < connects / load_processes; ++i) {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0 || (::connect(fd, where.data(), static_cast<socklen_t>(where.size())) != 0 && errno != EINPROGRESS)) {
            say("cannot connect number " + std::to_string(i) + ", error " + std::to_string(errno));
            leave(1);
        }
    }
    say("ALL STARTED");
    for (;;) ::pause();
}

TEST_CASE("ST-30 20 000 simultaneous connects against 256 descriptors: the server waits, recovers and leaks nothing", "[slow][flood]") {
    child srv("child: server with few descriptors");
    const std::string port = srv.line();
    {
        std::vector<child> load;
        for (int i = 0; i < load_processes; ++i) load.emplace_back("child: load", port);
        for (child& c : load) CHECK(c.line() == "ALL STARTED");
        CHECK(srv.prints("FULL"));
    } // the load processes are killed
    CHECK(srv.prints("FREE"));
    std::size_t answered = 0;
    run(ask(local(port), answered));
    CHECK(answered == 1);
    srv.signal(SIGTERM);
    CHECK(srv.prints("descriptors left over: 0"));
    CHECK(srv.wait() == "exit 143");
}

TEST_CASE("ST-30 1000 clients that each want an answer all get it from a server with 256 descriptors", "[flood]") {
    child srv("child: server with few descriptors");
    const ip_endpoint where = local(srv.line());
    std::size_t answered = 0;
    const auto clients = [&]() -> task<> {
        std::vector<task<>> all;
        for (int i = 0; i < 1000; ++i) all.push_back(ask(where, answered));
        static_cast<void>(co_await gather(std::move(all)));
    };
    run(clients());
    CHECK(answered == 1000);
    srv.signal(SIGTERM);
    CHECK(srv.prints("descriptors left over: 0"));
    CHECK(srv.wait() == "exit 143");
}

EDDY_TEST("more connects than there are ports, in waves, each reset: at once, before its answer is read or after it; nothing is left of them", "[slow][flood]") {
    constexpr int waves = 1000; // 100 000 connects
    constexpr std::size_t size = 100; // fits into the shortest queue of a listener that kernels have
    tally t;
    const auto handler = [&t](tcp_stream s) { return answer_until_reset(std::move(s), t); };
    server srv{tcp_listener::bind({"127.0.0.1", 0}), handler};
    srv.start();
    co_await testing::settle();
    const std::size_t descriptors = open_descriptors();
    const std::size_t tasks = this_loop().stats().tasks;
    const ip_endpoint where = srv.local_endpoint();
    int wrong_answers = 0;
    for (int w = 1; w <= waves; ++w) {
        co_await send_wave(where, t, size, wrong_answers);
        co_await until_count(t, t.ended, w * static_cast<int>(size));
    }
    CHECK(t.begun == 100 * waves);
    CHECK(t.ended == 100 * waves);
    CHECK(t.resets == 100 * waves);
    CHECK(t.answered == 66 * waves);
    CHECK(wrong_answers == 0);
    co_await testing::settle();
    CHECK(srv.connections() == 0);
    CHECK(open_descriptors() == descriptors);
    CHECK(this_loop().stats().tasks == tasks);
    co_await srv.shutdown(1s);
}

// What a connection costs that says nothing: bytes of the heap, beside busy ones. Larger, with the load in other processes and what
// is resident: tests/bench/idle.sh.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <malloc.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "coro/allocations.hpp"
#include "io/support.hpp"
#include "lib/left_out.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;

namespace io_test::idle {
namespace {

constexpr std::size_t idle_count = 2000;
constexpr std::size_t busy_count = 100;
constexpr std::size_t rounds = 20;
constexpr std::size_t message_size = 64;

/// What the program has from malloc and has not given back, in bytes.
std::size_t heap_bytes() {
    const struct mallinfo2 m = ::mallinfo2();
    return m.uordblks + m.hblkhd;
}

/// Ends of connections that cost no heap, so that all that is measured is the server's.
class bare_clients {
public:
    explicit bare_clients(std::size_t most) { all_.reserve(most); }
    bare_clients(const bare_clients&) = delete;
    bare_clients& operator=(const bare_clients&) = delete;
    ~bare_clients() {
        for (const int fd : all_) ::close(fd);
    }
    /// The kernel's queue takes it; the server accepts it later.
    void connect(const ip_endpoint& to) {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) throw std::system_error(errno, std::generic_category(), "a client's socket");
        all_.push_back(fd);
        if (::connect(fd, to.data(), static_cast<socklen_t>(to.size())) != 0)
            throw std::system_error(errno, std::generic_category(), "a client's connect");
    }
    [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }

private:
    std::vector<int> all_;
};

/// As the sample echo_server does it: who waits holds no buffer.
task<> echo_borrowed(tcp_stream s) {
    for (;;) {
        const borrowed_bytes got = co_await s.read_borrowed();
        if (got.empty()) co_return;
        co_await s.write(got);
    }
}

task<> connect_idle(server& srv, bare_clients& clients, std::size_t count) {
    const std::size_t before = srv.connections();
    for (std::size_t i = 1; i <= count; ++i) {
        clients.connect(srv.local_endpoint());
        if (i % 50 != 0) continue; // fewer than the queue of any listener takes
        while (srv.connections() < before + i) co_await this_task::yield();
    }
}

/// How many answers were wrong.
task<std::size_t> talk(ip_endpoint to, char letter) {
    tcp_stream s = co_await tcp_connect(to);
    buffered_reader r{s};
    const std::string message(message_size, letter);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < rounds; ++i) {
        co_await s.write(message);
        const std::string answer = co_await r.read_exactly(message_size);
        if (answer != message) ++wrong;
    }
    co_return wrong;
}

bool may_open(rlim_t n) {
    rlimit limit{};
    return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= n;
}

} // namespace

// The bound: a coroutine's frame with the stream in it, the task's and the connection's state, the descriptor's of the engine, and
// the server's entry came to 1070 bytes when this was written (a buffer of a page for each would be 4096 more), with 640 more for what
// Asio has of each descriptor. How large a frame is is the compiler's matter, so that the bounds leave a third or a fifth; a buffer, or a
// large frame, that comes back for each connection is seen.
EDDY_TEST("2 000 idle connections cost at most 1.5 KiB of heap each, with Asio 2 KiB, and 100 busy ones beside them get every answer", "[flood]") {
    if (!may_open(2 * idle_count + 500)) {
        tests::left_out("this process may not have enough descriptors");
        co_return;
    }
    bare_clients clients(idle_count + busy_count);
    server srv{tcp_listener::bind({"127.0.0.1", 0}), echo_borrowed};
    srv.start();
    co_await connect_idle(srv, clients, 50); // what the first ones need is there then
    co_await testing::settle();
    const std::size_t before = heap_bytes();
    const std::size_t rest = idle_count - clients.size();
    co_await connect_idle(srv, clients, rest);
    co_await testing::settle();
    const std::size_t each = (heap_bytes() - before) / rest;
    CHECK(srv.connections() == idle_count);
    CAPTURE(each);
    const std::size_t bound = this_loop().stats().engine == engine_kind::asio ? 2048 : 1536;
    if (allocations::counted) CHECK(each <= bound);

    std::vector<task<std::size_t>> talking;
    for (std::size_t i = 0; i < busy_count; ++i) talking.push_back(talk(srv.local_endpoint(), static_cast<char>('a' + i % 26)));
    const std::vector<std::size_t> wrong = co_await gather(std::move(talking));
    CHECK(wrong == std::vector<std::size_t>(busy_count, 0));
    co_await testing::settle();
    CHECK(srv.connections() == idle_count); // the busy ones have gone, nobody else
    co_await srv.shutdown(0s);
    CHECK(srv.connections() == 0);
}

} // namespace io_test::idle

// multicore_echo: the echo server on several cores.
//
//     multicore_echo --port N [--loops N]
//
// A loop for each core, or as many as --loops says, each on a thread of its own. Each has a socket of its own on the same port
// (SO_REUSEPORT): the kernel spreads the connections over them by a hash of the addresses, and a connection stays where it
// came in. The loops share nothing, so there is not one lock in here.
//
// Prints "PORT n" and then "READY" when all listen; N = 0 lets the kernel pick a port. Ctrl-C or SIGTERM ends it: connections
// are cancelled, and every loop says what it has done.
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <eddy/errors.hpp>
#include <eddy/loop_group.hpp>
#include <eddy/serve.hpp>
#include <eddy/tcp.hpp>

namespace {

using namespace std::chrono_literals;

struct options {
    std::uint16_t port = 0;
    std::size_t loops = 0; // one a core
};

// What one loop has done. Only its own thread writes it; it is read when that thread has ended. A line of the cache for each,
// else the cores would share one after all.
struct alignas(64) tally {
    std::size_t connections = 0;
    std::size_t bytes = 0;
};

// --- on each loop

eddy::task<> echo(eddy::tcp_stream stream, tally& done) {
    ++done.connections;
    std::array<std::byte, 16 * 1024> buffer;
    try {
        for (;;) {
            const std::size_t n = co_await stream.read_some(buffer);
            if (n == 0) break;
            co_await stream.write(std::span<const std::byte>(buffer).first(n));
            done.bytes += n;
        }
    } catch (const std::system_error&) {
        // The other side is gone in the middle of it.
    }
}

// `to_come`: the loops that do not listen yet. This atomic is all that they have in common.
eddy::task<> serve_here(std::uint16_t port, tally& done, std::atomic<std::size_t>& to_come) {
    const eddy::ip_endpoint where("0.0.0.0", port);
    eddy::tcp_listener listener = eddy::tcp_listener::bind(where, {.reuse_port = true});
    if (--to_come == 0) {
        std::printf("PORT %d\nREADY\n", int{port});
        std::fflush(stdout);
    }
    auto each = [&done](eddy::tcp_stream s) { return echo(std::move(s), done); };
    co_await eddy::serve(listener, each); // until it is cancelled
}

// --- what is around them

// The port that all will share. The kernel picks one for this socket if it is to; and since the socket does not listen, it
// gets no connections.
class shared_port {
public:
    explicit shared_port(std::uint16_t wanted) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "socket");
        const int on = 1;
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(INADDR_ANY);
        a.sin_port = htons(wanted);
        socklen_t size = sizeof a;
        const bool bound = ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                           ::setsockopt(fd_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
                           ::bind(fd_, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0 &&
                           ::getsockname(fd_, reinterpret_cast<sockaddr*>(&a), &size) == 0;
        if (!bound) {
            const int error = errno;
            ::close(fd_);
            throw std::system_error(error, std::generic_category(), "bind to 0.0.0.0:" + std::to_string(wanted));
        }
        number_ = ntohs(a.sin_port);
    }
    shared_port(const shared_port&) = delete;
    shared_port& operator=(const shared_port&) = delete;
    ~shared_port() { ::close(fd_); }
    [[nodiscard]] std::uint16_t number() const noexcept { return number_; }

private:
    int fd_;
    std::uint16_t number_ = 0;
};

// Signals are not the loops' business: no thread is interrupted by them. They wait until somebody asks for them.
sigset_t block_ending_signals() {
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGINT);
    sigaddset(&s, SIGTERM);
    const int error = ::pthread_sigmask(SIG_BLOCK, &s, nullptr);
    if (error != 0) throw std::system_error(error, std::generic_category(), "pthread_sigmask");
    return s;
}

// A thread that waits for such a signal and ends the group then. When this object goes it has ended, too.
class ends_by_signal {
public:
    ends_by_signal(eddy::loop_group& group, const sigset_t& signals)
        : thread_([&group, signals] {
              int which = 0;
              sigwait(&signals, &which);
              try {
                  group.shutdown(5s);
              } catch (const std::exception& e) {
                  std::fprintf(stderr, "multicore_echo: %s\n", e.what());
              }
          }) {}
    ends_by_signal(const ends_by_signal&) = delete;
    ends_by_signal& operator=(const ends_by_signal&) = delete;
    ~ends_by_signal() {
        ::pthread_kill(thread_.native_handle(), SIGTERM); // in case that none has come
        thread_.join();
    }

private:
    std::thread thread_;
};

int serve(const options& o) {
    const sigset_t ending = block_ending_signals(); // for all threads that are started from here on
    const shared_port port(o.port);
    std::vector<tally> tallies; // outlive the loops, as all that their tasks use
    std::atomic<std::size_t> to_come{0};
    {
        eddy::loop_group group(o.loops);
        tallies.resize(group.size());
        to_come = group.size();
        group.spawn_each([&](std::size_t i) { return serve_here(port.number(), tallies[i], to_come); });
        const ends_by_signal end(group, ending);
        group.join(); // until the shutdown, or until one of them fails: then the others are cancelled
    }
    for (std::size_t i = 0; i < tallies.size(); ++i)
        std::printf("loop %zu: %zu connections, %zu bytes\n", i, tallies[i].connections, tallies[i].bytes);
    return 0;
}

// --- the command line

template <class T>
T parse_number(std::string_view name, std::string_view text) {
    T number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size())
        throw std::invalid_argument(std::string(name) + ": '" + std::string(text) + "' is no number, or too large");
    return number;
}

options parse_options(std::span<char*> arguments) {
    options o;
    std::optional<std::uint16_t> port;
    while (!arguments.empty()) {
        const std::string_view name = arguments.front();
        if (arguments.size() < 2)
            throw std::invalid_argument("'" + std::string(name) + "' needs a value, or is no option");
        const std::string_view value = arguments[1];
        arguments = arguments.subspan(2);
        if (name == "--port")
            port = parse_number<std::uint16_t>(name, value);
        else if (name == "--loops")
            o.loops = parse_number<std::uint8_t>(name, value);
        else
            throw std::invalid_argument("there is no option '" + std::string(name) + "'");
    }
    if (!port) throw std::invalid_argument("--port is missing");
    o.port = *port;
    return o;
}

} // namespace

int main(int argc, char** argv) {
    try {
        return serve(parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1)));
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "multicore_echo: %s\nusage: multicore_echo --port N [--loops N]\n", e.what());
        return 2;
    } catch (const eddy::exception_group& e) {
        e.for_each<const std::exception>([](const std::exception& x) { std::fprintf(stderr, "multicore_echo: %s\n", x.what()); });
        return 1;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "multicore_echo: %s\n", e.what());
        return 1;
    }
}

// What idle connections take in an echo server: resident memory of the server's process, and what they cost the busy ones.
// usage: bench_idle IDLE BUSY MILLISECONDS PORT:PID
// Prints: bytes an idle connection that never spoke; bytes after each has had one message; messages/s of the busy connections
// without and with the idle ones; how often the process wakes up in a minute in which nobody speaks.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;
constexpr std::size_t message_size = 64;
constexpr auto watched = 6s; // of a minute

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

class server {
public:
    server(std::uint16_t port, int pid) : port_(port), folder_("/proc/" + std::to_string(pid)) {}
    [[nodiscard]] int connect() const {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        a.sin_port = htons(port_);
        if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0) fail("connect");
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        const linger reset{1, 0}; // nothing of it stays for the next measurement
        ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        return fd;
    }
    [[nodiscard]] double resident_bytes() const {
        std::FILE* const f = std::fopen((folder_ + "/statm").c_str(), "r");
        long all = 0;
        long resident = 0;
        if (!f || std::fscanf(f, "%ld %ld", &all, &resident) != 2) fail("statm");
        std::fclose(f);
        return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
    }
    /// How often its threads have fallen asleep.
    [[nodiscard]] long sleeps() const {
        long all = 0;
        for (const auto& thread : std::filesystem::directory_iterator(folder_ + "/task")) {
            std::ifstream status(thread.path() / "status");
            for (std::string line; std::getline(status, line);) {
                if (line.starts_with("voluntary_ctxt_switches:")) all += std::stol(line.substr(24));
            }
        }
        return all;
    }
    [[nodiscard]] std::size_t descriptors() const {
        std::size_t n = 0;
        for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(folder_ + "/fd")) ++n;
        return n;
    }
    void wait_for_descriptors(std::size_t n) const {
        const auto patience = clock_type::now() + 60s;
        while (descriptors() < n) {
            if (clock_type::now() > patience) fail("the server does not accept");
            std::this_thread::sleep_for(20ms);
        }
        std::this_thread::sleep_for(200ms); // and has gone back to waiting
    }

private:
    std::uint16_t port_;
    std::string folder_;
};

void send_message(int fd) {
    const std::array<char, message_size> message{};
    if (::send(fd, message.data(), message.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(message.size())) fail("send");
}

/// Ping-pong on all of them for that long; messages a second.
double turn(const std::vector<int>& sockets, std::chrono::milliseconds length) {
    const int set = ::epoll_create1(EPOLL_CLOEXEC);
    std::vector<std::size_t> received(sockets.size(), 0);
    for (std::size_t i = 0; i < sockets.size(); ++i) {
        epoll_event e{};
        e.events = EPOLLIN;
        e.data.u64 = i;
        if (::epoll_ctl(set, EPOLL_CTL_ADD, sockets[i], &e) != 0) fail("epoll_ctl");
        send_message(sockets[i]);
    }
    const auto start = clock_type::now();
    std::size_t open = sockets.size();
    std::uint64_t messages = 0;
    std::array<epoll_event, 256> events{};
    std::array<char, 4096> buffer{};
    while (open > 0) {
        const int n = ::epoll_wait(set, events.data(), static_cast<int>(events.size()), 10'000);
        if (n <= 0) fail("the server does not answer");
        const bool over = clock_type::now() >= start + length;
        for (int i = 0; i < n; ++i) {
            const std::size_t c = events[static_cast<std::size_t>(i)].data.u64;
            const ssize_t got = ::recv(sockets[c], buffer.data(), buffer.size(), MSG_DONTWAIT);
            if (got <= 0) fail("recv");
            received[c] += static_cast<std::size_t>(got);
            if (received[c] < message_size) continue;
            received[c] = 0;
            ++messages;
            if (over)
                --open;
            else
                send_message(sockets[c]);
        }
    }
    ::close(set);
    return static_cast<double>(messages) / std::chrono::duration<double>(clock_type::now() - start).count();
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 5) {
        std::fprintf(stderr, "usage: %s IDLE BUSY MILLISECONDS PORT:PID\n", argv[0]);
        return 2;
    }
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    const auto idle_count = static_cast<std::size_t>(std::atol(argv[1]));
    const auto busy_count = static_cast<std::size_t>(std::atol(argv[2]));
    const std::chrono::milliseconds length(std::atoi(argv[3]));
    char* rest = nullptr;
    const auto port = static_cast<std::uint16_t>(std::strtol(argv[4], &rest, 10));
    if (*rest != ':') fail("PORT:PID");
    const server s(port, std::atoi(rest + 1));

    const std::size_t before = s.descriptors();
    std::vector<int> busy;
    for (std::size_t i = 0; i < busy_count; ++i) busy.push_back(s.connect());
    s.wait_for_descriptors(before + busy_count);
    static_cast<void>(turn(busy, length)); // warms up
    const double alone = turn(busy, length);
    const double with_busy = s.resident_bytes();

    std::vector<int> idle;
    for (std::size_t i = 0; i < idle_count; ++i) idle.push_back(s.connect());
    s.wait_for_descriptors(before + busy_count + idle_count);
    const double with_idle = s.resident_bytes();
    const double beside_idle = turn(busy, length);
    static_cast<void>(turn(idle, 0ms)); // one message each: they are all still there
    const double after_message = s.resident_bytes();

    const long sleeps = s.sleeps();
    std::this_thread::sleep_for(watched);
    const auto wake_ups = static_cast<double>(s.sleeps() - sleeps) * (60s / watched);

    const auto each = [&](double bytes) { return (bytes - with_busy) / static_cast<double>(idle_count); };
    std::printf("%.0f %.0f %.0f %.0f %.0f\n", each(with_idle), each(after_message), alone, beside_idle, wake_ups);
}

// Ping-pong load for the echo servers: N connections, each sends SIZE bytes and waits for them to come back.
// usage: bench_load CONNECTIONS SIZE MILLISECONDS PORT:PID...     One line a server: messages/s, server CPU us/message, the
// ratios of both to the first server, p50 and p99 of a round in us, and how many messages there were in all.
// All servers are up at once and take short turns in a changing order, so that drift of the machine hits them alike.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace {

using clock_type = std::chrono::steady_clock;
constexpr int turns = 15;

struct server {
    std::uint16_t port = 0;
    int pid = 0;
    int epoll = -1;
    std::vector<int> sockets;
    std::vector<std::size_t> received;
    std::vector<clock_type::time_point> sent;
    std::vector<float> rounds; // microseconds
    std::vector<double> rates;
    std::vector<double> cpu;
    std::uint64_t messages = 0; // with those of the turn that warms up
};

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

/// Of all its threads.
double cpu_microseconds(int pid) {
    double all = 0;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
        std::array<char, 512> text{};
        std::FILE* f = std::fopen((thread.path() / "schedstat").c_str(), "r");
        if (!f) continue; // it has ended
        if (std::fgets(text.data(), static_cast<int>(text.size()), f)) all += static_cast<double>(std::strtoull(text.data(), nullptr, 10)) / 1e3;
        std::fclose(f);
    }
    return all;
}

void connect_all(server& s, std::size_t connections) {
    s.epoll = ::epoll_create1(EPOLL_CLOEXEC);
    s.received.assign(connections, 0);
    s.sent.assign(connections, {});
    for (std::size_t i = 0; i < connections; ++i) {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        a.sin_port = htons(s.port);
        if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0) fail("connect");
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_event e{};
        e.events = EPOLLIN;
        e.data.u64 = i;
        ::epoll_ctl(s.epoll, EPOLL_CTL_ADD, fd, &e);
        s.sockets.push_back(fd);
    }
}

void turn(server& s, const std::vector<char>& message, std::chrono::milliseconds length, std::vector<char>& buffer) {
    std::array<epoll_event, 256> events{};
    const double cpu = cpu_microseconds(s.pid);
    const auto start = clock_type::now();
    const auto end = start + length;
    std::size_t open = s.sockets.size();
    std::uint64_t messages = 0;
    const auto send_one = [&](std::size_t c, clock_type::time_point now) {
        s.sent[c] = now;
        if (::send(s.sockets[c], message.data(), message.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(message.size())) fail("send");
    };
    for (std::size_t c = 0; c < open; ++c) send_one(c, clock_type::now());
    while (open > 0) {
        const int n = ::epoll_wait(s.epoll, events.data(), static_cast<int>(events.size()), 5000);
        if (n <= 0) fail("a server does not answer");
        const bool over = clock_type::now() >= end;
        for (int i = 0; i < n; ++i) {
            const std::size_t c = events[static_cast<std::size_t>(i)].data.u64;
            const ssize_t got = ::recv(s.sockets[c], buffer.data(), buffer.size(), MSG_DONTWAIT);
            if (got <= 0) fail("recv");
            s.received[c] += static_cast<std::size_t>(got);
            if (s.received[c] < message.size()) continue;
            s.received[c] = 0;
            ++messages;
            const auto now = clock_type::now();
            s.rounds.push_back(std::chrono::duration<float, std::micro>(now - s.sent[c]).count());
            if (over)
                --open;
            else
                send_one(c, now);
        }
    }
    s.messages += messages;
    const double seconds = std::chrono::duration<double>(clock_type::now() - start).count();
    s.rates.push_back(static_cast<double>(messages) / seconds);
    s.cpu.push_back((cpu_microseconds(s.pid) - cpu) / static_cast<double>(messages));
}

float quantile(std::vector<float>& v, double q) {
    const auto at = v.begin() + static_cast<std::ptrdiff_t>(static_cast<double>(v.size() - 1) * q);
    std::nth_element(v.begin(), at, v.end());
    return *at;
}

double median(std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 5) {
        std::fprintf(stderr, "usage: %s CONNECTIONS SIZE MILLISECONDS PORT:PID...\n", argv[0]);
        return 2;
    }
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    const auto connections = static_cast<std::size_t>(std::atoi(argv[1]));
    const std::vector<char> message(static_cast<std::size_t>(std::atoi(argv[2])), 'x');
    const std::chrono::milliseconds length(std::atoi(argv[3]));
    std::vector<char> buffer(64 * 1024);
    std::vector<server> servers;
    for (int i = 4; i < argc; ++i) {
        server s;
        char* rest = nullptr;
        s.port = static_cast<std::uint16_t>(std::strtol(argv[i], &rest, 10));
        s.pid = std::atoi(rest + 1);
        connect_all(s, connections);
        servers.push_back(std::move(s));
    }
    std::vector<std::size_t> order(servers.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::mt19937 random(1);
    for (int t = 0; t <= turns; ++t) {
        std::shuffle(order.begin(), order.end(), random);
        for (const std::size_t i : order) turn(servers[i], message, length, buffer);
        if (t == 0) { // the first turn warms up
            for (server& s : servers) {
                s.rates.clear();
                s.cpu.clear();
                s.rounds.clear();
            }
        }
    }
    for (server& s : servers) {
        std::vector<double> rate_ratio;
        std::vector<double> cpu_ratio;
        for (std::size_t t = 0; t < s.rates.size(); ++t) { // against the first server's turn of the same cycle
            rate_ratio.push_back(s.rates[t] / servers[0].rates[t]);
            cpu_ratio.push_back(s.cpu[t] / servers[0].cpu[t]);
        }
        std::printf("%.0f %.2f %.2f %.2f %.0f %.0f %llu\n", median(s.rates), median(s.cpu), median(rate_ratio), median(cpu_ratio),
                    static_cast<double>(quantile(s.rounds, .5)), static_cast<double>(quantile(s.rounds, .99)),
                    static_cast<unsigned long long>(s.messages));
    }
}

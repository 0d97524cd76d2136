// The same echo on a bare io_uring: receives that stay armed and take buffers from a ring of them, a send from the same buffer.
// usage: bench_peer_uring_echo PORT
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <vector>

namespace {

constexpr unsigned buffers = 1024; // a power of two
constexpr unsigned buffer_size = 16384;
constexpr int receive_group = 0;

enum class step : unsigned { accept, receive, send };

struct filled {
    unsigned buffer;
    unsigned size;
};
/// One connection: what it has received goes out in that order, one send at a time.
struct connection {
    std::deque<filled> out;
    bool over = false;  // the peer has closed, or an error came
    bool armed = false; // a receive is in the kernel
};

io_uring ring;
io_uring_buf_ring* free_buffers = nullptr;
std::vector<char> memory(std::size_t{buffers} * buffer_size);
std::vector<connection> connections; // by descriptor

io_uring_sqe* entry() {
    io_uring_sqe* e = io_uring_get_sqe(&ring);
    if (!e) {
        io_uring_submit(&ring);
        e = io_uring_get_sqe(&ring);
    }
    return e;
}
// After io_uring_prep_…, which may clear it.
void tag(io_uring_sqe* e, step s, int fd) {
    e->user_data = static_cast<std::uint64_t>(s) << 32 | static_cast<unsigned>(fd);
}

void accept_on(int listener) {
    io_uring_sqe* const e = entry();
    io_uring_prep_multishot_accept(e, listener, nullptr, nullptr, SOCK_CLOEXEC);
    tag(e, step::accept, listener);
}
void receive_on(int fd) {
    io_uring_sqe* const e = entry();
    io_uring_prep_recv_multishot(e, fd, nullptr, 0, 0);
    e->flags |= IOSQE_BUFFER_SELECT;
    e->buf_group = receive_group;
    tag(e, step::receive, fd);
    connections[static_cast<std::size_t>(fd)].armed = true;
}
void send_next(int fd, const filled& f) {
    io_uring_sqe* const e = entry();
    io_uring_prep_send(e, fd, memory.data() + std::size_t{f.buffer} * buffer_size, f.size, MSG_WAITALL | MSG_NOSIGNAL);
    tag(e, step::send, fd);
}
void give_back(unsigned buffer) {
    io_uring_buf_ring_add(free_buffers, memory.data() + std::size_t{buffer} * buffer_size, buffer_size, static_cast<unsigned short>(buffer),
                          io_uring_buf_ring_mask(buffers), 0);
    io_uring_buf_ring_advance(free_buffers, 1);
}
void close_if_over(int fd, connection& c) {
    if (c.over && !c.armed && c.out.empty()) ::close(fd);
}

void accepted(int fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connections.size() <= static_cast<std::size_t>(fd)) connections.resize(2 * static_cast<std::size_t>(fd) + 1);
    connections[static_cast<std::size_t>(fd)] = {};
    receive_on(fd);
}
void received(int fd, int result, unsigned flags) {
    connection& c = connections[static_cast<std::size_t>(fd)];
    c.armed = (flags & IORING_CQE_F_MORE) != 0;
    if (result > 0) {
        c.out.push_back({flags >> IORING_CQE_BUFFER_SHIFT, static_cast<unsigned>(result)});
        if (c.out.size() == 1) send_next(fd, c.out.front());
    } else if (result != -ENOBUFS) { // all buffers are on their way out: it asks again
        c.over = true;
    }
    if (!c.armed && !c.over) receive_on(fd);
    close_if_over(fd, c);
}
void sent(int fd, int result) {
    connection& c = connections[static_cast<std::size_t>(fd)];
    if (result < 0) c.over = true;
    give_back(c.out.front().buffer);
    c.out.pop_front();
    if (c.over) {
        for (const filled& f : c.out) give_back(f.buffer);
        c.out.clear();
    } else if (!c.out.empty()) {
        send_next(fd, c.out.front());
    }
    close_if_over(fd, c);
}

int listen_on(int port) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    const bool listens = ::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && ::listen(listener, 4096) == 0;
    return listens ? listener : -1;
}

int set_up() {
    io_uring_params p{};
    p.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
    p.cq_entries = 16384;
    if (const int r = io_uring_queue_init_params(2048, &ring, &p); r < 0) return r;
    io_uring_register_ring_fd(&ring);
    free_buffers = static_cast<io_uring_buf_ring*>(std::aligned_alloc(4096, (buffers * sizeof(io_uring_buf) + 4095) / 4096 * 4096));
    io_uring_buf_reg reg{};
    reg.ring_addr = reinterpret_cast<std::uintptr_t>(free_buffers);
    reg.ring_entries = buffers;
    reg.bgid = receive_group;
    if (const int r = io_uring_register_buf_ring(&ring, &reg, 0); r < 0) return r;
    io_uring_buf_ring_init(free_buffers);
    for (unsigned i = 0; i < buffers; ++i) give_back(i);
    return 0;
}

void completed(const io_uring_cqe& c) {
    const auto what = static_cast<step>(c.user_data >> 32);
    const int fd = static_cast<int>(c.user_data & 0xffffffff);
    switch (what) {
    case step::accept:
        if (c.res >= 0) accepted(c.res);
        if ((c.flags & IORING_CQE_F_MORE) == 0) accept_on(fd);
        break;
    case step::receive: received(fd, c.res, c.flags); break;
    case step::send: sent(fd, c.res); break;
    }
}

} // namespace

int main(int argc, char** argv) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    const int listener = listen_on(argc > 1 ? std::atoi(argv[1]) : 9000);
    if (listener < 0) {
        std::perror("bench_peer_uring_echo");
        return 1;
    }
    if (const int r = set_up(); r < 0) {
        std::fprintf(stderr, "bench_peer_uring_echo: io_uring: %s\n", std::strerror(-r));
        return 1;
    }
    accept_on(listener);
    std::puts("READY");
    std::fflush(stdout);
    for (;;) {
        const int r = io_uring_submit_and_wait(&ring, 1);
        if (r < 0 && r != -EINTR && r != -EBUSY) return 1;
        io_uring_cqe* c = nullptr;
        unsigned head = 0;
        unsigned n = 0;
        io_uring_for_each_cqe(&ring, head, c) {
            ++n;
            completed(*c);
        }
        io_uring_cq_advance(&ring, n);
    }
}

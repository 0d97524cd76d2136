// The same reads as bench_file on a bare io_uring.  usage: bench_peer_uring_file FILE
#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <vector>

#include "file_rows.hpp"

namespace {

io_uring ring;

void start(std::vector<char>& room, std::uint64_t offset) {
    io_uring_sqe* const s = io_uring_get_sqe(&ring); // never full: twice as long as what is out at a time
    io_uring_prep_read(s, 0, room.data(), static_cast<unsigned>(room.size()), offset);
    s->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data(s, &room);
}

/// Submits what was started and waits; `came` is called for each that is complete.
template <class F>
void wait_for_some(F came) {
    io_uring_submit_and_wait(&ring, 1);
    io_uring_cqe* c = nullptr;
    unsigned head = 0;
    unsigned n = 0;
    io_uring_for_each_cqe(&ring, head, c) {
        ++n;
        auto& room = *static_cast<std::vector<char>*>(io_uring_cqe_get_data(c));
        bench::require_read(c->res, room.size());
        came(room);
    }
    io_uring_cq_advance(&ring, n);
}

void sequential() {
    std::vector<char> room(bench::chunk);
    const bench::file_rows rows;
    for (std::size_t i = 0; i < bench::chunks; ++i) {
        start(room, i * bench::chunk);
        wait_for_some([](std::vector<char>&) {});
    }
    rows.sequential_done();
}

void at_random() {
    std::array<std::vector<char>, bench::depth> rooms;
    bench::offsets where;
    const bench::file_rows rows;
    for (std::vector<char>& room : rooms) {
        room.resize(bench::block);
        start(room, where.next());
    }
    std::size_t begun = bench::depth;
    for (std::size_t came = 0; came < bench::reads;) {
        wait_for_some([&](std::vector<char>& room) {
            ++came;
            if (begun == bench::reads) return;
            ++begun;
            start(room, where.next());
        });
    }
    rows.random_done();
}

} // namespace

int main(int argc, char** argv) {
    const int fd = argc > 1 ? ::open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        std::perror(argc > 1 ? argv[1] : "usage: bench_peer_uring_file FILE");
        return 1;
    }
    int r = io_uring_queue_init(2 * bench::depth, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    if (r == -EINVAL) r = io_uring_queue_init(2 * bench::depth, &ring, 0); // a kernel before 6.1
    if (r == 0) r = io_uring_register_files(&ring, &fd, 1);
    if (r < 0) {
        std::fprintf(stderr, "io_uring: %s\n", std::strerror(-r));
        return 1;
    }
    sequential();
    at_random();
    io_uring_queue_exit(&ring);
    ::close(fd);
}

// The same reads as bench_file in a bare loop of pread(2): what the kernel's page cache costs.  usage: bench_peer_pread FILE
#include <fcntl.h>
#include <unistd.h>

#include <vector>

#include "file_rows.hpp"

namespace {

void read_at(int fd, std::uint64_t offset, char* to, std::size_t n) {
    bench::require_read(::pread(fd, to, n, static_cast<off_t>(offset)), n);
}

} // namespace

int main(int argc, char** argv) {
    const int fd = argc > 1 ? ::open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        std::perror(argc > 1 ? argv[1] : "usage: bench_peer_pread FILE");
        return 1;
    }
    std::vector<char> room(bench::chunk);
    {
        const bench::file_rows rows;
        for (std::size_t i = 0; i < bench::chunks; ++i) read_at(fd, i * bench::chunk, room.data(), bench::chunk);
        rows.sequential_done();
    }
    bench::offsets where;
    const bench::file_rows rows;
    for (std::size_t i = 0; i < bench::reads; ++i) read_at(fd, where.next(), room.data(), bench::block);
    rows.random_done();
    ::close(fd);
}

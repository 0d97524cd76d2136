// The same reads as bench_file in a bare loop of pread(2): what the kernel's page cache costs.  usage: bench_peer_pread FILE
#include <fcntl.h>
#include <unistd.h>

#include <vector>

#include "file_rows.hpp"

int main(int argc, char** argv) {
    const int fd = argc > 1 ? ::open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        std::perror(argc > 1 ? argv[1] : "usage: bench_peer_pread FILE");
        return 1;
    }
    std::vector<char> room(bench::chunk);
    {
        const bench::file_rows rows;
        for (std::size_t i = 0; i < bench::chunks; ++i) bench::require_read(::pread(fd, room.data(), bench::chunk, static_cast<off_t>(i * bench::chunk)), bench::chunk);
        rows.sequential_done();
    }
    bench::offsets where;
    const bench::file_rows rows;
    for (std::size_t i = 0; i < bench::reads; ++i) bench::require_read(::pread(fd, room.data(), bench::block, static_cast<off_t>(where.next())), bench::block);
    rows.random_done();
    ::close(fd);
}

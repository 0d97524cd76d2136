// The same reads as bench_file with libuv's uv_fs_read, on its own threads.  usage: bench_peer_uv_file FILE
#include <fcntl.h>
#include <uv.h>

#include <array>
#include <vector>

#include "file_rows.hpp"

namespace {

uv_loop_t* loop = nullptr;
uv_file fd = -1;
bench::offsets where;
std::size_t begun = 0;

struct reading {
    uv_fs_t request{};
    std::vector<char> room;

    void start(std::uint64_t offset, uv_fs_cb done) {
        ++begun;
        request.data = this;
        const uv_buf_t b = uv_buf_init(room.data(), static_cast<unsigned>(room.size()));
        uv_fs_read(loop, &request, fd, &b, 1, static_cast<std::int64_t>(offset), done);
    }
};

reading& finished(uv_fs_t* r) {
    auto& self = *static_cast<reading*>(r->data);
    bench::require_read(r->result, self.room.size());
    uv_fs_req_cleanup(r);
    return self;
}
void chunk_came(uv_fs_t* r) {
    reading& self = finished(r);
    if (begun < bench::chunks) self.start(begun * bench::chunk, chunk_came);
}
void block_came(uv_fs_t* r) {
    reading& self = finished(r);
    if (begun < bench::reads) self.start(where.next(), block_came);
}

} // namespace

int main(int argc, char** argv) {
    loop = uv_default_loop();
    uv_fs_t opening;
    fd = uv_fs_open(loop, &opening, argc > 1 ? argv[1] : "", O_RDONLY, 0, nullptr);
    if (fd < 0) {
        std::fprintf(stderr, "usage: %s FILE (%s)\n", argv[0], uv_strerror(fd));
        return 1;
    }
    reading chunks;
    chunks.room.resize(bench::chunk);
    {
        const bench::file_rows rows;
        chunks.start(0, chunk_came);
        uv_run(loop, UV_RUN_DEFAULT);
        rows.sequential_done();
    }
    std::array<reading, bench::depth> blocks;
    for (reading& b : blocks) b.room.resize(bench::block);
    begun = 0;
    const bench::file_rows rows;
    for (reading& b : blocks) b.start(where.next(), block_came);
    uv_run(loop, UV_RUN_DEFAULT);
    rows.random_done();
}

// A file of 1 GiB in the page cache: in chunks of 64 KiB one after the other, then blocks of 4 KiB at random, 32 at a time.
// usage: bench_file FILE [--engine native|asio]      Prints: MB/s and CPU µs a chunk; reads/s and CPU µs a read.
#include <cstdio>
#include <vector>

#include <eddy/eddy.hpp>

#include "engine_argument.hpp"
#include "file_rows.hpp"

using namespace eddy;

namespace {

task<> sequential(file& f) {
    std::vector<std::byte> room(bench::chunk);
    const bench::file_rows rows;
    for (std::size_t i = 0; i < bench::chunks; ++i) {
        const std::size_t n = co_await f.read(room);
        bench::require_read(static_cast<long long>(n), bench::chunk);
    }
    rows.sequential_done();
}

struct random_reads {
    bench::offsets where;
    std::size_t begun = 0;
};

task<> reader(file& f, random_reads& all) {
    std::vector<std::byte> room(bench::block);
    while (all.begun < bench::reads) {
        ++all.begun;
        const std::size_t n = co_await f.read_at(all.where.next(), room);
        bench::require_read(static_cast<long long>(n), bench::block);
    }
}

task<> at_random(file& f) {
    random_reads all;
    const bench::file_rows rows;
    co_await with_task_group([&](task_group& g) -> task<> {
        for (std::size_t i = 0; i < bench::depth; ++i) g.spawn(reader(f, all));
        co_return;
    });
    rows.random_done();
}

task<> both(std::string path) {
    file f = co_await file::open(std::move(path));
    co_await sequential(f);
    co_await at_random(f);
    co_await f.close();
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s FILE [--engine native|asio]\n", argv[0]);
        return 2;
    }
    run_options options;
    options.engine = bench::engine_argument(argc, argv, 2);
    return run_main(both(argv[1]), options);
}

// download: a download manager.
//
//     download [option…] URL [--sha256 HEX] [URL [--sha256 HEX]]…
//         --directory D      where the files go (default: here)
//         --parallel N       how many at a time (4)
//         --piece BYTES      how much is asked for at once (1048576)
//         --max-whole BYTES  the most that a server may send in one answer (67108864); see below
//         --attempts N       for each piece (5); in between pauses, from --pause MS (500) on, each twice as long
//         --timeout S        for each piece (60)
//
// Each file is fetched in pieces, by Range requests, into NAME.part, and gets its name when it is complete, on the disk
// and, if its checksum was given, found right: whoever looks sees all of it or nothing. What is broken off, by an error
// or by Ctrl-C, is taken up again by the next call, if the server confirms that the file is still the same one
// (If-Range; the server's mark of it is kept in NAME.part.info).
//
// The HTTP client gives whole bodies. Pieces are what bounds the memory that takes: --parallel times --piece. A server
// that knows no ranges, or no mark to tell versions of a file by, sends it whole; then --max-whole is the bound, and
// there is no resuming.
//
// On a terminal there is a bar for each file, else a line when something happens. In the end there is a line for each
// file, its checksum first, as sha256sum has it. Exit status: 0 if all files are there, 1 if not, 130 after Ctrl-C.
//
// The heart of it is downloader.cpp; part_file.hpp says what is on the disk when it is broken off.
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <span>
#include <stdexcept>

#include <fmt/format.h>

#include <eddy/run.hpp>
#include <eddy/task_group.hpp>
#include <eddy/with_cleanup.hpp>

#include "display.hpp"
#include "downloader.hpp"
#include "options.hpp"

namespace {

using namespace download_manager;

eddy::task<int> download_all(options& o) {
    display shown(o.jobs, isatty(STDOUT_FILENO) != 0);
    downloader d(o, shown);
    auto work = [&]() -> eddy::task<> {
        co_await eddy::with_task_group([&](eddy::task_group& g) -> eddy::task<> {
            g.spawn(shown.run());
            co_await d.run();
            g.cancel("all is done");
        });
    };
    auto tell = [&]() -> eddy::task<> { // also after Ctrl-C; then all tasks have ended before
        shown.erase();
        print_summary(o.jobs);
        co_return;
    };
    co_await eddy::with_cleanup(work, tell);
    const bool all =
        std::all_of(o.jobs.begin(), o.jobs.end(), [](const job& j) { return j.state == job::phase::done; });
    co_return all ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
    try {
        options o = parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
        return eddy::run_main(download_all(o));
    } catch (const std::invalid_argument& e) {
        fmt::print(stderr, "download: {}\n{}", e.what(), usage);
        return 2;
    }
}

// thumbnails: makes PNG pictures smaller: on the loop, on threads, in processes, as jobs.
//
//     thumbnails [--scale loop|threads|processes|jobs|all] [--width N] [--workers N] [--timeout SECONDS] [--url URL] IN_DIR OUT_DIR
//     thumbnails --make N [--size PIXELS] DIR                       N pictures to try it with
//
//     thumbnails --make 48 pictures && thumbnails pictures small    all scales, one after the other, and a table of their times
//
// `make_thumbnail` (thumbnail.hpp) is a plain function, and handed to `background` with the same options at each scale: tried again
// if that may help, so long at most, so many at a time, telling how far it is. What differs is the first argument, in `at_scale`
// below. A picture that is damaged is named on stderr, the others are made, and the exit status is 1. Ctrl-C ends it; what
// lies in OUT_DIR then is whole. With `all`, OUT_DIR gets a folder for each scale.
//
// `--url` says where jobs are queued: memory:, sqlite:FILE or redis://HOST:PORT/DB.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <eddy/background.hpp>
#include <eddy/errors.hpp>
#include <eddy/jobs.hpp>
#include <eddy/process_pool.hpp>
#include <eddy/run.hpp>
#include <eddy/task_group.hpp>
#include <eddy/worker_pool.hpp>

#include "batch.hpp"
#include "options.hpp"
#include "test_pictures.hpp"

namespace {

using namespace thumbnails;
namespace files = std::filesystem;

constexpr const char* job_name = "thumbnails.make";

/// A worker beside its client, in one program; there may be others elsewhere. The job itself is a call of `background` again, on
/// threads: a job that is revoked is cancelled, and its thread waited for.
eddy::task<batch_result> as_jobs(const std::string& url, const batch& b, progress_board& board) {
    eddy::worker_pool threads(b.at_a_time);
    eddy::jobs::worker worker(url, {.queues = {"thumbnails"}, .concurrency = b.at_a_time});
    worker.add(job_name, [&threads](std::string from, std::string to, std::uint32_t width) {
        return eddy::background(eddy::on_pool(threads), make_thumbnail, std::move(from), std::move(to), width);
    });
    batch_result result;
    auto both = [&](eddy::task_group& g) -> eddy::task<> {
        auto serving = g.spawn(worker.serve(), {.name = "worker"});
        co_await worker.wait_ready();
        eddy::jobs::client client = co_await eddy::jobs::connect(url, {.queue = "thumbnails"});
        result = co_await make_thumbnails(eddy::jobs::on_jobs(client, job_name), b, board);
        worker.shutdown();
        co_await serving.join();
    };
    co_await eddy::with_task_group(both);
    co_return result;
}

eddy::task<batch_result> in_processes(const batch& b, progress_board& board) {
    eddy::process_pool processes(b.at_a_time);
    co_await processes.start(); // the time to fork them is not a picture's
    batch_result result = co_await make_thumbnails(eddy::on_processes(processes), b, board);
    co_await processes.close();
    co_return result;
}

eddy::task<batch_result> on_threads(const batch& b, progress_board& board) {
    eddy::worker_pool threads(b.at_a_time);
    co_return co_await make_thumbnails(eddy::on_pool(threads), b, board);
}

eddy::task<batch_result> at_scale(const options& o, const batch& b, progress_board& board) {
    if (b.scale == "loop") return make_thumbnails(eddy::on_loop, b, board);
    if (b.scale == "threads") return on_threads(b, board);
    if (b.scale == "processes") return in_processes(b, board);
    return as_jobs(o.url, b, board);
}

std::vector<std::string> picture_names(const std::string& folder) {
    std::vector<std::string> names;
    for (const files::directory_entry& entry : files::directory_iterator(folder)) {
        std::error_code unknown; // a link that leads nowhere is a picture that cannot be opened
        const files::file_type type = entry.status(unknown).type();
        if (entry.path().extension() == ".png" && (type == files::file_type::regular || type == files::file_type::not_found)) names.push_back(entry.path().filename().string());
    }
    if (names.empty()) throw std::runtime_error("there is no .png file in '" + folder + "'");
    std::sort(names.begin(), names.end());
    return names;
}

batch plan(const options& o, const std::vector<std::string>& names, const std::string& scale) {
    batch b{.scale = scale, .files = {}, .width = o.width, .at_a_time = o.workers, .timeout = o.timeout};
    const files::path to = o.scales.size() == 1 ? files::path(o.to) : files::path(o.to) / scale;
    files::create_directories(to);
    for (const std::string& name : names) {
        const files::path from = files::path(o.from) / name;
        b.files.push_back({b.files.size(), from.string(), files::absolute(from).string(), files::absolute(to / name).string()});
    }
    return b;
}

void print_table(const std::vector<batch_result>& results) {
    std::printf("%-10s %7s %7s %9s %9s %9s\n", "scale", "images", "failed", "wall ms", "images/s", "Mpixel/s");
    for (const batch_result& r : results) {
        const double seconds = std::max(std::chrono::duration<double>(r.took).count(), 1e-6);
        std::printf("%-10s %7zu %7zu %9.0f %9.1f %9.1f\n", r.scale.c_str(), r.done, r.failed, 1000 * seconds, static_cast<double>(r.done) / seconds,
                    static_cast<double>(r.pixels) / 1e6 / seconds);
    }
}

eddy::task<int> make_all(options o) {
    std::vector<batch_result> results;
    try {
        const std::vector<std::string> names = picture_names(o.from);
        progress_board board;
        for (const std::string& scale : o.scales) {
            const batch b = plan(o, names, scale);
            batch_result r = co_await at_scale(o, b, board);
            results.push_back(std::move(r));
        }
    } catch (const eddy::exception_group& failures) {
        failures.rethrow_if_single(); // its words are better than those of the group
        throw;
    }
    print_table(results);
    co_return std::all_of(results.begin(), results.end(), [](const batch_result& r) { return r.failed == 0; }) ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
    try {
        const options o = parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
        if (o.make == 0) return eddy::run_main(make_all(o));
        make_test_pictures(o.to, o.make, o.size);
        return 0;
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr,
                     "thumbnails: %s\nusage: thumbnails [--scale loop|threads|processes|jobs|all] [--width N] [--workers N] [--timeout SECONDS] [--url URL] IN_DIR OUT_DIR\n"
                     "       thumbnails --make N [--size PIXELS] DIR\n",
                     e.what());
        return 2;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "thumbnails: %s\n", e.what());
        return 1;
    }
}

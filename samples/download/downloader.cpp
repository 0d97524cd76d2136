#include "downloader.hpp"

#include <chrono>
#include <exception>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <eddy/offload.hpp>
#include <eddy/retry.hpp>
#include <eddy/task_group.hpp>

#include "sha256.hpp"

namespace download_manager {

using namespace std::chrono_literals;

namespace {

http::client_options client_options(const options& o) {
    http::client_options result;
    result.timeout = o.timeout;
    result.max_body = o.max_whole;
    result.max_connections = 0; // there are as many requests as places
    result.compression = false; // ranges count the bytes of the file, and so do we
    result.user_agent = "eddy-download/1.0";
    return result;
}

} // namespace

downloader::downloader(options& o, display& d) : options_(o), display_(d), client_(client_options(o)), places_(o.parallel) {}

eddy::task<> downloader::run() {
    co_await eddy::with_task_group([&](eddy::task_group& g) -> eddy::task<> {
        for (job& j : options_.jobs) g.spawn(run_one(j));
        co_return;
    });
}

eddy::task<> downloader::run_one(job& j) {
    const eddy::semaphore_permit place = co_await places_.acquire();
    j.state = job::phase::running;
    j.started = eddy::loop_clock::now();
    std::string failure;
    try {
        co_await download(j);
        j.state = job::phase::done;
        display_.line(j, fmt::format("done, {} bytes", j.have));
    } catch (const std::exception& e) { // not a cancellation: what that leaves is a part, for the next time
        j.state = job::phase::failed;
        failure = e.what();
    }
    if (j.state == job::phase::failed) display_.line(j, "failed: " + failure);
}

eddy::task<> downloader::download(job& j) {
    part_file part = co_await part_file::open(j.path);
    const part_file::remains found = co_await part.look(j.url);
    j.have = j.resumed_at = found.size;
    if (found.size > 0) display_.line(j, fmt::format("goes on at byte {}", found.size));
    co_await transfer(j, part, found.mark);

    j.state = job::phase::checking;
    j.digest = co_await eddy::offload(checksum, part.descriptor());
    if (j.expected && *j.expected != j.digest) {
        co_await part.clear(); // there is nothing in it to go on with
        throw std::runtime_error(fmt::format("its SHA-256 is {}, expected {}", j.digest, *j.expected));
    }
    co_await part.finish(j.path);
}

eddy::task<> downloader::transfer(job& j, part_file& part, std::string mark) {
    bool in_pieces = true;
    for (int restarts = 0; restarts < 4;) {
        std::optional<http::response> r = co_await ask(j, in_pieces, mark);
        if (r && r->status == 206 && in_pieces) {
            const std::optional<content_range> range = parse_content_range(r->header("Content-Range"));
            if (!range || range->first != j.have || range->last - range->first + 1 != r->body.size())
                throw std::runtime_error(fmt::format("{} answered with another part than was asked for", r->url));
            const std::string its_mark = version_mark(*r);
            if (j.have == 0 && its_mark.empty()) { // its parts might be those of different files
                in_pieces = false;
                continue;
            }
            const bool same = (its_mark.empty() || its_mark == mark) && (!j.total || *j.total == range->total);
            if (j.have == 0 || same) {
                if (j.have == 0) co_await part.begin(j.url, its_mark);
                if (j.have == 0) mark = its_mark;
                co_await part.write_at(j.have, r->body);
                j.have += r->body.size();
                j.total = range->total;
                if (j.have == j.total) co_return;
                continue;
            }
        } else if (r && r->status == 416 && in_pieces) {
            if (j.have > 0 && r->header("Content-Range") == fmt::format("bytes */{}", j.have))
                co_return;     // it was complete
            if (j.have == 0) { // there is nothing in it to ask a part of
                in_pieces = false;
                continue;
            }
        } else if (r && r->status == 200) { // no ranges here, or the file is another one now
            co_await part.clear();
            co_await part.write_at(0, r->body);
            j.have = r->body.size();
            j.total = j.have;
            j.resumed_at = 0;
            co_return;
        } else if (r) {
            throw refused(*r);
        }
        // What we have is of another version.
        display_.line(j, "has changed on the server; begins anew");
        co_await part.clear();
        j.have = j.resumed_at = 0;
        j.total.reset();
        ++restarts;
    }
    throw std::runtime_error(j.url + " changes while it is being fetched");
}

eddy::task<std::optional<http::response>> downloader::ask(job& j, bool in_pieces, const std::string& mark) {
    http::header_list headers;
    if (in_pieces) headers.add("Range", fmt::format("bytes={}-{}", j.have, j.have + options_.piece - 1));
    if (in_pieces && j.have > 0) headers.add("If-Range", mark);
    const eddy::retry_policy policy{.attempts = options_.attempts,
                                    .first_delay = options_.pause,
                                    .max_delay = 30s,
                                    .jitter = 0.2,
                                    .retry_if = [](const std::exception_ptr& e) { return may_pass(e); }};
    auto attempt = [&](int number) -> eddy::task<http::response> {
        try {
            http::response r = co_await client_.get(j.url, {.headers = headers});
            if (may_pass(r.status)) throw refused(r);
            co_return r;
        } catch (const std::exception& e) {
            if (number < options_.attempts && may_pass(std::current_exception()))
                display_.line(j,
                              fmt::format("{}; attempt {} of {} follows", e.what(), number + 1, options_.attempts));
            throw;
        }
    };
    try {
        co_return co_await eddy::retry(policy, attempt);
    } catch (const http::error& e) {
        if (e.kind() != http::error_kind::too_large) throw;
        if (j.have == 0)
            throw std::runtime_error(fmt::format("{} sends it whole, and that is more than --max-whole {} bytes",
                                                 j.url, options_.max_whole));
    }
    co_return std::nullopt;
}

} // namespace download_manager

// All pictures, at whatever scale.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include <eddy/background.hpp>
#include <eddy/progress.hpp>
#include <eddy/task.hpp>

#include "progress_board.hpp"
#include "thumbnail.hpp"

namespace thumbnails {

struct batch {
    struct file {
        std::size_t number;
        std::string name;     // as the user knows it
        std::string from, to; // absolute: who makes it may be in another folder
    };
    std::string scale;
    std::vector<file> files;
    std::uint32_t width = 0;
    std::size_t at_a_time = 1;
    std::chrono::seconds timeout{};
};

struct batch_result {
    std::string scale;
    std::size_t done = 0;
    std::size_t failed = 0;
    std::uint64_t pixels = 0; // of the pictures, before
    std::chrono::nanoseconds took{};
};

/// Awaitable: a thumbnail of each picture. One that cannot be made is told to the board, and the others go on. Cancelled, the
/// calls that run end as their scale does it, and the thumbnails that are done stay.
template <class Scale>
eddy::task<batch_result> make_thumbnails(Scale scale, const batch& b, progress_board& board) {
    batch_result result;
    result.scale = b.scale;
    const auto start = std::chrono::steady_clock::now();
    board.start(b.scale, b.files.size());

    // A picture is decoded in memory: so many at a time, and not as many as the scale would take.
    eddy::capacity_limiter limit(static_cast<std::ptrdiff_t>(b.at_a_time));
    eddy::retry_policy again;
    again.retry_if = &worth_another_attempt;
    const eddy::background_options how{.retry = again, .timeout = b.timeout, .limit = &limit};

    auto one = [&](const batch::file& f) -> eddy::task<> {
        eddy::progress_listener listener([&](const eddy::progress_report& p) { board.part(f.number, p.fraction()); });
        const auto listening = listener.listen();
        try {
            const std::uint64_t pixels = co_await eddy::background(scale, how, make_thumbnail, f.from, f.to, b.width);
            result.pixels += pixels;
            ++result.done;
        } catch (const std::exception&) { // a cancellation is none
            ++result.failed;
            board.tell(b.scale + ": " + f.name + ": " + describe(std::current_exception()));
        }
        board.finished(f.number);
    };
    // The next picture waits at the limit while one is in its pause before another attempt.
    static_cast<void>(co_await eddy::background_map(eddy::on_loop, {.in_flight = 2 * b.at_a_time}, one, b.files));
    result.took = std::chrono::steady_clock::now() - start;
    co_return result;
}

} // namespace thumbnails

#include "output.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <system_error>

#include <eddy/cancel_scope.hpp>
#include <eddy/readiness.hpp>
#include <eddy/timeout.hpp>

namespace scraper {
namespace {

// What a pipe that is writable takes without blocking (POSIX: PIPE_BUF); a reader may stall for as long as it likes.
constexpr std::size_t portion = 4096;
constexpr auto patience = std::chrono::seconds(2); // with a reader that stalls in the middle of a line, once cancelled

void write_some(std::string_view& text) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), std::min(text.size(), portion));
    if (n >= 0)
        text.remove_prefix(static_cast<std::size_t>(n));
    else if (errno != EINTR && errno != EAGAIN)
        throw std::system_error(errno, std::system_category());
}

eddy::task<> write_rest(std::string_view text) {
    while (!text.empty()) {
        co_await eddy::wait_writable(STDOUT_FILENO);
        write_some(text);
    }
}

// Cancelled before the first byte, the line is not out; after it, the reader has a moment to take the rest.
eddy::task<> write_to_standard_output(std::string_view text) {
    co_await eddy::wait_writable(STDOUT_FILENO);
    write_some(text);
    if (text.empty()) co_return;
    const bool done = co_await eddy::with_shield(patience, [&](eddy::cancel_scope&) { return write_rest(text); });
    if (!done) throw std::system_error(std::make_error_code(std::errc::timed_out));
}

} // namespace

eddy::task<> output::open() {
    if (path_.empty() || path_ == "-") co_return;
    try {
        file_ = co_await eddy::file::open(path_, eddy::file::mode::write | eddy::file::mode::create |
                                                     eddy::file::mode::truncate);
    } catch (const std::system_error& e) {
        fail("open", e);
    }
}

eddy::task<> output::write(std::string line) {
    if (path_.empty()) co_return;
    const eddy::mutex_guard guard = co_await writing_.lock();
    if (failed_) co_return;
    try {
        co_await put(line);
    } catch (const std::system_error& e) {
        fail("write to", e);
    }
}

eddy::task<> output::put(const std::string& line) {
    if (file_)
        co_await eddy::with_shield([&]() -> eddy::task<> { co_await file_->write(std::string_view(line)); });
    else
        co_await write_to_standard_output(line);
}

eddy::task<> output::close() {
    if (!file_) co_return;
    try {
        co_await file_->close();
    } catch (const std::system_error& e) {
        if (!failed_) fail("close", e);
    }
}

void output::fail(const char* what, const std::system_error& e) {
    failed_ = true;
    const std::string name = path_ == "-" ? "standard output" : path_;
    throw output_error("cannot " + std::string(what) + " " + name + ": " + e.code().message());
}

} // namespace scraper

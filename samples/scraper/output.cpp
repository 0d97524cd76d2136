#include "output.hpp"

#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <system_error>

#include <eddy/cancel_scope.hpp>
#include <eddy/offload.hpp>

namespace scraper {
namespace {

// Blocks; for the pool.
void write_to_standard_output(std::string_view text) {
    while (!text.empty()) {
        const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
        if (n >= 0)
            text.remove_prefix(static_cast<std::size_t>(n));
        else if (errno != EINTR)
            throw std::system_error(errno, std::system_category());
    }
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
        co_await eddy::with_shield([&] { return put(line); });
    } catch (const std::system_error& e) {
        fail("write to", e);
    }
}

eddy::task<> output::put(const std::string& line) {
    if (file_)
        co_await file_->write(std::string_view(line));
    else
        co_await eddy::offload(write_to_standard_output, std::string_view(line)); // the line outlives the call
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

#include "printer.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <system_error>

#include <eddy/readiness.hpp>

namespace file_tail {

output_error::output_error(int error) : std::runtime_error("cannot write to standard output: " + std::generic_category().message(error)) {}

eddy::task<> printer::print(const std::string& file, std::string_view text) {
    const eddy::mutex_guard guard = co_await writing_.lock();
    if (failed_ || text.empty()) co_return;
    try {
        if (headings_ && last_file_ != file) {
            const std::string heading = (at_line_start_ ? "" : "\n") + std::string(last_file_ ? "\n" : "") + "==> " + file + " <==\n";
            last_file_ = file;
            co_await write(heading);
        }
        at_line_start_ = text.back() == '\n';
        co_await write(text);
    } catch (const output_error&) {
        failed_ = true;
        throw;
    }
}

/// Waits where it can be cancelled: a pipe that is writable takes as much as PIPE_BUF (POSIX) without blocking.
eddy::task<> printer::write(std::string_view text) {
    constexpr std::size_t portion = 4096;
    while (!text.empty()) {
        co_await eddy::wait_writable(STDOUT_FILENO);
        const ssize_t n = ::write(STDOUT_FILENO, text.data(), std::min(text.size(), portion));
        if (n >= 0)
            text.remove_prefix(static_cast<std::size_t>(n));
        else if (errno != EINTR && errno != EAGAIN)
            throw output_error(errno);
    }
}

} // namespace file_tail

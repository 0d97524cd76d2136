// What is in a file from some place on, and a pipe with a name.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include <eddy/file.hpp>
#include <eddy/task.hpp>

#include "io/support.hpp"

namespace io_test {

/// Up to so many bytes from where the file stands.
[[nodiscard]] inline eddy::task<std::string> next_bytes(eddy::file& f, std::size_t most) {
    std::string text(most, '\0');
    const std::size_t n = co_await f.read(std::as_writable_bytes(std::span(text)));
    text.resize(n);
    co_return text;
}

[[nodiscard]] inline eddy::task<std::string> bytes_from(eddy::file& f, std::uint64_t at, std::size_t most) {
    std::string text(most, '\0');
    const std::size_t n = co_await f.read_at(at, std::as_writable_bytes(std::span(text)));
    text.resize(n);
    co_return text;
}

/// Reads from it hold a worker up until somebody writes.
[[nodiscard]] inline std::string fifo_in(const temporary_folder& folder) {
    std::string path = folder.file("fifo");
    if (::mkfifo(path.c_str(), 0600) != 0) throw std::runtime_error("no fifo");
    return path;
}

} // namespace io_test

// Where the lines go, as they come.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>

#include <eddy/file.hpp>
#include <eddy/mutex.hpp>
#include <eddy/task.hpp>

namespace scraper {

/// The output cannot be written; the message names it and says why.
class output_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A file, standard output ("-") or nothing ("").
class output {
public:
    explicit output(std::string path) : path_(std::move(path)) {}

    /// Throws `output_error`, as all of these do.
    [[nodiscard]] eddy::task<> open();
    /// Writes a line, with its line break. Many tasks may write; lines come out whole, one after the other. If it is
    /// cancelled the line is out or it is not, but never half. After a failure nothing more is written, without an
    /// error: one is enough.
    [[nodiscard]] eddy::task<> write(std::string line);
    [[nodiscard]] eddy::task<> close();

    [[nodiscard]] bool failed() const noexcept { return failed_; }

private:
    [[nodiscard]] eddy::task<> put(const std::string& line);
    [[noreturn]] void fail(const char* what, const std::system_error& e);

    std::string path_;
    std::optional<eddy::file> file_;
    eddy::mutex writing_;
    bool failed_ = false;
};

} // namespace scraper

// Standard output, for text of several files.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <eddy/mutex.hpp>
#include <eddy/task.hpp>

namespace file_tail {

class output_error : public std::runtime_error {
public:
    /// `error`: of the system.
    explicit output_error(int error);
};

/// Shows text of several files, with a heading where another file goes on.
class printer {
public:
    explicit printer(bool headings) noexcept : headings_(headings) {}
    eddy::task<> print(const std::string& file, std::string_view text);

private:
    static eddy::task<> write(std::string_view text);
    eddy::mutex writing_; // text and heading of one file belong together
    const bool headings_;
    std::optional<std::string> last_file_;
    bool at_line_start_ = true;
    bool failed_ = false;
};

} // namespace file_tail

// What an upload is made of, other than a generator: a file, the parts of a form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <eddy/async_generator.hpp>
#include <eddy/file.hpp>
#include <eddy/http/form.hpp>
#include <eddy/task.hpp>

namespace eddy::http::detail {

/// An open file, from its position to its end.
class file_source {
public:
    /// `announced`: send so many bytes. Else it is asked, off the loop, how many there are.
    static task<file_source> measure(file f, std::optional<std::uint64_t> announced);
    /// Unknown of pipes and the like.
    [[nodiscard]] const std::optional<std::uint64_t>& size() const noexcept { return size_; }
    /// Yields the bytes. `std::length_error`, which names the file, if it ends too early.
    static async_generator<std::string> pieces(file_source s);

private:
    file_source() noexcept = default;
    file file_;
    std::optional<std::uint64_t> size_;
    std::string first_; // was read to see whether there is anything
};

/// A form whose files are open.
class multipart_source {
public:
    /// Throws `std::system_error` for a file that cannot be read.
    static task<multipart_source> open(multipart m);
    /// Unknown if that of a part is.
    [[nodiscard]] const std::optional<std::uint64_t>& size() const noexcept { return size_; }
    static async_generator<std::string> pieces(multipart_source s);

private:
    class segment {
    public:
        segment(std::string t, async_generator<std::string> s) noexcept : text(std::move(t)), source(std::move(s)) {}
        std::string text;
        async_generator<std::string> source; // follows the text
    };
    multipart_source() noexcept = default;
    void count(std::optional<std::uint64_t> bytes) noexcept;

    std::vector<segment> segments_;
    std::string tail_;
    std::optional<std::uint64_t> size_ = 0;
};

} // namespace eddy::http::detail

// Files below a folder, and nothing else. The calls that look at the file system run on a worker.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include <eddy/file.hpp>

namespace eddy::http::detail {

class file_folder {
public:
    /// Could this be a file of ours at all: no "..", no NUL, nothing hidden?
    [[nodiscard]] bool may_serve(std::string_view path) const noexcept;

    std::string root;
    std::string index;
    std::string cache_control;
    bool hidden = false;
};

class found_file {
public:
    enum class kind { missing, folder, file };
    kind what = kind::missing;
    file open; // for reading, if it is a file; and then the rest is set
    std::uint64_t size = 0;
    std::time_t modified = 0;
    std::string tag; // an entity tag, with its quotes
};

/// Opens `path`, relative to the folder. Missing is also what we may not read and what is neither a file nor a folder. Throws
/// `std::system_error` that names the path for other errors, and for the folder itself.
[[nodiscard]] found_file find_file(const std::shared_ptr<const file_folder>& folder, const std::string& path);

} // namespace eddy::http::detail

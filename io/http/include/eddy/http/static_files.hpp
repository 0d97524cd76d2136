// static_files: a handler that answers with the files of a folder.
//
//     routes.get("/static/{path...}", http::static_files("www"));       // what the route found in the path
//     http::server hs{http::static_files("www")};                       // or the whole path
//
// Nothing outside of the folder is ever opened: ".." and absolute paths are refused, and symbolic links followed only where they
// stay inside (Linux 5.6; before it none is followed). Only regular files are sent.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <eddy/http/message.hpp>
#include <eddy/task.hpp>

namespace eddy::http {

namespace detail {
class file_folder;
}

/// The texts are copied when the handler is made.
struct static_files_options {
    std::string_view index = "index.html"; // sent for a folder; empty: folders are not found
    std::chrono::seconds max_age{-1};      // of Cache-Control; negative: none is sent
    bool hidden = false;                   // also what begins with a dot, and what is below such a folder
};

/// Answers GET and HEAD with files below `folder`, other methods with 405. Copies share the folder.
///
/// The file is the value of the route's last parameter, `{name...}`, if a router called with one, else the path of the request.
/// Sent with Content-Type (by the name's ending), Content-Length, Last-Modified and ETag (size, time of change and inode).
/// Conditional requests are answered with 304 and 412, one byte range with 206 or 416 (several are answered with the whole file),
/// as RFC 9110 has it. A folder is answered by its index, after a redirect to the path with "/" at its end. 404 is what there is
/// not, what is no file, what is hidden and what we may not read: who asks learns no difference. Any other error of the file
/// system (EIO, EMFILE) is thrown: the server makes it a 500 and reports it. A file that shrinks while it is sent ends the
/// connection.
///
/// Looking up and opening run on the loop's blocking pool, sending inside the kernel. Cancelled: as `offload` with a pool, then
/// as the writes of the connection.
class static_files {
public:
    /// `folder` is looked up at each request, from the current directory of that time. Throws `std::invalid_argument` if it is empty.
    explicit static_files(std::string folder, const static_files_options& options = {});

    task<response> operator()(request q) const;

private:
    std::shared_ptr<const detail::file_folder> folder_;
};

/// The media type that goes with the ending of a file name; "application/octet-stream" for unknown ones.
[[nodiscard]] std::string_view media_type(std::string_view file_name) noexcept;

} // namespace eddy::http

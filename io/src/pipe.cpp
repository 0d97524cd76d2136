#include <eddy/pipe.hpp>

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <string>
#include <system_error>

namespace eddy {
namespace {

detail::core_owner adopted(int fd, std::string_view name) {
    detail::prepare_descriptor(fd);
    return detail::adopt_core(fd, false, std::string(name));
}

} // namespace

readable_pipe::readable_pipe(int native_handle, std::string_view name) : core_(adopted(native_handle, name)) {}
writable_pipe::writable_pipe(int native_handle, std::string_view name) : core_(adopted(native_handle, name)) {}

pipe_pair make_pipe() {
    std::array<int, 2> fds{};
    if (::pipe2(fds.data(), O_CLOEXEC | O_NONBLOCK) != 0) throw std::system_error(errno, std::generic_category(), "cannot make a pipe");
    detail::core_pair ends = detail::make_core_pair(fds[0], fds[1], false, "pipe");
    return {readable_pipe(std::move(ends.first)), writable_pipe(std::move(ends.second))};
}

} // namespace eddy

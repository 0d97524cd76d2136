// What a file has beside its contents, and what the kernel is told about them.
#include <eddy/file.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <utility>

#include <eddy/offload.hpp>

#include "file_calls.hpp"
#include "file_handle.hpp"
#include "file_time.hpp"

namespace eddy {
namespace {

using detail::handle_ptr;
using time_point = std::chrono::system_clock::time_point;

// --- on workers

/// Of the calls that return their errno.
template <class F>
void expect_none(F call, const char* doing, const handle_ptr& h) {
    int error = 0;
    do error = call();
    while (error == EINTR);
    errno = error;
    if (error != 0) detail::fail(doing, h->path());
}

void allocate_now(const handle_ptr& h, std::uint64_t offset, std::uint64_t size) {
    const detail::open_number fd(*h);
    const auto call = [&] { return ::posix_fallocate(fd, static_cast<off_t>(offset), static_cast<off_t>(size)); };
    expect_none(call, "cannot allocate room for", h);
}

int kernels_word_for(file::advice a) noexcept {
    switch (a) {
    case file::advice::normal: return POSIX_FADV_NORMAL;
    case file::advice::sequential: return POSIX_FADV_SEQUENTIAL;
    case file::advice::random: return POSIX_FADV_RANDOM;
    case file::advice::will_need: return POSIX_FADV_WILLNEED;
    case file::advice::dont_need: return POSIX_FADV_DONTNEED;
    case file::advice::no_reuse: return POSIX_FADV_NOREUSE;
    }
    return -1; // the kernel says EINVAL
}

void advise_now(const handle_ptr& h, file::advice a, std::uint64_t offset, std::uint64_t size) {
    const detail::open_number fd(*h);
    const auto call = [&] { return ::posix_fadvise(fd, static_cast<off_t>(offset), static_cast<off_t>(size), kernels_word_for(a)); };
    expect_none(call, "cannot advise on", h);
}

void set_modified_now(const handle_ptr& h, time_point t) {
    const detail::open_number fd(*h);
    const std::array<timespec, 2> times{timespec{0, UTIME_OMIT}, detail::timespec_of(t)};
    if (::futimens(fd, times.data()) != 0) detail::fail("cannot set the time of", h->path());
}

} // namespace

task<> file::datasync() {
    co_await detail::datasync_file(handle());
}
task<> file::allocate(std::uint64_t offset, std::uint64_t size) {
    co_await offload(detail::pool(), &allocate_now, handle(), offset, size);
}
task<> file::advise(advice a, std::uint64_t offset, std::uint64_t size) {
    co_await offload(detail::pool(), &advise_now, handle(), a, offset, size);
}
task<std::chrono::system_clock::time_point> file::last_write_time() {
    co_return co_await detail::time_of_file(handle());
}
task<> file::last_write_time(std::chrono::system_clock::time_point t) {
    co_await offload(detail::pool(), &set_modified_now, handle(), t);
}

} // namespace eddy

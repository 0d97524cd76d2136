#include "file_calls.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <memory>
#include <utility>

#include <eddy/cancel_scope.hpp>
#include <eddy/offload.hpp>

#include "file_time.hpp"
#include "ring_call.hpp"

namespace eddy::detail {
namespace {

// --- on workers

std::size_t read_now(const handle_ptr& h, std::span<std::byte> out) {
    const open_number fd(*h);
    const auto n = uninterrupted([&] { return ::read(fd, out.data(), out.size()); });
    if (n < 0) fail("cannot read", h->path());
    return static_cast<std::size_t>(n);
}

std::size_t read_at_now(const handle_ptr& h, std::uint64_t offset, std::span<std::byte> out) {
    const open_number fd(*h);
    const auto n = uninterrupted([&] { return ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset)); });
    if (n < 0) fail("cannot read", h->path());
    return static_cast<std::size_t>(n);
}

std::size_t write_at_now(const handle_ptr& h, std::uint64_t offset, std::span<const std::byte> bytes) {
    const open_number fd(*h);
    for (std::span<const std::byte> rest = bytes; !rest.empty();) {
        const auto n = uninterrupted([&] { return ::pwrite(fd, rest.data(), rest.size(), static_cast<off_t>(offset)); });
        if (n < 0) fail("cannot write", h->path());
        rest = rest.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return bytes.size();
}

void datasync_now(const handle_ptr& h) {
    const open_number fd(*h);
    if (uninterrupted([&] { return ::fdatasync(fd); }) != 0) fail("cannot sync", h->path());
}

using plain_status = struct ::stat;

plain_status status_now(const handle_ptr& h) {
    const open_number fd(*h);
    plain_status st{};
    if (::fstat(fd, &st) != 0) fail("cannot stat", h->path());
    return st;
}

std::uint64_t size_now(const handle_ptr& h) {
    return static_cast<std::uint64_t>(status_now(h).st_size);
}
std::chrono::system_clock::time_point time_now(const handle_ptr& h) {
    return time_of(status_now(h).st_mtim);
}

} // namespace

std::string read_rest_now(const handle_ptr& h) {
    std::string text;
    text.resize(static_cast<std::size_t>(size_now(h)) + 1); // one more byte finds the end
    std::size_t used = 0;
    for (;;) {
        const std::size_t n = read_now(h, std::as_writable_bytes(std::span(text).subspan(used)));
        if (n == 0) break;
        used += n;
        if (used == text.size()) text.resize(grown(used));
    }
    text.resize(used);
    return text;
}

// --- one call

task<handle_ptr> open_file(std::string path, int flags, unsigned permissions) {
    if (ring_call::possible(ring_opcode::open)) {
        const handle_ptr h = std::make_shared<file_handle>(-1, path); // before there is a descriptor that could be lost
        ring_call opening = ring_call::open(h, flags, permissions);
        const bool done = co_await opening;
        if (done) co_return h;
    }
    handle_ptr opened = co_await offload(pool(), &open_now, std::move(path), flags, permissions);
    co_return opened;
}

task<std::size_t> read_file_at_position(handle_ptr h, std::span<std::byte> out) {
    if (by_ring(*h, ring_opcode::read)) {
        ring_call reading = ring_call::read(h, out);
        const bool done = co_await reading;
        if (done) co_return reading.bytes();
    }
    const std::size_t n = co_await offload(pool(), &read_now, h, out);
    co_return n;
}

task<std::size_t> read_file_at(handle_ptr h, std::uint64_t offset, std::span<std::byte> out) {
    if (by_ring(*h, ring_opcode::read, offset)) {
        ring_call reading = ring_call::read(h, out, offset);
        const bool done = co_await reading;
        if (done) co_return reading.bytes();
    }
    const std::size_t n = co_await offload(pool(), &read_at_now, h, offset, out);
    co_return n;
}

task<std::size_t> write_file_at_position(handle_ptr h, std::span<const std::byte> bytes) {
    std::size_t written = 0;
    if (by_ring(*h, ring_opcode::write)) {
        ring_call writing = ring_call::write(h, bytes);
        const bool done = co_await writing;
        if (done) co_return bytes.size();
        written = writing.bytes();
    }
    co_await offload(pool(), &write_now, h, bytes.subspan(written));
    co_return bytes.size();
}

task<std::size_t> write_file_at(handle_ptr h, std::uint64_t offset, std::span<const std::byte> bytes) {
    std::size_t written = 0;
    if (by_ring(*h, ring_opcode::write, offset)) {
        ring_call writing = ring_call::write(h, bytes, offset);
        const bool done = co_await writing;
        if (done) co_return bytes.size();
        written = writing.bytes();
    }
    co_await offload(pool(), &write_at_now, h, offset + written, bytes.subspan(written));
    co_return bytes.size();
}

task<> sync_file(handle_ptr h) {
    if (by_ring(*h, ring_opcode::sync)) {
        ring_call syncing = ring_call::sync(h);
        const bool done = co_await syncing;
        if (done) co_return;
    }
    co_await offload(pool(), &sync_now, h);
}

task<> datasync_file(handle_ptr h) {
    if (by_ring(*h, ring_opcode::datasync)) {
        ring_call syncing = ring_call::datasync(h);
        const bool done = co_await syncing;
        if (done) co_return;
    }
    co_await offload(pool(), &datasync_now, h);
}

task<std::uint64_t> size_of_file(handle_ptr h) {
    if (by_ring(*h, ring_opcode::stat)) {
        struct statx st {};
        ring_call asking = ring_call::stat(h, STATX_SIZE, st);
        const bool done = co_await asking;
        if (done) co_return st.stx_size;
    }
    const std::uint64_t size = co_await offload(pool(), &size_now, h);
    co_return size;
}

task<std::chrono::system_clock::time_point> time_of_file(handle_ptr h) {
    if (by_ring(*h, ring_opcode::stat)) {
        struct statx st {};
        ring_call asking = ring_call::stat(h, STATX_MTIME, st);
        const bool done = co_await asking;
        if (done) co_return time_of(timespec{st.stx_mtime.tv_sec, static_cast<long>(st.stx_mtime.tv_nsec)});
    }
    const std::chrono::system_clock::time_point t = co_await offload(pool(), &time_now, h);
    co_return t;
}

// The ring closes what nobody uses. If somebody does, a worker waits until that is over.
task<> close_file(handle_ptr h) {
    int number = -1;
    if (by_ring(*h, ring_opcode::close)) {
        const std::unique_lock alone(h->access, std::try_to_lock);
        if (alone) number = h->take();
    }
    if (number >= 0) {
        ring_call closing = ring_call::close(h, number);
        const bool done = co_await closing;
        if (done) co_return;
        const std::unique_lock alone(h->access);
        h->set(number);
    }
    co_await offload(pool(), &close_now, h);
}

// --- whole files, by the ring

namespace {

/// Of a file that is done with, come what may of that.
task<> close_quietly(handle_ptr h) {
    try {
        co_await close_file(std::move(h));
    } catch (const std::exception&) { // nothing was written, or it has failed already
    }
}

/// Memory for more is not taken on the loop's thread, which would have to fill it: 256 MiB take it 300 ms.
constexpr std::size_t most_filled_here = 1 << 20;

/// The rest of a plain file, behind what was read of it. On a worker.
std::string read_behind_now(const handle_ptr& h, std::string text) {
    std::size_t used = text.size();
    text.resize(std::max(static_cast<std::size_t>(size_now(h)), used) + 1);
    for (;;) {
        const std::size_t n = read_at_now(h, used, std::as_writable_bytes(std::span(text).subspan(used)));
        if (n == 0) break;
        used += n;
        if (used == text.size()) text.resize(grown(used));
    }
    text.resize(used);
    return text;
}

// A file that has a size has been read when a read ends there: it had room for one byte more. (Those of /proc have none.)
task<std::string> read_all_of(handle_ptr h) {
    std::string text;
    const auto size = static_cast<std::size_t>(status_at_once(h->fd()).size);
    std::size_t room = size + 1;
    std::size_t used = 0;
    while (room <= most_filled_here) {
        text.resize(room);
        const std::size_t n = co_await read_file_at(h, used, std::as_writable_bytes(std::span(text).subspan(used)));
        used += n;
        if (n == 0 || (used == size && used < room)) {
            text.resize(used);
            co_return text;
        }
        if (used == room) room = grown(used);
    }
    text.resize(used);
    std::string all = co_await offload(pool(), &read_behind_now, std::move(h), std::move(text));
    co_return all;
}

task<> write_and_close(handle_ptr h, std::span<const std::byte> bytes) {
    std::exception_ptr error;
    try {
        co_await write_file_at_position(h, bytes);
    } catch (...) {
        error = std::current_exception();
    }
    if (!error) {
        co_await close_file(h);
        co_return;
    }
    co_await close_quietly(h);
    std::rethrow_exception(error);
}

} // namespace

bool ring_does_whole_files() noexcept {
    using enum ring_opcode;
    return ring_call::possible(open) && ring_call::possible(read) && ring_call::possible(write) && ring_call::possible(close);
}

// What comes from a pipe cannot be read a second time: there a worker reads it all, whatever is cancelled meanwhile.
task<std::string> read_file_by_ring(std::string path) {
    const handle_ptr h = co_await open_file(std::move(path), O_RDONLY | O_CLOEXEC, 0);
    std::string text;
    std::exception_ptr error;
    try {
        if (by_ring(*h, ring_opcode::read, 0)) {
            text = co_await read_all_of(h);
        } else {
            auto reading = offload(pool(), &read_rest_now, h);
            text = co_await shielded(std::move(reading));
        }
    } catch (...) {
        error = std::current_exception();
    }
    co_await shielded(close_quietly(h));
    if (error) std::rethrow_exception(error);
    co_return text;
}

// Once it is open the old contents are gone, and a cancellation comes too late.
task<> write_file_by_ring(std::string path, std::span<const std::byte> bytes) {
    const handle_ptr h = co_await open_file(std::move(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    co_await shielded(write_and_close(h, bytes));
}

} // namespace eddy::detail

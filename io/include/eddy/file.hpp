// Files: file, read_file, write_file. System calls go through the loop's ring (io_uring) where it has one, else to its blocking
// pool: `loop.stats().files`.
//
//     std::string text = co_await read_file("in.txt");
//     file f = co_await file::open("x", file::mode::read_write | file::mode::create);
//     co_await f.write("abc"sv);
//     co_await f.close();
//
// Cancellation, for all of them: a call that has not begun does not happen; one that the kernel has begun is waited for and
// its result returned (R2, R4), and the next checkpoint throws. In the ring the kernel may give it up instead: then it has not
// happened; of a write, `operation_cancelled::partial()` says how much has. Errors are `std::system_error`s whose message has the path.
// A full disk and an I/O error are errors of the write, the sync or the close that learns of them, never silent.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <eddy/file_lock.hpp>
#include <eddy/task.hpp>

namespace eddy {

namespace detail {
class file_handle;
}

/// An open file, with a position for `read` and `write`. Move-only. One operation that uses the position at a time
/// (`busy_resource`); positional ones may overlap.
class file {
public:
    /// Combined with |; as the flags of open(2). Without `create` the file has to exist.
    enum class mode : unsigned {
        read = 1,
        write = 2,
        read_write = 3,
        create = 4,
        truncate = 8,
        append = 16,    // writes, each at the end at that time
        exclusive = 32, // with create: it must not exist
        no_follow = 64, // a symbolic link is an error (ELOOP)
        direct = 128,   // O_DIRECT: past the page cache; buffer, offset and size have to be aligned as the device asks
    };
    /// How the file is going to be read, of posix_fadvise(2): a hint, which changes nothing that a read gives.
    enum class advice : unsigned char {
        normal,     // what the kernel thinks best
        sequential, // on and on: it reads further ahead
        random,     // here and there: it does not read ahead
        will_need,  // soon: it begins to read now
        dont_need,  // not again: what is in the page cache, and written, may go
        no_reuse,   // once
    };
    friend constexpr mode operator|(mode a, mode b) noexcept { return static_cast<mode>(static_cast<unsigned>(a) | static_cast<unsigned>(b)); }
    friend constexpr bool operator&(mode a, mode b) noexcept { return (static_cast<unsigned>(a) & static_cast<unsigned>(b)) != 0; }

    file() noexcept;
    file(file&&) noexcept;
    file& operator=(file&&) noexcept;
    /// Closes the file once operations that run are through; an error of that goes to the exception handler of the loop
    /// that runs on this thread, if any. Use `close` where losing data matters.
    ~file();

    /// New files get permissions 0666 less the umask. Close-on-exec. `std::invalid_argument` for modes that make no sense:
    /// exclusive without create, truncate without write or append.
    static task<file> open(std::string path, mode m = mode::read, unsigned permissions = 0666);

    /// Takes over an open descriptor, whose flags stay as they are; `path` is for messages. Throws `std::invalid_argument` if it is
    /// negative, `std::bad_alloc` (the descriptor is then still the caller's).
    [[nodiscard]] static file adopt(int descriptor, std::string path);
    /// Up to the buffer's size from the position; 0 at the end.
    task<std::size_t> read(std::span<std::byte> out);
    /// The same: a file is an `async_read_stream`, so that `buffered_reader r{f}` gives its lines.
    task<std::size_t> read_some(std::span<std::byte> out);
    task<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out);
    /// All of it, at the position (at the end in append mode); returns how much that was. Bytes and text stay the caller's until it
    /// returns; a string that goes, a temporary, is kept by the task.
    task<std::size_t> write(std::span<const std::byte> bytes);
    task<std::size_t> write(std::string_view text);
    task<std::size_t> write(const char* text);
    task<std::size_t> write(std::string&& text);
    task<std::size_t> write_at(std::uint64_t offset, std::span<const std::byte> bytes);
    task<std::size_t> write_at(std::uint64_t offset, std::string_view text);
    task<std::size_t> write_at(std::uint64_t offset, const char* text);
    task<std::size_t> write_at(std::uint64_t offset, std::string&& text);
    /// Until the data is on the device: fsync.
    task<> sync();
    /// Until the data is on the device, and what it takes to find it (the size); not the times: fdatasync.
    task<> datasync();
    task<std::uint64_t> size();
    task<> truncate(std::uint64_t size);
    /// Makes sure that there is room for what will be written to these bytes; the file grows to their end. ENOSPC if there is not,
    /// EINVAL for a size of 0. posix_fallocate(3): a file system that cannot do it (EOPNOTSUPP) has a byte of each block written, which
    /// takes its time and is not for files that others write to.
    task<> allocate(std::uint64_t offset, std::uint64_t size);
    /// About these bytes; a size of 0: up to the end.
    task<> advise(advice a, std::uint64_t offset = 0, std::uint64_t size = 0);
    /// When the contents were changed last; with the resolution of the file system.
    task<std::chrono::system_clock::time_point> last_write_time();
    /// Says when. Only the owner may: EPERM.
    task<> last_write_time(std::chrono::system_clock::time_point t);
    /// Sets the position; returns it. `busy_resource` while a `read` or `write` uses it. The kernel only notes the number:
    /// nothing blocks.
    std::uint64_t seek(std::uint64_t offset);
    std::uint64_t seek_end();

    /// Waits for an advisory lock on the whole file (flock(2)), that others with this file open, in this process or another,
    /// respect if they ask for it too: several `shared` ones or one `exclusive`. Cancelled, it has none. It asks again after 1, 2,
    /// 4 … 64 ms: waiting inside the kernel would hold a worker of the pool up that whoever has the lock may need to give it
    /// back. So it is not served in any order. One lock at a time for each `file` object: a second is a `busy_resource`.
    task<file_lock> lock(lock_kind kind = lock_kind::exclusive);
    /// Nothing if somebody else has it.
    task<std::optional<file_lock>> try_lock(lock_kind kind = lock_kind::exclusive);
    /// Closes the file and reports what the kernel had to say (EIO, ENOSPC). Waits for calls that run; those that wait
    /// for a worker or their turn throw `closed_resource`. The descriptor is freed also if it is cancelled or fails (R13). Twice does
    /// no harm.
    task<> close();

    [[nodiscard]] bool is_open() const noexcept;
    [[nodiscard]] int native_handle() const noexcept;
    [[nodiscard]] const std::string& path() const;

    // for the library
    explicit file(std::shared_ptr<detail::file_handle> h) noexcept;
    /// Throws `closed_resource`.
    [[nodiscard]] std::shared_ptr<detail::file_handle> handle() const;

private:
    task<std::size_t> write_text(std::string text);
    task<std::size_t> write_text_at(std::uint64_t offset, std::string text);
    std::uint64_t seek_to(std::int64_t offset, int whence);
    std::shared_ptr<detail::file_handle> handle_; // shared with calls that run
};

/// The whole file. On the pool in one hop; in the ring it is opened, read and closed by an operation each, but what is larger than 1 MiB
/// is read on the pool in one hop: the memory for it has to be filled, and the loop's thread is not there for that.
task<std::string> read_file(std::string path);
/// Creates or replaces the file. On the pool in one hop; in the ring it is opened, written and closed by an operation each. Cancelled
/// once it has opened the file, it writes it all the same.
task<> write_file(std::string path, std::string text);
/// The same with bytes that stay the caller's until it returns.
task<> write_file(std::string path, std::span<const std::byte> bytes);

/// Creates or replaces the file so that nobody ever sees half of it, not even after a loss of power: writes a new file in the
/// same folder, syncs it, renames it over the old one and syncs the folder, in one hop. If that fails, the old file is as it
/// was (only an error of the last step comes after the replacement). A folder that may be written but not read cannot be synced:
/// its whole file system is (syncfs), which may take longer. Permissions and, where we may, owner of the old file are kept; other
/// links to it keep the old contents; a symbolic link stays and what it leads to is replaced. Only a regular file can be: EISDIR,
/// EINVAL for what is something else.
task<> write_file_atomically(std::string path, std::string text);
/// The same with bytes that stay the caller's until it returns.
task<> write_file_atomically(std::string path, std::span<const std::byte> bytes);

} // namespace eddy

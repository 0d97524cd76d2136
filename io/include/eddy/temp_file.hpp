// temp_file, temp_directory: what is there for a while, and goes with its object.
//
//     temp_file t = co_await temp_file::create({.suffix = ".csv"});
//     co_await t.file().write("a,b\n"sv);
//     co_await run_something_on(t.path());
//     co_await t.remove();                                 // or when it goes
//
//     temp_directory d = co_await temp_directory::create();
//     co_await write_file(d.path() + "/x", "abc");
//     co_await d.remove();                                 // with all that is in it
//
// Nobody else can guess the names or get at what is made: made anew, for this user only (0600, 0700), close-on-exec. Calls run on
// the loop's blocking pool; cancellation and errors are as those of `file`. A process that is killed leaves them behind;
// `temp_file::open_unnamed` does not even then.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <eddy/file.hpp>
#include <eddy/task.hpp>

namespace eddy {

struct temp_options {
    std::string_view directory{}; // empty: $TMPDIR, else /tmp
    std::string_view prefix = "eddy-";
    std::string_view suffix{}; // neither may have a '/'
};

namespace detail {
class temp_name;
class temp_pattern;
} // namespace detail

/// A new file, open for reading and writing, with a name. Move-only.
class temp_file {
public:
    temp_file() noexcept;
    temp_file(temp_file&&) noexcept;
    temp_file& operator=(temp_file&&) noexcept;
    /// Closes and removes it, at once and on this thread (the kernel frees the room later). An error, but that it is gone
    /// already, goes to the exception handler of the loop that runs here.
    ~temp_file();

    static task<temp_file> create(temp_options options = {});
    /// A file that never has a name and that the kernel frees when it is closed, whatever becomes of the process (O_TMPFILE;
    /// where the file system has no such thing, made with a name which is removed at once).
    static task<eddy::file> open_unnamed(temp_options options = {});

    [[nodiscard]] eddy::file& file() noexcept { return file_; }
    /// Empty once it was removed or kept.
    [[nodiscard]] const std::string& path() const noexcept;

    /// Closes and removes it. It is removed also if the close fails, which is then thrown, and if it is cancelled (R13). That it is
    /// gone already is no error. Twice does no harm. If the removal fails, the object still has it, and its destructor tries again.
    task<> remove();
    /// Syncs and closes it and gives it this name, replacing what has it: the file stays. It has to be on the same file system (EXDEV
    /// otherwise): give its directory to `create`. Permissions stay 0600. If it fails or is cancelled, it is closed, but still a
    /// temporary file, and `keep` may be called again. Once it is kept, nothing is thrown any more.
    task<> keep(std::string path);

private:
    static task<temp_file> create_like(detail::temp_pattern like);
    temp_file(eddy::file f, std::shared_ptr<detail::temp_name> n) noexcept;
    [[nodiscard]] std::shared_ptr<detail::file_handle> hand_over();
    eddy::file file_;
    std::shared_ptr<detail::temp_name> name_; // shared with calls that run
};

/// A new, empty directory. Move-only.
class temp_directory {
public:
    temp_directory() noexcept;
    temp_directory(temp_directory&&) noexcept;
    temp_directory& operator=(temp_directory&&) noexcept;
    /// Removes it with all that is in it, at once and on this thread: if that is much, `remove` it before. Does not follow links.
    /// An error goes to the exception handler of the loop that runs here.
    ~temp_directory();

    static task<temp_directory> create(temp_options options = {});
    /// Empty once it was removed.
    [[nodiscard]] const std::string& path() const noexcept;
    /// Removes it with all that is in it. Cancelled, it is still removed (R13). That it is gone already is no error. If it fails, the
    /// object still has what is left, and its destructor tries again.
    task<> remove();

private:
    static task<temp_directory> create_like(detail::temp_pattern like);
    explicit temp_directory(std::shared_ptr<detail::temp_name> n) noexcept;
    std::shared_ptr<detail::temp_name> name_; // shared with calls that run
};

} // namespace eddy

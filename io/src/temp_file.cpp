#include <eddy/temp_file.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <eddy/cancel_scope.hpp>
#include <eddy/offload.hpp>
#include <eddy/this_task.hpp>

#include "file_handle.hpp"

namespace eddy {
namespace detail {
namespace {

enum class temp_kind : bool { file, directory };

/// On any thread. Of a directory, all that is in it as well.
void remove_now(const std::string& path, temp_kind kind) {
    std::error_code ec;
    if (kind == temp_kind::directory)
        std::filesystem::remove_all(path, ec);
    else if (::unlink(path.c_str()) != 0 && errno != ENOENT)
        ec.assign(errno, std::generic_category());
    if (ec) throw std::system_error(ec, "cannot remove '" + path + "'");
}

} // namespace

/// A name that is removed with its last owner, unless somebody has done it before. The path does not change: workers read it.
class temp_name {
public:
    explicit temp_name(temp_kind k) noexcept : kind_(k) {}
    temp_name(const temp_name&) = delete;
    temp_name& operator=(const temp_name&) = delete;
    ~temp_name() {
        if (!there_) return;
        try {
            remove_now(path_, kind_);
        } catch (const std::exception& e) {
            if (event_loop* const loop = event_loop::current()) loop->call_exception_handler({.message = e.what(), .exception = std::current_exception()});
        }
    }
    void made(std::string path) noexcept {
        path_ = std::move(path);
        there_ = true;
    }
    void gone() noexcept { there_ = false; }
    [[nodiscard]] bool there() const noexcept { return there_; }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
    temp_kind kind_;
    bool there_ = false; // loop thread, once it was made
};

namespace {

std::string directory_of(const temp_options& o) {
    if (!o.directory.empty()) return std::string(o.directory);
    const char* const set = std::getenv("TMPDIR");
    return set && *set ? set : "/tmp";
}

} // namespace

/// The options, for a worker.
class temp_pattern {
public:
    explicit temp_pattern(const temp_options& o) : directory(directory_of(o)), start_(directory + "/" + std::string(o.prefix)), suffix_(o.suffix) {
        if (o.prefix.find('/') != std::string_view::npos || o.suffix.find('/') != std::string_view::npos)
            throw std::invalid_argument("temp_options: prefix and suffix are parts of a name and cannot have a '/'; see directory");
    }
    [[nodiscard]] std::string name() const { return start_ + random_digits() + suffix_; }
    std::string directory;

private:
    std::string start_;
    std::string suffix_;
};

namespace {

using name_ptr = std::shared_ptr<temp_name>;

class made_file {
public:
    handle_ptr handle;
    name_ptr name = std::make_shared<temp_name>(temp_kind::file);
};

made_file make_file_now(const temp_pattern& p) {
    made_file made;
    for (;;) {
        std::string path = p.name();
        made.handle = std::make_shared<file_handle>(-1, path);
        made.handle->set(uninterrupted([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600); }));
        if (made.handle->fd() < 0 && errno == EEXIST) continue;
        if (made.handle->fd() < 0) fail("cannot create", path);
        made.name->made(std::move(path));
        return made;
    }
}

handle_ptr make_unnamed_now(const temp_pattern& p) {
    const handle_ptr h = std::make_shared<file_handle>(-1, p.directory + "/(unnamed)");
    h->set(uninterrupted([&] { return ::open(p.directory.c_str(), O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600); }));
    if (h->fd() >= 0) return h;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) fail("cannot create a temporary file in", p.directory);
    return make_file_now(p).handle; // and its name goes
}

task<file> open_unnamed_like(temp_pattern like) {
    handle_ptr made = co_await offload(pool(), &make_unnamed_now, std::move(like));
    co_return file(std::move(made));
}

name_ptr make_directory_now(const temp_pattern& p) {
    name_ptr name = std::make_shared<temp_name>(temp_kind::directory);
    for (;;) {
        std::string path = p.name();
        if (::mkdir(path.c_str(), 0700) != 0) {
            if (errno == EEXIST) continue;
            fail("cannot create", path);
        }
        name->made(std::move(path));
        return name;
    }
}

/// What came of a close.
class close_end {
public:
    std::exception_ptr error;
};

/// The name goes also if the close fails. Throws if it does not go.
close_end close_and_remove_now(const handle_ptr& h, const name_ptr& name) {
    close_end end;
    try {
        if (h) close_now(h);
    } catch (...) {
        end.error = std::current_exception();
    }
    remove_now(name->path(), temp_kind::file);
    return end;
}

/// Closes before the rename: an error of the close means that the contents may not be what they should.
void keep_now(const handle_ptr& h, const name_ptr& name, const std::string& to) {
    const handle_ptr open = h ? h : open_now(name->path(), O_RDONLY | O_CLOEXEC, 0); // it was closed before
    sync_now(open);
    close_now(open);
    if (::rename(name->path().c_str(), to.c_str()) == 0) return;
    const int error = errno;
    throw std::system_error(error, std::generic_category(), "cannot rename '" + name->path() + "' to '" + to + "'");
}

const std::string& path_of(const name_ptr& name) noexcept {
    static const std::string none;
    return name && name->there() ? name->path() : none;
}

} // namespace
} // namespace detail

using detail::name_ptr;
using detail::pool;

// --- temp_file

temp_file::temp_file() noexcept = default;
temp_file::temp_file(temp_file&&) noexcept = default;
temp_file& temp_file::operator=(temp_file&&) noexcept = default;
temp_file::~temp_file() {
    if (file_.is_open()) file_.handle()->written = false; // its contents are of no use to anybody
}
temp_file::temp_file(eddy::file f, name_ptr n) noexcept : file_(std::move(f)), name_(std::move(n)) {}

const std::string& temp_file::path() const noexcept {
    return detail::path_of(name_);
}

// The options are copied before the task is awaited: they may be views of temporaries.
task<temp_file> temp_file::create(temp_options options) {
    return create_like(detail::temp_pattern(options));
}
task<temp_file> temp_file::create_like(detail::temp_pattern like) {
    detail::made_file made = co_await offload(pool(), &detail::make_file_now, std::move(like));
    co_return temp_file(eddy::file(std::move(made.handle)), std::move(made.name));
}

task<eddy::file> temp_file::open_unnamed(temp_options options) {
    return detail::open_unnamed_like(detail::temp_pattern(options));
}

/// The open file for a worker that closes it. Nobody else has it then.
detail::handle_ptr temp_file::hand_over() {
    const detail::handle_ptr open = file_.is_open() ? file_.handle() : nullptr;
    if (open) open->written = false; // if it is dropped, that is no news
    file_ = eddy::file();
    return open;
}

// Shielded, and what is thrown afterwards: as file::close. Until it has happened the name is there to be removed by the
// destructor: there may be no worker or no memory for it.
task<> temp_file::remove() {
    const name_ptr name = name_;
    if (!name || !name->there()) co_return;
    const bool was_cancelled = this_task::cancel_requested();
    const detail::handle_ptr open = hand_over();
    auto removing = offload(pool(), &detail::close_and_remove_now, open, name);
    const detail::close_end end = co_await shielded(std::move(removing));
    name->gone();
    if (end.error) std::rethrow_exception(end.error);
    if (was_cancelled) co_await this_task::checkpoint();
}

task<> temp_file::keep(std::string path) {
    const name_ptr name = name_;
    if (!name || !name->there()) throw closed_resource("temp_file::keep: there is no file any more");
    const detail::handle_ptr open = hand_over();
    co_await offload(pool(), &detail::keep_now, open, name, std::move(path));
    name->gone(); // it was kept, whatever comes: nothing throws from here on
}

// --- temp_directory

temp_directory::temp_directory() noexcept = default;
temp_directory::temp_directory(temp_directory&&) noexcept = default;
temp_directory& temp_directory::operator=(temp_directory&&) noexcept = default;
temp_directory::~temp_directory() = default;
temp_directory::temp_directory(name_ptr n) noexcept : name_(std::move(n)) {}

const std::string& temp_directory::path() const noexcept {
    return detail::path_of(name_);
}

task<temp_directory> temp_directory::create(temp_options options) {
    return create_like(detail::temp_pattern(options));
}
task<temp_directory> temp_directory::create_like(detail::temp_pattern like) {
    name_ptr made = co_await offload(pool(), &detail::make_directory_now, std::move(like));
    co_return temp_directory(std::move(made));
}

task<> temp_directory::remove() {
    const name_ptr name = name_;
    if (!name || !name->there()) co_return;
    const bool was_cancelled = this_task::cancel_requested();
    auto removing = offload(pool(), &detail::remove_now, name->path(), detail::temp_kind::directory);
    co_await shielded(std::move(removing));
    name->gone();
    if (was_cancelled) co_await this_task::checkpoint();
}

} // namespace eddy

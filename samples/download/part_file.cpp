#include "part_file.hpp"

#include <sys/stat.h>

#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <eddy/fs.hpp>

namespace download_manager {

namespace {

// One call for the name's inode: no reason to go to the pool.
bool is_at(int fd, const std::string& path) {
    struct stat a {};
    struct stat b {};
    return ::fstat(fd, &a) == 0 && ::stat(path.c_str(), &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

} // namespace

eddy::task<part_file> part_file::open(std::string target) {
    const std::string path = target + ".part";
    for (;;) {
        eddy::file f = co_await eddy::file::open(path, eddy::file::mode::read_write | eddy::file::mode::create);
        std::optional<eddy::file_lock> lock = co_await f.try_lock();
        if (!lock) throw std::runtime_error(path + " is being written by another download");
        // Who had it locked before may have given it its name meanwhile. Then it is none of ours: once more.
        if (is_at(f.native_handle(), path)) co_return part_file(std::move(f), std::move(*lock), path);
    }
}

eddy::task<part_file::remains> part_file::look(const std::string& url) {
    std::string info;
    try {
        info = co_await eddy::read_file(info_path());
    } catch (const std::system_error& e) {
        if (e.code() != std::errc::no_such_file_or_directory) throw;
    }
    const std::string start = url + "\n";
    const std::uint64_t size = co_await file_.size();
    remains found;
    if (size > 0 && info.starts_with(start) && info.size() > start.size() + 1) {
        found.mark = info.substr(start.size(), info.size() - start.size() - 1);
        found.size = size;
    } else {
        co_await clear();
    }
    co_return found;
}

eddy::task<> part_file::begin(const std::string& url, const std::string& mark) {
    co_await clear();
    std::string info = url + "\n" + mark + "\n";
    co_await eddy::write_file_atomically(info_path(), std::move(info));
}

eddy::task<> part_file::clear() {
    co_await eddy::fs::remove(info_path());
    co_await file_.truncate(0);
}

eddy::task<> part_file::finish(const std::string& target) {
    co_await file_.sync();
    co_await eddy::fs::rename(path_, target);
    co_await eddy::fs::remove(info_path());
    co_await file_.close();
    std::string folder = eddy::fs::path(target).parent_path().string();
    if (folder.empty()) folder = ".";
    eddy::file above = co_await eddy::file::open(folder);
    co_await above.sync(); // else a loss of power may take the name back
    co_await above.close();
}

} // namespace download_manager

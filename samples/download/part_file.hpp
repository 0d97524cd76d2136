// What there is of a file before it has its name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <eddy/file.hpp>
#include <eddy/task.hpp>

namespace download_manager {

// NAME.part, locked, and NAME.part.info, which says what it is a part of.
class part_file {
public:
    part_file(eddy::file f, eddy::file_lock l, std::string p) noexcept
        : file_(std::move(f)), lock_(std::move(l)), path_(std::move(p)) {}

    // Throws if another process is at it.
    static eddy::task<part_file> open(std::string target);
    struct remains {
        std::string mark; // the server's, see version_mark
        std::uint64_t size = 0;
    };
    // What there is of this URL. What is of anything else is thrown away.
    eddy::task<remains> look(const std::string& url);
    // The mark is removed before the bytes that it stands for, and written before those that follow: whenever we are
    // killed, bytes are never taken for those of another version.
    eddy::task<> begin(const std::string& url, const std::string& mark);
    eddy::task<> clear();
    eddy::task<> write_at(std::uint64_t offset, std::string_view bytes) { co_await file_.write_at(offset, bytes); }
    // The file gets its name.
    eddy::task<> finish(const std::string& target);
    [[nodiscard]] int descriptor() const noexcept { return file_.native_handle(); }

private:
    [[nodiscard]] std::string info_path() const { return path_ + ".info"; }
    eddy::file file_;
    eddy::file_lock lock_;
    std::string path_;
};

} // namespace download_manager

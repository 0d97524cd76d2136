// The directories of the files.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include <eddy/event.hpp>
#include <eddy/fs_watcher.hpp>
#include <eddy/task.hpp>

namespace file_tail {

/// Who is to be woken when something happens in a directory.
class directories {
public:
    /// What happens to that directory entry, and if it is a link, to where it leads, sets `woken`, which has to stay. The directory has
    /// to be there.
    eddy::task<> watch(std::filesystem::path entry, eddy::event& woken);
    /// Wakes them, until it is cancelled. Throws when the last directory is gone.
    eddy::task<> dispatch();

private:
    eddy::task<> add(std::filesystem::path directory, std::filesystem::path entry_name, eddy::event& woken);
    void gone(const std::string& directory);

    eddy::fs::watcher watcher_;
    std::set<std::string> watched_;
    std::map<std::string, std::set<eddy::event*>> concerned_; // by directory/name
};

} // namespace file_tail

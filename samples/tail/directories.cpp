#include "directories.hpp"

#include <cstdio>
#include <optional>
#include <stdexcept>

#include <eddy/fs.hpp>

namespace file_tail {

namespace fs = eddy::fs;

eddy::task<> directories::add(std::filesystem::path directory, std::filesystem::path entry_name, eddy::event& woken) {
    using enum fs::change;
    co_await watcher_.add(directory, created | modified | removed | moved_from | moved_to);
    watched_.insert(directory.string());
    concerned_[(directory / entry_name).string()].insert(&woken);
}

// Directories are known by their canonical paths: one that has two names is watched by one of them only.
eddy::task<> directories::watch(std::filesystem::path entry, eddy::event& woken) {
    const std::filesystem::path parent = entry.has_parent_path() ? entry.parent_path() : std::filesystem::path(".");
    const std::filesystem::path directory = co_await fs::canonical(parent);
    co_await add(directory, entry.filename(), woken);
    std::optional<std::filesystem::path> target;
    try {
        target = co_await fs::canonical(entry);
    } catch (const fs::filesystem_error&) {
        // There is nothing yet.
    }
    if (target && *target != directory / entry.filename()) co_await add(target->parent_path(), target->filename(), woken);
}

eddy::task<> directories::dispatch() {
    for (;;) {
        const fs::event e = co_await watcher_.next();
        switch (e.kind()) {
        case fs::change::overflow: // nobody knows what has happened: all look for themselves
            for (const auto& [path, all] : concerned_)
                for (eddy::event* woken : all) woken->set();
            break;
        case fs::change::self_removed:
        case fs::change::self_moved:
            gone(e.path().string());
            break;
        default:
            if (const auto found = concerned_.find(e.path().string()); found != concerned_.end())
                for (eddy::event* woken : found->second) woken->set();
        }
    }
}

void directories::gone(const std::string& directory) {
    if (watched_.erase(directory) == 0) return;
    watcher_.remove(directory);
    std::fprintf(stderr, "tail: the directory '%s' is gone; nothing in it is followed any more\n", directory.c_str());
    if (watched_.empty()) throw std::runtime_error("nothing is left to follow");
}

} // namespace file_tail

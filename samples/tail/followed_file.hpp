// One of the files.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <eddy/event.hpp>
#include <eddy/file.hpp>
#include <eddy/task.hpp>

#include "directories.hpp"
#include "printer.hpp"

namespace file_tail {

/// A name that is followed, and the file that it stands for now, if there is one.
class followed_file {
public:
    followed_file(directories& d, printer& p, std::string name) : directories_(d), printer_(p), name_(std::move(name)) {}
    followed_file(const followed_file&) = delete;
    followed_file& operator=(const followed_file&) = delete;

    /// Is woken when something happens to the name.
    eddy::task<> watch() { return directories_.watch(name_, woken_); }
    /// Opens the file, if there is one, and shows its end.
    eddy::task<> show_last(std::size_t lines);
    /// Shows what is added whenever it is woken, until it is cancelled.
    eddy::task<> follow();
    /// Shows the beginning of a line that is not complete.
    eddy::task<> show_rest();
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    struct identity {
        std::uint64_t device = 0;
        std::uint64_t inode = 0;
        bool operator==(const identity&) const = default;
    };
    eddy::task<std::optional<identity>> look_up();
    eddy::task<> open();
    [[nodiscard]] struct stat status_of_open() const;
    eddy::task<> let_go();
    eddy::task<> catch_up();
    eddy::task<> read_on();
    eddy::task<std::uint64_t> start_of_last(std::size_t lines);
    eddy::task<> show_lines(std::string_view more);
    void tell(std::string message);

    directories& directories_;
    printer& printer_;
    const std::string name_;
    eddy::event woken_;
    eddy::file file_; // stays open when it is renamed, until there is another of that name
    identity opened_;
    std::uint64_t position_ = 0; // shown up to here, but for rest_
    std::string rest_;           // of a line that is not complete
    std::string problem_;        // told last: not again
};

} // namespace file_tail

// tail: the last lines of files, and then what is added to them: as `tail -F` of the GNU coreutils.
//
//     tail [-n LINES] FILE...
//
// Follows names: a file may be added to, cut short, replaced by another (as log files are), or come into being later. What becomes of
// the files is told on stderr. A line is shown when it is complete, so that lines of different files do not mix. Ctrl-C ends it.
//
// One task waits for what happens in the directories (fs::watcher) and wakes the tasks of the files concerned; each of these reads
// its file up to its end whenever it is woken, however many events there were: a slow disk or a flood of events holds up nobody else.
//
// followed_file.hpp is the heart of it, directories.hpp waits for the events, printer.hpp writes.
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <list>
#include <span>
#include <stdexcept>
#include <string>

#include <eddy/errors.hpp>
#include <eddy/run.hpp>
#include <eddy/task_group.hpp>
#include <eddy/with_cleanup.hpp>

#include "directories.hpp"
#include "followed_file.hpp"
#include "options.hpp"
#include "printer.hpp"

namespace {

using namespace file_tail;
using namespace std::chrono_literals;

eddy::task<> follow(directories& places, std::list<followed_file>& files) {
    auto all = [&](eddy::task_group& g) -> eddy::task<> {
        for (followed_file& f : files) g.spawn(f.follow(), {.name = f.name()});
        co_await places.dispatch();
    };
    try {
        co_await eddy::with_task_group(all);
    } catch (const eddy::exception_group& failures) {
        failures.rethrow_if_single(); // its words are better than those of the group
        throw;
    }
}

// Watching comes first, then reading, so that nothing falls between the two.
eddy::task<> tail(const options& o) {
    printer shown(o.files.size() > 1);
    directories places;
    std::list<followed_file> files;
    for (const std::string& name : o.files) files.emplace_back(places, shown, name);
    for (followed_file& f : files) co_await f.watch();
    for (followed_file& f : files) co_await f.show_last(o.lines);
    auto until_cancelled = [&] { return follow(places, files); };
    auto last_words = [&]() -> eddy::task<> {
        for (followed_file& f : files) co_await f.show_rest();
    };
    co_await eddy::with_cleanup(until_cancelled, last_words, 1s);
}

eddy::task<int> run_tail(options o) {
    try {
        co_await tail(o);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "tail: %s\n", e.what());
        co_return 1;
    }
    co_return 0;
}

} // namespace

int main(int argc, char** argv) {
    try {
        const options o = parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
        return eddy::run_main(run_tail(o));
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "tail: %s\nusage: tail [-n LINES] FILE...\n", e.what());
        return 2;
    }
}

// Seeing inside a loop: who is there, who waits for whom, and for what.
#pragma once

#include <source_location>
#include <string>
#include <vector>

#include <eddy/event_loop.hpp>

namespace eddy {

/// The loop's tasks as a tree: groups' children below the task that waits for them, each with name, what it waits for and
/// its await site. Loop thread only.
[[nodiscard]] std::string format_tasks(const event_loop& loop);
/// The same for the loop of this thread, to stderr.
void print_tasks();

/// A task in one line, for logs: "name [what it waits for] at file:line". "no task" for an empty handle.
[[nodiscard]] std::string to_string(const any_task& task);

/// Where a task is, through all its coroutines, and who waits for it. After asyncio's call graph.
struct call_graph {
    std::string name;
    std::string waits_for; // "sleep", "mutex", …; "running", "ready", "not started", "done"
    /// The await sites of its coroutines, innermost first; the library's own are left out.
    std::vector<std::source_location> frames;
    /// The tasks that await its handle, and the one whose group, gather or race it belongs to. A task that stands in the
    /// graph already has none here, nor has one 200 levels up or behind the first thousand.
    std::vector<call_graph> awaited_by;
};

/// The graph above one task. Loop thread only. Throws `std::logic_error` for an empty handle.
[[nodiscard]] call_graph capture_call_graph(const any_task& task);
/// As text, an indented line a frame.
[[nodiscard]] std::string format_call_graph(const any_task& task);
/// The same to stderr.
void print_call_graph(const any_task& task);
namespace this_task {
/// Of the current task. Throws `std::logic_error` where there is none.
void print_call_graph();
} // namespace this_task

} // namespace eddy

// Seeing inside a loop: who is there, who waits for whom, and for what.
#pragma once

#include <string>

#include <eddy/event_loop.hpp>

namespace eddy {

/// The loop's tasks as a tree: groups' children below the task that waits for them, each with name, what it waits for and
/// its await site. Loop thread only.
[[nodiscard]] std::string format_tasks(const event_loop& loop);
/// The same for the loop of this thread, to stderr.
void print_tasks();

} // namespace eddy

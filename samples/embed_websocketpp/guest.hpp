// What is new: tasks, which talk to the server on the thread and in the io_context that it runs in.
#pragma once

#include <eddy/task.hpp>

#include "echo_server.hpp"

/// Says a few words and hears them again while a timer of eddy's ticks, then has the server stop, and waits until it has.
[[nodiscard]] eddy::task<> visit(echo_server& host);

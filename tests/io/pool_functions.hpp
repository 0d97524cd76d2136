// Functions for the workers of the process_pool tests, and what these look up about processes.
#pragma once

#include <eddy/process_pool.hpp>
#include <eddy/task.hpp>

#include <cstddef>
#include <stdexcept>
#include <stop_token>
#include <vector>

namespace pool_functions {

// --- in a worker

int twice(int x);
int own_pid();
int parent_pid();
/// Dies by it, or ends.
void by_signal(int number);
void by_exit(int code);
/// Reports 1, and stays until somebody ends it.
void hang();
/// Reports 1, and stays until it is asked to stop.
int until_stopped(std::stop_token stop, int result);
class bad_order : public std::runtime_error { // registered
public:
    using std::runtime_error::runtime_error;
};
void fails_to_warm_up();

// --- in the test

/// Does it exist, be it as a zombie?
[[nodiscard]] bool there_is(int pid);
/// Does it run? One that nobody collects, as in a container without an init process, does not.
[[nodiscard]] bool lives(int pid);
/// Real time; the test's watchdog ends it.
eddy::task<> until_gone(int pid);
/// Zombies among them, in the order of their numbers.
[[nodiscard]] std::vector<int> children_of(int pid);
[[nodiscard]] std::size_t descriptors_of(int pid);

} // namespace pool_functions

#include "pool_functions.hpp"

#include <eddy/this_task.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

namespace pool_functions {

using namespace eddy;

int twice(int x) {
    return 2 * x;
}
EDDY_REMOTE(twice)
int own_pid() {
    return ::getpid();
}
EDDY_REMOTE(own_pid)
int parent_pid() {
    return ::getppid();
}
EDDY_REMOTE(parent_pid)
void by_signal(int number) {
    ::signal(number, SIG_DFL); // sanitizers have their own handlers
    ::raise(number);
}
EDDY_REMOTE(by_signal)
void by_exit(int code) {
    std::_Exit(code);
}
EDDY_REMOTE(by_exit)
void hang() {
    this_call::progress(1);
    for (;;) ::pause();
}
EDDY_REMOTE(hang)
int until_stopped(std::stop_token stop, int result) {
    this_call::progress(1);
    while (!stop.stop_requested()) std::this_thread::yield();
    return result;
}
EDDY_REMOTE(until_stopped)
namespace {
const remote_exception<bad_order> bad_order_crosses;
}
void fails_to_warm_up() {
    throw bad_order("cold");
}
EDDY_REMOTE(fails_to_warm_up)

namespace {

/// State and parent, as the kernel knows them.
struct process_facts {
    char state = 'X';
    int parent = 0;
};
process_facts facts_of(const std::string& pid) {
    std::ifstream file("/proc/" + pid + "/stat");
    std::string line;
    process_facts f;
    if (!std::getline(file, line)) return f;
    const std::size_t name_end = line.rfind(')');
    if (name_end == std::string::npos || name_end + 4 >= line.size()) return f;
    f.state = line[name_end + 2];
    f.parent = std::atoi(line.c_str() + name_end + 4);
    return f;
}

} // namespace

bool there_is(int pid) {
    return ::kill(pid, 0) == 0;
}
bool lives(int pid) {
    const char state = facts_of(std::to_string(pid)).state;
    return state != 'Z' && state != 'X';
}
task<> until_gone(int pid) {
    while (lives(pid)) co_await this_task::yield();
}
std::vector<int> children_of(int pid) {
    std::vector<int> all;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename().string();
        int number = 0;
        if (std::from_chars(name.data(), name.data() + name.size(), number).ec != std::errc()) continue;
        if (facts_of(name).parent == pid) all.push_back(number);
    }
    std::sort(all.begin(), all.end());
    return all;
}
std::size_t descriptors_of(int pid) {
    const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid) + "/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

} // namespace pool_functions

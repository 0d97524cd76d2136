#include <eddy/debug.hpp>

#include <cstdio>
#include <map>
#include <vector>

#include <fmt/format.h>

#include <eddy/detail/child_set.hpp>

#include "loop_core.hpp"

namespace eddy {
namespace {

using detail::task_context;

std::string_view doing(const task_context& t) {
    if (t.running()) return "running";
    if (!t.started()) return "not started";
    return t.wait() ? t.wait()->waits_for() : "ready";
}

using children_map = std::map<const task_context*, std::vector<const task_context*>>;

void append(std::string& out, const task_context& t, const children_map& children, int depth) {
    const std::source_location w = t.where();
    out += fmt::format("{:{}}{} [{}]", "", depth * 2, t.name(), doing(t));
    if (w.line() != 0) out += fmt::format(" at {}:{}", w.file_name(), w.line());
    if (t.cancel_pending()) out += " (cancelled)";
    out += '\n';
    const auto it = children.find(&t);
    if (it == children.end()) return;
    for (const task_context* c : it->second) append(out, *c, children, depth + 1);
}

} // namespace

std::string format_tasks(const event_loop& loop) {
    children_map children;
    for (const any_task& h : loop.all_tasks()) {
        const task_context& t = h.context();
        const auto* set = static_cast<const detail::child_set*>(t.owner());
        children[set ? &set->host() : nullptr].push_back(&t);
    }
    std::string out;
    for (const task_context* t : children[nullptr]) append(out, *t, children, 0);
    return out.empty() ? "no tasks\n" : out;
}

void print_tasks() {
    std::fputs(format_tasks(this_loop()).c_str(), stderr);
}

} // namespace eddy

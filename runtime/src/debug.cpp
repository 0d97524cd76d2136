#include <eddy/debug.hpp>

#include <cstdio>
#include <map>
#include <set>
#include <vector>

#include <fmt/format.h>

#include <eddy/detail/child_set.hpp>
#include <eddy/this_task.hpp>

#include "loop_core.hpp"

namespace eddy {
namespace {

using detail::core_of;
using detail::task_context;

std::string_view doing(const task_context& t) {
    if (t.running()) return "running";
    if (!t.started()) return "not started";
    return t.wait() ? t.wait()->waits_for() : "ready";
}

// name [doing] at file:line
std::string line_of(const task_context& t) {
    const std::source_location w = t.where();
    std::string text = fmt::format("{} [{}]", t.name(), t.done() ? "done" : doing(t));
    if (w.line() != 0) text += fmt::format(" at {}:{}", w.file_name(), w.line());
    return text;
}

using children_map = std::map<const task_context*, std::vector<const task_context*>>;

void append(std::string& out, const task_context& t, const children_map& children, int depth) {
    out += fmt::format("{:{}}{}", "", depth * 2, line_of(t));
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

std::string to_string(const any_task& task) {
    return task ? line_of(task.context()) : "no task";
}

void print_tasks() {
    std::fputs(format_tasks(this_loop()).c_str(), stderr);
}

namespace {

constexpr std::size_t most_levels = 200;
constexpr std::size_t most_tasks = 1000;

// Two tasks can wait for each other, and many for the same: each is followed once.
call_graph graph_of(const task_context& t, std::set<const task_context*>& seen, std::size_t level = 0) {
    call_graph g{.name = t.name(), .waits_for = t.done() ? "done" : std::string(doing(t)), .frames = t.await_sites(), .awaited_by = {}};
    if (t.done() || !seen.insert(&t).second || level == most_levels || seen.size() > most_tasks) return g;
    for (const task_context* other = core_of(t.loop()).first_task(); other; other = other->next_task()) {
        if (other->wait() && other->wait()->awaits(t)) g.awaited_by.push_back(graph_of(*other, seen, level + 1));
    }
    if (const auto* set = static_cast<const detail::child_set*>(t.owner())) g.awaited_by.push_back(graph_of(set->host(), seen, level + 1));
    return g;
}

void append(std::string& out, const call_graph& g, int depth) {
    out += fmt::format("{:{}}{} [{}]\n", "", depth * 2, g.name, g.waits_for);
    for (const std::source_location& s : g.frames) out += fmt::format("{:{}}at {}:{}\n", "", depth * 2 + 2, s.file_name(), s.line());
    if (g.awaited_by.empty()) return;
    out += fmt::format("{:{}}awaited by\n", "", depth * 2 + 2);
    for (const call_graph& above : g.awaited_by) append(out, above, depth + 2);
}

} // namespace

call_graph capture_call_graph(const any_task& task) {
    std::set<const task_context*> seen;
    return graph_of(task.context(), seen);
}

std::string format_call_graph(const any_task& task) {
    std::string out;
    append(out, capture_call_graph(task), 0);
    return out;
}

void print_call_graph(const any_task& task) {
    std::fputs(format_call_graph(task).c_str(), stderr);
}

void this_task::print_call_graph() {
    eddy::print_call_graph(handle());
}

} // namespace eddy

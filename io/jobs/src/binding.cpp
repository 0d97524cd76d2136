#include <eddy/jobs/binding.hpp>

#include <algorithm>

#include "text.hpp"

namespace eddy::jobs::detail {

namespace {

std::string count_of(std::size_t n) {
    return std::to_string(n) + (n == 1 ? " argument" : " arguments");
}
[[noreturn]] void bad_call(std::string_view task, const std::string& what) {
    throw bad_arguments(std::string(task) + "() " + what);
}

} // namespace

std::string describe(const json& v) {
    std::string text = dump_json(v);
    if (text.size() > 60) text = text.substr(0, 57) + "...";
    if (v.is_null()) return "null";
    if (v.is_boolean()) return text;
    if (v.is_string()) return "the string " + text;
    if (v.is_array()) return "the list " + text;
    if (v.is_object()) return "the object " + text;
    return text;
}
void throw_mismatch(std::string_view where, std::string_view expected, const json& got) {
    throw bad_arguments(std::string(where) + ": expected " + std::string(expected) + ", got " + describe(got));
}
std::string argument_name(std::string_view task, std::span<const std::string> names, std::size_t index) {
    std::string text = std::string(task) + "() argument " + std::to_string(index + 1);
    if (index < names.size()) text += " ('" + names[index] + "')";
    return text;
}

std::string element(std::string_view where, std::size_t i) {
    return std::string(where) + ", element " + std::to_string(i);
}
std::string element(std::string_view where, std::string_view key) {
    return std::string(where) + ", element '" + std::string(key) + "'";
}

json arrange(std::string_view task, arguments a, std::span<const std::string> names, std::size_t required, std::size_t all) {
    json given = std::move(a.positional);
    const std::string takes = "takes " + (required == all ? count_of(all) : std::to_string(required) + " to " + count_of(all));
    if (given.size() > all) bad_call(task, takes + " but " + std::to_string(given.size()) + " were given");
    std::vector<bool> set(all, false);
    for (std::size_t i = 0; i < given.size(); ++i) set[i] = true;
    for (const auto& [name, value] : a.named.items()) {
        const auto at = std::ranges::find(names, name);
        if (at == names.end()) {
            if (names.empty()) bad_call(task, "was given the keyword argument '" + name + "', and its parameters have no names (task_options::parameters)");
            bad_call(task, "has no parameter '" + name + "'");
        }
        const auto i = static_cast<std::size_t>(at - names.begin());
        if (i >= all) bad_call(task, "has no parameter '" + name + "'");
        if (set[i]) bad_call(task, "got more than one value for '" + name + "'");
        while (given.size() <= i) given.push_back(nullptr);
        given[i] = value;
        set[i] = true;
    }
    for (std::size_t i = 0; i < required; ++i)
        if (!set[i]) bad_call(task, takes + " but " + (i < names.size() ? "'" + names[i] + "' is missing" : "only " + std::to_string(given.size()) + (given.size() == 1 ? " was given" : " were given")));
    return given;
}

task<json> run_plain(handler& h, std::shared_ptr<context> c, arguments a) {
    co_return h.call(*c, std::move(a));
}

} // namespace eddy::jobs::detail

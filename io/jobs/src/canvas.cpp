#include "canvas.hpp"

#include <algorithm>
#include <iterator>

namespace eddy::jobs::detail {

namespace {

[[noreturn]] void bad_signature(const std::string& why) {
    throw malformed_message("not a signature: " + why);
}

const json& require_tasks(const json& form) {
    static const json none = json::array();
    const auto at = form.find("kwargs");
    if (at == form.end() || !at->is_object()) return none;
    const auto tasks = at->find("tasks");
    if (tasks == at->end()) return none;
    if (tasks->is_array()) return *tasks;
    bad_signature("its tasks are no list");
}
std::string subtask_type(const json& form) {
    if (!form.is_object() || !form.contains("task") || !form["task"].is_string()) bad_signature("it has no task");
    return form["task"].get<std::string>();
}
json options_of(const json& form) {
    const auto at = form.find("options");
    return at == form.end() || !at->is_object() ? json::object() : *at;
}
bool is_immutable(const json& form) {
    return form.value("immutable", json(false)) == true;
}
std::string text_option(const json& options, const char* name) {
    const auto at = options.find(name);
    return at == options.end() || !at->is_string() ? std::string() : at->get<std::string>();
}
/// One signature or a list of them, as `link` and `link_error` are.
json list_option(const json& options, const char* name) {
    const auto at = options.find(name);
    if (at == options.end() || at->is_null()) return {};
    return at->is_array() ? *at : json::array({*at});
}
json joined(json a, const json& b) {
    if (a.is_null()) return b;
    if (b.is_array()) a.insert(a.end(), b.begin(), b.end());
    return a;
}

/// What is said of a whole workflow of how it is to run, goes to a part of it, as Celery has it.
void pass_options(const json& own, json& part) {
    json& options = part["options"];
    if (!options.is_object()) options = json::object();
    for (const char* name : {"queue", "routing_key", "priority", "countdown", "eta", "expires", "time_limit", "soft_time_limit", "ignore_result", "headers"})
        if (const auto at = own.find(name); at != own.end()) options[name] = *at;
}
void pass_list(const char* name, const json& own, json& part) {
    json& options = part["options"];
    if (!options.is_object()) options = json::object();
    if (json all = joined(list_option(options, name), list_option(own, name)); !all.is_null()) options[name] = std::move(all);
}
/// The place of a workflow in another one is written into its options.
origin placed(origin from, const json& own) {
    if (const auto chain = own.find("chain"); chain != own.end() && chain->is_array() && !chain->empty()) from.chain = joined(from.chain, *chain);
    if (const auto chord = own.find("chord"); chord != own.end() && chord->is_object()) from.chord = *chord;
    if (std::string group = text_option(own, "group_id"); !group.empty()) {
        from.group = std::move(group);
        from.group_index.reset();
        if (const auto index = own.find("group_index"); index != own.end() && index->is_number_integer()) from.group_index = index->get<int>();
    }
    return from;
}

void read_times(message& m, const json& options) {
    const auto number = [&](const char* name) -> std::optional<double> {
        const auto at = options.find(name);
        if (at == options.end() || !at->is_number()) return {};
        return at->get<double>();
    };
    const auto time = [&](const char* name) -> std::optional<wall_time> {
        const auto at = options.find(name);
        if (at == options.end() || at->is_null()) return {};
        if (at->is_number()) return wall_now() + std::chrono::duration_cast<wall_time::duration>(std::chrono::duration<double>(at->get<double>()));
        const auto t = at->is_string() ? from_iso(at->get_ref<const std::string&>()) : std::nullopt;
        if (!t) bad_signature(std::string(name) + " is no time");
        return t;
    };
    m.eta = options.contains("countdown") && options["countdown"].is_number() ? time("countdown") : time("eta");
    m.expires = time("expires");
    m.time_limit = number("time_limit");
    m.soft_time_limit = number("soft_time_limit");
    if (const auto p = number("priority")) m.priority = std::clamp(static_cast<int>(*p), 0, 9);
}

plan plan_task(const json& form, const std::optional<json>& first, const origin& from) {
    const json options = options_of(form);
    message m;
    m.task = subtask_type(form);
    m.id = text_option(options, "task_id");
    if (m.id.empty()) m.id = make_uuid();
    m.tag = make_uuid();
    m.root_id = from.root_id.empty() ? m.id : from.root_id;
    m.parent_id = from.parent_id;
    m.group = text_option(options, "group_id");
    if (m.group.empty()) {
        m.group = from.group;
        m.group_index = from.group_index;
    } else if (options.contains("group_index") && options["group_index"].is_number_integer()) {
        m.group_index = options["group_index"].get<int>();
    }
    m.queue = text_option(options, "queue");
    if (m.queue.empty()) m.queue = text_option(options, "routing_key");
    if (m.queue.empty()) m.queue = from.queue;
    m.reply_to = text_option(options, "reply_to");
    if (m.reply_to.empty()) m.reply_to = from.reply_to;
    m.ignore_result = options.value("ignore_result", json(false)) == true;
    if (options.contains("headers") && options["headers"].is_object()) m.headers = options["headers"];
    read_times(m, options);
    m.args = form.value("args", json::array());
    if (m.args.is_null()) m.args = json::array();
    if (!m.args.is_array()) bad_signature("its arguments are no list");
    m.kwargs = form.value("kwargs", json::object());
    if (!m.kwargs.is_object()) m.kwargs = json::object();
    if (first && !is_immutable(form)) m.args.insert(m.args.begin(), *first);
    m.callbacks = list_option(options, "link");
    m.errbacks = list_option(options, "link_error");
    m.chain = joined(from.chain, options.contains("chain") ? options["chain"] : json());
    m.chord = options.contains("chord") && options["chord"].is_object() ? options["chord"] : from.chord;
    plan p;
    p.result = m.id;
    p.children.push_back(m.id);
    p.messages.push_back(std::move(m));
    return p;
}

std::string id_of(json& form) {
    json& options = form["options"];
    if (!options.is_object()) options = json::object();
    if (text_option(options, "task_id").empty()) options["task_id"] = make_uuid();
    return options["task_id"].get<std::string>();
}

/// The id under which the result of a step will be stored; it is given one, if it has none.
std::string result_id_of(json& form) {
    const std::string type = subtask_type(form);
    if (type == "celery.chain") {
        json& tasks = form["kwargs"]["tasks"];
        if (!tasks.is_array() || tasks.empty()) bad_signature("an empty chain");
        return result_id_of(tasks.back());
    }
    if (type == "celery.chord") return result_id_of(form["kwargs"]["body"]);
    return id_of(form);
}

/// Flattens chains inside of chains: what follows one follows its last step, or any that fails.
void append_steps(json& steps, const json& form) {
    if (subtask_type(form) != "celery.chain") {
        steps.push_back(form);
        return;
    }
    const std::size_t first = steps.size();
    for (const json& step : require_tasks(form)) append_steps(steps, step);
    if (steps.size() == first) return;
    const json own = options_of(form);
    pass_list("link", own, steps.back());
    for (std::size_t i = first; i < steps.size(); ++i) pass_list("link_error", own, steps[i]);
}

/// The one whose result is the whole's; null for what has no steps.
const json* last_step_of(const json& form) {
    const std::string type = subtask_type(form);
    if (type == "celery.chain" && !require_tasks(form).empty()) return &require_tasks(form).back();
    const auto kwargs = form.find("kwargs");
    if (type != "celery.chord" || kwargs == form.end() || !kwargs->is_object()) return nullptr;
    const auto body = kwargs->find("body");
    return body == kwargs->end() ? nullptr : &*body;
}

json chord_of(const json& header, const json& body) {
    return {{"task", "celery.chord"}, {"args", json::array()}, {"kwargs", {{"header", header}, {"body", body}, {"kwargs", json::object()}}}, {"options", json::object()},
            {"subtask_type", "chord"}, {"immutable", false}};
}

/// A group that something follows is the header of a chord, whose body may be a chord.
void join_groups(json& steps) {
    for (std::size_t i = steps.size(); i-- > 0;) {
        if (i + 1 == steps.size()) continue;
        if (subtask_type(steps[i]) != "celery.group") continue;
        steps[i] = chord_of(steps[i], steps[i + 1]);
        steps.erase(i + 1);
    }
}

plan plan_chain(const json& form, const std::optional<json>& first, const origin& from) {
    json steps = json::array();
    append_steps(steps, form);
    join_groups(steps);
    if (steps.empty()) bad_signature("an empty chain");
    const json own = options_of(form);
    pass_options(own, steps.front());
    if (!from.chord.is_null() && subtask_type(steps.back()) == "celery.group") bad_signature("a group inside of a chord's header");
    origin o = from;
    json rest = json::array();
    for (std::size_t i = steps.size(); i-- > 1;) {
        static_cast<void>(result_id_of(steps[i])); // so that who waits for it can know it
        rest.push_back(steps[i]);
    }
    if (const std::string id = text_option(own, "task_id"); !id.empty() && steps.size() > 1 && subtask_type(rest[0]).rfind("celery.", 0) != 0) rest[0]["options"]["task_id"] = id;
    const std::string last = rest.empty() ? std::string() : result_id_of(rest[0]);
    // What comes after the chain comes after its last step, and reversed that is in front.
    json following = joined(from.chain, rest);
    if (!following.is_null() && following.empty()) following = json();
    // The last step is the member of the chain's own group and chord, not the first one.
    if (!rest.empty()) {
        json& end = rest[0];
        if (!from.group.empty()) {
            end["options"]["group_id"] = from.group;
            if (from.group_index) end["options"]["group_index"] = *from.group_index;
        }
        if (!from.chord.is_null()) end["options"]["chord"] = from.chord;
        o.group.clear();
        o.group_index.reset();
        o.chord = json();
        following = joined(from.chain, rest);
    }
    o.chain = following;
    plan p = plan_signature(steps[0], first, o);
    if (!last.empty()) {
        p.result = last;
        p.result_is_group = false;
    }
    return p;
}

plan plan_members(json tasks, const std::optional<json>& first, origin from, const std::string& group) {
    plan p;
    from.group = group;
    int index = 0;
    saved_group saved{group, {}};
    for (const json& member : tasks) {
        from.group_index = index++;
        plan one = plan_signature(member, first, from);
        saved.members.push_back(one.result);
        append_plan(p, std::move(one));
    }
    p.groups.push_back(std::move(saved));
    p.result = group;
    p.result_is_group = true;
    return p;
}

/// The members of a group, each with what is said of the whole.
json members_of(const json& form) {
    const json own = options_of(form);
    if (!list_option(own, "link").is_null()) bad_signature("a group that something follows: use a chord");
    json members = require_tasks(form);
    for (json& member : members) {
        pass_options(own, member);
        pass_list("link_error", own, member);
    }
    return members;
}

plan plan_group(const json& form, const std::optional<json>& first, const origin& from) {
    if (!from.chord.is_null()) bad_signature("a group inside of a chord's header");
    const json options = options_of(form);
    std::string id = text_option(options, "task_id");
    if (id.empty()) id = text_option(options, "group_id");
    if (id.empty()) id = make_uuid();
    if (!from.chain.is_null() && !from.chain.empty()) {
        origin o = from;
        json next = from.chain.back();
        o.chain.erase(o.chain.size() - 1);
        if (o.chain.empty()) o.chain = json();
        return plan_signature(chord_of(form, next), first, o);
    }
    return plan_members(members_of(form), first, from, id);
}

plan plan_chord(const json& form, const std::optional<json>& first, const origin& from) {
    const json& kwargs = form.at("kwargs");
    if (!kwargs.is_object() || !kwargs.contains("header") || !kwargs.contains("body")) bad_signature("a chord without header or body");
    const json& header = kwargs["header"];
    json tasks = header.is_array() ? header : members_of(header);
    json body = kwargs["body"];
    if (!body.is_object()) bad_signature("a chord whose body is none");
    json own = options_of(form);
    for (json& task : tasks) pass_options(own, task);
    own.erase("countdown"); // the body is late enough by the others
    own.erase("eta");
    pass_options(own, body);
    pass_list("link", own, body);
    pass_list("link_error", own, body);
    // The body's own id comes first: what Python has sent has that of the header in the chord's options.
    if (const std::string id = text_option(own, "task_id"); !id.empty() && subtask_type(body).rfind("celery.", 0) != 0 && text_option(options_of(body), "task_id").empty()) body["options"]["task_id"] = id;
    if (tasks.empty()) { // nothing to wait for
        origin o = from;
        return plan_signature(body, std::optional<json>(json::array()), o);
    }
    const std::string result = result_id_of(body);
    if (!from.chain.is_null() && !from.chain.empty()) body["options"]["chain"] = joined(from.chain, body["options"].contains("chain") ? body["options"]["chain"] : json());
    if (!from.group.empty()) {
        body["options"]["group_id"] = from.group;
        if (from.group_index) body["options"]["group_index"] = *from.group_index;
    }
    if (!from.chord.is_null()) body["options"]["chord"] = from.chord;
    origin o = from;
    o.chain = json();
    o.chord = body;
    const std::string group = make_uuid();
    const std::size_t size = tasks.size();
    plan p = plan_members(std::move(tasks), first, o, group);
    p.groups.clear();
    p.chords.push_back({group, size});
    p.result = result;
    p.result_is_group = false;
    return p;
}

} // namespace

plan plan_signature(const json& form, const std::optional<json>& first, const origin& from) {
    const std::string type = subtask_type(form);
    if (type == "celery.chain") return plan_chain(form, first, placed(from, options_of(form)));
    if (type == "celery.group") return plan_group(form, first, placed(from, options_of(form)));
    if (type == "celery.chord") return plan_chord(form, first, placed(from, options_of(form)));
    return plan_task(form, first, from);
}

std::string result_id_in(const json& form) {
    const std::string type = subtask_type(form);
    const json kwargs = form.value("kwargs", json::object());
    if (type == "celery.chain") return require_tasks(form).empty() ? std::string() : result_id_in(require_tasks(form).back());
    if (type == "celery.chord") return kwargs.contains("body") ? result_id_in(kwargs["body"]) : std::string();
    return text_option(options_of(form), "task_id");
}

message unreached_step(const json& form, const origin& from) {
    message m;
    m.id = result_id_in(form);
    m.queue = from.queue;
    m.root_id = from.root_id;
    m.parent_id = from.parent_id;
    m.reply_to = from.reply_to;
    for (const json* step = &form; step; step = last_step_of(*step)) {
        const json options = options_of(*step);
        if (options.value("ignore_result", json(false)) == true) m.ignore_result = true;
        if (const std::string group = text_option(options, "group_id"); !group.empty()) m.group = group;
        if (options.contains("group_index") && options["group_index"].is_number_integer()) m.group_index = options["group_index"].get<int>();
        if (options.contains("chord") && options["chord"].is_object()) m.chord = options["chord"];
    }
    return m;
}
std::vector<message> unreached_steps(const json& chain, const origin& from) {
    std::vector<message> all;
    if (!chain.is_array()) return all;
    for (const json& step : chain) {
        try {
            all.push_back(unreached_step(step, from));
        } catch (const malformed_message&) { // nobody can wait for it
        }
    }
    return all;
}

void append_plan(plan& to, plan more) {
    std::ranges::move(more.chords, std::back_inserter(to.chords));
    std::ranges::move(more.groups, std::back_inserter(to.groups));
    std::ranges::move(more.messages, std::back_inserter(to.messages));
    std::ranges::move(more.children, std::back_inserter(to.children));
}

} // namespace eddy::jobs::detail

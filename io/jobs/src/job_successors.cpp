// What follows a job: callbacks, the rest of its chain, the body of its chord.
#include "client_core.hpp"
#include "job_parts.hpp"

namespace eddy::jobs::detail {

plan worker_core::plan_successors(const message& m, const job_result& result) const {
    origin from;
    from.queue = m.queue;
    from.root_id = m.root_id;
    from.parent_id = m.id;
    from.reply_to = m.reply_to;
    plan p;
    try {
        if (result.ok()) {
            if (m.callbacks.is_array())
                for (const json& next : m.callbacks) append_plan(p, plan_signature(next, result.value, from));
            if (m.chain.is_array() && !m.chain.empty()) {
                json rest = m.chain;
                const json next = rest.back();
                rest.erase(rest.size() - 1);
                if (!rest.empty()) from.chain = std::move(rest);
                append_plan(p, plan_signature(next, result.value, from));
            }
        } else if (m.errbacks.is_array()) {
            for (const json& next : m.errbacks) append_plan(p, plan_signature(next, json(m.id), from));
        }
    } catch (const std::exception&) { // a workflow that cannot be followed: its job is over all the same
        report("jobs: " + m.task + "[" + m.id + "] is followed by what is no workflow", std::current_exception());
        return plan();
    }
    return p;
}

/// The parts of a chord go when its body is on its way: whoever is killed before finds them again.
task<> worker_core::send_successors(const message& m, const job_result& result, following& f) {
    co_await send_rest_of(broker, f.next, result_ttl);
    if (!m.chord.is_object()) co_return;
    if (!f.part_stored) {
        json whole = json::array();
        whole.push_back(1);
        whole.push_back(m.id);
        whole.push_back(result.state);
        whole.push_back(result.value);
        std::string part = dump_json(whole);
        const auto all = co_await broker->add_chord_part(m.group, m.group_index.value_or(1'000'000'000), std::move(part), result_ttl);
        f.part_stored = true;
        f.ends_chord = all.has_value();
        if (all) plan_chord_end(f, m, *all);
    }
    if (!f.ends_chord) co_return;
    if (!f.failed_id.empty()) {
        json failure = f.failure;
        co_await store_state(f.failed_id, std::move(failure));
    }
    co_await send_rest_of(broker, f.body, result_ttl);
    co_await broker->end_chord(m.group);
}

void worker_core::plan_chord_end(following& f, const message& m, const std::vector<std::string>& parts) const {
    json values = json::array();
    for (const std::string& text : parts) {
        const std::optional<json> one = try_parse_json(text);
        if (!one || !one->is_array() || one->size() != 4) return plan_chord_failure(f, m, "?", make_exception("ValueError", json::array({"a part that cannot be read"}), "builtins"));
        if ((*one)[2] != "SUCCESS") return plan_chord_failure(f, m, (*one)[1].is_string() ? (*one)[1].get<std::string>() : "?", (*one)[3]);
        values.push_back((*one)[3]);
    }
    origin from;
    from.queue = m.queue;
    from.root_id = m.root_id;
    from.parent_id = m.id;
    from.reply_to = m.reply_to;
    try {
        f.body = plan_signature(m.chord, values, from);
    } catch (const std::exception& e) {
        report("jobs: the body of chord " + m.group + " is no workflow", std::current_exception());
        plan_chord_failure(f, m, "?", make_exception("ValueError", json::array({std::string(e.what())}), "builtins"));
    }
}
void worker_core::plan_chord_failure(following& f, const message& m, const std::string& part, const json& exception) const {
    const json body_options = m.chord.contains("options") ? m.chord["options"] : json::object();
    message body;
    try {
        body.id = result_id_in(m.chord);
    } catch (const std::exception&) { // then nobody can wait for it
    }
    if (body.id.empty()) return;
    const std::string type = exception.is_object() && exception.contains("exc_type") && exception["exc_type"].is_string() ? exception["exc_type"].get<std::string>() : "Exception";
    const json arguments = exception.is_object() && exception.contains("exc_message") ? exception["exc_message"] : json::array();
    std::string raised = python_repr_tuple(arguments.is_array() ? arguments : json::array({arguments}));
    if (raised.ends_with(",)")) raised.replace(raised.size() - 2, 2, ")");
    f.failed_id = body.id;
    f.failure = make_result(body, "FAILURE", make_exception("ChordError", json::array({"Dependency " + part + " raised " + type + raised}), "celery.exceptions"));
    origin from;
    from.queue = options.queues.front();
    const json errbacks = body_options.is_object() && body_options.contains("link_error") ? body_options["link_error"] : json();
    if (!errbacks.is_array()) return;
    try {
        for (const json& next : errbacks) append_plan(f.body, plan_signature(next, json(body.id), from));
    } catch (const std::exception&) {
        report("jobs: what follows the failure of chord " + m.group + " is no workflow", std::current_exception());
    }
}

} // namespace eddy::jobs::detail

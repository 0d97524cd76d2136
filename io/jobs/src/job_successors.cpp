// What follows a job: callbacks, the rest of its chain, the body of its chord.
#include "client_core.hpp"
#include "job_parts.hpp"

namespace eddy::jobs::detail {

namespace {

origin origin_of(const message& m) {
    origin from;
    from.queue = m.queue;
    from.root_id = m.root_id;
    from.parent_id = m.id;
    from.reply_to = m.reply_to;
    return from;
}
void plan_result(following& f, const message& m, const job_result& result) {
    if (!m.id.empty() && !m.ignore_result) f.unreached.emplace_back(m.id, make_result(m, result.state, result.value, result.traceback));
}
/// The rest of a chain ends as the step before it, which is what Celery stores: else whoever waits for its last step waits for ever. `part`: if
/// one of them is part of a chord, and nothing was before.
void plan_unreached(following& f, const json& chain, const message& failed, const job_result& result, std::optional<chord_part>& part) {
    for (const message& step : unreached_steps(chain, origin_of(failed))) {
        plan_result(f, step, result);
        if (step.chord.is_object() && !part) part.emplace(step, result);
    }
}

} // namespace

/// Each by itself: one that is no workflow keeps no other from being sent.
void worker_core::plan_each(plan& p, const json& all, const json& argument, const origin& from, const std::string& what) const {
    if (!all.is_array() && !all.is_object()) return;
    const json list = all.is_array() ? all : list_of(all);
    for (const json& next : list) {
        try {
            append_plan(p, plan_signature(next, argument, from));
        } catch (const std::exception&) {
            report("jobs: " + what + " is followed by what is no workflow", std::current_exception());
        }
    }
}
/// The next step of its chain; if that is no workflow, the rest fails, for somebody may wait for it.
void worker_core::plan_chain_after(following& f, const message& m, const job_result& result) const {
    if (!m.chain.is_array() || m.chain.empty()) return;
    json rest = m.chain;
    const json next = rest.back();
    rest.erase(rest.size() - 1);
    origin from = origin_of(m);
    if (!rest.empty()) from.chain = std::move(rest);
    try {
        append_plan(f.next, plan_signature(next, result.value, from));
    } catch (const std::exception& e) {
        report("jobs: " + m.task + "[" + m.id + "] is followed by what is no workflow", std::current_exception());
        plan_unreached(f, m.chain, m, failed_with("ValueError", json::array({std::string(e.what())}), "builtins"), f.part);
    }
}

following worker_core::plan_following(const message& m, const job_result& result) const {
    following f;
    plan_each(f.next, result.ok() ? m.callbacks : m.errbacks, result.ok() ? result.value : json(m.id), origin_of(m), m.task + "[" + m.id + "]");
    if (m.chord.is_object()) f.part.emplace(m, result);
    if (result.ok())
        plan_chain_after(f, m, result);
    else
        plan_unreached(f, m.chain, m, result, f.part);
    return f;
}

/// As Celery has it: first results, then what is sent.
task<> worker_core::send_successors(following& f) {
    co_await store_unreached(f);
    co_await send_rest_of(broker, f.next, result_ttl);
    while (f.part) {
        if (!f.ends_chord) co_await send_chord_end(f);
        if (!f.ends_chord) break;
        co_await store_unreached(f);
        co_await send_rest_of(broker, f.body, result_ttl);
        f.ended.push_back(f.part->member.group);
        f.part = std::move(f.outer);
        f.outer.reset();
        f.body = plan();
        f.part_stored = f.ends_chord = false;
    }
    // The parts of a chord go when its body is on its way: whoever is killed before finds them again. The outer ones go first.
    for (; !f.ended.empty(); f.ended.pop_back()) co_await broker->end_chord(f.ended.back());
}
/// Stores the part; if it was the last one, `ends_chord` and what comes of it.
task<> worker_core::send_chord_end(following& f) {
    if (f.part_stored) co_return;
    const message& m = f.part->member;
    json whole = json::array();
    whole.push_back(1);
    whole.push_back(m.id);
    whole.push_back(f.part->result.state);
    whole.push_back(f.part->result.value);
    std::string part = dump_json(whole);
    const auto all = co_await broker->add_chord_part(m.group, m.group_index.value_or(1'000'000'000), std::move(part), result_ttl);
    f.part_stored = true;
    f.ends_chord = all.has_value();
    if (all) plan_chord_end(f, m, *all);
}
task<> worker_core::store_unreached(following& f) {
    for (; !f.unreached.empty(); f.unreached.pop_back()) {
        json result = f.unreached.back().second;
        co_await store_state(f.unreached.back().first, std::move(result));
    }
}

void worker_core::plan_chord_end(following& f, const message& m, const std::vector<std::string>& parts) const {
    json values = json::array();
    for (const std::string& text : parts) {
        const std::optional<json> one = try_parse_json(text);
        if (!one || !one->is_array() || one->size() != 4) return plan_chord_failure(f, m, "?", make_exception("ValueError", json::array({"a part that cannot be read"}), "builtins"));
        if ((*one)[2] != "SUCCESS") return plan_chord_failure(f, m, (*one)[1].is_string() ? (*one)[1].get<std::string>() : "?", (*one)[3]);
        values.push_back((*one)[3]);
    }
    const origin from = origin_of(m);
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
        body = unreached_step(m.chord, origin_of(m));
    } catch (const std::exception&) { // then nobody can wait for it
    }
    if (body.id.empty()) return;
    const std::string type = exception.is_object() && exception.contains("exc_type") && exception["exc_type"].is_string() ? exception["exc_type"].get<std::string>() : "Exception";
    const json arguments = exception.is_object() && exception.contains("exc_message") ? exception["exc_message"] : json::array();
    std::string raised = python_repr_tuple(arguments.is_array() ? arguments : json::array({arguments}));
    if (raised.ends_with(",)")) raised.replace(raised.size() - 2, 2, ")");
    const job_result failed = failed_with("ChordError", json::array({"Dependency " + part + " raised " + type + raised}), "celery.exceptions");
    plan_result(f, body, failed);
    if (body.chord.is_object()) f.outer.emplace(body, failed);
    plan_unreached(f, body_options.is_object() && body_options.contains("chain") ? body_options["chain"] : json(), body, failed, f.outer);
    origin from;
    from.queue = options.queues.front();
    const json errbacks = body_options.is_object() && body_options.contains("link_error") ? body_options["link_error"] : json();
    plan_each(f.body, errbacks, json(body.id), from, "the failure of chord " + m.group);
}

} // namespace eddy::jobs::detail

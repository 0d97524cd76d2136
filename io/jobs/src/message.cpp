#include "message.hpp"

#include <array>
#include <cmath>
#include <unistd.h>

namespace eddy::jobs::detail {

namespace {

constexpr const char* deliveries_header = "x-eddy-deliveries";

[[noreturn]] void bad_message(const std::string& why) {
    throw malformed_message("not a job's message: " + why);
}

std::string text_or_empty(const json& from, const char* key) {
    const auto at = from.find(key);
    if (at == from.end() || at->is_null()) return {};
    if (!at->is_string()) bad_message(std::string("\"") + key + "\" is no string");
    return at->get<std::string>();
}
int integer_or(const json& from, const char* key, int other) {
    const auto at = from.find(key);
    if (at == from.end() || at->is_null()) return other;
    if (!at->is_number_integer() || *at < -1'000'000'000 || *at > 1'000'000'000) bad_message(std::string("\"") + key + "\" is no integer");
    return at->get<int>();
}
std::optional<wall_time> time_or_none(const json& from, const char* key) {
    const auto at = from.find(key);
    if (at == from.end() || at->is_null()) return {};
    if (at->is_number() && std::abs(at->get<double>()) < 9e9) return from_unix(at->get<double>());
    const auto t = at->is_string() ? from_iso(at->get_ref<const std::string&>()) : std::nullopt;
    if (!t) bad_message(std::string("\"") + key + "\" is no time: " + dump_json(*at).substr(0, 60));
    return t;
}
std::optional<double> seconds_or_none(const json& v) {
    if (!v.is_number() || !(v.get<double>() > 0) || v.get<double>() > 1e9) return {};
    return v.get<double>();
}
json get_or_null(const json& from, const char* key) {
    const auto at = from.find(key);
    return at == from.end() ? json() : *at;
}
json text_or_null(const std::string& s) {
    return s.empty() ? json() : json(s);
}

/// What both protocols have in their headers, or in the body of the older one.
void read_fields(message& m, const json& from) {
    m.task = text_or_empty(from, "task");
    m.id = text_or_empty(from, "id");
    if (m.task.empty()) bad_message("it has no task");
    if (m.id.empty()) bad_message("it has no id");
    m.group = text_or_empty(from, from.contains("group") ? "group" : "taskset");
    if (from.contains("group_index") && from["group_index"].is_number_integer()) m.group_index = integer_or(from, "group_index", 0);
    m.retries = integer_or(from, "retries", 0);
    m.eta = time_or_none(from, "eta");
    m.expires = time_or_none(from, "expires");
    const json limits = get_or_null(from, "timelimit"); // the hard one first
    if (limits.is_array() && limits.size() == 2) {
        m.time_limit = seconds_or_none(limits[0]);
        m.soft_time_limit = seconds_or_none(limits[1]);
    }
}
void read_embedded(message& m, const json& embed) {
    m.callbacks = get_or_null(embed, "callbacks");
    m.errbacks = get_or_null(embed, "errbacks");
    m.chain = get_or_null(embed, "chain");
    m.chord = get_or_null(embed, "chord");
    for (const json* list : {&m.callbacks, &m.errbacks, &m.chain})
        if (!list->is_null() && !list->is_array()) bad_message("a workflow that is no list");
    if (!m.chord.is_null() && !m.chord.is_object()) bad_message("a chord that is no object");
}
void read_arguments(message& m, json args, json kwargs) {
    if (args.is_null()) args = json::array();
    if (kwargs.is_null()) kwargs = json::object();
    if (!args.is_array()) bad_message("its arguments are no list");
    if (!kwargs.is_object()) bad_message("its keyword arguments are no object");
    m.args = std::move(args);
    m.kwargs = std::move(kwargs);
}

json parse_envelope(std::string_view payload) {
    json e;
    try {
        e = parse_json(payload);
    } catch (const json::exception& x) {
        bad_message(std::string("no JSON (") + x.what() + ")");
    }
    if (!e.is_object()) bad_message("no object");
    for (const char* part : {"headers", "properties"}) {
        if (!e.contains(part) || e[part].is_null()) e[part] = json::object();
        if (!e[part].is_object()) bad_message(std::string("\"") + part + "\" is no object");
    }
    return e;
}
json parse_body(const json& e) {
    const auto at = e.find("body");
    if (at == e.end() || !at->is_string()) bad_message("it has no body");
    if (const auto type = text_or_empty(e, "content-type"); !type.empty() && type != "application/json")
        bad_message("its body is " + type + "; only application/json is understood");
    if (const auto how = text_or_empty(e["headers"], "compression"); !how.empty()) bad_message("its body is compressed (" + how + "), which is not supported");
    std::string text = at->get<std::string>();
    if (const auto encoding = text_or_empty(e["properties"], "body_encoding"); encoding == "base64") {
        auto bytes = from_base64(text);
        if (!bytes) bad_message("its body is no base64");
        text = std::move(*bytes);
    } else if (!encoding.empty()) {
        bad_message("its body is encoded as " + encoding);
    }
    try {
        return parse_json(text);
    } catch (const json::exception& x) {
        bad_message(std::string("its body is no JSON (") + x.what() + ")");
    }
}
void read_properties(message& m, const json& properties) {
    m.reply_to = text_or_empty(properties, "reply_to");
    m.tag = text_or_empty(properties, "delivery_tag");
    m.priority = std::clamp(integer_or(properties, "priority", 0), 0, 255);
    const json where = get_or_null(properties, "delivery_info");
    if (!where.is_object()) return;
    m.queue = text_or_empty(where, "routing_key");
    m.redelivered = where.value("redelivered", json(false)) == true;
}

const std::string& sender_name() {
    static const std::string text = "gen" + std::to_string(::getpid()) + "@" + host_name();
    return text;
}

} // namespace

message decode_message(std::string_view payload) {
    json e = parse_envelope(payload);
    json body = parse_body(e);
    message m;
    m.headers = std::move(e["headers"]);
    if (m.headers.contains("task")) {
        if (!body.is_array() || body.size() != 3) bad_message("its body is no list of arguments, keyword arguments and workflow");
        read_fields(m, m.headers);
        m.root_id = text_or_empty(m.headers, "root_id");
        m.parent_id = text_or_empty(m.headers, "parent_id");
        m.ignore_result = m.headers.value("ignore_result", json(false)) == true;
        read_arguments(m, std::move(body[0]), std::move(body[1]));
        if (!body[2].is_null() && !body[2].is_object()) bad_message("its workflow is no object");
        if (body[2].is_object()) read_embedded(m, body[2]);
    } else {
        if (!body.is_object()) bad_message("it has no task");
        read_fields(m, body);
        read_arguments(m, get_or_null(body, "args"), get_or_null(body, "kwargs"));
        read_embedded(m, body);
    }
    read_properties(m, e["properties"]);
    m.redelivered = m.redelivered || m.headers.value("redelivered", json(false)) == true;
    m.deliveries = integer_or(m.headers, deliveries_header, m.redelivered ? 1 : 0);
    if (m.root_id.empty()) m.root_id = m.id;
    return m;
}

std::string encode_message(const message& m) {
    json headers = m.headers;
    headers.erase("redelivered");
    headers.erase(deliveries_header);
    headers["lang"] = "cpp";
    headers["task"] = m.task;
    headers["id"] = m.id;
    if (!headers.contains("shadow")) headers["shadow"] = nullptr;
    headers["eta"] = m.eta ? json(to_iso(*m.eta)) : json();
    headers["expires"] = m.expires ? json(to_iso(*m.expires)) : json();
    headers["group"] = text_or_null(m.group);
    headers["group_index"] = m.group_index ? json(*m.group_index) : json();
    headers["retries"] = m.retries;
    headers["timelimit"] = json::array({m.time_limit ? json(*m.time_limit) : json(), m.soft_time_limit ? json(*m.soft_time_limit) : json()});
    headers["root_id"] = m.root_id.empty() ? m.id : m.root_id;
    headers["parent_id"] = text_or_null(m.parent_id);
    headers["argsrepr"] = python_repr_tuple(m.args);
    headers["kwargsrepr"] = python_repr(m.kwargs);
    headers["origin"] = sender_name();
    headers["ignore_result"] = m.ignore_result;
    json embed = {{"callbacks", m.callbacks}, {"errbacks", m.errbacks}, {"chain", m.chain}, {"chord", m.chord}};
    json body = json::array({m.args, m.kwargs, std::move(embed)});
    json properties = {{"correlation_id", m.id}, {"reply_to", m.reply_to}, {"delivery_mode", 2}, {"delivery_info", {{"exchange", ""}, {"routing_key", m.queue}}},
                       {"priority", m.priority}, {"body_encoding", "base64"}, {"delivery_tag", m.tag}};
    const json e = {{"body", to_base64(dump_strict(body, "jobs: the call of " + m.task))}, {"content-encoding", "utf-8"}, {"content-type", "application/json"},
                    {"headers", std::move(headers)}, {"properties", std::move(properties)}};
    return dump_json(e);
}

std::string encode_envelope(const json& body, json headers, std::string_view exchange, std::string_view routing_key, bool persistent) {
    const json e = {{"body", to_base64(dump_json(body))}, {"content-encoding", "utf-8"}, {"content-type", "application/json"}, {"headers", std::move(headers)},
                    {"properties", {{"delivery_mode", persistent ? 2 : 1}, {"delivery_info", {{"exchange", exchange}, {"routing_key", routing_key}}},
                                    {"priority", 0}, {"body_encoding", "base64"}, {"delivery_tag", make_uuid()}}}};
    return dump_json(e);
}
json control_message(const std::string& method, json parameters, const std::vector<std::string>& workers, const std::string& ticket, const std::string& reply_to) {
    json m = {{"method", method}, {"arguments", std::move(parameters)}, {"destination", workers.empty() ? json() : json(workers)}, {"pattern", nullptr}, {"matcher", nullptr}};
    if (!reply_to.empty()) {
        m["ticket"] = ticket;
        m["reply_to"] = {{"exchange", "reply.celery.pidbox"}, {"routing_key", reply_to}};
    }
    return m;
}
std::string control_envelope(const json& body, std::chrono::nanoseconds patience) {
    const wall_time until = wall_now() + std::chrono::duration_cast<wall_time::duration>(patience);
    json headers = {{"clock", 1}, {"expires", to_unix(until)}};
    return encode_envelope(body, std::move(headers), "celery.pidbox", "", true);
}
envelope decode_envelope(std::string_view payload) {
    json e = parse_envelope(payload);
    return {parse_body(e), std::move(e["headers"])};
}

std::string mark_redelivered(const std::string& payload, int deliveries) {
    std::optional<json> parsed = try_parse_json(payload);
    if (!parsed || !parsed->is_object()) return payload;
    json& e = *parsed;
    if (!e["headers"].is_object() || !e["properties"].is_object()) return payload;
    e["headers"]["redelivered"] = true;
    e["headers"][deliveries_header] = deliveries;
    if (e["properties"]["delivery_info"].is_object()) e["properties"]["delivery_info"]["redelivered"] = true;
    return dump_json(e);
}

json make_result(const message& m, std::string_view status, json result, const std::string& traceback, json children) {
    json r = {{"status", status}, {"result", std::move(result)}, {"traceback", text_or_null(traceback)}, {"children", std::move(children)},
              {"date_done", is_final(status) ? json(to_iso(wall_now())) : json()}, {"task_id", m.id}};
    if (!m.group.empty()) r["group_id"] = m.group;
    if (!m.parent_id.empty()) r["parent_id"] = m.parent_id;
    return r;
}
json make_exception(std::string_view type, json arguments, std::string_view module) {
    return {{"exc_type", type}, {"exc_message", std::move(arguments)}, {"exc_module", module}};
}
bool is_dead_text(std::string_view stored) {
    const std::optional<json> v = try_parse_json(stored);
    if (!v || !v->is_object() || v->value("status", json()) != "FAILURE") return false;
    const auto result = v->find("result");
    return result != v->end() && result->is_object() && result->value("exc_type", json()) == dead_letter_type;
}
std::string id_of_malformed(std::string_view payload) {
    const std::optional<json> e = try_parse_json(payload);
    if (!e || !e->is_object() || !e->contains("headers")) return {};
    const json& headers = (*e)["headers"];
    if (!headers.is_object() || headers.value("ignore_result", json()) == true) return {};
    const json id = headers.value("id", json());
    return id.is_string() ? id.get<std::string>() : std::string();
}
bool is_final(std::string_view status) noexcept {
    return status == "SUCCESS" || status == "FAILURE" || status == "REVOKED";
}
bool is_final_text(std::string_view stored) noexcept {
    const std::optional<json> v = try_parse_json(stored);
    if (!v || !v->is_object()) return true; // it does not become readable by waiting: who reads it says so
    const auto at = v->find("status");
    return at != v->end() && at->is_string() && is_final(at->get_ref<const std::string&>());
}

} // namespace eddy::jobs::detail

#include "redis_rq_job.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <zlib.h>

#include <eddy/jobs/error.hpp>

namespace eddy::jobs::detail::rq {

namespace {

std::string text_in(const fields& hash, const std::string& name) {
    const auto at = hash.find(name);
    return at == hash.end() ? std::string() : at->second;
}
std::optional<std::int64_t> integer_in(const fields& hash, const std::string& name) {
    const std::string text = text_in(hash, name);
    std::int64_t n = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (code != std::errc() || text.empty()) return {};
    return n;
}
std::optional<std::chrono::nanoseconds> time_in(const fields& hash, const std::string& name) {
    const auto n = integer_in(hash, name);
    if (!n) return {};
    return std::chrono::seconds(std::clamp<std::int64_t>(*n, -1, 3'000'000'000));
}
json json_in(const fields& hash, const std::string& name, json otherwise) {
    const std::optional<json> v = try_parse_json(text_in(hash, name));
    return v && v->type() == otherwise.type() ? *v : std::move(otherwise);
}

/// Rounded up; -1 for none.
std::string seconds_up(std::chrono::nanoseconds d) {
    return std::to_string(d < std::chrono::nanoseconds(0) ? -1 : std::chrono::ceil<std::chrono::seconds>(d).count());
}
bool is_id(const std::string& id) {
    return !id.empty() && std::ranges::all_of(id, [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_'; });
}
/// "module.function(2, y=3)"
std::string call_text(const message& m) {
    const auto shortened = [](std::string text) {
        if (text.size() > 75) text = text.substr(0, 75) + "...";
        return text;
    };
    std::string all;
    for (const json& a : m.args) all += (all.empty() ? "" : ", ") + shortened(python_repr(a));
    for (const auto& [name, value] : m.kwargs.items()) all += (all.empty() ? "" : ", ") + name + "=" + shortened(python_repr(value));
    return m.task + "(" + all + ")";
}
void refuse_what_rq_has_not(const message& m) {
    const auto refuse = [&](const char* what) { throw error("jobs: " + m.task + ": RQ has no " + what); };
    if (m.priority != 0) refuse("priorities: use several queues, or rq_options::at_front");
    if (m.soft_time_limit) refuse("soft time limits");
    if (!m.headers.empty()) refuse("headers: use rq_options::meta");
    if (!m.callbacks.is_null() || !m.errbacks.is_null()) refuse("jobs that follow: use rq_options::depends_on, on_success and on_failure");
    if (!m.chain.is_null() || !m.chord.is_null() || !m.group.empty()) refuse("workflows: use rq_options::depends_on");
    if (!is_id(m.id)) throw error("jobs: '" + m.id + "' is no id for RQ: letters, digits, - and _");
    if (m.eta && m.rq && !m.rq->depends_on.empty()) refuse("job that waits for others and for a time");
}

/// "ValueError", or "module.ValueError" if it is not one of Python's own, or C++'s.
std::string exception_title(const json& exception) {
    const std::string type = exception.value("exc_type", "Exception"), module = exception.value("exc_module", "");
    return module.empty() || module == "builtins" || module == "cpp" ? type : module + "." + type;
}
/// As `str` of it in Python.
std::string exception_message(const json& exception) {
    const json arguments = exception.contains("exc_message") ? exception["exc_message"] : json();
    if (!arguments.is_array()) return python_repr(arguments);
    if (arguments.empty()) return "";
    if (arguments.size() > 1) return python_repr_tuple(arguments);
    return arguments[0].is_string() ? arguments[0].get<std::string>() : python_repr(arguments[0]);
}
/// "ValueError: …", "a.b.Error": how long its name is; 0 if it does not begin with one.
std::size_t title_size(std::string_view line) {
    std::size_t n = 0;
    while (n < line.size() && (std::isalnum(static_cast<unsigned char>(line[n])) != 0 || line[n] == '_' || line[n] == '.')) ++n;
    if (n == 0 || std::isdigit(static_cast<unsigned char>(line[0])) != 0) return 0;
    return n == line.size() || line.substr(n, 2) == ": " ? n : 0;
}

} // namespace

fields fields_in(redis::value reply) {
    fields all;
    std::vector<std::string> words = reply.take_strings();
    for (std::size_t i = 0; i + 1 < words.size(); i += 2) all.insert_or_assign(std::move(words[i]), std::move(words[i + 1]));
    return all;
}

std::string compress(std::string_view text) {
    uLongf size = ::compressBound(static_cast<uLong>(text.size()));
    std::string out(size, '\0');
    const int code = ::compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(text.data()), static_cast<uLong>(text.size()), Z_BEST_SPEED);
    if (code != Z_OK) throw error("jobs: zlib cannot compress (" + std::to_string(code) + ")");
    out.resize(size);
    return out;
}
std::optional<std::string> decompress(std::string_view bytes) {
    constexpr std::size_t most = std::size_t{256} << 20; // a few bytes may become very many
    z_stream z{};
    if (::inflateInit(&z) != Z_OK) throw error("jobs: zlib cannot begin");
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    z.avail_in = static_cast<uInt>(std::min<std::size_t>(bytes.size(), most));
    std::string out;
    std::array<char, 16384> part{};
    int code = Z_OK;
    while (code == Z_OK && out.size() <= most) {
        z.next_out = reinterpret_cast<Bytef*>(part.data());
        z.avail_out = static_cast<uInt>(part.size());
        code = ::inflate(&z, Z_NO_FLUSH);
        out.append(part.data(), part.size() - z.avail_out);
    }
    ::inflateEnd(&z);
    if (out.size() > most) throw malformed_message("the job's data is larger than 256 MiB when it is unpacked");
    if (code != Z_STREAM_END) return std::nullopt;
    return out;
}
std::string to_rq_time(wall_time t) {
    std::string text = to_iso(t);
    text.replace(text.size() - 6, 6, "Z");
    return text;
}

std::vector<std::string> fields_of(const message& m) {
    refuse_what_rq_has_not(m);
    const rq_options how = m.rq.value_or(rq_options());
    json call = json::array();
    call.push_back(m.task);
    call.push_back(nullptr);
    call.push_back(m.args);
    call.push_back(m.kwargs);
    std::vector<std::string> all;
    const auto add = [&](const char* name, std::string value) {
        all.emplace_back(name);
        all.push_back(std::move(value));
    };
    const auto add_time = [&](const char* name, const std::optional<std::chrono::nanoseconds>& d) {
        if (d) add(name, seconds_up(*d));
    };
    add("data", compress(dump_strict(call, "jobs: the call of " + m.task)));
    add("created_at", to_rq_time(wall_now()));
    add("description", how.description.empty() ? call_text(m) : how.description);
    add("timeout", m.time_limit ? std::to_string(*m.time_limit < 0 ? -1 : std::max<std::int64_t>(1, std::llround(std::ceil(*m.time_limit)))) : "180");
    for (const char* name : {"started_at", "ended_at", "last_heartbeat", "worker_name"}) add(name, "");
    add("success_callback_name", how.on_success);
    add("failure_callback_name", how.on_failure);
    add_time("result_ttl", m.ignore_result ? std::chrono::nanoseconds(0) : how.result_ttl);
    add_time("failure_ttl", how.failure_ttl);
    if (m.expires) add("ttl", seconds_up(std::max<std::chrono::nanoseconds>(*m.expires - wall_now(), std::chrono::seconds(1))));
    if (how.at_front) add("enqueue_at_front", "1");
    if (!how.meta.empty()) add("meta", dump_json(how.meta));
    if (how.retries > 0) {
        json intervals = json::array();
        for (const auto& d : how.retry_intervals) intervals.push_back(std::chrono::ceil<std::chrono::seconds>(d).count());
        if (intervals.empty()) intervals.push_back(0);
        add("retries_left", std::to_string(how.retries));
        add("retry_intervals", dump_json(intervals));
    }
    if (!how.depends_on.empty()) {
        add("dependency_id", how.depends_on.front());
        add("dependency_ids", dump_json(json(how.depends_on)));
        if (how.allow_dependency_failures) add("allow_dependency_failures", "1");
    }
    return all;
}

message message_in(const std::string& id, const std::string& queue, const fields& hash) {
    const std::string raw = text_in(hash, "data");
    if (hash.empty()) throw malformed_message("job " + id + " was queued, and is not there: deleted, or older than its ttl");
    if (raw.empty()) throw malformed_message("job " + id + " has no data");
    const std::string data = decompress(raw).value_or(raw);
    if (data[0] == '\x80')
        throw malformed_message("unsupported serializer: job " + id + " was pickled, which only Python can read; enqueue it with RQ's JSONSerializer");
    const std::optional<json> call = try_parse_json(data);
    if (!call) throw malformed_message("unsupported serializer: the data of job " + id + " is no JSON");
    const json& c = *call;
    if (!c.is_array() || c.size() != 4 || !c[0].is_string() || !c[2].is_array() || !c[3].is_object())
        throw malformed_message("the data of job " + id + " is no call: [name, null, [arguments], {named}]");
    if (!c[1].is_null()) throw malformed_message("job " + id + " calls " + c[0].get<std::string>() + " of an object, which there is none of in C++");
    message m;
    m.id = m.root_id = id;
    m.task = c[0].get<std::string>();
    m.args = c[2];
    m.kwargs = c[3];
    m.queue = queue;
    m.retries = static_cast<int>(integer_in(hash, "number_of_retries").value_or(0));
    m.deliveries = static_cast<int>(integer_in(hash, "eddy_deliveries").value_or(0));
    m.redelivered = m.deliveries > 0;
    if (const auto limit = integer_in(hash, "timeout").value_or(180); limit > 0) m.time_limit = static_cast<double>(limit);
    rq_options how;
    how.description = text_in(hash, "description");
    how.meta = json_in(hash, "meta", json::object());
    how.on_success = text_in(hash, "success_callback_name");
    how.on_failure = text_in(hash, "failure_callback_name");
    how.retries = static_cast<int>(std::clamp<std::int64_t>(integer_in(hash, "retries_left").value_or(0), 0, 1'000'000));
    how.result_ttl = time_in(hash, "result_ttl");
    how.failure_ttl = time_in(hash, "failure_ttl");
    m.headers = {{"meta", how.meta}, {"description", how.description}, {"created_at", text_in(hash, "created_at")}, {"enqueued_at", text_in(hash, "enqueued_at")}};
    m.rq = std::move(how);
    return m;
}

std::string entry_of_success(const json& stored) {
    const json value = stored.value("result", json());
    return value.is_null() ? std::string() : to_base64(dump_json(value));
}
std::string entry_of_failure(const std::string& text) {
    return to_base64(compress(text));
}
std::string failure_text(const json& stored) {
    json exception = stored.value("result", json::object());
    if (!exception.is_object()) exception = json::object();
    if (stored.value("status", "") == "REVOKED") return "Job stopped by user, work-horse terminated.";
    if (exception.value("exc_type", "") == "TimeLimitExceeded") {
        const std::string limit = exception_message(exception);
        exception = make_exception("JobTimeoutException", json::array({"Task exceeded maximum timeout value (" + limit + " seconds)"}), "rq.timeouts");
    }
    const json told = stored.value("traceback", json());
    std::string where = told.is_string() ? told.get<std::string>() : std::string();
    where.resize(std::min(where.find('\n'), where.size()));
    const std::string message = exception_message(exception);
    return "Traceback (most recent call last):\n  " + where + "\n" + exception_title(exception) + (message.empty() ? "" : ": " + message) + "\n";
}
json exception_in(const std::string& traceback) {
    constexpr std::string_view header = "Traceback (most recent call last):\n";
    std::string_view text = traceback;
    while (text.ends_with('\n')) text.remove_suffix(1);
    if (const auto last = text.rfind(header); last != text.npos) text.remove_prefix(last + header.size());
    // After the frames, which are indented; what it says may have several lines.
    for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(std::min(rest.find('\n'), rest.size() - 1) + 1)) {
        const std::size_t title = title_size(rest.substr(0, rest.find('\n')));
        if (title == 0) continue;
        const std::string_view name = rest.substr(0, title);
        const std::size_t dot = name.rfind('.');
        const std::string type(name.substr(dot == name.npos ? 0 : dot + 1)), module(dot == name.npos ? "builtins" : name.substr(0, dot));
        json arguments = json::array();
        if (rest.substr(title, 2) == ": ") arguments.push_back(std::string(rest.substr(title + 2)));
        return make_exception(type, std::move(arguments), module);
    }
    json arguments = json::array();
    arguments.push_back(std::string(text));
    return make_exception("Exception", std::move(arguments), "builtins");
}

json stored_of(const fields& hash, const std::optional<redis::stream_entry>& entry) {
    const std::string status = text_in(hash, "status");
    json stored = {{"status", "PENDING"}, {"result", json_in(hash, "meta", json::object())}, {"traceback", nullptr}, {"children", json::array()}};
    if (status == "started") stored["status"] = "STARTED";
    if (status == "finished") {
        const auto coded = entry ? entry->field("return_value") : std::nullopt;
        const auto text = coded ? from_base64(*coded) : std::optional<std::string>(text_in(hash, "result")); // before RQ 1.12
        stored["status"] = "SUCCESS";
        stored["result"] = try_parse_json(text.value_or("")).value_or(json());
    }
    if (status == "failed") {
        const auto coded = entry ? entry->field("exc_string") : std::nullopt;
        const std::string packed = coded ? from_base64(*coded).value_or("") : text_in(hash, "exc_info");
        const std::string text = decompress(packed).value_or(packed);
        stored["status"] = "FAILURE";
        stored["result"] = exception_in(text);
        stored["traceback"] = text;
    }
    if (status == "stopped" || status == "canceled") {
        stored["status"] = "REVOKED";
        stored["result"] = make_exception("TaskRevokedError", json::array({status}), "celery.exceptions");
    }
    return stored;
}

} // namespace eddy::jobs::detail::rq

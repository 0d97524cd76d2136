// Remote control, as `celery inspect` and `celery control` speak it, and events.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fnmatch.h>
#include <regex>
#include <sys/resource.h>
#include <unistd.h>

#include <eddy/sleep.hpp>

#include "worker_core.hpp"

namespace eddy::jobs::detail {

namespace {

constexpr std::size_t most_revoked = 50'000; // as Celery remembers

json load_average() {
    std::array<double, 3> load{};
    if (::getloadavg(load.data(), 3) != 3) load = {};
    json list = json::array();
    for (const double v : load) list.push_back(std::round(v * 100) / 100);
    return list;
}
/// As Python's `re.match`; an expression that cannot be read fits nobody.
bool fits_expression(const std::string& name, const std::string& expression) {
    try {
        return std::regex_search(name, std::regex(expression), std::regex_constants::match_continuous);
    } catch (const std::regex_error&) {
        return false;
    }
}
json ok_with(const std::string& text) {
    return {{"ok", text}};
}
json error_with(const std::string& text) {
    return {{"error", text}};
}
std::vector<std::string> ids_in(const json& arguments) {
    std::vector<std::string> ids;
    const json given = arguments.contains("task_id") ? arguments["task_id"] : arguments.value("ids", json());
    if (given.is_string()) ids.push_back(given.get<std::string>());
    if (given.is_array())
        for (const json& id : given)
            if (id.is_string()) ids.push_back(id.get<std::string>());
    return ids;
}
double seconds_in(const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
}
/// "10/m", "100/h", "5/s", 5: starts a second; 0 for none.
std::optional<double> rate_of(const json& v) {
    if (v.is_number()) return std::max(0.0, v.get<double>());
    if (!v.is_string()) return {};
    double n = 0;
    char unit = 's';
    const int read = std::sscanf(v.get_ref<const std::string&>().c_str(), "%lf/%c", &n, &unit);
    if (read < 1 || n < 0 || (unit != 's' && unit != 'm' && unit != 'h')) return {};
    return unit == 's' ? n : unit == 'm' ? n / 60 : n / 3600;
}

} // namespace

void worker_core::emit(std::string_view type, json fields) {
    if (broker->record() || (!jobs_ && type != "worker-online")) return;
    fields["type"] = type;
    fields["hostname"] = name;
    fields["utcoffset"] = 0;
    fields["pid"] = ::getpid();
    fields["clock"] = ++clock_;
    fields["timestamp"] = to_unix(wall_now());
    if (type.starts_with("worker-"))
        fields.update(json{{"freq", std::chrono::duration<double>(options.heartbeat).count()}, {"active", counts.active}, {"processed", counts.succeeded + counts.failed},
                           {"loadavg", load_average()}, {"sw_ident", "eddy"}, {"sw_ver", "0.1.0"}, {"sw_sys", "Linux"}});
    std::string kind(type);
    std::ranges::replace(kind, '-', '.');
    json headers = {{"hostname", name}};
    std::string text = encode_envelope(fields, std::move(headers), "celeryev", kind, false);
    const auto send = [](broker_ptr to, std::string k, std::string t) -> task<> {
        try {
            co_await to->emit(std::move(k), std::move(t));
        } catch (const std::exception&) { // an event may be lost
        }
    };
    if (jobs_)
        jobs_->spawn(send, broker, std::move(kind), std::move(text));
    else
        spawn(send, broker, std::move(kind), std::move(text));
}
void worker_core::emit_task(std::string_view type, const job_run& r, json more) {
    if (!events || !jobs_) return;
    more["uuid"] = r.job->id;
    if (type == "task-received") more["name"] = r.job->task;
    emit(type, std::move(more));
}

task<> worker_core::heartbeat_loop() {
    for (;;) {
        co_await sleep_for(options.heartbeat);
        emit("worker-heartbeat", json::object());
        if (!broker->record()) continue;
        try {
            co_await broker->record()->beat();
        } catch (const std::exception&) { // the next one may come through
        }
    }
}

task<> worker_core::control_loop() {
    for (std::chrono::nanoseconds pause = std::chrono::milliseconds(100);;) {
        std::exception_ptr error;
        try {
            std::string text = co_await broker->next_control();
            co_await handle_control(std::move(text));
            pause = std::chrono::milliseconds(100);
        } catch (const malformed_message&) { // somebody else's
        } catch (const std::exception&) {
            error = std::current_exception();
        }
        if (!error) continue;
        report("jobs: remote control failed; it is tried again", error);
        co_await sleep_for(pause);
        pause = std::min<std::chrono::nanoseconds>(2 * pause, std::chrono::seconds(2));
    }
}

/// As kombu has it: those that are named, else those whose name fits the pattern if it says of which kind that is, else all.
bool worker_core::is_for_us(const json& command) const {
    const json to = command.value("destination", json());
    if (to.is_array() && !to.empty()) return std::ranges::any_of(to, [&](const json& node) { return node == name; });
    const json pattern = command.value("pattern", json()), matcher = command.value("matcher", json());
    if (!pattern.is_string() || pattern == "" || !matcher.is_string() || matcher == "") return true;
    const std::string text = pattern.get<std::string>();
    if (matcher == "pcre") return fits_expression(name, text);
    return matcher == "glob" && ::fnmatch(text.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
}

task<> worker_core::handle_control(std::string text) {
    const envelope e = decode_envelope(text);
    if (!e.body.is_object() || !e.body.contains("method") || !e.body["method"].is_string()) co_return;
    if (const json c = e.headers.value("clock", json()); c.is_number_unsigned()) clock_ = std::max(clock_, c.get<std::uint64_t>()) + 1;
    if (const json until = e.headers.value("expires", json()); until.is_number() && until.get<double>() < to_unix(wall_now())) co_return;
    if (!is_for_us(e.body)) co_return;
    json arguments = e.body.value("arguments", json::object());
    if (!arguments.is_object()) arguments = json::object();
    const std::string method = e.body["method"].get<std::string>();
    json result;
    try {
        result = run_control(method, arguments);
    } catch (const std::exception& x) {
        result = error_with(x.what());
    }
    const json to = e.body.value("reply_to", json());
    if (!to.is_object() || result.is_null()) co_return;
    json body = json::object();
    body[name] = std::move(result);
    json headers = {{"ticket", e.body.value("ticket", json())}, {"clock", clock_}};
    std::string reply = encode_envelope(body, std::move(headers), to.value("exchange", ""), to.value("routing_key", ""), false);
    co_await broker->answer(to, std::move(reply));
}

json worker_core::run_control(const std::string& method, const json& arguments) {
    if (method == "ping") return ok_with("pong");
    if (method == "hello") return control_hello(arguments);
    if (method == "clock") return {{"clock", clock_}};
    if (method == "registered" || method == "dump_tasks") return list_tasks();
    if (method == "active" || method == "dump_active") return list_jobs([](const job_run& r) { return r.running; });
    if (method == "reserved" || method == "dump_reserved") return list_jobs([](const job_run& r) { return !r.running && !r.scheduled; });
    if (method == "scheduled" || method == "dump_schedule") return list_jobs([](const job_run& r) { return r.scheduled; });
    if (method == "revoked" || method == "dump_revoked") return json(std::vector<std::string>(revoked_order_.begin(), revoked_order_.end()));
    if (method == "stats") return statistics();
    if (method == "conf") return {{"broker_url", settings->url.substr(0, settings->url.find(':'))}, {"worker_prefetch_multiplier", options.prefetch}};
    if (method == "report") return ok_with("eddy 0.1.0, " + std::to_string(tasks.size()) + " tasks");
    if (method == "query_task") {
        json found = json::object();
        const auto ids = ids_in(arguments);
        for (const auto& [tag, run] : claimed_)
            if (std::ranges::find(ids, run->job->id) != ids.end()) found[run->job->id] = json::array({run->running ? "active" : "reserved", describe(*run)});
        return found;
    }
    if (method == "revoke" || method == "terminate") return control_revoke(arguments);
    if (method == "stop-job" || method == "kill-horse") return control_end(method, arguments);
    if (method == "shutdown") {
        shutdown();
        return ok_with("shutting down");
    }
    if (method == "pool_grow" || method == "pool_shrink") return control_pool(method, arguments);
    if (method == "add_consumer" || method == "cancel_consumer" || method == "active_queues") return control_consumer(method, arguments);
    if (method == "rate_limit" || method == "time_limit") return control_limits(method, arguments);
    if (method == "enable_events" || method == "disable_events") {
        const bool on = method == "enable_events";
        if (events == on) return ok_with(std::string("task events already ") + (on ? "enabled" : "disabled"));
        events = on;
        return ok_with(std::string("task events ") + (on ? "enabled" : "disabled"));
    }
    if (method == "heartbeat") {
        emit("worker-heartbeat", json::object());
        return {};
    }
    return error_with("eddy: there is no remote-control command '" + method + "'");
}

json worker_core::list_tasks() const {
    json names = json::array();
    for (const auto& [task, r] : tasks) names.push_back(task);
    return names;
}

json worker_core::describe(const job_run& r) const {
    const message& m = *r.job;
    return {{"id", m.id}, {"name", m.task}, {"args", m.args}, {"kwargs", m.kwargs}, {"type", m.task}, {"hostname", name},
            {"time_start", r.running ? json(to_unix(r.started)) : json()}, {"acknowledged", r.acknowledged}, {"worker_pid", r.running ? json(::getpid()) : json()},
            {"delivery_info", {{"exchange", ""}, {"routing_key", m.queue}, {"priority", m.priority}, {"redelivered", m.redelivered}}}};
}
json worker_core::list_jobs(bool (*which)(const job_run&)) const {
    json list = json::array();
    for (const auto& [tag, run] : claimed_) {
        if (!which(*run)) continue;
        if (run->scheduled)
            list.push_back({{"eta", run->job->eta ? json(to_iso(*run->job->eta)) : json()}, {"priority", 6}, {"request", describe(*run)}});
        else
            list.push_back(describe(*run));
    }
    return list;
}
json worker_core::statistics() const {
    json total = json::object();
    for (const auto& [task, r] : tasks)
        if (r.received > 0) total[task] = r.received;
    rusage use{};
    ::getrusage(RUSAGE_SELF, &use);
    return {{"total", std::move(total)}, {"pid", ::getpid()}, {"clock", std::to_string(clock_)}, {"uptime", static_cast<std::int64_t>(to_unix(wall_now()) - to_unix(started_))},
            {"pool", {{"implementation", "eddy"}, {"max-concurrency", concurrency_}, {"processes", json::array({::getpid()})}}},
            {"broker", {{"transport", settings->url.substr(0, settings->url.find(':'))}}}, {"prefetch_count", concurrency_ * options.prefetch},
            {"rusage", {{"utime", seconds_in(use.ru_utime)}, {"stime", seconds_in(use.ru_stime)}, {"maxrss", use.ru_maxrss}}},
            {"eddy", {{"received", counts.received}, {"succeeded", counts.succeeded}, {"failed", counts.failed}, {"retried", counts.retried}, {"revoked", counts.revoked},
                      {"rejected", counts.rejected}, {"dead", counts.dead}, {"duplicates", counts.duplicates}, {"restored", counts.restored}, {"abandoned", counts.abandoned}}}};
}

void worker_core::remember_revoked(const std::string& id) {
    if (!revoked_.insert(id).second) return;
    revoked_order_.push_back(id);
    if (revoked_order_.size() <= most_revoked) return;
    revoked_.erase(revoked_order_.front());
    revoked_order_.pop_front();
}
/// A worker of Python's asks at its start what was revoked before, and says what it knows of that.
json worker_core::control_hello(const json& arguments) {
    if (arguments.value("from_node", std::string()) == name) return {};
    // The time of each, which is no time of the machine that reads it: by 0 it takes its own.
    json revoked = json::object();
    for (const std::string& id : revoked_order_) revoked[id] = 0.0;
    if (const json theirs = arguments.value("revoked", json()); theirs.is_object())
        for (const auto& [id, when] : theirs.items()) remember_revoked(id);
    return {{"revoked", std::move(revoked)}, {"clock", clock_}};
}
json worker_core::control_revoke(const json& arguments) {
    const std::vector<std::string> ids = ids_in(arguments);
    const bool terminate = arguments.value("terminate", json(false)) == true;
    for (const std::string& id : ids) {
        remember_revoked(id);
        for (const auto& [tag, run] : claimed_) {
            if (run->job->id != id) continue;
            if (!run->running)
                run->finish_early(job_end::revoked, "revoked");
            else if (terminate)
                run->finish_early(job_end::terminated, "terminated");
        }
    }
    std::string all;
    for (const std::string& id : ids) all += (all.empty() ? "" : ", ") + id;
    return ok_with("tasks " + all + (terminate ? " terminated" : " flagged as revoked"));
}

/// RQ's: a job that runs is stopped, or all of them have failed.
json worker_core::control_end(const std::string& method, const json& arguments) {
    const bool all = method == "kill-horse";
    const std::string id = arguments.value("job_id", std::string());
    for (const auto& [tag, run] : claimed_) {
        if (!run->running || (!all && run->job->id != id)) continue;
        run->finish_early(all ? job_end::killed : job_end::terminated, all ? "killed" : "stopped");
    }
    return ok_with(all ? "killed" : "stopped");
}

json worker_core::control_pool(const std::string& method, const json& arguments) {
    const json n = arguments.value("n", json(1));
    if (!n.is_number_integer() || n.get<std::int64_t>() < 1 || n.get<std::int64_t>() > 10'000) return error_with("n must be a positive number");
    const auto by = n.get<std::size_t>();
    if (method == "pool_shrink" && by >= concurrency_) return error_with("the pool cannot shrink to nothing");
    concurrency_ = method == "pool_grow" ? concurrency_ + by : concurrency_ - by;
    slots_.set_total(static_cast<std::ptrdiff_t>(concurrency_));
    // The functions that run keep the pool they run on.
    renew_threads();
    count_changed();
    return ok_with(method == "pool_grow" ? "pool will grow" : "pool will shrink");
}

json worker_core::control_consumer(const std::string& method, const json& arguments) {
    if (method == "active_queues") {
        json list = json::array();
        for (const std::string& q : queues) list.push_back({{"name", q}, {"exchange", {{"name", q}, {"type", "direct"}}}, {"routing_key", q}, {"durable", true}});
        return list;
    }
    const std::string q = arguments.value("queue", std::string());
    if (q.empty()) return error_with("which queue?");
    const auto at = std::ranges::find(queues, q);
    const bool add = method == "add_consumer";
    if (add && at != queues.end()) return ok_with("already consuming from '" + q + "'");
    if (add) {
        queues.push_back(q);
        jobs_->spawn([](broker_ptr b, std::string name_of_queue) -> task<> { co_await b->declare(std::move(name_of_queue)); }, broker, q);
    } else if (at != queues.end()) {
        queues.erase(at);
    }
    if (claiming_) claiming_->cancel("the queues have changed");
    count_changed();
    return ok_with(add ? "add consumer " + q : "no longer consuming from " + q);
}

json worker_core::control_limits(const std::string& method, const json& arguments) {
    const std::string task = arguments.value("task_name", std::string());
    const auto at = tasks.find(task);
    if (at == tasks.end()) return error_with("unknown task");
    task_options& o = at->second.options;
    if (method == "rate_limit") {
        const auto rate = rate_of(arguments.value("rate_limit", json()));
        if (!rate) return error_with("Invalid rate limit string: " + dump_json(arguments.value("rate_limit", json())));
        o.rate_limit = *rate;
        at->second.next_start = {};
        return ok_with(*rate == 0 ? "rate limit disabled successfully" : "new rate limit set successfully");
    }
    const auto limit = [&](const char* key) -> std::optional<std::chrono::nanoseconds> {
        const json v = arguments.value(key, json());
        if (!v.is_number() || v.get<double>() <= 0) return {};
        return eddy::detail::to_nanoseconds(std::chrono::duration<double>(v.get<double>()));
    };
    o.time_limit = limit("hard");
    o.soft_time_limit = limit("soft");
    return ok_with("time limits set successfully");
}

} // namespace eddy::jobs::detail

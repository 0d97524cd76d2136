#include "model.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "python_literal.hpp"

namespace jobs_dashboard {

namespace {

constexpr double trusted_skew = 5;      // seconds between a worker's clock and ours
constexpr double kept_after_end = 300;  // seconds for which a worker that is gone is shown
constexpr std::size_t most_sent = 5000;  // jobs that are on their way to a worker
constexpr std::size_t most_ended = 5000; // that are remembered to have ended
constexpr std::size_t largest_arguments = 64 * 1024;

double number_in(const json& e, const char* key, double otherwise = 0) {
    const auto at = e.find(key);
    if (at == e.end() || !at->is_number()) return otherwise;
    const double v = at->get<double>();
    return std::isfinite(v) ? v : otherwise;
}
std::int64_t integer_in(const json& e, const char* key) {
    return static_cast<std::int64_t>(std::clamp(number_in(e, key), -9e15, 9e15));
}
/// When it happened by the worker's clock, unless that clock is wrong.
double time_of(const json& e, double now) {
    const double at = number_in(e, "timestamp", now);
    return std::abs(at - now) <= trusted_skew ? at : now;
}

} // namespace

std::string cut(std::string_view text, std::size_t most) {
    if (text.size() <= most) return std::string(text);
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0U) == 0x80) --most;
    return std::string(text.substr(0, most)) + "…";
}

model::model(const limits& l, std::vector<std::string> queues) : limits_(l) {
    if (queues.empty()) queues.emplace_back("celery");
    default_queue_ = queues.front();
    for (const std::string& q : queues) queues_[q].wanted = true;
    for (const char* what : {"succeeded", "failed", "retried", "revoked", "rejected"}) totals_[what] = 0;
}

std::string model::text_in(const json& e, const char* key) const {
    const auto at = e.find(key);
    if (at == e.end() || !at->is_string()) return {};
    return cut(at->get_ref<const std::string&>(), limits_.text);
}

// --- events

void model::apply(const json& event, double now) {
    if (!event.is_object() || !event.contains("type") || !event["type"].is_string()) return;
    const std::string& type = event["type"].get_ref<const std::string&>();
    if (type.starts_with("worker-")) apply_to_worker(type, event, now);
    else if (type.starts_with("task-")) apply_to_job(type, event, now);
    else return;
    ++version_;
}

model::worker* model::find_or_add_worker(const std::string& name) {
    if (name.empty()) return nullptr;
    const auto at = workers_.find(name);
    if (at != workers_.end()) return &at->second;
    if (workers_.size() >= limits_.workers) return nullptr;
    new_workers_.push_back(name);
    return &workers_[name];
}

void model::apply_to_worker(std::string_view type, const json& e, double now) {
    const std::string name = text_in(e, "hostname");
    worker* const w = find_or_add_worker(name);
    if (!w) return;
    if (!w->alive || type == "worker-online") {
        if (std::ranges::find(new_workers_, name) == new_workers_.end()) new_workers_.push_back(name);
    }
    w->seen = now;
    w->alive = type != "worker-offline";
    if (const std::string s = text_in(e, "sw_ident"); !s.empty()) w->software = s + " " + text_in(e, "sw_ver");
    w->pid = integer_in(e, "pid");
    w->active = integer_in(e, "active");
    w->processed = std::max(w->processed, integer_in(e, "processed"));
    if (type == "worker-online") w->processed = integer_in(e, "processed"); // a new process
    w->frequency = std::clamp(number_in(e, "freq", 2), 0.1, 3600.0);
    if (const json l = e.value("loadavg", json()); l.is_array() && l.size() == 3) w->load = l;
    if (!w->alive) erase_jobs_of(name);
}

void model::apply_to_job(std::string_view type, const json& e, double now) {
    const std::string id = text_in(e, "uuid");
    if (id.empty()) return;
    const double at = time_of(e, now);
    if (type == "task-sent") {
        sent_.push_back({id, text_in(e, "queue"), at});
        if (sent_.size() > most_sent) sent_.pop_front();
        return add_queue(sent_.back().queue);
    }
    if (type == "task-received") return receive(find_or_add(id), e, at);
    if (type == "task-started") {
        job& j = find_or_add(id);
        j.state = "started";
        j.started = at;
        j.worker = text_in(e, "hostname");
        const double since = j.sent > 0 ? j.sent : j.received;
        if (since > 0) wait_times_.add(now, at - since);
        return;
    }
    if (type == "task-retried") {
        job& j = find_or_add(id);
        j.state = "retry";
        j.started = 0;
        ++totals_["retried"];
        return;
    }
    if (type == "task-succeeded") {
        ++totals_["succeeded"];
        succeeded_per_second_.add(now);
        run_times_.add(now, number_in(e, "runtime", -1) >= 0 ? number_in(e, "runtime") : NAN);
    } else if (type == "task-failed") {
        job ended; // one that was not known before takes nobody's place
        ended.id = id;
        if (const auto known = by_id_.find(id); known != by_id_.end()) ended = *known->second;
        fail(std::move(ended), e, at);
        failed_per_second_.add(now);
        ++totals_["failed"];
    } else if (type == "task-revoked") {
        ++totals_["revoked"];
    } else if (type == "task-rejected") {
        ++totals_["rejected"];
    } else {
        return;
    }
    erase(id);
    remember_end(id);
}

void model::remember_end(const std::string& id) {
    if (!ended_.insert(id).second) return;
    ended_order_.push_back(id);
    if (ended_order_.size() <= most_ended) return;
    ended_.erase(ended_order_.front());
    ended_order_.pop_front();
}

void model::receive(job& j, const json& e, double at) {
    j.state = "received";
    j.name = text_in(e, "name");
    j.args = text_in(e, "args");
    j.kwargs = text_in(e, "kwargs");
    j.worker = text_in(e, "hostname");
    j.retries = integer_in(e, "retries");
    j.received = at;
    if (const std::string q = text_in(e, "queue"); !q.empty()) j.queue = q;
    const auto sent = std::ranges::find(sent_, j.id, &sent_job::id);
    if (sent == sent_.end()) return;
    j.sent = sent->at;
    if (j.queue.empty()) j.queue = sent->queue;
    sent_.erase(sent);
}

void model::fail(job j, const json& e, double at) {
    std::erase_if(failed_, [&](const failed_job& f) { return f.what.id == j.id; });
    failed_job f;
    if (const std::string w = text_in(e, "hostname"); !w.empty()) j.worker = w;
    f.what = std::move(j);
    f.exception = text_in(e, "exception");
    if (const auto t = e.find("traceback"); t != e.end() && t->is_string()) f.traceback = cut(t->get_ref<const std::string&>(), limits_.traceback);
    f.at = at;
    failed_.push_front(std::move(f));
    if (failed_.size() > limits_.failed) failed_.pop_back();
}

job& model::find_or_add(const std::string& id) {
    if (const auto at = by_id_.find(id); at != by_id_.end()) return *at->second;
    if (jobs_.size() >= limits_.jobs) erase(std::string(jobs_.front().id));
    job& j = jobs_.emplace_back();
    j.id = id;
    j.state = "received";
    by_id_[id] = std::prev(jobs_.end());
    return j;
}
void model::erase(const std::string& id) {
    const auto at = by_id_.find(id);
    if (at == by_id_.end()) return;
    jobs_.erase(at->second);
    by_id_.erase(at);
}
void model::erase_jobs_of(const std::string& name) {
    std::erase_if(jobs_, [&](const job& j) {
        if (j.worker != name) return false;
        by_id_.erase(j.id);
        return true;
    });
}

// --- answers

/// A worker tells arguments as they are, not as Python's repr.
void model::take_active_job(job& j, const json& a, double now) {
    if (j.state != "started") j.started = number_in(a, "time_start", now);
    j.state = "started";
    if (j.name.empty()) j.name = text_in(a, "name");
    const json where = a.value("delivery_info", json());
    if (where.is_object() && j.queue.empty()) j.queue = text_in(where, "routing_key");
    const json args = a.value("args", json()), kwargs = a.value("kwargs", json());
    if (j.exact_args || !args.is_array() || !kwargs.is_object()) return;
    const auto text = [](const json& v) { return v.dump(-1, ' ', false, json::error_handler_t::replace); };
    const std::string args_text = text(args), kwargs_text = text(kwargs);
    if (args_text.size() + kwargs_text.size() > largest_arguments) return;
    if (j.args.empty()) j.args = cut(args_text, limits_.text);
    if (j.kwargs.empty()) j.kwargs = cut(kwargs_text, limits_.text);
    j.exact_args = args;
    j.exact_kwargs = kwargs;
}

void model::take_active(const json& answers, double asked_at, double now) {
    if (!answers.is_object()) return;
    for (const auto& [name, list] : answers.items()) {
        if (!list.is_array()) continue;
        std::vector<std::string> seen;
        for (const json& a : list) {
            const std::string id = a.is_object() ? text_in(a, "id") : std::string();
            if (id.empty()) continue;
            seen.push_back(id);
            if (ended_.contains(id) && !by_id_.contains(id)) continue;
            job& j = find_or_add(id);
            j.worker = cut(name, limits_.text);
            take_active_job(j, a, now);
        }
        std::erase_if(jobs_, [&](const job& j) {
            const bool lost = j.worker == name && j.state == "started" && j.started < asked_at - 1 && std::ranges::find(seen, j.id) == seen.end();
            if (lost) by_id_.erase(j.id);
            return lost;
        });
    }
    ++version_;
}

void model::take_queues(const json& answers) {
    if (!answers.is_object()) return;
    for (const auto& [name, list] : answers.items()) {
        worker* const w = find_or_add_worker(cut(name, limits_.text));
        if (!w || !list.is_array()) continue;
        w->queues.clear();
        for (const json& q : list) {
            if (!q.is_object() || w->queues.size() >= limits_.queues) continue;
            w->queues.push_back(text_in(q, "name"));
            add_queue(w->queues.back());
        }
    }
    ++version_;
}
void model::take_statistics(const json& answers) {
    if (!answers.is_object()) return;
    for (const auto& [name, s] : answers.items()) {
        worker* const w = find_or_add_worker(cut(name, limits_.text));
        const json pool = s.is_object() ? s.value("pool", json()) : json();
        if (w && pool.is_object()) w->concurrency = integer_in(pool, "max-concurrency");
    }
    ++version_;
}

void model::add_queue(const std::string& name) {
    if (!name.empty() && (queues_.size() < limits_.queues || queues_.contains(name))) queues_[name];
}
void model::take_lengths(const std::vector<std::string>& queues, const std::vector<std::optional<std::int64_t>>& lengths, std::int64_t unacked, std::int64_t dead) {
    bool changed = std::exchange(unacked_, unacked) != unacked;
    changed = std::exchange(dead_, dead) != dead || changed;
    for (std::size_t i = 0; i < queues.size(); ++i)
        if (const auto at = queues_.find(queues[i]); at != queues_.end()) changed = std::exchange(at->second.length, lengths[i]) != lengths[i] || changed;
    if (changed) ++version_;
}

void model::connected(const std::string& broker) {
    connected_ = true;
    broker_ = cut(broker, limits_.text);
    reason_.clear();
    ++version_;
}
void model::disconnected(const std::string& reason) {
    connected_ = false;
    reason_ = cut(reason, limits_.text);
    ++version_;
}
void model::forget_jobs() {
    jobs_.clear();
    by_id_.clear();
    sent_.clear();
    ++version_;
}

void model::tick(double now) {
    for (auto at = workers_.begin(); at != workers_.end();) {
        worker& w = at->second;
        if (w.seen == 0) w.seen = now; // it has answered, but said nothing yet
        const double silent = now - w.seen;
        const bool alive = w.alive && silent < 3 * w.frequency + 4;
        if (!connected_) w.seen = std::max(w.seen, now - 2); // nobody can be heard
        else if (w.alive && !alive) {
            w.alive = false;
            erase_jobs_of(at->first);
            ++version_;
        } else if (!w.alive && silent > kept_after_end) {
            at = workers_.erase(at);
            ++version_;
            continue;
        }
        ++at;
    }
}

std::vector<std::string> model::queue_names() const {
    std::vector<std::string> names;
    for (const auto& [name, q] : queues_) names.push_back(name);
    return names;
}
std::vector<std::string> model::workers_alive() const {
    std::vector<std::string> names;
    for (const auto& [name, w] : workers_)
        if (w.alive) names.push_back(name);
    return names;
}
std::vector<std::string> model::take_new_workers() {
    return std::exchange(new_workers_, {});
}
bool model::moves(double now) const {
    return succeeded_per_second_.sum(now, seconds_shown) + failed_per_second_.sum(now, seconds_shown) > 0;
}

// --- what is done

bool model::revoking(const std::string& id) {
    const auto at = by_id_.find(id);
    if (at == by_id_.end()) return false;
    at->second->revoking = true;
    ++version_;
    return true;
}

const failed_job* model::find_failed(const std::string& id) const {
    const auto at = std::ranges::find(failed_, id, [](const failed_job& f) -> const std::string& { return f.what.id; });
    return at == failed_.end() ? nullptr : &*at;
}

/// The queue that it came from: as it was said, or the only one of its worker; else the first that the user has named.
std::string model::queue_of(const job& j) const {
    if (!j.queue.empty()) return j.queue;
    const auto at = workers_.find(j.worker);
    return at != workers_.end() && at->second.queues.size() == 1 ? at->second.queues.front() : default_queue_;
}

job_to_send model::to_send_again(const failed_job& f) const {
    const job& j = f.what;
    if (j.name.empty()) throw std::invalid_argument("its task is not known: its beginning was not seen");
    if (j.name.ends_with("…")) throw std::invalid_argument("its task's name is too long");
    std::optional<json> args = j.exact_args, kwargs = j.exact_kwargs;
    if (!args) args = read_python_literal(j.args);
    if (!kwargs) kwargs = read_python_literal(j.kwargs.empty() ? "{}" : j.kwargs);
    if (!args || !args->is_array() || !kwargs || !kwargs->is_object())
        throw std::invalid_argument("its arguments are not known exactly: events carry them as text, which was cut or is no JSON");
    return {j.name, queue_of(j), std::move(*args), std::move(*kwargs)};
}

void model::was_sent_again(const std::string& id, const std::string& as) {
    for (failed_job& f : failed_)
        if (f.what.id == id) f.sent_again_as = as;
    ++version_;
}

} // namespace jobs_dashboard

#include <eddy/jobs/client.hpp>

#include <stdexcept>

#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>
#include <eddy/with_cleanup.hpp>

#include "client_core.hpp"
#include "message.hpp"

namespace eddy::jobs {

namespace detail {

namespace {

template <class T>
std::optional<double> seconds_of(const std::optional<T>& d) {
    if (!d) return {};
    return std::chrono::duration<double>(*d).count();
}
wall_time later(std::chrono::nanoseconds d) {
    return wall_now() + std::chrono::duration_cast<wall_time::duration>(d);
}

message message_of(std::string name, json args, const send_options& how, std::string_view queue) {
    if (name.empty()) throw std::invalid_argument("jobs: a job needs a task's name");
    if (how.priority < 0 || how.priority > 9) throw std::invalid_argument("jobs: the priority " + std::to_string(how.priority) + " is not within 0 to 9");
    if (!args.is_array()) throw std::invalid_argument("jobs: the arguments of " + name + " are no list");
    message m;
    m.task = std::move(name);
    m.id = how.id.empty() ? make_uuid() : std::string(how.id);
    m.root_id = m.id;
    if (const auto job = current_job()) {
        m.root_id = job->root_id.empty() ? job->id : job->root_id;
        m.parent_id = job->id;
    }
    m.tag = make_uuid();
    m.queue = how.queue.empty() ? queue : how.queue;
    m.priority = how.priority;
    m.args = std::move(args);
    if (how.named) m.kwargs = *how.named;
    if (!m.kwargs.is_object()) throw std::invalid_argument("jobs: the keyword arguments of " + m.task + " are no object");
    if (how.headers) m.headers = *how.headers;
    if (!m.headers.is_object()) throw std::invalid_argument("jobs: the headers of " + m.task + " are no object");
    if (how.eta) m.eta = std::chrono::time_point_cast<wall_time::duration>(*how.eta);
    if (how.countdown) m.eta = later(*how.countdown);
    if (how.expires) m.expires = later(*how.expires);
    m.time_limit = seconds_of(how.time_limit);
    m.soft_time_limit = seconds_of(how.soft_time_limit);
    m.ignore_result = how.ignore_result;
    if (how.on_success) m.callbacks = json::array({how.on_success->form()});
    if (how.on_error) m.errbacks = json::array({how.on_error->form()});
    if (how.rq) m.rq = *how.rq;
    return m;
}

/// A call of the broker, which lives as long as it takes; a checkpoint, which not every broker's calls are.
template <class T>
task<T> checked(std::shared_ptr<client_core> core, task<T> call) {
    co_await this_task::checkpoint();
    static_cast<void>(core);
    co_return co_await std::move(call);
}

task<std::string> send_message(std::shared_ptr<client_core> core, message m) {
    co_await this_task::checkpoint();
    m.reply_to = core->id;
    const auto sent = std::make_shared<const message>(std::move(m));
    co_await core->broker->send(sent);
    co_return sent->id;
}
job_status status_in(const std::string& text) {
    try {
        return job_status(parse_json(text));
    } catch (const json::exception& e) {
        throw error("jobs: a stored result cannot be read: " + text.substr(0, 100) + " (" + e.what() + ")");
    }
}
task<json> wait_value(std::shared_ptr<client_core> core, std::string id) {
    co_await this_task::checkpoint();
    std::string text = co_await core->broker->wait_final(std::move(id));
    const job_status s = status_in(text);
    co_return s.value();
}
task<json> send_and_wait(std::shared_ptr<client_core> core, message m) {
    std::string id = co_await send_message(core, std::move(m));
    co_return co_await wait_value(std::move(core), std::move(id));
}

task<job_status> read_status(std::shared_ptr<client_core> core, std::string id) {
    co_await this_task::checkpoint();
    const std::optional<std::string> text = co_await core->broker->fetch(std::move(id));
    if (!text) co_return job_status();
    co_return status_in(*text);
}

task<std::string> send_workflow(std::shared_ptr<client_core> core, json form) {
    co_await this_task::checkpoint();
    origin from;
    from.queue = core->queue;
    from.reply_to = core->id;
    if (const auto job = current_job()) {
        from.root_id = job->root_id.empty() ? job->id : job->root_id;
        from.parent_id = job->id;
    }
    plan p = plan_signature(form, std::nullopt, from);
    std::string id = p.result;
    co_await send_plan(core->broker, std::move(p), core->ttl);
    co_return id;
}

json group_text(const saved_group& g) {
    json members = json::array();
    for (const std::string& id : g.members) members.push_back(json::array({json::array({id, nullptr}), nullptr}));
    return {{"result", json::array({json::array({g.id, nullptr}), std::move(members)})}};
}
std::vector<std::string> members_in(const json& stored) {
    std::vector<std::string> ids;
    for (const json& member : stored.at("result").at(1)) ids.push_back(member.at(0).at(0).get<std::string>());
    return ids;
}

task<std::vector<std::string>> find_members(std::shared_ptr<client_core> core, std::string id) {
    co_await this_task::checkpoint();
    const std::optional<std::string> text = co_await core->broker->fetch_group(id);
    if (!text) throw error("jobs: there is no group " + id);
    try {
        co_return members_in(parse_json(*text));
    } catch (const json::exception& e) {
        throw error("jobs: what is stored of group " + id + " is no group: " + e.what());
    }
}

/// Collects answers until `expected` are there; for ever, if that is 0.
task<> collect_answers(broker_ptr from, std::string id, std::string ticket, std::size_t expected, json& answers) {
    while (expected == 0 || answers.size() < expected) {
        const std::string text = co_await from->next_answer(id);
        try {
            const envelope e = decode_envelope(text);
            if (e.body.is_object() && e.headers.value("ticket", json()) == ticket) answers.update(e.body);
        } catch (const malformed_message&) { // not for us
        }
    }
}

task<json> ask_workers(std::shared_ptr<client_core> core, std::string method, json parameters, std::vector<std::string> workers, std::chrono::nanoseconds patience, std::size_t expected) {
    co_await this_task::checkpoint();
    const std::string ticket = make_uuid();
    const std::string inbox = make_uuid();
    const json body = control_message(method, std::move(parameters), workers, ticket, inbox);
    json answers = json::object();
    const auto collecting = [&](cancel_scope&) { return collect_answers(core->broker, inbox, ticket, expected, answers); };
    const auto ask = [&]() -> task<> {
        co_await core->broker->listen_for_answers(inbox);
        co_await core->broker->broadcast(control_envelope(body, patience + std::chrono::seconds(1)));
        co_await move_on_after(patience, collecting);
    };
    const auto end = [&]() { return core->broker->end_answers(inbox); };
    co_await with_cleanup(ask, end);
    co_return answers;
}

} // namespace

task<> send_plan(broker_ptr to, plan p, std::chrono::nanoseconds ttl) {
    co_await send_rest_of(to, p, ttl);
}
task<> send_rest_of(broker_ptr to, plan& p, std::chrono::nanoseconds ttl) {
    co_await send_preparations_of(to, p, ttl);
    for (; p.sent < p.messages.size(); ++p.sent) {
        const auto m = std::make_shared<const message>(p.messages[p.sent]);
        co_await to->send(m);
    }
}
task<> send_preparations_of(broker_ptr to, plan& p, std::chrono::nanoseconds ttl) {
    for (const chord_size& c : p.chords) co_await to->set_chord_size(c.group, c.size, ttl);
    p.chords.clear();
    for (const saved_group& g : p.groups) {
        const std::string text = dump_json(group_text(g));
        co_await to->store_group(g.id, text, ttl);
    }
    p.groups.clear();
}

} // namespace detail

using namespace detail;

job_status::job_status(json stored) : state("PENDING") {
    if (!stored.is_object()) return;
    state = stored.value("status", "PENDING");
    if (stored.contains("result")) result = std::move(stored["result"]);
    if (stored.contains("traceback") && stored["traceback"].is_string()) traceback = stored["traceback"].get<std::string>();
    if (stored.contains("children") && stored["children"].is_array()) children = std::move(stored["children"]);
}
bool job_status::ready() const noexcept {
    return is_final(state);
}
json job_status::value() const {
    if (state == "SUCCESS") return result;
    const auto text = [&](const char* key) { return result.is_object() && result.contains(key) && result[key].is_string() ? result[key].get<std::string>() : std::string(); };
    json arguments = result.is_object() && result.contains("exc_message") ? result["exc_message"] : json::array();
    if (!arguments.is_array()) arguments = json::array({arguments});
    if (state == "REVOKED") throw task_revoked("the job was revoked: " + (arguments.empty() || !arguments[0].is_string() ? "revoked" : arguments[0].get<std::string>()));
    if (state != "FAILURE") throw error("the job is not over: its state is " + state);
    throw task_failed(text("exc_type").empty() ? "Exception" : text("exc_type"), std::move(arguments), traceback);
}

task<std::string> client::send_json(std::string name, json args, const send_options& how) {
    return send_message(core_, message_of(std::move(name), std::move(args), how, core_->queue));
}
task<json> client::call_json(std::string name, json args, const send_options& how) {
    return send_and_wait(core_, message_of(std::move(name), std::move(args), how, core_->queue));
}
task<json> client::wait_json(std::string id) {
    return wait_value(core_, std::move(id));
}
task<std::string> client::send(const signature& workflow) {
    return send_workflow(core_, workflow.form());
}
task<std::vector<json>> client::results(std::vector<std::string> ids) {
    std::vector<task<json>> all;
    for (std::string& id : ids) all.push_back(wait_value(core_, std::move(id)));
    return [](std::vector<task<json>> waiting) -> task<std::vector<json>> {
        std::vector<json> values;
        for (auto& one : waiting) values.push_back(co_await std::move(one));
        co_return values;
    }(std::move(all));
}
task<std::vector<std::string>> client::group_members(std::string group_id) {
    return find_members(core_, std::move(group_id));
}
task<job_status> client::status(std::string id) {
    return read_status(core_, std::move(id));
}
task<> client::forget(std::string id) {
    return checked(core_, core_->broker->forget(std::move(id)));
}
task<> client::revoke(std::string id, const revoke_options& how) {
    return checked(core_, core_->broker->revoke(std::move(id), how.terminate, std::string(how.signal)));
}
task<json> client::control(std::string method, json parameters, std::vector<std::string> workers, std::chrono::nanoseconds patience, std::size_t expected) {
    return ask_workers(core_, std::move(method), std::move(parameters), std::move(workers), patience, expected);
}
task<std::size_t> client::queued(std::string queue) {
    return checked(core_, core_->broker->length(queue.empty() ? core_->queue : std::move(queue)));
}
task<std::size_t> client::purge(std::string queue) {
    return checked(core_, core_->broker->purge(queue.empty() ? core_->queue : std::move(queue)));
}
task<std::vector<dead_letter>> client::dead_letters(std::size_t most) {
    return checked(core_, core_->broker->dead_letters(most));
}
task<bool> client::revive(std::string tag) {
    return checked(core_, core_->broker->revive(std::move(tag)));
}
task<bool> client::lock(std::string name, std::string owner, std::chrono::nanoseconds ttl) {
    return checked(core_, core_->broker->lock(std::move(name), std::move(owner), ttl));
}

namespace detail {
namespace {

task<client> connect_now(std::shared_ptr<const broker_settings> settings, std::string queue, std::chrono::nanoseconds ttl) {
    co_await this_task::checkpoint();
    connect_options options;
    options.queue = queue;
    options.result_ttl = ttl;
    broker_ptr b = co_await open_broker(std::move(settings));
    co_return client(std::make_shared<client_core>(std::move(b), options));
}

} // namespace
} // namespace detail

task<client> connect(std::string url, const connect_options& options) {
    auto settings = std::make_shared<broker_settings>();
    settings->url = std::move(url);
    settings->results = options.results;
    settings->key_prefix = options.key_prefix;
    settings->protocol = options.protocol;
    settings->poll = options.poll;
    const std::string_view usual = options.protocol == protocol::rq ? "default" : "celery";
    return connect_now(std::move(settings), std::string(options.queue.empty() ? usual : options.queue), options.result_ttl);
}

} // namespace eddy::jobs

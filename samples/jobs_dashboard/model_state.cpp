// The model as the page sees it: JSON.
#include "model.hpp"

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <tuple>
#include <utility>

namespace jobs_dashboard {

namespace {

/// Its arguments in at most `most` bytes each.
json job_fields(const job& j, const std::string& queue, std::size_t most) {
    return {{"id", j.id}, {"name", j.name}, {"args", cut(j.args, most)}, {"kwargs", cut(j.kwargs, most)}, {"worker", j.worker}, {"queue", queue}, {"retries", j.retries}};
}

} // namespace

json model::describe_queues() const {
    json all = json::array();
    for (const auto& [name, q] : queues_) {
        const auto has = [&](const auto& entry) { return entry.second.alive && std::ranges::find(entry.second.queues, name) != entry.second.queues.end(); };
        all.push_back({{"name", name}, {"length", q.length ? json(*q.length) : json()}, {"workers", std::ranges::count_if(workers_, has)}});
    }
    return all;
}

json model::describe_workers() const {
    json all = json::array();
    for (const auto& [name, w] : workers_)
        all.push_back({{"name", name}, {"alive", w.alive}, {"software", w.software}, {"pid", w.pid}, {"active", w.alive ? w.active : 0}, {"processed", w.processed},
                       {"concurrency", w.concurrency}, {"load", w.load}, {"seen", w.seen}, {"queues", w.queues}});
    return all;
}

json model::describe_running() const {
    std::vector<const job*> order;
    std::map<std::string_view, std::size_t> count;
    for (const job& j : jobs_) {
        order.push_back(&j);
        ++count[j.state];
    }
    const auto key = [](const job* j) { return std::tuple(j->state != "started", j->state == "started" ? j->started : j->received, std::string_view(j->id)); };
    std::ranges::sort(order, {}, key);
    if (order.size() > limits_.jobs_shown) order.resize(limits_.jobs_shown);
    json list = json::array();
    for (const job* j : order) {
        json one = job_fields(*j, queue_of(*j), limits_.text_in_lists);
        one.update(json{{"state", j->state}, {"received", j->received}, {"started", j->started}, {"revoking", j->revoking}});
        list.push_back(std::move(one));
    }
    return {{"started", count["started"]}, {"received", count["received"]}, {"retry", count["retry"]}, {"jobs", std::move(list)}};
}

json model::describe_failed() const {
    json list = json::array();
    for (const failed_job& f : failed_) {
        json one = job_fields(f.what, queue_of(f.what), limits_.text_in_lists);
        std::string why_not;
        try {
            static_cast<void>(to_send_again(f));
        } catch (const std::invalid_argument& e) {
            why_not = e.what();
        }
        one.update(json{{"exception", cut(f.exception, 2 * limits_.text_in_lists)}, {"at", f.at}, {"has_traceback", !f.traceback.empty()}, {"sent_again_as", f.sent_again_as}, {"why_not", why_not}});
        list.push_back(std::move(one));
    }
    return list;
}

json model::state(double now) const {
    json totals = json::object();
    for (const auto& [what, n] : totals_) totals[what] = n;
    const double rate = static_cast<double>(succeeded_per_second_.sum(now, 10) + failed_per_second_.sum(now, 10)) / 10;
    return {{"now", now}, {"connected", connected_}, {"reason", reason_}, {"broker", broker_}, {"totals", std::move(totals)},
            {"queues", describe_queues()}, {"unacked", unacked_}, {"dead_letters", dead_}, {"workers", describe_workers()},
            {"running", describe_running()}, {"failed", describe_failed()},
            {"throughput", {{"rate", rate}, {"succeeded", succeeded_per_second_.counts(now)}, {"failed", failed_per_second_.counts(now)}}},
            {"latency", {{"run", run_times_.summary(now)}, {"wait", wait_times_.summary(now)}}}};
}

std::optional<json> model::describe(const std::string& id) const {
    if (const failed_job* f = find_failed(id)) {
        json one = job_fields(f->what, queue_of(f->what), limits_.text);
        one.update(json{{"state", "failed"}, {"exception", f->exception}, {"traceback", f->traceback}, {"at", f->at}, {"sent_again_as", f->sent_again_as}});
        return one;
    }
    const auto at = by_id_.find(id);
    if (at == by_id_.end()) return std::nullopt;
    const job& j = *at->second;
    json one = job_fields(j, queue_of(j), limits_.text);
    one.update(json{{"state", j.state}, {"received", j.received}, {"started", j.started}, {"revoking", j.revoking}});
    return one;
}

} // namespace jobs_dashboard

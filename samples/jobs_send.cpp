// jobs_send: sends a job by name, with JSON arguments, and prints its result.
//
//     jobs_send --url redis://127.0.0.1:6379/0 [--results redis://127.0.0.1:6379/1] [--queue celery] [--id ID] [--countdown SECONDS]
//               [--expires SECONDS] [--priority 0-9] [--time-limit SECONDS] [--kwargs JSON] [--no-wait] TASK [JSON…]
//
//     jobs_send --rq --url redis://127.0.0.1:6379/0 [--queue default] [--depends-on ID]… [--retries N] [--interval SECONDS]… [--at-front]
//               [--meta JSON] [--result-ttl SECONDS] … TASK [JSON…]
//     jobs_send --url URL [--results URL] [--rq] --result ID     waits for a job that was sent before
//     jobs_send --url URL --rq --cancel ID                       it is not run, or stopped; --requeue ID: it has failed, and runs again
//
//     jobs_send --url sqlite:jobs.db tasks.add 2 3             prints 5
//
// With --no-wait it prints the job's id. Exit status 1: the job has failed, and stderr says how.
#include <chrono>
#include <cstdio>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include <eddy/eddy.hpp>
#include <eddy/jobs.hpp>

#include "number.hpp"

namespace {

using namespace eddy;
using jobs::json;

struct send_arguments {
    std::string url, results, queue, id, name;
    jobs::send_options how;
    jobs::protocol protocol = jobs::protocol::celery;
    json args = json::array();
    json named = json::object();
    bool wait = true;
    std::string of_id, cancelled, requeued; // a job that was sent before
    jobs::rq_options rq;
};

json read_json(const std::string& text) {
    json v = json::parse(text, nullptr, false);
    if (v.is_discarded()) throw std::invalid_argument("'" + text + "' is no JSON (strings need their quotes: '\"text\"')");
    return v;
}
std::chrono::nanoseconds seconds_of(std::string_view option, const std::string& text) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(1000 * samples::parse_number<double>(option, text, 0, 1e9)));
}

send_arguments parse_arguments(std::span<char*> given) {
    send_arguments a;
    for (std::size_t i = 0; i < given.size(); ++i) {
        const std::string_view option = given[i];
        const auto value = [&]() -> std::string {
            if (i + 1 == given.size()) throw std::invalid_argument(std::string(option) + " needs a value");
            return given[++i];
        };
        if (!a.name.empty() || !option.starts_with("--")) {
            if (a.name.empty()) a.name = option;
            else a.args.push_back(read_json(std::string(option)));
        } else if (option == "--url") a.url = value();
        else if (option == "--results") a.results = value();
        else if (option == "--queue") a.queue = value();
        else if (option == "--id") a.id = value();
        else if (option == "--countdown") a.how.countdown = seconds_of(option, value());
        else if (option == "--expires") a.how.expires = seconds_of(option, value());
        else if (option == "--time-limit") a.how.time_limit = seconds_of(option, value());
        else if (option == "--priority") a.how.priority = samples::parse_number<int>(option, value(), 0, 9);
        else if (option == "--kwargs") a.named = read_json(value());
        else if (option == "--result") a.of_id = value();
        else if (option == "--no-wait") a.wait = false;
        else if (option == "--depends-on") a.rq.depends_on.push_back(value());
        else if (option == "--retries") a.rq.retries = samples::parse_number<int>(option, value(), 0, 1000);
        else if (option == "--interval") a.rq.retry_intervals.push_back(seconds_of(option, value()));
        else if (option == "--result-ttl") a.rq.result_ttl = seconds_of(option, value());
        else if (option == "--meta") a.rq.meta = read_json(value());
        else if (option == "--at-front") a.rq.at_front = true;
        else if (option == "--cancel") a.cancelled = value();
        else if (option == "--requeue") a.requeued = value();
        else if (option == "--rq") a.protocol = jobs::protocol::rq;
        else throw std::invalid_argument("cannot read '" + std::string(option) + "'");
    }
    if (a.url.empty()) throw std::invalid_argument("--url is missing");
    if (a.name.empty() && a.of_id.empty() && a.cancelled.empty() && a.requeued.empty()) throw std::invalid_argument("the task's name is missing");
    return a;
}

task<int> send(send_arguments a) {
    jobs::connect_options to;
    to.results = a.results;
    to.queue = a.queue;
    to.protocol = a.protocol;
    jobs::client c = co_await jobs::connect(a.url, to);
    a.how.id = a.id;
    a.how.named = &a.named;
    if (a.protocol == jobs::protocol::rq) a.how.rq = &a.rq;
    if (!a.cancelled.empty()) co_await c.revoke(a.cancelled, {.terminate = true});
    if (!a.cancelled.empty()) co_return 0;
    if (!a.requeued.empty()) {
        const bool found = co_await c.revive(a.requeued);
        if (!found) std::fprintf(stderr, "jobs_send: no job %s has failed\n", a.requeued.c_str());
        co_return found ? 0 : 1;
    }
    std::string id = a.of_id;
    if (id.empty()) id = co_await c.send_json(a.name, a.args, a.how);
    if (!a.wait) {
        std::printf("%s\n", id.c_str());
        co_return 0;
    }
    try {
        const json result = co_await c.result(id);
        std::printf("%s\n", result.dump().c_str());
        co_return 0;
    } catch (const jobs::error& e) {
        std::fprintf(stderr, "jobs_send: %s\n", e.what());
        co_return 1;
    }
}

} // namespace

int main(int argc, char** argv) {
    try {
        return eddy::run_main(send(parse_arguments(std::span(argv, static_cast<std::size_t>(argc)).subspan(1))));
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "jobs_send: %s\nusage: jobs_send --url URL [--results URL] [--queue NAME] [--id ID] [--countdown SECONDS] [--expires SECONDS] "
                             "[--priority 0-9] [--time-limit SECONDS] [--kwargs JSON] [--no-wait] [--rq ...] TASK [JSON...]\n", e.what());
        return 2;
    }
}

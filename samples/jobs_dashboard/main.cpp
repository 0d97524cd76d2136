// jobs_dashboard: a page that shows what the workers of a Celery cluster are doing, live, with buttons to revoke and retry.
//
//     jobs_dashboard --url redis://127.0.0.1:6379/0 [--results URL] [--queue NAME]... [--key-prefix TEXT] [--port N]
//                    [--address A] [--host NAME]... [--heartbeat SECONDS] [--no-enable-events] [--read-only]
//
//     GET  /                       the page
//     GET  /events                 what it shows, as server-sent events, whenever it changes
//     GET  /api/state              the same, once
//     GET  /api/jobs/{id}          one job; of a failed one the traceback
//     POST /api/jobs/{id}/revoke   a job that runs, or waits in a worker, is stopped
//     POST /api/jobs/{id}/retry    a failed job is sent again, as a new one
//     GET  /healthz                is this program there?
//
// Prints its address when it listens: on 127.0.0.1, port 8080, unless told otherwise; --port 0 lets the kernel pick one. POST needs the
// header X-Dashboard: 1; who may ask is told in request_guard.hpp. There is no password: on another --address, whoever reaches it may
// press the buttons, unless it is --read-only.
//
// It knows jobs from the events of workers, and asks the workers to send them (--no-enable-events: it does not). Workers of Python and of
// C++ are all the same to it. What nobody hears is lost: a job that ran before it started is not among the failed.
//
//     web/             the page: HTML, CSS and JavaScript without any library; compiled in
//     service          routes, and the stream of events
//     request_guard    who is answered
//     watcher          the connection to Redis: events, lengths of queues, questions to workers, and what the buttons do
//     model            what is known: plain C++; model_state: as JSON
//     series, event_message, python_literal    its parts
#include <cstdio>
#include <span>
#include <stdexcept>

#include <eddy/run.hpp>
#include <eddy/sleep.hpp>
#include <eddy/task_group.hpp>
#include <eddy/with_cleanup.hpp>

#include "model.hpp"
#include "options.hpp"
#include "service.hpp"
#include "watcher.hpp"

namespace {

using namespace jobs_dashboard;

eddy::task<> show(options o) {
    model m({}, o.queues);
    watcher w(m, o);
    service s(m, w, o);
    const auto serve = [&]() -> eddy::task<> {
        const eddy::ip_endpoint where(o.address, o.port);
        co_await s.listen(where);
        std::printf("dashboard at %s\n", s.url().c_str());
        std::fflush(stdout);
        const auto work = [&](eddy::task_group& g) -> eddy::task<> {
            g.spawn(s.publish(), {.name = "publish"});
            co_await w.run();
        };
        co_await eddy::with_task_group(work);
    };
    const auto finish = [&] { return s.shutdown(); };
    co_await eddy::with_cleanup(serve, finish);
}

} // namespace

int main(int argc, char** argv) {
    try {
        const options o = parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
        if (o.help) {
            std::fputs(usage, stdout);
            return 0;
        }
        return eddy::run_main(show(o));
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "jobs_dashboard: %s\n%s", e.what(), usage);
        return 2;
    }
}

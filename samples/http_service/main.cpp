// http_service: an HTTP service with what operations ask of one: metrics, a health check, an access log, an orderly
// end.
//
//     http_service --port N [--address A] [--files FOLDER] [--tls CERT KEY [--tls-clients CA]] [--drain S] [--grace S]
//
//     GET /                 what there is, as JSON
//     GET /hello/{name}     a greeting
//     GET /notes/{key}      a note that was PUT there; PUT /notes/{key} keeps the body
//     GET /primes/{n}       how many primes there are below n: computed on the pool, so that nobody waits for it
//     GET /bytes/{n}        n bytes, made while they are sent; or the part that a Range header asks for
//     GET /files/{path...}  what is in FOLDER: ranges, conditional requests
//     GET /metrics          for Prometheus
//     GET /healthz          200; 503 from the moment on that it is about to end
//
// Prints "PORT n" and then "READY" when it listens, on 127.0.0.1 unless told otherwise; N = 0 lets the kernel pick a
// port. The access log goes to standard error, in the format of Apache and nginx.
//
// With --tls it is an HTTPS service: CERT and KEY are PEM files. With --tls-clients only who has a certificate of the authority CA gets
// in. Try it with: curl --cacert CA [--cert MINE --key KEY] https://localhost:PORT/
//
// SIGTERM or Ctrl-C: /healthz says 503 and all the rest goes on for --drain seconds (default 1), in which load
// balancers look elsewhere. Then no more connections are taken, and requests that run may end within --grace seconds
// (default 10). A second signal ends it at once.
//
// service.hpp is the heart of it: the routes and their handlers. Here is how it begins and how it ends.
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <span>
#include <stdexcept>

#include <fmt/format.h>

#include <eddy/run.hpp>
#include <eddy/sleep.hpp>
#include <eddy/task_group.hpp>
#include <eddy/with_cleanup.hpp>

#include "log_writer.hpp"
#include "options.hpp"
#include "service.hpp"

namespace {

using namespace http_service;
using namespace std::chrono_literals;

// Else its writer would wait for ever.
class closes_log {
public:
    explicit closes_log(log_writer& log) : log_(log) {}
    closes_log(const closes_log&) = delete;
    closes_log& operator=(const closes_log&) = delete;
    ~closes_log() { log_.close(); }

private:
    log_writer& log_;
};

eddy::task<> run_service(const options& o) {
    log_writer log;
    service s(log, o);
    co_await eddy::with_task_group([&](eddy::task_group& g) -> eddy::task<> {
        // In a shield, for it ends by itself: when the log is closed. A signal must not cost the last lines.
        auto write_log = [&]() -> eddy::task<> { co_await eddy::with_shield([&] { return log.run(); }); };
        g.spawn(write_log);

        auto serve = [&]() -> eddy::task<> {
            const eddy::ip_endpoint where(o.address, o.port);
            co_await s.listen(where);
            fmt::print("PORT {}\nREADY\n", s.port());
            std::fflush(stdout);
            co_await eddy::sleep_for(
                std::chrono::nanoseconds::max()); // the server is a task of its own; a signal cancels this one
        };
        auto finish = [&]() -> eddy::task<> {
            const closes_log at_end(log);
            s.begin_to_end();
            if (s.port() == 0) co_return; // it could not even listen
            co_await eddy::sleep_for(o.drain);
            co_await s.shutdown(o.grace);
        };
        co_await eddy::with_cleanup(serve, finish, o.drain + o.grace + 2s);
    });
}

} // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN); // the reader of our log may go
    try {
        const options o = parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
        return eddy::run_main(run_service(o), {.grace = o.drain + o.grace + 5s}); // longer than what we take ourselves
    } catch (const std::invalid_argument& e) {
        fmt::print(stderr, "http_service: {}\n{}", e.what(), usage);
        return 2;
    }
}

// A process_pool while system calls of its program fail: what fails is one call, and not the others or their server.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <eddy/process_pool.hpp>

#include <cerrno>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>

#include <unistd.h>

#include "faults/fault.hpp"

using namespace eddy;

namespace {

int server_number() { return ::getppid(); }
EDDY_REMOTE(server_number)
int stays_until_stopped(std::stop_token stop, int result) {
    this_call::progress(1);
    while (!stop.stop_requested()) std::this_thread::yield();
    return result;
}
EDDY_REMOTE(stays_until_stopped)

} // namespace

EDDY_TEST("process_pool: a worker that the server cannot be asked for fails its call; the server and the others' calls go on") {
    for (const int error : {ENOMEM, ENOBUFS}) {
        process_pool pp{2};
        const int server = co_await pp.run(server_number);
        queue<int> reports(1);
        auto other = spawn(pp.run({.progress = progress_to(reports)}, stays_until_stopped, 5));
        static_cast<void>(co_await reports.pop());
        std::error_code code;
        fault::fail_nth(fault::call::sendmsg, 1, error);
        {
            const fault::armed here;
            try {
                static_cast<void>(co_await pp.run(server_number)); // needs a second worker
            } catch (const std::system_error& e) {
                code = e.code();
            }
        }
        CHECK(fault::injected() == 1);
        CHECK(code == std::error_code(error, std::generic_category()));
        CHECK_FALSE(other.done());
        CHECK(pp.stats().workers == 1);
        const int after = co_await pp.run(server_number);
        CHECK(after == server);
        other.cancel();
        const int kept = co_await other;
        CHECK(kept == 5);
        CHECK(pp.stats().died == 0);
    }
}

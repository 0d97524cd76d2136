// Every awaitable of the io layer, cancelled in every way there is. Each cell gives one line; all have to read alike.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <memory>
#include <string>

#include "io/cancel_rigs.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;

namespace {

/// The wait, then what the next checkpoint says.
task<std::string> wait_and_look(std::shared_ptr<rig> r) {
    std::string log = co_await words::ending(r->wait());
    if (log != "cancelled") log += ", then " + co_await words::ending(this_task::checkpoint());
    co_return log;
}

task<> note(std::shared_ptr<rig> r, std::shared_ptr<std::string> log) {
    *log = co_await wait_and_look(std::move(r));
}

} // namespace

EDDY_TEST("R1 in a scope that is cancelled already nothing is started") {
    for (const rig_entry& e : rigs()) {
        const std::shared_ptr<rig> r = e.make();
        co_await r->prepare();
        co_await testing::settle();
        const std::size_t pending = this_loop().stats().pending_operations;
        std::string log;
        std::size_t started = 0;
        const auto body = [&](cancel_scope& s) -> task<> {
            s.cancel();
            log = co_await words::ending(r->wait());
            started = this_loop().stats().pending_operations;
        };
        co_await with_scope(body);
        CHECK(e.name + ": " + log == e.name + ": cancelled");
        CHECK(started <= pending);
        co_await testing::settle();
    }
}

EDDY_TEST("R4 cancelled while it waits, it ends cancelled, leaves nothing, and another wait works as if it had not been") {
    for (const rig_entry& e : rigs()) {
        const std::shared_ptr<rig> r = e.make();
        co_await r->prepare();
        co_await testing::settle();
        auto waiting = spawn(wait_and_look(r));
        co_await testing::settle();
        CHECK(e.name + (waiting.done() ? " is done" : " waits") == e.name + " waits");
        co_await waiting.cancel_and_join();
        std::string first = co_await words::ending(std::move(waiting));
        CHECK(e.name + ": " + first == e.name + ": ok"); // the task noted its cancellation and ended
        if (e.kind != rig_kind::repeatable) continue;
        auto again = spawn(wait_and_look(r));
        co_await testing::settle();
        co_await r->release();
        std::string second = co_await std::move(again);
        CHECK(e.name + ": " + second == e.name + ": ok, then ok");
    }
}

EDDY_TEST("R2 cancelled in the tick of its completion, it keeps its outcome and the next checkpoint throws") {
    for (const rig_entry& e : rigs()) {
        if (!e.by_kernel || e.kind == rig_kind::endless) continue;
        const std::shared_ptr<rig> r = e.make();
        const auto log = std::make_shared<std::string>();
        co_await r->prepare();
        co_await testing::settle();
        auto waiting = spawn(note(r, log));
        co_await testing::settle();
        const std::size_t pending = this_loop().stats().pending_operations;
        co_await r->release();
        co_await operation_completed(pending);
        const bool in_time = waiting.cancel();
        co_await waiting.join();
        const std::string expected = in_time ? "ok, then cancelled" : "ok, then ok";
        CHECK(e.name + ": " + *log == e.name + ": " + expected);
    }
}

EDDY_TEST("R6 timed out, it is the timeout's error") {
    for (const rig_entry& e : rigs()) {
        const std::shared_ptr<rig> r = e.make();
        co_await r->prepare();
        const auto start = loop_clock::now();
        const auto body = [&](cancel_scope&) { return r->wait(); };
        outcome<> end = co_await as_result(with_timeout(5s, body));
        CHECK(e.name + (words::holds<timeout_error>(end.exception()) ? "" : ": " + words::of(end)) == e.name);
        CHECK((loop_clock::now() - start == 5s));
        co_await testing::settle();
    }
}

EDDY_TEST("shielded, it goes on when its task is cancelled, and the cancellation comes after it") {
    for (const rig_entry& e : rigs()) {
        if (e.kind == rig_kind::endless) continue;
        const std::shared_ptr<rig> r = e.make();
        std::string log;
        co_await r->prepare();
        const auto inner = [&]() -> task<> { log = co_await words::ending(r->wait()); };
        const auto outer = [&]() -> task<> {
            co_await with_shield(inner);
            log += ", then " + co_await words::ending(this_task::checkpoint());
        };
        auto waiting = spawn(outer());
        co_await testing::settle();
        waiting.cancel();
        co_await testing::settle();
        CHECK(e.name + (waiting.done() ? " is done" : " waits") == e.name + " waits");
        co_await r->release();
        co_await waiting.join();
        CHECK(e.name + ": " + log == e.name + ": ok, then cancelled");
    }
}

TEST_CASE("R14 a loop that shuts down cancels it, and no descriptor is left") {
    for (const rig_entry& e : rigs()) {
        const std::size_t descriptors = open_descriptors();
        const auto log = std::make_shared<std::string>();
        detail::virtual_clock clock;
        const auto main = [&]() -> task<> {
            std::shared_ptr<rig> r = e.make();
            co_await r->prepare();
            spawn(note(r, log));
            co_await testing::settle();
        };
        run(main(), {.handle_signals = false, .clock = &clock});
        // The second: what it waited behind was cancelled first and let it through (R2).
        const bool ended = *log == "cancelled" || *log == "ok, then cancelled";
        CHECK(e.name + (ended ? "" : ": " + *log) == e.name);
        CHECK(open_descriptors() == descriptors);
    }
}

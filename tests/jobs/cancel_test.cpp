// Verbs of jobs that do not wait for others: in a cancelled scope they throw, and nothing has happened.
#include "jobs/support.hpp"

using namespace jobs_tests;

namespace {

/// "cancelled" or "done".
template <class F>
task<std::string> ending_in_a_cancelled_scope(F& verb) {
    std::string ending = "done";
    const auto body = [&](cancel_scope& s) -> task<> {
        s.cancel();
        try {
            co_await verb();
        } catch (const operation_cancelled&) {
            ending = "cancelled";
            throw;
        }
    };
    co_await with_scope(body);
    co_return ending;
}

} // namespace

EDDY_TEST("JOB-50 a client's verbs are checkpoints: cancelled before, nothing was sent") {
    jobs::client c = co_await jobs::connect("memory:");
    const auto expect = [&](auto verb) -> task<> {
        const std::string ending = co_await ending_in_a_cancelled_scope(verb);
        CHECK(ending == "cancelled");
    };
    const auto send = [&]() -> task<> { co_await c.send("a", 1); };
    const auto workflow = [&]() -> task<> { co_await c.send(jobs::signature("a")); };
    const auto status = [&]() -> task<> { co_await c.status("a"); };
    const auto forget = [&]() -> task<> { co_await c.forget("a"); };
    const auto revoke = [&]() -> task<> { co_await c.revoke("a"); };
    const auto queued = [&]() -> task<> { static_cast<void>(co_await c.queued()); };
    const auto purge = [&]() -> task<> { static_cast<void>(co_await c.purge()); };
    const auto letters = [&]() -> task<> { static_cast<void>(co_await c.dead_letters()); };
    const auto revive = [&]() -> task<> { static_cast<void>(co_await c.revive("a")); };
    const auto lock = [&]() -> task<> { static_cast<void>(co_await c.lock("a", "b", 1s)); };
    const auto members = [&]() -> task<> { static_cast<void>(co_await c.group_members("a")); };
    const auto connect = [&]() -> task<> { static_cast<void>(co_await jobs::connect("memory:")); };
    co_await expect(send);
    co_await expect(workflow);
    co_await expect(status);
    co_await expect(forget);
    co_await expect(revoke);
    co_await expect(queued);
    co_await expect(purge);
    co_await expect(letters);
    co_await expect(revive);
    co_await expect(lock);
    co_await expect(members);
    co_await expect(connect);
    const auto left = co_await c.queued();
    const bool free = co_await c.lock("a", "c", 1s);
    CHECK(left == 0);
    CHECK(free);
}

EDDY_TEST("JOB-51 waiting for several results and for a worker can be cancelled") {
    jobs::client c = co_await jobs::connect("memory:");
    jobs::worker w{"memory:"};
    std::vector<std::string> ids{"a", "b"};
    const auto results = [&](cancel_scope&) -> task<> { static_cast<void>(co_await c.results(ids)); };
    const auto ready = [&](cancel_scope&) -> task<> { co_await w.wait_ready(); };
    const bool have_results = co_await move_on_after(1s, results);
    const bool is_ready = co_await move_on_after(1s, ready);
    CHECK_FALSE(have_results);
    CHECK_FALSE(is_ready);
}

// Jobs that jobs send: which is whose.
#include "jobs/support.hpp"

using namespace jobs_tests;
using jobs::signature;

namespace {

std::string lineage_of(const jobs::context& job) {
    return "root " + job.root_id() + ", parent " + (job.parent_id().empty() ? "none" : job.parent_id());
}

} // namespace

EDDY_TEST("JOB-147 what a task function sends has the job as its parent, and its root") {
    jobs::client c = co_await jobs::connect("memory:");
    jobs::worker w{"memory:", {.concurrency = 4}}; // one waits for another
    w.add("leaf", [](jobs::context& job) -> task<std::string> { co_return lineage_of(job); });
    w.add("middle", [&](jobs::context& job) -> task<std::string> {
        const auto leaf = co_await c.call<std::string>("leaf");
        co_return lineage_of(job) + "; " + leaf;
    });
    w.add("top", [&](std::string how) -> task<std::string> {
        if (how == "a workflow") {
            const auto two = jobs::chain(signature("leaf"), signature("leaf").immutable());
            co_return co_await c.result<std::string>(co_await c.send(two));
        }
        if (how == "spawned") {
            auto sending = spawn([](jobs::client to) -> task<std::string> { co_return co_await to.call<std::string>("leaf"); }, c);
            co_return co_await sending;
        }
        co_return co_await c.call<std::string>("middle", {.id = "m"});
    });
    const auto body = [&]() -> task<> {
        const auto alone = co_await c.call<std::string>("leaf", {.id = "l"});
        CHECK(alone == "root l, parent none");
        const auto nested = co_await c.call<std::string>("top", {.id = "t"}, "two deep");
        CHECK(nested == "root t, parent t; root t, parent m");
        const auto spawned = co_await c.call<std::string>("top", {.id = "s"}, "spawned");
        CHECK(spawned == "root s, parent s");
        const auto workflow = co_await c.call<std::string>("top", {.id = "w"}, "a workflow");
        CHECK(workflow.starts_with("root w, parent "));
        CHECK(workflow != "root w, parent w"); // its second step: the first one is its parent
        const auto after = co_await c.call<std::string>("leaf", {.id = "l2"});
        CHECK(after == "root l2, parent none");
    };
    co_await while_serving(w, body);
}

// Celery's keys in a real redis-server: what is there after a crash of worker or server, dead letters, jobs for later, and what is sent once.
#ifdef EDDY_JOBS_REDIS

#include "jobs/support.hpp"
#include "redis/support.hpp"

#include "../../io/jobs/src/client_core.hpp"

#include <array>
#include <numeric>
#include <utility>

using namespace jobs_tests;
using redis_tests::has;

namespace {

/// A server that keeps what it has said it has, a client of jobs, and one of the keys.
class celery_scene {
public:
    /// False: this machine has no redis-server.
    task<bool> open() {
        std::vector<std::string> lasting{"--appendonly", "yes", "--appendfsync", "always"};
        const bool there = co_await server.start(std::move(lasting));
        if (there) co_await connect();
        co_return there;
    }
    task<> connect() {
        rc.emplace(co_await redis::connect(server.url()));
        c.emplace(co_await jobs::connect(server.url()));
        broker = c->core()->broker;
    }
    /// As after a crash of the machine.
    task<bool> restart() {
        broker.reset();
        c.reset();
        rc.reset();
        co_await server.kill();
        std::vector<std::string> lasting{"--appendonly", "yes", "--appendfsync", "always"};
        const bool there = co_await server.start(std::move(lasting));
        if (there) co_await connect();
        co_return there;
    }
    /// The reply of a command, described.
    template <class... A>
    task<std::string> key(std::string_view command, A... arguments) {
        return [](task<redis::value> t) -> task<std::string> {
            const redis::value v = co_await std::move(t);
            co_return v.describe();
        }(rc->command(command, arguments...));
    }
    task<std::vector<jobs::detail::delivery>> claim(std::size_t most) {
        std::vector<std::string> queues(1, "celery");
        return broker->claim(std::move(queues), most);
    }
    [[nodiscard]] jobs::worker worker(jobs::worker_options o) const { return jobs::worker(server.url(), std::move(o)); }

    redis_tests::real_server server;
    std::optional<redis::client> rc;
    std::optional<jobs::client> c;
    jobs::detail::broker_ptr broker;
};

template <class F>
task<> while_redis_serves(jobs::worker& w, F& body) {
    const auto all = [&](cancel_scope&) { return while_serving(w, body); };
    co_await with_timeout(1min, all);
}

} // namespace

EDDY_TEST_REAL("JOB-130 Redis: what was claimed when worker and server died comes back, once and marked; what was acknowledged does not") {
    celery_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    const std::vector<std::string> names{"a", "b", "c", "d"};
    for (const std::string& name : names) co_await s.c->send("note", {.id = name}, name);
    const auto claimed = co_await s.claim(3);
    REQUIRE(claimed.size() == 3);
    co_await s.broker->acknowledge(claimed[1].tag);
    const bool again = co_await s.restart();
    REQUIRE(again);
    const std::string unacked = co_await s.key("HLEN", "unacked"), index = co_await s.key("ZCARD", "unacked_index");
    CHECK(unacked == "2");
    CHECK(index == "2");
    std::string log;
    jobs::worker w = s.worker({.concurrency = 1, .prefetch = 1, .visibility_timeout = 700ms, .sweep = 20ms});
    w.add("note", [&](jobs::context& job, std::string text) -> task<> {
        log += text + (job.redelivered() ? "! " : " ");
        co_return;
    });
    const auto body = [&]() -> task<> {
        co_await s.c->result("d");
        co_await s.c->result("a");
        co_await s.c->result("c");
        co_await sleep_for(800ms); // they would come back a second time by now
    };
    co_await while_redis_serves(w, body);
    CHECK(log.size() == std::string("d a! c! ").size());
    CHECK(has(log, "d "));
    CHECK(has(log, "a! "));
    CHECK(has(log, "c! "));
    CHECK(w.stats().restored == 2);
    const std::string left = co_await s.key("EXISTS", "unacked", "unacked_index", "celery");
    CHECK(left == "0");
}

EDDY_TEST_REAL("JOB-131 Redis: dead letters outlive the server, the oldest first, and each is revived once, to its queue and priority") {
    celery_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    const jobs::json bad = jobs::json::parse(R"({"compression": "application/x-gzip"})");
    co_await s.c->send("add", {.id = "one", .headers = &bad}, 1, 2);
    co_await s.c->send("add", {.id = "two", .queue = "other", .priority = 9, .headers = &bad}, 1, 2);
    co_await s.rc->command("LPUSH", "celery", "no message at all");
    {
        jobs::worker w = s.worker({.queues = {"celery", "other"}, .concurrency = 1});
        w.add("add", [](int a, int b) { return a + b; });
        int reports = 0;
        this_loop().set_exception_handler([&](const error_context&) { ++reports; });
        const auto body = [&]() -> task<> {
            while (w.stats().dead < 2) co_await sleep_for(5ms);
            for (std::string n; n != "3"; co_await sleep_for(5ms)) n = co_await s.key("LLEN", "eddy.dead");
        };
        co_await while_redis_serves(w, body);
        this_loop().set_exception_handler({});
        CHECK(reports == 2);
    }
    const bool again = co_await s.restart();
    REQUIRE(again);
    const auto letters = co_await s.c->dead_letters();
    REQUIRE(letters.size() == 3);
    int gzip = 0;
    std::string of_other;
    for (const jobs::dead_letter& l : letters) {
        gzip += has(l.reason, "its body is compressed (application/x-gzip)") ? 1 : 0;
        if (l.queue == "other") of_other = l.tag;
        if (l.payload == "no message at all") CHECK(l.reason == "not a job's message");
    }
    CHECK(gzip == 2);
    const auto first = co_await s.c->dead_letters(1);
    REQUIRE(first.size() == 1);
    CHECK(first[0].payload == letters[0].payload);
    const bool revived = co_await s.c->revive(of_other), twice = co_await s.c->revive(of_other);
    CHECK(revived);
    CHECK_FALSE(twice);
    const std::string list = co_await s.key("LLEN", "other\x06\x16" "9"), dead = co_await s.key("LLEN", "eddy.dead");
    CHECK(list == "1");
    CHECK(dead == "2");
}

EDDY_TEST_REAL("JOB-132 Redis: a job that is given out too often, and never finished, is a dead letter") {
    celery_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    co_await s.c->send("work", {.id = "deadly"});
    for (int i = 1; i <= 3; ++i) {
        const auto claimed = co_await s.claim(1);
        REQUIRE(claimed.size() == 1);
        CHECK(s.broker->read(claimed[0]).deliveries == i - 1);
        const auto early = co_await s.broker->restore(1h, 3);
        CHECK(early == 0);
        co_await sleep_for(2ms);
        const auto restored = co_await s.broker->restore(1ms, 3);
        CHECK(restored == 1);
    }
    const auto letters = co_await s.c->dead_letters();
    REQUIRE(letters.size() == 1);
    CHECK(letters[0].reason == "given out 3 times and never finished");
    const std::string left = co_await s.key("EXISTS", "unacked", "unacked_index", "celery");
    CHECK(left == "0");
}

EDDY_TEST_REAL("JOB-133 Redis: what was put off is nobody's until then, outlives the server, and comes back unmarked, the first one first") {
    celery_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    const std::vector<std::string> names{"first", "second", "late"};
    for (const std::string& name : names) co_await s.c->send("work", {.id = name});
    const auto claimed = co_await s.claim(3);
    REQUIRE(claimed.size() == 3);
    co_await s.broker->put_off(claimed[0].tag, 100ms);
    co_await s.broker->put_off(claimed[1].tag, 200ms);
    co_await s.broker->put_off(claimed[2].tag, 1h);
    std::vector<std::string> tags;
    for (const auto& d : claimed) tags.push_back(d.tag);
    co_await s.broker->refresh(tags); // that was on its way
    const bool again = co_await s.restart();
    REQUIRE(again);
    co_await sleep_for(250ms);
    const auto restored = co_await s.broker->restore(1ms, 10);
    CHECK(restored == 0);
    const auto back = co_await s.claim(5);
    REQUIRE(back.size() == 2);
    CHECK(s.broker->read(back[0]).id == "first");
    CHECK(s.broker->read(back[1]).id == "second");
    CHECK_FALSE(s.broker->read(back[0]).redelivered);
    const std::string later = co_await s.key("ZRANGE", "eddy.later", 0, -1);
    CHECK(later == "[\"" + tags[2] + "\"]");
    const std::string held = co_await s.key("HLEN", "unacked");
    CHECK(held == "3");
}

EDDY_TEST_REAL("JOB-134 Redis: a job that kombu put back, and that somebody has, is not given out again because it was put off once") {
    celery_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    co_await s.c->send("work", {.id = "one"});
    const auto claimed = co_await s.claim(1);
    REQUIRE(claimed.size() == 1);
    co_await s.broker->put_off(claimed[0].tag, 10ms);
    co_await sleep_for(20ms);
    co_await s.rc->command("HDEL", "unacked", claimed[0].tag); // as a worker of Celery's puts back what has expired
    co_await s.rc->command("ZREM", "unacked_index", claimed[0].tag);
    co_await s.rc->command("RPUSH", "celery", claimed[0].payload);
    const auto theirs = co_await s.claim(1);
    REQUIRE(theirs.size() == 1);
    const auto restored = co_await s.broker->restore(1h, 10);
    CHECK(restored == 0);
    const std::string waiting = co_await s.key("LLEN", "celery"), later = co_await s.key("EXISTS", "eddy.later"), held = co_await s.key("HLEN", "unacked");
    CHECK(waiting == "0");
    CHECK(later == "0");
    CHECK(held == "1");
}

EDDY_TEST_REAL("JOB-135 Redis: what is sent under a name is sent once, and not at all if the list refuses it") {
    celery_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    for (int i = 0; i < 3; ++i) {
        jobs::detail::outgoing o("celery", 0, "tag" + std::to_string(i), "text");
        co_await s.broker->enqueue_once(std::move(o), "name", 1min);
    }
    std::string n = co_await s.key("LLEN", "celery");
    CHECK(n == "1");
    const redis::value ttl = co_await s.rc->command("PTTL", "eddy.lock.name");
    CHECK(ttl.as_integer() > 50'000);
    co_await s.rc->command("SET", "wrong", "no list");
    std::string failure;
    try {
        jobs::detail::outgoing o("wrong", 0, "tag", "text");
        co_await s.broker->enqueue_once(std::move(o), "other", 1min);
    } catch (const redis::error& e) {
        failure = e.what();
    }
    CHECK(has(failure, "WRONGTYPE"));
    n = co_await s.key("EXISTS", "eddy.lock.other");
    CHECK(n == "0");
}

EDDY_TEST_REAL("JOB-136 Redis: a worker puts a job for tomorrow back, and goes on with the others") {
    celery_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    jobs::worker w = s.worker({.concurrency = 1, .prefetch = 1});
    w.add("add", [](int a, int b) -> task<int> { co_return a + b; });
    const auto body = [&]() -> task<> {
        for (int i = 0; i < 5; ++i) co_await s.c->send("add", {.countdown = 24h}, 1, 1);
        const int five = co_await s.c->call<int>("add", 2, 3);
        CHECK(five == 5);
    };
    co_await while_redis_serves(w, body);
    CHECK(w.stats().put_off == 5);
    const std::string later = co_await s.key("ZCARD", "eddy.later"), waiting = co_await s.key("LLEN", "celery"), held = co_await s.key("HLEN", "unacked");
    CHECK(later == "5");
    CHECK(waiting == "0");
    CHECK(held == "5");
}

EDDY_TEST_REAL("JOB-137 RQ: a job that is put off is scheduled, and comes back; what is sent under a name is sent once") {
    redis_tests::real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    jobs::client c = co_await jobs::connect(server.url(), {.protocol = jobs::protocol::rq});
    redis::client rc = co_await redis::connect(server.url());
    auto settings = std::make_shared<jobs::detail::broker_settings>();
    settings->url = server.url();
    settings->protocol = jobs::protocol::rq;
    settings->worker = "w";
    settings->scheduler = true;
    const auto b = co_await jobs::detail::open_broker(settings);
    std::vector<std::string> queues(1, "default");
    co_await b->record()->birth(queues);
    co_await c.send("m.noop", {.id = "one"});
    const auto claimed = co_await b->claim(queues, 1);
    REQUIRE(claimed.size() == 1);
    const bool gone = co_await b->put_off(claimed[0].tag, 30ms);
    CHECK(gone);
    redis::value v = co_await rc.command("HGET", "rq:job:one", "status");
    CHECK(v.as_string() == "scheduled");
    v = co_await rc.command("EXISTS", "rq:wip:default", "rq:queue:default");
    CHECK(v.as_integer() == 0);
    co_await sleep_for(40ms);
    static_cast<void>(co_await b->record()->move_scheduled(queues));
    v = co_await rc.command("LRANGE", "rq:queue:default", 0, -1);
    CHECK(v.describe() == R"(["one"])");
    jobs::detail::message m;
    m.task = "m.noop";
    m.queue = "default";
    const std::vector<std::string> ids{"x", "y"};
    for (const std::string& id : ids) {
        m.id = id;
        const auto sent = std::make_shared<const jobs::detail::message>(m);
        co_await b->send_once(sent, "name", 1min);
    }
    v = co_await rc.command("LRANGE", "rq:queue:default", 0, -1);
    CHECK(v.describe() == R"(["one", "x"])");
    v = co_await rc.command("EXISTS", "rq:job:y");
    CHECK(v.as_integer() == 0);
    co_await b->record()->death(queues);
}

EDDY_TEST_REAL("JOB-177 Redis with a password, and by its socket: groups, chords and chains that are sent from here, with results in another database") {
    using jobs::signature;
    redis_tests::real_server with_password, by_socket;
    const std::vector<std::string> options{"--requirepass", "secret"};
    const bool first = co_await with_password.start(options), second = co_await by_socket.start();
    if (!first || !second) co_return;
    const std::string password_url = with_password.host_url(":secret"), socket_url = by_socket.unix_url();
    const std::array<std::pair<std::string, std::string>, 2> places{std::pair(password_url, password_url.substr(0, password_url.size() - 1) + "1"),
                                                                    std::pair(socket_url, socket_url.substr(0, socket_url.size() - 1) + "1")};
    for (const auto& [queues, results] : places) {
        jobs::worker w{queues, {.results = results}};
        w.add("add", [](int a, int b) { return a + b; });
        w.add("sum", [](std::vector<int> all) { return std::accumulate(all.begin(), all.end(), 0); });
        w.add("boom", [] { throw jobs::failure("ValueError", "bad thing"); });
        jobs::client c = co_await jobs::connect(queues, {.results = results});
        const auto body = [&]() -> task<> {
            const auto group = jobs::group(signature("add", 0, 0), signature("add", 1, 1), signature("add", 2, 2));
            const std::string id = co_await c.send(group);
            const std::vector<json> values = co_await c.results(co_await c.group_members(id));
            CHECK(json(values).dump() == "[0,2,4]");
            const int six = co_await c.result<int>(co_await c.send(jobs::chord(group, signature("sum"))));
            CHECK(six == 6);
            const auto chain = jobs::chain(signature("add", 1, 1), jobs::group(signature("add", 1), signature("add", 2)), signature("sum"), signature("add", 10));
            const int seventeen = co_await c.result<int>(co_await c.send(chain));
            CHECK(seventeen == 17);
            const auto broken = jobs::chord(jobs::group(signature("add", 1, 1), signature("boom")), signature("sum"));
            const auto ending = co_await ending_of(c, co_await c.send(broken));
            CHECK(ending.ends_with(" raised ValueError('bad thing')"));
        };
        co_await while_redis_serves(w, body);
        redis::client there = co_await redis::connect(results), here = co_await redis::connect(queues);
        const redis::value kept = co_await there.command("DBSIZE"), beside = co_await here.command("KEYS", "celery-task*");
        CHECK(kept.as_integer() > 10);
        CHECK(beside.size() == 0);
    }
}

#endif

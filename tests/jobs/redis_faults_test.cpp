// A worker whose Redis is slow, cut off, out of memory or a replica: no job is lost, and every one is accounted for.
#ifdef EDDY_JOBS_REDIS

#include "jobs/support.hpp"
#include "redis/support.hpp"

#include "../../io/jobs/src/broker.hpp"

#include <limits>
#include <map>

using namespace jobs_tests;
using redis_tests::has;

namespace {

/// Between a client and a server: passes bytes on, late, or only so many of the server's in each connection, each time some more.
class bad_wire {
public:
    bad_wire(std::uint16_t server, std::chrono::milliseconds delay) : server_(server), delay_(delay), listener_(tcp_listener::bind({"127.0.0.1", 0})), port_(listener_.local_endpoint().port()) {
        accepting_ = spawn(accept());
    }
    bad_wire(const bad_wire&) = delete;
    bad_wire& operator=(const bad_wire&) = delete;
    ~bad_wire() { accepting_.cancel(); }

    void cut_after(std::size_t first, std::size_t step) {
        most_ = first;
        step_ = step;
    }
    [[nodiscard]] std::string url(std::string_view rest = "/0") const { return "redis://127.0.0.1:" + std::to_string(port_) + std::string(rest); }
    [[nodiscard]] int connections() const noexcept { return connections_; }

private:
    task<> accept() {
        const auto all = [&](supervisor_group& g) -> task<> {
            for (;;) {
                tcp_stream s = co_await listener_.accept();
                ++connections_;
                g.spawn(connect(std::move(s), most_));
                if (step_ != 0) most_ += step_;
            }
        };
        supervisor_group connections;
        co_await with_task_group(connections, all);
    }
    task<> connect(tcp_stream near, std::size_t most) {
        try {
            tcp_stream far = co_await tcp_connect("127.0.0.1", server_);
            const auto both = [&](task_group& g) -> task<> {
                g.spawn(pass(near, far, std::numeric_limits<std::size_t>::max()));
                co_await pass(far, near, most);
                g.cancel("the wire is cut");
            };
            co_await with_task_group(both);
        } catch (const std::exception&) { // one end is gone: as it is, or as the error of the group
        }
    }
    task<> pass(tcp_stream& from, tcp_stream& to, std::size_t most) {
        std::array<std::byte, 4096> bytes{};
        for (std::size_t passed = 0; passed < most;) {
            const std::size_t n = co_await from.read_some(bytes);
            if (n == 0) co_return;
            if (delay_.count() > 0) co_await sleep_for(delay_);
            const std::size_t now = std::min(n, most - passed);
            co_await to.write(std::span<const std::byte>(bytes).first(now));
            passed += now;
        }
    }

    std::uint16_t server_;
    std::chrono::milliseconds delay_;
    tcp_listener listener_;
    std::uint16_t port_;
    std::size_t most_ = std::numeric_limits<std::size_t>::max(), step_ = 0;
    int connections_ = 0;
    task_handle<> accepting_;
};

/// Jobs that count how often they run, sent and awaited past the bad wire.
class accounting {
public:
    void add_to(jobs::worker& w) {
        w.add("count", [this](int i) -> task<int> {
            ++runs[i];
            co_return i;
        });
    }
    task<> send(jobs::client& c, std::size_t n) {
        for (std::size_t i = 0; i < n; ++i) ids.push_back(co_await c.send("count", static_cast<int>(i)));
    }
    task<> wait(jobs::client& c) {
        for (std::size_t i = 0; i < ids.size(); ++i) {
            auto result = wait_for(c.result<int>(ids[i]), 60s);
            const int v = co_await std::move(result);
            CHECK(v == static_cast<int>(i));
        }
    }
    std::map<int, int> runs;
    std::vector<std::string> ids;
};

/// What is left in the broker when all jobs are over.
task<std::string> left_in(std::string url) {
    redis::client rc = co_await redis::connect(std::move(url));
    const redis::value queued = co_await rc.command("LLEN", "celery"), claimed = co_await rc.command("HLEN", "unacked"), dead = co_await rc.command("LLEN", "eddy.dead");
    co_return queued.describe() + " queued, " + claimed.describe() + " claimed, " + dead.describe() + " dead";
}

/// A job ends while Redis takes no writes: its result is stored when it does again, and it has run once.
template <class F>
task<> end_while_refused(const redis_tests::real_server& server, std::string results, F refuse) {
    jobs::worker w{server.url(), {.results = results}};
    event started, go;
    int runs = 0;
    w.add("work", [&]() -> task<int> {
        ++runs;
        started.set();
        co_await go.wait();
        co_return 7;
    });
    jobs::client c = co_await jobs::connect(server.url(), {.results = results});
    redis::client rc = co_await redis::connect(server.url());
    std::string reports;
    this_loop().set_exception_handler([&](const error_context& e) { reports += std::string(e.message) + "\n"; });
    const auto body = [&]() -> task<> {
        const std::string id = co_await c.send("work");
        co_await started.wait();
        co_await refuse(rc, true);
        go.set();
        while (!has(reports, "a result could not be stored")) co_await sleep_for(1ms);
        const redis::value claimed = co_await rc.command("HLEN", "unacked");
        CHECK(claimed.as_integer() == 1); // what was not stored is not acknowledged either
        co_await refuse(rc, false);
        const int v = co_await c.result<int>(id);
        CHECK(v == 7);
    };
    co_await while_serving(w, body);
    this_loop().set_exception_handler({});
    CHECK(runs == 1);
    const std::string left = co_await left_in(server.url());
    CHECK(left == "0 queued, 0 claimed, 0 dead");
}

} // namespace

EDDY_TEST_REAL("JOB-165 Redis that answers after 200 ms: jobs run once, and many at a time") {
    redis_tests::real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    bad_wire wire(server.port(), 100ms);
    jobs::worker w{wire.url(), {.concurrency = 8}};
    accounting jobs_done;
    jobs_done.add_to(w);
    jobs::client c = co_await jobs::connect(server.url());
    const auto body = [&]() -> task<> {
        co_await jobs_done.send(c, 16);
        co_await jobs_done.wait(c);
    };
    co_await while_serving(w, body);
    CHECK(jobs_done.runs.size() == 16);
    for (const auto& [job, runs] : jobs_done.runs) CHECK(runs == 1);
    const std::string left = co_await left_in(server.url());
    CHECK(left == "0 queued, 0 claimed, 0 dead");
}

EDDY_TEST_REAL("JOB-166 no job is lost when a connection to Redis breaks after so many bytes, each time some more", "[slow]") {
    redis_tests::real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    bad_wire wire(server.port(), 0ms);
    jobs::worker w{wire.url(), {.concurrency = 1, .prefetch = 1, .visibility_timeout = 1s, .sweep = 100ms}}; // a claim must fit through
    accounting jobs_done;
    jobs_done.add_to(w);
    jobs::client c = co_await jobs::connect(server.url());
    int reports = 0;
    std::string left;
    this_loop().set_exception_handler([&](const error_context&) { ++reports; });
    wire.cut_after(2000, 1);
    constexpr std::size_t jobs_sent = 25;
    const auto body = [&]() -> task<> {
        co_await jobs_done.send(c, jobs_sent);
        co_await jobs_done.wait(c);
        // A job whose end was late has come back, and is run again.
        for (int i = 0; i < 600 && left != "0 queued, 0 claimed, 0 dead"; ++i) {
            left = co_await left_in(server.url());
            co_await sleep_for(50ms);
        }
    };
    co_await while_serving(w, body);
    this_loop().set_exception_handler({});
    CHECK(wire.connections() > 7);
    CHECK(jobs_done.runs.size() == jobs_sent);
    CHECK(left == "0 queued, 0 claimed, 0 dead");
}

/// A worker's claim is cut off within its reply; then Redis refuses one; then there is one more job.
task<> lose_a_claim(redis_tests::real_server& server, jobs::protocol spoken, std::string queue) {
    bad_wire wire(server.port(), 0ms);
    wire.cut_after(1000, std::size_t{1} << 20); // within the first reply that has messages, and then no more
    auto settings = std::make_shared<jobs::detail::broker_settings>();
    settings->url = wire.url();
    settings->protocol = spoken;
    const jobs::detail::broker_ptr b = co_await jobs::detail::open_broker(settings);
    jobs::client c = co_await jobs::connect(server.url(), {.protocol = spoken});
    accounting sent;
    co_await sent.send(c, 3);
    const std::vector<std::string> queues(1, queue);
    const auto lost = co_await as_result(b->claim(queues, 3));
    CHECK(lost.exception());
    co_await sent.send(c, 1);
    const std::vector<jobs::detail::delivery> again = co_await b->claim(queues, 10);
    REQUIRE(again.size() == 3);
    for (std::size_t i = 0; i < again.size(); ++i) {
        const jobs::detail::message m = b->read(again[i]);
        CHECK(m.id == sent.ids[i]);
        CHECK(again[i].queue == queue);
    }
    // A server that refuses has replied: what is being worked on is not given again.
    redis::client rc = co_await redis::connect(server.url());
    co_await rc.command("REPLICAOF", "127.0.0.1", "1");
    const auto refused = co_await as_result(b->claim(queues, 10));
    CHECK(refused.exception());
    co_await rc.command("REPLICAOF", "NO", "ONE");
    const std::vector<jobs::detail::delivery> next = co_await b->claim(queues, 10);
    REQUIRE(next.size() == 1);
    CHECK(b->read(next[0]).id == sent.ids[3]);
    for (const auto& d : again) co_await b->acknowledge(d.tag);
    co_await b->acknowledge(next[0].tag);
}

EDDY_TEST_REAL("JOB-175 a claim whose reply is lost with the connection is not nobody's: the next one gets the same messages") {
    redis_tests::real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    co_await lose_a_claim(server, jobs::protocol::celery, "celery");
    const std::string left = co_await left_in(server.url());
    CHECK(left == "0 queued, 0 claimed, 0 dead");
}

EDDY_TEST_REAL("JOB-176 RQ: a claim whose reply is lost with the connection is not nobody's: the next one gets the same jobs") {
    redis_tests::real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    co_await lose_a_claim(server, jobs::protocol::rq, "default");
    redis::client rc = co_await redis::connect(server.url());
    const redis::value left = co_await rc.command("EXISTS", "rq:wip:default", "rq:queue:default");
    CHECK(left.as_integer() == 0);
}

EDDY_TEST_REAL("JOB-167 Redis that is out of memory when a job ends: its result is stored later, and it runs once") {
    redis_tests::real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    const auto out_of_memory = [](redis::client& rc, bool yes) -> task<> { co_await rc.command("CONFIG", "SET", "maxmemory", yes ? "1" : "0"); };
    co_await end_while_refused(server, "", out_of_memory);
}

EDDY_TEST_REAL("JOB-168 a master that turns into a replica while a job runs, and back: over connections that were kept, with results in another database") {
    redis_tests::real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    const auto replica = [](redis::client& rc, bool yes) -> task<> { co_await rc.command("REPLICAOF", yes ? "127.0.0.1" : "NO", yes ? "1" : "ONE"); };
    co_await end_while_refused(server, server.url("/1"), replica);
    co_await end_while_refused(server, "", replica);
}

EDDY_TEST_REAL("JOB-169 a wrong password is told to whoever connects, worker and client, and names no password") {
    redis_tests::real_server server;
    const std::vector<std::string> options{"--requirepass", "right"};
    const bool there = co_await server.start(options);
    if (!there) co_return;
    const std::string wrong = server.host_url(":wrong");
    const auto client_ended = co_await as_result(jobs::connect(wrong));
    jobs::worker w{wrong};
    w.add("work", [] {});
    auto serving = wait_for(w.serve(), 30s);
    const auto worker_ended = co_await as_result(std::move(serving));
    for (const std::exception_ptr& e : {client_ended.exception(), worker_ended.exception()}) {
        std::string text;
        try {
            if (e) std::rethrow_exception(e);
        } catch (const std::exception& x) {
            text = x.what();
        }
        CHECK(has(text, "WRONGPASS"));
        CHECK(has(text, "127.0.0.1:" + std::to_string(server.port())));
        CHECK(!has(text, "wrong@"));
    }
    jobs::client c = co_await jobs::connect(server.host_url(":right"));
    const std::size_t none = co_await c.queued();
    CHECK(none == 0);
}

#endif

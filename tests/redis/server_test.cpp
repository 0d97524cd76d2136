// redis::client against a real redis-server.
#include "redis/support.hpp"

using namespace redis_tests;

EDDY_TEST_REAL("redis-server: commands, pipelines, transactions, scripts, streams, scan") {
    real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    redis::client rc = co_await redis::connect(server.unix_url());
    std::string text = co_await ending_of(rc.command("PING"));
    CHECK(text == "PONG");
    text = co_await ending_of(rc.command("SET", "name", std::string("a\r\n\0b", 5), "EX", 60));
    CHECK(text == "OK");
    redis::value v = co_await rc.command("GET", "name");
    CHECK(v.as_string() == std::string_view("a\r\n\0b", 5));
    text = co_await ending_of(rc.command("LPUSH", "name", 1));
    CHECK(text == "error: redis LPUSH: WRONGTYPE Operation against a key holding the wrong kind of value");
    text = co_await ending_of(rc.command("NO_SUCH_COMMAND"));
    CHECK(has(text, "error: redis NO_SUCH_COMMAND: ERR unknown command"));

    redis::pipeline p;
    p.add("SET", "n", 1).add("INCRBYFLOAT", "n", 0.5).add("LPUSH", "n", 1).add("GET", "n");
    std::vector<redis::value> replies = co_await rc.run(p);
    REQUIRE(replies.size() == 4);
    CHECK(replies[1].as_double() == 1.5);
    CHECK(replies[2].is_error());
    CHECK(replies[3].as_string() == "1.5");
    std::optional<std::vector<redis::value>> all = co_await rc.transaction(p);
    REQUIRE(all);
    CHECK(all->size() == 4);
    CHECK(all->at(2).is_error());
    p.add("GET");
    text = co_await failure_of(rc.transaction(p));
    CHECK(has(text, "error: redis transaction: ERR wrong number of arguments"));

    const redis::script sum("local s = 0 for i, k in ipairs(KEYS) do s = s + redis.call('INCRBY', k, ARGV[1]) end return s");
    const std::vector<std::string> keys{"c1", "c2"};
    for (int i = 1; i <= 2; ++i) {
        v = co_await rc.eval(sum, keys, 5);
        CHECK(v.as_integer() == 10 * i);
    }
    const redis::script loaded("return {1, 'two', false}");
    co_await rc.load(loaded);
    redis::pipeline by_digest;
    by_digest.add("EVALSHA", loaded.sha1(), 0);
    replies = co_await rc.run(by_digest);
    CHECK(replies[0].describe() == "[1, \"two\", nil]");

    v = co_await rc.command("XADD", "log", "1-1", "text", "hello");
    CHECK(v.as_string() == "1-1");
    redis::value read = co_await rc.blocking_command("XREAD", "BLOCK", 1000, "STREAMS", "log", "0");
    std::vector<redis::stream_entries> streams = redis::to_streams(std::move(read));
    REQUIRE(streams.size() == 1);
    CHECK(streams[0].entries.at(0).field("text") == "hello");

    redis::pipeline many;
    for (int i = 0; i < 1000; ++i) many.add("SET", "key:" + std::to_string(i), i);
    replies = co_await rc.run(many);
    CHECK(replies.size() == 1000);
    std::size_t found = 0;
    async_generator<std::string> scan = rc.scan("key:*", 50);
    while (auto key = co_await scan.next()) ++found;
    CHECK(found == 1000);
    v = co_await rc.command("COMMAND"); // deep arrays
    CHECK(v.size() > 100);
    co_await rc.quit();
}

EDDY_TEST_REAL("redis-server: databases, passwords, users") {
    real_server server;
    const std::vector<std::string> options{"--requirepass", "secret"};
    const bool there = co_await server.start(options);
    if (!there) co_return;
    std::string text = co_await failure_of(redis::connect(server.url()));
    CHECK(has(text, "error: redis PING at " + server.url() + ": NOAUTH"));
    text = co_await failure_of(redis::connect(server.url(), {.password = "wrong"}));
    CHECK(has(text, "error: redis AUTH at " + server.url() + ": WRONGPASS"));
    redis::client rc = co_await redis::connect(server.host_url(":secret"), {.database = 5, .client_name = "tests"});
    redis::value v = co_await rc.command("CLIENT", "LIST");
    CHECK(has(v.as_string(), "name=tests"));
    CHECK(has(v.as_string(), "db=5"));
    static_cast<void>(co_await rc.command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+get", "+ping"));
    redis::client reader = co_await redis::connect(server.host_url("reader:pw"));
    text = co_await ending_of(reader.command("SET", "a", 1));
    CHECK(has(text, "error: redis SET: NOPERM"));
    text = co_await ending_of(reader.command("GET", "a"));
    CHECK(text == "nil");
    text = co_await failure_of(redis::connect(server.host_url(":secret"), {.database = 99}));
    CHECK(has(text, "error: redis SELECT at " + server.url("/99") + ": ERR DB index is out of range"));
}

EDDY_TEST_REAL("redis-server: blocking commands, cancelled while items come: each item is somewhere") {
    real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    redis::client rc = co_await redis::connect(server.url());
    const std::vector<std::string> lists{"a", "b"};
    std::optional<redis::popped> item = co_await rc.blpop(lists, 10ms);
    CHECK_FALSE(item);
    static_cast<void>(co_await rc.command("RPUSH", "b", "x", "y"));
    item = co_await rc.brpop(lists, 0s);
    REQUIRE(item);
    CHECK(item->key == "b");
    CHECK(item->value == "y");
    std::optional<std::string> moved = co_await rc.blmove("b", "c", "LEFT", "RIGHT", 1s);
    CHECK(moved == "x");

    // Items are pushed while those that wait for them are cancelled.
    constexpr int items = 200;
    int got = 0;
    for (int i = 0; i < items; ++i) {
        auto taking = spawn([&]() -> task<> {
            const std::vector<std::string> jobs{"jobs"};
            auto popping = rc.blpop(jobs, 0s);
            const std::optional<redis::popped> job = co_await std::move(popping);
            if (job) ++got;
        });
        for (int turns = i % 40; turns > 0; --turns) co_await this_task::yield();
        auto pushing = spawn(ending_of(rc.command("RPUSH", "jobs", i)));
        for (int turns = i % 7; turns > 0; --turns) co_await this_task::yield();
        taking.cancel();
        co_await taking.join();
        static_cast<void>(co_await pushing);
    }
    const redis::value left = co_await rc.command("LLEN", "jobs");
    CHECK(got + left.as_integer() == items);
}

EDDY_TEST_REAL("redis-server: WATCH in a session") {
    real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    redis::client rc = co_await redis::connect(server.url());
    redis::session s = co_await rc.session();
    redis::pipeline p;
    p.add("SET", "balance", 1);
    for (const bool disturbed : {false, true}) {
        static_cast<void>(co_await s.command("WATCH", "balance"));
        if (disturbed) static_cast<void>(co_await rc.command("SET", "balance", 7));
        const std::optional<std::vector<redis::value>> done = co_await s.transaction(p);
        CHECK(done.has_value() == !disturbed);
    }
}

EDDY_TEST_REAL("redis-server: publish and subscribe, and a gap when the connection is cut") {
    real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    redis::client rc = co_await redis::connect(server.url());
    redis::subscription s = co_await rc.subscribe("news");
    redis::value v = co_await rc.command("PUBLISH", "news", "one");
    CHECK(v.as_integer() == 1);
    std::optional<redis::message> m = co_await s.next();
    REQUIRE(m);
    CHECK(m->payload == "one");
    static_cast<void>(co_await rc.command("CLIENT", "KILL", "TYPE", "pubsub"));
    m = co_await s.next();
    REQUIRE(m);
    CHECK(m->gap);
    v = co_await rc.command("PUBLISH", "news", "two");
    CHECK(v.as_integer() == 1);
    m = co_await s.next();
    REQUIRE(m);
    CHECK(m->payload == "two");
}

EDDY_TEST_REAL("redis-server: out of memory, and a replica that takes no writes") {
    real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    redis::client rc = co_await redis::connect(server.url());
    static_cast<void>(co_await rc.command("CONFIG", "SET", "maxmemory", "1"));
    std::string text = co_await ending_of(rc.command("SET", "a", 1));
    CHECK(has(text, "error: redis SET: OOM"));
    static_cast<void>(co_await rc.command("CONFIG", "SET", "maxmemory", "0"));
    static_cast<void>(co_await rc.command("REPLICAOF", "127.0.0.1", "1"));
    text = co_await ending_of(rc.command("SET", "a", 1));
    CHECK(has(text, "error: redis SET: READONLY"));
    CHECK(rc.stats().reconnects == 1);
    static_cast<void>(co_await rc.command("REPLICAOF", "NO", "ONE"));
    text = co_await ending_of(rc.command("SET", "a", 1));
    CHECK(text == "OK");
}

EDDY_TEST_REAL("redis-server: killed and started again, while tasks count: nothing counts twice that says it was not sent") {
    real_server server;
    const std::vector<std::string> options{"--appendonly", "yes", "--appendfsync", "always"};
    const bool there = co_await server.start(options);
    if (!there) co_return;
    redis::client rc = co_await redis::connect(server.url(), {.timeout = 60s, .reconnect = {.attempts = 1000, .first_delay = 20ms, .factor = 1}});
    bool going_on = true;
    long long done = 0;
    long long unknown = 0;
    std::vector<task_handle<>> tasks;
    for (int i = 0; i < 8; ++i)
        tasks.push_back(spawn([&]() -> task<> {
            while (going_on) {
                const std::string text = co_await ending_of(rc.command("INCR", "counter"));
                if (text.starts_with("lost: "))
                    ++unknown;
                else if (!text.empty() && text[0] >= '0' && text[0] <= '9')
                    ++done;
                else
                    FAIL_CHECK(text);
            }
        }));
    for (int i = 0; i < 2; ++i) {
        co_await sleep_for(100ms);
        co_await server.kill();
        const bool again = co_await server.start(options);
        REQUIRE(again);
        static_cast<void>(co_await ending_of(rc.command("PING"))); // the client is there again, too
    }
    co_await sleep_for(100ms);
    going_on = false;
    for (const auto& t : tasks) co_await t;
    const redis::value counted = co_await rc.command("GET", "counter");
    CHECK(counted.as_integer() >= done);
    CHECK(counted.as_integer() <= done + unknown);
    CHECK(done > 0);
    CHECK(rc.stats().reconnects == 2);
}

EDDY_TEST_REAL("redis-server: one that stands still is a timeout, and goes on") {
    real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    redis::client rc = co_await redis::connect(server.url(), {.timeout = 500ms});
    server.pause();
    const std::string text = co_await ending_of(rc.command("GET", "a"));
    CHECK(has(text, "timeout: GET at " + server.url()));
    server.resume();
    std::string again;
    for (int i = 0; i < 20 && again != "nil"; ++i) again = co_await ending_of(rc.command("GET", "a")); // the machine may be slow
    CHECK(again == "nil");
}

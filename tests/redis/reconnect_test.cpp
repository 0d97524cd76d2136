// redis::client over sockets of this machine: connecting, losing the connection, and connecting again.
#include "redis/support.hpp"

#include "tls/certificates.hpp"

using namespace redis_tests;

namespace {

using words = answering_server::words;

[[nodiscard]] std::string ok(const words&) {
    return "+OK\r\n";
}

constexpr redis::options quick{.timeout = 60s, .reconnect = {.attempts = 5, .first_delay = 10ms, .factor = 2, .jitter = 0}};

} // namespace

EDDY_TEST("redis connect: says who it is, in one go") {
    answering_server plain([](const words& w) -> std::string { return w.front() == "CLIENT" ? "-ERR unknown\r\n" : "+OK\r\n"; }); // an old one
    redis::client rc = co_await redis::connect(plain.url("/3"), {.user = "user", .password = "pass word", .client_name = "tests"});
    CHECK(plain.heard() == "AUTH user pass word|SELECT 3|CLIENT SETNAME tests");
    CHECK(rc.endpoint() == plain.url("/3"));
    redis::client other = co_await redis::connect("redis://:p%20w@127.0.0.1:" + plain.url("").substr(18) + "/1?db=2");
    CHECK(has(plain.heard(), "|AUTH p w|SELECT 2"));
    CHECK_FALSE(has(other.endpoint(), "p w"));
}

EDDY_TEST("redis connect: what the server refuses is its error; without the password") {
    answering_server server([](const words& w) -> std::string {
        if (w.front() == "AUTH") return "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
        if (w.front() == "SELECT") return "-ERR DB index is out of range\r\n";
        return "+OK\r\n";
    });
    std::string text = co_await failure_of(redis::connect(server.url(), {.password = "secret"}));
    CHECK(text == "error: redis AUTH at " + server.url() + ": WRONGPASS invalid username-password pair or user is disabled.");
    text = co_await failure_of(redis::connect(server.url("/99")));
    CHECK(text == "error: redis SELECT at " + server.url("/99") + ": ERR DB index is out of range");
    server.stop();
    co_await sleep_for(1ms);
    text = co_await failure_of(redis::connect(server.url()));
    CHECK(has(text, "onnection refused"));
    const tcp_listener silent = tcp_listener::bind({"127.0.0.1", 0});
    const std::string url = "redis://:secret@127.0.0.1:" + std::to_string(silent.local_endpoint().port());
    text = co_await failure_of(redis::connect(url, {.connect_timeout = 2s}));
    CHECK(has(text, "timeout: connect to redis://127.0.0.1:"));
    CHECK_FALSE(has(text, "secret"));
}

EDDY_TEST("redis connect: cancelled, no socket is left") {
    const tcp_listener silent = tcp_listener::bind({"127.0.0.1", 0});
    auto connecting = spawn(redis::connect("redis://127.0.0.1:" + std::to_string(silent.local_endpoint().port())));
    co_await sleep_for(1s);
    co_await connecting.cancel_and_join();
    CHECK(connecting.cancelled());
}

EDDY_TEST("redis client: closed before the task of its connection had a turn, it leaves no task behind") {
    answering_server server(ok);
    const std::size_t before = this_loop().stats().tasks;
    {
        redis::client rc = co_await redis::connect(server.url(), quick);
        rc.close();
    }
    co_await sleep_for(1h);
    CHECK(this_loop().stats().tasks == before);
}

EDDY_TEST("redis client: the connection is lost: what was on its way may have been executed, what was not is sent on the next one") {
    bool answers = false;
    answering_server server([&](const words&) -> std::string { return answers ? "+OK\r\n" : ""; });
    redis::options o = quick;
    o.max_pending = 1;
    redis::client rc = co_await redis::connect(server.url(), o);
    auto sent = spawn_eager(ending_of(rc.command("SENT")));
    auto waiting = spawn_eager(ending_of(rc.command("WAITING")));
    co_await sleep_for(1ms);
    CHECK(server.heard() == "SENT");
    answers = true;
    server.drop_connections();
    std::string text = co_await sent;
    CHECK(has(text, "lost: " + server.url() + ", SENT: "));
    CHECK(has(text, "(the command may have been executed)"));
    text = co_await waiting;
    CHECK(text == "OK");
    CHECK(server.heard() == "SENT|WAITING");
    CHECK(rc.stats().reconnects == 1);
    CHECK(server.connections() == 2);
}

EDDY_TEST("redis client: nobody listens any more: those that wait are told after the last attempt, and the next command begins anew") {
    answering_server server(ok);
    redis::client rc = co_await redis::connect(server.url(), quick);
    server.stop();
    co_await sleep_for(1ms);
    const auto start = this_loop().now();
    std::string text = co_await ending_of(rc.command("GET", "a"));
    CHECK(has(text, "not sent: " + server.url() + ", GET: "));
    CHECK(has(text, "onnection refused"));
    CHECK(has(text, "(the command was not sent)"));
    CHECK(this_loop().now() - start < 1s);
    co_await sleep_for(1h);
    server.start();
    text = co_await ending_of(rc.command("GET", "a"));
    CHECK(text == "OK");
}

EDDY_TEST("redis client: a server that comes back while commands wait") {
    answering_server server(ok);
    redis::options o = quick;
    o.reconnect.attempts = retry_policy::without_limit;
    redis::client rc = co_await redis::connect(server.url(), o);
    server.stop();
    co_await sleep_for(1ms);
    std::vector<task_handle<std::string>> tasks;
    for (int i = 0; i < 20; ++i) tasks.push_back(spawn_eager(ending_of(rc.command("SET", i))));
    tasks[3].cancel();
    co_await sleep_for(5s);
    CHECK_FALSE(tasks[0].done());
    CHECK(rc.stats().waiting == 19);
    server.start();
    for (int i = 0; i < 20; ++i) {
        if (i == 3) continue;
        const std::string text = co_await tasks[static_cast<std::size_t>(i)];
        CHECK(text == "OK");
    }
}

EDDY_TEST("redis client: time limits hold while there is no connection") {
    answering_server server(ok);
    redis::options o = quick;
    o.timeout = 3s;
    o.reconnect.attempts = retry_policy::without_limit;
    redis::client rc = co_await redis::connect(server.url(), o);
    server.stop();
    co_await sleep_for(1ms);
    const auto start = this_loop().now();
    const std::string text = co_await ending_of(rc.command("GET", "a"));
    CHECK(has(text, "timeout: GET at " + server.url()));
    CHECK(this_loop().now() - start == 3s);
}

EDDY_TEST("redis client: a silent server is taken for dead, and replaced") {
    bool answers = false;
    answering_server server([&](const words&) -> std::string { return answers ? "+OK\r\n" : ""; });
    redis::options o = quick;
    o.timeout = 3s;
    redis::client rc = co_await redis::connect(server.url(), o);
    auto first = spawn_eager(ending_of(rc.command("FIRST")));
    co_await sleep_for(1s);
    auto second = spawn_eager(ending_of(rc.command("SECOND")));
    std::string text = co_await first;
    CHECK(has(text, "timeout: FIRST at "));
    answers = true;
    text = co_await second;
    CHECK(has(text, "lost: " + server.url() + ", SECOND: "));
    text = co_await ending_of(rc.command("THIRD"));
    CHECK(text == "OK");
    CHECK(server.connections() == 2);
}

EDDY_TEST("redis client: a server that drops every connection is not asked again and again without a pause") {
    answering_server server(ok);
    redis::client rc = co_await redis::connect(server.url(), quick);
    for (int i = 0; i < 200 && server.connections() < 5; ++i) {
        server.drop_connections();
        co_await sleep_for(1ms);
    }
    const std::size_t so_far = server.connections();
    CHECK(so_far >= 3);
    CHECK(so_far <= 6);
}

EDDY_TEST("redis client: READONLY makes it look for another server, once a second at most") {
    bool replica = true;
    answering_server server([&](const words&) -> std::string { return replica ? "-READONLY You can't write against a read only replica.\r\n" : "+OK\r\n"; });
    redis::client rc = co_await redis::connect(server.url(), quick);
    std::string text = co_await ending_of(rc.command("SET", "a", 1));
    CHECK(text == "error: redis SET: READONLY You can't write against a read only replica.");
    CHECK(server.connections() == 2);
    CHECK(server.heard() == "SET a 1|SET a 1");
    text = co_await ending_of(rc.command("SET", "a", 2));
    CHECK(has(text, "READONLY"));
    CHECK(server.connections() == 2);
    co_await sleep_for(2s);
    auto failing_over = spawn_eager(ending_of(rc.command("SET", "a", 3)));
    while (server.connections() < 3) {
        replica = server.connections() < 3 && !has(server.heard(), "SET a 3");
        co_await this_task::yield();
    }
    replica = false;
    text = co_await failing_over;
    CHECK(text == "OK");
}

EDDY_TEST("redis client: READONLY within a pipeline is told as it is, and what is sent next goes to another server") {
    std::size_t master_from = 2; // its connection
    std::size_t connections = 0;
    answering_server server([&](const words&) -> std::string { return connections < master_from ? "-READONLY You can't write against a read only replica.\r\n" : "+OK\r\n"; });
    redis::client rc = co_await redis::connect(server.url(), quick);
    redis::pipeline p;
    p.add("SET", "a", 1).add("SET", "b", 2);
    connections = server.connections();
    const std::vector<redis::value> refused = co_await rc.run(p);
    CHECK(refused.size() == 2);
    CHECK(refused[0].is_error());
    connections = 2;
    const std::vector<redis::value> done = co_await rc.run(p);
    CHECK(server.connections() == 2);
    CHECK(!done[0].is_error());
    CHECK(server.heard() == "SET a 1|SET b 2|SET a 1|SET b 2");
}

EDDY_TEST("redis client: wrong password on the way back is the server's error, and not tried again and again") {
    bool known = true;
    answering_server server([&](const words& w) -> std::string { return w.front() == "AUTH" && !known ? "-WRONGPASS no\r\n" : "+OK\r\n"; });
    redis::options o = quick;
    o.password = "secret";
    redis::client rc = co_await redis::connect(server.url(), o);
    known = false;
    server.drop_connections();
    co_await sleep_for(1ms);
    const std::string text = co_await ending_of(rc.command("GET", "a"));
    CHECK(text == "error: redis AUTH at " + server.url() + ": WRONGPASS no");
    CHECK(server.connections() == 2);
}

EDDY_TEST("redis session: one command at a time; cancelled, timed out or lost, it is over") {
    bool answers = true;
    answering_server server([&](const words& w) -> std::string { return w.front() == "CLIENT" ? ":7\r\n" : answers ? "+OK\r\n" : ""; });
    redis::options o = quick;
    o.timeout = 3s;
    redis::client rc = co_await redis::connect(server.url(), o);
    redis::session s = co_await rc.session();
    std::string text = co_await ending_of(s.command("WATCH", "key"));
    CHECK(text == "OK");
    answers = false;
    auto waiting = spawn_eager(ending_of(s.command("GET", "key")));
    co_await this_task::yield();
    text = co_await ending_of(s.command("GET", "key"));
    CHECK(has(text, "it serves one at a time"));
    waiting.cancel();
    co_await waiting.join();
    text = co_await ending_of(s.command("GET", "key"));
    CHECK(has(text, "this redis::session is over"));

    redis::session slow = co_await rc.session();
    text = co_await ending_of(slow.command("GET", "key"));
    CHECK(has(text, "timeout: GET at " + server.url()));
    redis::session lost = co_await rc.session();
    waiting = spawn_eager(ending_of(lost.command("GET", "key")));
    co_await sleep_for(1ms);
    server.drop_connections();
    text = co_await waiting;
    CHECK(has(text, "lost: " + server.url() + ", GET: "));
}

EDDY_TEST("redis blocking: cancelled, the server is told, and what it had taken in that moment is returned") {
    answering_server* server = nullptr;
    bool has_taken = false;
    std::size_t told = 0;
    answering_server all([&](const words& w) -> std::string {
        if (w.front() == "BLPOP") return "";
        if (joined(w) == "CLIENT ID") return ":42\r\n";
        if (joined(w) == "CLIENT UNBLOCK 42") {
            ++told;
            return ":1\r\n";
        }
        return "+OK\r\n";
    });
    server = &all;
    redis::client rc = co_await redis::connect(all.url(), quick);
    for (const bool taken : {false, true}) {
        has_taken = taken;
        told = 0;
        std::string got = "nothing";
        auto waiting = spawn([&]() -> task<> {
            const std::vector<std::string> lists{"jobs"};
            auto popping = rc.blpop(lists, 0s);
            const std::optional<redis::popped> item = co_await std::move(popping);
            got = item ? item->value : "nil";
        });
        co_await sleep_for(1ms);
        waiting.cancel();
        while (told == 0) co_await sleep_for(1ms);
        co_await server->say_on_last(has_taken ? "*2\r\n$4\r\njobs\r\n$3\r\njob\r\n" : "*-1\r\n");
        co_await waiting.join();
        CHECK(got == (taken ? "job" : "nothing"));
        CHECK(waiting.cancelled() == !taken);
        CHECK(rc.stats().idle == 1);
    }
    CHECK(all.connections() == 2); // the second time it was used again
}

EDDY_TEST("redis blocking: a server that does not answer is waited for no longer than a second") {
    answering_server all([&](const words& w) -> std::string { return joined(w) == "CLIENT ID" ? ":42\r\n" : w.front() == "BLPOP" ? "" : ":1\r\n"; });
    redis::client rc = co_await redis::connect(all.url(), quick);
    auto waiting = spawn_eager(failure_of(rc.blocking_command("BLPOP", "jobs", 0)));
    co_await sleep_for(1ms);
    const auto start = this_loop().now();
    waiting.cancel();
    co_await waiting.join();
    CHECK(this_loop().now() - start <= 1100ms);
    CHECK(waiting.result() == "cancelled");
    CHECK(rc.stats().idle == 0);
}

EDDY_TEST("redis blocking: lost, silent for too long, and closed") {
    answering_server all([&](const words& w) -> std::string { return joined(w) == "CLIENT ID" ? ":42\r\n" : ""; });
    redis::options o = quick;
    o.timeout = 5s;
    redis::client rc = co_await redis::connect(all.url(), o);
    const std::vector<std::string> lists{"jobs"};
    auto waiting = spawn_eager(failure_of(rc.blpop(lists, 0s)));
    co_await sleep_for(1ms);
    all.drop_connections();
    std::string text = co_await waiting;
    CHECK(has(text, "lost: " + all.url() + ", BLPOP: "));
    const auto start = this_loop().now();
    text = co_await failure_of(rc.blpop(lists, 10s));
    CHECK(has(text, "lost: " + all.url() + ", BLPOP: "));
    CHECK(this_loop().now() - start >= 15s);
    waiting = spawn_eager(failure_of(rc.blpop(lists, 0s)));
    co_await sleep_for(1ms);
    rc.close();
    text = co_await waiting;
    CHECK(has(text, "closed: this redis::client of "));
}

EDDY_TEST("redis blocking: a connection that was closed meanwhile is not used again") {
    answering_server all([&](const words& w) -> std::string { return joined(w) == "CLIENT ID" ? ":42\r\n" : w.front() == "BLPOP" ? "*-1\r\n" : "+OK\r\n"; });
    redis::client rc = co_await redis::connect(all.url(), quick);
    const std::vector<std::string> lists{"jobs"};
    std::optional<redis::popped> item = co_await rc.blpop(lists, 1s);
    CHECK_FALSE(item);
    CHECK(all.connections() == 2);
    all.drop_connections();
    co_await sleep_for(1ms);
    item = co_await rc.blpop(lists, 1s);
    CHECK_FALSE(item);
    CHECK(has(all.heard(), "BLPOP jobs 1|"));
}

EDDY_TEST("redis client: over TLS") {
    const auto context = [] {
        tls_context c = tls_context::client(tls_trust::nobody);
        c.trust_pem(tls_tests::authority().certificate);
        return c;
    }();
    const tls_tests::identity& id = tls_tests::localhost();
    const tls_context server_side = tls_context::server_pem(id.certificate, id.key);
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const std::string port = std::to_string(l.local_endpoint().port());
    auto serving = spawn(serve(l, [&](tcp_stream below) -> task<> {
        auto accepting = tls_accept(std::move(below), server_side);
        outcome<tls_stream> t = co_await as_result(std::move(accepting));
        if (!t) co_return; // it does not trust us
        command_reader reader;
        std::string bytes(4096, '\0');
        for (;;) {
            const outcome<std::size_t> n = co_await as_result(t->read_some(std::as_writable_bytes(std::span(bytes))));
            if (!n || *n == 0) co_return;
            reader.feed(std::string_view(bytes).substr(0, *n));
            while (auto w = reader.next()) co_await t->write(std::string_view(joined(*w) == "GET a" ? "$6\r\nsecret\r\n" : "+OK\r\n"));
        }
    }));
    {
        redis::client rc = co_await redis::connect("rediss://:pw@localhost:" + port + "/0", {.tls = &context});
        const std::string text = co_await ending_of(rc.command("GET", "a"));
        CHECK(text == "\"secret\"");
        CHECK(rc.endpoint() == "rediss://localhost:" + port + "/0");
        redis::client trusting = co_await redis::connect("rediss://localhost:" + port + "/0?ssl_cert_reqs=none");
        const std::string refusal = co_await failure_of(redis::connect("rediss://localhost:" + port + "/0"));
        CHECK(has(refusal, "certificate"));
    }
    co_await serving.cancel_and_join();
}

// redis::client, its server played by the test: who gets which reply, whatever happens in between.
#include "redis/support.hpp"

using namespace redis_tests;

namespace {

[[nodiscard]] task<> until_quiet() {
    for (int i = 0; i < 30; ++i) co_await this_task::yield();
}

} // namespace

EDDY_TEST("redis client: a command and its reply") {
    scene s = co_await play();
    auto pong = spawn_eager(ending_of(s.rc.command("PING")));
    std::string heard = co_await s.server.hear();
    CHECK(heard == "PING");
    co_await s.server.say("+PONG\r\n");
    std::string text = co_await pong;
    CHECK(text == "PONG");
    std::vector<std::string> words{"SET", "name", "value"};
    auto set = spawn_eager(ending_of(s.rc.command(words)));
    heard = co_await s.server.hear();
    CHECK(heard == "SET name value");
    co_await s.server.say("+OK\r\n");
    text = co_await set;
    CHECK(text == "OK");
}

EDDY_TEST("redis client: the commands of many tasks go out in one write, and each gets its own reply") {
    scene s = co_await play();
    std::vector<task_handle<std::string>> tasks;
    std::string expected;
    std::string replies;
    for (int i = 0; i < 100; ++i) {
        tasks.push_back(spawn_eager(ending_of(s.rc.command("GET", i))));
        expected += (i ? "|GET " : "GET ") + std::to_string(i);
        replies += ":" + std::to_string(i) + "\r\n";
    }
    const std::string heard = co_await s.server.hear();
    CHECK(heard == expected);
    CHECK(s.rc.stats().writes == 1);
    CHECK(s.rc.stats().in_flight == 100);
    co_await s.server.say(replies);
    for (int i = 0; i < 100; ++i) {
        const std::string text = co_await tasks[static_cast<std::size_t>(i)];
        CHECK(text == std::to_string(i));
    }
    CHECK(s.rc.stats().commands == 100);
    CHECK(s.rc.stats().replies == 100);
}

EDDY_TEST("ST-25 redis client: a cancelled command's reply is dropped, and nobody else gets it") {
    scene s = co_await play();
    auto mine = spawn_eager(ending_of(s.rc.command("GET", "mine")));
    std::string heard = co_await s.server.hear();
    CHECK(heard == "GET mine");
    mine.cancel();
    co_await mine.join();
    auto yours = spawn_eager(ending_of(s.rc.command("GET", "yours")));
    heard = co_await s.server.hear();
    CHECK(heard == "GET yours");
    co_await s.server.say(bulk("secret of mine") + bulk("yours"));
    const std::string text = co_await yours;
    CHECK(text == "\"yours\"");
    CHECK(s.rc.stats().dropped == 1);
}

EDDY_TEST("ST-25 redis client: cancelled at every moment of a reply that comes byte by byte") {
    const std::string replies = bulk("of the first") + "*2\r\n:1\r\n" + bulk("of the second") + bulk("of the third");
    for (std::size_t cut = 0; cut <= replies.size(); ++cut) {
        scene s = co_await play();
        auto first = spawn_eager(ending_of(s.rc.command("A")));
        auto second = spawn_eager(ending_of(s.rc.command("B")));
        auto third = spawn_eager(ending_of(s.rc.command("C")));
        static_cast<void>(co_await s.server.hear());
        for (std::size_t i = 0; i < cut; ++i) co_await s.server.say(replies.substr(i, 1));
        co_await until_quiet();
        const bool was_there = second.done();
        second.cancel();
        if (cut < replies.size()) co_await s.server.say(replies.substr(cut));
        const std::string one = co_await first;
        const std::string three = co_await third;
        co_await second.join();
        INFO("cut after " << cut << " bytes");
        CHECK(one == "\"of the first\"");
        CHECK(three == "\"of the third\"");
        CHECK((was_there || second.result() == "cancelled"));
    }
}

EDDY_TEST("redis client: a command that was cancelled before it was sent is never sent") {
    scene s = co_await play();
    auto never = spawn_eager(ending_of(s.rc.command("NEVER")));
    auto now = spawn_eager(ending_of(s.rc.command("NOW")));
    never.cancel();
    const std::string heard = co_await s.server.hear();
    CHECK(heard == "NOW");
    co_await s.server.say("+OK\r\n");
    const std::string text = co_await now;
    CHECK(text == "OK");
}

EDDY_TEST("redis client: the server's error names the command, and the next command is unharmed") {
    scene s = co_await play();
    auto wrong = spawn_eager(ending_of(s.rc.command("INCR", "list")));
    auto right = spawn_eager(ending_of(s.rc.command("GET", "x")));
    static_cast<void>(co_await s.server.hear());
    co_await s.server.say("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n$-1\r\n");
    std::string text = co_await wrong;
    CHECK(text == "error: redis INCR: WRONGTYPE Operation against a key holding the wrong kind of value");
    text = co_await right;
    CHECK(text == "nil");
}

EDDY_TEST("redis client: every kind of reply, in fragments of each size") {
    const std::string replies = "+OK\r\n-ERR no\r\n:-9223372036854775808\r\n" + bulk("") + bulk(std::string("a\r\nb\0", 5)) + "$-1\r\n*-1\r\n*0\r\n" +
                                "*3\r\n:1\r\n*2\r\n+a\r\n$-1\r\n-ERR inside\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n";
    const std::vector<std::string> expected{"OK", "error: redis X: ERR no", "-9223372036854775808", "\"\"", "\"a\\x0d\\x0ab\\x00\"", "nil", "nil", "[]",
                                            "[1, [a, nil], (error) ERR inside]", "[[[[[[[7]]]]]]]"};
    for (const std::size_t fragment : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{7}, std::size_t{4096}}) {
        scene s = co_await play({}, {.fragment = fragment});
        std::vector<task_handle<std::string>> tasks;
        for (std::size_t i = 0; i < expected.size(); ++i) tasks.push_back(spawn_eager(ending_of(s.rc.command("X"))));
        co_await until_quiet();
        co_await s.server.say(replies);
        for (std::size_t i = 0; i < expected.size(); ++i) {
            const std::string text = co_await tasks[i];
            INFO("fragment " << fragment);
            CHECK(text == expected[i]);
        }
    }
}

EDDY_TEST("redis client: what is no RESP2 ends the connection, and says so") {
    const std::vector<std::pair<std::string, std::string>> bad{
        {"hello\r\n", "Protocol error"},
        {"$-2\r\n", "Bulk string length out of range"},
        {"*-2\r\n", "Multi-bulk length out of range"},
        {"*99999999999\r\n", "Multi-bulk length out of range"},
        {"$99999999999999999999\r\n", "Bad bulk string length"},
        {":12x\r\n", "Bad integer value"},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "depth"},
        {"+" + std::string(100000, 'x'), "a line without end"},
        {"%1\r\n+a\r\n+b\r\n", ""},
        {"+OK\r\n+OK\r\n", "an answer that nobody asked for: OK"},
    };
    for (const auto& [bytes, reason] : bad) {
        scene s = co_await play();
        auto one = spawn_eager(ending_of(s.rc.command("ONE")));
        static_cast<void>(co_await s.server.hear());
        static_cast<void>(co_await as_result(s.server.say(bytes)));
        std::string text = co_await one;
        INFO(bytes.substr(0, 40) << " -> " << text);
        if (bytes.starts_with("+OK")) {
            CHECK(text == "OK");
            text = co_await ending_of(s.rc.command("TWO"));
            CHECK(has(text, "not sent: "));
        } else {
            CHECK(has(text, "lost: played, ONE: "));
            CHECK(has(text, "(the command may have been executed)"));
        }
        CHECK(has(text, reason));
    }
}

EDDY_TEST("redis client: an array that announces more than comes costs no memory, and a reply beyond the limit is refused") {
    scene s = co_await play({.max_reply = 100'000});
    auto one = spawn_eager(ending_of(s.rc.command("ONE")));
    static_cast<void>(co_await s.server.hear());
    co_await s.server.say("*2000000000\r\n:1\r\n");
    co_await until_quiet();
    CHECK_FALSE(one.done());
    const std::string part(50'000, 'x');
    co_await s.server.say("$40000\r\n" + part.substr(0, 40'000) + "\r\n");
    static_cast<void>(co_await as_result(s.server.say("$90000\r\n" + part)));
    static_cast<void>(co_await as_result(s.server.say(part)));
    const std::string text = co_await one;
    CHECK(has(text, "a reply of more than 100000 bytes (options::max_reply)"));
}

EDDY_TEST("redis client: a large value goes both ways") {
    scene s = co_await play({}, {.fragment = 5000, .capacity = 10'000});
    const std::string large(3'000'000, 'v');
    auto set = spawn_eager(ending_of(s.rc.command("SET", "large", large)));
    std::string heard;
    while (heard.empty()) heard = co_await s.server.hear();
    CHECK(heard.size() == large.size() + 10);
    auto saying = spawn(s.server.say("+OK\r\n" + bulk(large)));
    auto get = spawn_eager(s.rc.command("GET", "large"));
    std::string text = co_await set;
    CHECK(text == "OK");
    redis::value v = co_await std::move(get);
    CHECK(v.as_string() == large);
    co_await saying.join();
}

EDDY_TEST("redis client: the stream is cut at every byte of the replies") {
    const std::string replies = "+OK\r\n" + bulk("value") + ":3\r\n";
    for (std::size_t cut = 0; cut < replies.size(); ++cut) {
        scene s = co_await play();
        std::vector<task_handle<std::string>> tasks;
        for (const char* name : {"A", "B", "C"}) tasks.push_back(spawn_eager(ending_of(s.rc.command(name))));
        static_cast<void>(co_await s.server.hear());
        if (cut > 0) co_await s.server.say(replies.substr(0, cut));
        co_await s.server.stream().close();
        std::string all;
        for (const auto& t : tasks) {
            const std::string text = co_await t;
            all += (has(text, "lost: ") ? "lost" : text) + " ";
        }
        INFO("cut after " << cut << " bytes");
        CHECK(all == (cut < 5 ? "lost lost lost " : cut < 16 ? "OK lost lost " : "OK \"value\" lost "));
        const std::string later = co_await ending_of(s.rc.command("D"));
        CHECK(has(later, "not sent: played, D: the server has closed the connection"));
    }
}

EDDY_TEST("redis client: no more than max_pending commands are on their way") {
    scene s = co_await play({.max_pending = 2});
    std::vector<task_handle<std::string>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(spawn_eager(ending_of(s.rc.command("GET", i))));
    std::string heard = co_await s.server.hear();
    CHECK(heard == "GET 0|GET 1");
    co_await until_quiet();
    CHECK(s.rc.stats().waiting == 3);
    tasks[0].cancel(); // it is still on its way
    co_await until_quiet();
    CHECK(s.rc.stats().in_flight == 2);
    co_await s.server.say(":0\r\n:1\r\n");
    heard = co_await s.server.hear();
    CHECK(heard == "GET 2|GET 3");
    co_await s.server.say(":2\r\n:3\r\n");
    heard = co_await s.server.hear();
    CHECK(heard == "GET 4");
    co_await s.server.say(":4\r\n");
    const std::string last = co_await tasks[4];
    CHECK(last == "4");
}

EDDY_TEST("redis client: a time limit names command and endpoint; a server that says something is waited for, a silent one is dropped") {
    scene s = co_await play({.timeout = 10s});
    auto first = spawn_eager(ending_of(s.rc.command("SLOW", "secret")));
    static_cast<void>(co_await s.server.hear());
    co_await sleep_for(5s);
    auto second = spawn_eager(ending_of(s.rc.command("NEXT")));
    static_cast<void>(co_await s.server.hear());
    co_await s.server.say("$5\r\n"); // a sign of life
    std::string text = co_await first;
    CHECK(text.starts_with("timeout: SLOW at played"));
    CHECK(s.rc.stats().connected);
    co_await s.server.say("first\r\n:2\r\n");
    text = co_await second;
    CHECK(text == "2");
    CHECK(s.rc.stats().dropped == 1);
    auto third = spawn_eager(ending_of(s.rc.command("DEAD")));
    text = co_await third;
    CHECK(text.starts_with("timeout: DEAD at played"));
    co_await until_quiet();
    CHECK_FALSE(s.rc.stats().connected);
}

EDDY_TEST("redis client: a pipeline's errors hide no other reply, and its commands go as one") {
    scene s = co_await play();
    redis::pipeline p;
    p.add("SET", "a", 1).add("LPUSH", "a", 2).add("GET", "a");
    auto running = spawn_eager(s.rc.run(p));
    std::string heard = co_await s.server.hear();
    CHECK(heard == "SET a 1|LPUSH a 2|GET a");
    co_await s.server.say("+OK\r\n-WRONGTYPE x\r\n$1\r\n1\r\n");
    std::vector<redis::value> replies = co_await std::move(running);
    REQUIRE(replies.size() == 3);
    CHECK(replies[0].is_ok());
    CHECK(replies[1].error_text() == "WRONGTYPE x");
    CHECK(replies[2].as_string() == "1");
    const redis::pipeline none;
    replies = co_await s.rc.run(none);
    CHECK(replies.empty());

    auto cancelled = spawn_eager(s.rc.run(p));
    static_cast<void>(co_await s.server.hear());
    co_await s.server.say("+OK\r\n");
    co_await until_quiet();
    cancelled.cancel();
    auto after = spawn_eager(ending_of(s.rc.command("PING")));
    static_cast<void>(co_await s.server.hear());
    co_await s.server.say("-WRONGTYPE x\r\n$1\r\n1\r\n+PONG\r\n");
    const std::string text = co_await after;
    CHECK(text == "PONG");
}

EDDY_TEST("redis client: a transaction gives EXEC's replies, nullopt if it was discarded, and the error of a command that was refused") {
    scene s = co_await play();
    redis::pipeline p;
    p.add("SET", "a", 1).add("GET", "a");
    auto running = spawn_eager(s.rc.transaction(p));
    const std::string heard = co_await s.server.hear();
    CHECK(heard == "MULTI|SET a 1|GET a|EXEC");
    co_await s.server.say("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$1\r\n1\r\n");
    std::optional<std::vector<redis::value>> replies = co_await std::move(running);
    REQUIRE(replies);
    CHECK(replies->at(1).as_string() == "1");
    auto discarded = spawn_eager(s.rc.transaction(p));
    static_cast<void>(co_await s.server.hear());
    co_await s.server.say("+OK\r\n+QUEUED\r\n+QUEUED\r\n*-1\r\n");
    replies = co_await std::move(discarded);
    CHECK_FALSE(replies);
    auto refused = spawn_eager(failure_of(s.rc.transaction(p)));
    static_cast<void>(co_await s.server.hear());
    co_await s.server.say("+OK\r\n-OOM command not allowed\r\n+QUEUED\r\n-EXECABORT Transaction discarded\r\n");
    const std::string text = co_await refused;
    CHECK(text == "error: redis transaction: OOM command not allowed");
}

EDDY_TEST("redis client: a script is sent by its digest, and whole where the server does not know it") {
    scene s = co_await play();
    const redis::script add("return ARGV[1]");
    const std::vector<std::string> keys{"k1", "k2"};
    auto running = spawn_eager(ending_of(s.rc.eval(add, keys, 5, "x")));
    std::string heard = co_await s.server.hear();
    CHECK(heard == "EVALSHA " + add.sha1() + " 2 k1 k2 5 x");
    co_await s.server.say("-NOSCRIPT No matching script\r\n");
    heard = co_await s.server.hear();
    CHECK(heard == "EVAL return ARGV[1] 2 k1 k2 5 x");
    co_await s.server.say("$1\r\n5\r\n");
    std::string text = co_await running;
    CHECK(text == "\"5\"");
    auto failing = spawn_eager(ending_of(s.rc.eval(add, std::vector<std::string>())));
    heard = co_await s.server.hear();
    CHECK(heard == "EVALSHA " + add.sha1() + " 0");
    co_await s.server.say("-ERR user_script:1: no\r\n");
    text = co_await failing;
    CHECK(text == "error: redis EVALSHA: ERR user_script:1: no");
    auto loading = spawn_eager(failure_of(s.rc.load(add)));
    heard = co_await s.server.hear();
    CHECK(heard == "SCRIPT LOAD return ARGV[1]");
    co_await s.server.say(bulk(add.sha1()));
    text = co_await loading;
    CHECK(text == "ok");
}

EDDY_TEST("redis client: LOADING means later, as often as the policy says") {
    scene s = co_await play({.timeout = 0s, .reconnect = {.attempts = 3, .first_delay = 1s, .factor = 1}});
    const auto start = this_loop().now();
    auto running = spawn_eager(ending_of(s.rc.command("GET", "a")));
    static_cast<void>(co_await s.server.hear());
    co_await s.server.say("-LOADING Redis is loading the dataset in memory\r\n");
    std::string heard = co_await s.server.hear();
    CHECK(heard == "GET a");
    CHECK(this_loop().now() - start >= 1s);
    co_await s.server.say("$1\r\n1\r\n");
    std::string text = co_await running;
    CHECK(text == "\"1\"");
    running = spawn_eager(ending_of(s.rc.command("GET", "b")));
    for (int i = 0; i < 3; ++i) {
        heard = co_await s.server.hear();
        CHECK(heard == "GET b");
        co_await s.server.say("-MASTERDOWN Link with MASTER is down\r\n");
    }
    text = co_await running;
    CHECK(text == "error: redis GET: MASTERDOWN Link with MASTER is down");
}

EDDY_TEST("redis client: closed, it tells those that wait and those that come; the last copy closes it") {
    scene s = co_await play();
    auto waiting = spawn_eager(ending_of(s.rc.command("GET", "a")));
    static_cast<void>(co_await s.server.hear());
    redis::client copy = s.rc;
    auto late = s.rc.command("LATE");
    copy.close();
    std::string text = co_await waiting;
    CHECK(text == "closed: this redis::client of played was closed");
    text = co_await ending_of(std::move(late));
    CHECK(text == "closed: this redis::client of played was closed");
    CHECK_FALSE(s.rc.is_open());
    const std::string heard = co_await s.server.hear();
    CHECK(heard == "(end)");

    scene other = co_await play();
    std::optional<redis::client> last = std::move(other.rc);
    waiting = spawn_eager(ending_of(last->command("GET", "a")));
    static_cast<void>(co_await other.server.hear());
    last.reset();
    text = co_await waiting;
    CHECK(text == "closed: this redis::client of played was closed");
    text = co_await failure_of([](redis::client& c) -> task<> { co_await c.quit(); }(other.rc));
    CHECK(text == "closed: this redis::client is empty (it was moved from)");
}

EDDY_TEST("redis client: quit waits for the replies") {
    scene s = co_await play();
    auto waiting = spawn_eager(ending_of(s.rc.command("GET", "a")));
    auto quitting = spawn_eager(s.rc.quit());
    static_cast<void>(co_await s.server.hear());
    co_await until_quiet();
    CHECK_FALSE(quitting.done());
    co_await s.server.say(":1\r\n");
    const std::string text = co_await waiting;
    CHECK(text == "1");
    co_await quitting;
    CHECK_FALSE(s.rc.is_open());
}

EDDY_TEST("redis client: over one stream there is nothing that needs another") {
    scene s = co_await play();
    const std::vector<std::string> lists{"list"};
    std::string text = co_await failure_of(s.rc.blpop(lists, 1s));
    CHECK(text == "BLPOP needs a connection of its own, and this redis::client has one stream only (connect_over)");
    text = co_await failure_of(s.rc.subscribe("channel"));
    CHECK(has(text, "a subscription needs a connection of its own"));
    text = co_await failure_of(s.rc.session());
    CHECK(has(text, "a session needs a connection of its own"));
    text = co_await failure_of([](redis::client& c) -> task<> { co_await c.command(std::vector<std::string>()); }(s.rc));
    CHECK(text == "redis: a command without a word");
}

TEST_CASE("redis client: who cleans up while the loop shuts down still has the connection") {
    std::string text;
    eddy::detail::virtual_clock clock;
    run_options options;
    options.clock = &clock;
    options.handle_signals = false;
    run([](std::string& out) -> task<> {
        auto played = spawn([](std::string& end) -> task<> {
            auto s = std::make_shared<scene>(co_await play());
            spawn([](std::shared_ptr<scene> own) -> task<> {
                auto answering = [&]() -> task<> {
                    static_cast<void>(co_await own->server.hear());
                    co_await own->server.say("+OK\r\n");
                };
                co_await with_shield(5s, [&](cancel_scope&) { return answering(); });
            }, s);
            auto body = [] { return sleep_for(1h); };
            auto cleanup = [&]() -> task<> { end = co_await ending_of(s->rc.command("UNLOCK")); };
            co_await with_cleanup(body, cleanup);
        }, std::ref(out));
        for (int i = 0; i < 50; ++i) co_await this_task::yield();
    }(text), options);
    CHECK(text == "OK");
}

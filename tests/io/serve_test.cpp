#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "coro/allocations.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

/// Sends a word and gets the echo.
task<std::string> ask(tcp_stream& s, std::string word) {
    co_await s.write(word);
    buffered_reader r{s};
    std::string answer = co_await r.read_exactly(word.size());
    co_return answer;
}

task<std::string> connect_error_text(ip_endpoint where) {
    std::string text = co_await words::ending(tcp_connect(where));
    co_return text;
}

/// A listener in a process that runs out of memory when the first client comes: for the accept, or for what follows it.
class short_of_memory {
public:
    using stream_type = tcp_stream;
    enum class moment : bool { accept, afterwards };
    short_of_memory(tcp_listener l, moment m, std::optional<allocations::failing>& next) : inner_(std::move(l)), moment_(m), next_(&next) {}
    task<tcp_stream> accept() {
        tcp_stream s = co_await inner_.accept();
        if (std::exchange(first_, false)) {
            if (moment_ == moment::accept) throw std::bad_alloc();
            next_->emplace(0);
        }
        co_return s;
    }
    [[nodiscard]] bool is_open() const noexcept { return inner_.is_open(); }
    void close_now() noexcept { inner_.close_now(); }

private:
    tcp_listener inner_;
    moment moment_;
    std::optional<allocations::failing>* next_;
    bool first_ = true;
};

/// What the first client hears, and the second.
task<std::string> two_clients(short_of_memory::moment m) {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const ip_endpoint where = l.local_endpoint();
    std::optional<allocations::failing> next;
    server srv{short_of_memory(std::move(l), m, next), echo};
    srv.start();
    tcp_stream dropped = co_await tcp_connect(where);
    std::string heard = co_await words::ending(read_all(dropped));
    next.reset();
    tcp_stream served = co_await tcp_connect(where);
    std::string answer = co_await ask(served, "hello");
    co_await served.close();
    co_await srv.shutdown(1s);
    co_return heard + ", " + answer;
}

/// A listener whose accepts fail as a list says; 0 is one that does not, and so are those behind the list.
class troubled_listener {
public:
    using stream_type = tcp_stream;
    troubled_listener(tcp_listener l, std::vector<std::error_code> errors) : inner_(std::move(l)), errors_(std::move(errors)) {}
    task<tcp_stream> accept() {
        if (next_ < errors_.size()) {
            const std::error_code e = errors_[next_++];
            if (e) throw std::system_error(e, "accept");
        }
        tcp_stream s = co_await inner_.accept();
        co_return s;
    }
    [[nodiscard]] bool is_open() const noexcept { return inner_.is_open(); }
    void close_now() noexcept { inner_.close_now(); }

private:
    tcp_listener inner_;
    std::vector<std::error_code> errors_;
    std::size_t next_ = 0;
};

std::vector<std::error_code> error_numbers(std::initializer_list<int> numbers) {
    std::vector<std::error_code> all;
    for (const int n : numbers) all.emplace_back(n, std::generic_category());
    return all;
}

/// One question on a connection of its own.
task<std::string> ask_once(ip_endpoint where, std::string word) {
    tcp_stream s = co_await tcp_connect(where);
    std::string answer = co_await ask(s, std::move(word));
    co_await s.close();
    co_return answer;
}

/// Writes more than the kernel takes for a peer that does not read, and will not be cancelled. `log`: how it ended.
task<> insist_on_writing(tcp_stream s, std::string& log) {
    const std::string much(10'000'000, 'x');
    const auto insist = [&]() -> task<> { log = co_await words::ending(s.write(much)); };
    co_await with_shield(insist);
}

/// Says which stream is looked at, as long as it is there.
class watching_one {
public:
    watching_one(tcp_stream*& place, tcp_stream& s) noexcept : place_(place) { place = &s; }
    watching_one(const watching_one&) = delete;
    watching_one& operator=(const watching_one&) = delete;
    ~watching_one() { place_ = nullptr; }

private:
    tcp_stream*& place_;
};

} // namespace

EDDY_TEST("SV-01 SV-03 stop_accepting refuses new connections, the live one goes on, and join waits for it") {
    server srv{tcp_listener::bind({"127.0.0.1", 0}), echo};
    const ip_endpoint where = srv.local_endpoint();
    srv.start();
    tcp_stream c = co_await tcp_connect(where);
    std::string answer = co_await ask(c, "hello");
    CHECK(answer == "hello");
    CHECK(srv.connections() == 1);
    srv.stop_accepting(); // from now on, not from the next tick
    std::string refused = co_await connect_error_text(where);
    CHECK(refused.ends_with("Connection refused"));
    answer = co_await ask(c, "again");
    CHECK(answer == "again");
    auto first = spawn(srv.join());
    auto second = spawn(srv.join());
    co_await testing::settle();
    CHECK(!first.done());
    co_await c.close();
    co_await first;
    co_await second;
    co_await srv.join(); // at once
    CHECK(srv.connections() == 0);
    CHECK(srv.local_endpoint() == where);
}

EDDY_TEST("SV-02 join before stop_accepting waits, also without a connection") {
    server srv{tcp_listener::bind({"127.0.0.1", 0}), echo};
    srv.start();
    auto joined = spawn(srv.join());
    co_await sleep_for(1h);
    CHECK(!joined.done());
    srv.stop_accepting();
    co_await joined;
}

EDDY_TEST("SV-05 SV-06 shutdown gives connections their grace, then cancels the handlers that are left") {
    std::string log;
    const auto handler = [&](tcp_stream s) -> task<> {
        try {
            co_await echo(std::move(s));
            log += "ended ";
        } catch (const operation_cancelled&) {
            log += "cancelled ";
            throw;
        }
    };
    server srv{tcp_listener::bind({"127.0.0.1", 0}), handler};
    srv.start();
    tcp_stream idle = co_await tcp_connect(srv.local_endpoint());
    tcp_stream busy = co_await tcp_connect(srv.local_endpoint());
    co_await testing::settle();
    const auto start = loop_clock::now();
    auto shutting = spawn([&]() -> task<> { co_await srv.shutdown(5s); });
    co_await testing::settle();
    std::string answer = co_await ask(busy, "still served");
    CHECK(answer == "still served");
    co_await busy.close();
    co_await shutting;
    CHECK(loop_clock::now() - start == 5s);
    CHECK(log == "ended cancelled ");
    outcome<std::string> end = co_await as_result(read_all(idle));
    CHECK(words::of(end) == "ok"); // closed, not reset
    CHECK(*end == "");
    CHECK(!srv.connections());
}

EDDY_TEST("SV-05 SV-06 a handler that the shutdown cancels may say farewell, and the peer gets that and the end") {
    std::string log;
    const auto handler = [&](tcp_stream s) -> task<> {
        const auto farewell = [&]() -> task<> { co_await s.write("bye"sv); };
        bool cancelled = false;
        try {
            static_cast<void>(co_await read_text(s));
        } catch (const operation_cancelled&) {
            cancelled = true;
        }
        if (cancelled) log = co_await words::ending(with_shield(farewell));
        co_await this_task::checkpoint();
    };
    server srv{tcp_listener::bind({"127.0.0.1", 0}), handler};
    srv.start();
    tcp_stream c = co_await tcp_connect(srv.local_endpoint());
    co_await testing::settle();
    const auto start = loop_clock::now();
    co_await srv.shutdown(5s);
    CHECK(loop_clock::now() - start == 5s); // it waits for nothing else
    CHECK(log == "ok");
    outcome<std::string> end = co_await as_result(read_all(c));
    CHECK(words::of(end) == "ok");
    CHECK(*end == "bye");
}

EDDY_TEST("SV-05 SV-06 what a cancelled handler had written before still arrives") {
    std::size_t taken = 0;
    const auto handler = [&](tcp_stream s) -> task<> {
        const std::string much(10'000'000, 'x');
        taken = co_await s.write_some(much); // more than the peer takes without reading
        static_cast<void>(co_await read_text(s));
    };
    server srv{tcp_listener::bind({"127.0.0.1", 0}), handler};
    srv.start();
    tcp_stream c = co_await tcp_connect(srv.local_endpoint());
    co_await testing::settle();
    co_await srv.shutdown(0s);
    outcome<std::string> got = co_await as_result(read_all(c));
    CHECK(words::of(got) == "ok");
    CHECK(got->size() == taken);
}

EDDY_TEST("SV-05 a farewell of which a second is not enough is cut off, and a shutdown that is cancelled meanwhile cuts it off at once") {
    for (const bool cancelled : {false, true}) {
        std::string log;
        const auto handler = [&](tcp_stream s) { return insist_on_writing(std::move(s), log); };
        server srv{tcp_listener::bind({"127.0.0.1", 0}), handler};
        srv.start();
        tcp_stream c = co_await tcp_connect(srv.local_endpoint());
        co_await testing::settle();
        const auto start = loop_clock::now();
        const auto limit = cancelled ? 5500ms : 1h;
        const auto body = [&](cancel_scope&) -> task<> { co_await srv.shutdown(5s); };
        const bool done = co_await move_on_after(limit, body);
        CHECK(done == !cancelled);
        co_await srv.join();
        CHECK(loop_clock::now() - start == (cancelled ? 5500ms : 6000ms));
        CHECK(log.ends_with("it was closed on our side"));
    }
}

EDDY_TEST("SV-05 a shutdown whose connections end in time is over at once") {
    server srv{tcp_listener::bind({"127.0.0.1", 0}), echo};
    srv.start();
    const auto start = loop_clock::now();
    co_await srv.shutdown(1h);
    CHECK(loop_clock::now() == start);
    co_await srv.shutdown(1h); // and again
}

EDDY_TEST("SV-05 a shutdown that is cancelled cancels the handlers at once") {
    server srv{tcp_listener::bind({"127.0.0.1", 0}), echo};
    srv.start();
    tcp_stream idle = co_await tcp_connect(srv.local_endpoint());
    co_await testing::settle();
    const auto start = loop_clock::now();
    const auto body = [&](cancel_scope&) -> task<> { co_await srv.shutdown(1h); };
    const bool ended = co_await move_on_after(1s, body);
    CHECK(!ended);
    co_await srv.join();
    CHECK(loop_clock::now() - start == 1s);
}

EDDY_TEST("SV-05 SV-07 at the end of the grace a shielded write to a peer that does not read ends too") {
    std::string log;
    const auto handler = [&](tcp_stream s) { return insist_on_writing(std::move(s), log); };
    server srv{tcp_listener::bind({"127.0.0.1", 0}), handler};
    srv.start();
    tcp_stream c = co_await tcp_connect(srv.local_endpoint());
    co_await testing::settle();
    const auto start = loop_clock::now();
    co_await srv.shutdown(1s);
    CHECK(loop_clock::now() - start == 2s); // the handlers had a second to say farewell
    CHECK(log.ends_with("it was closed on our side"));
    outcome<std::string> got = co_await as_result(read_all(c));
    CHECK(got.error() == std::errc::connection_reset);
}

EDDY_TEST("SV-07 handlers with full send buffers end with the shutdown") {
    const auto handler = [](tcp_stream s) -> task<> {
        const std::string much(10'000'000, 'x');
        co_await s.write(much);
    };
    server srv{tcp_listener::bind({"127.0.0.1", 0}), handler};
    srv.start();
    std::vector<tcp_stream> clients;
    for (int i = 0; i < 10; ++i) clients.push_back(co_await tcp_connect(srv.local_endpoint()));
    co_await testing::settle();
    CHECK(srv.connections() == 10);
    const auto start = loop_clock::now();
    co_await srv.shutdown(0s);
    CHECK(loop_clock::now() == start); // nothing shields them: nobody has to wait for a farewell
    CHECK(srv.connections() == 0);
}

EDDY_TEST("SV-07 when the writes of aborted connections have ended, join and shutdown return within two ticks") {
    std::uint64_t ended = 0;
    const auto handler = [&](tcp_stream s) -> task<> {
        const std::string much(10'000'000, 'x');
        const auto insist = [&]() -> task<> {
            static_cast<void>(co_await words::ending(s.write(much)));
            ended = this_loop().stats().ticks;
        };
        co_await with_shield(insist);
    };
    server srv{tcp_listener::bind({"127.0.0.1", 0}), handler};
    srv.start();
    std::vector<tcp_stream> clients;
    for (int i = 0; i < 10; ++i) clients.push_back(co_await tcp_connect(srv.local_endpoint()));
    co_await testing::settle();
    CHECK(srv.connections() == 10);
    std::uint64_t joined = 0;
    auto joining = spawn([&]() -> task<> {
        co_await srv.join();
        joined = this_loop().stats().ticks;
    });
    const auto start = loop_clock::now();
    co_await srv.shutdown(0s);
    const std::uint64_t shut_down = this_loop().stats().ticks;
    co_await joining;
    CHECK(loop_clock::now() - start == 1s); // without a grace too, what is shielded has a second
    CHECK(ended > 0);
    CHECK(joined - ended <= 2);
    CHECK(shut_down - ended <= 2);
}

// In the tick after the reset the writes and the handlers end, in the next one the server's task, which has waited for them, in the
// third one those who have waited for that.
EDDY_TEST("SV-07 from the reset of connections with full send buffers to the end of join and shutdown there is a tick for each who waits for another", "[fifo]") {
    tcp_stream* watched = nullptr; // of one that has not ended
    const auto handler = [&](tcp_stream s) -> task<> {
        const std::string much(10'000'000, 'x');
        const auto insist = [&]() -> task<> { static_cast<void>(co_await words::ending(s.write(much))); };
        const watching_one here(watched, s);
        co_await with_shield(insist);
    };
    server srv{tcp_listener::bind({"127.0.0.1", 0}), handler};
    srv.start();
    std::vector<tcp_stream> clients;
    for (int i = 0; i < 10; ++i) clients.push_back(co_await tcp_connect(srv.local_endpoint()));
    co_await testing::settle();
    CHECK(srv.connections() == 10);
    const auto start = loop_clock::now();
    std::uint64_t last_open = 0; // the tick that resets them: whoever was told to wait first looks before that
    auto watching = spawn([&]() -> task<> {
        co_await sleep_until(start + 1s);
        while (watched && watched->is_open()) {
            last_open = this_loop().stats().ticks;
            co_await this_task::yield();
        }
    });
    std::uint64_t joined = 0;
    auto joining = spawn([&]() -> task<> {
        co_await srv.join();
        joined = this_loop().stats().ticks;
    });
    co_await srv.shutdown(0s);
    const std::uint64_t shut_down = this_loop().stats().ticks;
    co_await joining;
    co_await watching;
    CHECK(last_open > 0);
    CHECK(joined - last_open == 3);
    CHECK(shut_down - last_open == 3);
    CHECK(srv.connections() == 0);
}

EDDY_TEST("SV-08 a handler that throws is reported once, its connection is closed and the server goes on") {
    words::reports reports;
    const auto handler = [](tcp_stream s) -> task<> {
        buffered_reader r{s};
        std::string line = co_await r.read_line();
        if (line == "fail\n") throw std::runtime_error("the handler failed");
        co_await s.write(line);
    };
    server srv{tcp_listener::bind({"127.0.0.1", 0}), handler};
    srv.start();
    tcp_stream bad = co_await tcp_connect(srv.local_endpoint());
    co_await bad.write("fail\n"sv);
    std::string end = co_await read_all(bad);
    CHECK(end == "");
    CHECK(reports.text() == "connection: the handler failed");
    tcp_stream good = co_await tcp_connect(srv.local_endpoint());
    std::string answer = co_await ask(good, "work\n");
    CHECK(answer == "work\n");
    co_await srv.shutdown(1s);
    CHECK(reports.count() == 1);
}

EDDY_TEST("SV-08 a handler that returns an empty task is reported like one that throws, and the server goes on") {
    words::reports reports;
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    server srv{l.lend(), [](tcp_stream) { return task<>(); }};
    srv.start();
    for (int i = 0; i < 2; ++i) {
        tcp_stream s = co_await tcp_connect(l.local_endpoint());
        std::string end = co_await read_text(s);
        CHECK(end.empty());
    }
    co_await srv.shutdown(1s);
    const std::string one = "connection: serve: the handler returned an empty task";
    CHECK(reports.text() == one + "; " + one);
}

EDDY_TEST("SV-08 a handler that throws before there is a task is reported like any other") {
    words::reports reports;
    const auto handler = [](tcp_stream) -> task<> { throw std::runtime_error("no task came of it"); };
    server srv{tcp_listener::bind({"127.0.0.1", 0}), handler};
    srv.start();
    for (int i = 0; i < 2; ++i) {
        tcp_stream c = co_await tcp_connect(srv.local_endpoint());
        std::string end = co_await read_all(c);
        CHECK(end == "");
    }
    CHECK(reports.text() == "connection: no task came of it; connection: no task came of it");
    co_await srv.shutdown(1s);
}

EDDY_TEST("SV-09 a handler that is cancelled is not reported, and its connection is closed") {
    words::reports reports;
    const auto handler = [](tcp_stream s) -> task<> {
        this_task::handle().cancel("by itself");
        co_await echo(std::move(s));
    };
    server srv{tcp_listener::bind({"127.0.0.1", 0}), handler};
    srv.start();
    tcp_stream c = co_await tcp_connect(srv.local_endpoint());
    std::string end = co_await read_all(c);
    CHECK(end == "");
    CHECK(reports.count() == 0);
    co_await srv.shutdown(1s);
}

EDDY_TEST("SV-10 a cancelled serve closes the listening socket and cancels its handlers; serving again is a logic_error") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const ip_endpoint where = l.local_endpoint();
    auto serving = spawn(serve(l, echo));
    tcp_stream c = co_await tcp_connect(where);
    std::string answer = co_await ask(c, "hello");
    CHECK(answer == "hello");
    co_await serving.cancel_and_join();
    CHECK(serving.cancelled());
    std::string refused = co_await connect_error_text(where);
    CHECK(refused.ends_with("Connection refused"));
    std::string end = co_await read_all(c);
    CHECK(end == "");
    outcome<> again = co_await as_result(serve(l, echo));
    CHECK(words::holds<std::logic_error>(again.exception()));
}

EDDY_TEST("SV-10 a server that was stopped is not started again") {
    server srv{tcp_listener::bind({"127.0.0.1", 0}), echo};
    srv.start();
    co_await srv.shutdown(0s);
    CHECK(words::throws<std::logic_error>([&] { srv.start(); return 0; }));
    server never{tcp_listener::bind({"127.0.0.1", 0}), echo};
    outcome<> joined = co_await as_result(never.join());
    CHECK(words::of(joined) == "server::join: the server was not started");
}

EDDY_TEST("SV-11 of two serve calls on one listener the second is a logic_error") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    auto serving = spawn(serve(l, echo));
    outcome<> second = co_await as_result(serve(l, echo));
    CHECK(words::of(second) == "serve: the listener is closed or was handed to another server; bind a new one");
    server srv{tcp_listener::bind({"127.0.0.1", 0}), echo};
    srv.start();
    CHECK(words::throws<std::logic_error>([&] { srv.start(); return 0; }));
    co_await srv.shutdown(0s);
    co_await serving.cancel_and_join();
}

EDDY_TEST("SV-14 after 1000 connections descriptors and tasks are back where they were") {
    server srv{tcp_listener::bind({"127.0.0.1", 0}), echo};
    srv.start();
    co_await testing::settle();
    const std::size_t descriptors = open_descriptors();
    const std::size_t tasks = this_loop().stats().tasks;
    for (int i = 0; i < 1000; ++i) {
        tcp_stream c = co_await tcp_connect(srv.local_endpoint());
        std::string answer = co_await ask(c, "x");
        if (answer != "x") FAIL("connection " << i << " answered '" << answer << "'");
    }
    co_await testing::settle();
    CHECK(open_descriptors() == descriptors);
    CHECK(this_loop().stats().tasks == tasks);
    CHECK(srv.connections() == 0);
    co_await srv.shutdown(1s);
}

EDDY_TEST("a server with a limit serves the next connection when one ends") {
    server srv{tcp_listener::bind({"127.0.0.1", 0}), echo, {.max_connections = 2}};
    srv.start();
    tcp_stream a = co_await tcp_connect(srv.local_endpoint());
    tcp_stream b = co_await tcp_connect(srv.local_endpoint());
    tcp_stream c = co_await tcp_connect(srv.local_endpoint()); // in the kernel's queue
    auto third = spawn(ask(c, "third"));
    co_await testing::settle();
    CHECK(srv.connections() == 2);
    CHECK(!third.done());
    co_await a.close();
    std::string answer = co_await std::move(third);
    CHECK(answer == "third");
    CHECK(srv.connections() == 2);
    co_await srv.shutdown(0s);
}

EDDY_TEST("a server object that is destroyed cancels what runs") {
    std::optional<server> srv(std::in_place, tcp_listener::bind({"127.0.0.1", 0}), echo);
    srv->start();
    tcp_stream c = co_await tcp_connect(srv->local_endpoint());
    co_await testing::settle();
    srv.reset();
    std::string end = co_await read_all(c);
    CHECK(end == "");
}

TEST_CASE("a server that outlives its loop is destroyed in peace") {
    std::optional<server> srv;
    auto body = [&]() -> task<> {
        srv.emplace(tcp_listener::bind({"127.0.0.1", 0}), echo);
        srv->start();
        tcp_stream c = co_await tcp_connect(srv->local_endpoint());
        std::string answer = co_await ask(c, "hello");
        CHECK(answer == "hello");
    };
    run(body());
    CHECK(srv->connections() == 0);
    srv.reset();
}

EDDY_TEST("a server that is told to stop before it has begun ends without an error") {
    server srv{tcp_listener::bind({"127.0.0.1", 0}), echo};
    srv.start();
    srv.stop_accepting();
    co_await srv.join();
}

EDDY_TEST("a listener that was handed to serve still tells its endpoint, and closing it ends the server") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    auto serving = spawn(serve(l, echo));
    const ip_endpoint where = l.local_endpoint();
    CHECK(where.port() != 0);
    tcp_stream c = co_await tcp_connect(where);
    std::string answer = co_await ask(c, "hello");
    CHECK(answer == "hello");
    const std::string again = co_await words::ending(serve(l, echo));
    CHECK(again == "serve: the listener is closed or was handed to another server; bind a new one");
    co_await l.close();
    co_await serving.join();
    CHECK(words::holds<closed_resource>(serving.exception()));
    std::string refused = co_await connect_error_text(where);
    CHECK(refused.ends_with("Connection refused"));
}

namespace {

/// Five bytes and back, then the end, twice at a time.
template <class F>
task<std::string> answers_of(F handler) {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    auto serving = spawn(serve(l, std::move(handler)));
    tcp_stream c = co_await tcp_connect(l.local_endpoint());
    tcp_stream other = co_await tcp_connect(l.local_endpoint());
    co_await testing::settle(); // both handlers have begun and wait
    std::string answers = co_await ask(c, "hello");
    answers += co_await read_all(c); // its stream is closed when it ends
    answers += co_await ask(other, "world");
    answers += co_await read_all(other);
    co_await serving.cancel_and_join();
    co_return answers;
}

struct overloaded_handler {
    task<> operator()(tcp_stream&& s) const { return by_reference(std::move(s)); }
    task<> operator()(int) const { co_return; }
    static task<> by_reference(tcp_stream&& s) {
        buffered_reader r{s};
        std::string word = co_await r.read_exactly(std::size_t{5});
        co_await s.write(word);
    }
};

using plain_by_value = task<> (*)(tcp_stream);

} // namespace

EDDY_TEST("a handler may take its stream by reference: it is there until the handler ends, and closed then") {
    const auto by_reference = [](tcp_stream&& s) { return overloaded_handler::by_reference(std::move(s)); };
    std::string answers = co_await answers_of(by_reference);
    CHECK(answers == "helloworld");
    answers = co_await answers_of([](auto&& s) -> task<> {
        buffered_reader r{s};
        std::string word = co_await r.read_exactly(std::size_t{5});
        co_await s.write(word);
    });
    CHECK(answers == "helloworld");
    answers = co_await answers_of(overloaded_handler{});
    CHECK(answers == "helloworld");
    answers = co_await answers_of(&overloaded_handler::by_reference);
    CHECK(answers == "helloworld");
}

TEST_CASE("a connection keeps its stream for the handler unless the handler is known to take it by value") {
    const auto by_value = [](tcp_stream) -> task<> { co_return; };
    auto changing = [last = -1](tcp_stream s) mutable noexcept -> task<> {
        if (s.native_handle() == last) std::terminate();
        last = s.native_handle();
        return task<>();
    };
    const auto by_reference = [](tcp_stream&&) -> task<> { co_return; };
    const auto by_const_reference = [](const tcp_stream&) -> task<> { co_return; };
    const auto any = [](auto) -> task<> { co_return; };
    STATIC_REQUIRE(detail::takes_by_value<std::remove_cv_t<decltype(by_value)>, tcp_stream>);
    STATIC_REQUIRE(detail::takes_by_value<decltype(changing), tcp_stream>);
    STATIC_REQUIRE(detail::takes_by_value<plain_by_value, tcp_stream>);
    STATIC_REQUIRE(detail::takes_by_value<std::function<task<>(tcp_stream)>, tcp_stream>);
    STATIC_REQUIRE(!detail::takes_by_value<std::remove_cv_t<decltype(by_reference)>, tcp_stream>);
    STATIC_REQUIRE(!detail::takes_by_value<std::remove_cv_t<decltype(by_const_reference)>, tcp_stream>);
    STATIC_REQUIRE(!detail::takes_by_value<std::remove_cv_t<decltype(any)>, tcp_stream>);
    STATIC_REQUIRE(!detail::takes_by_value<overloaded_handler, tcp_stream>);
    STATIC_REQUIRE(!detail::takes_by_value<decltype(&overloaded_handler::by_reference), tcp_stream>);
}

EDDY_TEST("what a handler does before it returns its task, it does in the task of its connection") {
    task_local<std::string> user{"nobody"};
    std::string log;
    detail::task_context* before = nullptr;
    const auto goes_on = [&](tcp_stream s) -> task<> {
        const bool same = &this_task::handle().context() == before;
        log += this_task::name() + (same ? " is the same, " : " is another, ") + "for " + user.get() + "; ";
        user.set("somebody else");
        co_await s.write("x"sv);
    };
    const auto plain = [&](tcp_stream s) -> task<> {
        before = &this_task::handle().context();
        log += this_task::name() + " for " + user.get() + ", ";
        user.set("amy");
        return goes_on(std::move(s));
    };
    server srv{tcp_listener::bind({"127.0.0.1", 0}), plain};
    srv.start();
    for (int i = 0; i < 2; ++i) {
        tcp_stream c = co_await tcp_connect(srv.local_endpoint());
        std::string got = co_await read_all(c);
        CHECK(got == "x");
    }
    const std::string one = "connection for nobody, connection is the same, for amy; ";
    CHECK(log == one + one); // what the first one set is not the server's
    co_await srv.shutdown(1s);
}

EDDY_TEST("a handler that cancels its task before it returns one, and one that spawns there, concern their connection only") {
    words::reports reports;
    std::string log;
    task_local<int> number{0};
    const auto plain = [&](tcp_stream s) -> task<> {
        number.set(number.get() + 1);
        spawn([&]() -> task<> {
            log += "spawned by " + std::to_string(number.get()) + " ";
            co_return;
        });
        this_task::handle().cancel("not this one");
        log += this_task::cancel_requested() ? "cancelled " : "not cancelled ";
        return echo(std::move(s));
    };
    server srv{tcp_listener::bind({"127.0.0.1", 0}), plain};
    srv.start();
    for (int i = 0; i < 2; ++i) {
        tcp_stream c = co_await tcp_connect(srv.local_endpoint());
        std::string end = co_await read_all(c);
        CHECK(end == "");
        co_await testing::settle();
    }
    CHECK(log == "cancelled spawned by 1 cancelled spawned by 1 ");
    CHECK(reports.count() == 0);
    co_await srv.shutdown(1s);
}

EDDY_TEST("a server without memory for a connection drops it, says so, pauses and goes on") {
    words::reports reports;
    std::string log = co_await two_clients(short_of_memory::moment::accept);
    CHECK(log == "ok, hello");
    log = co_await two_clients(short_of_memory::moment::afterwards);
    CHECK(log == "ok, hello");
    CHECK(reports.text() == "server: std::bad_alloc; server: std::bad_alloc");
}

EDDY_TEST("accept: what concerns one connection, or the network for a while, is tried again after a pause, without a word") {
    words::reports reports;
    std::vector<std::error_code> errors = error_numbers({ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH});
    const std::size_t count = errors.size();
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const ip_endpoint where = l.local_endpoint();
    server srv{troubled_listener(std::move(l), std::move(errors)), echo, {.pause = 10ms}};
    const auto start = loop_clock::now();
    srv.start();
    std::string answer = co_await ask_once(where, "hello");
    CHECK(answer == "hello");
    CHECK(loop_clock::now() - start == count * 10ms);
    CHECK(reports.count() == 0);
    co_await srv.shutdown(0s);
}

EDDY_TEST("accept: an error that no pause mends ends the server, and comes out of serve and of join") {
    std::vector<std::error_code> lasting = error_numbers({EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP, EFAULT, EACCES});
    lasting.emplace_back(EMFILE, resolve_category()); // the number of something else
    for (const std::error_code& e : lasting) {
        const std::vector<std::error_code> once(1, e);
        task<> serving = serve(troubled_listener(tcp_listener::bind({"127.0.0.1", 0}), once), echo);
        const std::string served = co_await words::ending(std::move(serving));
        CHECK(served == "accept: " + e.message());
        server srv{troubled_listener(tcp_listener::bind({"127.0.0.1", 0}), once), echo};
        srv.start();
        const std::string joined = co_await words::ending(srv.join());
        CHECK(joined == "accept: " + e.message());
    }
}

EDDY_TEST("ST-30 a server that is short of descriptors says so once each time, and goes on") {
    words::reports reports;
    std::vector<std::error_code> errors = error_numbers({EMFILE, EMFILE, ENFILE, 0, ENOBUFS, ENOMEM, 0, 0, EMFILE});
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const ip_endpoint where = l.local_endpoint();
    server srv{troubled_listener(std::move(l), std::move(errors)), echo};
    const auto start = loop_clock::now();
    srv.start();
    std::string answers;
    for (int i = 0; i < 4; ++i) answers += co_await ask_once(where, "x");
    CHECK(answers == "xxxx");
    CHECK(loop_clock::now() - start == 600ms);
    CHECK(reports.text() == "server: accept: Too many open files; server: accept: No buffer space available; server: accept: Too many open files");
    co_await srv.shutdown(0s);
}

EDDY_TEST("accept: a refusal by a firewall is told once each time it begins, beside a want, and tried again") {
    words::reports reports;
    std::vector<std::error_code> errors = error_numbers({EPERM, EPERM, EMFILE, EPERM, EMFILE, 0, EPERM});
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const ip_endpoint where = l.local_endpoint();
    server srv{troubled_listener(std::move(l), std::move(errors)), echo, {.pause = 10ms}};
    const auto start = loop_clock::now();
    srv.start();
    std::string answers;
    for (int i = 0; i < 2; ++i) answers += co_await ask_once(where, "x");
    CHECK(answers == "xx");
    CHECK(loop_clock::now() - start == 60ms);
    const std::string refused = "server: accept: Operation not permitted";
    CHECK(reports.text() == refused + "; server: accept: Too many open files; " + refused);
    co_await srv.shutdown(0s);
}

EDDY_TEST("a shutdown and a join go on when the server object is moved or destroyed") {
    std::optional<server> srv(std::in_place, tcp_listener::bind({"127.0.0.1", 0}), echo);
    srv->start();
    tcp_stream c = co_await tcp_connect(srv->local_endpoint());
    co_await testing::settle();
    auto joining = spawn(srv->join());
    auto shutting = spawn(srv->shutdown(1h)); // neither has begun when it is moved
    std::optional<server> moved(std::move(*srv));
    srv.reset();
    co_await testing::settle();
    CHECK(!shutting.done());
    CHECK(moved->connections() == 1);
    auto again = spawn(moved->shutdown(1h));
    moved.reset();
    co_await shutting;
    co_await joining;
    co_await again;
    std::string end = co_await read_all(c);
    CHECK(end == "");
}

EDDY_TEST("SV-01 SV-03 a server on several listeners stops accepting on all of them, and join waits for the connections of all") {
    server srv{tcp_listener::bind(two_addresses()), echo};
    const std::vector<ip_endpoint> where = srv.local_endpoints();
    REQUIRE(where.size() == 2);
    CHECK(where[0] == srv.local_endpoint());
    CHECK(where[1] == ip_endpoint("127.0.0.2", where[0].port()));
    srv.start();
    tcp_stream a = co_await tcp_connect(where[0]);
    tcp_stream b = co_await tcp_connect(where[1]);
    std::string answers = co_await ask(a, "one");
    answers += co_await ask(b, "two");
    CHECK(answers == "onetwo");
    CHECK(srv.connections() == 2);
    srv.stop_accepting();
    for (const ip_endpoint& e : where) {
        std::string refused = co_await connect_error_text(e);
        CHECK(refused.ends_with("Connection refused"));
    }
    auto joined = spawn(srv.join());
    co_await a.close();
    co_await testing::settle();
    CHECK(!joined.done());
    std::string again = co_await ask(b, "again");
    CHECK(again == "again");
    co_await b.close();
    co_await joined;
    CHECK(srv.connections() == 0);
}

EDDY_TEST("SV-05 SV-06 a shutdown reaches the connections of all listeners") {
    server srv{tcp_listener::bind(two_addresses()), echo};
    srv.start();
    const std::vector<ip_endpoint> where = srv.local_endpoints();
    tcp_stream a = co_await tcp_connect(where[0]);
    tcp_stream b = co_await tcp_connect(where[1]);
    co_await testing::settle();
    CHECK(srv.connections() == 2);
    const auto start = loop_clock::now();
    co_await srv.shutdown(5s);
    CHECK(loop_clock::now() - start == 5s);
    CHECK(srv.connections() == 0);
    for (tcp_stream* s : {&a, &b}) {
        outcome<std::string> end = co_await as_result(read_all(*s));
        CHECK(words::of(end) == "ok"); // closed, not reset
        CHECK(*end == "");
    }
    server unused{tcp_listener::bind(two_addresses()), echo};
    unused.start();
    unused.stop_accepting(); // before it has begun
    co_await unused.join();
}

EDDY_TEST("SV-10 SV-11 a cancelled serve closes all its listeners; serving them again is a logic_error") {
    std::vector<tcp_listener> all = tcp_listener::bind(two_addresses());
    auto serving = spawn(serve(all, echo));
    for (const tcp_listener& l : all) {
        std::string answer = co_await ask_once(l.local_endpoint(), "hello");
        CHECK(answer == "hello");
    }
    outcome<> second = co_await as_result(serve(all, echo));
    CHECK(words::of(second) == "serve: the listener is closed or was handed to another server; bind a new one");
    co_await serving.cancel_and_join();
    CHECK(serving.cancelled());
    for (const tcp_listener& l : all) {
        std::string refused = co_await connect_error_text(l.local_endpoint());
        CHECK(refused.ends_with("Connection refused"));
    }
    CHECK(words::of_call([] { return serve(std::vector<tcp_listener>(), echo); }) == "serve: there is no listener");
}

EDDY_TEST("when one of several listeners is closed the server ends, with the error of that one") {
    std::vector<tcp_listener> all = tcp_listener::bind(two_addresses());
    auto serving = spawn(serve(all, echo));
    co_await testing::settle();
    co_await all[1].close();
    co_await serving.join();
    CHECK(words::holds<closed_resource>(serving.exception()));
    std::string refused = co_await connect_error_text(all[0].local_endpoint());
    CHECK(refused.ends_with("Connection refused"));
}

EDDY_TEST("a limit holds for all listeners together, and each gets its turn") {
    int inside = 0;
    int most = 0;
    const auto handler = [&](tcp_stream s) -> task<> {
        most = std::max(most, ++inside);
        co_await echo(std::move(s));
        --inside;
    };
    server srv{tcp_listener::bind(two_addresses()), handler, {.max_connections = 1}};
    srv.start();
    const std::vector<ip_endpoint> where = srv.local_endpoints();
    tcp_stream first = co_await tcp_connect(where[0]);
    co_await testing::settle();
    CHECK(srv.connections() == 1);
    std::vector<task<std::string>> waiting;
    for (int i = 0; i < 6; ++i) waiting.push_back(ask_once(where[i % 2 == 0 ? 0 : 1], "x"));
    auto all = spawn([&]() -> task<> {
        const std::vector<std::string> answers = co_await gather(std::move(waiting));
        CHECK(answers == std::vector<std::string>(6, "x"));
    });
    co_await testing::settle();
    CHECK(!all.done());
    CHECK(srv.connections() == 1);
    co_await first.close();
    co_await all;
    CHECK(most == 1);
    co_await srv.shutdown(1s);
    CHECK(inside == 0);
}

EDDY_TEST("with a limit, a connection that one listener has accepted goes before those that another one has not") {
    std::string log;
    const auto handler = [&](tcp_stream s) -> task<> {
        log += s.local_endpoint().address() + " ";
        co_await echo(std::move(s));
    };
    server srv{tcp_listener::bind(two_addresses()), handler, {.max_connections = 1}};
    srv.start();
    co_await testing::settle(); // both listeners accept
    const std::vector<ip_endpoint> where = srv.local_endpoints();
    tcp_stream a = co_await tcp_connect(where[0]);
    co_await testing::settle();
    tcp_stream b = co_await tcp_connect(where[1]); // accepted, and held
    co_await testing::settle();
    tcp_stream c = co_await tcp_connect(where[0]); // in the kernel's queue
    co_await a.close();
    co_await testing::settle();
    CHECK(log == "127.0.0.1 127.0.0.2 ");
    co_await b.close();
    co_await testing::settle();
    CHECK(log == "127.0.0.1 127.0.0.2 127.0.0.1 ");
    tcp_stream held = co_await tcp_connect(where[1]);
    co_await testing::settle();
    co_await srv.shutdown(0s);
    std::string end = co_await words::ending(read_all(held));
    const bool closed = end == "ok" || end.ends_with("Connection reset by peer");
    CHECK(closed);
}

EDDY_TEST("SV-10 is_serving: from start until it is told to stop, is cancelled, or its listener is gone") {
    const auto waits = [](tcp_stream s) -> task<> {
        std::array<std::byte, 8> buffer{};
        static_cast<void>(co_await s.read_some(buffer));
    };
    server stopped{tcp_listener::bind({"127.0.0.1", 0}), waits};
    CHECK_FALSE(stopped.is_serving());
    stopped.start();
    CHECK(stopped.is_serving());
    tcp_stream c = co_await tcp_connect(stopped.local_endpoint());
    while (stopped.connections() == 0) co_await this_task::yield();
    stopped.stop_accepting();
    CHECK_FALSE(stopped.is_serving());
    CHECK(stopped.connections() == 1); // which goes on
    co_await c.close();
    co_await stopped.join();
    CHECK_FALSE(stopped.is_serving());

    server ended{tcp_listener::bind({"127.0.0.1", 0}), waits};
    ended.start();
    co_await testing::settle();
    co_await ended.shutdown(0s);
    CHECK_FALSE(ended.is_serving());
    const server moved = std::move(ended);
    CHECK_FALSE(moved.is_serving());
    CHECK_FALSE(ended.is_serving());

    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    server closed{l.lend(), waits};
    closed.start();
    co_await testing::settle();
    CHECK(closed.is_serving());
    l.close_now();
    CHECK_FALSE(closed.is_serving());
    const std::string end = co_await words::ending(closed.join());
    CHECK(end != "ok");
}

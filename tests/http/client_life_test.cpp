// The client's end, the loop's end, and descriptors.
#include "http/support.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

using namespace http_tests;

namespace {

task<http::response> hang(http::request) {
    co_await sleep_for(24h);
    co_return http::response{200};
}

/// A server on a thread and a loop of its own, which outlives the loop under test. Ends when it is asked for /end.
class other_thread {
public:
    other_thread() : thread_([this] { eddy::run(serve(), {.handle_signals = false}); }), port_(started_.get_future().get()) {}
    ~other_thread() {
        eddy::run(end(port_), {.handle_signals = false});
        thread_.join();
    }
    other_thread(const other_thread&) = delete;
    other_thread& operator=(const other_thread&) = delete;
    [[nodiscard]] std::string url(std::string_view target) const {
        return "http://127.0.0.1:" + std::to_string(port_) + std::string(target);
    }
    std::atomic<int> asked = 0;

private:
    task<> serve() {
        event end;
        http::server hs{[&](http::request q) -> task<http::response> {
            ++asked;
            if (q.target == "/hang") co_await sleep_for(24h);
            if (q.target == "/end") end.set();
            co_return http::response{200, q.target};
        }};
        co_await hs.listen({"127.0.0.1", 0});
        started_.set_value(hs.port());
        co_await end.wait();
        co_await hs.shutdown(std::chrono::nanoseconds(0));
    }
    static task<> end(std::uint16_t port) {
        raw_connection c = co_await raw_connection::open(port);
        co_await c.send("GET /end HTTP/1.0\r\n\r\n");
        co_await c.read_to_end();
    }
    std::promise<std::uint16_t> started_;
    std::thread thread_;
    std::uint16_t port_;
};

task<> when_asked(const other_thread& server, int times) {
    while (server.asked < times) co_await sleep_for(1ms);
}

} // namespace

EDDY_TEST("a client that goes away ends its requests with closed_resource") {
    event entered;
    http::server hs{[&](http::request q) -> task<http::response> {
        entered.set();
        co_return co_await hang(std::move(q));
    }};
    co_await hs.listen({"127.0.0.1", 0});
    auto hc = std::make_unique<http::client>();
    auto running = spawn(hc->get(hs.url()));
    task<http::response> not_started = hc->get(hs.url());
    co_await entered.wait();
    hc.reset();
    bool closed = false;
    try {
        co_await running;
    } catch (const closed_resource&) {
        closed = true;
    }
    CHECK(closed);
    closed = false;
    try {
        co_await std::move(not_started);
    } catch (const closed_resource&) {
        closed = true;
    }
    CHECK(closed);
}

EDDY_TEST("a closed client refuses, a moved one works") {
    http::server hs{echo};
    co_await hs.listen({"127.0.0.1", 0});
    http::client a;
    http::client b = std::move(a);
    const http::response res = co_await b.get(hs.url("/b"));
    CHECK(res.body == "GET /b");
    b.close();
    b.close();
    CHECK(b.connections() == 0);
    bool closed = false;
    try {
        co_await b.get(hs.url());
    } catch (const closed_resource&) {
        closed = true;
    }
    CHECK(closed);
    b = http::client();
    const http::response again = co_await b.get(hs.url("/c"));
    CHECK(again.body == "GET /c");
}

EDDY_TEST("a request that is never awaited is never sent") {
    int asked = 0;
    http::server hs{[&](http::request) -> task<http::response> {
        ++asked;
        co_return http::response{200};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    { const task<http::response> dropped = hc.get(hs.url()); }
    co_await testing::settle();
    CHECK(asked == 0);
    CHECK(hc.connections() == 0);
}

EDDY_TEST("every descriptor of a running transfer is closed on exec") {
    event entered;
    http::server hs{[&](http::request q) -> task<http::response> {
        entered.set();
        co_return co_await hang(std::move(q));
    }};
    co_await hs.listen({"127.0.0.1", 0});
    std::vector<int> before;
    for (const auto& e : std::filesystem::directory_iterator("/proc/self/fd")) before.push_back(std::stoi(e.path().filename().string()));
    http::client hc;
    auto running = spawn(hc.get(hs.url()));
    co_await entered.wait();
    int seen = 0;
    for (int fd = 0; fd < 1024; ++fd) {
        const int flags = ::fcntl(fd, F_GETFD);
        if (flags < 0 || std::find(before.begin(), before.end(), fd) != before.end()) continue;
        ++seen;
        CHECK((flags & FD_CLOEXEC) != 0);
    }
    CHECK(seen >= 2); // two ends of a connection at least
    co_await running.cancel_and_join();
}

namespace {

/// While it lives, only `n` more descriptors can be opened.
class few_descriptors {
public:
    explicit few_descriptors(rlim_t n) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const int lowest_free = ::dup(0);
        ::close(lowest_free);
        rlimit few = before_;
        few.rlim_cur = static_cast<rlim_t>(lowest_free) + n;
        ::setrlimit(RLIMIT_NOFILE, &few);
    }
    ~few_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    few_descriptors(const few_descriptors&) = delete;
    few_descriptors& operator=(const few_descriptors&) = delete;

private:
    rlimit before_{};
};

} // namespace

EDDY_TEST("a request for which there is no descriptor fails, and the next one works") {
    http::server hs{echo};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.timeout = 10s}};
    std::string other_reports;
    this_loop().set_exception_handler([&](const error_context& e) { // the server has no descriptors either, and says so
        if (!std::string(e.message).starts_with("a server is short of descriptors")) other_reports += std::string(e.message) + "; ";
    });
    std::string first_message;
    for (rlim_t n = 0; n < 5; ++n) {
        std::string message;
        {
            const few_descriptors limited(n);
            try {
                const http::response res = co_await hc.get(hs.url("/few"));
                message = res.body;
            } catch (const std::system_error& e) {
                message = e.what();
            }
        }
        if (n == 0) first_message = message;
        CHECK((message == "GET /few" || message.starts_with("GET " + hs.url("/few") + " failed") ||
               message.find("Too many open files") != std::string::npos));
        const http::response fine = co_await hc.get(hs.url("/fine"), {.timeout = 1h});
        CHECK(fine.body == "GET /fine");
        hc = http::client({.timeout = 10s});
    }
    this_loop().set_exception_handler({});
    CHECK(other_reports.empty());
    CHECK(first_message == "GET " + hs.url("/few") + " failed: no connection: no socket could be opened (Too many open files)");
}

TEST_CASE("a loop that ends cancels the transfers that run on it") {
    other_thread server;
    std::optional<http::client> hc(std::in_place);
    std::string log;
    auto wait_for_ever = [&]() -> task<> {
        try {
            co_await hc->get(server.url("/hang"));
        } catch (const operation_cancelled&) {
            log += "cancelled ";
            throw;
        }
    };
    auto main = [&]() -> task<> {
        spawn(wait_for_ever);
        spawn(wait_for_ever);
        co_await when_asked(server, 2);
        log += "main over ";
    };
    run(main(), {.handle_signals = false});
    CHECK(log == "main over cancelled cancelled ");
    CHECK(hc->active() == 0);
    CHECK(hc->connections() == 0);
    hc.reset(); // without a loop
}

TEST_CASE("a client outlives its loop and works on the next one") {
    other_thread server;
    http::client hc;
    auto ask = [&](std::string target) -> task<std::string> {
        const http::response res = co_await hc.get(server.url(target));
        co_return res.body;
    };
    const std::string one = run(ask("/one"), {.handle_signals = false});
    const std::string two = run(ask("/two"), {.handle_signals = false});
    CHECK(one == "/one");
    CHECK(two == "/two");
}

TEST_CASE("shielded requests get through while their loop shuts down") {
    other_thread server;
    http::client hc;
    std::string log;
    auto with_goodbye = [&]() -> task<> {
        std::exception_ptr cancelled;
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
            cancelled = std::current_exception();
        }
        auto goodbye = [&]() -> task<> {
            const http::response res = co_await hc.get(server.url("/goodbye"));
            log += res.body;
            const http::response again = co_await hc.get(server.url("/again"));
            log += again.body;
        };
        co_await with_shield(goodbye);
        std::rethrow_exception(cancelled);
    };
    auto main = [&]() -> task<> {
        const http::response res = co_await hc.get(server.url("/hello"));
        log += res.body;
        spawn(with_goodbye);
        co_await this_task::yield();
    };
    run(main(), {.handle_signals = false});
    CHECK(log == "/hello/goodbye/again");
    CHECK(hc.active() == 0);
}

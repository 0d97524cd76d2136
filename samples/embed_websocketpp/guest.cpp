#include "guest.hpp"

#include <chrono>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>

#include <eddy/event.hpp>
#include <eddy/http/websocket.hpp>
#include <eddy/sleep.hpp>
#include <eddy/task_group.hpp>

namespace {

namespace http = eddy::http;
using namespace std::chrono_literals;

eddy::task<> count_ticks(int& ticks) {
    for (;;) {
        co_await eddy::sleep_for(1ms);
        ++ticks;
    }
}

eddy::task<std::string> ask(http::websocket& ws, std::string text) {
    co_await ws.send(text);
    const std::optional<http::websocket_message> answer = co_await ws.read();
    if (!answer) throw std::runtime_error("the server has closed instead of answering");
    co_return answer->data;
}

eddy::task<> talk(const std::string& url, const int& ticks) {
    http::websocket ws = co_await http::websocket_connect(url);
    for (const char* word : {"one", "three", "seventeen"}) {
        const std::string echo = co_await ask(ws, word);
        std::printf("%s\n", echo.c_str());
    }
    const int before = ticks;
    while (ticks < before + 3) { // neither half holds up the other
        const std::string now = std::to_string(ticks);
        const std::string echo = co_await ask(ws, now);
        if (echo != now) throw std::runtime_error("sent " + now + ", got " + echo);
    }
    std::puts("the timer ticked while messages went to and fro");
    co_await ws.close();
}

/// A connection that is open when the server stops.
eddy::task<> see_it_stop(const std::string& url, echo_server& host) {
    http::websocket ws = co_await http::websocket_connect(url);
    const std::string hello = co_await ask(ws, "hello"); // from now on the server counts us
    eddy::event idle;
    host.stop([&idle] { idle.set(); }); // a callback of theirs wakes a task of ours
    const std::optional<http::websocket_message> more = co_await ws.read();
    std::printf("%s, then %s %d\n", hello.c_str(), more ? "a message, not" : "closed with", int{ws.close_code()});
    co_await idle.wait();
    std::printf("%zu connections are left\n", host.connections());
}

} // namespace

eddy::task<> visit(echo_server& host) {
    const std::string url = "ws://127.0.0.1:" + std::to_string(host.port()) + "/";
    int ticks = 0;
    auto all = [&](eddy::task_group& g) -> eddy::task<> {
        g.spawn(count_ticks(ticks));
        co_await talk(url, ticks);
        co_await see_it_stop(url, host);
        g.cancel("the visit is over");
    };
    co_await eddy::with_task_group(all);
}

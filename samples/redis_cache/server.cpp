#include "server.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <eddy/race.hpp>
#include <eddy/serve.hpp>
#include <eddy/sleep.hpp>
#include <eddy/task_group.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>
#include <eddy/with_cleanup.hpp>

#include "store.hpp"

namespace redis_cache {

using namespace std::chrono_literals;

namespace {

/// Removes what expires, when it does. (Nobody sees it after that anyway: this is for the memory.)
eddy::task<> expire_in_time(store& data) {
    for (;;) {
        data.sooner.clear();
        if (const auto next = data.next_expiry())
            co_await eddy::race(eddy::sleep_until(*next), data.sooner.wait());
        else
            co_await data.sooner.wait();
        while (!data.expire(100)) co_await eddy::this_task::yield(); // others have their turns
    }
}

/// Counts who is connected.
class client_count {
public:
    explicit client_count(std::size_t& n) noexcept : n_(n) { ++n_; }
    client_count(const client_count&) = delete;
    client_count& operator=(const client_count&) = delete;
    ~client_count() { --n_; }

private:
    std::size_t& n_;
};

} // namespace

/// Answers the commands that are complete. What arrived together is answered together: that is what makes pipelining fast.
/// But no more than a portion is kept: a client that does not read its answers is not served on. False: it is over.
eddy::task<bool> cache_server::answer(eddy::tcp_stream& stream, command_parser& parser, session& commands) {
    constexpr std::size_t portion = 64 * 1024;
    reply_writer replies;
    bool goes_on = true;
    try {
        while (goes_on) {
            const argument_list* command = parser.next();
            if (!command) break;
            commands.execute(*command, replies);
            goes_on = !commands.quits();
            if (replies.text().size() < portion) continue;
            co_await stream.write(replies.text());
            replies.clear();
        }
    } catch (const protocol_error& e) {
        replies.error("ERR " + std::string(e.what()));
        goes_on = false;
    }
    if (!replies.text().empty()) co_await stream.write(replies.text());
    co_return goes_on;
}

/// One connection. When the server stops, one that waits for commands ends at once, one that has some when they are answered.
eddy::task<> cache_server::handle(eddy::tcp_stream stream) {
    const client_count counted(cache_.clients);
    session commands(cache_, ++last_id_);
    command_parser parser(cache_.limits.max_value);
    std::array<std::byte, 16 * 1024> buffer;
    try {
        for (bool goes_on = true; goes_on;) {
            auto reading = [&](eddy::cancel_scope&) -> eddy::task<std::size_t> { co_return co_await stream.read_some(buffer); };
            const std::optional<std::size_t> n = co_await eddy::until_shutdown(stop_, reading);
            if (!n || *n == 0) break;
            parser.feed(std::string_view(reinterpret_cast<const char*>(buffer.data()), *n));
            goes_on = co_await answer(stream, parser, commands);
        }
        co_await stream.shutdown_write();
        // Closed with something unread, the connection would be reset, and the last answer perhaps lost.
        auto drain = [&](eddy::cancel_scope&) -> eddy::task<> {
            while (co_await stream.read_some(buffer) > 0) {}
        };
        if (!stop_.requested()) co_await eddy::move_on_after(1s, drain);
    } catch (const std::system_error&) {
        // The client is gone in the middle of it: its business.
    }
}

eddy::task<> cache_server::run() {
    const eddy::ip_endpoint where("0.0.0.0", cache_.limits.port);
    eddy::tcp_listener listener = eddy::tcp_listener::bind(where);
    std::printf("PORT %d\nREADY\n", int{listener.local_endpoint().port()});
    std::fflush(stdout); // somebody may be reading this through a pipe

    auto handler = [this](eddy::tcp_stream s) { return handle(std::move(s)); };
    eddy::server server(std::move(listener), handler, {.max_connections = cache_.limits.max_clients});
    auto serving = [&](eddy::task_group& g) -> eddy::task<> {
        g.spawn(expire_in_time(cache_.data));
        server.start();
        co_await server.join();
    };
    auto stopping = [&]() -> eddy::task<> {
        stop_.request();
        co_await server.shutdown(2s);
    };
    auto until_stopped = [&] { return eddy::with_task_group(serving); };
    co_await eddy::with_cleanup(until_stopped, stopping);
}

} // namespace redis_cache

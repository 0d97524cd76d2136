// What the tests of the Redis client share: a server that is played by the test, one that answers by a function, and a real one.
#pragma once

#include <unistd.h>

#include <charconv>
#include <csignal>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/eddy.hpp>
#include <eddy/redis.hpp>
#include <eddy/testing.hpp>
#include <eddy/tls.hpp>

#include "lib/left_out.hpp"

namespace redis_tests {

using namespace eddy;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

/// "redis::error: …", "connection_lost: …", "cancelled".
[[nodiscard]] inline std::string text_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const operation_cancelled&) {
        return "cancelled";
    } catch (const redis::error& e) {
        return std::string("error: ") + e.what();
    } catch (const redis::connection_lost& e) {
        return std::string(e.maybe_executed() ? "lost: " : "not sent: ") + e.what();
    } catch (const redis::protocol_error& e) {
        return std::string("protocol: ") + e.what();
    } catch (const redis::type_mismatch& e) {
        return std::string("mismatch: ") + e.what();
    } catch (const timeout_error& e) {
        return std::string("timeout: ") + e.what();
    } catch (const closed_resource& e) {
        return std::string("closed: ") + e.what();
    } catch (const std::exception& e) {
        return e.what();
    }
}

/// What it gave, described, or what it threw.
[[nodiscard]] inline task<std::string> ending_of(task<redis::value> t) {
    try {
        const redis::value v = co_await std::move(t);
        co_return v.describe();
    } catch (...) {
        co_return text_of(std::current_exception());
    }
}
template <class T>
[[nodiscard]] task<std::string> failure_of(task<T> t) {
    try {
        static_cast<void>(co_await std::move(t));
    } catch (...) {
        co_return text_of(std::current_exception());
    }
    co_return "ok";
}

/// Does the text hold that?
[[nodiscard]] inline bool has(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

/// Takes commands apart, as a server does. What is not a command ends the test.
class command_reader {
public:
    void feed(std::string_view bytes) { bytes_.append(bytes); }
    /// The next one, if all of it is there.
    [[nodiscard]] std::optional<std::vector<std::string>> next() {
        std::size_t at = 0;
        const std::optional<std::size_t> count = head('*', at);
        if (!count) return std::nullopt;
        std::vector<std::string> words;
        for (std::size_t i = 0; i < *count; ++i) {
            const std::optional<std::size_t> size = head('$', at);
            if (!size || bytes_.size() < at + *size + 2) return std::nullopt;
            words.push_back(bytes_.substr(at, *size));
            at += *size + 2;
        }
        bytes_.erase(0, at);
        return words;
    }

private:
    [[nodiscard]] std::optional<std::size_t> head(char kind, std::size_t& at) const {
        const std::size_t end = bytes_.find("\r\n", at);
        if (end == std::string::npos) return std::nullopt;
        if (bytes_[at] != kind) throw std::runtime_error("the client sends what is no command: " + bytes_.substr(at, 40));
        std::size_t n = 0;
        std::from_chars(bytes_.data() + at + 1, bytes_.data() + end, n);
        at = end + 2;
        return n;
    }
    std::string bytes_;
};

[[nodiscard]] inline std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text.append(text.empty() ? "" : " ").append(word);
    return text;
}

[[nodiscard]] inline std::string bulk(std::string_view text) {
    return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

/// The other end of a client's stream, played by the test.
class played_server {
public:
    explicit played_server(testing::memory_stream s) : stream_(std::move(s)) {}
    /// The commands that the next read gives: "GET a|GET b".
    [[nodiscard]] task<std::string> hear() {
        std::string bytes(65536, '\0');
        const std::size_t n = co_await stream_.read_some(std::as_writable_bytes(std::span(bytes)));
        if (n == 0) co_return "(end)";
        reader_.feed(std::string_view(bytes).substr(0, n));
        std::string text;
        while (auto words = reader_.next()) text.append(text.empty() ? "" : "|").append(joined(*words));
        co_return text;
    }
    [[nodiscard]] task<> say(std::string reply) { co_await stream_.write(std::string_view(reply)); }
    [[nodiscard]] testing::memory_stream& stream() noexcept { return stream_; }

private:
    testing::memory_stream stream_;
    command_reader reader_;
};

/// A client whose server is the test. Not an aggregate (trap T1).
class scene {
public:
    scene(redis::client c, played_server s) : rc(std::move(c)), server(std::move(s)) {}
    redis::client rc;
    played_server server;
};

[[nodiscard]] inline task<scene> play(redis::options o = {}, testing::memory_stream_options m = {}) {
    testing::memory_streams ends = testing::memory_stream_pair(m);
    played_server server(std::move(ends.b));
    auto connecting = spawn(redis::connect_over(any_stream(std::move(ends.a)), "played", o));
    std::string greeting;
    while (!has(greeting, "PING")) greeting += co_await server.hear();
    co_await server.say("+PONG\r\n");
    redis::client rc = co_await std::move(connecting);
    co_return scene(std::move(rc), std::move(server));
}

/// A server on a port of this machine that answers each command by a function; PING by itself.
class answering_server {
public:
    using words = std::vector<std::string>;
    /// What is sent back, as it is; empty: nothing.
    using function = std::function<std::string(const words&)>;
    explicit answering_server(function f) : answer_(std::move(f)) { start(); }
    answering_server(const answering_server&) = delete;
    answering_server& operator=(const answering_server&) = delete;
    ~answering_server() { stop(); }

    void start() {
        tcp_listener l = tcp_listener::bind({"127.0.0.1", port_});
        port_ = l.local_endpoint().port();
        accepting_ = spawn(accept_all(std::move(l), state_, answer_));
    }
    /// Nobody listens any more, and all connections are reset.
    void stop() {
        accepting_.cancel();
        drop_connections();
    }
    void drop_connections() {
        for (const std::shared_ptr<tcp_stream>& s : std::exchange(state_->streams, {})) s->abort();
    }
    [[nodiscard]] std::string url(std::string_view rest = "/0") const {
        return "redis://127.0.0.1:" + std::to_string(port_) + std::string(rest);
    }
    /// All commands but PING: "GET a|SET b 1".
    [[nodiscard]] const std::string& heard() const noexcept { return state_->heard; }
    [[nodiscard]] std::size_t connections() const noexcept { return state_->accepted; }
    [[nodiscard]] task<> say_on_last(std::string bytes) {
        const std::shared_ptr<tcp_stream> s = state_->streams.back();
        co_await s->write(std::string_view(bytes));
    }

private:
    struct state {
        std::vector<std::shared_ptr<tcp_stream>> streams;
        std::string heard;
        std::size_t accepted = 0;
    };
    static task<> accept_all(tcp_listener l, std::shared_ptr<state> all, function answer) {
        for (;;) {
            auto s = std::make_shared<tcp_stream>();
            *s = co_await l.accept();
            ++all->accepted;
            all->streams.push_back(s);
            spawn(talk(std::move(s), all, answer));
        }
    }
    static task<> talk(std::shared_ptr<tcp_stream> s, std::shared_ptr<state> all, function answer) {
        command_reader reader;
        std::string bytes(65536, '\0');
        try {
            for (;;) {
                const std::size_t n = co_await s->read_some(std::as_writable_bytes(std::span(bytes)));
                if (n == 0) co_return;
                reader.feed(std::string_view(bytes).substr(0, n));
                std::string out;
                while (auto w = reader.next()) {
                    if (w->front() == "PING") {
                        out += "+PONG\r\n";
                        continue;
                    }
                    all->heard.append(all->heard.empty() ? "" : "|").append(joined(*w));
                    out += answer(*w);
                }
                if (!out.empty()) co_await s->write(std::string_view(out));
            }
        } catch (const std::exception&) { // it was dropped
        }
    }

    function answer_;
    std::shared_ptr<state> state_ = std::make_shared<state>();
    task_handle<> accepting_;
    std::uint16_t port_ = 0;
};

/// A real redis-server with a folder of its own, on a Unix socket and a port. Ended by its process id.
class real_server {
public:
    real_server() = default;
    real_server(real_server&&) = default;
    real_server& operator=(real_server&&) = default;

    /// Until it takes connections; false: this machine has none, which is said.
    [[nodiscard]] task<bool> start(std::vector<std::string> options = {}) {
        options_ = std::move(options);
        if (folder_.path().empty()) folder_ = co_await temp_directory::create();
        const bool before = port_ != 0; // it comes back where it was
        for (int attempt = 0; attempt < 5; ++attempt) {
            if (!before) port_ = tcp_listener::bind({"127.0.0.1", 0}).local_endpoint().port(); // free again when it starts
            const bool there = co_await launch();
            if (!there) {
                tests::left_out("there is no redis-server (Debian: redis-server)");
                co_return false;
            }
            const bool ready = co_await answers();
            if (ready) co_return true;
            co_await kill();
        }
        FAIL_CHECK("redis-server does not start: see " << folder_.path());
        co_return false;
    }
    /// SIGKILL, as a crash.
    [[nodiscard]] task<> kill() {
        process_.kill();
        static_cast<void>(co_await process_.wait());
    }
    void pause() { process_.signal(SIGSTOP); }
    void resume() { process_.signal(SIGCONT); }
    [[nodiscard]] std::string url(std::string_view rest = "/0") const { return "redis://127.0.0.1:" + std::to_string(port_) + std::string(rest); }
    [[nodiscard]] std::string host_url(std::string_view credentials) const {
        return "redis://" + std::string(credentials) + "@127.0.0.1:" + std::to_string(port_) + "/0";
    }
    [[nodiscard]] std::string unix_url() const { return "unix://" + folder_.path() + "/s?db=0"; }
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

private:
    [[nodiscard]] task<bool> launch() {
        command c("redis-server", "--port", std::to_string(port_), "--bind", "127.0.0.1", "--unixsocket", folder_.path() + "/s");
        c.arg("--dir").arg(folder_.path()).arg("--save").arg("").arg("--daemonize").arg("no");
        for (const std::string& o : options_) c.arg(o);
        c.stdin_null().stdout_null().stderr_null();
        try {
            process_ = co_await process::spawn(std::move(c));
        } catch (const std::system_error& e) {
            if (e.code() == std::errc::no_such_file_or_directory) co_return false;
            throw;
        }
        co_return true;
    }
    [[nodiscard]] task<bool> answers() {
        for (int i = 0; i < 1000; ++i) {
            outcome<unix_stream> s = co_await as_result(unix_connect(folder_.path() + "/s")); // which it opens last
            if (s) co_return true;
            co_await sleep_for(10ms);
        }
        co_return false;
    }
    temp_directory folder_;
    process process_;
    std::vector<std::string> options_;
    std::uint16_t port_ = 0;
};

} // namespace redis_tests

// The awaitables of redis in the cancellation matrix.
#include "lib/cancellation_matrix.hpp"

#include "redis/support.hpp"

#include <array>
#include <memory>
#include <optional>

using namespace redis_tests;
using matrix::promise_of;
using matrix::subject;

namespace {

/// A client whose server the test plays.
class of_a_scene : public subject {
protected:
    std::shared_ptr<scene> s_; // also of those who speak, and may outlive us
    task<> prepare() override {
        scene played = co_await play();
        s_ = std::make_shared<scene>(std::move(played));
    }
    task<> until_it_waits() override {
        for (int i = 0; i < 40; ++i) co_await this_task::yield();
    }
    /// Answers every command that has been sent and not answered, those that were cancelled too.
    void complete() override { say(":1\r\n"); }
    void say(const char* reply) {
        if (!s_ || !s_->rc.is_open()) return;
        std::string all;
        for (std::size_t i = 0; i < s_->rc.stats().in_flight; ++i) all += reply;
        spawn([](std::shared_ptr<scene> s, std::string bytes) -> task<> {
            static_cast<void>(co_await as_result(s->server.say(std::move(bytes))));
        }, s_, std::move(all));
    }
};
class commands final : public of_a_scene {
    task<> await_it() override { static_cast<void>(co_await s_->rc.command("INCR", "n")); }
};
class pipelines final : public of_a_scene {
    task<> await_it() override {
        redis::pipeline p;
        p.add("INCR", "n");
        static_cast<void>(co_await s_->rc.run(p));
    }
};
class transactions final : public of_a_scene {
    task<> await_it() override {
        const redis::pipeline none;
        static_cast<void>(co_await s_->rc.transaction(none));
    }
    void complete() override { say("+OK\r\n*0\r\n"); }
};
class loads final : public of_a_scene {
    task<> await_it() override {
        const redis::script s("return 1");
        co_await s_->rc.load(s);
    }
};
class evaluations final : public of_a_scene {
    task<> await_it() override {
        const redis::script s("return 1");
        const std::vector<std::string> keys;
        static_cast<void>(co_await s_->rc.eval(s, keys));
    }
};
class quits final : public of_a_scene {
    task<> prepare() override {
        co_await of_a_scene::prepare();
        spawn([](redis::client rc) -> task<> { static_cast<void>(co_await as_result(rc.command("SLOW"))); }, s_->rc);
        co_await until_it_waits();
    }
    task<> await_it() override { co_await s_->rc.quit(); }
};

/// A server on a port, which answers when it is told to.
class of_a_server : public subject {
protected:
    std::shared_ptr<answering_server> server_; // also of those who speak, and may outlive us
    std::optional<redis::client> rc_;
    virtual std::string answer() { return "+OK\r\n"; }
    task<> prepare() override {
        server_ = std::make_shared<answering_server>(
            [reply = answer()](const answering_server::words& w) { return joined(w) == "CLIENT ID" ? std::string(":9\r\n") : reply; });
        redis::client rc = co_await redis::connect(server_->url());
        rc_.emplace(std::move(rc));
    }
    task<> until_it_waits() override { co_await sleep_for(5ms); }
    void send(std::string bytes) {
        spawn([](std::shared_ptr<answering_server> s, std::string text) -> task<> {
            static_cast<void>(co_await as_result(s->say_on_last(std::move(text))));
        }, server_, std::move(bytes));
    }
};
class connects final : public subject {
    tcp_listener l_ = tcp_listener::bind({"127.0.0.1", 0});
    task<> await_it() override {
        redis::client rc = co_await redis::connect("redis://127.0.0.1:" + std::to_string(l_.local_endpoint().port()), {.connect_timeout = 0s});
    }
    task<> until_it_waits() override {
        for (int i = 0; i < 200; ++i) co_await this_task::yield();
    }
    void complete() override { // earlier ones that were cancelled come first
        spawn([](tcp_listener from) -> task<> {
            for (;;) {
                tcp_stream s = co_await from.accept();
                std::array<std::byte, 100> buffer{};
                const outcome<std::size_t> n = co_await as_result(s.read_some(buffer));
                if (!n || *n == 0) continue;
                static_cast<void>(co_await as_result(s.write("+PONG\r\n"sv)));
                static_cast<void>(co_await as_result(s.read_some(buffer)));
            }
        }, std::move(l_));
    }
};
class connects_over final : public subject {
    std::shared_ptr<std::optional<testing::memory_streams>> ends_ = std::make_shared<std::optional<testing::memory_streams>>();
    task<> await_it() override {
        ends_->emplace(testing::memory_stream_pair());
        redis::client rc = co_await redis::connect_over(any_stream(std::move((*ends_)->a)), "memory");
    }
    void complete() override {
        spawn([](std::shared_ptr<std::optional<testing::memory_streams>> ends) -> task<> {
            for (int i = 0; i < 40 && !*ends; ++i) co_await this_task::yield();
            if (*ends) static_cast<void>(co_await as_result((*ends)->b.write("+PONG\r\n"sv)));
        }, ends_);
    }
};
class subscribes final : public of_a_server {
    task<> await_it() override {
        const std::vector<std::string> channels{"c"};
        redis::subscription s = co_await rc_->subscribe(channels);
    }
    std::string answer() override { return {}; }
    void complete() override { send("*3\r\n" + bulk("subscribe") + bulk("c") + ":1\r\n"); }
};
class subscribes_to_patterns final : public of_a_server {
    task<> await_it() override {
        const std::vector<std::string> patterns{"c"};
        redis::subscription s = co_await rc_->psubscribe(patterns);
    }
    std::string answer() override { return {}; }
    void complete() override { send("*3\r\n" + bulk("psubscribe") + bulk("c") + ":1\r\n"); }
};
class of_a_subscription : public of_a_server {
protected:
    std::optional<redis::subscription> s_;
    std::string answer() override { return "*3\r\n" + bulk("subscribe") + bulk("c") + ":1\r\n"; }
    task<> prepare() override {
        co_await of_a_server::prepare();
        redis::subscription s = co_await rc_->subscribe("c");
        s_.emplace(std::move(s));
    }
    void complete() override { send("*3\r\n" + bulk("message") + bulk("c") + bulk("x")); }
};
class messages final : public of_a_subscription {
    task<> await_it() override { static_cast<void>(co_await s_->next()); }
};
class changes final : public of_a_subscription {
    task<> await_it() override {
        const std::vector<std::string> none{"d"};
        co_await s_->unsubscribe(none);
    }
};
class pattern_changes final : public of_a_subscription {
    task<> await_it() override {
        const std::vector<std::string> none{"d"};
        co_await s_->punsubscribe(none);
    }
};
class sessions final : public of_a_server {
    task<> await_it() override { redis::session s = co_await rc_->session(); }
    void complete() override {}
};

const std::vector<matrix::row>& rows() {
    using matrix::of;
    constexpr promise_of by_turns{.at_once = false};
    static const std::vector<matrix::row> all{
        of<commands>("", "command", by_turns),
        of<pipelines>("", "run", by_turns),
        of<transactions>("", "transaction", by_turns),
        of<loads>("", "load", by_turns),
        of<evaluations>("", "eval", by_turns),
        of<quits>("", "quit", {.at_once = false, .again = false}),
        of<connects>("", "connect", by_turns),
        of<connects_over>("", "connect_over", by_turns),
        of<subscribes>("", "subscribe", by_turns),
        of<subscribes_to_patterns>("", "psubscribe", by_turns),
        of<messages>("", "next", by_turns),
        of<changes>("", "unsubscribe", {.waits = false}),
        of<pattern_changes>("", "punsubscribe", {.waits = false}),
        of<sessions>("", "session", {.waits = false}),
    };
    return all;
}

} // namespace

#include "lib/cancellation_matrix_tests.hpp"

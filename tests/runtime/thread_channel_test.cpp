#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "lib/words.hpp"
#if __has_include(<catch2/matchers/catch_matchers.hpp>)
#include <catch2/matchers/catch_matchers.hpp> // CHECK_THROWS_WITH of Catch2 3
#endif

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// A thread that a test awaits: joined when it is over, without blocking the loop.
class helper {
public:
    template <class F>
    explicit helper(F f) : done_(std::make_shared<event>()), thread_([f = std::move(f), done = done_, &loop = this_loop()]() mutable {
        f();
        loop.call_soon_threadsafe([done] { done->set(); });
    }) {}
    ~helper() { thread_.join(); }
    helper(const helper&) = delete;
    helper& operator=(const helper&) = delete;
    auto over() { return done_->wait(); }

private:
    std::shared_ptr<event> done_;
    std::thread thread_;
};

} // namespace

EDDY_TEST("thread_sender: what threads send arrives in order, and the channel ends with the last of them") {
    auto ch = channel<int>(4);
    thread_sender<int> out(std::move(ch.tx));
    thread_sender<int> other = out.clone();
    helper a([out = std::move(out)]() mutable {
        for (int i = 0; i < 1000; ++i) out.send(i);
    });
    helper b([out = std::move(other)]() mutable {
        for (int i = 0; i < 1000; ++i) out.send(-i - 1);
    });
    int next = 0;
    int next_negative = -1;
    bool in_order = true;
    int count = 0;
    while (auto v = co_await ch.rx.next()) {
        ++count;
        int& expected = *v < 0 ? next_negative : next;
        in_order = in_order && *v == expected;
        expected += *v < 0 ? -1 : 1;
    }
    CHECK(count == 2000);
    CHECK(in_order);
    co_await a.over();
    co_await b.over();
}

EDDY_TEST("thread_sender::send waits for room; try_send and send_for do not") {
    auto ch = channel<int>(0);
    thread_sender<int> out(std::move(ch.tx), 2);
    for (int sent = 0; sent < 3;) { // two in the buffer, one in the hands of the loop's task
        if (out.try_send(sent))
            ++sent;
        else
            co_await this_task::yield();
    }
    CHECK_FALSE(out.try_send(9));
    std::atomic<int> step = 0;
    helper t([&] {
        if (!out.send_for(9, 0ms)) step = 1;
        out.send(3);
        out.close();
    });
    while (step == 0) co_await this_task::yield();
    std::string got;
    while (auto v = co_await ch.rx.next()) got += std::to_string(*v) + " ";
    co_await t.over();
    CHECK(got == "0 1 2 3 ");
}

EDDY_TEST("thread_sender: a thread that waits learns that the receivers are gone, and so does the next call") {
    auto ch = channel<std::unique_ptr<int>>(0);
    thread_sender<std::unique_ptr<int>> out(std::move(ch.tx), 1);
    std::string first;
    std::string second;
    bool kept = false;
    std::atomic<bool> filled = false;
    helper t([&] {
        while (out.try_send(std::make_unique<int>(0))) {
        }
        filled = true;
        auto item = std::make_unique<int>(1);
        try {
            for (;;) {
                out.send(std::move(item));
                item = std::make_unique<int>(1);
            }
        } catch (const broken_resource& e) {
            first = e.what();
            kept = item != nullptr;
        }
        try {
            static_cast<void>(out.try_send(nullptr));
        } catch (const broken_resource& e) {
            second = e.what();
        }
    });
    while (!filled) co_await this_task::yield();
    ch.rx.close();
    co_await t.over();
    CHECK(first == "thread_sender::send: all receivers of the channel are closed");
    CHECK(kept);
    CHECK(second == first);
}

EDDY_TEST("thread_receiver: threads share the items of a channel, and see its end") {
    auto ch = channel<int>(8);
    thread_receiver<int> in(std::move(ch.rx), 4);
    std::atomic<int> sum = 0;
    std::atomic<int> ended = 0;
    const auto consume = [&](thread_receiver<int> mine) {
        while (auto v = mine.next()) sum += *v;
        if (mine.ended()) ++ended;
    };
    helper a([&, mine = in.clone()]() mutable { consume(std::move(mine)); });
    helper b([&, mine = std::move(in)]() mutable { consume(std::move(mine)); });
    for (int i = 1; i <= 1000; ++i) co_await ch.tx.send(i);
    ch.tx.close();
    co_await a.over();
    co_await b.over();
    CHECK(sum == 500500);
    CHECK(ended == 2);
}

EDDY_TEST("thread_receiver: the last one that closes breaks the channel") {
    auto ch = channel<int>(0);
    thread_receiver<int> in(std::move(ch.rx), 1);
    std::optional<int> got;
    helper t([&] {
        got = in.next();
        in.close();
    });
    std::string end;
    try {
        for (int i = 7;; ++i) co_await ch.tx.send(i);
    } catch (const broken_resource&) {
        end = "broken";
    }
    co_await t.over();
    CHECK(got == 7);
    CHECK(end == "broken");
    CHECK(in.closed());
    CHECK_THROWS_AS(in.next(), closed_resource);
}

EDDY_TEST("thread_receiver: closed before its task has started, it closes the channel's end all the same") {
    auto ch = channel<int>(0);
    { thread_receiver<int> in(std::move(ch.rx)); }
    std::string end;
    try {
        for (;;) co_await ch.tx.send(1);
    } catch (const broken_resource&) {
        end = "broken";
    }
    CHECK(end == "broken");
}

EDDY_TEST("thread ends refuse to block their own loop, and otherwise work on its thread") {
    auto ch = channel<int>(1);
    thread_sender<int> out(std::move(ch.tx), 1);
    CHECK(out.try_send(1));
    CHECK_THROWS_WITH(out.send(2), "thread_sender::send: it would block the loop's own thread; use the channel's end itself there");
    const auto v = co_await ch.rx.next();
    CHECK(v == 1);
    auto back = channel<int>(1);
    thread_receiver<int> in(std::move(back.rx));
    CHECK_FALSE(in.try_next().has_value());
    CHECK_THROWS_AS(in.next(), std::logic_error);
    co_await back.tx.send(5);
    for (int i = 0; i < 10; ++i) co_await this_task::yield();
    CHECK(in.try_next() == 5);
    CHECK_FALSE(in.ended());
}

TEST_CASE("thread ends: a loop that shuts down wakes the threads that wait") {
    std::string sender_end;
    std::string receiver_end;
    std::optional<receiver<int>> rx; // the other sides stay open: it is the shutdown that ends the waits
    std::optional<sender<int>> tx;
    std::optional<std::thread> a;
    std::optional<std::thread> b;
    run([&]() -> task<> {
        auto ch = channel<int>(0);
        auto back = channel<int>(0);
        rx.emplace(std::move(ch.rx));
        tx.emplace(std::move(back.tx));
        a.emplace([&, out = thread_sender<int>(std::move(ch.tx), 1)]() mutable {
            try {
                for (;;) out.send(1);
            } catch (const closed_resource& e) {
                sender_end = e.what();
            }
        });
        b.emplace([&, in = thread_receiver<int>(std::move(back.rx))]() mutable {
            try {
                static_cast<void>(in.next());
            } catch (const closed_resource& e) {
                receiver_end = e.what();
            }
        });
        co_await sleep_for(1ms);
    }());
    a->join();
    b->join();
    CHECK(sender_end == "thread_sender::send: the loop is shutting down");
    CHECK(receiver_end == "thread_receiver::next: the loop is shutting down");
}

TEST_CASE("thread ends: the loop's thread is refused between two runs, too") {
    event_loop loop;
    std::optional<thread_sender<int>> out;
    std::optional<receiver<int>> rx;
    loop.run_until_complete([](auto& sends, auto& receives) -> task<> {
        auto ch = channel<int>(0);
        sends.emplace(std::move(ch.tx), 1);
        receives.emplace(std::move(ch.rx));
        co_await this_task::yield();
        co_await this_task::yield();
    }(out, rx));
    CHECK(out->try_send(1));
    CHECK_THROWS_AS(out->send(2), std::logic_error);
}

namespace {
struct refuses_to_move {
    refuses_to_move() = default;
    refuses_to_move(refuses_to_move&& o) : moves(o.moves + 1) {
        if (moves == 3) throw std::runtime_error("move");
    }
    int moves = 0;
};
} // namespace

EDDY_TEST("thread_sender: where moving an item fails on the loop, its handler is told, and the threads") {
    words::reports reports;
    auto ch = channel<refuses_to_move>(4);
    thread_sender<refuses_to_move> out(std::move(ch.tx), 4);
    CHECK(out.try_send(refuses_to_move()));
    co_await testing::settle();
    for (int i = 0; i < 10 && reports.count() == 0; ++i) co_await this_task::yield();
    CHECK(reports.text().find("move") != std::string::npos);
    CHECK_THROWS_WITH(out.try_send(refuses_to_move()), "thread_sender::send: the loop's side has failed, and told the loop's exception handler why");
}

TEST_CASE("thread ends: after the loop is gone they say so") {
    std::optional<thread_sender<int>> out;
    std::optional<thread_receiver<int>> in;
    std::optional<sender<int>> tx;
    std::optional<receiver<int>> rx;
    run([&]() -> task<> {
        auto ch = channel<int>(1);
        out.emplace(std::move(ch.tx));
        rx.emplace(std::move(ch.rx));
        auto back = channel<int>(1);
        in.emplace(std::move(back.rx));
        tx.emplace(std::move(back.tx));
        co_return;
    }());
    CHECK_THROWS_WITH(out->send(1), "thread_sender::send: the loop is shutting down");
    CHECK_THROWS_WITH(in->next(), "thread_receiver::next: the loop is shutting down");
    CHECK_THROWS_AS(thread_sender<int>(std::move(*tx)), std::logic_error);
}

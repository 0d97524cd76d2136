#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "allocations.hpp"
#include "lib/fragile.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// Everything that comes, with blanks in between, then "end".
task<std::string> drain(receiver<int> rx) {
    std::string log;
    while (auto v = co_await rx.next()) log += std::to_string(*v) + " ";
    co_return log + "end";
}

task<> send_all(sender<int> tx, int first, int last) {
    for (int i = first; i <= last; ++i) co_await tx.send(i);
}

} // namespace

EDDY_TEST("CH-01 in a rendezvous channel, send waits for a receiver") {
    auto ch = channel<int>(0);
    std::string log;
    auto h = spawn([&]() -> task<> {
        co_await ch.tx.send(1);
        log += "sent ";
    });
    co_await testing::settle();
    CHECK(log == "");
    CHECK(ch.rx.size() == 0);
    const auto v = co_await ch.rx.next();
    CHECK(v == 1);
    co_await h;
    CHECK(log == "sent ");
}

EDDY_TEST("CH-01 try_send and try_receive of a rendezvous need somebody on the other side") {
    auto ch = channel<int>(0);
    CHECK_FALSE(ch.tx.try_send(1));
    CHECK_FALSE(ch.rx.try_receive().has_value());
    auto sending = spawn(ch.tx.send(2));
    co_await testing::settle();
    CHECK(ch.rx.try_receive() == 2);
    co_await sending;
    auto receiving = spawn(ch.rx.next());
    co_await testing::settle();
    CHECK(ch.tx.try_send(3));
    const auto v = co_await receiving;
    CHECK(v == 3);
}

EDDY_TEST("an item whose move throws breaks its send, not the next that makes room for it") {
    auto ch = channel<fragile>(1);
    co_await ch.tx.send(fragile(1));
    auto sender = spawn([&]() -> task<> { co_await ch.tx.send(fragile(2)); });
    co_await testing::settle();
    fragile::armed = 2;
    const std::string first = co_await words::ending(ch.rx.next());
    const std::string second = co_await words::ending(wait_for(ch.rx.next(), 1s));
    const auto end = co_await as_result(sender);
    fragile::armed = 0;
    CHECK(first == "ok");
    CHECK(second.find("timed out") == 0);
    CHECK(words::of(end) == "broke");
}

EDDY_TEST("CH-02 when all senders are closed, receivers get what is left, then the end") {
    auto ch = channel<int>(3);
    co_await ch.tx.send(1);
    co_await ch.tx.send(2);
    ch.tx.close();
    CHECK_FALSE(ch.rx.ended());
    const auto a = co_await ch.rx.next();
    const auto b = co_await ch.rx.next();
    const auto c = co_await ch.rx.next();
    const auto d = co_await ch.rx.next();
    CHECK(a == 1);
    CHECK(b == 2);
    CHECK_FALSE(c.has_value());
    CHECK_FALSE(d.has_value());
    CHECK(ch.rx.ended());
}

EDDY_TEST("CH-02 receivers that wait when the last sender is closed get the end") {
    auto ch = channel<int>(1);
    auto a = spawn(ch.rx.next());
    auto rx2 = ch.rx.clone();
    auto b = spawn(rx2.next());
    co_await testing::settle();
    ch.tx.close();
    const auto x = co_await a;
    const auto y = co_await b;
    CHECK_FALSE(x.has_value());
    CHECK_FALSE(y.has_value());
}

EDDY_TEST("CH-03 when all receivers are closed, waiting and later sends throw broken_resource") {
    auto ch = channel<int>(0);
    auto waiting = spawn(ch.tx.send(1));
    co_await testing::settle();
    ch.rx.close();
    const auto first = co_await as_result(waiting);
    const auto later = co_await as_result(ch.tx.send(2));
    CHECK(words::holds<broken_resource>(first.exception()));
    CHECK(words::holds<broken_resource>(later.exception()));
    CHECK(words::throws<broken_resource>([&] { return ch.tx.try_send(3); }));
    CHECK(ch.tx.broken());
}

EDDY_TEST("CH-03 an item that could not be sent is still in the operation") {
    auto ch = channel<std::unique_ptr<int>>(0);
    auto op = ch.tx.send(std::make_unique<int>(7));
    auto closer = spawn([&]() -> task<> {
        ch.rx.close();
        co_return;
    });
    const auto sent = co_await as_result(op);
    CHECK(words::holds<broken_resource>(sent.exception()));
    const auto item = op.take_back();
    CHECK(*item == 7);
    CHECK(words::throws<std::logic_error>([&] { return op.take_back(); }));
    auto kept = std::make_unique<int>(8);
    CHECK(words::throws<broken_resource>([&] { return ch.tx.try_send(std::move(kept)); }));
    CHECK(*kept == 8);
    co_await closer;
}

EDDY_TEST("CH-03 an item of a cancelled send can be taken back too; one that was sent cannot") {
    auto ch = channel<std::string>(1);
    auto first = ch.tx.send("sent");
    co_await first;
    CHECK(words::throws<std::logic_error>([&] { return first.take_back(); }));
    auto op = ch.tx.send("kept");
    auto h = spawn([&]() -> task<> { co_await op; });
    co_await testing::settle();
    co_await h.cancel_and_join();
    CHECK(op.take_back() == "kept");
    const auto v = co_await ch.rx.next();
    CHECK(v == "sent");
    CHECK_FALSE(ch.rx.try_receive().has_value());
}

EDDY_TEST("CH-05 the last clone closed closes the side") {
    auto ch = channel<int>(4);
    auto tx2 = ch.tx.clone();
    ch.tx.close();
    CHECK(words::of_call([&] { return tx2.try_send(1); }) == "ok");
    auto drained = spawn(drain(ch.rx.clone()));
    ch.rx.close();
    co_await tx2.send(2);
    CHECK_FALSE(drained.done());
    {
        const auto last = std::move(tx2);
    }
    const auto log = co_await drained;
    CHECK(log == "1 2 end");
}

EDDY_TEST("CH-05 the last receiver closed closes its side") {
    auto ch = channel<int>(0);
    auto rx2 = ch.rx.clone();
    auto h = spawn(ch.tx.send(1));
    co_await testing::settle();
    ch.rx.close();
    co_await testing::settle();
    CHECK_FALSE(h.done());
    rx2.close();
    const auto end = co_await as_result(h);
    CHECK(words::holds<broken_resource>(end.exception()));
}

EDDY_TEST("CH-06 a waiting receiver owns what is sent: try_receive by another finds nothing") {
    auto ch = channel<int>(1);
    auto rx2 = ch.rx.clone();
    auto h = spawn(ch.rx.next());
    co_await testing::settle();
    CHECK(ch.tx.try_send(5));
    CHECK_FALSE(rx2.try_receive().has_value());
    CHECK(rx2.size() == 0);
    const auto v = co_await h;
    CHECK(v == 5);
}

EDDY_TEST("CH-07 a receiver that was given an item in the tick of its cancellation returns it") {
    auto ch = channel<int>(0);
    int got = 0;
    auto h = spawn([&]() -> task<> {
        const auto v = co_await ch.rx.next();
        got = *v;
        co_await this_task::checkpoint();
        got = -1;
    });
    co_await testing::settle();
    CHECK(ch.tx.try_send(5));
    h.cancel();
    co_await h.join();
    CHECK(got == 5);
    CHECK(h.cancelled());
}

EDDY_TEST("CH-07 a sender whose item was taken in the tick of its cancellation has sent it") {
    auto ch = channel<int>(0);
    bool sent = false;
    auto h = spawn([&]() -> task<> {
        co_await ch.tx.send(5);
        sent = true;
    });
    co_await testing::settle();
    CHECK(ch.rx.try_receive() == 5);
    h.cancel();
    co_await h.join();
    CHECK(sent);
}

EDDY_TEST("a cancelled receiver has taken nothing, a cancelled sender has sent nothing") {
    auto ch = channel<int>(0);
    auto r = spawn(ch.rx.next());
    co_await testing::settle();
    co_await r.cancel_and_join();
    CHECK_FALSE(ch.tx.try_send(1));
    auto s = spawn(ch.tx.send(2));
    co_await testing::settle();
    co_await s.cancel_and_join();
    CHECK_FALSE(ch.rx.try_receive().has_value());
    auto again = spawn(ch.tx.send(3));
    const auto v = co_await ch.rx.next();
    CHECK(v == 3);
    co_await again;
}

EDDY_TEST("a receive that times out leaves the item for the next one") {
    auto ch = channel<int>(0);
    const auto missed = co_await move_on_after(10ms, [&](cancel_scope&) -> task<std::optional<int>> { co_return co_await ch.rx.next(); });
    CHECK_FALSE(missed.has_value());
    auto s = spawn(ch.tx.send(3));
    const auto v = co_await ch.rx.next();
    CHECK(v == 3);
    co_await s;
}

EDDY_TEST("in a scope that is cancelled already nothing is sent or received") {
    auto ch = channel<int>(1);
    co_await ch.tx.send(1);
    co_await with_scope([&](cancel_scope& s) -> task<> {
        s.cancel();
        static_cast<void>(co_await ch.rx.next());
    });
    CHECK(ch.rx.size() == 1);
    co_await with_scope([&](cancel_scope& s) -> task<> {
        s.cancel();
        const auto v = co_await shielded(ch.rx.next());
        CHECK(v == 1);
    });
    CHECK(ch.rx.size() == 0);
}

EDDY_TEST("a closed end refuses everything with closed_resource, its clones go on") {
    auto ch = channel<int>(1);
    auto tx2 = ch.tx.clone();
    auto rx2 = ch.rx.clone();
    auto late_send = ch.tx.send(1);
    auto late_next = ch.rx.next();
    ch.tx.close();
    ch.tx.close();
    ch.rx.close();
    const auto send = co_await as_result(ch.tx.send(1));
    const auto next = co_await as_result(ch.rx.next());
    const auto op_send = co_await as_result(late_send);
    const auto op_next = co_await as_result(late_next);
    CHECK(words::of(send) == "channel send: this end of the channel was closed");
    CHECK(words::of(next) == "channel next: this end of the channel was closed");
    CHECK(words::holds<closed_resource>(op_send.exception()));
    CHECK(words::holds<closed_resource>(op_next.exception()));
    CHECK(words::throws<closed_resource>([&] { return ch.tx.try_send(1); }));
    CHECK(words::throws<closed_resource>([&] { return ch.rx.try_receive(); }));
    CHECK(words::throws<closed_resource>([&] { return ch.tx.clone(); }));
    CHECK(words::throws<closed_resource>([&] { return ch.rx.clone(); }));
    co_await tx2.send(2);
    const auto v = co_await rx2.next();
    CHECK(v == 2);
}

EDDY_TEST("R13 closing an end wakes who waits on it, and only those") {
    auto ch = channel<int>(0);
    auto rx2 = ch.rx.clone();
    auto mine = spawn(ch.rx.next());
    auto other = spawn(rx2.next());
    co_await testing::settle();
    ch.rx.close();
    const auto end = co_await as_result(mine);
    CHECK(words::holds<closed_resource>(end.exception()));
    CHECK_FALSE(other.done());
    co_await ch.tx.send(4);
    const auto v = co_await other;
    CHECK(v == 4);
    auto tx2 = ch.tx.clone();
    auto a = spawn(ch.tx.send(5));
    auto b = spawn(tx2.send(6));
    co_await testing::settle();
    ch.tx.close();
    const auto closed = co_await as_result(a);
    CHECK(words::holds<closed_resource>(closed.exception()));
    const auto w = co_await rx2.next();
    CHECK(w == 6);
    co_await b;
}

EDDY_TEST("moved-from ends are empty, and say so") {
    auto ch = channel<int>(1);
    auto tx = std::move(ch.tx);
    auto rx = std::move(ch.rx);
    CHECK(words::of_call([&] { return ch.tx.try_send(1); }) == "this sender is empty (it was moved from)");
    CHECK(words::of_call([&] { return ch.rx.next(); }) == "this receiver is empty (it was moved from)");
    CHECK(ch.tx.closed());
    co_await tx.send(1);
    tx = std::move(channel<int>(1).tx); // lets go of the old one, which ends the channel
    const auto v = co_await rx.next();
    const auto end = co_await rx.next();
    CHECK(v == 1);
    CHECK_FALSE(end.has_value());
}

EDDY_TEST("ends that die while tasks wait on them end the waits") {
    std::optional<channel_ends<int>> ch = channel<int>(0);
    auto s = spawn(ch->tx.send(1));
    co_await testing::settle();
    ch.reset();
    const auto sent = co_await as_result(s);
    CHECK_FALSE(sent.has_value());
    ch = channel<int>(0);
    auto r = spawn(ch->rx.next());
    co_await testing::settle();
    ch.reset();
    const auto got = co_await as_result(r);
    CHECK((got.exception() == nullptr || words::holds<closed_resource>(got.exception())));
}

EDDY_TEST("the capacity bounds what lies in the channel; senders resume in order", "[fifo]") {
    auto ch = channel<int>(2);
    std::string log;
    auto send = [&](int v) -> task<> {
        co_await ch.tx.send(v);
        log += "sent" + std::to_string(v) + " ";
    };
    for (int v : {1, 2, 3, 4}) spawn(send, v);
    co_await testing::settle();
    CHECK(log == "sent1 sent2 ");
    CHECK(ch.rx.size() == 2);
    for (int expected : {1, 2, 3, 4}) {
        const auto v = co_await ch.rx.next();
        CHECK(v == expected);
    }
    co_await testing::settle();
    CHECK(log == "sent1 sent2 sent3 sent4 ");
}

EDDY_TEST("many senders and receivers: every item arrives once") {
    for (const std::size_t capacity : {0u, 1u, 7u}) {
        auto ch = channel<int>(capacity);
        int sum = 0;
        co_await with_task_group([&](task_group& g) -> task<> {
            for (int s = 0; s < 4; ++s) g.spawn(send_all(ch.tx.clone(), 25 * s + 1, 25 * s + 25));
            ch.tx.close();
            for (int r = 0; r < 3; ++r) {
                g.spawn([&]() -> task<> {
                    auto rx = ch.rx.clone();
                    while (auto v = co_await rx.next()) {
                        sum += *v;
                        co_await this_task::yield();
                    }
                });
            }
            co_return;
        });
        CHECK(sum == 5050);
    }
}

EDDY_TEST("race between two channels loses no item") {
    auto a = channel<int>(0);
    auto b = channel<int>(0);
    auto sa = spawn(a.tx.send(1));
    auto sb = spawn(b.tx.send(2));
    int sum = 0;
    for (int i = 0; i < 2; ++i) {
        auto won = co_await race(a.rx.next(), b.rx.next());
        if (const auto x = won.get<0>()) sum += x->value_or(0);
        if (const auto y = won.get<1>()) sum += y->value_or(0);
        if (sum == 3) break;
    }
    CHECK(sum == 3);
    co_await sa.cancel_and_join();
    co_await sb.cancel_and_join();
}

EDDY_TEST("sending and receiving allocates nothing once the channel has its size") {
    auto ch = channel<int>(0);
    auto buffered = channel<int>(4);
    const auto round = [&]() -> task<> {
        auto h = spawn(ch.tx.send(1));
        static_cast<void>(co_await ch.rx.next());
        co_await h;
        auto r = spawn(ch.rx.next());
        co_await this_task::yield();
        co_await ch.tx.send(2);
        co_await r;
        for (int i = 0; i < 4; ++i) co_await buffered.tx.send(i);
        for (int i = 0; i < 4; ++i) static_cast<void>(co_await buffered.rx.next());
        const auto clone = buffered.tx.clone();
    };
    for (int i = 0; i < 300; ++i) co_await round();
    const std::size_t before = allocations::count();
    for (int i = 0; i < 1000; ++i) co_await round();
    CHECK((!allocations::counted || allocations::count() == before));
}

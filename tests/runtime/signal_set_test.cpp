#include <eddy/runtime.hpp>
#include <eddy/signal_set.hpp>
#include <eddy/testing.hpp>

#include <signal.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

std::atomic<int> handled_elsewhere{0};
extern "C" void count_signal(int) {
    ++handled_elsewhere;
}
[[nodiscard]] auto disposition(int n) {
    struct sigaction a {};
    ::sigaction(n, nullptr, &a);
    return a.sa_handler;
}

} // namespace

EDDY_TEST("SG-01 a signal wakes the task that waits for it, on its loop") {
    signal_set sig{SIGUSR1};
    int which = 0;
    std::thread::id where;
    auto h = spawn([&]() -> task<> {
        which = co_await sig.next();
        where = std::this_thread::get_id();
    });
    co_await testing::settle();
    ::raise(SIGUSR1);
    co_await h;
    CHECK(which == SIGUSR1);
    CHECK(where == std::this_thread::get_id());
}

EDDY_TEST("SG-02 several kills are at least one delivery, and what comes before next is not lost") {
    signal_set sig{SIGUSR1, SIGUSR2};
    for (int i = 0; i < 3; ++i) ::raise(SIGUSR2);
    ::raise(SIGUSR1);
    const int first = co_await sig.next();
    const int second = co_await sig.next();
    CHECK(first == std::min(SIGUSR1, SIGUSR2));
    CHECK(second == std::max(SIGUSR1, SIGUSR2));
    CHECK_FALSE(sig.try_next().has_value()); // merged
}

EDDY_TEST("SG-03 several listeners each get the signal, and so do several that wait on one set, in turn") {
    signal_set a{SIGUSR1};
    signal_set b{SIGUSR1};
    std::string log;
    auto on_a = spawn([&]() -> task<> {
        static_cast<void>(co_await a.next());
        log += "a";
    });
    auto on_b = spawn([&]() -> task<> {
        static_cast<void>(co_await b.next());
        log += "b";
    });
    co_await testing::settle();
    auto also_on_b = spawn([&]() -> task<> {
        static_cast<void>(co_await b.next());
        log += "c";
    });
    co_await testing::settle();
    ::raise(SIGUSR1);
    co_await on_a;
    co_await on_b;
    CHECK(log.size() == 2);
    CHECK_FALSE(also_on_b.done());
    ::raise(SIGUSR1);
    co_await also_on_b;
    CHECK(log.back() == 'c');
    CHECK(a.try_next() == SIGUSR1);
}

EDDY_TEST("SG-04 what a task throws because of a signal goes to the exception handler, and listening goes on") {
    words::reports reports;
    signal_set sig{SIGUSR1};
    spawn([&]() -> task<> {
        static_cast<void>(co_await sig.next());
        throw std::runtime_error("reload failed");
    });
    co_await testing::settle();
    ::raise(SIGUSR1);
    co_await testing::settle();
    CHECK(reports.count() == 1);
    ::raise(SIGUSR1);
    CHECK(sig.try_next() == SIGUSR1);
}

EDDY_TEST("SG-05 what cannot be caught, is a fault or does not exist is refused") {
    signal_set sig;
    for (const int n : {SIGKILL, SIGSTOP, SIGSEGV, SIGFPE, SIGBUS, SIGILL, 0, -1, 65, 1000}) {
        INFO(n);
        CHECK_THROWS_AS(sig.add(n), std::invalid_argument);
        CHECK_FALSE(sig.contains(n));
        CHECK_FALSE(sig.remove(n));
    }
    CHECK_THROWS_AS(signal_set({SIGUSR1, SIGKILL}), std::invalid_argument);
    CHECK(disposition(SIGUSR1) == SIG_DFL); // nothing of it is left
    co_return;
}

EDDY_TEST("signal_set: the first and the last signal there are") {
    signal_set sig{SIGHUP, 64}; // the last real-time signal
    ::raise(64);
    const int last = co_await sig.next();
    CHECK(last == 64);
    ::raise(SIGHUP);
    const int first = co_await sig.next();
    CHECK(first == SIGHUP);
    CHECK(sig.remove(64));
    CHECK_FALSE(sig.contains(64));
}

EDDY_TEST("signal_set: a wait that is put off by the budget while the set goes gets closed_resource") {
    auto sig = std::make_unique<signal_set>(std::initializer_list<int>{SIGUSR1});
    std::string ending;
    bool began = false;
    auto waiting = spawn([&]() -> task<> {
        began = true;
        try {
            for (;;) { // what is there is taken at once, until the budget is used up
                ::raise(SIGUSR1);
                co_await sig->next();
            }
        } catch (const closed_resource& e) {
            ending = e.what();
        }
    });
    while (!began) co_await this_task::yield(); // without a handler the signal would end us
    CHECK_FALSE(waiting.done());
    sig.reset();
    co_await waiting;
    CHECK(ending.find("signal_set::next") == 0);
}

EDDY_TEST("signal_set: a handler that somebody else installed meanwhile stays") {
    {
        signal_set sig{SIGUSR1};
        ::signal(SIGUSR1, &count_signal);
    }
    handled_elsewhere = 0;
    ::raise(SIGUSR1);
    CHECK(handled_elsewhere == 1);
    ::signal(SIGUSR1, SIG_DFL);
    co_return;
}

TEST_CASE("SG-06 a loop that is not on the main thread can listen") {
    int which = 0;
    std::thread t([&] {
        run([](int& out) -> task<> {
            signal_set sig{SIGUSR1};
            this_loop().call_soon([] { ::kill(::getpid(), SIGUSR1); });
            out = co_await sig.next();
        }(which), {.handle_signals = false});
    });
    t.join();
    CHECK(which == SIGUSR1);
}

EDDY_TEST("SG-07 remove tells whether it listened; the last listener that goes restores what was there") {
    ::signal(SIGUSR1, &count_signal);
    handled_elsewhere = 0;
    {
        signal_set a{SIGUSR1};
        {
            signal_set b{SIGUSR1};
            ::raise(SIGUSR1);
            CHECK(b.remove(SIGUSR1));
            CHECK_FALSE(b.remove(SIGUSR1));
            CHECK_FALSE(b.try_next().has_value()); // dropped with it
            b.add(SIGUSR1);
            b.add(SIGUSR1);
        }
        ::raise(SIGUSR1);
        CHECK(handled_elsewhere == 0);
        CHECK(a.try_next() == SIGUSR1);
    }
    ::raise(SIGUSR1);
    CHECK(handled_elsewhere == 1);
    ::signal(SIGUSR1, SIG_DFL);
    co_return;
}

EDDY_TEST("signal_set: a cancelled next takes nothing; one that was given a signal returns it") {
    signal_set sig{SIGUSR1};
    auto waits = [&]() -> task<int> { co_return co_await sig.next(); };
    auto a = spawn(waits);
    co_await testing::settle();
    co_await a.cancel_and_join();
    ::raise(SIGUSR1);
    CHECK(sig.try_next() == SIGUSR1);

    auto b = spawn(waits);
    co_await testing::settle();
    ::raise(SIGUSR1);
    while (b.context().wait() != nullptr) co_await this_task::yield();
    b.cancel();
    co_await b.join();
    CHECK(b.result() == SIGUSR1); // R2
}

EDDY_TEST("signal_set: who waits on one that goes gets closed_resource") {
    auto sig = std::make_unique<signal_set>();
    std::string end;
    auto h = spawn([&]() -> task<> {
        try {
            static_cast<void>(co_await sig->next());
        } catch (const closed_resource& e) {
            end = e.what();
        }
    });
    co_await testing::settle();
    sig.reset();
    co_await h;
    CHECK(end == "signal_set::next: the set was destroyed meanwhile");
}

TEST_CASE("signal_set: needs a running loop, and may outlive it") {
    CHECK_THROWS_AS(signal_set(), std::logic_error);
    std::unique_ptr<signal_set> left;
    run([](std::unique_ptr<signal_set>& out) -> task<> {
        out = std::make_unique<signal_set>(std::initializer_list<int>{SIGUSR1});
        co_return;
    }(left));
    ::raise(SIGUSR1); // wakes nobody
    CHECK(left->try_next() == SIGUSR1);
    left.reset();
    CHECK(disposition(SIGUSR1) == SIG_DFL);
}

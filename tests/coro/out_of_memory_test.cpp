// What happens when memory runs out at any allocation of a verb: nothing is left behind, and the next call works
// (T-36).
#include <eddy/coro.hpp>
#include <eddy/detail/frame.hpp>
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <array>
#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "allocations.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// Too large for the free list.
task<int> large(int v) {
    std::array<char, 4096> bytes{};
    co_await this_task::yield();
    co_return v + bytes.front();
}

/// Runs `verb` with its first, its second, … allocation failing, until nothing fails any more.
template <class F>
task<> fails_cleanly(const char* name, F verb) {
    co_await testing::settle();
    const std::size_t tasks = this_loop().all_tasks().size();
    const std::size_t frames = eddy::detail::live_frames();
    for (long n = 0; n < 200; ++n) {
        bool happened = true; // an error of any kind: bad_alloc, or a group of it
        try {
            const allocations::failing out_of_memory(n);
            co_await verb();
            happened = out_of_memory.happened();
        } catch (const std::exception&) {
        }
        co_await sleep_for(2h); // what was left would be over then
        co_await testing::settle();
        INFO(name << ", allocation " << n);
        CHECK(this_loop().all_tasks().size() == tasks);
        CHECK(eddy::detail::live_frames() == frames);
        if (!happened) co_return;
    }
    FAIL_CHECK(name << " never succeeds");
}

} // namespace

EDDY_TEST("T-36 every verb that runs out of memory leaves nothing behind", "[slow]") {
    const words::reports reports; // of errors that nobody can receive
    co_await fails_cleanly("spawn", []() -> task<> {
        auto h = spawn(large, 1);
        co_await h;
    });
    co_await fails_cleanly("spawn_eager", []() -> task<> {
        auto h = spawn_eager(large, 1);
        co_await h;
    });
    co_await fails_cleanly("race", []() -> task<> {
        auto r = co_await race(large(1), large(2));
        static_cast<void>(r);
    });
    co_await fails_cleanly("race_first_success", []() -> task<> {
        auto r = co_await race_first_success(large(1), large(2));
        static_cast<void>(r);
    });
    co_await fails_cleanly("gather_outcomes", []() -> task<> {
        auto r = co_await gather_outcomes(large(1), large(2));
        static_cast<void>(r);
    });
    co_await fails_cleanly("group.spawn", []() -> task<> {
        co_await with_task_group([&](task_group& g) -> task<> {
            g.spawn(large, 1);
            g.spawn(large, 2);
            co_return;
        });
    });
    co_await fails_cleanly("group.spawn_eager", []() -> task<> {
        co_await with_task_group([&](task_group& g) -> task<> {
            g.spawn_eager(large, 1);
            co_return;
        });
    });
    co_await fails_cleanly("group.start", []() -> task<> {
        co_await with_task_group([&](task_group& g) -> task<> {
            int v = co_await g.start([](started<int> r) -> task<> {
                r(3);
                co_await large(2);
            });
            static_cast<void>(v);
        });
    });
    co_await fails_cleanly("next_done", []() -> task<> {
        co_await with_task_group([&](task_group& g) -> task<> {
            g.spawn(large, 1);
            while (co_await g.next_done()) {}
        });
    });
    co_await fails_cleanly("with_timeout", []() -> task<> {
        co_await with_timeout(1s, [](cancel_scope&) -> task<> { co_await large(1); });
    });
    co_await fails_cleanly("move_on_after", []() -> task<> {
        static_cast<void>(co_await move_on_after(1s, [](cancel_scope&) -> task<> { co_await large(1); }));
    });
    co_await fails_cleanly("timeout fires", []() -> task<> {
        static_cast<void>(co_await move_on_after(1s, [](cancel_scope&) -> task<> { co_await sleep_for(1h); }));
    });
    co_await fails_cleanly("wait_for", []() -> task<> { static_cast<void>(co_await wait_for(large(1), 1s)); });
    co_await fails_cleanly("shield", []() -> task<> { co_await with_shield([]() -> task<> { co_await large(1); }); });
    co_await fails_cleanly("cleanup", []() -> task<> {
        co_await with_cleanup([]() -> task<> { co_await large(1); }, []() -> task<> { co_await large(1); });
    });
    co_await fails_cleanly("as_completed", []() -> task<> {
        std::vector<task<int>> v;
        v.push_back(large(1));
        v.push_back(large(2));
        auto s = as_completed(std::move(v));
        while (co_await s.next()) {}
        co_await s.close();
    });
    co_await fails_cleanly("wait", []() -> task<> {
        std::vector<task_handle<int>> v;
        v.push_back(spawn(large(1)));
        auto w = co_await wait(v);
        static_cast<void>(w);
    });
    co_await fails_cleanly("future", []() -> task<> {
        promise<int> p;
        auto f = p.get_future();
        f.on_done([] {});
        p.set_value(1);
        static_cast<void>(co_await f);
    });
    co_await fails_cleanly("channel", []() -> task<> {
        auto ch = channel<int>(2);
        co_await ch.tx.send(1);
        auto tx = ch.tx.clone();
        static_cast<void>(co_await ch.rx.next());
    });
    co_await fails_cleanly("generator", []() -> task<> {
        auto g = [](int n) -> async_generator<int> {
            std::array<char, 4096> b{};
            for (int i = 0; i < n; ++i) co_yield i + b[0];
        }(3);
        while (co_await g.next()) {}
    });
    co_await fails_cleanly("supervisor", []() -> task<> {
        co_await with_supervisor_group([](supervisor_group& g) -> task<> {
            g.spawn(large, 1);
            co_return;
        });
    });
    co_await fails_cleanly("broadcast", []() -> task<> {
        broadcast<int> b(4);
        auto s = b.subscribe();
        b.send(1);
        static_cast<void>(co_await s.next());
    });
    co_await fails_cleanly("watch", []() -> task<> {
        watch<int> b(4);
        auto s = b.subscribe();
        b.set(1);
        static_cast<void>(co_await s.next());
    });
    co_await fails_cleanly("owned", []() -> task<> {
        auto h = spawn(large, 1);
        static_cast<void>(co_await owned(h));
    });
    co_await fails_cleanly("cancel_and_join", []() -> task<> {
        auto h = spawn(large, 1);
        co_await h.cancel_and_join();
    });
    co_await fails_cleanly("sleep", []() -> task<> { co_await sleep_for(1s); });
    co_await fails_cleanly("pqueue", []() -> task<> {
        priority_queue<int> q(100);
        for (int i = 0; i < 50; ++i) co_await q.push(i);
    });
    co_await fails_cleanly("stack", []() -> task<> {
        stack_queue<int> q(100);
        for (int i = 0; i < 50; ++i) co_await q.push(i);
    });
    co_await fails_cleanly("stop_token", []() -> task<> {
        co_await with_scope([](cancel_scope& s) -> task<> {
            auto t = s.stop_token();
            s.cancel("a reason that is longer than the small string would allow");
            static_cast<void>(t);
            co_await this_task::yield();
        });
    });
    co_await fails_cleanly("retry", []() -> task<> {
        static_cast<void>(co_await retry({}, []() -> task<int> { co_return co_await large(1); }));
    });
    co_await fails_cleanly("task_local", []() -> task<> {
        task_local<int> t{1};
        t.set(4);
        auto h = spawn(large, 1);
        co_await h;
    });
    co_await fails_cleanly("exception_group", []() -> task<> {
        static_cast<void>(co_await as_result(with_task_group([](task_group& g) -> task<> {
            g.spawn([]() -> task<> {
                co_await this_task::yield();
                throw std::runtime_error("x");
            });
            co_return;
        })));
    });
}

EDDY_TEST("T-36 what the loop and its workers do leaves nothing behind without memory either", "[slow]") {
    const words::reports reports;
    co_await fails_cleanly("call_soon", []() -> task<> {
        this_loop().call_soon([s = std::string(100, 'x')] {});
        co_await this_task::yield();
    });
    co_await fails_cleanly("call_later", []() -> task<> {
        auto h = this_loop().call_later(1s, [s = std::string(100, 'x')] {});
        co_await sleep_for(2s);
    });
    co_await fails_cleanly("call_soon_threadsafe", []() -> task<> {
        this_loop().call_soon_threadsafe([s = std::string(100, 'x')] {});
        co_await this_task::yield();
    });
    co_await fails_cleanly("spawn_threadsafe", []() -> task<> {
        auto tf = this_loop().spawn_threadsafe(large, 1);
        co_await sleep_for(1s);
        static_cast<void>(tf.get());
    });
    co_await fails_cleanly("offload", []() -> task<> {
        worker_pool pool{1};
        auto op = offload(pool, [s = std::string(100, 'x')] { return s.size(); });
        static_cast<void>(co_await op);
    });
    co_await fails_cleanly("offload abandon", []() -> task<> {
        worker_pool pool{1};
        auto op = offload(abandon, [s = std::string(100, 'x')] { return s.size(); });
        static_cast<void>(co_await op);
    });
    co_await fails_cleanly("offload limiter", []() -> task<> {
        capacity_limiter l{1};
        auto op = offload(l, [s = std::string(100, 'x')] { return s.size(); });
        static_cast<void>(co_await std::move(op));
    });
}

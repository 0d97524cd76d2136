// The cancellation matrix: every awaitable of the library in every situation that a cancellation can meet it in. A table of
// rows (one an awaitable) and one test a situation that goes through the table.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

namespace matrix {

using namespace eddy;
using namespace std::chrono_literals;

/// One awaitable with what it needs; a new one for each situation.
class subject {
public:
    virtual ~subject() = default;
    /// Before the first await.
    virtual task<> prepare() { co_return; }
    /// Awaits it once.
    virtual task<> await_it() = 0;
    /// Gives an await that was started the time to get where it waits.
    virtual task<> until_it_waits() {
        for (int i = 0; i < 20; ++i) co_await this_task::yield();
    }
    /// Lets the await that waits complete, and the next one.
    virtual void complete() = 0;
};

/// What the documentation of an awaitable promises.
struct promise_of {
    bool checkpoint = true; // in a cancelled scope it throws, before anything happened
    bool waits = true;      // else it takes at most its turn
    bool detaches = true;   // cancelled while it waits, it ends cancelled at once; else it waits for its completion
    bool at_once = true;    // `complete()` completes it in the same tick; else time or a thread is needed
    bool in_time = true;    // a timeout of virtual time can end it (time stands still while a worker runs)
    bool again = true;      // after a cancellation it can be awaited again
};

struct row {
    const char* covers; // the operation's class: see CheckMatrix.cmake
    const char* name;
    std::unique_ptr<subject> (*make)();
    promise_of promised;
};

template <class S>
row of(const char* covers, const char* name, promise_of p = {}) {
    return {covers, name, [] { return std::unique_ptr<subject>(new S); }, p};
}

/// What came of an await: "value", "cancelled", or the error's text.
inline task<> note_ending(subject& s, std::string& ending) {
    try {
        co_await s.await_it();
        ending = "value";
    } catch (const operation_cancelled&) {
        ending = "cancelled";
        throw;
    } catch (const std::exception& e) {
        ending = e.what();
    }
}

/// After a cancellation the thing works as before.
inline task<> expect_usable(const row& r, subject& s) {
    if (!r.promised.again) co_return;
    std::string ending;
    auto h = spawn([&]() -> task<> { co_await note_ending(s, ending); });
    co_await s.until_it_waits();
    s.complete();
    co_await h.join();
    INFO(r.name << ", awaited again");
    CHECK(ending == "value");
}

inline task<> already_cancelled(const row& r) {
    const auto s = r.make();
    co_await s->prepare();
    std::string ending;
    if (!r.promised.checkpoint) s->complete(); // it is going to wait for it
    auto h = spawn([&]() -> task<> {
        this_task::handle().cancel();
        co_await note_ending(*s, ending);
    });
    co_await h.join();
    INFO(r.name);
    CHECK(ending == (r.promised.checkpoint ? "cancelled" : "value"));
    if (r.promised.checkpoint) co_await expect_usable(r, *s);
}

inline task<> cancelled_while_waiting(const row& r) {
    if (!r.promised.waits) co_return;
    const auto s = r.make();
    co_await s->prepare();
    std::string ending;
    auto h = spawn([&]() -> task<> { co_await note_ending(*s, ending); });
    co_await s->until_it_waits();
    const bool waited = !h.done();
    h.cancel();
    if (r.promised.detaches) {
        co_await h.join();
    } else {
        for (int i = 0; i < 5; ++i) co_await this_task::yield();
        s->complete();
        co_await h.join();
    }
    INFO(r.name);
    CHECK(waited);
    CHECK(ending == (r.promised.detaches ? "cancelled" : "value"));
    if (r.promised.detaches) co_await expect_usable(r, *s);
}

inline task<> cancelled_in_the_tick_of_completion(const row& r) {
    if (!r.promised.waits || !r.promised.at_once) co_return;
    const auto s = r.make();
    co_await s->prepare();
    std::string ending;
    auto h = spawn([&]() -> task<> {
        co_await note_ending(*s, ending);
        co_await this_task::checkpoint();
    });
    co_await s->until_it_waits();
    s->complete();
    h.cancel();
    co_await h.join();
    INFO(r.name);
    CHECK(ending == "value"); // R2
    CHECK(h.cancelled());     // at the checkpoint after it
}

inline task<> timed_out(const row& r) {
    if (!r.promised.waits || !r.promised.in_time) co_return;
    const auto s = r.make();
    co_await s->prepare();
    std::string ending;
    std::string verb = "value";
    callback_handle late;
    if (!r.promised.detaches) late = this_loop().call_later(50ms, [&] { s->complete(); });
    try {
        co_await with_timeout(10ms, [&](cancel_scope&) -> task<> { co_await note_ending(*s, ending); });
    } catch (const timeout_error&) {
        verb = "timeout";
    }
    late.cancel();
    INFO(r.name);
    CHECK(verb == (r.promised.detaches ? "timeout" : "value"));
    CHECK(ending == (r.promised.detaches ? "cancelled" : "value"));
    if (r.promised.detaches) co_await expect_usable(r, *s);
}

inline task<> shielded_from_it(const row& r) {
    const auto s = r.make();
    co_await s->prepare();
    std::string ending;
    auto h = spawn([&]() -> task<> {
        this_task::handle().cancel();
        co_await with_shield([&]() -> task<> { co_await note_ending(*s, ending); });
        co_await this_task::checkpoint();
    });
    co_await s->until_it_waits();
    s->complete();
    co_await h.join();
    INFO(r.name);
    CHECK(ending == "value");
    CHECK(h.cancelled());
}

/// The same, the cancellation coming while it waits behind the shield.
inline task<> shielded_while_waiting(const row& r) {
    if (!r.promised.waits) co_return;
    const auto s = r.make();
    co_await s->prepare();
    std::string ending;
    auto h = spawn([&]() -> task<> {
        co_await with_shield([&]() -> task<> { co_await note_ending(*s, ending); });
        co_await this_task::checkpoint();
    });
    co_await s->until_it_waits();
    h.cancel();
    for (int i = 0; i < 5; ++i) co_await this_task::yield();
    INFO(r.name);
    CHECK(ending == ""); // the shield holds
    s->complete();
    co_await h.join();
    CHECK(ending == "value");
    CHECK(h.cancelled());
}

/// Cancelled when it has completed and waits for its turn, however it completes. We take a turn in each tick, so that in
/// a ready list that keeps its order we are always between the two.
inline task<> cancelled_before_its_turn(const row& r) {
    if (!r.promised.waits) co_return;
    const auto s = r.make();
    co_await s->prepare();
    std::string ending;
    auto h = spawn([&]() -> task<> {
        co_await note_ending(*s, ending);
        co_await this_task::checkpoint();
    });
    co_await s->until_it_waits();
    s->complete();
    while (!h.done() && h.context().wait() != nullptr) co_await this_task::yield();
    INFO(r.name);
    CHECK(h.cancel());
    CHECK(ending == "");
    co_await h.join();
    CHECK(ending == "value"); // R2
    CHECK(h.cancelled());
}

/// Left waiting when main ends: it is cancelled and joined; what waits for its completion gets it meanwhile.
inline void left_at_shutdown(const row& r) {
    if (!r.promised.waits) return;
    std::string ending;
    eddy::detail::virtual_clock clock;
    run_options options;
    options.clock = &clock;
    options.handle_signals = false;
    run([](const row& left, std::string& out) -> task<> {
        auto s = left.make();
        co_await s->prepare();
        subject& waits = *s;
        spawn([](std::unique_ptr<subject> own, std::string& end) -> task<> { co_await note_ending(*own, end); },
              std::move(s), std::ref(out));
        co_await waits.until_it_waits();
        if (!left.promised.detaches) {
            spawn([](subject& w) -> task<> {
                static_cast<void>(co_await as_result(sleep_for(1h)));
                w.complete();
            }, std::ref(waits));
            co_await this_task::yield();
            co_await this_task::yield();
        }
    }(r, ending), options);
    INFO(r.name);
    CHECK(ending == (r.promised.detaches ? "cancelled" : "value"));
}

} // namespace matrix

// The awaitables of coro and runtime in the cancellation matrix. What is not in it fails the build: see CheckMatrix.cmake.
#include "lib/cancellation_matrix.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <eddy/asio.hpp>
#include <eddy/signal_set.hpp>

#include <array>
#include <atomic>
#include <csignal>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/asio_pending.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using matrix::promise_of;
using matrix::subject;

namespace {

class waits_for_asio final : public subject {
    asio_test::pending p_;
    task<> await_it() override { static_cast<void>(co_await p_.async_wait(use_eddy)); }
    void complete() override { p_.complete({}, 1); }
};
class reads_with_asio final : public subject {
    std::optional<asio_test::pipe> pipe_;
    std::array<char, 4> data_{};
    task<> prepare() override {
        pipe_.emplace(this_loop().io_context());
        co_return;
    }
    task<> await_it() override { static_cast<void>(co_await pipe_->in.async_read_some(asio::buffer(data_), use_eddy)); }
    void complete() override { static_cast<void>(::write(pipe_->out.native_handle(), "x", 1)); }
};
class waits_for_event final : public subject {
    event e_;
    task<> await_it() override { co_await e_.wait(); }
    void complete() override { e_.set(); }
};
class waits_for_signal final : public subject {
    signal_set s_{SIGUSR2};
    task<> await_it() override { static_cast<void>(co_await s_.next()); }
    void complete() override { ::raise(SIGUSR2); }
};
class waits_for_shutdown final : public subject {
    shutdown_signal s_;
    task<> await_it() override { co_await s_.wait(); }
    void complete() override { s_.request(); }
};
class waits_for_holders final : public subject {
    shutdown_signal s_;
    shutdown_hold hold_ = s_.hold();
    task<> await_it() override { co_await s_.drained(); }
    void complete() override {
        s_.request();
        hold_ = {};
    }
};
class runs_until_shutdown final : public subject {
    shutdown_signal s_;
    event e_;
    task<> await_it() override {
        static_cast<void>(co_await until_shutdown(s_, [this](cancel_scope&) -> task<> { co_await e_.wait(); }));
    }
    void complete() override { e_.set(); }
};
class collects final : public subject {
    event e_;
    task<> await_it() override {
        auto g = [](event& e) -> async_generator<int> {
            co_await e.wait();
            co_yield 1;
        }(e_);
        const auto all = co_await collect(std::move(g));
    }
    void complete() override { e_.set(); }
};
class takes_joined final : public subject {
    event e_;
    std::optional<join_set<int>> set_;
    task<> await_it() override {
        if (!set_) set_.emplace();
        if (set_->empty())
            set_->spawn([this]() -> task<int> {
                co_await e_.wait();
                co_return 1;
            });
        static_cast<void>(co_await set_->next());
    }
    void complete() override { e_.set(); }
};
class waits_for_mutex final : public subject {
    mutex m_;
    mutex_guard held_;
    task<> prepare() override { held_ = co_await m_.lock(); }
    task<> await_it() override { auto g = co_await m_.lock(); }
    void complete() override { held_ = {}; }
};
class waits_for_shared_mutex final : public subject {
    shared_mutex m_;
    std::optional<decltype(m_.try_lock())::value_type> held_;
    task<> prepare() override {
        held_ = m_.try_lock();
        co_return;
    }
    task<> await_it() override { auto g = co_await m_.lock_shared(); }
    void complete() override { held_.reset(); }
};
class waits_for_semaphore final : public subject {
    semaphore s_{0};
    task<> await_it() override {
        auto p = co_await s_.acquire();
        p.detach();
    }
    void complete() override { s_.release(); }
};
class waits_for_limiter final : public subject {
    capacity_limiter l_{0};
    task<> await_it() override { auto t = co_await l_.acquire(); }
    void complete() override { l_.set_total(1); }
};
class waits_for_condition final : public subject {
    mutex m_;
    condition c_{m_};
    task<> await_it() override {
        auto g = co_await m_.lock();
        co_await c_.wait(g);
    }
    void complete() override {
        auto g = m_.try_lock();
        c_.notify_all();
    }
};
class waits_at_barrier final : public subject {
    barrier b_{2};
    task<> await_it() override { co_await b_.wait(); }
    void complete() override {
        spawn([this]() -> task<> { co_await b_.wait(); });
    }
};
class waits_for_latch final : public subject {
    latch l_{1};
    task<> await_it() override { co_await l_.wait(); }
    void complete() override {
        if (!l_.try_wait()) l_.count_down();
    }
};
class arrives_at_latch final : public subject {
    latch l_{2};
    task<> await_it() override { co_await l_.arrive_and_wait(); }
    void complete() override {
        if (!l_.try_wait()) l_.count_down(1);
    }
};
class pops final : public subject {
    queue<int> q_{1};
    task<> await_it() override { static_cast<void>(co_await q_.pop()); }
    void complete() override { static_cast<void>(q_.try_push(1)); }
};
class pushes final : public subject {
    queue<int> q_{1};
    task<> prepare() override { co_await q_.push(0); }
    task<> await_it() override { co_await q_.push(1); }
    void complete() override { static_cast<void>(q_.try_pop()); }
};
class joins_queue final : public subject {
    queue<int> q_{1};
    task<> prepare() override { co_await q_.push(0); }
    task<> await_it() override { co_await q_.join(); }
    void complete() override {
        if (q_.try_pop()) q_.task_done();
    }
};
class sends final : public subject {
    channel_ends<int> ch_ = channel<int>(0);
    task<> await_it() override { co_await ch_.tx.send(1); }
    void complete() override { static_cast<void>(ch_.rx.try_receive()); }
};
class receives final : public subject {
    channel_ends<int> ch_ = channel<int>(0);
    task<> await_it() override { static_cast<void>(co_await ch_.rx.next()); }
    void complete() override { static_cast<void>(ch_.tx.try_send(1)); }
};
class watches final : public subject {
    watch<int> w_{0};
    watcher<int> seen_ = w_.subscribe();
    task<> await_it() override { static_cast<void>(co_await seen_.next()); }
    void complete() override { w_.set(1); }
};
class waits_for_future final : public subject {
    promise<int> p_;
    future<int> f_ = p_.get_future();
    task<> await_it() override { static_cast<void>(co_await f_); }
    void complete() override { p_.set_value(1); }
};

/// A task that waits for an event, for those that wait for tasks.
class of_a_task : public subject {
protected:
    event e_;
    task_handle<int> h_;
    task<> prepare() override {
        h_ = spawn([this]() -> task<int> {
            co_await e_.wait();
            co_return 1;
        });
        co_await testing::settle();
    }
    void complete() override { e_.set(); }
};
class awaits_handle final : public of_a_task {
    task<> await_it() override { static_cast<void>(co_await h_); }
};
class joins_task final : public of_a_task {
    task<> await_it() override { co_await h_.join(); }
};
class owns_task final : public of_a_task {
    task<> await_it() override { static_cast<void>(co_await owned(h_)); }
};
class waits_for_tasks final : public of_a_task {
    task<> await_it() override {
        std::vector<any_task> handles(1, h_);
        co_await wait(handles);
    }
};
class takes_completed final : public of_a_task {
    std::optional<completion_stream<int>> stream_;
    task<> prepare() override {
        co_await of_a_task::prepare();
        stream_.emplace(as_completed(std::vector<task_handle<int>>(1, h_)));
    }
    task<> await_it() override { static_cast<void>(co_await stream_->next()); }
};
/// A task that takes 30 ms of shielded cleanup once it is cancelled.
task<int> slow_to_end() {
    try {
        co_await sleep_for(1h);
    } catch (const operation_cancelled&) {
    }
    co_await with_shield([]() -> task<> { co_await sleep_for(30ms); });
    co_return 0;
}
class closes_completed final : public subject {
    std::optional<completion_stream<int>> stream_;
    task<> prepare() override {
        std::vector<task<int>> tasks;
        tasks.push_back(slow_to_end());
        stream_.emplace(as_completed(std::move(tasks)));
        co_await testing::settle();
    }
    task<> await_it() override { co_await stream_->close(); }
    void complete() override { testing::manual_clock().hold(30ms); }
};
class cancels_and_joins final : public subject {
    task_handle<int> h_;
    task<> prepare() override {
        h_ = spawn(slow_to_end());
        co_await testing::settle();
    }
    task<> await_it() override { co_await h_.cancel_and_join(); }
    void complete() override { testing::manual_clock().hold(30ms); }
};
class ends_group final : public subject {
    event e_;
    task<> await_it() override {
        co_await with_task_group([this](task_group& g) -> task<> {
            g.spawn([this]() -> task<> { co_await e_.wait(); });
            co_return;
        });
    }
    void complete() override { e_.set(); }
};
class takes_next_done final : public subject {
    event e_;
    task<> await_it() override {
        co_await with_task_group([this](task_group& g) -> task<> {
            g.spawn([this]() -> task<> { co_await e_.wait(); });
            co_await g.next_done();
        });
    }
    void complete() override { e_.set(); }
};
class starts_child final : public subject {
    event e_;
    task<> await_it() override {
        co_await with_task_group([this](task_group& g) -> task<> {
            co_await g.start([this](started<> ready) -> task<> {
                co_await e_.wait();
                ready();
            });
        });
    }
    void complete() override { e_.set(); }
};
class gathers final : public subject {
    event e_;
    task<> await_it() override { co_await gather(e_.wait(), e_.wait()); }
    void complete() override { e_.set(); }
};
class races final : public subject {
    event e_;
    task<> await_it() override { co_await race(e_.wait(), sleep_for(1h)); }
    void complete() override { e_.set(); }
};
class sleeps final : public subject {
    task<> await_it() override { co_await sleep_for(1s); }
    void complete() override { testing::manual_clock().hold(1s); }
};
class yields final : public subject {
    task<> await_it() override { co_await this_task::yield(); }
    void complete() override {}
};
class checks final : public subject {
    task<> await_it() override { co_await this_task::checkpoint(); }
    void complete() override {}
};
class settles final : public subject {
    task<> await_it() override { co_await testing::settle(); }
    void complete() override {}
};

/// A worker function that runs until it is let go.
class of_a_worker : public subject {
public:
    ~of_a_worker() override { *go_ = true; }

protected:
    using flag = std::shared_ptr<std::atomic<bool>>;
    flag runs_ = std::make_shared<std::atomic<bool>>(false);
    flag go_ = std::make_shared<std::atomic<bool>>(false);
    task<> until_it_waits() override {
        for (int i = 0; !*runs_ || i < 20; ++i) co_await this_task::yield();
    }
    void complete() override { *go_ = true; }
    [[nodiscard]] auto function() const {
        return [runs = runs_, go = go_] {
            *runs = true;
            while (!*go) std::this_thread::yield();
        };
    }
};
class offloads final : public of_a_worker {
    task<> await_it() override {
        auto op = offload(function());
        co_await op;
    }
};
class abandons final : public of_a_worker {
    task<> await_it() override {
        auto op = offload(abandon, function());
        co_await op;
    }
};
class generates final : public subject {
    event e_;
    static async_generator<int> numbers(event& e) {
        co_await e.wait();
        co_yield 1;
    }
    task<> await_it() override {
        auto g = numbers(e_);
        static_cast<void>(co_await g.next());
    }
    void complete() override { e_.set(); }
};

class writes_locked final : public subject {
    shared_mutex m_;
    std::optional<decltype(m_.try_lock_shared())::value_type> held_;
    task<> prepare() override {
        held_ = m_.try_lock_shared();
        co_return;
    }
    task<> await_it() override { auto g = co_await m_.lock(); }
    void complete() override { held_.reset(); }
};
class waits_for_predicate final : public subject {
    mutex m_;
    condition c_{m_};
    bool there_ = false;
    task<> await_it() override {
        auto g = co_await m_.lock();
        co_await c_.wait(g, [this] { return there_; });
    }
    void complete() override {
        auto g = m_.try_lock();
        there_ = true;
        c_.notify_all();
    }
};
template <class Queue>
class pops_of final : public subject {
    Queue q_{1};
    task<> await_it() override { static_cast<void>(co_await q_.pop()); }
    void complete() override { static_cast<void>(q_.try_push(1)); }
};
template <class Queue>
class pushes_to final : public subject {
    Queue q_{1};
    task<> prepare() override { co_await q_.push(0); }
    task<> await_it() override { co_await q_.push(1); }
    void complete() override { static_cast<void>(q_.try_pop()); }
};
class hears final : public subject {
    broadcast<int> b_{4};
    subscription<int> s_ = b_.subscribe();
    task<> await_it() override { static_cast<void>(co_await s_.next()); }
    void complete() override { b_.send(1); }
};
class waits_in_time final : public subject {
    event e_;
    task<> await_it() override { co_await wait_for(e_.wait(), 2h); }
    void complete() override { e_.set(); }
};
class awaits_task final : public subject {
    event e_;
    static task<> inner(event& e) { co_await e.wait(); }
    task<> await_it() override { co_await inner(e_); }
    void complete() override { e_.set(); }
};
class asks_once final : public subject {
    event e_;
    once<int> o_;
    task<> await_it() override {
        static_cast<void>(co_await o_.get([this]() -> task<int> {
            co_await e_.wait();
            co_return 1;
        }));
    }
    void complete() override { e_.set(); }
};
class gathers_outcomes final : public subject {
    event e_;
    task<> await_it() override { static_cast<void>(co_await gather_outcomes(e_.wait(), e_.wait())); }
    void complete() override { e_.set(); }
};
class races_for_success final : public subject {
    event e_;
    task<> await_it() override { static_cast<void>(co_await race_first_success(e_.wait(), sleep_for(1h))); }
    void complete() override { e_.set(); }
};
class in_a_supervisor final : public subject {
    event e_;
    task<> await_it() override {
        co_await with_supervisor_group([this](supervisor_group& g) -> task<> {
            g.spawn([this]() -> task<> { co_await e_.wait(); });
            co_return;
        });
    }
    void complete() override { e_.set(); }
};
class cleans_up final : public subject {
    event e_;
    task<> await_it() override {
        co_await with_cleanup([this]() -> task<> { co_await e_.wait(); }, []() -> task<> { co_return; });
    }
    void complete() override { e_.set(); }
};
class closes_generator final : public subject {
    event e_;
    std::optional<async_generator<int>> g_;
    static async_generator<int> careful(event& e) {
        std::exception_ptr why;
        try {
            co_yield 1;
        } catch (...) {
            why = std::current_exception();
        }
        co_await e.wait();
        if (why) std::rethrow_exception(why);
    }
    task<> prepare() override {
        g_.emplace(careful(e_));
        static_cast<void>(co_await g_->next());
    }
    task<> await_it() override { co_await g_->close(); }
    void complete() override { e_.set(); }
};
const std::vector<matrix::row>& rows() {
    using matrix::of;
    constexpr promise_of one_shot{.again = false};
    constexpr promise_of joins{.checkpoint = false, .detaches = false, .at_once = false, .again = false};
    static const std::vector<matrix::row> all{
        of<waits_for_event>("event_wait", "event::wait"),
        of<waits_for_asio>("asio_operation", "an operation with use_eddy"),
        of<reads_with_asio>("asio_operation", "async_read_some with use_eddy", {.at_once = false}),
        of<waits_for_signal>("signal_next", "signal_set::next", {.at_once = false}),
        of<waits_for_shutdown>("shutdown_wait", "shutdown_signal::wait"),
        of<waits_for_holders>("shutdown_wait", "shutdown_signal::drained"),
        of<runs_until_shutdown>("event_wait", "until_shutdown"),
        of<collects>("event_wait", "collect"),
        of<takes_joined>("next_completed", "join_set::next", {.at_once = false}),
        of<waits_for_mutex>("mutex_lock", "mutex::lock"),
        of<waits_for_shared_mutex>("shared_mutex_lock", "shared_mutex::lock_shared"),
        of<waits_for_semaphore>("semaphore_acquire", "semaphore::acquire"),
        of<waits_for_limiter>("limiter_acquire", "capacity_limiter::acquire"),
        of<waits_for_condition>("condition_wait", "condition::wait"),
        of<waits_at_barrier>("barrier_wait", "barrier::wait", {.at_once = false}),
        of<waits_for_latch>("latch_wait", "latch::wait"),
        of<arrives_at_latch>("latch_arrive", "latch::arrive_and_wait", one_shot),
        of<pops>("queue_pop", "queue::pop"),
        of<pushes>("queue_push", "queue::push"),
        of<joins_queue>("queue_join", "queue::join"),
        of<sends>("channel_send", "sender::send"),
        of<receives>("channel_next", "receiver::next"),
        of<watches>("reader_next", "watcher::next"),
        of<waits_for_future>("future_wait", "future"),
        of<awaits_handle>("result_operation", "a task_handle", {.at_once = false}),
        of<joins_task>("join_operation", "task_handle::join", {.at_once = false}),
        of<owns_task>("owned_operation", "owned(handle)", {.at_once = false, .again = false}),
        of<waits_for_tasks>("wait_operation", "wait", {.at_once = false}),
        of<takes_completed>("next_completed", "completion_stream::next", {.at_once = false}),
        of<closes_completed>("join_operation", "completion_stream::close", joins),
        of<cancels_and_joins>("cancel_join_operation", "task_handle::cancel_and_join", {.at_once = false, .again = false}),
        of<ends_group>("join_children", "the end of a task group", {.checkpoint = false, .at_once = false, .again = false}),
        of<takes_next_done>("next_done_operation", "task_group::next_done", {.at_once = false}),
        of<starts_child>("start_operation", "task_group::start", {.at_once = false}),
        of<gathers>("entry_check", "gather", {.at_once = false}),
        of<races>("entry_check", "race", {.at_once = false}),
        of<sleeps>("sleep_operation", "sleep_for", {.at_once = false}),
        of<yields>("yield_operation", "this_task::yield", {.waits = false}),
        of<checks>("checkpoint_operation", "this_task::checkpoint", {.waits = false}),
        of<settles>("settle_operation", "testing::settle", {.waits = false}),
        of<offloads>("offload_operation", "offload", {.detaches = false, .at_once = false, .in_time = false, .again = false}),
        of<abandons>("abandon_operation", "offload(abandon, f)", {.at_once = false, .in_time = false, .again = false}),
        of<generates>("next_awaiter", "async_generator::next"),
        of<writes_locked>("shared_mutex_lock", "shared_mutex::lock"),
        of<waits_for_predicate>("condition_wait", "condition::wait(predicate)"),
        of<pops_of<priority_queue<int>>>("queue_pop", "priority_queue::pop"),
        of<pushes_to<priority_queue<int>>>("queue_push", "priority_queue::push"),
        of<pops_of<stack_queue<int>>>("queue_pop", "stack_queue::pop"),
        of<pushes_to<stack_queue<int>>>("queue_push", "stack_queue::push"),
        of<hears>("reader_next", "subscription::next"),
        of<waits_in_time>("event_wait", "wait_for", {.at_once = false}),
        of<awaits_task>("event_wait", "a task"),
        of<asks_once>("mutex_lock", "once::get"),
        of<gathers_outcomes>("entry_check", "gather_outcomes", {.at_once = false}),
        of<races_for_success>("entry_check", "race_first_success", {.at_once = false}),
        of<in_a_supervisor>("join_children", "the end of a supervisor_group", {.checkpoint = false, .at_once = false}),
        of<cleans_up>("event_wait", "with_cleanup"),
        of<closes_generator>("close_awaiter", "async_generator::close", one_shot),
    };
    return all;
}

} // namespace

#include "lib/cancellation_matrix_tests.hpp"
EDDY_TEST("matrix: cancelled when it has completed and waits for its turn", "[fifo]") {
    for (const matrix::row& r : rows()) co_await matrix::cancelled_before_its_turn(r);
}

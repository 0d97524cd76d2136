// offload: run a function on a worker thread and await its result.
//
//     auto digest = co_await offload(sha256, page);
//     int n = co_await offload([](std::stop_token st, int limit) { … }, 5);
//
// `f(args...)` runs on a thread of the pool, result and exception arrive back on the loop. `f` and `args` are moved into
// the operation. If `f(args...)` is not callable but `f(stop_token, args...)` is, it gets a token.
//
// Cancellation: a call that waits for a worker is withdrawn and never runs. One that runs is waited for: stop is requested
// on its token, and when it returns, its value is returned (R2) and the next checkpoint throws; if, once stop was
// requested, it throws `operation_cancelled`, the await ends cancelled. So `with_timeout(2s, …offload(f)…)` can take as
// long as f. `offload(abandon, f)` leaves at once instead: f goes on by itself, its result is dropped, its error goes to
// the exception handler. In a scope that is cancelled already f is not started. A pool that was shut down: `pool_stopped`.
//
// `offload(limiter, f, args...)` first takes a token of a `capacity_limiter`, for this call and not for the task, and gives
// it back when f has returned; cancelled while it waits for the token, f is not started.
//
// f sees the task-locals that the task had when it awaited the operation; what f sets is not visible to the task (O-03).
//
// On GCC 12 an operation made from an owning closure must be named before it is awaited (trap T1):
//     auto op = offload([s] { … }); co_await op;
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <eddy/capacity_limiter.hpp>
#include <eddy/detail/local_context.hpp>
#include <eddy/detail/promise.hpp>
#include <eddy/task.hpp>
#include <eddy/worker_pool.hpp>

namespace eddy {

struct abandon_t {
    explicit abandon_t() = default;
};
/// `offload(abandon, f)`: do not wait for f when cancelled.
inline constexpr abandon_t abandon{};

namespace detail {

template <class F, class... A>
inline constexpr bool takes_token = !std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...> &&
                                    std::is_invocable_v<std::decay_t<F>, std::stop_token, std::decay_t<A>...>;
/// Void for what cannot be called: overloads are then told apart by their constraints, and the body says what is wrong.
template <class F, class... A>
struct offload_result {
    using type = void;
};
template <class F, class... A>
    requires std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...>
struct offload_result<F, A...> {
    using type = std::invoke_result_t<std::decay_t<F>, std::decay_t<A>...>;
};
template <class F, class... A>
    requires takes_token<F, A...>
struct offload_result<F, A...> {
    using type = std::invoke_result_t<std::decay_t<F>, std::stop_token, std::decay_t<A>...>;
};
template <class F, class... A>
using offload_result_t = typename offload_result<F, A...>::type;

template <class T>
inline constexpr bool offload_tag = std::is_same_v<std::remove_cvref_t<T>, abandon_t> || std::is_same_v<std::remove_cvref_t<T>, worker_pool> ||
                                    std::is_same_v<std::remove_cvref_t<T>, capacity_limiter>;

/// A call on its way to a worker and back. The pool runs `execute` on a worker, the mailbox `run_returned` on the loop.
class offload_call : public pool_job, public remote_node {
public:
    /// Loop thread. Throws `pool_stopped`.
    void send(task_context& caller, worker_pool* pool, bool with_token);
    /// Loop thread: true if it had not started and will not.
    [[nodiscard]] bool withdraw() noexcept;
    void request_stop() noexcept; // posted: stop callbacks are users' code
    [[nodiscard]] bool threw_cancelled() const noexcept { return threw_cancelled_; }
    std::exception_ptr error;
    list_link<offload_call> outstanding; // loop thread: among the calls that are not back yet

    // --- for in_loop
    /// The call that this thread executes, or null.
    [[nodiscard]] static offload_call* current() noexcept;
    [[nodiscard]] std::shared_ptr<mailbox> mail() const noexcept { return mail_->shared_from_this(); } // on the worker
    [[nodiscard]] scheduler& loop() const noexcept { return *loop_; }
    /// Loop thread: where tasks belong that the function starts.
    [[nodiscard]] scope_node& scope_for_tasks() const noexcept;
    /// Loop thread: says so if no call of the pool can start because all its workers wait for the loop.
    void report_starvation() const noexcept;

    /// Loop thread: the loop goes without waiting for it any longer; from now on it owns what it needs to find that out.
    void let_go() noexcept { kept_mail_ = mail_->shared_from_this(); }

protected:
    offload_call() noexcept;
    ~offload_call() = default;
    virtual void call() = 0;                 // on the worker
    virtual void returned() noexcept = 0;    // on the loop
    virtual void undeliverable() noexcept {} // on the worker: the loop is closed
    [[nodiscard]] virtual bool outlives_caller() const noexcept { return false; }
    [[nodiscard]] std::stop_token token() const noexcept { return stop_.get_token(); }
    scheduler* loop_ = nullptr;

private:
    struct stop_node final : ready_node {
        explicit stop_node(offload_call& c) noexcept : ready_node(&run_it), call(c) {}
        static void run_it(ready_node& n);
        offload_call& call;
    };
    void execute() noexcept final;
    void refuse() noexcept final;
    void deliver(std::shared_ptr<mailbox>& last) noexcept final;
    static void run_returned(remote_node& n);
    void report_late() const noexcept;
    mailbox* mail_ = nullptr;             // of the loop, which waits for its calls before it goes
    std::shared_ptr<mailbox> kept_mail_; // when it did not
    worker_pool* pool_ = nullptr;
    task_context* caller_ = nullptr;
    local_context locals_; // the caller's; the worker's while the function runs
    std::stop_source stop_{std::nostopstate};
    stop_node stop_node_;
    std::optional<std::chrono::steady_clock::time_point> stop_asked_; // while its task waited on
    bool threw_cancelled_ = false;
    bool for_worker_ = false; // its task was started by a worker that waits for it (in_loop)
};

/// The function, its arguments and its result.
template <class R, class F, class... A>
class typed_call : public offload_call {
    static_assert(std::is_invocable_v<F, A...> || takes_token<F, A...>,
                  "offload: the function cannot be called with these arguments, with or without a std::stop_token before them");

public:
    template <class G, class... B>
    explicit typed_call(G&& f, B&&... args) : call_(std::forward<G>(f), std::forward<B>(args)...) {}
    typed_call(typed_call&& o) : offload_call(), call_(std::move(o.call_)) {}
    R result() {
        if (error) std::rethrow_exception(error);
        return slot_.take();
    }

protected:
    ~typed_call() = default;
    void call() override {
        std::apply(
            [this](F& f, A&... args) {
                if constexpr (takes_token<F, A...>)
                    keep([&]() -> R { return std::invoke(std::move(f), this->token(), std::move(args)...); });
                else
                    keep([&]() -> R { return std::invoke(std::move(f), std::move(args)...); });
            },
            call_);
    }

private:
    template <class G>
    void keep(G g) {
        if constexpr (std::is_void_v<R>) {
            g();
            slot_.emplace();
        } else {
            slot_.emplace(g());
        }
    }
    std::tuple<F, A...> call_;
    result_slot<R> slot_;
};

/// Waits for its call; everything lives in the awaiting frame.
template <class R, class F, class... A>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] offload_operation final : public leaf<offload_operation<R, F, A...>>, private typed_call<R, F, A...> {
public:
    template <class G, class... B>
    explicit offload_operation(worker_pool* pool, G&& f, B&&... args)
        : typed_call<R, F, A...>(std::forward<G>(f), std::forward<B>(args)...), pool_(pool) {}
    offload_operation(offload_operation&&) = default;

    [[nodiscard]] bool try_now() const noexcept { return false; }
    bool start() {
        this->send(this->task(), pool_, takes_token<F, A...>);
        return false;
    }
    bool abort() noexcept override {
        if (this->withdraw()) return true;
        this->request_stop();
        return false;
    }
    R take() { return this->result(); }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "offload"; }

private:
    void returned() noexcept override {
        if (this->aborting() && this->threw_cancelled())
            this->finish_cancelled();
        else
            this->finish();
    }
    worker_pool* pool_;
};

/// A call that can outlive its awaiter.
template <class R, class F, class... A>
class abandonable_call final : public typed_call<R, F, A...> {
public:
    using typed_call<R, F, A...>::typed_call;
    abandonable_call(abandonable_call&&) = delete;
    ~abandonable_call() = default;
    operation* waiter = nullptr;                   // null once abandoned
    void (*notify)(operation&) noexcept = nullptr; // completes it

private:
    void returned() noexcept override {
        if (waiter) return notify(*waiter);
        if (this->error && !this->threw_cancelled())
            this->loop_->report({.message = "an abandoned offload failed", .exception = this->error, .task_name = this->waited_for_by.name(), .where = this->site});
        delete this;
    }
    [[nodiscard]] bool outlives_caller() const noexcept override { return true; }
    void undeliverable() noexcept override {
        if (waiter) return; // its awaiter is a leaked frame that owns it
        if (this->error && !this->threw_cancelled())
            print_report({.message = "an abandoned offload failed after its loop had gone", .exception = this->error, .task_name = this->waited_for_by.name(), .where = this->site});
        delete this;
    }
};

template <class R, class F, class... A>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] abandon_operation final : public leaf<abandon_operation<R, F, A...>> {
public:
    using call_type = abandonable_call<R, F, A...>;
    template <class G, class... B>
    explicit abandon_operation(worker_pool* pool, G&& f, B&&... args)
        : call_(std::make_unique<call_type>(std::forward<G>(f), std::forward<B>(args)...)), pool_(pool) {}
    abandon_operation(abandon_operation&&) noexcept = default;

    [[nodiscard]] bool try_now() const noexcept { return false; }
    bool start() {
        call_->waiter = this;
        call_->notify = [](operation& o) noexcept { static_cast<abandon_operation&>(o).finish(); };
        call_->send(this->task(), pool_, takes_token<F, A...>);
        return false;
    }
    bool abort() noexcept override {
        call_->waiter = nullptr;
        if (call_->withdraw()) return true;
        call_->request_stop();
        static_cast<void>(call_.release()); // deletes itself when it returns
        return true;
    }
    R take() { return call_->result(); }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "offload"; }

private:
    std::unique_ptr<call_type> call_;
    worker_pool* pool_;
};

/// The token goes after the call: it is over then, or was never started.
template <class R, class Operation>
task<R> offload_limited(capacity_limiter& limiter, Operation call) {
    const limiter_token token = co_await limiter.acquire_for_call();
    co_return co_await call;
}

} // namespace detail

/// Awaitable: `f(args...)` on the loop's default pool. See above.
template <class F, class... A>
    requires(!detail::offload_tag<F>)
[[nodiscard]] auto offload(F&& f, A&&... args)
    -> detail::hazard_t<detail::offload_operation<detail::offload_result_t<F, A...>, std::decay_t<F>, std::decay_t<A>...>, F, A...> {
    using operation = detail::offload_operation<detail::offload_result_t<F, A...>, std::decay_t<F>, std::decay_t<A>...>;
    return operation(nullptr, std::forward<F>(f), std::forward<A>(args)...);
}
/// The same on a pool of one's own, which must outlive the call.
template <class F, class... A>
    requires(!detail::offload_tag<F>)
[[nodiscard]] auto offload(worker_pool& pool, F&& f, A&&... args)
    -> detail::hazard_t<detail::offload_operation<detail::offload_result_t<F, A...>, std::decay_t<F>, std::decay_t<A>...>, F, A...> {
    using operation = detail::offload_operation<detail::offload_result_t<F, A...>, std::decay_t<F>, std::decay_t<A>...>;
    return operation(&pool, std::forward<F>(f), std::forward<A>(args)...);
}
/// The same on the default pool, once the limiter has a token for it; first come, first served. The limiter must outlive
/// the call.
template <class F, class... A>
    requires(!detail::offload_tag<F>)
[[nodiscard]] auto offload(capacity_limiter& limiter, F&& f, A&&... args)
    -> detail::hazard_t<task<detail::offload_result_t<F, A...>>, F, A...> {
    using operation = detail::offload_operation<detail::offload_result_t<F, A...>, std::decay_t<F>, std::decay_t<A>...>;
    return detail::offload_limited<detail::offload_result_t<F, A...>>(limiter, operation(nullptr, std::forward<F>(f), std::forward<A>(args)...));
}
/// The same, leaving f to itself when cancelled.
template <class F, class... A>
[[nodiscard]] auto offload(abandon_t, F&& f, A&&... args)
    -> detail::hazard_t<detail::abandon_operation<detail::offload_result_t<F, A...>, std::decay_t<F>, std::decay_t<A>...>, F, A...> {
    using operation = detail::abandon_operation<detail::offload_result_t<F, A...>, std::decay_t<F>, std::decay_t<A>...>;
    return operation(nullptr, std::forward<F>(f), std::forward<A>(args)...);
}
template <class F, class... A>
[[nodiscard]] auto offload(worker_pool& pool, abandon_t, F&& f, A&&... args)
    -> detail::hazard_t<detail::abandon_operation<detail::offload_result_t<F, A...>, std::decay_t<F>, std::decay_t<A>...>, F, A...> {
    using operation = detail::abandon_operation<detail::offload_result_t<F, A...>, std::decay_t<F>, std::decay_t<A>...>;
    return operation(&pool, std::forward<F>(f), std::forward<A>(args)...);
}

} // namespace eddy

// loop_group: several loops, each on a thread of its own: for servers that need more than one core.
//
//     loop_group g{4};
//     g.spawn_each([](std::size_t) -> task<> {       // on each loop: its own socket on the same port
//         tcp_listener l = tcp_listener::bind({"0.0.0.0", 8080}, {.reuse_port = true});
//         co_await serve(l, echo);
//     });
//     g.join();                                      // until they have ended, or one has failed
//
// The kernel spreads the connections over the sockets (SO_REUSEPORT), and a connection stays on its loop: its tasks need no
// locks. Loops share nothing; what one has for another goes through `spawn_on`, a `thread_future` or a channel's thread ends.
//
// Functions may be called from any thread. Those that wait (`call_each`, `spawn_each`, `join`, `shutdown`) throw `std::logic_error`
// on the threads of the group, which would wait for themselves; so does `spawn_on` for the own loop, where `eddy::spawn` is to be
// used. Signals are left to the program.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/detail/duration.hpp>
#include <eddy/errors.hpp>
#include <eddy/loop_thread.hpp>

namespace eddy {

namespace detail {
class loop_round_base;
template <class T>
class loop_round;
/// What `f(index)`, or else `f()`, returns for `call_each`.
template <class F>
struct each_result {
    using type = std::invoke_result_t<F&>;
};
template <class F>
    requires std::invocable<F&, std::size_t>
struct each_result<F> {
    using type = std::invoke_result_t<F&, std::size_t>;
};
template <class F>
using each_value_t = typename each_result<std::decay_t<F>>::type::value_type;
template <class T>
using each_values_t = std::conditional_t<std::is_void_v<T>, void, std::vector<std::conditional_t<std::is_void_v<T>, char, T>>>;
} // namespace detail

class loop_group {
public:
    /// One loop for each core of the machine.
    loop_group() : loop_group(0) {}
    /// `loops` of them, 0 for one a core. Returns when all run. Throws what starting a thread or making a loop throws.
    explicit loop_group(std::size_t loops, const run_options& options = {});
    loop_group(const loop_group&) = delete;
    loop_group& operator=(const loop_group&) = delete;
    /// As `shutdown` with the grace period of the options; what that would throw is printed.
    ~loop_group();

    [[nodiscard]] std::size_t size() const noexcept { return loops_.size(); }
    /// Throws `std::out_of_range`.
    [[nodiscard]] loop_thread& at(std::size_t loop) { return *loops_.at(loop); }

    /// A task, or `f(args...)` that returns one, on the loop whose turn it is. Its value or error is in the future. Called on a loop
    /// of the group it takes one of the others; if there are none, `std::logic_error`.
    template <class... A>
    auto spawn(A&&... task_or_function) {
        return spawn_on(next(), std::forward<A>(task_or_function)...);
    }
    /// The same on a certain loop, which must not be the caller's own.
    template <class... A>
    auto spawn_on(std::size_t loop, A&&... task_or_function) {
        return at(loop).spawn(std::forward<A>(task_or_function)...);
    }

    /// `f(index)`, or `f()`, on every loop at once, each with its own copy of f; waits for all. Their values, by index. If one
    /// fails the others are cancelled and waited for, and then an `exception_group` has the errors.
    template <class F>
    auto call_each(F f) -> detail::each_values_t<detail::each_value_t<F>>;
    /// The same without waiting; values are dropped. Errors come out of `join`; if nobody joins, they are reported when the group
    /// goes.
    template <class F>
    void spawn_each(F f);
    /// Waits for what `spawn_each` started, one call after the other in their order: an error of a later one comes when the
    /// earlier ones have ended. If a task fails, the others that were started with it are cancelled and waited for, and then an
    /// `exception_group` has the errors. Tasks that were cancelled, by `shutdown`, say, are no errors; those that `shutdown` found
    /// stuck are, with `shutdown_timeout`.
    void join();

    /// Cancels and joins all tasks on all loops within one grace period and ends the threads. Idempotent; any thread, so that it
    /// ends a `join`. Throws the first loop's `shutdown_timeout` if some were stuck (the loops report them).
    void shutdown() { end(std::nullopt); }
    template <class Rep, class Period>
    void shutdown(std::chrono::duration<Rep, Period> grace) {
        end(detail::to_nanoseconds(grace));
    }

private:
    [[nodiscard]] std::size_t next() noexcept;
    void require_other_thread() const;
    void end(std::optional<std::chrono::nanoseconds> grace);
    template <class T, class F>
    std::shared_ptr<detail::loop_round<T>> start(const F& f);
    void watch(const std::shared_ptr<detail::loop_round_base>& round);
    std::vector<std::unique_ptr<loop_thread>> loops_;
    std::atomic<std::size_t> next_{0};
    std::mutex mutex_;
    std::vector<std::shared_ptr<detail::loop_round<void>>> rounds_; // of spawn_each, not joined yet
    std::vector<std::weak_ptr<detail::loop_round_base>> watched_;   // all that somebody may wait for
};

// --- implementation

namespace detail {

/// One task on each loop, for a thread that waits for them.
class loop_round_base {
public:
    loop_round_base() = default;
    loop_round_base(const loop_round_base&) = delete;
    loop_round_base& operator=(const loop_round_base&) = delete;
    virtual ~loop_round_base() = default;
    /// Waits for all. When one has failed the others are cancelled.
    void finish();
    /// All loops are closed: what has not ended is stuck and never will.
    void over() noexcept;

    /// A task's part in it: tells the round when it has ended, or was dropped.
    class member {
    public:
        explicit member(std::shared_ptr<loop_round_base> r) : round_(std::move(r)) { round_->begins(); }
        member(member&& o) noexcept : round_(std::exchange(o.round_, nullptr)), succeeded_(o.succeeded_) {}
        member& operator=(member&&) = delete;
        ~member() {
            if (round_) round_->ended(succeeded_);
        }
        void succeeded() noexcept { succeeded_ = true; }

    private:
        std::shared_ptr<loop_round_base> round_;
        bool succeeded_ = false;
    };

protected:
    virtual void cancel() noexcept = 0;

private:
    void begins();
    void ended(bool well) noexcept;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t running_ = 0;
    bool failed_ = false;
    bool over_ = false;
};

/// The errors of a round.
class round_errors {
public:
    /// In a handler.
    void add_current();
    /// Throws an `exception_group` if there were any. Without errors, being cancelled is one if values were wanted.
    void raise(bool values_wanted);

private:
    std::vector<std::exception_ptr> errors_;
    std::vector<std::exception_ptr> cancelled_;
};

template <class T>
class loop_round final : public loop_round_base {
public:
    each_values_t<T> take() {
        finish();
        round_errors errors;
        each_values_t<std::conditional_t<std::is_void_v<T>, char, T>> values;
        for (thread_future<T>& f : futures) {
            try {
                if constexpr (std::is_void_v<T>)
                    f.get();
                else
                    values.push_back(f.get());
            } catch (...) {
                errors.add_current();
            }
        }
        errors.raise(!std::is_void_v<T>);
        if constexpr (!std::is_void_v<T>) return values;
    }
    std::vector<thread_future<T>> futures;

private:
    void cancel() noexcept override {
        for (thread_future<T>& f : futures) f.cancel();
    }
};

template <class T, class F>
task<T> run_member(std::optional<F> f, std::size_t index, loop_round_base::member m) {
    const auto call = [&] {
        if constexpr (std::invocable<F&, std::size_t>)
            return (*f)(index);
        else
            return (*f)();
    };
    if constexpr (std::is_void_v<T>) {
        try {
            static_cast<void>(co_await call());
        } catch (const operation_cancelled&) { // of this one only
            m.succeeded();
            throw;
        }
        m.succeeded();
    } else {
        T value = co_await call();
        m.succeeded();
        co_return value;
    }
}

/// Starts it on every loop. If that fails on one, the others are cancelled and waited for.
template <class T, class F>
void start_round(const std::shared_ptr<loop_round<T>>& round, const std::vector<std::unique_ptr<loop_thread>>& loops, const F& f) {
    round->futures.reserve(loops.size());
    try {
        for (std::size_t i = 0; i < loops.size(); ++i) {
            loop_round_base::member m(round);
            round->futures.push_back(loops[i]->spawn(&run_member<T, F>, std::optional<F>(f), i, std::move(m)));
        }
    } catch (...) {
        round->finish();
        throw;
    }
}

} // namespace detail

template <class T, class F>
std::shared_ptr<detail::loop_round<T>> loop_group::start(const F& f) {
    require_other_thread();
    auto round = std::make_shared<detail::loop_round<T>>();
    watch(round);
    detail::start_round<T>(round, loops_, f);
    return round;
}

template <class F>
auto loop_group::call_each(F f) -> detail::each_values_t<detail::each_value_t<F>> {
    return start<detail::each_value_t<F>>(f)->take();
}

template <class F>
void loop_group::spawn_each(F f) {
    auto round = start<void>(f);
    const std::lock_guard lock(mutex_);
    rounds_.push_back(std::move(round));
}

} // namespace eddy

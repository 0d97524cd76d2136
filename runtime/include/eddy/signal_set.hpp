// signal_set: Unix signals, awaited.
//
//     signal_set reload{SIGHUP, SIGUSR1};
//     for (;;) {
//         const int which = co_await reload.next();
//         …
//     }
//
// What runs for a signal is the task that waits, on its loop, and may do anything: nothing of it runs in a signal handler.
// Any number of sets, on any number of loops, may listen to the same signal, and each gets it. The first that listens puts a
// handler in the place of what was there (`sigaction` with SA_RESTART), and the last that goes puts that back. A signal that
// comes several times before it is taken counts at least once (POSIX merges them). SIGINT and SIGTERM end `run` besides, unless
// `run_options::handle_signals` is false.
#pragma once

#include <csignal> // the names of the signals
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string_view>

#include <eddy/detail/attributes.hpp>
#include <eddy/detail/wait_queue.hpp>

namespace eddy {

namespace detail {
class signal_next;
class signal_watch;
} // namespace detail

/// Belongs to the loop on whose thread it is made, which need not be the main thread. Must outlive who waits, or they get
/// `closed_resource`.
class signal_set {
public:
    /// Listens from now on: what comes before the first `next` is not lost. Throws `std::logic_error` without a running loop on
    /// this thread, `std::invalid_argument` as `add`, `std::runtime_error` if too many sets are in use (over 1000).
    signal_set();
    explicit signal_set(std::initializer_list<int> signals);
    signal_set(const signal_set&) = delete;
    signal_set& operator=(const signal_set&) = delete;
    ~signal_set();

    /// Listens to one more; twice does no harm. Throws `std::invalid_argument` for a number that is no signal, for those that
    /// cannot be caught (SIGKILL, SIGSTOP) and for those of a fault (SIGSEGV, SIGFPE, …), which would come again for ever.
    void add(int signal);
    /// False if it did not listen to it. What came and was not taken is dropped.
    bool remove(int signal) noexcept;
    [[nodiscard]] bool contains(int signal) const noexcept;

    /// Awaitable: the number of a signal that came; of several that are there the lowest. Checkpoint; cancelled, none was taken;
    /// one that was given a signal returns it even if it is cancelled in that tick (R2). Several that wait are served first come,
    /// first served. Throws `closed_resource` if the set goes.
    detail::signal_next next() noexcept EDDY_LIFETIMEBOUND;
    /// The same without waiting.
    [[nodiscard]] std::optional<int> try_next() noexcept;

private:
    friend class detail::signal_next;
    friend class detail::signal_watch;
    void came() noexcept;
    [[nodiscard]] int take() noexcept; // 0: none
    detail::wait_queue waiters_;
    std::uint64_t pending_ = 0; // seen by the loop, not taken
    std::shared_ptr<signal_set*> link_; // null when we are gone: a wait may begin later (R12)
    std::unique_ptr<detail::signal_watch> watch_;
};

// --- implementation

namespace detail {

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] signal_next final : public queued<signal_next> {
public:
    explicit signal_next(signal_set& s) noexcept : queued(s.waiters_), set_(s.link_) {}
    [[nodiscard]] bool try_now() noexcept { return !*set_ || (signal_ = (*set_)->take()) != 0; }
    [[nodiscard]] int take() const;
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "a signal"; }

private:
    friend class eddy::signal_set;
    std::shared_ptr<signal_set*> set_;
    int signal_ = 0; // 0 when it ends: the set is gone
};

} // namespace detail

inline detail::signal_next signal_set::next() noexcept EDDY_LIFETIMEBOUND {
    return detail::signal_next(*this);
}

} // namespace eddy

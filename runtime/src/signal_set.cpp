#include <eddy/signal_set.hpp>

#include <bit>
#include <csignal>
#include <stdexcept>
#include <string>

#include "loop_core.hpp"

namespace eddy {
namespace detail {

/// What the loop looks at, once a tick.
class signal_watch final : public signal_listener {
public:
    explicit signal_watch(signal_set& s) : signal_watch(s, core_of(require_open_loop("signal_set"))) {}
    signal_watch(const signal_watch&) = delete;
    signal_watch& operator=(const signal_watch&) = delete;
    ~signal_watch() {
        if (*home_) core_of(**home_).signal_listeners.erase(*this);
    }
    void came() override { set_.came(); }

private:
    signal_watch(signal_set& s, loop_core& core)
        : signal_listener(core.mail, false), home_(core.link()), set_(s) {
        core.signal_listeners.push_back(*this);
    }
    loop_link home_;
    signal_set& set_;
};

int signal_next::take() const {
    if (signal_ == 0) throw closed_resource("signal_set::next: the set was destroyed meanwhile");
    return signal_;
}

} // namespace detail

namespace {

[[nodiscard]] bool is_fault(int n) noexcept {
    return n == SIGSEGV || n == SIGBUS || n == SIGFPE || n == SIGILL;
}
[[nodiscard]] bool could_be(int n) noexcept {
    return n > 0 && n <= detail::most_signals;
}
[[nodiscard]] int take_lowest(std::uint64_t& pending) noexcept {
    if (pending == 0) return 0;
    const int n = std::countr_zero(pending);
    pending &= pending - 1;
    return n + 1;
}

} // namespace

signal_set::signal_set() : link_(std::make_shared<signal_set*>(this)), watch_(std::make_unique<detail::signal_watch>(*this)) {}
signal_set::signal_set(std::initializer_list<int> signals) : signal_set() {
    for (const int n : signals) add(n);
}
signal_set::~signal_set() {
    watch_.reset();
    *link_ = nullptr;
    while (detail::queued_operation* const w = waiters_.pop_front()) w->grant();
}

void signal_set::add(int signal) {
    if (is_fault(signal)) throw std::invalid_argument("signal_set: signal " + std::to_string(signal) + " is that of a fault, and would come again for ever");
    detail::watch_signal(watch_->slot(), signal);
}
bool signal_set::remove(int signal) noexcept {
    if (!contains(signal)) return false;
    detail::unwatch_signal(watch_->slot(), signal);
    pending_ &= ~detail::signal_bit(signal);
    return true;
}
bool signal_set::contains(int signal) const noexcept {
    return could_be(signal) && (watch_->slot().wanted.load() & detail::signal_bit(signal)) != 0;
}

// Who waits comes first, also before somebody who asks in the tick in which the signal came.
int signal_set::take() noexcept {
    came();
    return take_lowest(pending_);
}
std::optional<int> signal_set::try_next() noexcept {
    const int n = take();
    return n == 0 ? std::nullopt : std::optional<int>(n);
}

void signal_set::came() noexcept {
    pending_ |= watch_->take() & watch_->slot().wanted.load(); // a handler may just have been running when one was removed
    while (auto* const w = static_cast<detail::signal_next*>(waiters_.front())) {
        const int n = take_lowest(pending_);
        if (n == 0) return;
        waiters_.erase(*w);
        w->signal_ = n;
        w->grant();
    }
}

} // namespace eddy

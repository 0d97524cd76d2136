// watch<T>: a value that changes, and tasks that want to know when.
//
//     watch<config> current(load());
//     auto seen = current.subscribe();
//     current.set(load());                             // never waits
//     while (auto c = co_await seen.next()) apply(*c); // std::optional<config>; ends when the watch is closed
//
// Only the latest value counts: a watcher that is busy while it changes three times sees the third. Where every value
// matters there is `broadcast`.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <eddy/detail/reader.hpp>
#include <eddy/errors.hpp>

namespace eddy {

namespace detail {

template <class T>
struct watch_core {
    template <class U>
    explicit watch_core(U&& initial) : value(std::forward<U>(initial)) {}
    T value;
    std::uint64_t version = 0;
    wait_queue waiters_;
    bool closed = false;
};

template <class T>
class watch_reader : public reader_state {
public:
    using value_type = std::optional<T>;
    static constexpr const char* name = "watch";
    explicit watch_reader(std::shared_ptr<watch_core<T>> c) noexcept : core_(std::move(c)), seen_(core_->version) {}
    [[nodiscard]] wait_queue& waiters() const noexcept { return core_->waiters_; }
    [[nodiscard]] bool changed() const noexcept { return seen_ != core_->version; }
    [[nodiscard]] bool ready() const noexcept { return changed() || core_->closed; }
    [[nodiscard]] value_type read() {
        if (!changed()) return std::nullopt;
        value_type v(std::in_place, std::as_const(core_->value));
        seen_ = core_->version;
        return v;
    }
    [[nodiscard]] const T& value() const noexcept { return core_->value; }
    void close() noexcept { close_in(core_->waiters_); }

private:
    std::shared_ptr<watch_core<T>> core_;
    std::uint64_t seen_;
};

} // namespace detail

/// One who watches; move-only, for one consumer at a time. Loop thread only. May outlive the watch.
template <class T>
class watcher {
public:
    watcher(watcher&&) noexcept = default;
    watcher& operator=(watcher&& o) noexcept {
        watcher(std::move(o)).reader_.swap(reader_);
        return *this;
    }
    ~watcher() { close(); }

    /// Awaitable: a copy of the value, once it was set since this watcher subscribed or last got it; nothing when the watch is
    /// closed and the last value was seen. Checkpoint; cancelled, the change counts as not seen; a watcher that was woken
    /// returns the latest value even if it is cancelled in that tick (R2). Throws `busy_resource` if a `next` of this
    /// watcher is outstanding, `closed_resource` if it is closed, before or while it waits.
    detail::reader_next<detail::watch_reader<T>> next() { return detail::reader_next(reader()); }
    /// The latest value, which still counts as not seen. The reference is good until the next `set`.
    [[nodiscard]] const T& get() const { return reader()->value(); }
    /// Would `next` return at once?
    [[nodiscard]] bool changed() const { return reader()->changed(); }
    void close() noexcept {
        if (reader_ && !reader_->closed) reader_->close();
    }

    explicit watcher(std::shared_ptr<detail::watch_reader<T>> r) noexcept : reader_(std::move(r)) {} // for the library

private:
    [[nodiscard]] const std::shared_ptr<detail::watch_reader<T>>& reader() const {
        if (!reader_) detail::throw_logic_error("this watcher is empty (it was moved from)");
        return reader_;
    }
    std::shared_ptr<detail::watch_reader<T>> reader_;
};

/// Setting allocates nothing of its own. Loop thread only; destroying it closes it.
template <class T>
class watch {
    static_assert(std::copy_constructible<T>, "each watcher gets a copy; watch a std::shared_ptr to what cannot be copied");

public:
    template <class U = T>
        requires std::constructible_from<T, U &&>
    explicit watch(U&& initial) : core_(std::make_shared<detail::watch_core<T>>(std::forward<U>(initial))) {}
    watch(const watch&) = delete;
    watch& operator=(const watch&) = delete;
    ~watch() { close(); }

    /// Its first `next` waits for the next change. Throws `std::bad_alloc`.
    [[nodiscard]] watcher<T> subscribe() const { return watcher<T>(std::make_shared<detail::watch_reader<T>>(core_)); }
    [[nodiscard]] const T& get() const noexcept { return core_->value; }
    /// Wakes the watchers that wait. An equal value is a change as well. Throws `closed_resource`, and what assigning a T
    /// throws; nobody is woken then.
    template <class U = T>
    void set(U&& value) {
        if (core_->closed) throw closed_resource("watch::set: the watch was closed");
        core_->value = std::forward<U>(value);
        ++core_->version;
        detail::wake_all(core_->waiters_);
    }
    /// Watchers get the last value if they have not seen it, then the end. Idempotent.
    void close() noexcept {
        core_->closed = true;
        detail::wake_all(core_->waiters_);
    }
    [[nodiscard]] bool closed() const noexcept { return core_->closed; }

private:
    std::shared_ptr<detail::watch_core<T>> core_;
};

} // namespace eddy

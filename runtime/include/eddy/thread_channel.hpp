// thread_sender, thread_receiver: an end of a channel for plain threads, which block where a task would wait.
//
//     auto ch = channel<sample>(16);
//     thread_sender<sample> out(std::move(ch.tx));             // on the loop's thread
//     std::thread t([out = std::move(out)]() mutable {         // … used on any other
//         while (auto s = read_sensor()) out.send(*s);
//     });                                                      // the channel ends when `out` goes
//     while (auto s = co_await ch.rx.next()) …
//
// Between the thread and the channel is a buffer, which a task of the loop's root group empties or fills; a batch costs the
// loop one wake. Virtual time (see <eddy/testing.hpp>) stands still while such an end is open: a thread may use it any time.
// When the loop shuts down, threads that wait get `closed_resource`; what they had sent and was not received by then is
// dropped with the channel, as always.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <eddy/channel.hpp>
#include <eddy/detail/duration.hpp>
#include <eddy/detail/mailbox.hpp>
#include <eddy/event.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/this_task.hpp>

namespace eddy {

namespace detail {

/// The border between threads and a loop, without the items.
class thread_link : public remote_node, public std::enable_shared_from_this<thread_link> {
public:
    using deadline = std::optional<std::chrono::steady_clock::time_point>; // nullopt: never
    thread_link();
    thread_link(const thread_link&) = delete;
    thread_link& operator=(const thread_link&) = delete;

    // --- any thread: the ends
    void opened() noexcept;
    /// The last one closed: the loop's side is told.
    void closed(bool cancel_pump) noexcept;

    // --- loop thread
    /// What the loop's side of the channel came to.
    enum class fate : std::uint8_t { open, ended, broken, failed, loop_closed };
    void pump_starts(any_task self) noexcept;
    void pump_ends(fate f) noexcept;
    /// Set when threads have done something.
    event changed;

protected:
    ~thread_link() = default;
    /// With the lock: throws on the loop's own thread, which would wait for itself.
    void require_other_thread(const char* what) const;
    /// Waits with the lock until `ready()`; false at the deadline.
    template <class Ready>
    bool wait(std::unique_lock<std::mutex>& lock, const deadline& until, Ready ready) {
        if (!until) {
            there_.wait(lock, ready);
            return true;
        }
        return there_.wait_until(lock, *until, ready);
    }
    /// With the lock: makes the loop look, if it waits for that.
    void tell_loop() noexcept;
    void tell_threads() noexcept { there_.notify_all(); }
    [[noreturn]] void throw_fate(const char* what) const;

    mutable std::mutex mutex_;
    std::size_t ends_ = 1; // open ones of the threads
    fate fate_ = fate::open;
    bool loop_waits_ = false; // for an item, or for room

private:
    static void run_wake(remote_node& n);
    void post_wake() noexcept;
    std::condition_variable there_;
    std::shared_ptr<mailbox> mail_;
    std::thread::id loop_thread_ = std::this_thread::get_id(); // with the lock; between runs the loop is nobody's
    std::shared_ptr<thread_link> self_; // while the wake is posted
    bool cancel_pump_ = false;
    any_task pump_; // loop thread only
};

/// The same with the items on their way. Each function may be called where its comment says.
template <class T>
class thread_buffer final : public thread_link {
public:
    explicit thread_buffer(std::size_t capacity) : capacity_(capacity == 0 ? 1 : capacity) {}

    // --- threads, towards the loop
    /// False at the deadline. `item` is moved from only if it returns true.
    template <class U>
    bool send(U&& item, const deadline& until, bool may_block) {
        std::unique_lock lock(mutex_);
        const auto possible = [&] { return fate_ != fate::open || items_.size() < capacity_; };
        if (!possible()) {
            if (!may_block) return false;
            require_other_thread("thread_sender::send");
            if (!wait(lock, until, possible)) return false;
        }
        if (fate_ != fate::open) throw_fate("thread_sender::send");
        items_.push_back(T(std::forward<U>(item)));
        tell_loop();
        return true;
    }
    // --- the loop: what threads sent
    [[nodiscard]] std::optional<T> take_sent() {
        const std::lock_guard lock(mutex_);
        std::optional<T> item = take();
        loop_waits_ = !item;
        return item;
    }
    [[nodiscard]] bool all_sent() const {
        const std::lock_guard lock(mutex_);
        return ends_ == 0 && items_.empty();
    }

    // --- the loop, towards threads
    [[nodiscard]] bool hand_over(T& item) {
        const std::lock_guard lock(mutex_);
        if ((loop_waits_ = items_.size() >= capacity_)) return false;
        items_.push_back(std::move(item));
        tell_threads();
        return true;
    }
    // --- threads: what the loop handed over
    [[nodiscard]] std::optional<T> receive(const deadline& until, bool may_block) {
        std::unique_lock lock(mutex_);
        const auto possible = [&] { return fate_ != fate::open || !items_.empty(); };
        if (!possible() && may_block) {
            require_other_thread("thread_receiver::next");
            static_cast<void>(wait(lock, until, possible));
        }
        if (items_.empty()) {
            if (fate_ == fate::loop_closed || fate_ == fate::failed) throw_fate("thread_receiver::next");
            return std::nullopt;
        }
        std::optional<T> item = take();
        tell_loop();
        return item;
    }
    [[nodiscard]] bool ended() const {
        const std::lock_guard lock(mutex_);
        return fate_ != fate::open && items_.empty();
    }

private:
    [[nodiscard]] std::optional<T> take() { // with the lock
        std::optional<T> item;
        if (items_.empty()) return item;
        item.emplace(std::move(items_.front()));
        items_.pop_front();
        tell_threads();
        return item;
    }
    std::size_t capacity_;
    fifo<T> items_;
};

[[nodiscard]] thread_link::deadline deadline_in(std::chrono::nanoseconds d) noexcept;
[[noreturn]] void throw_empty_thread_end(const char* what);

/// An open end of a thread; counts itself.
template <class T>
class thread_end {
public:
    thread_end(std::shared_ptr<thread_buffer<T>> b, bool cancels) noexcept : buffer_(std::move(b)), cancels_(cancels) {}
    thread_end(thread_end&& o) noexcept : buffer_(std::move(o.buffer_)), cancels_(o.cancels_) {}
    thread_end& operator=(thread_end&& o) noexcept {
        std::swap(buffer_, o.buffer_); // of the same kind: `cancels_` is too
        o.close();
        return *this;
    }
    ~thread_end() { close(); }
    [[nodiscard]] thread_end clone(const char* what) const {
        open(what).opened();
        return thread_end(buffer_, cancels_);
    }
    void close() noexcept {
        if (const auto b = std::exchange(buffer_, nullptr)) b->closed(cancels_);
    }
    [[nodiscard]] bool is_open() const noexcept { return buffer_ != nullptr; }
    [[nodiscard]] const std::shared_ptr<thread_buffer<T>>& buffer() const noexcept { return buffer_; }
    [[nodiscard]] thread_buffer<T>& open(const char* what) const {
        if (!buffer_) throw_empty_thread_end(what);
        return *buffer_;
    }

private:
    std::shared_ptr<thread_buffer<T>> buffer_;
    bool cancels_;
};

} // namespace detail

/// A writing end for threads; move-only, closes itself when it goes. Made on the loop's thread, then used by any one thread at
/// a time, the loop's too; `clone` it for more.
template <class T>
class thread_sender {
public:
    /// Takes the end over; `buffer`: items that may be on their way to the channel (at least one). Throws `std::logic_error`
    /// without a running loop on this thread.
    explicit thread_sender(sender<T> to, std::size_t buffer = 64);

    /// Blocks while the buffer is full. Once it returns the item is on its way, and no error comes for it any more. Throws
    /// `broken_resource` when the last receiver is known to be closed, `closed_resource` when the loop shuts down or this end
    /// was closed, and `std::logic_error` where it would block the loop's own thread; `item` is untouched then. Items are moved
    /// under a lock, so that moving a `T` must not use the same channel.
    template <class U = T>
    void send(U&& item) {
        static_cast<void>(end_.open("thread_sender").send(std::forward<U>(item), std::nullopt, true));
    }
    /// The same for a limited time, in real time; false if there was no room by then.
    template <class U = T, class Rep, class Period>
    bool send_for(U&& item, std::chrono::duration<Rep, Period> limit) {
        return end_.open("thread_sender").send(std::forward<U>(item), detail::deadline_in(detail::to_nanoseconds(limit)), true);
    }
    /// False if the buffer is full. Never blocks. Throws as `send`.
    template <class U = T>
    bool try_send(U&& item) {
        return end_.open("thread_sender").send(std::forward<U>(item), std::nullopt, false);
    }
    [[nodiscard]] thread_sender clone() const { return thread_sender(end_.clone("thread_sender")); }
    /// What was sent still arrives; after the last clone the channel's end is closed. Idempotent.
    void close() noexcept { end_.close(); }
    [[nodiscard]] bool closed() const noexcept { return !end_.is_open(); }

private:
    explicit thread_sender(detail::thread_end<T> e) noexcept : end_(std::move(e)) {}
    detail::thread_end<T> end_;
};

/// A reading end for threads; move-only, closes itself when it goes. Made on the loop's thread, then used by any one thread at
/// a time; `clone` it for more, which share the items.
template <class T>
class thread_receiver {
public:
    /// Takes the end over; `buffer`: items that are fetched from the channel before a thread asks (at least one).
    explicit thread_receiver(receiver<T> from, std::size_t buffer = 64);

    /// Blocks until there is an item; nothing when all senders are closed and every item was taken. Throws `closed_resource`
    /// when the loop shuts down or this end was closed, `std::logic_error` where it would block the loop's own thread.
    [[nodiscard]] std::optional<T> next() { return end_.open("thread_receiver").receive(std::nullopt, true); }
    /// The same for a limited time, in real time; nothing if there was no item by then: see `ended`.
    template <class Rep, class Period>
    [[nodiscard]] std::optional<T> next_for(std::chrono::duration<Rep, Period> limit) {
        return end_.open("thread_receiver").receive(detail::deadline_in(detail::to_nanoseconds(limit)), true);
    }
    /// Nothing if there is no item now. Never blocks. Throws as `next`.
    [[nodiscard]] std::optional<T> try_next() { return end_.open("thread_receiver").receive(std::nullopt, false); }
    /// Will there be no item any more?
    [[nodiscard]] bool ended() const { return end_.open("thread_receiver").ended(); }
    [[nodiscard]] thread_receiver clone() const { return thread_receiver(end_.clone("thread_receiver")); }
    /// After the last clone what was fetched is dropped, and the channel's end is closed. Idempotent.
    void close() noexcept { end_.close(); }
    [[nodiscard]] bool closed() const noexcept { return !end_.is_open(); }

private:
    explicit thread_receiver(detail::thread_end<T> e) noexcept : end_(std::move(e)) {}
    detail::thread_end<T> end_;
};

// --- implementation

namespace detail {

/// Marks the life of the task that moves items: however it ends, the threads are told.
class pumping {
public:
    explicit pumping(thread_link& l, any_task self) noexcept : link_(l) { link_.pump_starts(std::move(self)); }
    pumping(const pumping&) = delete;
    pumping& operator=(const pumping&) = delete;
    ~pumping() { link_.pump_ends(fate); }
    thread_link::fate fate = thread_link::fate::loop_closed;

private:
    thread_link& link_;
};

template <class T>
task<> move_sent(thread_buffer<T>& from, sender<T>& to) {
    while (!from.all_sent()) {
        from.changed.clear();
        std::optional<T> item = from.take_sent();
        if (!item) {
            if (!from.all_sent()) co_await from.changed.wait();
            continue;
        }
        auto sending = to.send(std::move(*item));
        co_await sending;
    }
}
template <class T>
task<> move_received(receiver<T>& from, thread_buffer<T>& to) {
    while (std::optional<T> item = co_await from.next()) {
        for (;;) {
            to.changed.clear();
            if (to.hand_over(*item)) break;
            co_await to.changed.wait();
        }
    }
}

/// Moves items until there are no more; what came in the way is the threads' to know.
inline task<> pump(thread_link& link, task<> moving) {
    pumping life(link, this_task::handle());
    try {
        co_await std::move(moving);
        life.fate = thread_link::fate::ended;
    } catch (const operation_cancelled&) {
        throw;
    } catch (const broken_resource&) {
        life.fate = thread_link::fate::broken;
    } catch (...) {
        life.fate = thread_link::fate::failed;
        throw;
    }
}
template <class T>
task<> pump_to_channel(std::shared_ptr<thread_buffer<T>> from, sender<T> to) {
    co_await pump(*from, move_sent(*from, to));
}
template <class T>
task<> pump_from_channel(receiver<T> from, std::shared_ptr<thread_buffer<T>> to) {
    co_await pump(*to, move_received(from, *to));
}

} // namespace detail

template <class T>
thread_sender<T>::thread_sender(sender<T> to, std::size_t buffer)
    : end_(std::make_shared<detail::thread_buffer<T>>(buffer), false) {
    this_loop().spawn(detail::pump_to_channel<T>(end_.buffer(), std::move(to)), {.name = "thread_sender"});
}
template <class T>
thread_receiver<T>::thread_receiver(receiver<T> from, std::size_t buffer)
    : end_(std::make_shared<detail::thread_buffer<T>>(buffer), true) {
    this_loop().spawn(detail::pump_from_channel<T>(std::move(from), end_.buffer()), {.name = "thread_receiver"});
}

} // namespace eddy

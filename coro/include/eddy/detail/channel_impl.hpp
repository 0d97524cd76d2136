// The state that the ends of a channel share, and their operations.
#pragma once

#include <cstdint>
#include <exception>

#include <eddy/channel.hpp>

namespace eddy::detail {

/// Why a waiting operation was woken without having done its work.
enum class refusal : std::uint8_t { none, closed, broken };

/// Waits in one of the channel's two queues, for one of its ends.
template <class T, class Op>
class channel_operation : public queued<Op> {
protected:
    channel_operation(wait_queue& q, end_ptr<typed_end<T>> e) noexcept : queued<Op>(q), end_(std::move(e)) {}
    channel_operation(channel_operation&&) noexcept = default;
    ~channel_operation() = default;
    [[nodiscard]] channel_core<T>& core() const noexcept { return end_->core; }

    end_ptr<typed_end<T>> end_;
    refusal refused_ = refusal::none;
};

template <class T>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] channel_send final : public channel_operation<T, channel_send<T>> {
public:
    template <class U>
    channel_send(end_ptr<typed_end<T>> e, U&& item)
        : channel_operation<T, channel_send>(e->core.senders_waiting_, e), item_(std::in_place, std::forward<U>(item)) {}
    channel_send(channel_send&&) = default;
    [[nodiscard]] bool try_now() {
        if (this->end_->closed) throw_closed_end("send");
        if (this->core().receivers() == 0) channel_core<T>::throw_broken();
        if (!this->core().accepts()) return false;
        this->core().accept(std::move(*item_));
        item_.reset();
        return true;
    }
    void take() const {
        if (this->refused_ == refusal::closed) throw_closed_end("send");
        if (this->refused_ == refusal::broken) channel_core<T>::throw_broken();
        if (error_) std::rethrow_exception(error_);
    }
    /// The item of an operation that was not awaited, was cancelled or threw. Throws `std::logic_error` if it was sent.
    [[nodiscard]] T take_back() {
        if (!item_) throw_logic_error("take_back: the item was sent");
        T item = std::move(*item_);
        item_.reset();
        return item;
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "channel send"; }

private:
    friend class channel_core<T>;
    std::optional<T> item_;
    std::exception_ptr error_; // of its move, when it was its turn
};

template <class T>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] channel_next final : public channel_operation<T, channel_next<T>> {
public:
    explicit channel_next(end_ptr<typed_end<T>> e) noexcept
        : channel_operation<T, channel_next>(e->core.receivers_waiting_, e) {}
    channel_next(channel_next&& o) noexcept : channel_operation<T, channel_next>(std::move(o)) {} // idle: no item yet
    [[nodiscard]] bool try_now() {
        if (this->end_->closed) throw_closed_end("next");
        return this->core().release_into(item_) || this->core().ended();
    }
    [[nodiscard]] std::optional<T> take() {
        if (this->refused_ == refusal::closed) throw_closed_end("next");
        return std::move(item_);
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "channel next"; }

private:
    friend class channel_core<T>;
    std::optional<T> item_;
};

/// Senders wait only while the buffer is full (with capacity 0: always full), receivers only while it is empty and no sender
/// waits. Lives until the last end is unreferenced; the first two ends are part of it.
template <class T>
class channel_core : public in_frame_memory {
public:
    explicit channel_core(std::size_t capacity) noexcept : capacity_(capacity), first_sender_(*this), first_receiver_(*this) {}
    channel_core(const channel_core&) = delete;
    channel_core& operator=(const channel_core&) = delete;

    [[nodiscard]] typed_end<T>& first_sender() noexcept { return first_sender_; }
    [[nodiscard]] typed_end<T>& first_receiver() noexcept { return first_receiver_; }
    [[nodiscard]] std::size_t receivers() const noexcept { return receivers_; }
    [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
    [[nodiscard]] bool accepts() const noexcept { return !receivers_waiting_.empty() || items_.size() < capacity_; }
    [[nodiscard]] bool ended() const noexcept { return senders_ == 0 && items_.empty(); }

    [[nodiscard]] typed_end<T>* clone_sender() { return clone(senders_); }
    [[nodiscard]] typed_end<T>* clone_receiver() { return clone(receivers_); }

    // Takes an item that there is room for, or a receiver.
    void accept(T&& item) {
        if (auto* next = static_cast<channel_next<T>*>(receivers_waiting_.front())) {
            next->item_.emplace(std::move(item)); // may throw; the receiver then still waits
            receivers_waiting_.erase(*next);
            next->grant();
            return;
        }
        items_.push_back(std::move(item));
    }
    // Takes the oldest item; false if there is none. A waiting sender's then takes its place. Where the move of an item
    // throws that comes out of the buffer, it is still in there.
    [[nodiscard]] bool release_into(std::optional<T>& out) {
        if (!items_.empty()) {
            out.emplace(std::move(items_.front()));
            items_.pop_front();
            serve_sender([&](T&& item) { items_.push_back(std::move(item)); });
        } else {
            serve_sender([&](T&& item) { out.emplace(std::move(item)); });
        }
        return out.has_value();
    }

    void close_sender(typed_end<T>& e) noexcept {
        if (std::exchange(e.closed, true)) return;
        if (e.in_use()) refuse<channel_send<T>>(senders_waiting_, &e, refusal::closed);
        if (--senders_ > 0) return;
        while (queued_operation* r = receivers_waiting_.pop_front()) r->grant(); // without an item: the end
    }
    void close_receiver(typed_end<T>& e) noexcept {
        if (std::exchange(e.closed, true)) return;
        if (e.in_use()) refuse<channel_next<T>>(receivers_waiting_, &e, refusal::closed);
        if (--receivers_ > 0) return;
        refuse<channel_send<T>>(senders_waiting_, nullptr, refusal::broken);
        while (!items_.empty()) items_.pop_front();
    }
    void end_unreferenced(typed_end<T>& e) noexcept {
        if (&e != &first_sender_ && &e != &first_receiver_) delete &e;
        if (--ends_ == 0) delete this;
    }
    [[noreturn]] static void throw_broken() {
        throw broken_resource("channel send: all receivers are closed; the item is still in the operation (take_back)");
    }

private:
    friend class channel_send<T>;
    friend class channel_next<T>;
    ~channel_core() = default;
    /// The first sender whose item can be moved is served; those before it fail with what its move threw, and keep it.
    template <class Take>
    void serve_sender(Take take) noexcept {
        while (auto* const next = static_cast<channel_send<T>*>(senders_waiting_.pop_front())) {
            try {
                take(std::move(*next->item_));
                next->item_.reset();
            } catch (...) {
                next->error_ = std::current_exception();
            }
            next->grant();
            if (!next->error_) return;
        }
    }
    [[nodiscard]] typed_end<T>* clone(std::size_t& open) {
        auto* e = new typed_end<T>(*this);
        ++open;
        ++ends_;
        return e;
    }
    /// Wakes those of one end, or all.
    template <class Op>
    static void refuse(wait_queue& q, const typed_end<T>* e, refusal why) noexcept {
        queued_operation* w = q.front();
        while (w) {
            auto& op = static_cast<Op&>(*w);
            w = wait_queue::next(*w);
            if (e && op.end_.get() != e) continue;
            q.erase(op);
            op.refused_ = why;
            op.grant();
        }
    }

    std::size_t capacity_;
    fifo<T> items_;
    wait_queue senders_waiting_;
    wait_queue receivers_waiting_;
    std::size_t senders_ = 1;   // open ends
    std::size_t receivers_ = 1;
    std::size_t ends_ = 2;      // referenced ends
    typed_end<T> first_sender_;
    typed_end<T> first_receiver_;
};

} // namespace eddy::detail

namespace eddy {

template <class T>
channel_ends<T> channel(std::size_t capacity) {
    static_assert(std::is_object_v<T>, "a channel carries objects; send a std::reference_wrapper for a reference");
    auto* core = new detail::channel_core<T>(capacity);
    return {sender<T>(&core->first_sender()), receiver<T>(&core->first_receiver())};
}

template <class T>
detail::channel_core<T>& sender<T>::open_core() const {
    if (!end_) detail::throw_empty_end("sender");
    if (end_->closed) detail::throw_closed_end("send");
    return end_->core;
}
template <class T>
template <class U>
auto sender<T>::send(U&& item) -> detail::hazard_t<detail::channel_send<T>, U> {
    if (!end_) detail::throw_empty_end("sender");
    return detail::channel_send<T>(end_, std::forward<U>(item));
}
template <class T>
template <class U>
bool sender<T>::try_send(U&& item) {
    detail::channel_core<T>& core = open_core();
    if (core.receivers() == 0) detail::channel_core<T>::throw_broken();
    if (!core.accepts()) return false;
    core.accept(T(std::forward<U>(item)));
    return true;
}
template <class T>
sender<T> sender<T>::clone() const {
    return sender(open_core().clone_sender());
}
template <class T>
void sender<T>::close() noexcept {
    if (end_) end_->core.close_sender(*end_.get());
}

template <class T>
detail::channel_core<T>& receiver<T>::open_core() const {
    if (!end_) detail::throw_empty_end("receiver");
    if (end_->closed) detail::throw_closed_end("receive");
    return end_->core;
}
template <class T>
detail::channel_next<T> receiver<T>::next() {
    if (!end_) detail::throw_empty_end("receiver");
    return detail::channel_next<T>(end_);
}
template <class T>
std::optional<T> receiver<T>::try_receive() {
    detail::channel_core<T>& core = open_core();
    std::optional<T> item;
    static_cast<void>(core.release_into(item));
    return item;
}
template <class T>
receiver<T> receiver<T>::clone() const {
    return receiver(open_core().clone_receiver());
}
template <class T>
void receiver<T>::close() noexcept {
    if (end_) end_->core.close_receiver(*end_.get());
}

} // namespace eddy

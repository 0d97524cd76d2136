// For <eddy/asio.hpp>, and for nobody else: how an awaited operation of Asio's is cancelled.
#pragma once

#include <new>
#include <type_traits>
#include <utility>

#include <asio/cancellation_type.hpp>

#include <eddy/detail/operation_memory.hpp>

namespace eddy::detail {

/// What a cancellation calls, kept in the operation. asio::cancellation_signal would do, but for an allocation each time, and
/// for a cancellation between two steps of a composed operation, when nobody listens: it is remembered for the next step.
class asio_signal {
public:
    class owner {
    public:
        /// A step listens that began after the cancellation. It is not under way yet: `emit` soon, but not from here.
        virtual void listens_late() noexcept = 0;

    protected:
        ~owner() = default;
    };
    explicit asio_signal(owner& o) noexcept : owner_(&o) {}
    asio_signal(const asio_signal&) = delete;
    asio_signal& operator=(const asio_signal&) = delete;
    ~asio_signal() { clear(); }
    void emit(asio::cancellation_type_t type) {
        asked_ = true;
        if (handler_) handler_->call(type);
    }
    [[nodiscard]] bool has_handler() const noexcept { return handler_ != nullptr; }
    void clear() noexcept {
        if (base* const h = std::exchange(handler_, nullptr)) {
            h->~base();
            memory_.give(h);
        }
    }
    template <class H, class... A>
    H& emplace(A&&... args) {
        clear();
        void* const place = memory_.take(sizeof(holder<H>));
        try {
            auto* const h = ::new (place) holder<H>(std::forward<A>(args)...);
            handler_ = h;
            if (asked_) owner_->listens_late();
            return h->handler;
        } catch (...) {
            memory_.give(place);
            throw;
        }
    }

private:
    struct base {
        base() = default;
        base(const base&) = delete;
        base& operator=(const base&) = delete;
        virtual ~base() = default;
        virtual void call(asio::cancellation_type_t type) = 0;
    };
    template <class H>
    struct holder final : base {
        template <class... A>
        explicit holder(A&&... args) : handler(std::forward<A>(args)...) {}
        void call(asio::cancellation_type_t type) override { handler(type); }
        H handler;
    };
    operation_memory<96> memory_;
    base* handler_ = nullptr;
    owner* owner_;
    bool asked_ = false;
};

/// As asio::cancellation_slot.
class asio_slot {
public:
    asio_slot() noexcept = default;
    explicit asio_slot(asio_signal& s) noexcept : signal_(&s) {}
    [[nodiscard]] bool is_connected() const noexcept { return signal_ != nullptr; }
    [[nodiscard]] bool has_handler() const noexcept { return signal_ && signal_->has_handler(); }
    void clear() noexcept {
        if (signal_) signal_->clear();
    }
    template <class H, class... A>
    H& emplace(A&&... args) {
        return signal_->emplace<H>(std::forward<A>(args)...);
    }
    template <class H>
    std::decay_t<H>& assign(H&& h) {
        return this->emplace<std::decay_t<H>>(std::forward<H>(h));
    }
    friend bool operator==(const asio_slot& a, const asio_slot& b) noexcept { return a.signal_ == b.signal_; }

private:
    asio_signal* signal_ = nullptr;
};

} // namespace eddy::detail

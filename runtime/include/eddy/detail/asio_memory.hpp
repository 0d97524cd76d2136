// For <eddy/asio.hpp>: what an awaited operation of Asio's needs from it, kept in the operation.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include <asio/cancellation_type.hpp>

namespace eddy::detail {

/// Room in the operation for what Asio wants while it is in progress; a second or larger piece is from the heap.
template <std::size_t Size>
class asio_memory {
public:
    asio_memory() noexcept = default;
    asio_memory(const asio_memory&) = delete;
    asio_memory& operator=(const asio_memory&) = delete;
    [[nodiscard]] void* take(std::size_t n) {
        if (used_ || n > sizeof room_) return ::operator new(n);
        used_ = true;
        return room_;
    }
    void give(void* p) noexcept {
        if (p != room_) return ::operator delete(p);
        used_ = false;
    }

private:
    alignas(std::max_align_t) std::byte room_[Size];
    bool used_ = false;
};

using asio_operation_memory = asio_memory<320>;

template <class T>
class asio_allocator {
public:
    using value_type = T;
    explicit asio_allocator(asio_operation_memory& m) noexcept : memory(&m) {}
    template <class U>
    asio_allocator(const asio_allocator<U>& o) noexcept : memory(o.memory) {}
    [[nodiscard]] T* allocate(std::size_t n) {
        static_assert(alignof(T) <= alignof(std::max_align_t));
        return static_cast<T*>(memory->take(n * sizeof(T)));
    }
    void deallocate(T* p, std::size_t) noexcept { memory->give(p); }
    friend bool operator==(const asio_allocator& a, const asio_allocator& b) noexcept { return a.memory == b.memory; }
    asio_operation_memory* memory;
};

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
    asio_memory<96> memory_;
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

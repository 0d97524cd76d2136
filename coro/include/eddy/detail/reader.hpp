// One reader of something that has many: what `broadcast` and `watch` have in common.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include <eddy/detail/wait_queue.hpp>
#include <eddy/errors.hpp>

namespace eddy::detail {

[[noreturn]] void throw_reader_busy();
[[noreturn]] void throw_reader_closed();

/// Waits until its reader has something to read. `Reader` provides
///   wait_queue& waiters();  const char* name;  bool ready();      there is a value, or the end
///   value_type read();      the next value, nothing at the end; or throws
template <class Reader>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] reader_next final : public queued<reader_next<Reader>> {
public:
    explicit reader_next(std::shared_ptr<Reader> r) noexcept : queued<reader_next>(r->waiters()), reader_(std::move(r)) {}
    reader_next(reader_next&&) noexcept = default;
    [[nodiscard]] bool try_now() {
        if (reader_->waiter) throw_reader_busy();
        if (reader_->closed) throw_reader_closed();
        if (reader_->ready()) return true;
        reader_->waiter = this; // waiting begins right after this, and cannot fail
        return false;
    }
    bool abort() noexcept override {
        reader_->waiter = nullptr;
        return queued<reader_next>::abort();
    }
    [[nodiscard]] typename Reader::value_type take() {
        reader_->waiter = nullptr;
        if (reader_->closed) throw_reader_closed();
        return reader_->read();
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return Reader::name; }

private:
    std::shared_ptr<Reader> reader_;
};

/// The state of a reader besides its position.
class reader_state {
public:
    bool closed = false;
    queued_operation* waiter = nullptr; // from when it waits until it has its result

protected:
    /// Wakes who waits through this reader; it throws `closed_resource`.
    void close_in(wait_queue& q) noexcept {
        closed = true;
        if (!waiter || !wait_queue::linked(*waiter)) return;
        q.erase(*waiter);
        waiter->grant();
    }
};

inline void wake_all(wait_queue& q) noexcept {
    while (queued_operation* w = q.pop_front()) w->grant();
}

} // namespace eddy::detail

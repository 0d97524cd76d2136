#include "asio_engine.hpp"

#include <unistd.h>

#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/basic_waitable_timer.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>

namespace eddy::detail {
namespace {

using executor = asio::io_context::executor_type;

// With a thousand busy connections the tasks of one batch run before the next batch is received: what a connection uses
// is still in the cache when its task writes the answer (measured: 12 % of the CPU a message).
constexpr int most_handlers_a_poll = 48;

/// Room for some of Asio's wait operations, used again for every wait of one side of a descriptor.
template <std::size_t Slots>
class operation_memory {
public:
    operation_memory() noexcept = default;
    operation_memory(const operation_memory&) = delete;
    operation_memory& operator=(const operation_memory&) = delete;

    [[nodiscard]] void* take(std::size_t n) {
        for (slot& s : slots_) {
            if (s.used || n > sizeof s.room) continue;
            s.used = true;
            return s.room;
        }
        return ::operator new(n);
    }
    void give(void* p) noexcept {
        for (slot& s : slots_) {
            if (p != s.room) continue;
            s.used = false;
            return;
        }
        ::operator delete(p);
    }

private:
    struct slot {
        alignas(std::max_align_t) std::byte room[192];
        bool used = false;
    };
    std::array<slot, Slots> slots_;
};

template <class T, std::size_t Slots>
class memory_allocator {
public:
    using value_type = T;
    template <class U>
    struct rebind {
        using other = memory_allocator<U, Slots>;
    };
    explicit memory_allocator(operation_memory<Slots>& m) noexcept : memory(&m) {}
    template <class U>
    memory_allocator(const memory_allocator<U, Slots>& o) noexcept : memory(o.memory) {}
    [[nodiscard]] T* allocate(std::size_t n) { return static_cast<T*>(memory->take(n * sizeof(T))); }
    void deallocate(T* p, std::size_t) noexcept { memory->give(p); }
    friend bool operator==(const memory_allocator& a, const memory_allocator& b) noexcept { return a.memory == b.memory; }
    operation_memory<Slots>* memory;
};

class asio_engine;

// Lives until it is released and no wait of it is left in Asio. An operation that is cancelled leaves its wait behind:
// the system call is ours, so nothing happens to the operation; the next operation on that side inherits the wait.
class asio_descriptor final : public io_descriptor {
public:
    struct side {
        io_operation* op = nullptr;
        bool waiting = false; // a wait is queued in Asio
        bool drained = false; // the last read left nothing behind: the next one need not try before it waits
        operation_memory<1> memory;
    };
    asio_descriptor(asio_engine& e, asio::io_context& io, int number) : io_descriptor(number), engine(e), handle(io) {}

    asio_engine& engine;
    asio::posix::basic_stream_descriptor<executor> handle;
    side in;
    side out;
    bool released = false;
    asio_descriptor* prev = nullptr;
    asio_descriptor* next = nullptr;
};

struct ready_handler {
    using allocator_type = memory_allocator<void, 1>;
    asio_descriptor* descriptor;
    bool outgoing;
    [[nodiscard]] allocator_type get_allocator() const noexcept {
        return allocator_type(outgoing ? descriptor->out.memory : descriptor->in.memory);
    }
    void operator()(const asio::error_code& ec) const noexcept;
};

class asio_engine final : public engine {
public:
    explicit asio_engine(std::shared_ptr<mailbox> mail)
        : mail_(std::move(mail)), io_(1), work_(io_.get_executor()), wake_(io_, mail_->wake_descriptor()), timer_(io_) {
        watch_wake();
    }
    ~asio_engine() override {
        wake_.release();
        timer_.cancel();
        stopping_ = true;
        for (asio_descriptor* d = all_; d; d = d->next) d->handle.release();
        work_.reset();
        io_.restart();
        io_.poll(); // the aborted waits
        while (asio_descriptor* d = all_) {
            unlink(*d);
            delete d;
        }
    }

    [[nodiscard]] engine_kind kind() const noexcept override { return engine_kind::asio; }

    [[nodiscard]] io_descriptor& adopt(int fd) override {
        auto d = std::make_unique<asio_descriptor>(*this, io_, fd);
        asio::error_code ec;
        d->handle.assign(fd, ec);
        if (ec) throw std::system_error(ec.value(), std::generic_category(), "cannot watch descriptor " + std::to_string(fd));
        d->next = all_;
        if (all_) all_->prev = d.get();
        all_ = d.get();
        return *d.release();
    }
    void release(io_descriptor& base) noexcept override {
        auto& d = static_cast<asio_descriptor&>(base);
        d.released = true;
        d.handle.release(); // aborts what waits
        dispose(d);
    }
    [[nodiscard]] bool start(io_descriptor& base, io_operation& op) override {
        auto& d = static_cast<asio_descriptor&>(base);
        auto& s = is_outgoing(op.opcode) ? d.out : d.in;
        if (!(s.drained && op.opcode == io_opcode::read) && perform(d.fd(), op, false)) {
            note_drained(s, op);
            return true;
        }
        s.op = &op;
        ++pending_;
        wait(d, is_outgoing(op.opcode));
        return false;
    }
    [[nodiscard]] bool cancel(io_descriptor& base, io_operation& op) noexcept override {
        auto& d = static_cast<asio_descriptor&>(base);
        auto& s = is_outgoing(op.opcode) ? d.out : d.in;
        if (s.op == &op) {
            s.op = nullptr;
            --pending_;
        }
        return true;
    }
    void poll(deadline until) override {
        if (until != at_once) wait_for_event(until);
        for (int i = 0; i < most_handlers_a_poll && io_.poll_one() > 0; ++i) {}
    }
    [[nodiscard]] std::size_t pending() const noexcept override { return pending_; }
    [[nodiscard]] int native_handle() const noexcept override { return -1; }

    void ready(asio_descriptor& d, bool outgoing, const asio::error_code& ec) noexcept {
        auto& s = outgoing ? d.out : d.in;
        s.waiting = false;
        ++events_;
        if (d.released || stopping_) {
            if (!stopping_) dispose(d);
            return;
        }
        io_operation* op = s.op;
        if (!op) return; // cancelled meanwhile
        if (ec) {
            op->result = -1;
            op->error = ec.value();
        } else if (!perform(d.fd(), *op, true)) {
            wait(d, outgoing);
            return;
        }
        note_drained(s, *op);
        s.op = nullptr;
        --pending_;
        op->complete(*op);
    }

private:
    // A timer of Asio's, since io_context's own time-outs are rounded up to milliseconds. One that is set for an earlier
    // time stays: deadlines mostly move outwards, and taking back a wait costs more than waking once too early. Neither
    // that nor the handler of a wait that was taken back is an event that the loop waits for.
    void wait_for_event(deadline until) {
        const std::uint64_t before = events_;
        do {
            if (until != never) arm_timer(until);
            io_.run_one();
        } while (events_ == before && (until == never || deadline::clock::now() < until));
    }
    void arm_timer(deadline until) {
        if (timer_set_ && timer_.expiry() <= until) return;
        timer_set_ = false;
        timer_.expires_at(until);
        timer_.async_wait(timer_handler{this});
        timer_set_ = true;
    }
    struct timer_handler {
        using allocator_type = memory_allocator<void, 2>;
        asio_engine* engine;
        [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type(engine->timer_memory_); }
        void operator()(const asio::error_code& ec) const noexcept {
            if (!ec) engine->timer_set_ = false;
        }
    };
    // A short read has emptied the socket. Waiting looks at the socket anew, so what comes meanwhile is not missed.
    static void note_drained(asio_descriptor::side& s, const io_operation& op) noexcept {
        if (op.opcode == io_opcode::read) s.drained = op.result > 0 && static_cast<std::size_t>(op.result) < op.length;
    }
    void wait(asio_descriptor& d, bool outgoing) {
        auto& s = outgoing ? d.out : d.in;
        if (s.waiting) return;
        using base = asio::posix::descriptor_base;
        d.handle.async_wait(outgoing ? base::wait_write : base::wait_read, ready_handler{&d, outgoing});
        s.waiting = true;
    }
    void watch_wake() {
        wake_.async_wait(asio::posix::descriptor_base::wait_read, [this](const asio::error_code& ec) {
            if (ec || stopping_) return;
            ++events_;
            std::uint64_t count = 0;
            while (::read(wake_.native_handle(), &count, sizeof count) > 0) {}
            watch_wake();
        });
    }
    void unlink(asio_descriptor& d) noexcept {
        (d.prev ? d.prev->next : all_) = d.next;
        if (d.next) d.next->prev = d.prev;
    }
    void dispose(asio_descriptor& d) noexcept {
        if (d.in.waiting || d.out.waiting) return;
        unlink(d);
        delete &d;
    }

    std::shared_ptr<mailbox> mail_; // keeps the wake-up descriptor open
    asio::io_context io_;
    asio::executor_work_guard<executor> work_;
    asio::posix::basic_stream_descriptor<executor> wake_;
    using steady_timer = asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, executor>;
    operation_memory<2> timer_memory_; // for the wait that is set, and one that was taken back
    steady_timer timer_;
    bool timer_set_ = false;
    std::uint64_t events_ = 0;
    asio_descriptor* all_ = nullptr;
    std::size_t pending_ = 0;
    bool stopping_ = false;
};

void ready_handler::operator()(const asio::error_code& ec) const noexcept {
    descriptor->engine.ready(*descriptor, outgoing, ec);
}

} // namespace

std::shared_ptr<engine> make_asio_engine(const std::shared_ptr<mailbox>& mail) {
    return std::make_shared<asio_engine>(mail);
}

} // namespace eddy::detail

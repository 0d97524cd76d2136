#include "native_engine.hpp"

#ifdef __linux__

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <eddy/detail/forks.hpp>

#include "asio_engine.hpp"
#include "uring.hpp"

namespace eddy::detail {
namespace {

// With a thousand busy connections the tasks of one batch run before the next batch is received: what a connection uses
// is still in the cache when its task writes the answer.
constexpr int most_events_a_poll = 48;

// Operations on files that are in the page cache are over when they are submitted. Then the set need not be asked each time.
constexpr int most_polls_of_ring_alone = 16;
constexpr auto ring_retry = std::chrono::milliseconds(1);

constexpr std::uint32_t ended = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
constexpr std::uint32_t readable = EPOLLIN | ended;
constexpr std::uint32_t writable = EPOLLOUT | EPOLLHUP | EPOLLERR;

[[noreturn]] void throw_cannot_watch(int error, int fd) {
    throw std::system_error(error, std::generic_category(), "cannot watch descriptor " + std::to_string(fd));
}

class native_descriptor final : public io_descriptor {
public:
    explicit native_descriptor(int number) noexcept : io_descriptor(number) {}
    void set_drained(bool d) noexcept { drained_ = d; }
    void short_read_says(bool empty) noexcept {
        short_read_known = true;
        short_read_empties_ = empty;
    }

    io_operation* in = nullptr;
    io_operation* out = nullptr;
    native_descriptor* next = nullptr; // among those that were released
    bool watches_out = false;
    bool short_read_known = false;
    bool released = false;
};

// After a short read a TCP socket is empty, and what comes then is a new edge. Others stop at a boundary of theirs: a line, a
// message, a descriptor that was passed.
bool is_tcp(int fd) noexcept {
    int protocol = 0;
    socklen_t size = sizeof protocol;
    return ::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 && protocol == IPPROTO_TCP;
}

class native_engine final : public engine {
public:
    native_engine(const std::shared_ptr<mailbox>& mail, engine_host& host) : mail_(mail), host_(&host), set_(::epoll_create1(EPOLL_CLOEXEC)) {
        if (set_ < 0) throw std::system_error(errno, std::generic_category(), "eddy: cannot create a loop's epoll set");
        // Edge-triggered, so that nobody needs to read it: each wake-up is an event of its own.
        if (!change(EPOLL_CTL_ADD, mail_->wake_descriptor(), EPOLLIN, nullptr)) {
            const int error = errno;
            ::close(set_);
            throw std::system_error(error, std::generic_category(), "eddy: cannot watch a loop's wake-up descriptor");
        }
    }
    ~native_engine() override {
        detach();
        for (const native_descriptor* d : by_number_) delete d; // of streams that were left behind
        bury(gone_);
        bury(orphans_);
    }
    void detach() noexcept override {
        if (!std::exchange(host_, nullptr)) return;
        leave();
        if (forked()) static_cast<void>(ring_.release()); // the ring is the parent's
        if (asio_) {
            static_cast<void>(asio_->cancel(*watched_, watch_));
            asio_->release(*watched_);
            asio_->detach();
        }
        ring_.reset();
        ::close(std::exchange(set_, -1));
    }

    [[nodiscard]] engine_kind kind() const noexcept override { return engine_kind::native; }
    [[nodiscard]] io_descriptor& adopt(int fd) override;
    void release(io_descriptor& base) noexcept override;
    [[nodiscard]] bool start(io_descriptor& base, io_operation& op) override;
    [[nodiscard]] bool cancel(io_descriptor& base, io_operation& op) noexcept override {
        auto& d = static_cast<native_descriptor&>(base);
        io_operation*& place = is_outgoing(op.opcode) ? d.out : d.in;
        if (place == &op) {
            place = nullptr;
            --pending_;
        }
        return true;
    }
    void poll(deadline until) override;
    void leave() noexcept override {
        if (slack_ < 0) return;
        ::prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(slack_));
        slack_ = -1;
    }
    [[nodiscard]] std::size_t pending() const noexcept override {
        return pending_ + (asio_ ? asio_->pending() - (watch_waits_ ? 1 : 0) : 0);
    }
    [[nodiscard]] std::uint64_t events() const noexcept override { return events_ + (asio_ ? asio_->events() : 0); }
    [[nodiscard]] bool has_more() const noexcept override { return has_more_ || (ring_ && ring_->has_backlog()) || (asio_ && asio_->has_more()); }
    [[nodiscard]] file_ring* files() noexcept override;
    [[nodiscard]] const file_ring* made_files() const noexcept override { return ring_.get(); }
    [[nodiscard]] int native_handle() noexcept override {
        if (asio_) return -1; // what Asio waits for it would not see
        foreign_driven_ = set_ >= 0;
        return set_;
    }
    [[nodiscard]] bool foreign_driven() const noexcept override { return foreign_driven_; }
    [[nodiscard]] void* asio_context() override;
    void foreign_operation_started() noexcept override { asio_->foreign_operation_started(); }
    void foreign_operation_ended() noexcept override { asio_->foreign_operation_ended(); }

private:
    [[nodiscard]] bool change(int what, int fd, std::uint32_t events, native_descriptor* d) const noexcept {
        epoll_event e{};
        e.events = events | EPOLLET;
        e.data.ptr = d;
        return ::epoll_ctl(set_, what, fd, &e) == 0;
    }
    [[nodiscard]] bool wants_to_wait(native_descriptor& d, io_operation& op);
    void collect(deadline until);
    [[nodiscard]] bool ring_suffices(deadline& until) noexcept;
    void collect_ring() noexcept {
        if (ring_) events_ += ring_->collect();
    }
    void handle(native_descriptor& d, std::uint32_t came) noexcept;
    void handle_side(native_descriptor& d, io_operation*& place) noexcept;
    static void note_drained(native_descriptor& d, const io_operation& op) noexcept;
    [[nodiscard]] int wait(epoll_event* events, deadline until) noexcept;
    [[nodiscard]] int wait_once(epoll_event* events, deadline until) noexcept;
    void make_precise() noexcept;
    void watch_set();
    static void bury(native_descriptor*& list) noexcept {
        while (const native_descriptor* const d = list) {
            list = d->next;
            delete d;
        }
    }

    std::shared_ptr<mailbox> mail_; // keeps the wake-up descriptor open
    engine_host* host_;             // null once the loop is over
    int set_;
    bool has_more_ = false;
    bool collecting_ = false;
    bool foreign_driven_ = false;
    bool has_pwait2_ = true; // Linux 5.11
    int slack_ = -1;         // of this thread's timers, while we have changed it
    std::size_t pending_ = 0;
    std::uint64_t events_ = 0;
    std::vector<native_descriptor*> by_number_; // what is registered
    native_descriptor* gone_ = nullptr;         // released while events were handled, which may name them
    native_descriptor* orphans_ = nullptr;      // released, but perhaps still in the set

    std::unique_ptr<uring> ring_; // for files
    bool ring_decided_ = false;
    int polls_of_ring_alone_ = 0;

    // Once Asio's operations run beside ours: its engine, which does the sleeping then, and our set as a descriptor there.
    std::shared_ptr<engine> asio_;
    io_descriptor* watched_ = nullptr;
    bool watch_waits_ = false;
    struct set_watch final : io_operation {
        bool* waits = nullptr;
    } watch_{};
};

// --- descriptors

io_descriptor& native_engine::adopt(int fd) {
    if (!host_) throw std::logic_error("descriptor " + std::to_string(fd) + " comes too late: its event_loop is gone");
    if (forked()) throw_forked();
    const auto index = static_cast<std::size_t>(fd);
    if (fd >= 0 && index >= by_number_.size()) by_number_.resize(std::max(index + 1, by_number_.size() * 2));
    auto d = std::make_unique<native_descriptor>(fd);
    // A plain file cannot be watched, and need not be: it never keeps anybody waiting.
    if (!change(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP | EPOLLPRI, d.get()) && errno != EPERM) throw_cannot_watch(errno, fd);
    if (native_descriptor* const before = by_number_[index]) { // closed by somebody else, and the number used again
        before->next = std::exchange(orphans_, before);
        before->released = true;
    }
    by_number_[index] = d.get();
    return *d.release();
}

void native_engine::release(io_descriptor& base) noexcept {
    auto& d = static_cast<native_descriptor&>(base);
    if (d.released) return; // its number has gone to another one
    d.released = true;
    by_number_[static_cast<std::size_t>(d.fd())] = nullptr;
    // If it was closed under us and the open file lives on in another process, its events go on.
    const bool out_of_set = set_ < 0 || forked() || change(EPOLL_CTL_DEL, d.fd(), 0, nullptr) || errno == EPERM || errno == ENOENT;
    native_descriptor*& list = out_of_set ? gone_ : orphans_;
    d.next = std::exchange(list, &d);
    if (out_of_set && !collecting_) bury(gone_);
}

bool native_engine::wants_to_wait(native_descriptor& d, io_operation& op) {
    if (!is_outgoing(op.opcode) || d.watches_out) return true;
    if (!forked() && change(EPOLL_CTL_MOD, d.fd(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI, &d)) {
        d.watches_out = true;
        return true;
    }
    op.result = -1;
    op.error = forked() ? EBADF : errno;
    return false;
}

bool native_engine::start(io_descriptor& base, io_operation& op) {
    auto& d = static_cast<native_descriptor&>(base);
    if (!std::exchange(op.tried, false) && !(d.drained() && is_for_bytes(op.opcode)) && perform(d.fd(), op, false)) {
        note_drained(d, op);
        return true;
    }
    if (!host_ || d.released) { // its loop is gone, or the descriptor
        op.result = -1;
        op.error = EBADF;
        return true;
    }
    if (!wants_to_wait(d, op)) return true;
    (is_outgoing(op.opcode) ? d.out : d.in) = &op;
    ++pending_;
    return false;
}

void native_engine::note_drained(native_descriptor& d, const io_operation& op) noexcept {
    if (op.opcode != io_opcode::read) return;
    d.set_drained(false);
    if (op.result <= 0 || static_cast<std::size_t>(op.result) == op.length) return;
    if (!d.short_read_known) d.short_read_says(op.is_socket && is_tcp(d.fd()));
    d.set_drained(d.short_read_empties());
}

// --- events

void native_engine::poll(deadline until) {
    if (!host_) return;
    if (forked()) throw_forked(); // the set would give us the parent's events
    has_more_ = ring_ && ring_suffices(until);
    if (has_more_) return;
    if (asio_) {
        watch_set();
        asio_->poll(watch_waits_ ? until : at_once);
        until = at_once;
    }
    collect(until);
}

void native_engine::collect(deadline until) {
    std::array<epoll_event, most_events_a_poll> events;
    const int n = wait(events.data(), until);
    has_more_ = n == most_events_a_poll;
    collect_ring(); // also when the wait was interrupted: that may have been it
    if (n <= 0) return; // a signal ends the wait too
    collecting_ = true;
    for (int i = 0; i < n; ++i) {
        const epoll_event& e = events[static_cast<std::size_t>(i)];
        ++events_;
        if (e.data.ptr) handle(*static_cast<native_descriptor*>(e.data.ptr), e.events); // null: somebody or the ring has woken us
    }
    collecting_ = false;
    bury(gone_);
}

void native_engine::handle(native_descriptor& d, std::uint32_t came) noexcept {
    if (d.released) return;
    d.set_drained(false);
    // The end, or an urgent mark, is in the queue behind what a short read gives: no new edge would come for it.
    if ((came & (ended | EPOLLPRI)) != 0) d.short_read_says(false);
    if (d.in && (came & readable) != 0) handle_side(d, d.in);
    if (d.out && (came & writable) != 0) handle_side(d, d.out);
}

void native_engine::handle_side(native_descriptor& d, io_operation*& place) noexcept {
    io_operation& op = *place;
    if (only_waits(op.opcode)) {
        op.result = 0;
        op.error = 0;
    } else if (!perform(d.fd(), op, true)) { // somebody else was quicker
        return;
    }
    note_drained(d, op);
    place = nullptr;
    --pending_;
    op.complete(op);
}

// --- waiting

/// How long to sleep first: the kernel lets a wait end by a thousandth late (niced: two hundredth), which of a long one is milliseconds.
std::chrono::nanoseconds first_part(std::chrono::nanoseconds left) noexcept {
    return left > std::chrono::milliseconds(1) ? left - left / 200 : left;
}

timespec to_timespec(std::chrono::nanoseconds d) noexcept {
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(d);
    return {static_cast<time_t>(whole.count()), static_cast<long>((d - whole).count())};
}

int to_milliseconds(std::chrono::nanoseconds d) noexcept {
    return static_cast<int>(std::min<std::chrono::milliseconds::rep>(std::chrono::ceil<std::chrono::milliseconds>(d).count(), INT_MAX));
}

// A thread's timers are by default 50 µs late, for the sake of others that may come with them.
void native_engine::make_precise() noexcept {
    if (slack_ >= 0) return;
    slack_ = ::prctl(PR_GET_TIMERSLACK);
    if (slack_ >= 0) ::prctl(PR_SET_TIMERSLACK, 1UL);
}

// A signal that wants something of the loop has woken it as well.
int native_engine::wait(epoll_event* events, deadline until) noexcept {
    for (;;) {
        const int n = wait_once(events, until);
        if (n > 0 || (n < 0 && errno != EINTR)) return n;
        if (ring_ && ring_->ready()) return 0; // what comes to the ring while we sleep may only interrupt us
        if (n == 0 && (until == at_once || deadline::clock::now() >= until)) return 0;
    }
}

int native_engine::wait_once(epoll_event* events, deadline until) noexcept {
    if (until == at_once) return ::epoll_wait(set_, events, most_events_a_poll, 0);
    if (until == never) return ::epoll_wait(set_, events, most_events_a_poll, -1);
    make_precise();
    const std::chrono::nanoseconds left = std::max<std::chrono::nanoseconds>(until - deadline::clock::now(), std::chrono::nanoseconds(0));
    if (has_pwait2_) {
        const timespec t = to_timespec(first_part(left));
        const auto n = static_cast<int>(::syscall(SYS_epoll_pwait2, set_, events, most_events_a_poll, &t, nullptr, 0));
        if (n >= 0 || errno == EINTR) return n;
        has_pwait2_ = false;
    }
    return ::epoll_wait(set_, events, most_events_a_poll, to_milliseconds(left));
}

// --- files

file_ring* native_engine::files() noexcept {
    if (!host_ || ring_decided_ || forked()) return ring_.get();
    ring_decided_ = true;
    const char* why = nullptr;
    ring_ = make_uring(why);
    if (ring_ && !change(EPOLL_CTL_ADD, ring_->descriptor(), EPOLLIN, nullptr)) {
        why = "its descriptor cannot be watched";
        ring_.reset();
    }
    if (ring_ || why) host_->ring_decided(ring_ != nullptr, why);
    return ring_.get();
}

/// Submits what was collected during the tick. True if so much is over already that nobody has to wait.
bool native_engine::ring_suffices(deadline& until) noexcept {
    const bool all_taken = ring_->submit();
    const std::size_t n = ring_->collect();
    events_ += n;
    if (n > 0) {
        until = at_once;
        if (++polls_of_ring_alone_ < most_polls_of_ring_alone) return true;
    }
    polls_of_ring_alone_ = 0;
    if (!all_taken && until != at_once) until = std::min(until, deadline::clock::now() + ring_retry);
    return false;
}

// --- Asio beside us

void* native_engine::asio_context() {
    if (!host_ || foreign_driven_) return nullptr;
    if (!asio_) {
        auto made = make_asio_engine(mail_, *host_, nullptr);
        watched_ = &made->adopt(set_);
        asio_ = std::move(made);
        watch_.opcode = io_opcode::wait_read;
        watch_.waits = &watch_waits_;
        watch_.complete = [](io_operation& op) noexcept { *static_cast<set_watch&>(op).waits = false; };
    }
    return asio_->asio_context();
}

// Waiting looks at the set anew, so what has come meanwhile is not missed.
void native_engine::watch_set() {
    if (!watch_waits_) watch_waits_ = !asio_->start(*watched_, watch_);
}

} // namespace

bool native_engine_available() noexcept {
    return true;
}

std::shared_ptr<engine> make_native_engine(const std::shared_ptr<mailbox>& mail, engine_host& host) {
    return std::make_shared<native_engine>(mail, host);
}

} // namespace eddy::detail

#else

#include <stdexcept>

namespace eddy::detail {

bool native_engine_available() noexcept {
    return false;
}

std::shared_ptr<engine> make_native_engine(const std::shared_ptr<mailbox>& /*mail*/, engine_host& /*host*/) {
    throw std::invalid_argument("the native engine is for Linux; available here: asio");
}

} // namespace eddy::detail

#endif

// What a TLS stream and the operations on it share: the stream below, the session, and whose turn it is.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <eddy/detail/sole_reader.hpp>
#include <eddy/detail/stream_core.hpp>
#include <eddy/detail/tls_session.hpp>
#include <eddy/detail/torn_write.hpp>
#include <eddy/mutex.hpp>
#include <eddy/spawn.hpp>
#include <eddy/stream.hpp>
#include <eddy/task.hpp>
#include <eddy/tcp.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

namespace eddy::detail {

/// What does not depend on the stream below. Each coroutine that uses a link holds a reference of its own: the stream object
/// may be destroyed while a task waits on it, and that task is still told.
class tls_link_base {
public:
    tls_link_base(tls_session s, std::chrono::nanoseconds limit) noexcept : session(std::move(s)), shutdown_timeout(limit) {}
    tls_link_base(const tls_link_base&) = delete;
    tls_link_base& operator=(const tls_link_base&) = delete;

    [[nodiscard]] bool is_open() const noexcept { return open && !closing; }
    /// Does the peer get nothing that could be sent now?
    [[nodiscard]] bool is_broken() const noexcept { return torn != torn_write::none || lost; }
    void require_open(const char* doing) const;
    void require_writable() const;

    tls_session session;
    std::chrono::nanoseconds shutdown_timeout;
    mutex sending;               // records leave in the order in which they were made
    mutex receiving;             // whoever is in need of input fetches it; the others look what it has brought
    std::uint64_t fetched = 0;   // how often something came
    bool input_ended = false;    // the stream below has
    bool open = true;
    bool closing = false;
    bool reading = false;
    bool flushing = false;       // a task of its own sends what a read made
    int writers = 0;             // that write, or wait for their turn
    bool write_shut = false;
    torn_write torn = torn_write::none; // a cancelled write left half a message, or half a record; a failed one half a message
    std::exception_ptr lost;     // why the stream below took no more

protected:
    ~tls_link_base() = default;
};

class tls_mark {
public:
    explicit tls_mark(bool& b) noexcept : mark_(b) { mark_ = true; }
    tls_mark(const tls_mark&) = delete;
    tls_mark& operator=(const tls_mark&) = delete;
    ~tls_mark() { mark_ = false; }

private:
    bool& mark_;
};

class tls_count {
public:
    explicit tls_count(int& n) noexcept : count_(n) { ++count_; }
    tls_count(const tls_count&) = delete;
    tls_count& operator=(const tls_count&) = delete;
    ~tls_count() { --count_; }

private:
    int& count_;
};

/// One buffer, or several.
class tls_parts {
public:
    using bytes = std::span<const std::byte>;
    explicit tls_parts(bytes one) noexcept : one_(one), size_(1) {}
    explicit tls_parts(std::span<const bytes> many) noexcept : many_(many.data()), size_(many.size()) {}
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bytes operator[](std::size_t i) const noexcept { return many_ ? many_[i] : one_; }

private:
    const bytes* many_ = nullptr;
    bytes one_;
    std::size_t size_;
};

template <class Stream>
class tls_link final : public tls_link_base {
public:
    using pointer = std::shared_ptr<tls_link>;
    tls_link(Stream s, tls_session t, std::chrono::nanoseconds limit) : tls_link_base(std::move(t), limit), below(std::move(s)) {}

    [[nodiscard]] static task<> shake_hands(pointer l);
    /// Into `out`, or into a buffer that `lent` gets as soon as there is something to decrypt.
    [[nodiscard]] static task<std::size_t> read(pointer l, std::span<std::byte> out, borrowed_bytes* lent = nullptr);
    [[nodiscard]] static task<borrowed_bytes> read_borrowed(pointer l);
    [[nodiscard]] static task<> write(pointer l, tls_parts parts);
    [[nodiscard]] static task<> shutdown_write(pointer l);
    [[nodiscard]] static task<> close(pointer l);
    /// At once, without a word.
    void close_now() noexcept;
    void abort() noexcept;
    /// Forgets what came and nobody has read, which would make the close a reset. A stream of TCP does so itself.
    void discard() noexcept {
        if constexpr (!std::is_same_v<Stream, tcp_stream> && requires { { below->native_handle() } -> std::same_as<int>; })
            discard_received(below->native_handle());
    }

    std::optional<Stream> below;

private:
    [[nodiscard]] task<> send_output();
    [[nodiscard]] task<bool> fetch(std::uint64_t seen);
    [[nodiscard]] task<> encrypt(std::span<const std::byte> part);
    [[nodiscard]] task<> say_goodbye();
    static void flush_soon(const pointer& l) noexcept;
    [[nodiscard]] static task<> flush(pointer l);
};

// --- implementation

/// Bytes that are encrypted and sent at a time: what a connection needs of memory does not depend on what is written.
inline constexpr std::size_t tls_write_size = 32 * 1024;

/// Sends everything there is to be sent; the caller has `sending`. What the stream below did not take is lost, and with it
/// the direction: a record cannot be taken back, nor made again.
template <class Stream>
task<> tls_link<Stream>::send_output() {
    while (session.has_output()) {
        require_open("write to");
        const std::span<const std::byte> records = session.take_output();
        try {
            co_await below->write(records);
        } catch (const operation_cancelled&) {
            torn = torn_write::cancelled;
            throw;
        } catch (...) {
            lost = std::current_exception();
            throw;
        }
    }
}

/// Waits until more has come than when `fetched` was `seen`; false at the end.
template <class Stream>
task<bool> tls_link<Stream>::fetch(std::uint64_t seen) {
    const mutex_guard turn = co_await receiving.lock();
    require_open("read from");
    if (fetched != seen) co_return true; // somebody else brought something, perhaps the last there was
    if (input_ended) co_return false;
    borrowed_bytes got;
    if constexpr (async_borrow_stream<Stream>) {
        got = co_await below->read_borrowed();
    } else {
        got = borrowed_bytes::with_room();
        const std::span<std::byte> room = got.room();
        const std::size_t n = co_await below->read_some(room);
        got.set_size(n);
    }
    ++fetched;
    input_ended = got.empty();
    session.received(got.text());
    co_return !input_ended;
}

template <class Stream>
task<> tls_link<Stream>::shake_hands(pointer l) {
    std::exception_ptr refusal;
    for (;;) {
        const std::uint64_t seen = l->fetched;
        auto now = tls_session::step::wants_input;
        try {
            now = l->session.handshake();
        } catch (...) {
            refusal = std::current_exception();
        }
        if (!refusal && now == tls_session::step::done && l->session.is_server()) {
            flush_soon(l); // tickets: a client that does not read yet must not keep us waiting
            co_return;
        }
        try { // nobody else can send yet
            co_await l->send_output();
        } catch (const operation_cancelled&) {
            throw;
        } catch (...) {
            if (!refusal) throw; // else the alert does not arrive
        }
        if (refusal) std::rethrow_exception(refusal);
        if (now == tls_session::step::done) co_return;
        const bool more = co_await l->fetch(seen);
        if (!more) l->session.throw_truncated();
    }
}

template <class Stream>
task<std::size_t> tls_link<Stream>::read(pointer l, std::span<std::byte> out, borrowed_bytes* lent) {
    co_await this_task::checkpoint();
    l->require_open("read from");
    const sole_reader me(l->reading, l->session.peer());
    if (out.empty() && !lent) co_return 0;
    for (;;) {
        const std::uint64_t seen = l->fetched;
        std::size_t n = 0;
        if (lent) {
            *lent = borrowed_bytes::with_room();
            out = lent->room();
        }
        auto now = tls_session::step::wants_input;
        try {
            now = l->session.read(out, n);
        } catch (...) {
            flush_soon(l);
            throw;
        }
        flush_soon(l);
        l->session.limit_output();
        if (now == tls_session::step::done) co_return n;
        if (now == tls_session::step::ended) co_return 0;
        if (lent) *lent = {};
        const bool more = co_await l->fetch(seen);
        l->require_open("read from");
        if (!more) l->session.throw_truncated();
    }
}

template <class Stream>
task<borrowed_bytes> tls_link<Stream>::read_borrowed(pointer l) {
    borrowed_bytes got;
    const std::size_t n = co_await read(std::move(l), {}, &got);
    got.set_size(n);
    co_return got;
}

/// What a read made (an alert, the answer to a message of the peer's) is sent by a task of its own: a read does not wait for
/// room to write.
template <class Stream>
void tls_link<Stream>::flush_soon(const pointer& l) noexcept {
    if (!l->session.has_output() || l->flushing || l->is_broken()) return;
    try {
        eddy::spawn(flush(l), {.name = "tls flush"});
    } catch (...) { // no memory: the next read or write sends it
        return;
    }
    l->flushing = true;
}

template <class Stream>
task<> tls_link<Stream>::flush(pointer l) {
    const tls_mark mark(l->flushing);
    const mutex_guard turn = co_await l->sending.lock();
    try {
        co_await l->send_output();
    } catch (const operation_cancelled&) {
        throw;
    } catch (...) { // the next write throws it
    }
}

template <class Stream>
task<> tls_link<Stream>::encrypt(std::span<const std::byte> part) {
    for (;;) {
        const std::uint64_t seen = fetched;
        const tls_session::step now = session.write(part);
        if (now == tls_session::step::done) co_return;
        const bool more = co_await fetch(seen);
        if (!more) session.throw_truncated();
    }
}

template <class Stream>
task<> tls_link<Stream>::write(pointer l, tls_parts parts) {
    const task_context& self = co_await this_context();
    const tls_count writing(l->writers);
    const mutex_guard turn = co_await l->sending.lock();
    l->require_writable();
    std::size_t made = 0; // into records
    std::size_t sent = 0;
    try {
        for (std::size_t i = 0; i < parts.size(); ++i) {
            for (std::span<const std::byte> rest = parts[i]; !rest.empty();) {
                const std::span<const std::byte> part = rest.first(std::min(tls_write_size - (made - sent), rest.size()));
                co_await l->encrypt(part);
                made += part.size();
                rest = rest.subspan(part.size());
                if (made - sent < tls_write_size) continue;
                co_await l->send_output();
                sent = made;
            }
        }
        if (made > sent) co_await l->send_output();
    } catch (const operation_cancelled&) {
        if (made > 0) l->torn = torn_write::cancelled;
        throw operation_cancelled(self.scope().effective_reason(), sent);
    } catch (...) { // unless the stream below is lost, what is written next would arrive, behind half a message
        if (made > 0 && !l->is_broken()) l->torn = torn_write::failed;
        throw;
    }
}

template <class Stream>
task<> tls_link<Stream>::shutdown_write(pointer l) {
    const tls_count writing(l->writers);
    const mutex_guard turn = co_await l->sending.lock();
    if (l->write_shut && l->is_open() && !l->is_broken()) co_return; // twice does no harm
    l->require_writable();
    l->session.require_sound();
    for (;;) {
        const std::uint64_t seen = l->fetched;
        if (l->session.close_notify() == tls_session::step::done) break;
        const bool more = co_await l->fetch(seen);
        if (!more) l->session.throw_truncated();
    }
    l->write_shut = true;
    co_await l->send_output();
}

/// A close_notify, if nobody is in the middle of a record. The peer's is not waited for (RFC 8446 6.1 allows it).
template <class Stream>
task<> tls_link<Stream>::say_goodbye() {
    if (writers > 0 || is_broken()) co_return;
    const auto farewell = [this](cancel_scope&) -> task<> {
        const mutex_guard turn = co_await sending.lock(); // what a read made may be on its way
        if (is_broken() || (!write_shut && session.close_notify() != tls_session::step::done)) co_return;
        while (open && session.has_output()) {
            const std::span<const std::byte> records = session.take_output();
            co_await below->write(records);
        }
    };
    try {
        if (shutdown_timeout.count() > 0)
            co_await move_on_after(shutdown_timeout, farewell);
        else
            co_await with_scope(farewell);
    } catch (...) { // the peer is gone, or we were cancelled: it is closed in any case, and a cancellation stays (R1)
    }
}

template <class Stream>
task<> tls_link<Stream>::close(pointer l) {
    if (!l) co_return; // of a stream that is empty
    const task_context& self = co_await this_context();
    const bool was_cancelled = self.cancel_pending();
    const bool first = l->open && !std::exchange(l->closing, true);
    if (first && !was_cancelled) {
        try {
            co_await l->say_goodbye();
        } catch (...) { // no memory for it
        }
    }
    if (std::exchange(l->open, false)) {
        l->discard();
        if constexpr (requires { l->below->close(); }) {
            try {
                co_await l->below->close();
            } catch (const operation_cancelled&) { // it is closed; thrown below, or at the next checkpoint
            }
        } else {
            l->below.reset();
        }
    }
    if (was_cancelled) co_await this_task::checkpoint();
}

template <class Stream>
void tls_link<Stream>::close_now() noexcept {
    if (std::exchange(open, false)) discard();
    below.reset();
}

template <class Stream>
void tls_link<Stream>::abort() noexcept {
    if (!std::exchange(open, false)) return;
    if constexpr (requires { below->abort(); })
        below->abort();
    else
        below.reset();
}

} // namespace eddy::detail

#include <eddy/testing_memory_stream.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <eddy/detail/sole_reader.hpp>
#include <eddy/errors.hpp>
#include <eddy/event.hpp>
#include <eddy/mutex.hpp>
#include <eddy/outcome.hpp>
#include <eddy/this_task.hpp>

namespace eddy::testing {
namespace detail_kit {

/// The bytes on their way from one end to the other.
struct memory_pipe {
    std::string bytes;
    std::size_t read = 0; // of them
    bool ended = false;   // no more will come
    bool broken = false;  // a cancelled write left half a message in it
    bool reading = false;
    mutex writers;        // in order, one at a time
    event readable;       // cleared by the one who reads, before it looks
    event writable;       // cleared by the one who writes: each has its own, as a wait may begin a tick later (R12)

    [[nodiscard]] std::size_t size() const noexcept { return bytes.size() - read; }
    void take(std::byte* to, std::size_t n) noexcept {
        if (n == 0) return;
        std::memcpy(to, bytes.data() + read, n);
        read += n;
        if (read < bytes.size() / 2) return;
        bytes.erase(0, read);
        read = 0;
    }
    void tell() noexcept {
        readable.set();
        writable.set();
    }
};

struct memory_connection {
    explicit memory_connection(const memory_stream_options& o) : options(o) {}
    [[nodiscard]] memory_pipe& from(int side) noexcept { return pipes[static_cast<std::size_t>(side)]; }
    [[nodiscard]] memory_pipe& to(int side) noexcept { return pipes[static_cast<std::size_t>(1 - side)]; }
    [[nodiscard]] bool& open_end(int side) noexcept { return open[static_cast<std::size_t>(side)]; }
    void tell() noexcept {
        for (memory_pipe& p : pipes) p.tell();
    }

    memory_stream_options options;
    std::array<memory_pipe, 2> pipes;   // [n]: written by end n
    std::array<bool, 2> open{true, true};
    bool reset = false;
};

namespace {

[[noreturn]] void fail(int error, const char* what) {
    throw std::system_error(error, std::generic_category(), what);
}

/// How many bytes can be taken now; throws what ends reading otherwise.
std::size_t readable(memory_connection& c, int side) {
    if (!c.open_end(side)) throw closed_resource("read from a memory_stream: it was closed on our side");
    memory_pipe& in = c.to(side);
    if (in.size() == 0 && c.reset) fail(ECONNRESET, "read from a memory_stream");
    return std::min(in.size(), c.options.fragment);
}

/// The room there is now; throws what ends writing otherwise.
std::size_t writable(memory_connection& c, int side) {
    memory_pipe& out = c.from(side);
    if (!c.open_end(side)) throw closed_resource("write to a memory_stream: it was closed on our side");
    if (out.broken) throw broken_resource("write to a memory_stream: an earlier write was cancelled half-way");
    if (out.ended) detail::throw_logic_error("write to a memory_stream after shutdown_write");
    if (!c.open_end(1 - side)) fail(c.reset ? ECONNRESET : EPIPE, "write to a memory_stream");
    return c.options.capacity - std::min(c.options.capacity, out.size());
}

/// Until there may be room. A write that is cancelled half-way leaves half a message.
task<> wait_for_room(memory_pipe& out, std::size_t written) {
    const eddy::detail::task_context& self = co_await eddy::detail::this_context();
    auto waiting = out.writable.wait();
    const outcome<> waited = co_await as_result(waiting);
    if (!waited.cancelled()) co_return;
    if (written > 0) out.broken = true;
    throw operation_cancelled(self.scope().effective_reason(), written);
}

} // namespace
} // namespace detail_kit

using detail_kit::memory_connection;
using detail_kit::memory_pipe;

memory_stream::memory_stream() noexcept = default;
memory_stream::memory_stream(std::shared_ptr<memory_connection> c, int side) noexcept : connection_(std::move(c)), side_(side) {}
memory_stream::memory_stream(memory_stream&&) noexcept = default;
memory_stream& memory_stream::operator=(memory_stream&& o) noexcept {
    close_now();
    connection_ = std::move(o.connection_);
    side_ = o.side_;
    return *this;
}
memory_stream::~memory_stream() {
    close_now();
}

const std::shared_ptr<memory_connection>& memory_stream::open_connection(const char* what) const {
    if (!connection_) throw closed_resource(std::string(what) + " a memory_stream that is empty (it was moved from)");
    return connection_;
}

// The connection is kept by each call: the end may go while a task waits on it, and that task is still told.
task<std::size_t> memory_stream::read_some(std::span<std::byte> buffer) {
    const std::shared_ptr<memory_connection> c = open_connection("read from");
    const int side = side_;
    memory_pipe& in = c->to(side);
    co_await this_task::checkpoint();
    const eddy::detail::sole_reader me(in.reading, "this memory_stream");
    for (;;) {
        in.readable.clear();
        const std::size_t n = std::min(detail_kit::readable(*c, side), buffer.size());
        if (n > 0 || in.ended || buffer.empty()) {
            in.take(buffer.data(), n);
            if (n > 0) in.tell();
            co_return n;
        }
        co_await in.readable.wait();
    }
}

task<> memory_stream::write(std::span<const std::byte> bytes) {
    const std::shared_ptr<memory_connection> c = open_connection("write to");
    const int side = side_;
    memory_pipe& out = c->from(side);
    const mutex_guard turn = co_await out.writers.lock();
    std::size_t written = 0;
    for (;;) {
        out.writable.clear();
        const std::size_t n = std::min(detail_kit::writable(*c, side), bytes.size() - written);
        out.bytes.append(reinterpret_cast<const char*>(bytes.data()) + written, n);
        written += n;
        if (n > 0) out.tell();
        if (written == bytes.size()) co_return;
        if (n == 0) co_await detail_kit::wait_for_room(out, written);
    }
}
task<> memory_stream::write(std::string_view text) {
    return write(std::as_bytes(std::span(text.data(), text.size())));
}
task<> memory_stream::write(std::span<const std::span<const std::byte>> buffers) {
    std::string together; // it is copied anyway
    for (const std::span<const std::byte> b : buffers) together.append(reinterpret_cast<const char*>(b.data()), b.size());
    co_await write(std::string_view(together));
}

task<std::size_t> memory_stream::write_some(std::span<const std::byte> bytes) {
    const std::shared_ptr<memory_connection> c = open_connection("write to");
    const int side = side_;
    memory_pipe& out = c->from(side);
    const mutex_guard turn = co_await out.writers.lock();
    for (;;) {
        out.writable.clear();
        const std::size_t n = std::min(detail_kit::writable(*c, side), bytes.size());
        out.bytes.append(reinterpret_cast<const char*>(bytes.data()), n);
        if (n > 0) out.tell();
        if (n > 0 || bytes.empty()) co_return n;
        co_await detail_kit::wait_for_room(out, 0);
    }
}
task<std::size_t> memory_stream::write_some(std::string_view text) {
    return write_some(std::as_bytes(std::span(text.data(), text.size())));
}

task<> memory_stream::shutdown_write() {
    const std::shared_ptr<memory_connection> c = open_connection("shutdown of");
    memory_pipe& out = c->from(side_);
    const mutex_guard turn = co_await out.writers.lock();
    out.ended = true;
    out.tell();
}

task<> memory_stream::close() {
    close_now();
    co_await this_task::checkpoint();
}

void memory_stream::close_now() noexcept {
    if (!connection_ || !std::exchange(connection_->open_end(side_), false)) return;
    connection_->from(side_).ended = true;
    connection_->tell();
}

void memory_stream::abort() noexcept {
    if (!is_open()) return;
    memory_pipe& out = connection_->from(side_);
    out.bytes.clear();
    out.read = 0;
    connection_->reset = true;
    close_now();
}

bool memory_stream::is_open() const noexcept {
    return connection_ && connection_->open_end(side_);
}

memory_streams memory_stream_pair(memory_stream_options options) {
    if (options.fragment == 0 || options.capacity == 0) throw std::invalid_argument("memory_stream_pair: a fragment and the capacity have at least one byte");
    const auto c = std::make_shared<memory_connection>(options);
    return {memory_stream(c, 0), memory_stream(c, 1)};
}

} // namespace eddy::testing

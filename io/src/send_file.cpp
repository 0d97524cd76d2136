#include <eddy/send_file.hpp>

#include <pthread.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <string>
#include <system_error>

#include <eddy/loop_clock.hpp>
#include <eddy/offload.hpp>
#include <eddy/timeout.hpp>

#include "file_handle.hpp"
#include "second_number.hpp"

namespace eddy::detail {
namespace {

constexpr std::size_t most_a_call = 8 << 20; // a cancellation waits for the call that runs

/// What one call did.
class send_step {
public:
    std::size_t sent = 0;
    int error = 0; // errno; EAGAIN: the socket has no room
    bool at_end = false;
};

/// Keeps the SIGPIPE that sendfile and write raise on this thread from everybody: sendfile has no MSG_NOSIGNAL.
class no_sigpipe {
public:
    no_sigpipe() noexcept {
        ::sigemptyset(&sigpipe_);
        ::sigaddset(&sigpipe_, SIGPIPE);
        sigset_t pending;
        ::sigpending(&pending);
        was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
        ::pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
    }
    no_sigpipe(const no_sigpipe&) = delete;
    no_sigpipe& operator=(const no_sigpipe&) = delete;
    ~no_sigpipe() {
        const timespec at_once{};
        while (!was_pending_ && ::sigtimedwait(&sigpipe_, nullptr, &at_once) < 0 && errno == EINTR) {}
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }

private:
    sigset_t sigpipe_{};
    sigset_t before_{};
    bool was_pending_ = false;
};

/// For files that the kernel cannot send by itself.
send_step copy_step(int to, int from, std::uint64_t offset, std::size_t size) {
    std::array<std::byte, 16 * 1024> block; // of the worker's stack
    const auto got = uninterrupted([&] { return ::pread(from, block.data(), std::min(size, block.size()), static_cast<off_t>(offset)); });
    send_step done;
    if (got < 0) done.error = errno;
    if (got == 0) done.at_end = true;
    if (got <= 0) return done;
    const auto n = uninterrupted([&] { return ::write(to, block.data(), static_cast<std::size_t>(got)); });
    if (n < 0)
        done.error = errno;
    else
        done.sent = static_cast<std::size_t>(n);
    return done;
}

send_step send_now(int to, const handle_ptr& h, std::uint64_t offset, std::size_t size) {
    const open_number from(*h);
    const no_sigpipe guard;
    auto at = static_cast<off_t>(offset);
    const auto n = uninterrupted([&] { return ::sendfile(to, from, &at, size); });
    if (n < 0 && (errno == EINVAL || errno == ENOSYS)) return copy_step(to, from, offset, size);
    send_step done;
    if (n < 0)
        done.error = errno;
    else
        done.sent = static_cast<std::size_t>(n);
    done.at_end = n == 0;
    return done;
}

/// Until the socket has room; false if that takes longer than there is time left.
task<bool> wait_for_room(write_turn& turn, room_limit& limit) {
    const loop_clock::time_point begin = loop_clock::now();
    const auto wait = [&turn](cancel_scope&) -> task<> { co_await turn.writable(); };
    const bool in_time = co_await move_on_after(limit.left, wait);
    limit.left -= loop_clock::now() - begin;
    limit.exceeded = !in_time;
    co_return in_time;
}

} // namespace

operation_cancelled after_sending(const operation_cancelled& c, std::size_t sent) {
    if (c.reason().empty()) return operation_cancelled(nullptr, sent);
    return operation_cancelled(std::make_shared<const std::string>(c.reason()), sent);
}

task<std::size_t> send_file_by_kernel(core_ref to, file& file_object, std::uint64_t offset, std::uint64_t size, room_limit* limit) {
    if (!to) throw closed_resource("send_file: this stream has no socket");
    const handle_ptr from = file_object.handle();
    write_turn turn(*to);
    co_await turn.come();
    const second_number socket(to->fd(), "cannot send a file to " + to->name());
    std::uint64_t sent = 0;
    try {
        while (sent < size) {
            const std::size_t most = static_cast<std::size_t>(std::min<std::uint64_t>(size - sent, most_a_call));
            const send_step step = co_await offload(pool(), &send_now, socket.get(), from, offset + sent, most);
            sent += step.sent;
            turn.check();
            if (step.at_end) break;
            if (step.error == EAGAIN && limit) {
                const bool in_time = co_await wait_for_room(turn, *limit);
                if (!in_time) {
                    if (sent > 0) turn.break_off(torn_write::cancelled);
                    break;
                }
            } else if (step.error == EAGAIN) {
                co_await turn.writable();
            } else if (step.error != 0) {
                if (step.error != EPIPE && is_lost_connection(step.error)) turn.lost(step.error);
                throw std::system_error(step.error, std::generic_category(), "sending '" + from->path() + "' to " + to->name());
            }
        }
    } catch (const operation_cancelled& c) {
        if (sent > 0) turn.break_off(torn_write::cancelled);
        throw after_sending(c, static_cast<std::size_t>(sent));
    } catch (...) { // of the connection or of the file, which may be on a network as well: the errno does not tell
        if (sent > 0) turn.break_off(torn_write::failed);
        throw;
    }
    co_return static_cast<std::size_t>(sent);
}

} // namespace eddy::detail

// The seam between the loop and the kernel. See docs/design/engines.md.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace eddy {

/// What drives a loop's I/O. `automatic`: the environment's EDDY_ENGINE, else the best one for the platform.
enum class engine_kind : std::uint8_t { automatic, asio, native, simulated };

namespace detail {

class scheduler;
class file_ring;

enum class io_opcode : std::uint8_t {
    read,
    write,
    write_parts,
    accept,
    connect,
    wait_read,
    wait_write,
    receive_message,
    send_message,
    receive_messages, // as many as are there, at least one
    send_messages,    // as many as fit, at least one
};

/// Does the operation use the descriptor's outgoing side? One operation at a time is in progress on each side.
[[nodiscard]] constexpr bool is_outgoing(io_opcode o) noexcept {
    return o == io_opcode::write || o == io_opcode::write_parts || o == io_opcode::connect || o == io_opcode::wait_write ||
           o == io_opcode::send_message || o == io_opcode::send_messages;
}

/// Is it over as soon as the descriptor is ready?
[[nodiscard]] constexpr bool only_waits(io_opcode o) noexcept {
    return o == io_opcode::wait_read || o == io_opcode::wait_write;
}

/// Is there nothing for it where a read has just emptied the descriptor?
[[nodiscard]] constexpr bool is_for_bytes(io_opcode o) noexcept {
    return o == io_opcode::read || o == io_opcode::wait_read;
}

/// One kernel operation. Lives in the awaiter, untouched by the engine before `start` and after `complete`.
struct io_operation {
    void* buffer = nullptr;     // bytes; sockaddr for accept and connect; msghdr for a message and for parts, mmsghdr[] for several
    std::size_t length = 0;     // bytes; for connect the size of the address; messages
    std::ptrdiff_t result = 0;  // bytes or messages moved, or the accepted descriptor
    void (*complete)(io_operation&) noexcept = nullptr; // on the loop thread, from poll
    int error = 0;              // errno, 0 if it succeeded
    io_opcode opcode = io_opcode::read;
    bool is_socket = false;
    bool tried = false; // just now, by `perform_send`: there is nothing to be had but by waiting
};

/// A descriptor as the engine sees it; engines derive their own. Non-blocking.
class io_descriptor {
public:
    [[nodiscard]] int fd() const noexcept { return fd_; }
    /// The last read left nothing behind, and no event has come since: the next one need not try.
    [[nodiscard]] bool drained() const noexcept { return drained_; }
    /// A read that gives less than was asked for leaves nothing behind, as far as is known.
    [[nodiscard]] bool short_read_empties() const noexcept { return short_read_empties_; }
    /// Reads and writes ask the kernel by its number, so that the engine need not hear of those that need not wait (`perform_send`).
    [[nodiscard]] bool asks_kernel() const noexcept { return asks_kernel_; }
    /// After a read of such a descriptor that the engine knows nothing of.
    void note_read(bool was_short) noexcept { drained_ = was_short; }

protected:
    explicit io_descriptor(int fd) noexcept : fd_(fd) {}
    ~io_descriptor() = default;
    int fd_;
    bool drained_ = false;
    bool short_read_empties_ = false;
    bool asks_kernel_ = true;
};

/// The loop, as an engine sees it that shares its thread with other code.
class engine_host {
public:
    /// Within a handler of an exception: a handler of others threw it.
    virtual void foreign_handler_threw() noexcept = 0;
    /// Others asked that what drives them stops.
    virtual void stop_asked() noexcept = 0;
    /// Operations on files go through a ring, or to the blocking pool: `why`.
    virtual void ring_decided(bool there_is_one, const char* why) noexcept = 0;

protected:
    ~engine_host() = default;
};

class engine {
public:
    engine();
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;
    virtual ~engine();

    [[nodiscard]] virtual engine_kind kind() const noexcept = 0;
    /// Registers a non-blocking descriptor; the caller keeps ownership of the number. Throws `std::system_error`.
    [[nodiscard]] virtual io_descriptor& adopt(int fd) = 0;
    /// Forgets it. No operation may be in progress. The caller closes the number afterwards.
    virtual void release(io_descriptor& d) noexcept = 0;
    /// True if the operation finished at once: `result` and `error` are set and `complete` will not be called.
    [[nodiscard]] virtual bool start(io_descriptor& d, io_operation& op) = 0;
    /// True if the operation is detached and nothing happened; false if `complete` will still be called.
    [[nodiscard]] virtual bool cancel(io_descriptor& d, io_operation& op) noexcept = 0;
    using deadline = std::chrono::steady_clock::time_point;
    static constexpr deadline at_once = deadline::min();
    static constexpr deadline never = deadline::max();
    /// Completes what is ready. Waits for it until `until` at the most, in real time.
    virtual void poll(deadline until) = 0;
    /// Operations in progress.
    [[nodiscard]] virtual std::size_t pending() const noexcept = 0;
    /// A descriptor that becomes readable when `poll` has something to do, for foreign loops; -1 if there is none. Made when it
    /// is first asked for; `foreign_driven` from then on.
    [[nodiscard]] virtual int native_handle() noexcept = 0;
    [[nodiscard]] virtual bool foreign_driven() const noexcept { return false; }
    /// Grows with everything that `poll` handled, of others too: who waited may find something new.
    [[nodiscard]] virtual std::uint64_t events() const noexcept { return 0; }
    /// Did the last `poll` leave something for the next one?
    [[nodiscard]] virtual bool has_more() const noexcept { return false; }
    /// The ring for operations on files, made when it is first asked for; null where there is none.
    [[nodiscard]] virtual file_ring* files() noexcept { return nullptr; }
    /// The same, if it was made.
    [[nodiscard]] virtual const file_ring* made_files() const noexcept { return nullptr; }
    /// Is this a copy, in a process that was forked? The kernel's objects behind it are the parent's: there it only lets go of its memory,
    /// and refuses the rest by `std::logic_error`.
    [[nodiscard]] bool forked() const noexcept;
    /// The loop leaves this thread, for now.
    virtual void leave() noexcept {}
    /// The loop is over. What outlives it can only be released.
    virtual void detach() noexcept {}
    /// The asio::io_context that drives it or runs beside it, or null. For <eddy/asio.hpp>, which counts its operations here. Throws
    /// `std::system_error`.
    [[nodiscard]] virtual void* asio_context() { return nullptr; }
    virtual void foreign_operation_started() noexcept {}
    virtual void foreign_operation_ended() noexcept {}

    /// A descriptor that somebody else owns, adopted while operations on it last: both directions share one registration.
    /// Throws `busy_resource` if the direction is in use.
    [[nodiscard]] io_descriptor& borrow(int fd, bool outgoing);
    void give_back(int fd, bool outgoing) noexcept;
    /// After `start` on a borrowed descriptor: its flags as its owner had set them.
    void restore_flags(int fd) noexcept;

private:
    struct borrowed;
    const unsigned forks_; // when it was made
    void register_borrowed(int fd, io_descriptor*& descriptor, int& duplicate);
    std::unique_ptr<borrowed> borrowed_;
};

/// The engine of the loop behind `s`; shared, since descriptors may outlive the loop.
[[nodiscard]] const std::shared_ptr<engine>& engine_of(scheduler& s) noexcept;

/// Tries the operation on the descriptor once, without blocking. True if it finished, with success or an error.
/// `ready`: the kernel has just reported readiness.
[[nodiscard]] bool perform(int fd, io_operation& op, bool ready) noexcept;

/// The same for a read or a write of a connected socket, the way of most operations, which needs no engine as long as it need not wait.
[[nodiscard]] bool perform_receive(int fd, io_operation& op) noexcept;
[[nodiscard]] bool perform_send(int fd, io_operation& op) noexcept;

} // namespace detail
} // namespace eddy

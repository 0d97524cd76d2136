// A descriptor that eddy owns, and the operations on it: reads one at a time, writes first come first served.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <eddy/detail/engine.hpp>
#include <eddy/detail/forks.hpp>
#include <eddy/detail/operation.hpp>
#include <eddy/detail/ready_list.hpp>
#include <eddy/detail/torn_write.hpp>
#include <eddy/outcome.hpp>

namespace eddy::detail {

class stream_core;

/// Keeps a stream_core in memory, not open. Each operation holds one: the stream object may be destroyed while a task waits
/// on it, and that task is still told what became of its operation. Counted on the loop's thread, so without atomics.
class core_ref {
public:
    core_ref() noexcept = default;
    explicit core_ref(stream_core& c) noexcept;
    core_ref(const core_ref& o) noexcept;
    core_ref(core_ref&& o) noexcept : core_(std::exchange(o.core_, nullptr)) {}
    core_ref& operator=(core_ref o) noexcept {
        std::swap(core_, o.core_);
        return *this;
    }
    ~core_ref();
    [[nodiscard]] explicit operator bool() const noexcept { return core_ != nullptr; }
    [[nodiscard]] stream_core* operator->() const noexcept { return core_; }
    [[nodiscard]] stream_core& operator*() const noexcept { return *core_; }

private:
    stream_core* core_ = nullptr;
};

/// What `as_result` gives: the error, if there is one, else nothing, or the value.
[[nodiscard]] inline outcome<void> outcome_of(std::exception_ptr error) noexcept {
    return error ? outcome<void>(std::move(error)) : outcome<void>();
}
template <class T, class V>
[[nodiscard]] outcome<T> outcome_of(std::exception_ptr error, V&& value) noexcept {
    return error ? outcome<T>(std::move(error)) : outcome<T>(static_cast<T>(std::forward<V>(value)));
}

/// An operation on the incoming side: read, accept.
class incoming_operation : public operation, protected io_operation {
public:
    bool abort() noexcept final;
    bool start();

protected:
    incoming_operation(stream_core& core, io_opcode o) noexcept : core_(core) {
        opcode = o;
        complete = &completed;
    }
    incoming_operation(incoming_operation&& o) noexcept;
    ~incoming_operation() = default;
    [[noreturn]] void throw_error(const char* doing) const;
    [[noreturn]] void throw_closed(const char* doing) const;
    /// For `try_now`: `closed_resource` if it is closed already.
    inline void expect_open(const char* doing) const;
    void note_end() noexcept;
    void check(const char* doing) const {
        if (error != 0 || closed_) [[unlikely]]
            throw_error(doing);
    }
    [[nodiscard]] std::exception_ptr error_pointer(const char* doing) const noexcept;
    /// Nobody reads any more: the place is free for the next one.
    void leave() noexcept;
    core_ref core_;

private:
    friend class stream_core;
    static void completed(io_operation& op) noexcept;
    /// The descriptor was closed; the engine has let go of the operation.
    virtual void core_closed() noexcept { finish(); }
    bool closed_ = false;
};

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] read_operation final : public incoming_operation {
public:
    read_operation(stream_core& core, std::span<std::byte> out) noexcept : incoming_operation(core, io_opcode::read) {
        buffer = out.data();
        length = out.size();
    }
    read_operation(read_operation&&) noexcept = default;
    [[nodiscard]] bool try_now() const;
    bool begin() override { return try_now() || start(); }
    [[nodiscard]] std::size_t take() const {
        check("read from");
        return static_cast<std::size_t>(result);
    }
    [[nodiscard]] outcome<std::size_t> take_outcome() const noexcept { return outcome_of<std::size_t>(error_pointer("read from"), result); }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "read"; }
};

/// An operation on the outgoing side: write, send. One at a time is with the kernel, the others queue behind it.
class outgoing_operation : public operation, protected io_operation {
public:
    bool start();
    bool abort() noexcept final;

protected:
    outgoing_operation(stream_core& core, io_opcode o) noexcept : core_(core) {
        opcode = o;
        complete = &completed;
    }
    outgoing_operation(outgoing_operation&& o) noexcept;
    ~outgoing_operation() = default;
    /// Its turn: goes as far as it can without waiting. True if it is over, with success or an error.
    virtual bool drive() = 0;
    /// Takes what the kernel says into account. True if it is over.
    virtual bool advance() noexcept = 0;
    /// Has a part of it gone out, so that what follows would be taken for the rest?
    [[nodiscard]] virtual bool torn() const noexcept { return false; }
    /// Hands it to the engine. True if that has finished.
    [[nodiscard]] bool submit();
    /// For bytes of a stream. Has the stream no place for them any more, after half a write or behind a shutdown?
    [[nodiscard]] bool refused(bool may_be_shut = false) noexcept;
    /// It is over: if it failed half-way, so is the stream for writing.
    void note_failure() noexcept;
    /// The kernel took some. True if that was the rest, or it failed.
    [[nodiscard]] bool note_written(std::size_t& written, std::size_t all) noexcept;
    [[noreturn]] void throw_closed(const char* doing) const;
    [[noreturn]] void throw_shut(const char* doing) const;
    [[noreturn]] void throw_failed(const char* doing) const;
    /// After it is over: throws if it was closed, refused or failed.
    void check(const char* doing) const {
        if (closed_ || too_late_ || broken_ != torn_write::none || error != 0) [[unlikely]]
            throw_failed(doing);
    }
    /// The same without throwing; null if it succeeded.
    [[nodiscard]] std::exception_ptr error_pointer(const char* doing) const noexcept;
    core_ref core_;
    bool closed_ = false;
    bool driven_ = false; // the engine has it
    bool held_ = false;   // it is over and keeps its place in front of those behind it, until `leave`
    void leave(torn_write how) noexcept;
    /// Closed while it was held.
    virtual void wake() noexcept {}

private:
    friend class stream_core;
    static void completed(io_operation& op) noexcept;
    [[nodiscard]] bool drive_on() noexcept;
    torn_write broken_ = torn_write::none; // refused: what became of a write before it
    bool too_late_ = false;                // refused: after shutdown_write
    list_link<outgoing_operation> link_;

public:
    using list = intrusive_list<outgoing_operation, &outgoing_operation::link_>;
};

/// Writes all bytes, or (`half_close`) ends the writing side once the writes before it are through.
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] write_operation final : public outgoing_operation {
public:
    write_operation(stream_core& core, std::span<const std::byte> bytes) noexcept : outgoing_operation(core, io_opcode::write), bytes_(bytes) {}
    explicit write_operation(stream_core& core) noexcept; // half-close
    write_operation(write_operation&& o) noexcept;
    [[nodiscard]] bool try_now();
    bool begin() override { return try_now() || start(); }
    void take() const { check(doing()); }
    [[nodiscard]] outcome<void> take_outcome() const noexcept { return outcome_of(error_pointer(doing())); }
    /// Bytes that the kernel had taken when the write was cancelled.
    [[nodiscard]] std::size_t partial() const noexcept { return written_; }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "write"; }

private:
    [[nodiscard]] bool try_unusual();
    [[nodiscard]] const char* doing() const noexcept { return half_close_ ? "shutdown of" : "write to"; }
    bool advance() noexcept override;
    bool drive() override;
    [[nodiscard]] bool torn() const noexcept override { return written_ > 0; }
    std::span<const std::byte> bytes_;
    std::size_t written_ = 0;
    bool half_close_ = false;
};

/// Connects the socket to an address.
class connect_operation final : public operation, private io_operation {
public:
    connect_operation(stream_core& core, const void* address, std::size_t size) noexcept;
    connect_operation(connect_operation&& o) noexcept;
    [[nodiscard]] bool try_now() const noexcept { return false; }
    bool start();
    bool begin() override { return start(); }
    bool abort() noexcept override;
    /// 0, or the errno.
    [[nodiscard]] int take() const noexcept { return error; }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "connect"; }

private:
    static void completed(io_operation& op) noexcept;
    core_ref core_;
};

/// Frees the handle at once; a cancellation that was there on entry is thrown after that (R13).
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] close_operation final : public leaf<close_operation> {
public:
    static constexpr bool shielded = true;
    explicit close_operation(core_ref core) noexcept : core_(std::move(core)) {}
    [[nodiscard]] bool try_now();
    bool start() noexcept;
    bool abort() noexcept override { return true; }
    void take();
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "close"; }

private:
    core_ref core_;
    bool was_cancelled_ = false;
};

/// Something to do when a descriptor is closed, while it is still open. Not done if it is given away.
class close_hook {
public:
    close_hook() noexcept = default;
    close_hook(const close_hook&) = delete;
    close_hook& operator=(const close_hook&) = delete;
    virtual ~close_hook() = default;
    virtual void closing() noexcept = 0;
};

class stream_core {
public:
    /// Owns `fd`, which is non-blocking and close-on-exec.
    stream_core(int fd, bool is_socket, std::string name) : next_writer_(*this), fd_(fd), is_socket_(is_socket), name_(std::move(name)) {}
    stream_core(const stream_core&) = delete;
    stream_core& operator=(const stream_core&) = delete;

    [[nodiscard]] int fd() const noexcept { return fd_; }
    [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
    [[nodiscard]] bool is_write_shut() const noexcept { return write_shut_; }
    /// A write that was cancelled or failed left half a message in it: whatever came now would be taken for the rest.
    [[nodiscard]] bool is_write_broken() const noexcept { return torn_ != torn_write::none; }
    /// Do bytes that are written now go to the kernel, and nowhere else?
    [[nodiscard]] bool takes_bytes_now() const noexcept { return fd_ >= 0 && is_socket_ && !write_shut_ && torn_ == torn_write::none && writers_.empty(); }
    /// Later writes would follow a gap: they are refused.
    void tear(torn_write why) noexcept { torn_ = why; }
    /// What error messages call it: "127.0.0.1:80".
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    void set_name(std::string n) { name_ = std::move(n); }

    void set_close_hook(std::unique_ptr<close_hook> hook) noexcept { on_close_ = std::move(hook); }
    /// A connection of TCP: closing it with input that nobody has read resets it, and what was written may not arrive.
    void set_reset_by_unread_input() noexcept { reset_by_unread_input_ = true; }
    /// May a message be sent or received right now, without overtaking anybody who waits?
    [[nodiscard]] bool outgoing_is_free() const noexcept { return writers_.empty(); }
    [[nodiscard]] bool incoming_is_free() const noexcept { return reader_ == nullptr; }

    /// Would a read find nothing, for certain?
    [[nodiscard]] bool known_empty() const noexcept { return descriptor_ && descriptor_->drained(); }

    /// Wakes whoever waits with `closed_resource` and frees the descriptor. Idempotent.
    void close() noexcept;
    /// The same, dropping what the kernel still had to send.
    void abort() noexcept;
    /// Gives the descriptor away; nobody may be waiting.
    [[nodiscard]] int detach() noexcept;
    /// Makes the descriptor known to the task's loop. Throws `closed_resource`, `std::logic_error` for a foreign loop.
    void attach(task_context& t);

private:
    friend class core_ref;
    friend class incoming_operation;
    friend class read_operation;
    friend class borrowed_read_operation;
    friend class outgoing_operation;
    friend class turn_wait;
    friend class write_turn;
    friend class write_operation;
    friend class connect_operation;
    ~stream_core() {
        close();
        next_writer_.unlink();
    }
    void attach_first(const std::shared_ptr<engine>& here);
    [[nodiscard]] io_descriptor& adopt_by(engine& e);
    void write_next() noexcept;
    void forget() noexcept;
    void free_descriptor() noexcept;
    /// In a forked child the connection, its options and what it has received are the parent's.
    [[nodiscard]] bool forked() const noexcept { return forks_ != fork_generation(); }

    // After an aborted write the next one goes on in its own turn: the same cancellation may be about to reach it.
    struct next_writer_node final : ready_node {
        explicit next_writer_node(stream_core& c) noexcept : ready_node(&run_it), core(c) {}
        static void run_it(ready_node& n);
        stream_core& core;
    };
    next_writer_node next_writer_;
    int fd_;
    int duplicate_ = -1; // registered instead of `fd_`, if that was taken
    bool is_socket_;
    bool write_shut_ = false;
    torn_write torn_ = torn_write::none;
    int lost_ = 0; // the errno with which a write learned that the connection is lost
    std::shared_ptr<engine> engine_;
    io_descriptor* descriptor_ = nullptr;
    incoming_operation* reader_ = nullptr;
    outgoing_operation::list writers_;
    std::unique_ptr<close_hook> on_close_;
    std::string name_;
    std::size_t references_ = 0;
    const unsigned forks_ = fork_generation(); // when it was made
    bool reset_by_unread_input_ = false;
    bool wrote_ = false;  // or began to: there may be something that has to arrive
    bool at_end_ = false; // a read got as far as that
};

inline core_ref::core_ref(stream_core& c) noexcept : core_(&c) {
    ++c.references_;
}
inline core_ref::core_ref(const core_ref& o) noexcept : core_(o.core_) {
    if (core_) ++core_->references_;
}
inline core_ref::~core_ref() {
    if (core_ && --core_->references_ == 0) delete core_;
}

inline void incoming_operation::expect_open(const char* doing) const {
    if (!core_->is_open()) [[unlikely]]
        throw_closed(doing);
}

/// What a stream object holds: closes the descriptor when it goes.
class core_owner {
public:
    core_owner() noexcept = default;
    explicit core_owner(core_ref c) noexcept : core_(std::move(c)) {}
    core_owner(core_owner&&) noexcept = default;
    core_owner& operator=(core_owner o) noexcept {
        std::swap(core_, o.core_);
        return *this;
    }
    ~core_owner() {
        if (core_) core_->close();
    }
    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(core_); }
    [[nodiscard]] stream_core* operator->() const noexcept { return core_.operator->(); }
    [[nodiscard]] stream_core& operator*() const noexcept { return *core_; }
    [[nodiscard]] const core_ref& ref() const noexcept { return core_; }

private:
    core_ref core_;
};

/// Owns `fd` from now on, also if it throws.
[[nodiscard]] core_owner make_core(int fd, bool is_socket, std::string name);
/// The same where making the name may fail: `fd` has its owner before that.
template <class F>
    requires std::is_invocable_r_v<std::string, F&>
[[nodiscard]] core_owner make_core(int fd, bool is_socket, F make_name) {
    core_owner core = make_core(fd, is_socket, std::string());
    core->set_name(make_name());
    return core;
}
/// Both ends of something; owns both numbers from now on, also if it throws.
struct core_pair {
    core_owner first;
    core_owner second;
};
[[nodiscard]] core_pair make_core_pair(int first, int second, bool is_socket, std::string_view name);
/// For a descriptor from outside: it stays the caller's if this throws.
[[nodiscard]] core_owner adopt_core(int fd, bool is_socket, std::string name);
/// "connect to /tmp/x: Connection refused", of an errno.
[[nodiscard]] std::system_error io_error(int error, const char* doing, std::string_view name);
/// Throws away what a socket has received, without waiting and within limits: a peer may send for ever.
void discard_received(int fd) noexcept;
/// Makes a descriptor that came from outside what a core needs: non-blocking and close-on-exec. Throws `std::system_error`.
void prepare_descriptor(int fd);

} // namespace eddy::detail

// process: run a program and talk to it.
//
//     auto done = co_await run_process(command("git", "rev-parse", "HEAD"));       // done.status, done.out, done.err
//
//     process p = co_await process::spawn(command("cat", "-n").stdin_pipe().stdout_pipe());
//     auto got = co_await p.communicate("hello\n");                                // got.out, got.status
//
// `run_process` is for a program that belongs to one call: it is fed, read and waited for, and does not survive a cancellation.
// `process` is for one that is talked to, or goes on beside us. Programs are started by posix_spawn on the blocking pool and
// watched through a pidfd (Linux 5.4): there is no handler for SIGCHLD and no thread that waits, and no signal can reach a
// process that has merely got the same number. A child gets the environment, the signal mask of the thread that spawns and the
// default action for SIGPIPE; descriptors above 2 are closed in it. The virtual clock of tests stands still while `communicate` and
// `run_process` wait, as it does for workers. After subprocess of Python's asyncio, and run_process of trio.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <eddy/command.hpp>
#include <eddy/detail/duration.hpp>
#include <eddy/detail/wait_queue.hpp>
#include <eddy/pipe.hpp>
#include <eddy/task.hpp>

namespace eddy {

/// How a process ended (waitid(2)).
class exit_status {
public:
    /// What the program returned; −n if signal n killed it, as in Python; −1000 if that is not known.
    [[nodiscard]] int code() const noexcept { return unknown_ ? -1000 : signal_ > 0 ? -signal_ : code_; }
    [[nodiscard]] bool exited() const noexcept { return !unknown_ && signal_ == 0; }
    [[nodiscard]] bool signaled() const noexcept { return signal_ > 0; }
    /// The signal that killed it, 0 if none did.
    [[nodiscard]] int signal() const noexcept { return signal_; }
    [[nodiscard]] bool core_dumped() const noexcept { return core_dumped_; }
    /// Somebody else collected it (a SIGCHLD that is ignored, a `wait` for any child): it ended, nobody can say how.
    [[nodiscard]] bool unknown() const noexcept { return unknown_; }
    /// It returned 0.
    [[nodiscard]] bool success() const noexcept { return exited() && code_ == 0; }
    [[nodiscard]] explicit operator bool() const noexcept { return success(); }
    /// "exit code 3", "killed by signal 15 (Terminated)".
    [[nodiscard]] std::string to_string() const;
    [[nodiscard]] friend bool operator==(const exit_status&, const exit_status&) noexcept = default;

    // For the library.
    exit_status() noexcept = default; // success
    [[nodiscard]] static exit_status of_code(int code) noexcept;
    [[nodiscard]] static exit_status of_signal(int signal, bool core_dumped) noexcept;
    [[nodiscard]] static exit_status not_known() noexcept;

private:
    int code_ = 0;
    int signal_ = 0;
    bool core_dumped_ = false;
    bool unknown_ = false;
};

/// The process has ended, so it cannot get a signal.
class no_such_process : public std::system_error {
public:
    explicit no_such_process(const std::string& what) : std::system_error(std::make_error_code(std::errc::no_such_process), what) {}
};

/// What `communicate` got. A stream that was not piped is absent, not empty.
class process_output {
public:
    process_output() noexcept = default;
    std::optional<std::string> out;
    std::optional<std::string> err;
    exit_status status;
};

/// A finished program. What went elsewhere (a file, our own terminal) is empty here.
class completed_process {
public:
    completed_process() noexcept = default;
    std::string out;
    std::string err;
    exit_status status;
};

/// Thrown by `run_process` with `check`.
class process_failed : public std::runtime_error {
public:
    process_failed(const command& c, completed_process done);
    [[nodiscard]] const completed_process& result() const noexcept { return *done_; }
    [[nodiscard]] exit_status status() const noexcept { return done_->status; }

private:
    std::shared_ptr<const completed_process> done_;
};

namespace detail {
class process_state;
class started_process;
enum class child_stream : std::uint8_t { in, out, err, terminal };

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] process_wait final : public queued<process_wait> {
public:
    explicit process_wait(std::shared_ptr<process_state> s);
    process_wait(process_wait&&) noexcept = default;
    [[nodiscard]] bool try_now() const;
    [[nodiscard]] exit_status take() const;
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "a process"; }

private:
    std::shared_ptr<process_state> process_; // its object may go meanwhile
};
} // namespace detail

/// Our end of a child's pseudo-terminal: both directions. What the child's terminal echoes and prints comes out here.
class terminal_stream {
public:
    terminal_stream() noexcept = default;
    explicit terminal_stream(detail::core_owner c) noexcept : core_(std::move(c)) {} // for the library
    /// Awaitable: bytes read; 0 once no process has the terminal open (EIO on Linux). Otherwise as `readable_pipe::read_some`.
    task<std::size_t> read_some(std::span<std::byte> buffer);
    /// Awaitable: as `writable_pipe::write`.
    detail::write_operation write(std::span<const std::byte> bytes) { return {core(), bytes}; }
    detail::write_operation write(std::string_view text) { return write(bytes_of(text)); }
    detail::write_operation write(const char* text) { return write(std::string_view(text)); }
    /// Awaitable: as those of `writable_pipe`.
    detail::gather_write_operation write(std::span<const std::span<const std::byte>> buffers) { return {core(), buffers}; }
    detail::write_some_operation write_some(std::span<const std::byte> bytes) { return {core(), bytes}; }
    detail::write_some_operation write_some(std::string_view text) { return write_some(bytes_of(text)); }
    detail::write_some_operation write_some(const char* text) { return write_some(std::string_view(text)); }
    /// Tells the programs on it that it has another size (SIGWINCH). Throws `std::system_error` that names it, `closed_resource`.
    void resize(terminal_size size);
    /// Awaitable: hangs up (SIGHUP); as `readable_pipe::close`.
    detail::close_operation close() noexcept { return detail::close_operation(core_.ref()); }
    [[nodiscard]] bool is_open() const noexcept { return core_ && core_->is_open(); }
    [[nodiscard]] int native_handle() const noexcept { return core_ ? core_->fd() : -1; }

private:
    [[nodiscard]] detail::stream_core& core() const {
        if (!core_) throw closed_resource("this terminal_stream has no terminal");
        return *core_;
    }
    detail::core_owner core_;
};

/// A child process. Move-only. Belongs to the loop that spawned it.
class process {
public:
    process() noexcept;
    process(process&&) noexcept;
    process& operator=(process&&) noexcept;
    /// A process that still runs is killed (its group, if it has one of its own) and collected in the background; debug mode says so.
    ~process();

    /// Awaitable: a running program. Checkpoint; cancelled while it waits for a worker, nothing was started; later, the process
    /// is returned (R2). Throws `std::system_error` that names the program, and the file or directory that is missing: also if
    /// the program cannot be executed.
    [[nodiscard]] static task<process> spawn(command c);

    /// Its number, also after its end. 0: no process.
    [[nodiscard]] int pid() const noexcept;
    /// Awaitable: until the process itself has ended, whoever else still holds its pipes. Any number of tasks may wait, also when
    /// it has ended: all get the same. Checkpoint; cancelled, the process goes on. A process that writes into a pipe which
    /// nobody reads does not end: read, or use `communicate`.
    detail::process_wait wait();
    /// How it ended; nothing while it runs.
    [[nodiscard]] std::optional<exit_status> status();
    [[nodiscard]] bool running() { return !status(); }

    /// Sends a signal. Throws `no_such_process` if it has ended, `std::system_error` if it may not get it (EPERM).
    void signal(int number);
    void terminate(); // SIGTERM
    void kill();      // SIGKILL
    /// To its whole group: for a command with `new_process_group`, `new_session` or `terminal`, else `std::logic_error`.
    void signal_group(int number);
    /// Awaitable: its end. Closes our pipes to it, asks it to end (SIGTERM, to its group if it has its own), and kills it after `grace`.
    /// How it ended; at once if it has already. Checkpoint; cancelled, it may have been asked to end, and is not killed. Throws
    /// `std::system_error` if it may not get a signal (EPERM), `std::logic_error` for an object without a process.
    template <class Rep, class Period>
    task<exit_status> stop(std::chrono::duration<Rep, Period> grace) {
        return stop_within(detail::to_nanoseconds(grace));
    }

    /// Awaitable: writes `input` to its stdin and closes that, reads stdout and stderr to their ends at the same time, and waits.
    /// Only for what is piped; a process that does not read all its input is fine. At most `most` bytes a stream, else
    /// `limit_overrun`. Checkpoint; cancelled, the process goes on, and what was read is lost. Throws `std::logic_error` for input
    /// to a command without `stdin_pipe()`, and for one on a terminal, whose output nobody would read; `closed_resource` for input
    /// when its stdin has been closed. Then nothing was done.
    task<process_output> communicate(std::string input = {}, std::size_t most = static_cast<std::size_t>(-1));

    /// Throw `std::logic_error` if the command did not ask for the pipe.
    [[nodiscard]] writable_pipe& stdin_stream();
    [[nodiscard]] readable_pipe& stdout_stream();
    [[nodiscard]] readable_pipe& stderr_stream();
    [[nodiscard]] terminal_stream& terminal();
    /// Lets it run on after this object's end. Its end is still collected, while the loop runs. Our ends of its pipes and of its
    /// terminal are closed: a program that goes on wants its streams to lead elsewhere.
    void detach() noexcept;

private:
    explicit process(detail::started_process s);
    [[nodiscard]] detail::process_state& state() const;
    task<exit_status> stop_within(std::chrono::nanoseconds grace);
    void close_pipes() noexcept;
    void require_conversation(bool has_input) const;
    void require_stream(detail::child_stream which, const char* what, const char* asked_for_by) const;
    void let_go() noexcept;
    std::shared_ptr<detail::process_state> state_;
    writable_pipe in_;
    readable_pipe out_;
    readable_pipe err_;
    terminal_stream terminal_;
};

struct run_process_options {
    std::string_view input = {}; // for its stdin, copied; stdin is empty otherwise, not ours
    bool check = false;          // throw process_failed unless it returned 0
    std::size_t most = static_cast<std::size_t>(-1); // bytes of output a stream; more: limit_overrun
    std::chrono::nanoseconds grace = std::chrono::seconds(5); // between SIGTERM and SIGKILL when it is cancelled
};

/// Awaitable: runs a program to its end, with stdout and stderr collected unless the command leads them elsewhere. Checkpoint;
/// cancelled (or if anything else fails), the program gets SIGTERM, after `grace` SIGKILL, and is collected before the cancellation
/// goes on; a command with `new_process_group` takes those along that it started. Its output is read until all who hold it have
/// closed it. Throws as `process::spawn`, `process_failed`, `limit_overrun`.
task<completed_process> run_process(command c, run_process_options options = {});

} // namespace eddy

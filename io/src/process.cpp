#include <eddy/process.hpp>

#include <signal.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <tuple>

#include <eddy/buffered_reader.hpp>
#include <eddy/cancel_scope.hpp>
#include <eddy/detail/external_work.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/gather.hpp>
#include <eddy/offload.hpp>
#include <eddy/spawn.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>
#include <eddy/with_cleanup.hpp>

#include "process_state.hpp"

namespace eddy {

using detail::process_state;
using detail::process_wait;

// --- exit_status

exit_status exit_status::of_code(int code) noexcept {
    exit_status s;
    s.code_ = code;
    return s;
}
exit_status exit_status::of_signal(int signal, bool core_dumped) noexcept {
    exit_status s;
    s.signal_ = signal;
    s.core_dumped_ = core_dumped;
    return s;
}
exit_status exit_status::not_known() noexcept {
    exit_status s;
    s.unknown_ = true;
    return s;
}

std::string exit_status::to_string() const {
    if (unknown_) return "ended, and somebody else collected its status";
    if (signal_ == 0) return "exit code " + std::to_string(code_);
    std::string text = "killed by signal " + std::to_string(signal_);
    if (const char* const name = ::sigdescr_np(signal_)) text += std::string(" (") + name + ")";
    return core_dumped_ ? text + ", core dumped" : text;
}

process_failed::process_failed(const command& c, completed_process done)
    : std::runtime_error("'" + c.to_string() + "': " + done.status.to_string()),
      done_(std::make_shared<const completed_process>(std::move(done))) {}

// --- waiting

namespace detail {

process_wait::process_wait(std::shared_ptr<process_state> s) : queued(s->waiters()), process_(std::move(s)) {}

bool process_wait::try_now() const {
    if (!process_->belongs_to(task().loop())) throw std::logic_error("wait: " + process_->name() + " belongs to another loop");
    return process_->look();
}

exit_status process_wait::take() const {
    return *process_->status();
}

namespace {

task<> collect(std::shared_ptr<process_state> s, bool was_killed) {
    std::optional<external_work> soon;
    if (was_killed) soon.emplace(*current().loop);
    process_wait waiting(std::move(s));
    if (was_killed)
        co_await shielded(std::move(waiting));
    else
        co_await waiting;
}

// Where there is no loop that could do it, here and now, if it was killed.
void collect_in_background(std::shared_ptr<process_state> s, bool was_killed) noexcept {
    event_loop* const loop = event_loop::current();
    try {
        if (loop && current().loop && s->belongs_to(*current().loop)) {
            loop->spawn(collect(s, was_killed), {.name = "collects a process"});
            return;
        }
    } catch (const std::exception&) { // the loop is closed, or there is no memory
    }
    if (was_killed) s->collect_blocking();
}

void report_killed(const process_state& s) noexcept {
    event_loop* const loop = event_loop::current();
    if (!loop || !current().loop || !current().loop->debug() || std::uncaught_exceptions() > 0) return;
    try {
        const std::string text = s.name() + " still ran when its object went, and was killed; co_await wait() or stop(), or detach() it";
        loop->call_exception_handler({.message = text, .exception = nullptr});
    } catch (const std::bad_alloc&) { // a report less
    }
}

} // namespace
} // namespace detail

// --- terminal_stream

task<std::size_t> terminal_stream::read_some(std::span<std::byte> buffer) {
    detail::read_operation reading(core(), buffer);
    try {
        co_return co_await reading;
    } catch (const std::system_error& e) {
        if (e.code() != std::errc::io_error) throw;
    }
    co_return 0;
}

void terminal_stream::resize(terminal_size size) {
    const winsize w{size.rows, size.columns, 0, 0};
    if (::ioctl(core().fd(), TIOCSWINSZ, &w) != 0) throw std::system_error(errno, std::generic_category(), "resize " + core().name());
}

// --- process

process::process() noexcept = default;
process::process(process&&) noexcept = default;
process& process::operator=(process&& o) noexcept {
    if (this == &o) return *this;
    let_go();
    state_ = std::move(o.state_);
    in_ = std::move(o.in_);
    out_ = std::move(o.out_);
    err_ = std::move(o.err_);
    terminal_ = std::move(o.terminal_);
    return *this;
}
process::~process() {
    let_go();
}

process::process(detail::started_process s) {
    state_ = std::make_shared<process_state>(s);
    const auto stream = [&](detail::unique_fd& fd, const char* what) {
        std::string name = what + s.name;
        return detail::make_core(fd.release(), false, std::move(name));
    };
    try {
        state_->watch(*detail::current().loop);
        if (s.in) in_ = writable_pipe(stream(s.in, "stdin of "));
        if (s.out) out_ = readable_pipe(stream(s.out, "stdout of "));
        if (s.err) err_ = readable_pipe(stream(s.err, "stderr of "));
        if (s.terminal) terminal_ = terminal_stream(stream(s.terminal, "the terminal of "));
    } catch (...) { // the loop cannot watch it
        if (state_->kill_quietly()) state_->collect_blocking();
        throw;
    }
}

void process::let_go() noexcept {
    const std::shared_ptr<process_state> s = std::move(state_);
    if (!s || s->look()) return;
    detail::report_killed(*s);
    detail::collect_in_background(s, s->kill_quietly());
}

task<process> process::spawn(command c) {
    detail::spawn_plan plan(std::move(c));
    auto starting = offload(this_loop().blocking_pool(), &detail::spawn_now, std::move(plan));
    detail::started_process started = co_await starting;
    co_return process(std::move(started));
}

process_state& process::state() const {
    if (!state_) throw std::logic_error("this process object has no process");
    return *state_;
}

int process::pid() const noexcept {
    return state_ ? state_->pid() : 0;
}
process_wait process::wait() {
    static_cast<void>(state());
    return process_wait(state_);
}
std::optional<exit_status> process::status() {
    state().look();
    return state_->status();
}

void process::signal(int number) {
    state().signal(number);
}
void process::terminate() {
    signal(SIGTERM);
}
void process::kill() {
    signal(SIGKILL);
}
void process::signal_group(int number) {
    state().signal_group(number);
}

void process::close_pipes() noexcept {
    in_.abort();
    out_.abort();
    err_.abort();
}

namespace {

void signal_if_there(process_state& s, int number) {
    try {
        if (s.own_group())
            s.signal_group(number);
        else
            s.signal(number);
    } catch (const no_such_process&) { // that is what was wanted
    }
}

task<exit_status> stop_process(std::shared_ptr<process_state> s, std::chrono::nanoseconds grace) {
    if (!s->look()) {
        signal_if_there(*s, SIGTERM);
        auto waiting = [&s](cancel_scope&) -> task<> {
            process_wait end(s);
            co_await end;
        };
        co_await move_on_after(grace, waiting);
    }
    // A group may have members left that the leader started.
    if (!s->look() || (s->own_group() && !s->status()->unknown())) signal_if_there(*s, SIGKILL);
    const detail::external_work soon(*detail::current().loop);
    process_wait end(s);
    co_return co_await end;
}

/// What is written to a program that reads no more is dropped, as in Python.
task<> feed(writable_pipe& pipe, const std::string& input) {
    if (!pipe.is_open()) co_return;
    try {
        if (!input.empty()) co_await pipe.write(input);
    } catch (const std::system_error& e) {
        if (e.code() != std::errc::broken_pipe) throw;
    }
    co_await pipe.close();
}

task<std::optional<std::string>> read_all(readable_pipe& pipe, std::size_t most) {
    if (!pipe.is_open()) co_return std::nullopt;
    buffered_reader reader(pipe, {.chunk = 64 * 1024});
    std::string text = co_await reader.read_to_end(most);
    co_await pipe.close();
    co_return text;
}

} // namespace

task<exit_status> process::stop_within(std::chrono::nanoseconds grace) {
    static_cast<void>(state());
    const std::shared_ptr<process_state> s = state_; // the object may go meanwhile
    co_await this_task::checkpoint();
    close_pipes();
    co_return co_await stop_process(s, grace);
}

// What could not be fed, or would not be read, is refused before anything is done.
void process::require_conversation(bool has_input) const {
    if (state().has(detail::child_stream::terminal))
        throw std::logic_error("communicate: " + state().name() + " is on a terminal, which it does not read; use terminal()");
    if (!has_input) return;
    require_stream(detail::child_stream::in, "communicate", "stdin_pipe()");
    if (!in_.is_open()) throw closed_resource("communicate: the stdin of " + state().name() + " is closed, and there is input for it");
}

task<process_output> process::communicate(std::string input, std::size_t most) {
    require_conversation(!input.empty());
    const detail::external_work running(*detail::current().loop);
    auto both = gather(read_all(out_, most), read_all(err_, most), feed(in_, input));
    auto texts = co_await std::move(both);
    process_output got;
    got.out = std::move(std::get<0>(texts));
    got.err = std::move(std::get<1>(texts));
    got.status = co_await wait();
    co_return got;
}

void process::require_stream(detail::child_stream which, const char* what, const char* asked_for_by) const {
    if (state().has(which)) return;
    throw std::logic_error(std::string(what) + ": " + state().name() + " has no such pipe; give its command " + asked_for_by);
}
writable_pipe& process::stdin_stream() {
    require_stream(detail::child_stream::in, "stdin_stream", "stdin_pipe()");
    return in_;
}
readable_pipe& process::stdout_stream() {
    require_stream(detail::child_stream::out, "stdout_stream", "stdout_pipe()");
    return out_;
}
readable_pipe& process::stderr_stream() {
    require_stream(detail::child_stream::err, "stderr_stream", "stderr_pipe()");
    return err_;
}
terminal_stream& process::terminal() {
    require_stream(detail::child_stream::terminal, "terminal", "terminal()");
    return terminal_;
}

void process::detach() noexcept {
    close_pipes();
    if (!state_) return;
    state_->forget_group();
    if (!state_->look()) detail::collect_in_background(state_, false);
    state_.reset();
}

// --- run_process

namespace {

void lead_streams(command& c, bool has_input) {
    const auto leads_nowhere = [&](std::size_t i) { return c.parts().streams[i].to == detail::redirection::kind::inherit; };
    if (c.parts().terminal) throw std::invalid_argument("run_process: for a program on a terminal there is process::spawn");
    if (has_input)
        c.stdin_pipe();
    else if (leads_nowhere(0))
        c.stdin_null();
    if (leads_nowhere(1)) c.stdout_pipe();
    if (leads_nowhere(2)) c.stderr_pipe();
}

task<completed_process> run_to_end(command c, std::string input, run_process_options options) {
    process p = co_await process::spawn(c);
    process_output got;
    bool finished = false;
    auto body = [&]() -> task<> {
        got = co_await p.communicate(std::move(input), options.most);
        finished = true;
    };
    auto cleanup = [&]() -> task<> {
        if (!finished) co_await p.stop(options.grace);
    };
    constexpr std::chrono::nanoseconds longest = std::chrono::nanoseconds::max() - std::chrono::seconds(10);
    co_await with_cleanup(body, cleanup, std::min(options.grace, longest) + std::chrono::seconds(10));
    completed_process done;
    if (got.out) done.out = std::move(*got.out);
    if (got.err) done.err = std::move(*got.err);
    done.status = got.status;
    if (options.check && !done.status) throw process_failed(c, std::move(done));
    co_return done;
}

} // namespace

task<completed_process> run_process(command c, run_process_options options) {
    lead_streams(c, !options.input.empty());
    return run_to_end(std::move(c), std::string(options.input), options);
}

} // namespace eddy

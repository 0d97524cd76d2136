#include "loop_core.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <eddy/detail/file_ring.hpp>
#include <eddy/run.hpp>

#include "asio_engine.hpp"
#include "make_engine.hpp"
#include "spin.hpp"

namespace eddy {

loop_clock::time_point loop_clock::now() noexcept {
    if (const detail::scheduler* s = detail::current().loop) return s->now();
    return time_point(std::chrono::steady_clock::now().time_since_epoch());
}

namespace detail {
namespace {

constexpr std::uint64_t most_skipped_polls = 64;
constexpr auto longest_without_poll = std::chrono::microseconds(50);
constexpr auto quick_worker = std::chrono::microseconds(25); // about what it costs to fall asleep and to be woken
constexpr unsigned most_quick_workers = 8;
constexpr auto worker_check = std::chrono::milliseconds(100); // virtual clock, while a worker runs
constexpr auto longest_stall = std::chrono::minutes(1);
constexpr auto still_running_limit = std::chrono::seconds(1); // debug mode: a step that is not over is reported then

void print_warning(const std::string& text) {
    std::fputs(("eddy: " + text + "\n").c_str(), stderr);
}

[[nodiscard]] std::uint64_t to_count(std::chrono::nanoseconds d) noexcept {
    return static_cast<std::uint64_t>(d.count()); // of a clock that never goes back
}

bool debug_wanted(bool option) {
    const char* e = std::getenv("EDDY_DEBUG");
    return option || (e && *e && std::strcmp(e, "0") != 0);
}

} // namespace

const std::shared_ptr<engine>& engine_of(scheduler& s) noexcept {
    return core_of(s).io;
}
const std::shared_ptr<mailbox>& mailbox_of(scheduler& s) noexcept {
    return core_of(s).mail;
}

loop_core::loop_core(event_loop& o, const loop_options& options, void* io_context)
    : owner(o), io(make_engine(options.engine, mail, *this, io_context)), clock(options.clock), thread_id(std::this_thread::get_id()) {
    debug_ = debug_wanted(options.debug);
    busy_poll = options.busy_poll;
    slow_step_limit = options.slow_step;
    if (options.shuffle_seed) shuffle_.emplace(*options.shuffle_seed);
}

loop_core::~loop_core() {
    disconnect();
    io->detach(); // streams may keep it for longer
}

loop_clock::time_point loop_core::now() const noexcept {
    if (clock) return clock->now;
    return loop_clock::time_point(std::chrono::steady_clock::now().time_since_epoch());
}

void loop_core::report(const error_context& e) noexcept {
    const auto handler = exception_handler;
    if (!handler) return print_report(e);
    try {
        (*handler)(e);
    } catch (...) {
        print_report(e);
        print_report({.message = "the exception handler itself failed", .exception = std::current_exception()});
    }
}

loop_core::entered::entered(loop_core& c, nesting n) : core_(c), outer_(current()) {
    thread_state& here = current();
    if (n == nesting::refused) require_no_loop();
    if (c.closed()) throw_logic_error("this event_loop is closed");
    here.loop = &c;
    here.task = nullptr;
    here.locals = nullptr;
    c.thread_ = &here;
    c.running = true;
    c.ticked_ = false;
    c.thread_id.store(std::this_thread::get_id(), std::memory_order_relaxed);
}

loop_core::entered::~entered() {
    if (core_.ticked_) core_.tick_ended(std::chrono::steady_clock::now());
    core_.running = false;
    core_.stop_requested = false;
    core_.io->leave();
    if (core_.io->foreign_driven()) static_cast<void>(core_.mail->prepare_sleep()); // others sleep for us
    core_.thread_ = nullptr;
    current() = outer_;
}

void loop_core::tick_once(wait_policy wait, std::optional<loop_clock::time_point> limit) {
    ++tick_;
    if (clock && std::chrono::steady_clock::now() >= clock->overtime && clock->on_overtime) clock->on_overtime();
    poll_kernel(stop_requested ? wait_policy::no : wait, limit);
    if (!signal_listeners.empty()) [[unlikely]]
        tell_of_signals();
    drain_mail();
    collect_timers();
    const std::uint64_t before = steps_;
    run_batch();
    settled_ = steps_ == before && !io->has_more();
}

int loop_core::native_handle() noexcept {
    if (context_lent_ || closed_) return -1;
    const bool known = io->foreign_driven();
    const int fd = io->native_handle();
    if (fd < 0 || known) return fd;
    if (!running) static_cast<void>(mail->prepare_sleep());
    return fd;
}

void* loop_core::require_io_context() {
    if (io->foreign_driven())
        throw_logic_error("this loop is driven by a foreign loop through native_handle(), which sees nothing of Asio's; run Asio's "
                          "operations on a loop of its own (loop_thread)");
    void* const context = io->asio_context();
    if (!context) throw_logic_error("this loop's engine has no asio::io_context; make the loop with engine_kind::asio");
    context_lent_ = true;
    return context;
}

void loop_core::foreign_handler_threw() noexcept {
    report({.message = "exception in a handler of the io_context that this loop shares", .exception = std::current_exception()});
}

void loop_core::ring_decided(bool there_is_one, const char* why) noexcept {
    if (!debug_) return;
    try {
        print_warning(there_is_one ? "files go through io_uring" : fmt::format("files go to the blocking pool, without io_uring: {}", why));
    } catch (const std::bad_alloc&) { // a line less
    }
}

std::size_t loop_core::ring_operations() const noexcept {
    const file_ring* const r = io->made_files();
    return r ? r->pending() : 0;
}

bool loop_core::signal_pending() const noexcept {
    for (const signal_listener* l = signal_listeners.front(); l; l = signal_listeners.next(*l)) {
        if (l->pending()) return true;
    }
    return false;
}

void loop_core::tell_of_signals() {
    for (signal_listener* l = signal_listeners.front(); l; l = signal_listeners.next(*l)) {
        if (l->pending()) l->came();
    }
}

void loop_core::tick_ended(std::chrono::steady_clock::time_point t) noexcept {
    tick_time_.add(to_count(t - batch_start_));
}

// One look at the clock before a poll, and one after it; a tick without a poll takes one.
void loop_core::poll_kernel(wait_policy wait, std::optional<loop_clock::time_point> limit) {
    using std::chrono::steady_clock;
    const auto t = steady_clock::now();
    if (ticked_) tick_ended(t);
    ticked_ = true;
    batch_start_ = t;
    if (!ready_.empty()) {
        if (skipped_polls_ < most_skipped_polls && t - last_poll_ < longest_without_poll) {
            ++skipped_polls_;
            return;
        }
        wait = wait_policy::no;
    }
    skipped_polls_ = 0;
    ++polls_;
    poll_or_wait(wait, limit);
    last_poll_ = batch_start_ = steady_clock::now(); // what it found ready need not ask again
    if (pool_jobs > 0) learn_how_quick_workers_are(batch_start_ - t);
    poll_time_.add(to_count(batch_start_ - t));
}

void loop_core::poll_or_wait(wait_policy wait, std::optional<loop_clock::time_point> limit) {
    if (wait == wait_policy::no || !mail->empty()) return io->poll(engine::at_once);
    if (clock)
        wait_virtual(limit);
    else
        wait_for_kernel(limit);
}

void loop_core::wait_for_kernel(std::optional<loop_clock::time_point> limit) {
    std::optional<loop_clock::time_point> until = next_timer();
    if (limit && (!until || *limit < *until)) until = limit;
    if (busy_poll.count() > 0 && found_by_spinning(until)) return;
    if (quick_workers_ > 0 && pool_jobs > 0 && worker_was_quick(until)) return;
    if (!mail->prepare_sleep()) return io->poll(engine::at_once);
    io->poll(until ? engine::deadline(until->time_since_epoch()) : engine::never);
    mail->awake();
}

// For programs that buy latency with a core: asks the kernel again and again before the thread sleeps.
bool loop_core::found_by_spinning(std::optional<loop_clock::time_point> until) {
    const loop_clock::time_point end = after(now(), busy_poll);
    loop_clock::time_point t;
    do {
        io->poll(engine::at_once);
        if (!ready_.empty() || !mail->empty() || stop_requested || signal_pending()) return true; // the poll has taken the wake-up
        t = now();
        if (until && *until <= t) return true;
        ++polls_; // another one follows, here or to sleep
    } while (t < end);
    return false;
}

// A call that a worker ends within microseconds is back before this thread could sleep. So it is waited for awake, while that
// pays off: where calls take long, or workers have no core of their own, one wait in vain is followed by fewer and fewer.
bool loop_core::worker_was_quick(std::optional<loop_clock::time_point> until) {
    if (until && *until - now() < quick_worker) return false;
    io->poll(engine::at_once);
    if (!ready_.empty() || stop_requested || signal_pending()) return true;
    return spin_until([&] { return !mail->empty(); });
}

void loop_core::learn_how_quick_workers_are(std::chrono::nanoseconds waited) noexcept {
    if (waited >= quick_worker)
        quick_workers_ /= 2;
    else if (!mail->empty() && quick_workers_ < most_quick_workers)
        ++quick_workers_;
}

// Virtual time passes only when nothing can happen at the present: no pool job is running, and a kernel that has
// operations of ours was silent for a while.
void loop_core::wait_virtual(std::optional<loop_clock::time_point> limit) {
    std::optional<loop_clock::time_point> until = next_timer();
    if (limit && (!until || *limit < *until)) until = limit;
    const auto something_came = [&](std::chrono::nanoseconds real_time) {
        if (!mail->prepare_sleep()) return true;
        const std::uint64_t before = io->events();
        io->poll(std::chrono::steady_clock::now() + real_time);
        mail->awake();
        return io->events() != before || !ready_.empty() || !mail->empty() || stop_requested || signal_pending();
    };
    if (until && *until <= clock->now) return io->poll(engine::at_once);
    if (pool_jobs > 0 || external_work > 0 || ring_operations() > 0) {
        wait_for_worker(something_came(worker_check), until);
        return;
    }
    stalled_since_.reset();
    if (something_came(io->pending() > 0 ? clock->silence : std::chrono::nanoseconds(0))) return;
    if (!clock->settlers.empty()) {
        while (!clock->settlers.empty()) make_ready(clock->settlers.pop_front());
        return;
    }
    if (until && clock->autojump) {
        clock->now = *until;
        return;
    }
    if (something_came(clock->patience)) return;
    if (clock->on_deadlock) clock->on_deadlock();
}

// Time stands still while a worker runs. Shutting down is bounded all the same, and so is a test.
void loop_core::wait_for_worker(bool something_came, std::optional<loop_clock::time_point> until) {
    if (something_came) return stalled_since_.reset();
    const auto t = std::chrono::steady_clock::now();
    if (!stalled_since_) stalled_since_ = t;
    if (shutting_down) {
        const loop_clock::time_point then = clock->now + (t - *stalled_since_);
        clock->now = until ? std::min(*until, then) : then;
        stalled_since_ = t;
    } else if (t - *stalled_since_ >= longest_stall && clock->on_deadlock) {
        stalled_since_.reset();
        clock->on_deadlock();
    }
}

void loop_core::drain_mail() noexcept {
    remote_node* n = mail->take_all();
    while (n) {
        remote_node* const next = n->next;
        ++posts_;
        n->run(*n);
        n = next;
    }
}

void loop_core::collect_timers() {
    if (timers_.empty()) return;
    const loop_clock::time_point t = clock ? clock->now : loop_clock::time_point(batch_start_.time_since_epoch()); // as the tick saw it
    while (timer_node* n = timers_.pop_due(t)) ready_.push_back(*n);
}

void loop_core::run_batch() {
    ready_list batch;
    batch.splice_back(ready_);
    if (shuffle_) shuffle(batch);
    const std::uint64_t steps_before = steps_;
    while (!batch.empty()) {
        ready_node& n = batch.pop_front();
        ++steps_;
        if (debug_) [[unlikely]]
            run_watched(n);
        else
            n.run(n);
    }
    ready_length_.add(steps_ - steps_before);
}

// A debugging aid must not end the program: without memory or threads there is no watchdog.
void loop_core::tell_watchdog(const task_context* t) noexcept {
    try {
        if (!watchdog_) watchdog_ = std::make_unique<watchdog>(still_running_limit, &print_warning);
        watchdog_->step_begins(t ? t->name() : std::string("callback"), t ? t->await_sites() : std::vector<std::source_location>{});
    } catch (const std::exception&) {
    }
}

// Debug mode: a step that held the loop for too long is reported with the task that did it.
void loop_core::run_watched(ready_node& n) {
    task_context* const t = task_context::of(n);
    if (t) t->retain();
    tell_watchdog(t);
    const auto start = std::chrono::steady_clock::now();
    n.run(n);
    if (watchdog_) watchdog_->step_ends();
    const auto took = std::chrono::steady_clock::now() - start;
    longest_step_ = std::max<std::chrono::nanoseconds>(longest_step_, took);
    if (took >= slow_step_limit) {
        const std::string name = t ? t->name() : std::string("callback");
        const std::string text = fmt::format("slow step: held the loop for {} ms{}; move the work to offload()",
                                             std::chrono::duration_cast<std::chrono::milliseconds>(took).count(),
                                             t ? describe_chain(t->await_sites()) : std::string());
        report({.message = text, .exception = nullptr, .task_name = name, .where = t ? t->where() : std::source_location{}});
    }
    if (t) t->release();
}

void loop_core::shuffle(ready_list& batch) {
    shuffle_buffer_.clear();
    try {
        while (!batch.empty()) {
            shuffle_buffer_.push_back(nullptr);
            shuffle_buffer_.back() = &batch.pop_front();
        }
    } catch (const std::bad_alloc&) { // the rest keeps its order
    }
    std::shuffle(shuffle_buffer_.begin(), shuffle_buffer_.end(), *shuffle_);
    for (ready_node* n : shuffle_buffer_) batch.push_back(*n);
}

loop_stats loop_core::stats() const noexcept {
    loop_stats s;
    s.ticks = tick_;
    s.steps = steps_;
    s.polls = polls_;
    s.posts = posts_;
    s.tasks = task_count_;
    s.timers = timers_.size();
    s.pending_operations = io->pending();
    s.pool_jobs = pool_jobs;
    s.longest_step = longest_step_;
    s.ready_length = ready_length_;
    s.tick_time = tick_time_;
    s.poll_time = poll_time_;
    s.engine = io->kind();
    s.ring_operations = ring_operations();
    if (const file_ring* const r = io->made_files()) {
        s.files = r->supports(ring_opcode::read) ? file_back_end::ring : file_back_end::pool;
        s.ring_submissions = r->submissions();
    }
    return s;
}

} // namespace detail
} // namespace eddy

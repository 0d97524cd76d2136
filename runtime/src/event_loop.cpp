#include <eddy/event_loop.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <mutex>

#include <eddy/detail/look_up_pool.hpp>
#include <eddy/detail/task_context.hpp>
#include <eddy/run.hpp>
#include <eddy/worker_pool.hpp>

#include <fmt/format.h>

#include "loop_core.hpp"

namespace eddy {

using detail::core_of;
using detail::loop_core;

// --- callbacks

namespace detail {

callback_base::callback_base() noexcept : timer_node(&run_ready), remote_node(&run_remote) {}

void callback_base::run_ready(ready_node& n) {
    auto& c = static_cast<callback_base&>(static_cast<timer_node&>(n));
    scheduler& s = *c.loop;
    try {
        const locals_entered here(c.locals_);
        if (!c.cancelled) c.invoke();
    } catch (...) {
        s.report({.message = "exception in a callback", .exception = std::current_exception()});
    }
    c.loop = nullptr;
    c.drop();
    c.release();
}

void callback_base::run_remote(remote_node& n) {
    auto& c = static_cast<callback_base&>(n);
    c.loop->make_ready(c);
}

void callback_base::discard_if_callback(timer_node& n) noexcept {
    if (n.run != &run_ready) return;
    auto& c = static_cast<callback_base&>(n);
    c.loop = nullptr;
    c.drop();
    c.release();
}

} // namespace detail

callback_handle::callback_handle(detail::callback_base* c) noexcept : callback_(c) {
    if (c) c->retain();
}
callback_handle::callback_handle(const callback_handle& o) noexcept : callback_handle(o.callback_) {}
callback_handle::~callback_handle() {
    if (callback_) callback_->release();
}
void callback_handle::cancel() noexcept {
    detail::callback_base* const c = callback_; // this handle may live in what the callable owns
    if (!c || c->cancelled) return;
    c->cancelled = true;
    if (!c->loop) return; // it ran, or its loop is gone
    const bool queued = c->linked() || c->position != detail::timer_node::idle;
    if (!queued) return; // it is running now
    std::exchange(c->loop, nullptr)->disarm(*c);
    c->drop();
    c->release();
}
bool callback_handle::cancelled() const noexcept {
    return callback_ && callback_->cancelled;
}
loop_clock::time_point callback_handle::when() const noexcept {
    return callback_ ? callback_->when : loop_clock::time_point{};
}

// --- event_loop

namespace {

// A write to a peer that is gone is an error of that write; it must not end the process. Sockets say so per call, but
// pipes cannot, nor can the libraries beside us.
void ignore_sigpipe() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction now {};
        if (::sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) ::signal(SIGPIPE, SIG_IGN);
    });
}

// Frames that still wait are never resumed and never destroyed (R16); what they refer to stays as well. Kept reachable,
// so that leak checkers tell this decision from an accident.
void leave_behind(std::unique_ptr<loop_core> core) {
    static std::mutex mutex;
    static auto& abandoned = *new std::vector<std::unique_ptr<loop_core>>;
    const std::lock_guard lock(mutex);
    abandoned.push_back(std::move(core));
}

} // namespace

event_loop::event_loop(const loop_options& options, void* io_context) : core_(std::make_unique<loop_core>(*this, options, io_context)) {
    ignore_sigpipe();
}

event_loop::~event_loop() {
    try {
        if (!core_->io->forked()) close(); // in a forked child the tasks are copies of the parent's, and are left where they are
    } catch (const std::exception& e) {
        fmt::print(stderr, "eddy: while an event_loop was destroyed: {}\n", e.what());
    }
    if (core_->task_count() == 0 && !core_->running) return;
    // An io_context of others must be rid of us. Destroyed by one of its own callbacks, the loop is still on the stack below us.
    if (!core_->running) core_->io->detach();
    leave_behind(std::move(core_));
}

event_loop* event_loop::current() noexcept {
    detail::scheduler* const s = detail::current().loop;
    return s ? &core_of(*s).owner : nullptr;
}

event_loop& this_loop() {
    return core_of(detail::require_loop("this_loop()")).owner;
}

detail::scheduler& event_loop::scheduler() noexcept {
    return *core_;
}

void event_loop::require_idle() const {
    detail::require_no_loop();
    require_open("run");
}

void event_loop::require_open(const char* what) const {
    if (core_->closed()) throw std::logic_error(fmt::format("{}: the event_loop is closed", what));
}

void event_loop::require_own_thread(const char* what) const {
    if (!core_->debug() || core_->on_own_thread()) return;
    throw std::logic_error(fmt::format("{} to the loop's thread; use call_soon_threadsafe or spawn_threadsafe from others", what));
}

void event_loop::drive(detail::task_context& main) {
    if (!core_->run_while_not([&] { return main.done(); }))
        detail::throw_logic_error("run_until_complete: the loop was stopped before completion; the task is still alive");
}

void event_loop::run_forever() {
    static_cast<void>(core_->run_while_not([] { return false; }));
}

void event_loop::stop() noexcept {
    core_->stop_requested = true;
}

void event_loop::tick(std::chrono::nanoseconds timeout) {
    const loop_core::entered here(*core_);
    core_->tick_once(timeout.count() > 0 ? loop_core::wait_policy::yes : loop_core::wait_policy::no, detail::after(core_->now(), timeout));
}

void event_loop::poll(std::size_t ticks) {
    const loop_core::entered here(*core_);
    const auto more = [&] {
        const auto timer = core_->next_timer();
        return !core_->settled() || !core_->ready_empty() || !core_->mail->empty() || (timer && *timer <= core_->now());
    };
    for (; ticks > 0; --ticks) {
        core_->tick_once(loop_core::wait_policy::no);
        if (core_->stop_requested || !more()) return;
    }
}

bool event_loop::is_running() const noexcept {
    return core_->running;
}

bool event_loop::is_closed() const noexcept {
    return core_->closed();
}

void event_loop::shut_down(std::chrono::nanoseconds grace) {
    if (core_->closed()) return;
    if (core_->running) detail::throw_logic_error("event_loop::close while the loop runs; stop it first");
    const auto grace_end = detail::after(core_->now(), grace);
    bool joined = core_->join_all_tasks(grace_end);
    const bool workers_ended = core_->finish_accepted(joined, grace_end);
    core_->tear_down(!joined);
    if (!joined) throw shutdown_timeout("the event loop was closed while tasks were stuck; see the report before this");
    if (!workers_ended) throw shutdown_timeout("the event loop was closed while calls on workers were stuck; see the report before this");
}

callback_handle event_loop::post(detail::callback_base* c, std::optional<loop_clock::time_point> when) {
    std::unique_ptr<detail::callback_base> owned(c);
    require_open("call_soon");
    if (core_->refuses_posts) detail::throw_logic_error("call_soon: the event_loop is closed");
    require_own_thread("call_soon, call_later and call_at belong");
    c->loop = core_.get();
    if (when) {
        core_->arm(*c, *when);
    } else {
        c->when = loop_clock::time_point{};
        core_->make_ready(*c);
    }
    return callback_handle(owned.release());
}

bool event_loop::post_remote(detail::callback_base* c) noexcept {
    c->loop = core_.get();
    const std::shared_ptr<detail::mailbox> mail = core_->mail; // once it is posted the loop may run it, end and go
    if (!mail->closing() && mail->post(*c)) return true;
    delete c;
    return false;
}

std::vector<any_task> event_loop::all_tasks() const {
    require_own_thread("event_loop::all_tasks belongs");
    std::vector<any_task> tasks;
    tasks.reserve(core_->task_count());
    for (detail::task_context* t = core_->first_task(); t; t = t->next_task()) tasks.emplace_back(t);
    return tasks;
}

void event_loop::add_observer(task_observer& o) {
    require_own_thread("event_loop::add_observer belongs");
    core_->add_observer(o);
}
void event_loop::remove_observer(task_observer& o) noexcept {
    core_->remove_observer(o);
}

loop_clock::time_point event_loop::now() const noexcept {
    return core_->now();
}

void event_loop::set_exception_handler(detail::unique_function<void(const error_context&)> handler) {
    require_own_thread("event_loop::set_exception_handler belongs");
    using function = const detail::unique_function<void(const error_context&)>;
    core_->exception_handler = handler ? std::make_shared<function>(std::move(handler)) : nullptr;
}

void event_loop::call_exception_handler(const error_context& e) noexcept {
    core_->report(e);
}

std::chrono::system_clock::time_point event_loop::wall_now() const noexcept {
    return core_->clock ? core_->clock->wall() : std::chrono::system_clock::now();
}

loop_stats event_loop::stats() const noexcept {
    return core_->stats();
}

int event_loop::native_handle() const noexcept {
    return core_->native_handle();
}

void* event_loop::require_io_context() const {
    require_open("io_context");
    return core_->require_io_context();
}

std::optional<loop_clock::time_point> event_loop::next_deadline() const noexcept {
    if (core_->closed()) return std::nullopt;
    if (!core_->ready_empty() || !core_->mail->empty() || (core_->io->foreign_driven() && !core_->settled())) return core_->now();
    return core_->next_timer();
}

worker_pool& event_loop::default_pool() {
    if (!core_->default_pool) core_->default_pool = std::make_unique<worker_pool>(worker_pool_options{.threads = 0, .name = "eddy worker"});
    return *core_->default_pool;
}

worker_pool& event_loop::blocking_pool() {
    if (!core_->blocking_pool)
        core_->blocking_pool = std::make_unique<worker_pool>(worker_pool_options{.threads = 16, .name = "eddy blocking"});
    return *core_->blocking_pool;
}

worker_pool& detail::look_up_pool(event_loop& loop) {
    std::unique_ptr<worker_pool>& pool = loop.core().look_up_pool;
    if (!pool) pool = std::make_unique<worker_pool>(worker_pool_options{.threads = 16, .name = "eddy look-up"});
    return *pool;
}

} // namespace eddy

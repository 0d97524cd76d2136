// The life of a process_pool: its fork server, its workers, its end. The calls are in process_pool_calls.cpp.
#include "process_pool_core.hpp"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <thread>

#include <eddy/cancel_scope.hpp>
#include <eddy/detail/external_work.hpp>
#include <eddy/errors.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

namespace eddy::detail {
namespace {

/// Both ends are close-on-exec; ours is non-blocking, the other one is for a process that has no loop.
struct socket_ends {
    unix_stream ours;
    unique_fd theirs;
};
socket_ends new_socket_pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        throw std::system_error(errno, std::generic_category(), "process_pool: a socket for a process");
    unique_fd ours(ends[0]);
    unique_fd theirs(ends[1]);
    unix_stream stream(ours.get());
    static_cast<void>(ours.release());
    return {std::move(stream), std::move(theirs)};
}

task<> collect_server(process server) {
    const external_work soon(*current().loop);
    auto body = [&server]() -> task<> {
        auto end = server.wait();
        co_await end;
    };
    co_await with_shield(std::chrono::seconds(10), body); // then its object kills it
}

void kill_server(std::optional<process>& server) noexcept {
    try {
        if (server) server->kill();
    } catch (const std::exception&) { // it has ended
    }
}

/// It ends by itself: its socket is closed.
void let_server_go(std::optional<process>& server) noexcept {
    if (!server) return;
    event_loop* const loop = event_loop::current();
    try {
        if (loop && current().loop) loop->spawn(collect_server(std::move(*server)), {.name = "collects a fork server"});
    } catch (const std::exception&) { // the loop is closed, or there is no memory: the process object waits for it
    }
    server.reset();
}

} // namespace

process_pool_core::process_pool_core(process_pool_options o)
    : options(o), permits_(static_cast<std::ptrdiff_t>(o.workers)) {
    if (o.preload) static_cast<void>(remote_at(o.preload));
    if (o.warm_up) static_cast<void>(remote_at(o.warm_up));
    no_calls_.set();
    buffers_.reserve(2 * o.workers);
}

process_pool_core::~process_pool_core() {
    if (page_) ::munmap(page_, page_size_);
}

void process_pool_core::bind() {
    scheduler* const here = current().loop;
    if (!bound_) loop_ = here->link();
    bound_ = true;
    if (*loop_ != here) throw std::logic_error("process_pool: it belongs to another loop, the one it was first used on");
}

void process_pool_core::throw_closed(const char* function) const {
    throw closed_resource(std::string("process_pool: it was closed before '") + function + "' was over");
}
void process_pool_core::expect_open(const char* function) const {
    if (closed_) throw closed_resource(std::string("process_pool: it is closed, and '") + function + "' was not called");
}

// --- the fork server

/// `function`: for whom. Who awaits this may find the pool killed, and no server, whenever it goes on.
task<> process_pool_core::start_server(const char* function) {
    if (!can_serve_forks())
        throw std::logic_error("process_pool: this program has no EDDY_REMOTE of its own (those in shared libraries do not count), so "
                               "that it cannot become a fork server; let main begin with eddy::serve_process_pool()");
    if (!page_) {
        page_size_ = options.workers * sizeof(stop_slot);
        page_fd_ = unique_fd(::memfd_create("eddy-process-pool", MFD_CLOEXEC));
        if (!page_fd_ || ::ftruncate(page_fd_.get(), static_cast<off_t>(page_size_)) != 0)
            throw std::system_error(errno, std::generic_category(), "process_pool: shared memory");
        void* const p = ::mmap(nullptr, page_size_, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd_.get(), 0);
        if (p == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "process_pool: shared memory");
        page_ = static_cast<stop_slot*>(p);
    }
    socket_ends ends = new_socket_pair();
    command c("/proc/self/exe", fork_server_mark, std::to_string(ends.theirs.get()), std::to_string(page_fd_.get()));
    c.inherit(ends.theirs.get()).inherit(page_fd_.get());
    auto spawning = process::spawn(std::move(c));
    server_ = co_await std::move(spawning);
    if (killed_) {
        let_server_go(server_);
        throw_closed(function);
    }
    server_socket_ = std::move(ends.ours);
    struct gone_unless_done { // cancelled, or without memory: the next call starts another, which gets its preload
        process_pool_core& core;
        std::uint64_t generation;
        bool done;
        ~gone_unless_done() {
            if (done || core.generation_ != generation) return;
            kill_server(core.server_); // it may be in its preload, and not listen
            core.server_ended();
        }
    } server{*this, generation_, false};
    server_reader_ = event_loop::current()->spawn(read_server(shared_from_this(), generation_), {.name = "listens to a fork server"});
    if (options.preload) co_await preload(function);
    server.done = true;
}

task<> process_pool_core::preload(const char* function) {
    server_message m{};
    m.word = server_word::preload;
    m.function = remote_at(options.preload).id;
    preload_over_.clear();
    preloaded_.reset();
    struct mark {
        bool& on;
        explicit mark(bool& b) noexcept : on(b) { on = true; }
        ~mark() { on = false; }
    } now{preloading_};
    auto sending = server_socket_.write(std::as_bytes(std::span(&m, 1)));
    co_await sending;
    co_await preload_over_.wait();
    expect_alive(function);
    if (preloaded_ && preloaded_->word == server_word::started) co_return;
    throw std::runtime_error(std::string("process_pool: '") + remote_at(options.preload).name + "' failed in the fork server (preload)");
}

/// Where the reader of the server's messages is.
struct process_pool_core::server_talk {
    server_message message{};
    std::size_t have = 0; // bytes of it
    descriptor_list descriptors;
};

/// Until the server is gone, or we are.
task<> process_pool_core::listen_to_server(server_talk& t) {
    const std::span<std::byte> all = std::as_writable_bytes(std::span(&t.message, 1));
    for (;;) {
        received_descriptors got = co_await server_socket_.receive_descriptors(all.subspan(t.have));
        if (got.size == 0) co_return;
        if (!got.descriptors.empty()) t.descriptors = std::move(got.descriptors);
        t.have += got.size;
        if (t.have < all.size()) continue;
        t.have = 0;
        heard(t.message, t.descriptors);
        t.descriptors = {};
    }
}

task<> process_pool_core::read_server(std::shared_ptr<process_pool_core> self, std::uint64_t generation) {
    server_talk t;
    bool leaving = false;
    try {
        co_await self->listen_to_server(t);
    } catch (const operation_cancelled&) { // the program ends
        leaving = true;
    } catch (const std::exception&) { // the same as the end of the stream
    }
    // Calls that are being ended wait to hear of their workers' ends: the last one closes our socket.
    if (leaving && self->generation_ == generation && self->calls_now_ > 0) {
        self->reader_leaves_ = true;
        try {
            co_await shielded(self->listen_to_server(t));
        } catch (const std::exception&) {
        }
        self->reader_leaves_ = false;
    }
    if (self->generation_ == generation) self->server_ended();
}

void process_pool_core::heard(const server_message& m, descriptor_list& d) {
    if (m.worker == 0) {
        preloaded_ = m;
        return preload_over_.set();
    }
    pool_worker* const w = worker_of(m.worker);
    if (!w) return; // given up before it was there, or retired
    switch (m.word) {
    case server_word::started:
        w->pid = m.pid;
        if (d.empty()) // so many are open here that the kernel could not hand it over; without it, it cannot be ended
            w->start_error = EMFILE;
        else
            w->pidfd = unique_fd(d.take(0));
        break;
    case server_word::failed:
        w->start_error = m.code;
        w->ended.set();
        break;
    case server_word::died:
        w->status = m.by_signal != 0 ? exit_status::of_signal(m.code, m.core_dumped != 0) : exit_status::of_code(m.code);
        // What it said is read to its end, even if a process that it left behind holds its socket.
        if (w->socket.is_open()) ::shutdown(w->socket.native_handle(), SHUT_RD);
        w->ended.set();
        if (const auto i = std::find(idle_.begin(), idle_.end(), w); i != idle_.end()) {
            idle_.erase(i);
            discard(*w);
        }
        return;
    case server_word::start:
    case server_word::preload: return;
    }
    w->started.set();
}

void process_pool_core::server_ended() noexcept {
    ++generation_;
    server_socket_.abort();
    let_server_go(server_);
    preload_over_.set();
    for (pool_worker* const w : idle_) discard(*w);
    idle_.clear();
    for (const auto& w : workers_) { // the kernel kills them with their parent
        if (!w->ended.is_set()) w->status = exit_status::not_known();
        w->spent = true;
        w->ended.set();
        w->started.set();
    }
}

// --- workers

pool_worker* process_pool_core::worker_of(std::uint32_t number) noexcept {
    for (const auto& w : workers_) {
        if (w->number == number) return w.get();
    }
    return nullptr;
}

std::uint32_t process_pool_core::free_slot() const {
    for (std::uint32_t slot = 0;; ++slot) {
        if (std::none_of(workers_.begin(), workers_.end(), [slot](const auto& w) { return w->slot == slot; })) return slot;
    }
}

void process_pool_core::discard(pool_worker& w) noexcept {
    if (!w.ended.is_set() && w.spent) w.kill(); // else it ends with its socket
    std::erase_if(workers_, [&w](const auto& p) { return p.get() == &w; });
}

pool_worker* process_pool_core::take_idle() noexcept {
    if (idle_.empty()) return nullptr;
    pool_worker* const w = idle_.back();
    idle_.pop_back();
    ++busy_;
    return w;
}

void process_pool_core::give_back(pool_worker& w) noexcept {
    --busy_;
    ++w.calls;
    w.unmap();
    const bool retires = options.max_tasks_per_worker > 0 && w.calls >= options.max_tasks_per_worker;
    if (retires && !w.ended.is_set()) ++counted_.retired;
    if (w.ended.is_set() || w.spent || retires || killed_)
        discard(w);
    else
        idle_.push_back(&w); // there is room: see start_worker
    permits_.release();
}

task<pool_worker*> process_pool_core::start_worker(const char* function) {
    const external_work starting(*current().loop);
    pool_worker* w = co_await try_to_start_worker(function);
    if (!w) w = co_await try_to_start_worker(function); // the server had ended, and nobody knew
    if (!w) throw std::runtime_error("process_pool: the fork server ended before it had started a worker");
    co_return w;
}

/// Null if the server is gone.
task<pool_worker*> process_pool_core::try_to_start_worker(const char* function) {
    {
        const mutex_guard one = co_await starting_.lock();
        expect_alive(function);
        if (!server_) co_await start_server(function);
    }
    expect_alive(function);
    socket_ends ends = new_socket_pair();
    idle_.reserve(options.workers);
    workers_.push_back(std::make_unique<pool_worker>(next_worker_++, free_slot(), std::move(ends.ours)));
    pool_worker& w = *workers_.back();
    struct abandoned {
        process_pool_core& core;
        pool_worker* worker;
        ~abandoned() {
            if (!worker) return;
            worker->spent = true;
            core.discard(*worker);
        }
    } unless_done{*this, &w};
    server_message m{};
    m.word = server_word::start;
    m.worker = w.number;
    m.slot = w.slot;
    const std::array<int, 1> passed{ends.theirs.get()};
    const std::uint64_t generation = generation_;
    bool told = false;
    try {
        auto sending = server_socket_.send_descriptors(std::as_bytes(std::span(&m, 1)), passed);
        co_await shielded(std::move(sending));
        told = true;
    } catch (const std::system_error& e) {
        if (!peer_is_gone(e)) throw; // no memory, no descriptors: the others' calls go on
    } catch (const closed_resource&) {
    }
    if (!told) {
        if (generation == generation_) server_ended();
        expect_alive(function);
        co_return nullptr;
    }
    ends.theirs = {};
    co_await w.started.wait();
    expect_alive(function);
    if (w.start_error != 0) throw std::system_error(w.start_error, std::generic_category(), "process_pool: a worker cannot be started");
    if (w.pid == 0) co_return nullptr;
    ++counted_.started;
    if (options.warm_up) co_await warm_up(w);
    expect_alive(function);
    unless_done.worker = nullptr;
    ++busy_;
    co_return &w;
}

task<> process_pool_core::start_all() {
    const std::shared_ptr<process_pool_core> keep = shared_from_this();
    expect_open("start");
    bind();
    const counted_use counted(*this); // close and shutdown wait for it as for a call
    co_await this_task::checkpoint();
    std::vector<pool_worker*> fresh;
    fresh.reserve(options.workers);
    struct give_all_back {
        process_pool_core& core;
        std::vector<pool_worker*>& workers;
        ~give_all_back() {
            for (pool_worker* const w : workers) {
                --w->calls; // it was none
                core.give_back(*w);
            }
        }
    } at_end{*this, fresh};
    while (workers_.size() < options.workers) {
        std::optional<semaphore_permit> permit = permits_.try_acquire();
        if (!permit) co_return; // who has it starts one
        expect_alive("start");
        pool_worker* const w = co_await start_worker("start");
        permit->detach();
        fresh.push_back(w);
    }
}

// --- the end

void process_pool_core::use_is_over() noexcept {
    if (--calls_now_ > 0) return;
    no_calls_.set();
    if (reader_leaves_) server_socket_.abort();
}

void process_pool_core::kill_all() noexcept {
    killed_ = true;
    for (const auto& w : workers_) {
        w->spent = true;
        w->kill();
    }
    if (preloading_) kill_server(server_); // it does not listen, and has no workers
}

task<> process_pool_core::stop_processes() {
    const mutex_guard one = co_await stopping_.lock(); // a second closer waits for the first
    if (!server_) co_return;
    const external_work ending(*current().loop);
    co_await stop_idle();
    if (!server_) co_return; // it has ended meanwhile, or the pool object has gone
    process server = std::move(*server_);
    server_.reset();
    server_socket_.abort();
    co_await server_reader_.join();
    auto wait = [&server](cancel_scope&) -> task<> {
        auto end = server.wait();
        co_await end;
    };
    co_await move_on_after(patience(), wait);
    if (server.running()) server.kill();
    auto end = server.wait();
    co_await end;
}

std::chrono::nanoseconds process_pool_core::patience() const noexcept {
    return std::max<std::chrono::nanoseconds>(options.kill_grace, std::chrono::milliseconds(100));
}

/// They end with their sockets, and may write what they have left to write. One that does not, because it is stopped, is killed.
task<> process_pool_core::stop_idle() {
    std::vector<pool_worker*> leaving = idle_;
    idle_.clear();
    for (pool_worker* const w : leaving) w->socket.abort();
    auto ends = [&leaving](cancel_scope&) -> task<> {
        for (pool_worker* const w : leaving) co_await w->ended.wait();
    };
    const auto one_left = [&leaving] { return !std::all_of(leaving.begin(), leaving.end(), [](const pool_worker* w) { return w->ended.is_set(); }); };
    co_await move_on_after(patience(), ends);
    if (one_left()) {
        for (pool_worker* const w : leaving) {
            if (!w->ended.is_set()) w->kill();
        }
        co_await move_on_after(patience(), ends);
    }
    if (one_left()) kill_server(server_); // it should have told
    for (pool_worker* const w : leaving) co_await w->ended.wait();
    for (pool_worker* const w : leaving) discard(*w);
}

task<> process_pool_core::close_within(std::optional<std::chrono::nanoseconds> deadline) {
    const std::shared_ptr<process_pool_core> keep = shared_from_this();
    closed_ = true;
    co_await this_task::checkpoint();
    if (deadline && calls_now_ > 0) {
        auto body = [this](cancel_scope&) -> task<> { co_await no_calls_.wait(); };
        co_await move_on_after(*deadline, body);
        if (calls_now_ > 0) kill_all();
    }
    co_await no_calls_.wait();
    co_await shielded(stop_processes());
}

void process_pool_core::let_go() noexcept {
    closed_ = true;
    kill_all();
    for (const auto& w : workers_) w->socket.abort(); // who waits for it gets closed_resource
    if (server_reader_ && current().loop && bound_ && *loop_ == current().loop) server_reader_.cancel();
    server_ended();
}

std::vector<int> process_pool_core::pids() const {
    std::vector<int> all;
    for (const auto& w : workers_) {
        if (w->pid != 0 && !w->ended.is_set()) all.push_back(w->pid);
    }
    return all;
}

process_pool_stats process_pool_core::stats() const noexcept {
    process_pool_stats s = counted_;
    s.workers = workers_.size();
    s.busy = busy_;
    s.waiting = permits_.waiting();
    return s;
}

std::vector<std::byte> process_pool_core::take_buffer() noexcept {
    if (buffers_.empty()) return {};
    std::vector<std::byte> b = std::move(buffers_.back());
    buffers_.pop_back();
    return b;
}
void process_pool_core::keep_buffer(std::vector<std::byte> b) noexcept {
    if (b.capacity() > 2 * most_inline || buffers_.size() == buffers_.capacity()) return;
    b.clear();
    buffers_.push_back(std::move(b));
}

} // namespace eddy::detail

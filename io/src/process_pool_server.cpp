// The fork server of a process_pool, seen from the program: its start, what it tells, its end.
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <system_error>

#include <eddy/cancel_scope.hpp>
#include <eddy/detail/external_work.hpp>
#include <eddy/errors.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

#include "process_pool_core.hpp"

namespace eddy::detail {
namespace {

task<> collect_server(process server) {
    const external_work soon(*current().loop);
    auto body = [&server]() -> task<> {
        auto end = server.wait();
        co_await end;
    };
    co_await with_shield(std::chrono::seconds(10), body); // then its object kills it
}

} // namespace

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

void kill_server(std::optional<process>& server) noexcept {
    try {
        if (server) server->kill();
    } catch (const std::exception&) { // it has ended
    }
}

/// It ends by itself: its socket is closed.
void process_pool_core::let_server_go() noexcept {
    if (!server_) return;
    event_loop* const loop = event_loop::current();
    try {
        std::erase_if(collectors_, [](const task_handle<>& c) { return c.done(); });
        collectors_.reserve(collectors_.size() + 1);
        if (loop && current().loop) collectors_.push_back(loop->spawn(collect_server(std::move(*server_)), {.name = "collects a fork server"}));
    } catch (const std::exception&) { // the loop is closed, or there is no memory: the process object waits for it
    }
    server_.reset();
}

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
        let_server_go();
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

/// Until the server is gone, or we are. `generation`: a task that goes on late must not listen to the next server, which has its own.
task<> process_pool_core::listen_to_server(server_talk& t, std::uint64_t generation) {
    const std::span<std::byte> all = std::as_writable_bytes(std::span(&t.message, 1));
    while (generation_ == generation) {
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
        co_await self->listen_to_server(t, generation);
    } catch (const operation_cancelled&) { // the program ends
        leaving = true;
    } catch (const std::exception&) { // the same as the end of the stream
    }
    // Calls that are being ended wait to hear of their workers' ends: the last one closes our socket.
    if (leaving && self->generation_ == generation && self->calls_now_ > 0) {
        self->reader_leaves_ = true;
        try {
            co_await shielded(self->listen_to_server(t, generation));
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
    let_server_go();
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

} // namespace eddy::detail

// A process_pool as its loop sees it: the fork server, the workers, and the calls that are with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include <eddy/event.hpp>
#include <eddy/mutex.hpp>
#include <eddy/process_pool.hpp>
#include <eddy/semaphore.hpp>
#include <eddy/task_handle.hpp>
#include <eddy/unix.hpp>

#include "process_messages.hpp"
#include "process_state.hpp"

namespace eddy::detail {

/// Does the executable have a constructor of ours, by which it becomes a fork server?
[[nodiscard]] bool can_serve_forks() noexcept;

[[nodiscard]] inline bool peer_is_gone(const std::system_error& e) noexcept {
    return e.code() == std::errc::connection_reset || e.code() == std::errc::broken_pipe;
}

/// Both ends are close-on-exec; ours is non-blocking, the other one is for a process that has no loop.
struct socket_ends {
    unix_stream ours;
    unique_fd theirs;
};
/// Throws `std::system_error`.
[[nodiscard]] socket_ends new_socket_pair();
/// If there is one, and it has not ended.
void kill_server(std::optional<process>& server) noexcept;

struct incoming_frame {
    frame_header header{};
    std::span<const std::byte> body; // until the next frame is asked for
};

/// A worker process.
class pool_worker {
public:
    pool_worker(std::uint32_t number, std::uint32_t slot, unix_stream socket);
    pool_worker(const pool_worker&) = delete;
    pool_worker& operator=(const pool_worker&) = delete;
    ~pool_worker();

    /// The next whole frame that has come, if there is one. Throws `std::system_error` if a large one cannot be mapped.
    [[nodiscard]] std::optional<incoming_frame> next_frame();
    /// Room for more of it.
    [[nodiscard]] std::span<std::byte> room();
    void came(received_descriptors& got);
    /// The last frame is not needed any more.
    void unmap() noexcept;
    void kill() const noexcept { signal(SIGKILL); }
    void signal(int number) const noexcept;

    std::uint32_t number;
    std::uint32_t slot;
    unix_stream socket;
    int pid = 0;
    unique_fd pidfd;
    event started; // or failed to
    event ended;
    exit_status status;
    int start_error = 0;
    std::uint64_t calls = 0;
    bool spent = false; // takes no more calls

private:
    std::vector<std::byte> buffer_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::deque<unique_fd> passed_; // for large frames, in their order
    void* mapped_ = nullptr;
    std::size_t mapped_size_ = 0;
};

/// One call while it is with a worker.
struct pool_exchange {
    pool_exchange(pool_worker& w, pool_request& r, std::uint32_t n) noexcept : worker(w), request(r), call(n) {}
    [[nodiscard]] bool over() const noexcept { return reply || died; }
    pool_worker& worker;
    pool_request& request;
    std::uint32_t call;
    std::optional<incoming_frame> reply;
    bool sent = false;
    bool died = false;
    bool unread = false;    // it died before it had read the call
    bool untouched = true;  // no byte of the call was sent
    bool too_late = false;  // its time limit has passed
    std::exception_ptr progress_failed;
};

class process_pool_core final : public std::enable_shared_from_this<process_pool_core> {
public:
    explicit process_pool_core(process_pool_options o);
    process_pool_core(const process_pool_core&) = delete;
    process_pool_core& operator=(const process_pool_core&) = delete;
    ~process_pool_core();

    // These are begun when they are awaited, and the pool object may have been moved or destroyed by then: they own what they work on.
    static task<pool_reply> perform(std::shared_ptr<process_pool_core> self, pool_request request, std::source_location site);
    static task<> start_all(std::shared_ptr<process_pool_core> self);
    static task<> close_within(std::shared_ptr<process_pool_core> self, std::optional<std::chrono::nanoseconds> deadline);

    void give_back(pool_worker& w) noexcept;
    /// The pool object goes.
    void let_go() noexcept;
    void expect_open(const char* function) const;
    [[nodiscard]] process_pool_stats stats() const noexcept;
    [[nodiscard]] std::vector<int> pids() const;
    [[nodiscard]] std::vector<std::byte> take_buffer() noexcept;
    void keep_buffer(std::vector<std::byte> b) noexcept;

    process_pool_options options;
    unique_function<void(const worker_log&)> log_handler;

private:
    /// A call, or what is as good as one: the pool's end waits for those.
    class counted_use {
    public:
        explicit counted_use(process_pool_core& core) noexcept : core_(&core) {
            if (core.calls_now_++ == 0) core.no_calls_.clear();
        }
        counted_use(const counted_use&) = delete;
        counted_use& operator=(const counted_use&) = delete;
        ~counted_use() { core_->use_is_over(); }

    private:
        process_pool_core* core_;
    };
    class lease;
    void bind();
    task<> start_server(const char* function);
    task<> preload(const char* function);
    task<pool_worker*> start_worker(const char* function);
    task<pool_worker*> try_to_start_worker(const char* function);
    task<> warm_up(pool_worker& w);
    [[nodiscard]] pool_worker* take_idle() noexcept;
    [[nodiscard]] std::uint32_t next_call() noexcept;
    task<> send(pool_exchange& x);
    task<> converse(pool_exchange& x);
    task<> converse_at_most(pool_exchange& x, std::chrono::nanoseconds limit);
    task<> end_call(pool_exchange& x);
    void note(pool_exchange& x, const incoming_frame& f);
    void log(const pool_exchange& x, std::string_view text);
    pool_reply answer(pool_exchange& x, lease& held, const std::exception_ptr& ended_by);
    struct server_talk;
    task<> listen_to_server(server_talk& t, std::uint64_t generation);
    static task<> read_server(std::shared_ptr<process_pool_core> self, std::uint64_t generation);
    void heard(const server_message& m, descriptor_list& d);
    void server_ended() noexcept;
    void let_server_go() noexcept;
    task<> stop_processes();
    task<> stop_server();
    task<> stop_idle();
    [[nodiscard]] std::chrono::nanoseconds patience() const noexcept;
    void kill_all() noexcept;
    void use_is_over() noexcept;
    [[nodiscard]] pool_worker* worker_of(std::uint32_t number) noexcept;
    void discard(pool_worker& w) noexcept;
    [[nodiscard]] std::uint32_t free_slot() const;
    [[noreturn]] void throw_closed(const char* function) const;
    void expect_alive(const char* function) const {
        if (killed_) throw_closed(function);
    }

    loop_link loop_; // which one it belongs to
    bool bound_ = false;
    semaphore permits_;
    mutex starting_;
    mutex stopping_;
    std::optional<process> server_;
    unix_stream server_socket_;
    task_handle<> server_reader_;
    std::vector<task_handle<>> collectors_; // of servers that have ended, or are about to
    std::uint64_t generation_ = 0; // how many servers have ended
    std::optional<server_message> preloaded_;
    event preload_over_;
    bool preloading_ = false;
    bool reader_leaves_ = false; // as soon as there are no calls
    unique_fd page_fd_;
    stop_slot* page_ = nullptr;
    std::size_t page_size_ = 0;
    std::vector<std::unique_ptr<pool_worker>> workers_;
    std::vector<pool_worker*> idle_;
    std::vector<std::vector<std::byte>> buffers_;
    std::uint32_t next_worker_ = 1;
    std::uint32_t last_call_ = 0;
    std::size_t calls_now_ = 0; // from their start to their end
    std::size_t busy_ = 0;
    event no_calls_;
    bool closed_ = false;
    bool killed_ = false;
    process_pool_stats counted_;
};

} // namespace eddy::detail

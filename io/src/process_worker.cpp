// A worker of a process_pool: takes calls from its socket, one after the other, and answers them.
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <eddy/errors.hpp>
#include <eddy/process_pool.hpp>

#include "process_messages.hpp"
#include "process_state.hpp"
#include "remote_registry.hpp"

namespace eddy::detail {

bool write_all(int fd, const void* data, std::size_t size) noexcept {
    auto rest = static_cast<const std::byte*>(data);
    while (size > 0) {
        const ssize_t n = ::write(fd, rest, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        rest += n;
        size -= static_cast<std::size_t>(n);
    }
    return true;
}

namespace {

/// The caller is gone, so there is nobody to work for.
[[noreturn]] void leave(int code) noexcept {
    std::fflush(nullptr);
    std::_Exit(code);
}

// --- the socket

class worker_socket {
public:
    explicit worker_socket(int fd) : fd_(fd), buffer_(sizeof(frame_header) + most_inline) {}

    struct frame {
        frame_header header{};
        std::span<const std::byte> body; // until the next call
    };
    /// The next call. Ends the worker at the end of the socket.
    frame receive() {
        mapped_.reset();
        frame f;
        fill(sizeof f.header);
        std::memcpy(&f.header, buffer_.data(), sizeof f.header);
        if (f.header.in_memfd != 0) {
            mapped_.emplace(passed_, f.header.size);
            passed_ = {};
            have_ = 0;
            f.body = mapped_->bytes();
        } else {
            fill(sizeof f.header + f.header.size);
            f.body = std::span(buffer_).subspan(sizeof f.header, f.header.size);
            have_ = 0; // a caller sends nothing before it has its answer
        }
        return f;
    }
    /// `bytes` has room for the header in front. Any thread.
    void send(frame_kind kind, std::uint32_t call, std::span<std::byte> bytes) {
        const std::lock_guard lock(sending_);
        send_in_turn(kind, call, bytes);
    }
    /// The same, or false if it might have to wait.
    bool try_to_send(frame_kind kind, std::uint32_t call, std::span<std::byte> bytes) {
        const std::unique_lock lock(sending_, std::try_to_lock);
        if (!lock) return false;
        pollfd p{fd_, POLLOUT, 0}; // three quarters of its buffer are free then: more than the longest frame
        if (::poll(&p, 1, 0) != 1) return false;
        send_in_turn(kind, call, bytes);
        return true;
    }

private:
    void send_in_turn(frame_kind kind, std::uint32_t call, std::span<std::byte> bytes) {
        frame_header h{kind, 0, call, bytes.size() - sizeof(frame_header)};
        unique_fd large;
        if (h.size > most_inline) {
            large = unique_fd(::memfd_create("eddy-result", MFD_CLOEXEC));
            if (!large || !write_all(large.get(), bytes.data() + sizeof h, h.size))
                throw std::system_error(errno, std::generic_category(), "a result of " + std::to_string(h.size) + " bytes");
            h.in_memfd = 1;
            bytes = bytes.first(sizeof h);
        }
        std::memcpy(bytes.data(), &h, sizeof h);
        send_now(bytes, large.get());
    }
    class mapping {
    public:
        mapping(const unique_fd& fd, std::size_t size) : size_(size), data_(::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0)) {
            if (data_ == MAP_FAILED) {
                std::perror("eddy: a worker cannot map its arguments");
                leave(1);
            }
        }
        mapping(const mapping&) = delete;
        mapping& operator=(const mapping&) = delete;
        ~mapping() { ::munmap(data_, size_); }
        [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {static_cast<const std::byte*>(data_), size_}; }

    private:
        std::size_t size_;
        void* data_;
    };
    void fill(std::size_t wanted) {
        while (have_ < wanted) {
            iovec part{buffer_.data() + have_, buffer_.size() - have_};
            alignas(cmsghdr) std::byte room[CMSG_SPACE(sizeof(int))];
            msghdr m{};
            m.msg_iov = &part;
            m.msg_iovlen = 1;
            m.msg_control = room;
            m.msg_controllen = sizeof room;
            const ssize_t n = ::recvmsg(fd_, &m, MSG_CMSG_CLOEXEC);
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) leave(0);
            if (const cmsghdr* const c = CMSG_FIRSTHDR(&m); c && c->cmsg_type == SCM_RIGHTS) {
                int fd = -1;
                std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
                passed_ = unique_fd(fd);
            }
            have_ += static_cast<std::size_t>(n);
        }
    }
    void send_now(std::span<const std::byte> bytes, int fd) {
        while (!bytes.empty()) {
            iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
            alignas(cmsghdr) std::byte room[CMSG_SPACE(sizeof(int))]{};
            msghdr m{};
            m.msg_iov = &part;
            m.msg_iovlen = 1;
            if (fd >= 0) {
                m.msg_control = room;
                m.msg_controllen = sizeof room;
                cmsghdr* const c = CMSG_FIRSTHDR(&m);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof fd);
                std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
            }
            const ssize_t n = ::sendmsg(fd_, &m, MSG_NOSIGNAL);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) leave(0);
            fd = -1;
            bytes = bytes.subspan(static_cast<std::size_t>(n));
        }
    }

    int fd_;
    std::vector<std::byte> buffer_;
    std::size_t have_ = 0;
    unique_fd passed_;
    std::optional<mapping> mapped_;
    std::mutex sending_;
};

// --- stop requests

/// A thread that sleeps until the caller names a call in the shared page. There is none before the first function with a token.
class stop_watch {
public:
    explicit stop_watch(stop_slot& slot) noexcept : slot_(&slot) {}
    /// Before the memory limit of a call: the thread needs a stack. Throws `std::system_error`.
    void start() {
        if (started_) return;
        const signals_kept_away here;
        pthread_attr_t how;
        ::pthread_attr_init(&how);
        ::pthread_attr_setstacksize(&how, 256 * 1024); // for the callbacks of tokens
        pthread_t thread{};
        const int error = ::pthread_create(&thread, &how, [](void* self) -> void* { static_cast<stop_watch*>(self)->watch(); }, this);
        ::pthread_attr_destroy(&how);
        if (error != 0) throw std::system_error(error, std::generic_category(), "process_pool: a thread for stop requests");
        ::pthread_detach(thread);
        started_ = true;
    }
    void begin(std::uint32_t call, std::stop_source& source) {
        const std::lock_guard lock(lock_);
        call_ = call;
        source_ = &source;
        if (slot_->call.load() == call) source.request_stop(); // it was quicker; nobody has a token yet
    }
    void end() {
        const std::lock_guard lock(lock_);
        source_ = nullptr;
    }

private:
    /// Signals are for the functions' thread.
    class signals_kept_away {
    public:
        signals_kept_away() noexcept {
            sigset_t all;
            ::sigfillset(&all);
            ::pthread_sigmask(SIG_SETMASK, &all, &before_);
        }
        signals_kept_away(const signals_kept_away&) = delete;
        signals_kept_away& operator=(const signals_kept_away&) = delete;
        ~signals_kept_away() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

    private:
        sigset_t before_{};
    };
    [[noreturn]] void watch() {
        for (std::uint32_t seen = 0;;) {
            const std::uint32_t now = slot_->call.load();
            if (now == seen) {
                ::syscall(SYS_futex, &slot_->call, FUTEX_WAIT, seen, nullptr, nullptr, 0);
                continue;
            }
            seen = now;
            std::stop_source stopped{std::nostopstate};
            {
                const std::lock_guard lock(lock_);
                if (source_ && call_ == now) stopped = *source_;
            }
            stopped.request_stop(); // its callbacks are users' code
        }
    }
    stop_slot* slot_;
    std::mutex lock_;
    std::uint32_t call_ = 0;
    std::stop_source* source_ = nullptr;
    bool started_ = false;
};

// --- the memory limit of one call

class memory_limit {
public:
    explicit memory_limit(std::uint64_t more) {
        if (more == 0 || ::getrlimit(RLIMIT_DATA, &before_) != 0) return;
        rlimit limit = before_;
        limit.rlim_cur = std::min(data_now() + more, before_.rlim_max);
        set_ = limit.rlim_cur < before_.rlim_cur && ::setrlimit(RLIMIT_DATA, &limit) == 0;
    }
    memory_limit(const memory_limit&) = delete;
    memory_limit& operator=(const memory_limit&) = delete;
    ~memory_limit() { lift(); }
    void lift() noexcept {
        if (std::exchange(set_, false)) ::setrlimit(RLIMIT_DATA, &before_);
    }

private:
    // What the kernel counts against the limit: private memory that can be written.
    static rlim_t data_now() {
        std::ifstream status("/proc/self/status");
        for (std::string word; status >> word;) {
            rlim_t kilobytes = 0;
            if (word == "VmData:" && status >> kilobytes) return kilobytes * 1024;
        }
        return 0;
    }
    rlimit before_{};
    bool set_ = false;
};

// --- the calls

class pool_process {
public:
    pool_process(int socket, stop_slot& slot) : socket_(socket), stops_(slot) {}
    [[noreturn]] void work() {
        for (;;) serve(socket_.receive());
    }
    void send_now(frame_kind kind, std::span<const std::byte> body) {
        std::vector<std::byte> bytes(sizeof(frame_header));
        bytes.insert(bytes.end(), body.begin(), body.end());
        socket_.send(kind, call_, bytes);
    }
    /// Without waiting: what finds no room is kept until a later one takes its place, or the call is over. `bytes` as for a socket.
    void send_latest(std::vector<std::byte> bytes) {
        const std::lock_guard lock(latest_lock_);
        latest_.clear();
        if (!socket_.try_to_send(frame_kind::progress, call_, bytes)) latest_ = std::move(bytes);
    }
    [[nodiscard]] bool wants_progress() const noexcept { return wants_progress_; }
    [[nodiscard]] const char* function() const noexcept { return function_; }
    std::shared_ptr<report_target> reports; // of functions, while somebody listens

private:
    void serve(const worker_socket::frame& f) {
        call_ = f.header.call;
        answer_.resize(sizeof(frame_header));
        const bool good = answer(wire::reader(f.body));
        send_what_is_left();
        std::fflush(stdout); // what it printed comes before its result
        try {
            socket_.send(good ? frame_kind::result : frame_kind::failure, call_, answer_);
        } catch (...) { // no memory for a large result
            fail(0);
            socket_.send(frame_kind::failure, call_, answer_);
        }
        function_ = "";
        if (answer_.capacity() > 1024 * 1024) std::vector<std::byte>().swap(answer_);
    }
    bool answer(wire::reader in) {
        std::uint32_t item = 0;
        try {
            const auto h = in.read<call_header>();
            const remote_function* const f = remote_of(h.function);
            if (!f) throw std::logic_error("process_pool: the worker does not know this function; it was registered after the program's start (in a library that was loaded later?)");
            function_ = f->name;
            wants_progress_ = h.wants_progress != 0;
            const task_local_scope reporting = with_report_target(wants_progress_ ? reports : nullptr);
            if (f->takes_stop) stops_.start();
            const memory_limit limit(h.memory);
            for (; item < h.items; ++item) call(*f, in);
            in.expect_end();
            return true;
        } catch (...) {
            fail(item);
            return false;
        }
    }
    void call(const remote_function& f, wire::reader& in) {
        wire::writer out(answer_);
        if (!f.takes_stop) return f.invoke(in, out, {});
        std::stop_source source;
        stops_.begin(call_, source);
        try {
            f.invoke(in, out, source.get_token());
        } catch (...) {
            stops_.end();
            throw;
        }
        stops_.end();
    }
    void send_what_is_left() {
        const std::lock_guard lock(latest_lock_);
        if (!latest_.empty()) socket_.send(frame_kind::progress, call_, latest_);
        latest_.clear();
    }
    void fail(std::uint32_t item) {
        answer_.resize(sizeof(frame_header));
        wire::writer out(answer_);
        write_failure(out, item);
    }
    worker_socket socket_;
    stop_watch stops_;
    std::vector<std::byte> answer_;
    std::atomic<std::uint32_t> call_{0}; // threads of functions ask, too
    std::atomic<bool> wants_progress_{false};
    std::mutex latest_lock_;
    std::vector<std::byte> latest_; // a report that has found no room yet
    const char* function_ = "";
};

pool_process* this_process = nullptr; // in a worker

// What `report_progress` says in a worker goes the way of `this_call::progress`. A report that fails is lost, the function is not.
class worker_reports final : public report_target {
    void report(std::uint64_t done, std::uint64_t total, std::string_view text) noexcept override {
        try {
            std::vector<std::byte> bytes(sizeof(frame_header));
            wire::writer out(bytes);
            out.write(hash_of_type<process_report>());
            out.write(process_report(done, total, text));
            this_process->send_latest(std::move(bytes));
        } catch (...) {
        }
    }
};

} // namespace

void work_for_pool(int socket, stop_slot& slot) noexcept {
    pool_process process(socket, slot);
    this_process = &process;
    process.reports = std::make_shared<worker_reports>();
    process.work();
}

bool call_preload(std::uint64_t function) noexcept {
    const remote_function* const f = remote_of(function);
    try {
        if (!f) throw std::logic_error("it is not registered");
        std::vector<std::byte> none;
        wire::reader in(none);
        wire::writer out(none);
        f->invoke(in, out, {});
        return true;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "eddy: the preload function of a process_pool failed: %s\n", e.what());
    } catch (...) {
        std::fprintf(stderr, "eddy: the preload function of a process_pool failed\n");
    }
    return false;
}

void send_progress(std::uint64_t type, std::span<const std::byte> value) {
    if (!this_process->wants_progress()) return;
    std::vector<std::byte> body;
    wire::writer out(body);
    out.write(type);
    out.bytes(value);
    this_process->send_now(frame_kind::progress, body);
}

} // namespace eddy::detail

namespace eddy::this_call {

bool in_worker() noexcept {
    return detail::this_process != nullptr;
}

void log(std::string_view text) {
    if (in_worker())
        detail::this_process->send_now(detail::frame_kind::log, std::as_bytes(std::span(text)));
    else
        std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
}

} // namespace eddy::this_call

// A worker of a process_pool: takes calls from its socket, one after the other, and answers them.
#include <atomic>
#include <cstdio>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string_view>
#include <vector>

#include <eddy/errors.hpp>
#include <eddy/process_pool.hpp>

#include "process_messages.hpp"
#include "process_worker_limits.hpp"
#include "process_worker_socket.hpp"
#include "remote_registry.hpp"

namespace eddy::detail {
namespace {

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

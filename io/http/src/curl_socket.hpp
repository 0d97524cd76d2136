// A descriptor that libcurl wants to know the readiness of.
#pragma once

#include <cstddef>
#include <memory>

#include <eddy/cancel_scope.hpp>
#include <eddy/event.hpp>
#include <eddy/spawn.hpp>
#include <eddy/task.hpp>

namespace eddy::http::detail {

class client_core;

// Each direction that libcurl has asked for has a task, the pump: it waits for readiness and tells libcurl. It is made when
// first needed, sleeps while libcurl does not care, and ends when the watch stops. The descriptor we wait on is ours: the
// socket of an established connection, which libcurl asks us to close, or a duplicate where libcurl closes without asking
// (sockets that still connect, its resolver's socket pair). It is closed when the last pump is gone, so that nobody can
// wait on a number that means something else by then.
//
// A pump outlives the cancellation of the root group at shutdown for as long as tasks wait: they may be shielded.
class socket_watch : public std::enable_shared_from_this<socket_watch> {
public:
    /// `curl_fd`: what libcurl calls it; `fd`: what we wait on, and close if it is a duplicate.
    socket_watch(client_core& core, int curl_fd, int fd) noexcept
        : core_(&core), curl_fd_(curl_fd), fd_(fd), owns_(fd != curl_fd) {}
    socket_watch(const socket_watch&) = delete;
    socket_watch& operator=(const socket_watch&) = delete;
    ~socket_watch();

    /// What libcurl waits for from now on. Throws `std::bad_alloc`, `std::logic_error` without a loop.
    void want(bool readable, bool writable);
    /// Goes on where `other` stands, which stops. Throws as `want` does.
    void take_over(socket_watch& other);
    /// From now on the descriptor is ours to close.
    void own() noexcept { owns_ = true; }
    /// Ends the pumps; libcurl is not told anything any more. Cannot fail.
    void stop() noexcept;
    /// Nobody waits any more: pumps that survived the shutdown of the loop end too.
    void requests_over() noexcept;

    /// Somebody waits again: pumps that are needed and have ended start again. Throws as `want` does.
    void revive() { want(in_.wanted, out_.wanted); }

    [[nodiscard]] bool is_duplicate() const noexcept { return curl_fd_ != fd_; }

private:
    struct side {
        bool wanted = false;
        event changed; // `wanted` became true, or the watch stops
        task_handle<> pump;
        cancel_scope* shield = nullptr; // of a pump that outlives a cancellation
    };
    static task<> run(std::shared_ptr<socket_watch> self, bool outgoing);
    task<> pump(bool outgoing);
    task<> pump_on(bool outgoing);
    void set(side& s, bool wanted, bool outgoing);
    [[nodiscard]] side& at(bool outgoing) noexcept { return outgoing ? out_ : in_; }

    client_core* core_; // null: stopped
    int curl_fd_;
    int fd_;
    bool owns_;
    side in_;
    side out_;
};

} // namespace eddy::http::detail

// What the requests of one client share: libcurl's multi handle, driven by the loop.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <curl/curl.h>

#include <eddy/event_loop.hpp>
#include <eddy/http/client.hpp>

#include "client_settings.hpp"

namespace eddy::http::detail {

class socket_watch;
class transfer;

// libcurl asks for two things: to be told when descriptors are ready (socket_watch) and when a time has come (one timer).
// Whenever it was told something, the transfers that ended are collected. libcurl's callbacks only take notes, spawn and
// set timers; nothing of ours runs inside them, so no call into libcurl is ever nested.
class client_core {
public:
    explicit client_core(const client_options& options);
    client_core(const client_core&) = delete;
    client_core& operator=(const client_core&) = delete;
    ~client_core();

    /// Starts a transfer. Throws `closed_resource`, `std::bad_alloc`.
    void add(transfer& t);
    /// Takes a transfer out; one that has not ended loses its connection. No effect if it is not in.
    void remove(transfer& t) noexcept;
    /// Ends all transfers with `e`.
    void fail_all(const std::exception_ptr& e) noexcept;
    void fail_on(curl_socket_t fd, const std::exception_ptr& e) noexcept;
    void close() noexcept;
    [[nodiscard]] bool closed() const noexcept { return multi_ == nullptr; }

    /// A descriptor is ready: tell libcurl. `events`: CURL_CSELECT_*.
    void socket_ready(curl_socket_t fd, int events);

    /// A transfer that paused goes on: its streamed body has room again, or its source has given something.
    void resume(transfer& t);
    /// While there are uploads whose answer has begun, they are woken when something has come.
    void answer_begins() noexcept { ++early_answers_; }
    void answer_ended() noexcept { --early_answers_; }

    /// A task waits for a transfer from now on, or does so no longer.
    void begin_wait();
    void end_wait() noexcept;
    [[nodiscard]] bool awaited() const noexcept { return waiting_ > 0; }

    /// A request goes out on that socket: from now on libcurl asks us to close it. Throws `std::bad_alloc`.
    void connected(curl_socket_t fd);

    /// Easy handles are kept, with what they remember of TLS sessions.
    [[nodiscard]] CURL* take_easy();
    void give_easy(CURL* easy, bool failed) noexcept; // `failed`: not to be used again

    // --- cookies: client_cookies.cpp
    [[nodiscard]] bool keeps_cookies() const noexcept { return share_ != nullptr; }
    void clear_cookies();
    [[nodiscard]] std::vector<cookie> cookies() const;
    /// They have passed `check_cookie`, and cookies are kept.
    void set_cookies(const std::vector<cookie>& cookies);

    /// Sets what all requests have in common.
    void set_common_options(CURL* easy) const;

    [[nodiscard]] const client_settings& settings() const noexcept { return settings_; }
    [[nodiscard]] const client_options& options() const noexcept { return settings_.options(); }
    [[nodiscard]] std::size_t active() const noexcept { return transfers_.size(); }
    [[nodiscard]] std::size_t connections() const noexcept;

private:
    static int socket_callback(CURL* easy, curl_socket_t fd, int what, void* core, void* watch) noexcept;
    static int timer_callback(CURLM* multi, long milliseconds, void* core) noexcept;
    static int close_socket(void* core, curl_socket_t fd) noexcept;

    void watch_socket(curl_socket_t fd, int what);
    void forget_socket(curl_socket_t fd) noexcept;
    void set_timer(long milliseconds);
    void time_passed();
    void collect(CURLMcode code);
    void end_failed() noexcept;
    void wake_uploads();

    const client_settings settings_;
    CURLM* multi_ = nullptr;
    CURLSH* share_ = nullptr; // the cookies; null: none are kept. Easy handles refer to it: it goes last
    std::vector<CURL*> idle_easies_;
    std::vector<transfer*> transfers_;
    std::unordered_map<curl_socket_t, std::shared_ptr<socket_watch>> watches_;
    callback_handle timer_;
    std::size_t waiting_ = 0; // tasks
    std::size_t early_answers_ = 0; // to uploads that are not at their end
    bool pumps_rest_ = false; // some may have ended since a task last waited
    // What a callback of libcurl's threw. It is told nothing: a callback that fails would make the handle unusable for good.
    std::exception_ptr timer_error_;
    bool socket_failed_ = false; // some transfers have an error
};

task<std::size_t> load_cookies(std::shared_ptr<client_core> core, std::string path);
task<> save_cookies(std::shared_ptr<client_core> core, std::string path);

/// While one lives, a task waits: sockets are watched even while the loop shuts down.
class waiting_mark {
public:
    explicit waiting_mark(client_core& core) : core_(core) { core.begin_wait(); }
    waiting_mark(const waiting_mark&) = delete;
    waiting_mark& operator=(const waiting_mark&) = delete;
    ~waiting_mark() { core_.end_wait(); }

private:
    client_core& core_;
};

/// While one lives, an upload goes on although its answer has begun.
class early_answer_mark {
public:
    explicit early_answer_mark(client_core& core) noexcept : core_(core) { core.answer_begins(); }
    early_answer_mark(const early_answer_mark&) = delete;
    early_answer_mark& operator=(const early_answer_mark&) = delete;
    ~early_answer_mark() { core_.answer_ended(); }

private:
    client_core& core_;
};

} // namespace eddy::http::detail

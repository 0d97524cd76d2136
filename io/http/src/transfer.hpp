// One request of the client, from its options to its response.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <curl/curl.h>

#include <eddy/event.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/http/client.hpp>
#include <eddy/this_task.hpp>

#include "descriptor_flags.hpp"
#include "incoming_body.hpp"
#include "outgoing_body.hpp"

namespace eddy::http::detail {

class client_core;

/// The parts of a `request_options` with their own copies of texts.
class request_spec {
public:
    request_spec(std::string m, std::string u, std::string b, const request_options& o, const client_options& defaults);
    std::string method;
    std::string url;
    std::string body;
    header_list headers;
    std::chrono::nanoseconds timeout;
    std::chrono::nanoseconds connect_timeout;
    int max_redirects;
    std::size_t max_body;
    bool as_sent = false; // the answer is not decompressed
};

// The states: made ──start──► in the multi handle ──end or finished──► done ──take──► over. The destructor takes it out of
// the multi handle from any of them. libcurl's callbacks hold its address, so it does not move.
class transfer {
public:
    transfer(std::shared_ptr<client_core> core, request_spec spec);
    transfer(const transfer&) = delete;
    transfer& operator=(const transfer&) = delete;
    ~transfer();

    /// Gives it to libcurl. Throws `http::error` for a bad URL, `closed_resource`, `std::bad_alloc`.
    void start();
    /// The response, once `done` is set; throws what it ended with.
    [[nodiscard]] response take();

    // --- a streamed answer: transfer_stream.cpp

    /// Before `start`: its body is not collected but read by `read_some`, with at most `limit` bytes in between.
    void stream_body(std::size_t limit);
    /// Starts it and waits for the head.
    static task<streamed_response> head_of(std::shared_ptr<transfer> t);
    task<std::size_t> read_some(std::span<std::byte> out);
    /// Nobody wants the rest.
    void abandon() noexcept;

    // --- a body that is produced while it is sent: transfer_upload.cpp

    /// Before `start`. Of so many bytes; unknown: in chunks.
    void upload_body(std::optional<std::uint64_t> size);
    /// Sends what `source` yields. What it throws ends the transfer.
    task<> send_all(async_generator<std::string>& source);
    /// Until it has ended.
    task<> wait_for_answer();
    /// If its answer has begun and it pauses: it may be over.
    void wake_upload();
    /// What `source` threw and `take` will not: because the answer was there already, or the request is cancelled.
    void report_source(bool cancelled) const;

    /// libcurl is through with it.
    void finished(CURLcode code) noexcept;
    /// It ends with an error of ours; it is out of the multi handle already.
    void end(std::exception_ptr e) noexcept;
    /// A callback of libcurl's failed on its behalf.
    void callback_failed(std::exception_ptr e) noexcept { exception_ = std::move(e); }
    /// There was no descriptor for its socket.
    void socket_failed(const std::system_error& e) noexcept;
    [[nodiscard]] const std::exception_ptr& callback_error() const noexcept { return exception_; }
    /// libcurl announces a descriptor of its own making.
    void saw_foreign_socket(int fd) const noexcept;

    event done;
    std::size_t slot = not_active; // where the core keeps it
    static constexpr std::size_t not_active = static_cast<std::size_t>(-1);
    [[nodiscard]] CURL* easy() const noexcept { return easy_; }
    [[nodiscard]] client_core& core() const noexcept { return *core_; }

private:
    void check_url() const;
    [[nodiscard]] long connect_limit() const noexcept; // ms
    void set_version();
    void set_method();
    void set_headers();
    void set_callbacks();
    template <class T>
    void set(CURLoption option, T value, const char* name);
    void arm(callback_handle& timer, std::chrono::nanoseconds limit, const char* what);

    bool header_line(std::string_view line);
    bool status_line(std::string_view line);
    [[nodiscard]] std::size_t body_part(std::string_view data);
    void head_ended() noexcept;
    void complete_head() noexcept;
    bool refuse(error_kind kind, std::string reason) noexcept;
    void connecting();

    task<> wait_for_head();
    [[nodiscard]] streamed_response take_head();
    task<> send_pieces(async_generator<std::string>& source);
    task<> send_piece(std::string piece);
    void set_upload();
    void throw_failure() const;
    [[nodiscard]] response answer();
    [[nodiscard]] int version() const noexcept;
    [[nodiscard]] long tunnel_status(CURLcode code) const noexcept;
    [[nodiscard]] bool was_alerted(CURLcode code) const noexcept;
    [[nodiscard]] error failure(CURLcode code) const;
    [[nodiscard]] error_kind kind_of(CURLcode code) const noexcept;
    [[nodiscard]] std::string current_url() const;
    template <class T>
    [[nodiscard]] T info(CURLINFO what) const noexcept {
        T value{};
        if (curl_easy_getinfo(easy_, what, &value) != CURLE_OK) return T{};
        return value;
    }

    static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self) noexcept;
    static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self) noexcept;
    static std::size_t on_read(char* data, std::size_t size, std::size_t count, void* self) noexcept;
    static int on_seek(void* self, curl_off_t offset, int origin) noexcept;
    static int on_resolve(void* resolver, void* reserved, void* self) noexcept;
    static int on_connected(void* self, char* ip, char* local_ip, int port, int local_port) noexcept;
    static curl_socket_t on_open(void* self, curlsocktype purpose, curl_sockaddr* address) noexcept;
    template <class F>
    bool guarded(F&& f) noexcept;

    std::shared_ptr<client_core> core_;
    request_spec spec_;
    CURL* easy_ = nullptr;
    curl_slist* header_lines_ = nullptr;
    std::size_t body_sent_ = 0; // of a PUT
    std::optional<outgoing_body> outgoing_; // of an upload
    response response_;
    std::optional<incoming_body> incoming_; // of a streamed body
    std::size_t header_bytes_ = 0;
    std::size_t body_bytes_ = 0; // that have come
    bool body_begun_ = false;
    CURLcode code_ = CURLE_OK;
    bool answered_ = false; // completely: its handle remembers no error
    std::exception_ptr exception_;
    std::exception_ptr source_error_; // of an upload
    std::optional<error_kind> refused_;
    std::string refusal_;
    int socket_error_ = 0;
    std::vector<curl_socket_t> opened_; // since it last connected; libcurl may have closed some
    callback_handle deadline_;
    callback_handle connect_deadline_;
    bool connecting_ = false;
    coming_pair resolver_pair_;
    std::array<char, CURL_ERROR_SIZE> message_{};
};

} // namespace eddy::http::detail

// http::client: many HTTP transfers at once on one loop, over libcurl's multi-socket interface.
//
//     http::client hc;
//     http::response res = co_await hc.get("http://127.0.0.1:8080/");
//     if (res.ok()) use(res.header("content-type"), res.body);
//
// Connections are kept and used again. Redirects are followed, compressed bodies unpacked, certificates checked. Only
// http and https are spoken, in redirects too. No thread is started but for name look-ups (libcurl's resolver).
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <eddy/http/error.hpp>
#include <eddy/http/message.hpp>
#include <eddy/task.hpp>

namespace eddy::http {

namespace detail {
class client_core;
}

/// What holds for all requests of a client. The texts are copied when the client is made. A time or number of 0: no limit.
struct client_options {
    std::size_t max_connections = 256;         // at a time; more requests wait for one
    std::size_t max_connections_per_host = 0;  // at a time, to one host and port
    std::size_t max_idle_connections = 64;     // kept for later requests
    std::chrono::nanoseconds timeout = std::chrono::seconds(60);         // of a request, from its start to its last byte
    std::chrono::nanoseconds connect_timeout = std::chrono::seconds(15); // of each connection: name, TCP and TLS
    int max_redirects = 10;                    // 0: a redirect is an ordinary response
    std::size_t max_body = std::size_t{64} << 20;   // bytes, after decompression
    std::size_t max_header = std::size_t{256} << 10; // bytes of all headers of a response
    bool compression = true;                   // offer what libcurl can unpack, and unpack it
    bool verify_tls = true;                    // check certificate and host name
    std::string_view user_agent = "eddy";
    std::string_view ca_file = {};             // PEM file of trusted authorities; default: the system's
    std::string_view proxy = {};               // "http://host:port"; default: none
    bool proxy_from_environment = false;       // else http_proxy and its like are ignored
};

/// What differs for one request. The texts and headers are copied by the call that takes the options.
struct request_options {
    std::optional<std::chrono::nanoseconds> timeout = {};
    std::optional<std::chrono::nanoseconds> connect_timeout = {};
    std::optional<int> max_redirects = {};
    std::optional<std::size_t> max_body = {};
    std::string_view content_type = {};        // of the body we send
    std::span<const header> headers = {};      // a header_list, or a vector or array of headers
};

static_assert(std::is_trivially_destructible_v<request_options>); // it is written into co_await expressions (trap T1)

/// An HTTP client; belongs to the thread of one loop. Move-only.
///
/// All requests: a task that sends the request when it is awaited and returns the whole response, whatever its status.
/// The call itself throws `std::invalid_argument` for a method or header that cannot be sent. The task throws `http::error`
/// (it names the URL and the reason), and `closed_resource` if the client is closed before or meanwhile.
/// Cancelling it ends the transfer and closes its connection, so that no later request gets the rest of its answer.
/// Timeouts run on the loop's clock. The request may have reached the server in each of these cases.
class client {
public:
    /// Throws `std::bad_alloc`, and `std::runtime_error` if libcurl cannot start.
    explicit client(const client_options& options = {});
    client(client&&) noexcept = default;
    client& operator=(client&& other) noexcept;
    /// Closes the client.
    ~client();

    task<response> get(std::string url, request_options options = {});
    task<response> head(std::string url, request_options options = {});
    task<response> post(std::string url, std::string body, request_options options = {});
    task<response> put(std::string url, std::string body, request_options options = {});
    task<response> patch(std::string url, std::string body, request_options options = {});
    task<response> del(std::string url, request_options options = {});
    /// Any method. A redirect with status 303 is followed by GET, with 301 and 302 too if the method is POST.
    task<response> request(std::string method, std::string url, std::string body = {},
                                         request_options options = {});

    /// Closes every connection; running requests throw `closed_resource`, later ones too. Idempotent.
    void close() noexcept;

    /// Requests that have started and not ended.
    [[nodiscard]] std::size_t active() const noexcept;
    /// Open connections, idle ones included.
    [[nodiscard]] std::size_t connections() const noexcept;

private:
    std::shared_ptr<detail::client_core> core_;
};

} // namespace eddy::http

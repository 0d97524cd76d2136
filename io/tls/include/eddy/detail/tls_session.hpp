// One side of a TLS connection without its I/O: encrypted bytes in, encrypted bytes out. OpenSSL stays in the .cpp file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <eddy/tls_context.hpp>
#include <eddy/tls_error.hpp>

namespace eddy {

/// What was agreed on.
struct tls_session_info {
    std::string version;      // "TLSv1.3"
    std::string cipher;       // "TLS_AES_256_GCM_SHA384"
    std::string alpn;         // "h2"; empty if nothing was agreed on
    std::string server_name;  // that the client asked for (SNI); empty if it did not
    std::string peer_subject; // of its certificate: "CN=localhost"; empty if it has shown none
    bool resumed = false;     // an earlier session went on; the certificate was checked then
};

namespace detail {

/// Every call does what can be done now. What is to be sent piles up as output, also of calls that throw: an alert.
class tls_session {
public:
    enum class step : std::uint8_t { done, wants_input, ended };

    /// The side that begins. `host`: what the peer's certificate has to name. `peer`: what messages call it, and under which
    /// sessions are kept.
    [[nodiscard]] static tls_session client(const tls_context& context, const std::string& host, std::string peer);
    [[nodiscard]] static tls_session server(const tls_context& context, std::string peer);
    tls_session(tls_session&&) noexcept;
    tls_session& operator=(tls_session&&) = delete;
    ~tls_session();

    /// All three throw `tls_error`. `read`: at least one byte if done, ended after the peer's close_notify. `write`: all of
    /// it if done, else none of it.
    [[nodiscard]] step handshake();
    [[nodiscard]] step read(std::span<std::byte> out, std::size_t& n);
    [[nodiscard]] step write(std::span<const std::byte> bytes);
    /// Ours; nothing may be written after it. Waits for input in the middle of a message of the handshake's kind (a ticket).
    [[nodiscard]] step close_notify() noexcept;

    /// Throws what an earlier call has failed with.
    void require_sound() const;
    [[nodiscard]] bool has_output() const noexcept;
    /// Throws `tls_error` if the peer goes on asking for answers (new keys, say) without taking any: they would fill the memory.
    void limit_output();
    /// Takes what is to be sent; good until the next call of this function.
    [[nodiscard]] std::span<const std::byte> take_output();
    /// What came.
    void received(std::string_view bytes);

    [[noreturn]] void throw_truncated() const;
    [[nodiscard]] bool is_server() const noexcept;
    /// What messages call the peer.
    [[nodiscard]] const std::string& peer() const noexcept;
    [[nodiscard]] tls_session_info info() const;
    [[nodiscard]] std::string alpn_protocol() const;

private:
    struct state;
    explicit tls_session(std::unique_ptr<state> s) noexcept;
    std::unique_ptr<state> state_;
};

} // namespace detail
} // namespace eddy

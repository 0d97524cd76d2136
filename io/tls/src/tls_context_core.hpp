// What a tls_context is a handle of.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <eddy/tls_context.hpp>

#include "openssl.hpp"

namespace eddy::detail {

class tls_context_core {
public:
    enum class role : bool { client, server };
    explicit tls_context_core(role r);
    tls_context_core(const tls_context_core&) = delete;
    tls_context_core& operator=(const tls_context_core&) = delete;

    [[nodiscard]] SSL_CTX* get() const noexcept { return context_.get(); }
    [[nodiscard]] bool is_server() const noexcept { return role_ == role::server; }
    /// The context for a name that a client asks for; null if there is none of its own.
    [[nodiscard]] const tls_context_core* find(std::string_view host) const;

    /// Sessions of the client side. Any thread.
    void keep_session(const std::string& peer, ssl_session_ptr session);
    [[nodiscard]] ssl_session_ptr take_session(const std::string& peer);

    std::map<std::string, std::shared_ptr<tls_context_core>> names; // in small letters
    std::string protocols;                                          // ALPN, each with its length in front
    bool resumes = true;

private:
    ssl_context_ptr context_;
    role role_;
    std::mutex mutex_; // of the sessions
    std::unordered_map<std::string, std::deque<ssl_session_ptr>> sessions_;
};

/// The name in a ClientHello's server_name extension (RFC 6066 3), in small letters; empty if there is none.
[[nodiscard]] std::string server_name_in(std::string_view extension);
[[nodiscard]] std::string small_letters(std::string_view text);

} // namespace eddy::detail

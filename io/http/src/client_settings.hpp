// The options of a client with their own copies of texts, as libcurl is told them for each request.
#pragma once

#include <string>

#include <curl/curl.h>

#include <eddy/http/client.hpp>

namespace eddy::http::detail {

class client_settings {
public:
    /// Throws `std::invalid_argument` for what cannot be meant, `std::bad_alloc`.
    explicit client_settings(const client_options& options);
    client_settings(const client_settings&) = delete;
    client_settings& operator=(const client_settings&) = delete;

    [[nodiscard]] const client_options& options() const noexcept { return options_; }
    /// What all requests have in common: who asks, what is trusted, which way it goes.
    void apply(CURL* easy) const;
    /// The options that an error of this kind is about, with their files; empty if there are none.
    [[nodiscard]] std::string blamed(CURLcode code) const;

private:
    void check() const;
    void apply_tls(CURL* easy) const;
    void apply_authorities(CURL* easy) const;
    void apply_proxy(CURL* easy) const;
    void apply_unix_socket(CURL* easy) const;

    client_options options_; // its texts point into the strings
    std::string user_agent_;
    std::string ca_file_;
    std::string ca_pem_;
    std::string certificate_file_;
    std::string key_file_;
    std::string key_password_;
    std::string proxy_;
    std::string no_proxy_;
    std::string unix_socket_;
};

/// Throws `std::bad_alloc` or `std::runtime_error` unless the option was taken.
void check_option(CURLcode code, const char* option);

} // namespace eddy::http::detail

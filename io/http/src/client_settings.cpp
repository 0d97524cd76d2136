#include "client_settings.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <stdexcept>
#include <string_view>

#include <eddy/http/headers.hpp>
#include <eddy/unix_endpoint.hpp>

namespace eddy::http::detail {
namespace {

template <class T>
void set(CURL* easy, CURLoption option, T value, const char* name) {
    check_option(curl_easy_setopt(easy, option, value), name);
}

[[noreturn]] void refuse(const std::string& what) {
    throw std::invalid_argument("http::client: " + what);
}

// libcurl would find these with the first request, in words that quote the password.
void check_proxy(const std::string& proxy) {
    constexpr std::array<std::string_view, 6> known{"http", "https", "socks4", "socks4a", "socks5", "socks5h"};
    const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), &curl_url_cleanup);
    if (!url) throw std::bad_alloc();
    constexpr unsigned flags = CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME;
    if (curl_url_set(url.get(), CURLUPART_URL, proxy.c_str(), flags) != CURLUE_OK)
        refuse("the proxy is not a valid URL like http://host:port");
    if (proxy.find("://") == std::string::npos) return; // http
    const std::string scheme = proxy.substr(0, proxy.find("://"));
    const auto same = [&](std::string_view name) { return equal_names(name, scheme); };
    if (std::none_of(known.begin(), known.end(), same)) refuse("the proxy has to be one of http, https, socks5h, socks5, socks4a and socks4");
}

} // namespace

void check_option(CURLcode code, const char* option) {
    if (code == CURLE_OK) return;
    if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
    throw std::runtime_error("libcurl refuses the option " + std::string(option) + ": " + curl_easy_strerror(code));
}

client_settings::client_settings(const client_options& options)
    : options_(options),
      user_agent_(options.user_agent),
      ca_file_(options.ca_file),
      ca_pem_(options.ca_pem),
      certificate_file_(options.certificate_file),
      key_file_(options.key_file),
      key_password_(options.key_password),
      proxy_(options.proxy),
      no_proxy_(options.no_proxy),
      unix_socket_(options.unix_socket) {
    check();
    options_.user_agent = user_agent_;
    options_.ca_file = ca_file_;
    options_.ca_pem = ca_pem_;
    options_.certificate_file = certificate_file_;
    options_.key_file = key_file_;
    options_.key_password = key_password_;
    options_.proxy = proxy_;
    options_.no_proxy = no_proxy_;
    options_.unix_socket = unix_socket_;
}

void client_settings::check() const {
    if (!is_field_value(user_agent_)) refuse("there is a line break or a NUL in the user agent");
    if (!is_field_value(proxy_) || !is_field_value(no_proxy_)) refuse("there is a line break or a NUL in the proxy");
    if (!proxy_.empty()) check_proxy(proxy_);
    for (const std::string* const text : {&ca_file_, &certificate_file_, &key_file_, &key_password_}) {
        if (text->find('\0') != std::string::npos) refuse("there is a NUL in the name of a file, or in the password of the key");
    }
    if (!ca_file_.empty() && !ca_pem_.empty()) refuse("either ca_file or ca_pem says who is trusted, not both");
    if (!unix_socket_.empty()) {
        static_cast<void>(unix_endpoint(unix_socket_)); // throws
        if (!proxy_.empty() || options_.proxy_from_environment) refuse("there is no proxy on the way to a Unix-domain socket");
    }
    if (certificate_file_.empty() && !(key_file_.empty() && key_password_.empty())) refuse("there is a key, but no certificate_file");
}

void client_settings::apply(CURL* easy) const {
    if (options_.compression) set(easy, CURLOPT_ACCEPT_ENCODING, "", "ACCEPT_ENCODING");
    if (!user_agent_.empty()) set(easy, CURLOPT_USERAGENT, user_agent_.c_str(), "USERAGENT");
    apply_tls(easy);
    apply_proxy(easy);
    if (!unix_socket_.empty()) apply_unix_socket(easy);
}

void client_settings::apply_unix_socket(CURL* easy) const {
    if (unix_socket_.front() == '@' || unix_socket_.front() == '\0')
        return set(easy, CURLOPT_ABSTRACT_UNIX_SOCKET, unix_socket_.c_str() + 1, "ABSTRACT_UNIX_SOCKET");
    set(easy, CURLOPT_UNIX_SOCKET_PATH, unix_socket_.c_str(), "UNIX_SOCKET_PATH");
}

void client_settings::apply_tls(CURL* easy) const {
    set(easy, CURLOPT_SSL_VERIFYPEER, options_.verify_tls ? 1L : 0L, "SSL_VERIFYPEER");
    set(easy, CURLOPT_SSL_VERIFYHOST, options_.verify_tls ? 2L : 0L, "SSL_VERIFYHOST");
    // The same for a proxy that is spoken to over TLS.
    set(easy, CURLOPT_PROXY_SSL_VERIFYPEER, options_.verify_tls ? 1L : 0L, "PROXY_SSL_VERIFYPEER");
    set(easy, CURLOPT_PROXY_SSL_VERIFYHOST, options_.verify_tls ? 2L : 0L, "PROXY_SSL_VERIFYHOST");
    const bool newest = options_.minimum_tls == tls_minimum::tls_1_3;
    const auto minimum = static_cast<long>(newest ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2);
    set(easy, CURLOPT_SSLVERSION, minimum, "SSLVERSION");
    set(easy, CURLOPT_PROXY_SSLVERSION, minimum, "PROXY_SSLVERSION");
    apply_authorities(easy);
    if (certificate_file_.empty()) return;
    set(easy, CURLOPT_SSLCERT, certificate_file_.c_str(), "SSLCERT");
    if (!key_file_.empty()) set(easy, CURLOPT_SSLKEY, key_file_.c_str(), "SSLKEY");
    set(easy, CURLOPT_KEYPASSWD, key_password_.c_str(), "KEYPASSWD"); // without one OpenSSL would ask at the terminal, and wait
}

// "Instead of the system's": libcurl may have been built with a folder of authorities besides its file.
void client_settings::apply_authorities(CURL* easy) const {
    if (ca_file_.empty() && ca_pem_.empty()) return;
    for (const CURLoption folder : {CURLOPT_CAPATH, CURLOPT_PROXY_CAPATH}) {
        const CURLcode code = curl_easy_setopt(easy, folder, static_cast<const char*>(nullptr));
        if (code != CURLE_NOT_BUILT_IN) check_option(code, "CAPATH");
    }
    if (!ca_file_.empty()) {
        set(easy, CURLOPT_CAINFO, ca_file_.c_str(), "CAINFO");
        return set(easy, CURLOPT_PROXY_CAINFO, ca_file_.c_str(), "PROXY_CAINFO");
    }
    curl_blob text{const_cast<char*>(ca_pem_.data()), ca_pem_.size(), CURL_BLOB_NOCOPY}; // it lives as long as the client
    set(easy, CURLOPT_CAINFO_BLOB, &text, "CAINFO_BLOB");
    set(easy, CURLOPT_PROXY_CAINFO_BLOB, &text, "PROXY_CAINFO_BLOB");
}

std::string client_settings::blamed(CURLcode code) const {
    if (code == CURLE_SSL_CACERT_BADFILE && !ca_pem_.empty()) return "ca_pem";
    if (code == CURLE_SSL_CACERT_BADFILE && !ca_file_.empty()) return "ca_file '" + ca_file_ + "'";
    if (code != CURLE_SSL_CERTPROBLEM || certificate_file_.empty()) return {};
    const std::string certificate = "certificate_file '" + certificate_file_ + "'";
    return key_file_.empty() ? certificate : certificate + ", key_file '" + key_file_ + "'";
}

// Without these libcurl would look into the environment, for the exceptions too: an empty proxy is none, an empty list of
// exceptions excepts nothing.
void client_settings::apply_proxy(CURL* easy) const {
    const bool environment = options_.proxy_from_environment;
    if (!proxy_.empty() || !environment) set(easy, CURLOPT_PROXY, proxy_.c_str(), "PROXY");
    if (!no_proxy_.empty() || !environment) set(easy, CURLOPT_NOPROXY, no_proxy_.c_str(), "NOPROXY");
}

} // namespace eddy::http::detail

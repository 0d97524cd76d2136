// How a transfer takes the response in, and what it ends with.
#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "client_core.hpp"
#include "transfer.hpp"

namespace eddy::http::detail {

// --- the response comes in

bool transfer::refuse(error_kind kind, std::string reason) noexcept {
    refused_ = kind;
    refusal_ = std::move(reason);
    return false;
}

bool transfer::header_line(std::string_view line) {
    header_bytes_ += line.size();
    const std::size_t limit = core_->options().max_header;
    if (limit != 0 && header_bytes_ > limit)
        return refuse(error_kind::too_large, "the headers exceed " + std::to_string(limit) + " bytes");
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
    if (incoming_ && incoming_->head_complete) return true; // trailers
    if (line.empty()) {
        head_ended();
        return true;
    }
    if (line.starts_with("HTTP/") && !body_begun_) return status_line(line);
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    if (colon == std::string_view::npos || !is_token(name) || !is_field_value(line)) return true; // nothing we could show
    response_.headers.add(name, line.substr(colon + 1));
    return true;
}

// A new response begins: after a redirect, or after 100 Continue.
bool transfer::status_line(std::string_view line) {
    response_.headers.clear();
    const std::string_view status = line.substr(std::min(line.find(' '), line.size() - 1) + 1);
    if (!status.starts_with('1')) header_bytes_ = line.size();
    if (status.starts_with("303") && outgoing_) outgoing_->unwanted = true;
    // libcurl would keep the name of a method that it does not know as such.
    if (status.starts_with("303") && spec_.max_redirects > 0 && spec_.method != "HEAD")
        check_option(curl_easy_setopt(easy_, CURLOPT_CUSTOMREQUEST, nullptr), "CUSTOMREQUEST");
    return true;
}

/// What was taken of it: all, or libcurl has to wait; nothing counts if it was refused.
std::size_t transfer::body_part(std::string_view data) {
    const std::size_t limit = spec_.max_body;
    if (!body_begun_) {
        body_begun_ = true;
        if (incoming_ && !incoming_->head_complete) complete_head();
        const auto announced = info<curl_off_t>(CURLINFO_CONTENT_LENGTH_DOWNLOAD_T);
        const std::size_t expected = announced > 0 ? static_cast<std::size_t>(announced) : 0;
        if (limit != 0 && expected > limit)
            return refuse(error_kind::too_large, "a body of " + std::to_string(expected) + " bytes is announced, the limit is " +
                                                     std::to_string(limit));
        if (!incoming_) response_.body.reserve(std::min(expected, std::size_t{1} << 20));
    }
    if (limit != 0 && data.size() > limit - body_bytes_)
        return refuse(error_kind::too_large, "the body exceeds the limit of " + std::to_string(limit) + " bytes");
    if (incoming_ && !incoming_->put(data)) return CURL_WRITEFUNC_PAUSE;
    if (!incoming_) response_.body.append(data);
    body_bytes_ += data.size();
    return data.size();
}

// --- it ends

void transfer::finished(CURLcode code) noexcept {
    deadline_.cancel();
    connect_deadline_.cancel();
    code_ = code;
    answered_ = code == CURLE_OK;
    if (incoming_ && answered_ && !incoming_->head_complete) complete_head();
    done.set();
    if (incoming_) incoming_->changed.set();
    if (!outgoing_) return;
    outgoing_->taken.set();
    outgoing_->answered.set();
}

void transfer::end(std::exception_ptr e) noexcept {
    exception_ = std::move(e);
    finished(CURLE_ABORTED_BY_CALLBACK);
}

std::string transfer::current_url() const {
    const char* url = easy_ ? info<char*>(CURLINFO_EFFECTIVE_URL) : nullptr;
    return url && *url ? url : spec_.url;
}

void transfer::throw_failure() const {
    if (exception_) std::rethrow_exception(exception_);
    if (code_ == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
    if (code_ != CURLE_OK) throw failure(code_);
}

response transfer::take() {
    throw_failure();
    return answer();
}

int transfer::version() const noexcept {
    switch (info<long>(CURLINFO_HTTP_VERSION)) {
        case CURL_HTTP_VERSION_1_0: return 10;
        case CURL_HTTP_VERSION_2_0: return 20;
        default: return 11;
    }
}

response transfer::answer() {
    const auto time = [this](CURLINFO what) { return std::chrono::microseconds(info<curl_off_t>(what)); };
    response r = std::move(response_);
    r.status = static_cast<int>(info<long>(CURLINFO_RESPONSE_CODE));
    r.url = current_url();
    r.redirects = static_cast<int>(info<long>(CURLINFO_REDIRECT_COUNT));
    r.bytes = static_cast<std::uint64_t>(std::max<curl_off_t>(info<curl_off_t>(CURLINFO_SIZE_DOWNLOAD_T), 0));
    r.connection_reused = info<long>(CURLINFO_NUM_CONNECTS) == 0;
    r.http_version = version();
    r.timings.resolve = time(CURLINFO_NAMELOOKUP_TIME_T);
    r.timings.connect = time(CURLINFO_CONNECT_TIME_T);
    r.timings.tls = time(CURLINFO_APPCONNECT_TIME_T);
    r.timings.first_byte = time(CURLINFO_STARTTRANSFER_TIME_T);
    r.timings.total = time(CURLINFO_TOTAL_TIME_T);
    return r;
}

/// What a proxy has said to CONNECT, if it was no; else 0. An error after that is the server's.
long transfer::tunnel_status(CURLcode code) const noexcept {
    const long status = info<long>(CURLINFO_HTTP_CONNECTCODE);
    return code == CURLE_RECV_ERROR && status / 100 != 2 ? status : 0;
}

// In TLS 1.3 a server that does not like our certificate says so after the handshake: it is an error of a read.
bool transfer::was_alerted(CURLcode code) const noexcept {
    return code == CURLE_RECV_ERROR && !body_begun_ && std::strstr(message_.data(), "alert") != nullptr;
}

error transfer::failure(CURLcode code) const {
    if (refused_) return error(*refused_, spec_.method, current_url(), refusal_);
    if (const long status = tunnel_status(code); status != 0 || code == CURLE_PROXY)
        return error(error_kind::proxy, spec_.method, current_url(), message_.data(), 0, static_cast<int>(status));
    const error_kind kind = was_alerted(code) ? error_kind::tls : kind_of(code);
    std::string reason = message_[0] != '\0' ? message_.data() : curl_easy_strerror(code);
    if (reason.starts_with("Unsupported proxy")) reason = "the proxy of the environment is not a valid URL"; // theirs quotes its password
    if (const std::string blamed = core_->settings().blamed(code); !blamed.empty()) reason += " (" + blamed + ")";
    const bool of_the_network = code == CURLE_COULDNT_CONNECT || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR;
    const int os_error = of_the_network ? static_cast<int>(info<long>(CURLINFO_OS_ERRNO)) : 0;
    if (kind == error_kind::connect && socket_error_ != 0) {
        reason = "no socket could be opened";
        return error(kind, spec_.method, current_url(), reason, socket_error_);
    }
    if (kind == error_kind::too_many_redirects) reason = "more than " + std::to_string(spec_.max_redirects) + " redirects";
    return error(kind, spec_.method, current_url(), reason, os_error);
}

void transfer::socket_failed(const std::system_error& e) noexcept {
    try {
        const error no_socket(error_kind::connect, spec_.method, current_url(), "no descriptor for its socket", e.code().value());
        exception_ = std::make_exception_ptr(no_socket);
    } catch (...) {
        exception_ = std::current_exception();
    }
}

error_kind transfer::kind_of(CURLcode code) const noexcept {
    switch (code) {
        case CURLE_URL_MALFORMAT: return error_kind::bad_url;
        case CURLE_UNSUPPORTED_PROTOCOL: // the answer was HTTP/0.9, or a redirect leads to another scheme
            return std::strstr(message_.data(), "HTTP/0.9") ? error_kind::protocol : error_kind::bad_url;
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY: return error_kind::resolve;
        case CURLE_COULDNT_CONNECT: return error_kind::connect;
        case CURLE_OPERATION_TIMEDOUT: return error_kind::timeout;
        case CURLE_PARTIAL_FILE: return error_kind::truncated;
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR:
        case CURLE_GOT_NOTHING: {
            const bool answering = body_begun_ || (incoming_ && incoming_->head_complete);
            return answering ? error_kind::truncated : error_kind::disconnected;
        }
        case CURLE_SEND_FAIL_REWIND: // for a redirect; or a kept connection was closed while the body was on its way
            return info<long>(CURLINFO_RESPONSE_CODE) >= 200 ? error_kind::other : error_kind::disconnected;
        case CURLE_FILESIZE_EXCEEDED: return error_kind::too_large;
        case CURLE_TOO_MANY_REDIRECTS: return error_kind::too_many_redirects;
        case CURLE_BAD_CONTENT_ENCODING: return error_kind::encoding;
        case CURLE_WEIRD_SERVER_REPLY:
        case CURLE_HTTP2:
        case CURLE_HTTP2_STREAM: return error_kind::protocol;
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CRL_BADFILE:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_INVALIDCERTSTATUS:
        case CURLE_SSL_ENGINE_INITFAILED:
        case CURLE_USE_SSL_FAILED:
        case CURLE_PEER_FAILED_VERIFICATION: return error_kind::tls;
        default: return error_kind::other;
    }
}

} // namespace eddy::http::detail

#include "transfer.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <utility>

#include "client_core.hpp"

namespace eddy::http::detail {

request_spec::request_spec(std::string m, std::string u, std::string b, const request_options& o, const client_options& defaults)
    : method(std::move(m)),
      url(std::move(u)),
      body(std::move(b)),
      timeout(o.timeout.value_or(defaults.timeout)),
      connect_timeout(o.connect_timeout.value_or(defaults.connect_timeout)),
      max_redirects(o.max_redirects.value_or(defaults.max_redirects)),
      max_body(o.max_body.value_or(defaults.max_body)) {
    if (!is_token(method)) throw std::invalid_argument("'" + method + "' cannot be an HTTP method: it must be a token like GET");
    if (!o.content_type.empty()) headers.set("Content-Type", o.content_type);
    for (const header& h : o.headers) {
        for (const char* const framing : {"Content-Length", "Transfer-Encoding", "Connection"}) {
            if (equal_names(h.name, framing))
                throw std::invalid_argument(std::string("http: the header ") + framing + " is the client's business: it follows from the request");
        }
        headers.add(h.name, h.value);
    }
}

transfer::transfer(std::shared_ptr<client_core> core, request_spec spec) : core_(std::move(core)), spec_(std::move(spec)) {}

transfer::~transfer() {
    deadline_.cancel();
    connect_deadline_.cancel();
    core_->remove(*this);
    if (easy_) core_->give_easy(easy_, !answered_);
    curl_slist_free_all(header_lines_);
}

template <class T>
void transfer::set(CURLoption option, T value, const char* name) {
    check_option(curl_easy_setopt(easy_, option, value), name);
}

void transfer::start() {
    if (core_->closed()) throw closed_resource("the http client is closed; " + spec_.method + " " + spec_.url + " was not sent");
    check_url();
    easy_ = core_->take_easy();
    core_->set_common_options(easy_);
    set_callbacks();
    if (spec_.as_sent) set(CURLOPT_ACCEPT_ENCODING, static_cast<const char*>(nullptr), "ACCEPT_ENCODING");
    set_version();
    set(CURLOPT_URL, spec_.url.c_str(), "URL");
    set(CURLOPT_FOLLOWLOCATION, spec_.max_redirects > 0 ? 1L : 0L, "FOLLOWLOCATION");
    set(CURLOPT_MAXREDIRS, static_cast<long>(std::max(spec_.max_redirects, 0)), "MAXREDIRS");
    set(CURLOPT_CONNECTTIMEOUT_MS, connect_limit(), "CONNECTTIMEOUT_MS");
    set_method();
    set_headers();
    core_->add(*this);
    arm(deadline_, spec_.timeout, "the time limit of the request is over");
}

// libcurl shares this time out among the addresses of a name. The limit itself is kept by a timer of ours, on the loop's
// clock: here it is a little longer, so that ours is the one that tells.
long transfer::connect_limit() const noexcept {
    using std::chrono::milliseconds;
    const auto limit = spec_.connect_timeout.count() > 0 ? spec_.connect_timeout : spec_.timeout;
    if (limit.count() <= 0) return INT_MAX;
    const auto ms = std::chrono::duration_cast<milliseconds>(limit).count();
    return static_cast<long>(std::clamp<std::int64_t>(ms + ms / 8 + 50, 1, INT_MAX));
}

void transfer::check_url() const {
    if (spec_.url.find('\0') != std::string::npos)
        throw error(error_kind::bad_url, spec_.method, spec_.url.c_str(), "there is a NUL in it"); // up to there
    const std::string_view url = spec_.url;
    const std::size_t scheme = equal_names(url.substr(0, 7), "http://") ? 7 : equal_names(url.substr(0, 8), "https://") ? 8 : 0;
    if (scheme == 0) throw error(error_kind::bad_url, spec_.method, spec_.url, "it must start with http:// or https://");
    if (const std::string_view rest = url.substr(scheme); rest.empty() || rest.find_first_of("/?#") == 0) // libcurl takes the path
        throw error(error_kind::bad_url, spec_.method, spec_.url, "it has no host");
}

// Without support in libcurl, http2 has no effect. A transfer that may pause has a connection for itself: libcurl before 8.1 lets
// the other streams of the connection wait for it, and later ones had mistakes of their own (curl #10988, #16280, #19334).
void transfer::set_version() {
    const bool shares = core_->options().http2 && !incoming_ && !outgoing_;
    if (!shares || curl_easy_setopt(easy_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS)) != CURLE_OK)
        return set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1), "HTTP_VERSION");
    if (equal_names(spec_.url.substr(0, 6), "https:")) set(CURLOPT_PIPEWAIT, 1L, "PIPEWAIT"); // rather share than open another
}

void transfer::set_upload() {
    set(CURLOPT_UPLOAD, 1L, "UPLOAD");
    const curl_off_t size = outgoing_->size() ? static_cast<curl_off_t>(*outgoing_->size()) : -1; // -1: unknown
    set(CURLOPT_INFILESIZE_LARGE, size, "INFILESIZE_LARGE");
    set(CURLOPT_READFUNCTION, &transfer::on_read, "READFUNCTION");
    set(CURLOPT_READDATA, static_cast<void*>(this), "READDATA");
    set(CURLOPT_SEEKFUNCTION, &transfer::on_seek, "SEEKFUNCTION");
    set(CURLOPT_SEEKDATA, static_cast<void*>(this), "SEEKDATA");
    if (spec_.method != "PUT") set(CURLOPT_CUSTOMREQUEST, spec_.method.c_str(), "CUSTOMREQUEST");
}

void transfer::set_callbacks() {
    set(CURLOPT_PRIVATE, static_cast<void*>(this), "PRIVATE");
    set(CURLOPT_ERRORBUFFER, message_.data(), "ERRORBUFFER");
    set(CURLOPT_HEADERFUNCTION, &transfer::on_header, "HEADERFUNCTION");
    set(CURLOPT_HEADERDATA, static_cast<void*>(this), "HEADERDATA");
    set(CURLOPT_WRITEFUNCTION, &transfer::on_body, "WRITEFUNCTION");
    set(CURLOPT_WRITEDATA, static_cast<void*>(this), "WRITEDATA");
    set(CURLOPT_OPENSOCKETFUNCTION, &transfer::on_open, "OPENSOCKETFUNCTION");
    set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(this), "OPENSOCKETDATA");
    set(CURLOPT_RESOLVER_START_FUNCTION, &transfer::on_resolve, "RESOLVER_START_FUNCTION");
    set(CURLOPT_RESOLVER_START_DATA, static_cast<void*>(this), "RESOLVER_START_DATA");
    set(CURLOPT_PREREQFUNCTION, &transfer::on_connected, "PREREQFUNCTION");
    set(CURLOPT_PREREQDATA, static_cast<void*>(this), "PREREQDATA");
}

void transfer::set_method() {
    const std::string& m = spec_.method;
    if (outgoing_) return set_upload();
    if (m == "HEAD") return set(CURLOPT_NOBODY, 1L, "NOBODY");
    if (m == "GET" && spec_.body.empty()) return set(CURLOPT_HTTPGET, 1L, "HTTPGET");
    if (m == "PUT") {
        set(CURLOPT_UPLOAD, 1L, "UPLOAD");
        set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(spec_.body.size()), "INFILESIZE_LARGE");
        set(CURLOPT_READFUNCTION, &transfer::on_read, "READFUNCTION");
        set(CURLOPT_READDATA, static_cast<void*>(this), "READDATA");
        set(CURLOPT_SEEKFUNCTION, &transfer::on_seek, "SEEKFUNCTION");
        return set(CURLOPT_SEEKDATA, static_cast<void*>(this), "SEEKDATA");
    }
    if (m == "POST" || !spec_.body.empty()) {
        set(CURLOPT_POST, 1L, "POST");
        set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(spec_.body.size()), "POSTFIELDSIZE_LARGE");
        set(CURLOPT_POSTFIELDS, spec_.body.c_str(), "POSTFIELDS");
    }
    if (m == "POST") return;
    set(CURLOPT_CUSTOMREQUEST, m.c_str(), "CUSTOMREQUEST");
    set(CURLOPT_POSTREDIR, CURL_REDIR_POST_301 | CURL_REDIR_POST_302, "POSTREDIR"); // the method stays: so must the body
}

void transfer::set_headers() {
    const auto add = [this](const std::string& line) {
        curl_slist* longer = curl_slist_append(header_lines_, line.c_str());
        if (!longer) throw std::bad_alloc();
        header_lines_ = longer;
    };
    for (const header& h : spec_.headers) add(h.value.empty() ? h.name + ";" : h.name + ": " + h.value);
    // Two headers that libcurl would add on its own: a form's content type, and Expect, which costs a second with servers
    // that ignore it.
    if (!spec_.headers.contains("Content-Type")) add("Content-Type:");
    if (!spec_.headers.contains("Expect")) add("Expect:");
    set(CURLOPT_HTTPHEADER, header_lines_, "HTTPHEADER");
}

// --- deadlines, on the loop's clock

void transfer::arm(callback_handle& timer, std::chrono::nanoseconds limit, const char* what) {
    if (limit.count() <= 0) return;
    timer = this_loop().call_later(limit, [this, &timer, limit, what] {
        timer = {};
        const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
        const error e(error_kind::timeout, spec_.method, current_url(), std::string(what) + " (" + std::to_string(milliseconds) + " ms)");
        core_->remove(*this);
        end(std::make_exception_ptr(e));
    });
}

void transfer::connecting() {
    if (connecting_) return;
    connecting_ = true;
    arm(connect_deadline_, spec_.connect_timeout, "the time limit for a connection is over");
}

// --- what libcurl tells, from inside its calls

template <class F>
bool transfer::guarded(F&& f) noexcept {
    try {
        return f();
    } catch (...) {
        exception_ = std::current_exception();
        return false;
    }
}

std::size_t transfer::on_header(char* data, std::size_t size, std::size_t count, void* self) noexcept {
    auto& t = *static_cast<transfer*>(self);
    return t.guarded([&] { return t.header_line({data, size * count}); }) ? size * count : 0;
}

std::size_t transfer::on_body(char* data, std::size_t size, std::size_t count, void* self) noexcept {
    auto& t = *static_cast<transfer*>(self);
    std::size_t taken = 0;
    const bool fine = t.guarded([&] {
        taken = t.body_part({data, size * count});
        return !t.refused_;
    });
    return fine ? taken : (size * count == 0 ? 1 : 0);
}

std::size_t transfer::on_read(char* data, std::size_t size, std::size_t count, void* self) noexcept {
    auto& t = *static_cast<transfer*>(self);
    if (t.outgoing_) return t.outgoing_->read(data, size * count);
    const std::size_t n = std::min(size * count, t.spec_.body.size() - t.body_sent_);
    std::copy_n(t.spec_.body.data() + t.body_sent_, n, data);
    t.body_sent_ += n;
    return n;
}

int transfer::on_seek(void* self, curl_off_t offset, int origin) noexcept {
    auto& t = *static_cast<transfer*>(self);
    if (t.outgoing_) return offset == 0 && t.outgoing_->rewind() ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
    if (origin != SEEK_SET || offset < 0 || static_cast<std::size_t>(offset) > t.spec_.body.size()) return CURL_SEEKFUNC_FAIL;
    t.body_sent_ = static_cast<std::size_t>(offset);
    return CURL_SEEKFUNC_OK;
}

int transfer::on_resolve(void*, void*, void* self) noexcept {
    auto& t = *static_cast<transfer*>(self);
    t.resolver_pair_ = coming_pair::guess();
    return t.guarded([&] { return t.connecting(), true; }) ? 0 : 1;
}

curl_socket_t transfer::on_open(void* self, curlsocktype, curl_sockaddr* address) noexcept {
    auto& t = *static_cast<transfer*>(self);
    curl_socket_t fd = CURL_SOCKET_BAD;
    t.guarded([&] {
        t.connecting();
        t.opened_.reserve(t.opened_.size() + 1);
        fd = ::socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
        t.socket_error_ = fd == CURL_SOCKET_BAD ? errno : 0;
        if (fd != CURL_SOCKET_BAD) t.opened_.push_back(fd);
        return true;
    });
    return fd;
}

int transfer::on_connected(void* self, char*, char*, int port, int local_port) noexcept {
    auto& t = *static_cast<transfer*>(self);
    t.connect_deadline_.cancel();
    t.connecting_ = false;
    const bool is_unix = !t.core_->options().unix_socket.empty(); // libcurl has no ports for it, or the URL's
    const bool taken = t.guarded([&] {
        for (const curl_socket_t fd : std::exchange(t.opened_, {})) {
            if (is_unix ? is_unix_connection(fd) : is_connection(fd, local_port, port)) t.core_->connected(fd);
        }
        return true;
    });
    return taken ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

void transfer::saw_foreign_socket(int fd) const noexcept {
    if (resolver_pair_.has(fd)) resolver_pair_.mark();
}

} // namespace eddy::http::detail

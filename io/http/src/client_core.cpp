#include "client_core.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <new>
#include <stdexcept>
#include <utility>

#include "curl_socket.hpp"
#include "descriptor_flags.hpp"
#include "transfer.hpp"

namespace eddy::http::detail {
namespace {

constexpr std::size_t max_idle_easies = 32;
constexpr long longest_timer = 1000L * 60 * 60 * 24; // ms; what is later is libcurl's "never"

void start_libcurl() {
    static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT); // once; libcurl stays until the process ends
    if (code != CURLE_OK) throw std::runtime_error(std::string("libcurl cannot start: ") + curl_easy_strerror(code));
}

} // namespace

client_core::client_core(const client_options& options) : settings_(options) {
    start_libcurl();
    const coming_pair wakeup = coming_pair::guess();
    multi_ = curl_multi_init();
    if (!multi_) throw std::bad_alloc();
    wakeup.mark();
    if (options.cookies) {
        share_ = curl_share_init(); // without locks: one thread at a time
        if (!share_ || curl_share_setopt(share_, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE) != CURLSHE_OK) {
            curl_share_cleanup(share_);
            curl_multi_cleanup(multi_);
            throw std::bad_alloc();
        }
    }
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &client_core::socket_callback);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &client_core::timer_callback);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
    const auto number = [](std::size_t n) { return static_cast<long>(std::min<std::size_t>(n, INT_MAX)); };
    curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, number(options.max_connections));
    curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, number(options.max_connections_per_host));
    const std::size_t idle = options.max_idle_connections;
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, number(idle == 0 ? std::size_t{INT_MAX} : idle)); // its own 0 is not "no limit"
}

client_core::~client_core() {
    close();
    if (share_) curl_share_cleanup(share_);
}

void client_core::close() noexcept {
    CURLM* const multi = std::exchange(multi_, nullptr);
    if (!multi) return;
    timer_.cancel();
    const std::exception_ptr reason = std::make_exception_ptr(closed_resource("the http client was closed"));
    for (transfer* t : std::exchange(transfers_, {})) {
        curl_multi_remove_handle(multi, t->easy());
        t->slot = transfer::not_active;
        t->end(reason);
    }
    curl_multi_cleanup(multi); // closes the connections, see close_socket
    for (auto& [fd, watch] : std::exchange(watches_, {})) watch->stop();
    for (CURL* easy : std::exchange(idle_easies_, {})) curl_easy_cleanup(easy);
}

// --- transfers

void client_core::add(transfer& t) {
    transfers_.push_back(&t);
    const CURLMcode code = curl_multi_add_handle(multi_, t.easy());
    if (code == CURLM_OK) {
        t.slot = transfers_.size() - 1;
        if (timer_error_) fail_all(std::exchange(timer_error_, nullptr));
        return;
    }
    transfers_.pop_back();
    if (code == CURLM_OUT_OF_MEMORY) throw std::bad_alloc();
    throw std::runtime_error(std::string("libcurl refuses a transfer: ") + curl_multi_strerror(code));
}

void client_core::remove(transfer& t) noexcept {
    if (t.slot == transfer::not_active) return;
    curl_multi_remove_handle(multi_, t.easy());
    transfers_.back()->slot = t.slot;
    transfers_[t.slot] = transfers_.back();
    transfers_.pop_back();
    t.slot = transfer::not_active;
}

void client_core::resume(transfer& t) {
    const CURLcode code = curl_easy_pause(t.easy(), CURLPAUSE_CONT); // calls back with what it held
    if (code != CURLE_OK && t.slot != transfer::not_active) {
        remove(t);
        t.finished(code);
    }
    collect(CURLM_OK);
}

// A body may stay open with nobody reading it, longer than its loop runs: it keeps no pump, but wakes them when it is read.
void client_core::begin_wait() {
    if (std::exchange(pumps_rest_, false)) {
        for (auto& [fd, watch] : watches_) watch->revive();
        long milliseconds = -1;
        curl_multi_timeout(multi_, &milliseconds); // a loop that is over has taken the timer with it
        set_timer(milliseconds);
    }
    ++waiting_;
}

void client_core::end_wait() noexcept {
    if (--waiting_ > 0) return;
    pumps_rest_ = true;
    for (auto& [fd, watch] : watches_) watch->requests_over();
}

// Those that use this socket; all if libcurl does not tell.
void client_core::fail_on(curl_socket_t fd, const std::exception_ptr& e) noexcept {
    bool found = false;
    for (std::size_t i = transfers_.size(); i-- > 0;) {
        transfer& t = *transfers_[i];
        curl_socket_t active = CURL_SOCKET_BAD;
        curl_easy_getinfo(t.easy(), CURLINFO_ACTIVESOCKET, &active);
        if (active != fd) continue;
        found = true;
        remove(t); // puts the last one in its place
        t.end(e);
    }
    if (!found) fail_all(e);
}

void client_core::fail_all(const std::exception_ptr& e) noexcept {
    while (!transfers_.empty()) {
        transfer& t = *transfers_.back();
        remove(t);
        t.end(e);
    }
}

/// Ends the transfers that a callback could not serve.
void client_core::end_failed() noexcept {
    for (std::size_t i = transfers_.size(); i-- > 0;) {
        transfer& t = *transfers_[i];
        if (!t.callback_error()) continue;
        remove(t); // puts the last one in its place
        t.end(t.callback_error());
    }
}

void client_core::socket_ready(curl_socket_t fd, int events) {
    int running = 0;
    collect(curl_multi_socket_action(multi_, fd, events, &running));
    if (early_answers_ > 0 && (events & CURL_CSELECT_IN) != 0) wake_uploads();
}

void client_core::wake_uploads() {
    for (std::size_t i = transfers_.size(); i-- > 0;) {
        if (i < transfers_.size()) transfers_[i]->wake_upload(); // which may end some
    }
}

void client_core::time_passed() {
    int running = 0;
    collect(curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running));
}

void client_core::collect(CURLMcode code) {
    if (code != CURLM_OK)
        return fail_all(std::make_exception_ptr(std::runtime_error(std::string("libcurl failed: ") + curl_multi_strerror(code))));
    if (timer_error_) return fail_all(std::exchange(timer_error_, nullptr));
    if (std::exchange(socket_failed_, false)) end_failed();
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        const CURLcode result = message->data.result; // the message goes with the handle
        transfer* t = nullptr;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
        remove(*t);
        t->finished(result);
    }
}

// --- easy handles

CURL* client_core::take_easy() {
    if (!idle_easies_.empty()) {
        CURL* const easy = idle_easies_.back();
        idle_easies_.pop_back();
        return easy;
    }
    CURL* const easy = curl_easy_init();
    if (!easy) throw std::bad_alloc();
    return easy;
}

void client_core::give_easy(CURL* easy, bool failed) noexcept {
    if (failed || closed() || idle_easies_.size() >= max_idle_easies) return curl_easy_cleanup(easy);
    if (share_) curl_easy_setopt(easy, CURLOPT_COOKIEFILE, nullptr); // else the reset forgets that it has allocated (7.88)
    curl_easy_reset(easy);
    try {
        idle_easies_.push_back(easy);
    } catch (const std::bad_alloc&) {
        curl_easy_cleanup(easy);
    }
}

void client_core::set_common_options(CURL* easy) const {
    const auto set = [easy](CURLoption option, auto value, const char* name) {
        check_option(curl_easy_setopt(easy, option, value), name);
    };
    set(CURLOPT_NOSIGNAL, 1L, "NOSIGNAL");
#if LIBCURL_VERSION_NUM >= 0x075500
    set(CURLOPT_PROTOCOLS_STR, "http,https", "PROTOCOLS_STR");
    set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https", "REDIR_PROTOCOLS_STR");
#else
    set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS), "PROTOCOLS");
    set(CURLOPT_REDIR_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS), "REDIR_PROTOCOLS");
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
    set(CURLOPT_QUICK_EXIT, 1L, "QUICK_EXIT"); // a cancelled request does not wait for its name look-up
#endif
    set(CURLOPT_CLOSESOCKETFUNCTION, &client_core::close_socket, "CLOSESOCKETFUNCTION");
    set(CURLOPT_CLOSESOCKETDATA, const_cast<client_core*>(this), "CLOSESOCKETDATA");
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L, "SUPPRESS_CONNECT_HEADERS"); // of a proxy: they are not the answer's
    if (share_) {
        set(CURLOPT_SHARE, share_, "SHARE");
        set(CURLOPT_COOKIEFILE, "", "COOKIEFILE"); // switches them on; no file is read
    }
    settings_.apply(easy);
}

// --- what libcurl asks for, from inside its calls

int client_core::socket_callback(CURL* easy, curl_socket_t fd, int what, void* core, void*) noexcept {
    auto& self = *static_cast<client_core*>(core);
    transfer* t = nullptr;
    if (easy) curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t);
    try {
        if (t && what != CURL_POLL_REMOVE && !self.watches_.contains(fd)) t->saw_foreign_socket(fd);
        self.watch_socket(fd, what);
    } catch (const std::system_error& e) {
        if (!t) return 0; // libcurl closes a connection that nobody uses any more
        t->socket_failed(e);
        self.socket_failed_ = true;
    } catch (...) {
        if (!t) return 0;
        t->callback_failed(std::current_exception());
        self.socket_failed_ = true;
    }
    return 0;
}

void client_core::watch_socket(curl_socket_t fd, int what) {
    auto found = watches_.find(fd);
    if (what == CURL_POLL_REMOVE) {
        if (found == watches_.end()) return;
        if (found->second->is_duplicate())
            forget_socket(fd); // libcurl may have closed the socket already
        else
            found->second->want(false, false); // an idle connection, or close_socket follows
        return;
    }
    if (found == watches_.end()) {
        const int ours = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (ours < 0) throw std::system_error(errno, std::system_category(), "duplicating a descriptor of libcurl");
        found = watches_.emplace(fd, std::make_shared<socket_watch>(*this, fd, ours)).first;
    }
    found->second->want((what & CURL_POLL_IN) != 0, (what & CURL_POLL_OUT) != 0);
}

void client_core::connected(curl_socket_t fd) {
    const auto found = watches_.find(fd);
    if (found != watches_.end() && !found->second->is_duplicate()) return;
    auto watch = std::make_shared<socket_watch>(*this, fd, fd);
    try {
        if (found != watches_.end()) {
            watch->take_over(*found->second);
            found->second = watch;
        } else {
            watches_.emplace(fd, watch);
        }
    } catch (...) {
        watch->stop();
        throw;
    }
    watch->own();
}

int client_core::close_socket(void* core, curl_socket_t fd) noexcept {
    auto& self = *static_cast<client_core*>(core);
    const auto found = self.watches_.find(fd);
    const bool ours = found != self.watches_.end() && !found->second->is_duplicate();
    self.forget_socket(fd);
    return ours ? 0 : ::close(fd); // ours is closed when its pumps are gone
}

void client_core::forget_socket(curl_socket_t fd) noexcept {
    const auto found = watches_.find(fd);
    if (found == watches_.end()) return;
    const std::shared_ptr<socket_watch> watch = std::move(found->second);
    watches_.erase(found);
    watch->stop();
}

int client_core::timer_callback(CURLM*, long milliseconds, void* core) noexcept {
    auto& self = *static_cast<client_core*>(core);
    try {
        self.set_timer(milliseconds);
    } catch (...) {
        self.timer_error_ = std::current_exception();
    }
    return 0;
}

void client_core::set_timer(long milliseconds) {
    timer_.cancel();
    if (closed() || milliseconds < 0 || milliseconds > longest_timer) return;
    if (!event_loop::current()) return; // between two loops: whoever waits next asks for the time
    timer_ = this_loop().call_later(std::chrono::milliseconds(milliseconds), [this] {
        timer_ = {};
        time_passed();
    });
}

std::size_t client_core::connections() const noexcept {
    const auto established = [](const auto& w) { return !w.second->is_duplicate(); };
    return static_cast<std::size_t>(std::count_if(watches_.begin(), watches_.end(), established));
}

} // namespace eddy::http::detail

// The cookies of a client, which libcurl keeps in a share.
#include <algorithm>
#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <eddy/file.hpp>
#include <eddy/temp_file.hpp>

#include "client_core.hpp"
#include "cookie_text.hpp"

namespace eddy::http::detail {
namespace {

/// An easy handle that only reads and sets cookies. It is a new one: on one that has been used, what servers have set counts
/// against a limit of libcurl's.
class cookie_handle {
public:
    explicit cookie_handle(CURLSH* share) : easy_(curl_easy_init()) {
        if (!easy_) throw std::bad_alloc();
        if (curl_easy_setopt(easy_, CURLOPT_SHARE, share) == CURLE_OK) return;
        curl_easy_cleanup(easy_);
        throw std::bad_alloc();
    }
    cookie_handle(const cookie_handle&) = delete;
    cookie_handle& operator=(const cookie_handle&) = delete;
    ~cookie_handle() { curl_easy_cleanup(easy_); }
    void tell(const char* line) { check_option(curl_easy_setopt(easy_, CURLOPT_COOKIELIST, line), "COOKIELIST"); }
    [[nodiscard]] curl_slist* list() const {
        curl_slist* lines = nullptr;
        if (curl_easy_getinfo(easy_, CURLINFO_COOKIELIST, &lines) != CURLE_OK) throw std::bad_alloc();
        return lines;
    }

private:
    CURL* easy_;
};

} // namespace

void client_core::clear_cookies() {
    if (share_) cookie_handle(share_).tell("ALL");
}

void client_core::set_cookies(const std::vector<cookie>& cookies) {
    constexpr std::size_t at_once = 40; // that limit is 50
    for (std::size_t i = 0; i < cookies.size();) {
        cookie_handle handle(share_);
        for (const std::size_t end = std::min(cookies.size(), i + at_once); i < end; ++i) handle.tell(cookie_line(cookies[i]).c_str());
    }
}

std::vector<cookie> client_core::cookies() const {
    std::vector<cookie> all;
    if (!share_) return all;
    const cookie_handle handle(share_);
    const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> lines(handle.list(), &curl_slist_free_all);
    const auto now = std::chrono::system_clock::now();
    for (const curl_slist* line = lines.get(); line; line = line->next) {
        std::optional<cookie> c = parse_cookie_line(line->data);
        if (c && !(c->expires && *c->expires <= now)) all.push_back(*std::move(c)); // it lists what is over until it looks again
    }
    return all;
}

task<std::size_t> load_cookies(std::shared_ptr<client_core> core, std::string path) {
    const std::string text = co_await read_file(path);
    const std::vector<cookie> cookies = parse_cookie_file(text, path);
    core->set_cookies(cookies);
    co_return cookies.size();
}

namespace {

// A temporary file, because what it becomes is for its owner only, as it was.
task<> replace_file(std::string path, std::string text) {
    const std::size_t slash = path.rfind('/');
    std::string folder = ".";
    if (slash != std::string::npos) folder = path.substr(0, slash + 1);
    temp_file fresh = co_await temp_file::create({.directory = folder, .prefix = ".eddy-"});
    co_await fresh.file().write(std::string_view(text));
    co_await fresh.keep(std::move(path));
}

} // namespace

task<> save_cookies(std::shared_ptr<client_core> core, std::string path) {
    std::error_code failure;
    try {
        task<> replacing = replace_file(path, cookie_file(core->cookies()));
        co_await std::move(replacing);
    } catch (const std::system_error& e) { // of a file that the caller knows nothing of
        failure = e.code();
    }
    if (failure) throw std::system_error(failure, "cannot save the cookies in '" + path + "'");
}

} // namespace eddy::http::detail

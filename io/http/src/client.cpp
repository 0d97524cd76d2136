#include <eddy/http/client.hpp>

#include <eddy/errors.hpp>
#include <eddy/task_group.hpp>

#include <stdexcept>

#include "client_core.hpp"
#include "cookie_text.hpp"
#include "download.hpp"
#include "transfer.hpp"
#include "upload_sources.hpp"

namespace eddy::http {
namespace {

task<response> perform(std::unique_ptr<detail::transfer> t) {
    t->start();
    const detail::waiting_mark waiting(t->core());
    co_await t->done.wait();
    co_return t->take();
}

task<response> perform_upload(std::unique_ptr<detail::transfer> t, async_generator<std::string> source) {
    t->start();
    const detail::waiting_mark waiting(t->core());
    try {
        co_await with_task_group([&](task_group& g) -> task<> {
            auto sending = g.spawn(t->send_all(source));
            co_await t->wait_for_answer();
            sending.cancel();
        });
    } catch (...) {
        t->report_source(true);
        throw;
    }
    t->report_source(false);
    co_return t->take();
}

} // namespace

client::client(const client_options& options) : core_(std::make_shared<detail::client_core>(options)) {}

client& client::operator=(client&& other) noexcept {
    if (this == &other) return *this;
    close();
    core_ = std::move(other.core_);
    return *this;
}

client::~client() {
    close();
}

void client::close() noexcept {
    if (core_) core_->close();
}

task<response> client::request(std::string method, std::string url, std::string body, request_options options) {
    if (!core_) throw std::logic_error("this http client was moved from");
    detail::request_spec spec(std::move(method), std::move(url), std::move(body), options, core_->options());
    return perform(std::make_unique<detail::transfer>(core_, std::move(spec)));
}

task<streamed_response> client::request_stream(std::string method, std::string url, std::string body, request_options options) {
    if (!core_) throw std::logic_error("this http client was moved from");
    options.max_body = options.max_body.value_or(0);
    detail::request_spec spec(std::move(method), std::move(url), std::move(body), options, core_->options());
    auto t = std::make_shared<detail::transfer>(core_, std::move(spec));
    t->stream_body(options.stream_buffer);
    return detail::transfer::head_of(std::move(t));
}
task<streamed_response> client::stream(std::string url, request_options options) {
    return request_stream("GET", std::move(url), {}, options);
}

namespace {

std::unique_ptr<detail::transfer> make_upload(const std::shared_ptr<detail::client_core>& core, std::string method, std::string url,
                                              const request_options& options) {
    if (!core) throw std::logic_error("this http client was moved from");
    if (method == "HEAD") throw std::invalid_argument("http: a HEAD request has no body to upload");
    detail::request_spec spec(std::move(method), std::move(url), {}, options, core->options());
    return std::make_unique<detail::transfer>(core, std::move(spec));
}

task<response> perform_file(std::unique_ptr<detail::transfer> t, file f, std::optional<std::uint64_t> announced) {
    detail::file_source source = co_await detail::file_source::measure(std::move(f), announced);
    t->upload_body(source.size());
    async_generator<std::string> pieces = detail::file_source::pieces(std::move(source));
    co_return co_await perform_upload(std::move(t), std::move(pieces));
}

task<response> perform_form(std::unique_ptr<detail::transfer> t, multipart parts) {
    detail::multipart_source source = co_await detail::multipart_source::open(std::move(parts));
    t->upload_body(source.size());
    async_generator<std::string> pieces = detail::multipart_source::pieces(std::move(source));
    co_return co_await perform_upload(std::move(t), std::move(pieces));
}

} // namespace

task<response> client::upload(std::string method, std::string url, async_generator<std::string> source, request_options options) {
    auto t = make_upload(core_, std::move(method), std::move(url), options);
    t->upload_body(options.content_length);
    return perform_upload(std::move(t), std::move(source));
}

task<response> client::upload(std::string method, std::string url, file source, request_options options) {
    auto t = make_upload(core_, std::move(method), std::move(url), options);
    return perform_file(std::move(t), std::move(source), options.content_length);
}

task<response> client::upload(std::string method, std::string url, multipart parts, request_options options) {
    options.content_type = parts.content_type();
    auto t = make_upload(core_, std::move(method), std::move(url), options);
    return perform_form(std::move(t), std::move(parts));
}

task<download_result> client::download(std::string url, std::string path, download_options options) {
    if (!core_) throw std::logic_error("this http client was moved from");
    detail::request_spec spec = detail::download_spec(std::move(url), options.request, core_->options());
    return detail::run_download(core_, std::move(spec), std::move(path), options);
}

void client::clear_cookies() {
    if (core_) core_->clear_cookies();
}

namespace {

void check_keeps_cookies(const std::shared_ptr<detail::client_core>& core) {
    if (!core) throw std::logic_error("this http client was moved from");
    if (!core->keeps_cookies()) throw std::logic_error("this http client keeps no cookies: set client_options::cookies");
}

} // namespace

std::vector<cookie> client::cookies() const {
    return core_ ? core_->cookies() : std::vector<cookie>();
}

void client::set_cookie(const cookie& c) {
    check_keeps_cookies(core_);
    detail::check_cookie(c);
    const std::vector<cookie> one(1, c);
    core_->set_cookies(one);
}

task<std::size_t> client::load_cookies(std::string path) {
    check_keeps_cookies(core_);
    return detail::load_cookies(core_, std::move(path));
}

task<> client::save_cookies(std::string path) {
    check_keeps_cookies(core_);
    return detail::save_cookies(core_, std::move(path));
}

task<response> client::get(std::string url, request_options options) {
    return request("GET", std::move(url), {}, options);
}
task<response> client::head(std::string url, request_options options) {
    return request("HEAD", std::move(url), {}, options);
}
task<response> client::post(std::string url, std::string body, request_options options) {
    return request("POST", std::move(url), std::move(body), options);
}
task<response> client::put(std::string url, std::string body, request_options options) {
    return request("PUT", std::move(url), std::move(body), options);
}
task<response> client::patch(std::string url, std::string body, request_options options) {
    return request("PATCH", std::move(url), std::move(body), options);
}
task<response> client::del(std::string url, request_options options) {
    return request("DELETE", std::move(url), {}, options);
}

std::size_t client::active() const noexcept {
    return core_ ? core_->active() : 0;
}

std::size_t client::connections() const noexcept {
    return core_ ? core_->connections() : 0;
}

} // namespace eddy::http

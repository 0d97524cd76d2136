#include <eddy/http/client.hpp>

#include <eddy/errors.hpp>

#include <stdexcept>

#include "client_core.hpp"
#include "transfer.hpp"

namespace eddy::http {
namespace {

task<response> perform(std::unique_ptr<detail::transfer> t) {
    t->start();
    co_await t->done.wait();
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

#include <eddy/http/streamed_response.hpp>

#include <array>
#include <utility>

#include "transfer.hpp"

namespace eddy::http {
namespace {

constexpr std::size_t piece = 16 * 1024;

task<std::size_t> read(std::shared_ptr<detail::transfer> t, std::span<std::byte> out) {
    co_return co_await t->read_some(out);
}

task<std::size_t> nothing() {
    co_await this_task::checkpoint();
    co_return 0;
}

} // namespace

response_body::response_body(std::shared_ptr<detail::transfer> t) noexcept : transfer_(std::move(t)) {}

response_body::~response_body() {
    if (transfer_) transfer_->abandon();
}

response_body& response_body::operator=(response_body&& o) noexcept {
    response_body taken(std::move(o));
    transfer_.swap(taken.transfer_);
    return *this;
}

task<std::size_t> response_body::read_some(std::span<std::byte> out) {
    return transfer_ ? read(transfer_, out) : nothing();
}

task<std::string> response_body::read_all(std::size_t limit) {
    std::string all;
    for (;;) {
        const std::size_t before = all.size();
        all.resize(before + piece);
        const std::size_t n = co_await read_some(std::as_writable_bytes(std::span(all)).subspan(before));
        all.resize(before + n);
        if (n == 0) co_return all;
        if (limit != 0 && all.size() > limit) throw limit_overrun(limit, all.size());
    }
}

} // namespace eddy::http

#include "handed_stream.hpp"

#include <eddy/detail/sole_reader.hpp>
#include <eddy/errors.hpp>
#include <eddy/this_task.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

#include "connection.hpp"

namespace eddy::http::detail {
namespace {

[[nodiscard]] bool is_broken_resource(const std::exception_ptr& failure) noexcept {
    try {
        std::rethrow_exception(failure);
    } catch (const broken_resource&) {
        return true;
    } catch (...) {
        return false;
    }
}

} // namespace

// Who reads an end before he should have mostly throws a broken_resource; an errno is not made of that.
bool handed_state::explains(const std::exception_ptr& failure) const noexcept {
    return broken ? is_of_connection(failure) : ended && is_broken_resource(failure);
}

task<std::size_t> handed_stream::read(std::shared_ptr<handed_state> s, any_stream& below, std::span<std::byte> buffer) {
    if (s->rest.empty()) return watch_read(std::move(s), below.read_some(buffer), buffer.empty());
    return read_rest(std::move(s), buffer);
}

task<std::size_t> handed_stream::read_rest(std::shared_ptr<handed_state> s, std::span<std::byte> buffer) {
    const eddy::detail::sole_reader me(s->reading, "this connection");
    co_await this_task::checkpoint();
    const std::size_t n = std::min(buffer.size(), s->rest.size());
    if (n > 0) std::memcpy(buffer.data(), s->rest.data(), n);
    s->rest.erase(0, n);
    co_return n;
}

task<std::size_t> handed_stream::watch_read(std::shared_ptr<handed_state> s, task<std::size_t> reading, bool empty) {
    try {
        const std::size_t n = co_await std::move(reading);
        if (n == 0 && !empty) s->ended = true;
        co_return n;
    } catch (...) {
        if (is_of_connection(std::current_exception())) s->broken = true;
        throw;
    }
}

task<> handed_stream::watch(std::shared_ptr<handed_state> s, task<> operation) {
    try {
        co_await std::move(operation);
    } catch (...) {
        if (is_of_connection(std::current_exception())) s->broken = true;
        throw;
    }
}

} // namespace eddy::http::detail

#include <eddy/standard_streams.hpp>

#include <unistd.h>

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include <eddy/detail/sole_reader.hpp>
#include <eddy/errors.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/offload.hpp>
#include <eddy/readiness.hpp>
#include <eddy/this_task.hpp>

#include "shared_descriptor.hpp"

namespace eddy {
namespace {

using detail::shared_descriptor;
using detail::torn_write;
using descriptor_ptr = std::shared_ptr<shared_descriptor>;

std::size_t read_on_worker(const descriptor_ptr& d, std::span<std::byte> out) {
    return d->read_waiting(out);
}
shared_descriptor::written write_on_worker(const descriptor_ptr& d, std::span<const std::byte> bytes) {
    return d->write_waiting(bytes);
}

constexpr std::size_t most_at_once = 64 * 1024;

/// `written` is how far it has come, whatever its end. For a reader that keeps up there is always room: the others on the loop
/// have their turn all the same.
task<> write_here(shared_descriptor& d, std::span<const std::byte> bytes, std::size_t& written) {
    for (;;) {
        const std::span<const std::byte> rest = bytes.subspan(written);
        const std::ptrdiff_t n = d.write_now(rest.first(std::min(rest.size(), most_at_once)));
        if (n == shared_descriptor::would_wait) {
            co_await wait_readable(d.watch()); // the set is readable when what is in it is writable
            continue;
        }
        written += static_cast<std::size_t>(n);
        if (written == bytes.size()) co_return;
        co_await this_task::yield();
    }
}

task<> write_elsewhere(descriptor_ptr d, std::span<const std::byte> bytes, std::size_t& written) {
    const shared_descriptor::written done = co_await offload(this_loop().blocking_pool(), &write_on_worker, d, bytes);
    written = done.size;
    if (done.error != 0) d->fail(done.error, "write to");
}

// Each call keeps the descriptor's state: the object may go while it waits.
task<std::size_t> read_from(descriptor_ptr d, std::span<std::byte> buffer) {
    if (!d) throw closed_resource("read from a standard_input_stream that was moved from");
    co_await this_task::checkpoint();
    const detail::sole_reader me(d->reading, d->name());
    if (buffer.empty()) co_return 0;
    if (d->watch() < 0) co_return co_await offload(this_loop().blocking_pool(), &read_on_worker, d, buffer);
    for (;;) {
        const std::ptrdiff_t n = d->read_now(buffer);
        if (n != shared_descriptor::would_wait) co_return static_cast<std::size_t>(n);
        co_await wait_readable(d->watch());
    }
}

task<> write_all(descriptor_ptr d, std::span<const std::byte> bytes) {
    if (!d) throw closed_resource("write to a standard_output_stream that was moved from");
    const mutex_guard turn = co_await d->turn.lock();
    if (d->torn != torn_write::none) throw detail::broken_by(d->torn, "write to " + d->name());
    if (bytes.empty()) co_return;
    const detail::task_context& self = co_await detail::this_context();
    std::size_t written = 0;
    try {
        if (d->watch() < 0)
            co_await write_elsewhere(d, bytes, written);
        else
            co_await write_here(*d, bytes, written);
    } catch (const operation_cancelled&) {
        if (written > 0) d->torn = torn_write::cancelled;
        throw operation_cancelled(self.scope().effective_reason(), written);
    } catch (const std::system_error& e) {
        if (written > 0 && !detail::is_lost_connection(e.code().value())) d->torn = torn_write::failed;
        throw;
    } catch (...) { // no memory to wait with
        if (written > 0) d->torn = torn_write::failed;
        throw;
    }
}

task<> write_text(descriptor_ptr d, std::string text) {
    co_await write_all(std::move(d), bytes_of(text));
}

} // namespace

standard_input_stream::standard_input_stream(int native_handle, std::string_view name)
    : descriptor_(std::make_shared<shared_descriptor>(native_handle, shared_descriptor::direction::in, std::string(name))) {}

bool standard_input_stream::is_terminal() const noexcept {
    return descriptor_ && descriptor_->is_terminal();
}
int standard_input_stream::native_handle() const noexcept {
    return descriptor_ ? descriptor_->fd() : -1;
}

task<std::size_t> standard_input_stream::read_some(std::span<std::byte> buffer) {
    return read_from(descriptor_, buffer);
}

standard_output_stream::standard_output_stream(int native_handle, std::string_view name)
    : descriptor_(std::make_shared<shared_descriptor>(native_handle, shared_descriptor::direction::out, std::string(name))) {}

bool standard_output_stream::is_terminal() const noexcept {
    return descriptor_ && descriptor_->is_terminal();
}
int standard_output_stream::native_handle() const noexcept {
    return descriptor_ ? descriptor_->fd() : -1;
}

task<> standard_output_stream::write(std::span<const std::byte> bytes) {
    return write_all(descriptor_, bytes);
}
task<> standard_output_stream::write(std::string&& text) {
    return write_text(descriptor_, std::move(text));
}

standard_input_stream standard_input() {
    return {STDIN_FILENO, "standard input"};
}
standard_output_stream standard_output() {
    return {STDOUT_FILENO, "standard output"};
}
standard_output_stream standard_error() {
    return {STDERR_FILENO, "standard error"};
}

} // namespace eddy

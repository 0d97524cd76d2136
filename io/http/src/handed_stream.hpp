// The stream of a connection that goes on in another protocol.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <string>

#include <eddy/any_stream.hpp>
#include <eddy/task.hpp>

namespace eddy::http::detail {

/// What is known of a stream after it was handed over. Operations hold it too: they may outlive the stream.
class handed_state {
public:
    /// Is the client gone, and this failure the consequence? Else it is somebody else's: a backend may fail with the same exceptions.
    [[nodiscard]] bool explains(const std::exception_ptr& failure) const noexcept;

    std::string rest;      // was read with the request
    bool reading = false;  // of the rest
    bool ended = false;    // a read has seen the client's end
    bool broken = false;   // an operation has failed because the client is gone
};

class handed_stream {
public:
    handed_stream(std::shared_ptr<handed_state> s, any_stream below) noexcept : state_(std::move(s)), below_(std::move(below)) {}

    task<std::size_t> read_some(std::span<std::byte> buffer) { return read(state_, below_, buffer); }
    task<> write(std::span<const std::byte> bytes) { return watch(state_, below_.write(bytes)); }
    task<> write(std::span<const std::span<const std::byte>> buffers) { return watch(state_, below_.write(buffers)); }
    task<> shutdown_write() { return watch(state_, below_.shutdown_write()); }
    task<> close() { return below_.close(); }
    void abort() noexcept { below_.abort(); }
    [[nodiscard]] bool is_open() const noexcept { return below_.is_open(); }
    [[nodiscard]] void* target_of(const void* type) noexcept { return below_.target_of(type); }

private:
    static task<std::size_t> read(std::shared_ptr<handed_state> s, any_stream& below, std::span<std::byte> buffer);
    static task<std::size_t> read_rest(std::shared_ptr<handed_state> s, std::span<std::byte> buffer);
    static task<std::size_t> watch_read(std::shared_ptr<handed_state> s, task<std::size_t> reading, bool empty);
    static task<> watch(std::shared_ptr<handed_state> s, task<> operation);

    std::shared_ptr<handed_state> state_;
    any_stream below_;
};

} // namespace eddy::http::detail

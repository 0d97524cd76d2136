// A worker's end of the socket between it and the program: blocking, since a worker has no loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "process_messages.hpp"
#include "process_state.hpp"

namespace eddy::detail {

class worker_socket {
public:
    explicit worker_socket(int fd) : fd_(fd), buffer_(sizeof(frame_header) + most_inline) {}

    struct frame {
        frame_header header{};
        std::span<const std::byte> body; // until the next call
    };
    /// The next call. Ends the worker at the end of the socket.
    frame receive();
    /// `bytes` has room for the header in front. Any thread. Throws `std::system_error` if what is long finds no memory.
    void send(frame_kind kind, std::uint32_t call, std::span<std::byte> bytes);
    /// The same, or false if it might have to wait.
    bool try_to_send(frame_kind kind, std::uint32_t call, std::span<std::byte> bytes);

private:
    class mapping {
    public:
        mapping(const unique_fd& fd, std::size_t size);
        mapping(const mapping&) = delete;
        mapping& operator=(const mapping&) = delete;
        ~mapping();
        [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {static_cast<const std::byte*>(data_), size_}; }

    private:
        std::size_t size_;
        void* data_;
    };
    void send_in_turn(frame_kind kind, std::uint32_t call, std::span<std::byte> bytes);
    void send_now(std::span<const std::byte> bytes, int fd);
    void fill(std::size_t wanted);

    int fd_;
    std::vector<std::byte> buffer_;
    std::size_t have_ = 0;
    unique_fd passed_;
    std::optional<mapping> mapped_;
    std::mutex sending_;
};

} // namespace eddy::detail

// A descriptor whose open file others use too: its flags stay as they are. Behind <eddy/standard_streams.hpp>.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <eddy/detail/torn_write.hpp>
#include <eddy/mutex.hpp>

namespace eddy::detail {

class shared_descriptor {
public:
    enum class direction : std::uint8_t { in, out };
    /// Throws `std::system_error`.
    shared_descriptor(int fd, direction d, std::string name);
    shared_descriptor(const shared_descriptor&) = delete;
    shared_descriptor& operator=(const shared_descriptor&) = delete;
    ~shared_descriptor();

    [[nodiscard]] int fd() const noexcept { return fd_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] bool is_terminal() const noexcept { return is_terminal_; }
    /// Becomes readable when there is something to do; -1: it cannot be watched, and belongs on a worker.
    [[nodiscard]] int watch() const noexcept { return set_; }

    static constexpr std::ptrdiff_t would_wait = -1;
    /// Without waiting: bytes, or `would_wait`. Throws `std::system_error`.
    [[nodiscard]] std::ptrdiff_t read_now(std::span<std::byte> out) const;
    [[nodiscard]] std::ptrdiff_t write_now(std::span<const std::byte> bytes) const;
    /// On a worker.
    [[nodiscard]] std::size_t read_waiting(std::span<std::byte> out) const;
    class written {
    public:
        std::size_t size = 0;
        int error = 0; // errno, of what came after that
    };
    [[nodiscard]] written write_waiting(std::span<const std::byte> bytes) const noexcept;
    [[noreturn]] void fail(int error, const char* doing) const;

    // --- loop thread
    bool reading = false;
    torn_write torn = torn_write::none;
    mutex turn; // of the writers

private:
    enum class kind : std::uint8_t { own, socket, other };
    void open_again(direction d);
    void watch_for(direction d);
    [[nodiscard]] std::ptrdiff_t outcome_of(std::ptrdiff_t result, const char* doing) const;
    int fd_;
    int own_ = -1; // the terminal, opened again
    int set_ = -1; // an epoll set: the loop watches it instead of what is in it, whose flags it would touch
    kind kind_ = kind::other;
    bool is_terminal_ = false;
    std::string name_;
};

} // namespace eddy::detail

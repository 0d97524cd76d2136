// A WebSocket connection after its handshake: what the websocket and the operations on it share.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/any_stream.hpp>
#include <eddy/http/websocket.hpp>
#include <eddy/loop_clock.hpp>
#include <eddy/mutex.hpp>
#include <eddy/task.hpp>

#include "websocket_frame.hpp"

namespace eddy::http::detail {

enum class websocket_side { server, client };

/// Each coroutine that uses a link holds a reference of its own: the websocket may be destroyed while a task waits on it, and that
/// task is still told.
class websocket_link {
public:
    using pointer = std::shared_ptr<websocket_link>;
    websocket_link(any_stream stream, websocket_side side, std::string peer, std::string subprotocol,
                   const websocket_options& options);
    websocket_link(const websocket_link&) = delete;
    websocket_link& operator=(const websocket_link&) = delete;

    /// What was read from the stream together with the handshake, less than 4 KiB.
    void received(std::string_view bytes);

    [[nodiscard]] static task<std::optional<websocket_message>> read(pointer l);
    [[nodiscard]] static task<> send(pointer l, websocket_opcode kind, std::span<const std::byte> payload);
    [[nodiscard]] static task<> send_kept(pointer l, websocket_opcode kind, std::string payload);
    /// `payload`: of the close frame.
    [[nodiscard]] static task<> close(pointer l, std::string payload);
    void abort() noexcept;

    [[nodiscard]] bool is_open() const noexcept { return open_ && !closing_; }
    /// Is this what the peer did, as a read or write has thrown it?
    [[nodiscard]] bool is_own(const std::exception_ptr& e) const noexcept { return e == failure_; }
    [[nodiscard]] const std::string& subprotocol() const noexcept { return subprotocol_; }
    [[nodiscard]] std::uint16_t close_code() const noexcept { return close_code_; }
    [[nodiscard]] const std::string& close_reason() const noexcept { return close_reason_; }
    [[nodiscard]] std::uint64_t pongs() const noexcept { return pongs_; }

private:
    [[nodiscard]] static task<bool> next_message(pointer l);
    [[nodiscard]] static task<> fill(pointer l);
    [[nodiscard]] task<std::size_t> read_within(std::chrono::nanoseconds limit, std::span<std::byte> room, bool& in_time);
    [[nodiscard]] std::chrono::nanoseconds patience();
    void fail(std::uint16_t code, std::string_view reason);
    [[noreturn]] void give_up_writing();
    void note_close();

    [[nodiscard]] task<> write_piece(std::span<const std::byte> bytes);
    [[nodiscard]] task<> write_frame(websocket_opcode kind, std::span<const std::byte> payload);
    [[nodiscard]] mask_key next_key();
    void require_writable() const;
    [[nodiscard]] bool can_write() const noexcept { return open_ && !close_sent_ && !torn_ && !lost_; }
    static void flush_soon(const pointer& l) noexcept;
    [[nodiscard]] static task<> flush(pointer l);

    [[nodiscard]] task<> send_close(std::string payload);
    [[nodiscard]] static task<> say_goodbye(pointer l, std::string payload);
    [[nodiscard]] static task<> answer_end(pointer l);
    [[nodiscard]] task<> drain();
    [[nodiscard]] task<> end();
    void over() noexcept;
    [[nodiscard]] std::chrono::nanoseconds close_limit() const noexcept;

    any_stream stream_;
    websocket_side side_;
    std::string peer_;
    std::string subprotocol_;
    std::chrono::nanoseconds close_timeout_;
    std::chrono::nanoseconds ping_interval_;
    std::chrono::nanoseconds pong_timeout_;
    std::chrono::nanoseconds write_timeout_;

    bool open_ = true;
    bool closing_ = false;            // `close` was called

    // reading
    mutex receiving_;                 // a read, or a close that waits for the peer's
    bool reading_ = false;
    frame_decoder decoder_;
    bool close_received_ = false;
    std::uint16_t close_code_ = 0;
    std::string close_reason_;
    std::exception_ptr failure_;      // why nothing more is read
    std::uint16_t failure_code_ = 0;
    std::uint64_t pongs_ = 0;
    loop_clock::time_point heard_;    // when something came
    std::optional<loop_clock::time_point> pinged_; // nothing has come since this ping

    // writing
    mutex sending_;                   // frames leave one after another
    std::vector<std::byte> out_;      // of the one that has its turn
    std::vector<mask_key> keys_;      // not used yet
    bool flushing_ = false;           // a task sends what is due
    bool ping_due_ = false;
    std::optional<std::string> pong_due_;
    bool close_sent_ = false;
    bool torn_ = false;               // a cancelled write left half a frame
    std::exception_ptr lost_;         // why the stream took no more
};

} // namespace eddy::http::detail

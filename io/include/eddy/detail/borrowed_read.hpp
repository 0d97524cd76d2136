// Reads that hold no memory while they wait, and waits for something to read.
#pragma once

#include <string_view>
#include <utility>

#include <eddy/borrowed_bytes.hpp>
#include <eddy/detail/stream_core.hpp>
#include <eddy/outcome.hpp>

namespace eddy::detail {

// Tries to read; if nothing is there it gives the buffer back, waits for the descriptor to become readable, and begins again in its
// task's turn. So one buffer serves all the connections whose turn comes in a tick, if each is done with it when it waits again.
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] borrowed_read_operation final : public incoming_operation {
public:
    explicit borrowed_read_operation(stream_core& core) noexcept : incoming_operation(core, io_opcode::read) { complete = &came; }
    borrowed_read_operation(borrowed_read_operation&&) noexcept = default;
    [[nodiscard]] bool try_now() const {
        expect_open("read from");
        return false;
    }
    [[nodiscard]] bool start();
    bool begin() override;
    [[nodiscard]] state cancelled_unstarted() noexcept override;
    [[nodiscard]] borrowed_bytes take() {
        check("read from");
        return std::move(bytes_);
    }
    [[nodiscard]] outcome<borrowed_bytes> take_outcome() noexcept { return outcome_of<borrowed_bytes>(error_pointer("read from"), std::move(bytes_)); }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "read"; }

private:
    [[nodiscard]] bool take_turn();
    void take_room();
    static void came(io_operation& op) noexcept;
    void core_closed() noexcept override;
    borrowed_bytes bytes_;
    bool waits_for_turn_ = false;
};

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] wait_readable_operation final : public incoming_operation {
public:
    explicit wait_readable_operation(stream_core& core) noexcept : incoming_operation(core, io_opcode::wait_read) {}
    wait_readable_operation(wait_readable_operation&&) noexcept = default;
    [[nodiscard]] bool try_now() const {
        expect_open("read from");
        return false;
    }
    bool begin() override { return try_now() || start(); }
    void take() const { check("read from"); }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "something to read"; }
};

} // namespace eddy::detail

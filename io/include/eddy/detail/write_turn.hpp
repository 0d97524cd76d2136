// The right to write to a descriptor by other means than a write_operation, in the order of the writes.
//
//     write_turn turn(*core);
//     co_await turn.come();          // throws as a write does; cancelled, it has not come
//     …                              // write to the descriptor; `co_await turn.writable()` in between
#pragma once

#include <string_view>

#include <eddy/detail/stream_core.hpp>

namespace eddy::detail {

class turn_wait;

/// Waits its turn among the writes, and then keeps those behind it waiting.
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] turn_operation final : public outgoing_operation {
public:
    explicit turn_operation(stream_core& core) noexcept : outgoing_operation(core, io_opcode::wait_write) {}
    turn_operation(turn_operation&&) noexcept = default;
    [[nodiscard]] bool try_now() const;
    bool begin() override { return try_now() || start(); }
    void take() const { check("write to"); }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "write"; }

private:
    friend class turn_wait;
    friend class write_turn;
    bool drive() override;
    bool advance() noexcept override { return true; }
    void wake() noexcept override;
    turn_wait* waiter_ = nullptr;
};

/// Until the descriptor of a turn takes more. Throws `closed_resource`.
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] turn_wait final : public leaf<turn_wait> {
public:
    explicit turn_wait(turn_operation& turn) noexcept : turn_(&turn) {}
    [[nodiscard]] bool try_now() const noexcept { return !turn_->held_; }
    bool start();
    bool abort() noexcept override;
    void take() const { turn_->take(); }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "write"; }

private:
    friend class turn_operation;
    static void completed(io_operation& op) noexcept;
    turn_operation* turn_;
};

class write_turn {
public:
    explicit write_turn(stream_core& core) noexcept : entry_(core) {}
    write_turn(const write_turn&) = delete;
    write_turn& operator=(const write_turn&) = delete;
    ~write_turn() { entry_.leave(torn_); }
    [[nodiscard]] turn_operation& come() noexcept { return entry_; }
    [[nodiscard]] turn_wait writable() noexcept { return turn_wait(entry_); }
    /// Throws `closed_resource` if the stream was closed meanwhile.
    void check() const { entry_.take(); }
    /// Something was written, but not all of it: later writes throw `broken_resource`.
    void break_off(torn_write how) noexcept { torn_ = how; }
    /// The errno with which it was learned that the connection is lost.
    void lost(int error) noexcept;

private:
    turn_operation entry_;
    torn_write torn_ = torn_write::none;
};

} // namespace eddy::detail

// A write of as much as there is room for.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include <eddy/detail/stream_core.hpp>

namespace eddy::detail {

/// Writes at least one byte, in its turn. What it returns was written; cancelled, nothing was.
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] write_some_operation final : public outgoing_operation {
public:
    write_some_operation(stream_core& core, std::span<const std::byte> bytes) noexcept : outgoing_operation(core, io_opcode::write) {
        buffer = const_cast<std::byte*>(bytes.data()); // only read from
        length = bytes.size();
    }
    write_some_operation(write_some_operation&&) noexcept = default;
    [[nodiscard]] bool try_now() const;
    bool begin() override { return try_now() || start(); }
    [[nodiscard]] std::size_t take() const {
        check("write to");
        return static_cast<std::size_t>(result);
    }
    [[nodiscard]] outcome<std::size_t> take_outcome() const noexcept { return outcome_of<std::size_t>(error_pointer("write to"), result); }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "write"; }

private:
    bool drive() override;
    bool advance() noexcept override;
};

} // namespace eddy::detail

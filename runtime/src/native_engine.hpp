// The engine for Linux: an edge-triggered epoll set of our own. See docs/design/engines.md.
#pragma once

#include <memory>

#include <eddy/detail/engine.hpp>
#include <eddy/detail/mailbox.hpp>

namespace eddy::detail {

/// False elsewhere than on Linux.
[[nodiscard]] bool native_engine_available() noexcept;

/// As `make_asio_engine`. Asio's operations run beside it: `asio_context` makes an io_context when it is first asked for, and from
/// then on the loop sleeps in that. Throws `std::system_error`.
[[nodiscard]] std::shared_ptr<engine> make_native_engine(const std::shared_ptr<mailbox>& mail, engine_host& host);

} // namespace eddy::detail

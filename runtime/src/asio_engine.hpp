// The portable engine: an asio::io_context tells when a descriptor is ready; the operations are plain system calls.
#pragma once

#include <memory>

#include <eddy/detail/engine.hpp>
#include <eddy/detail/mailbox.hpp>

namespace eddy::detail {

/// `mail`'s wake descriptor becomes readable when another thread wants the loop's attention; the engine drains it.
/// `io_context`: null, or an asio::io_context of others that it shares. `host` lives until `detach`.
[[nodiscard]] std::shared_ptr<engine> make_asio_engine(const std::shared_ptr<mailbox>& mail, engine_host& host, void* io_context);

} // namespace eddy::detail

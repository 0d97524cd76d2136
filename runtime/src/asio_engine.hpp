// The portable engine: an asio::io_context tells when a descriptor is ready; the operations are plain system calls.
#pragma once

#include <memory>

#include <eddy/detail/engine.hpp>
#include <eddy/detail/mailbox.hpp>

namespace eddy::detail {

/// `mail`'s wake descriptor becomes readable when another thread wants the loop's attention; the engine drains it.
[[nodiscard]] std::shared_ptr<engine> make_asio_engine(const std::shared_ptr<mailbox>& mail);

} // namespace eddy::detail

// The portable engine: an asio::io_context tells when a descriptor is ready; the operations are plain system calls.
#pragma once

#include <memory>

#include <eddy/detail/engine.hpp>

namespace eddy::detail {

/// `wake_fd` becomes readable when another thread wants the loop's attention; the engine drains it.
[[nodiscard]] std::unique_ptr<engine> make_asio_engine(int wake_fd);

} // namespace eddy::detail

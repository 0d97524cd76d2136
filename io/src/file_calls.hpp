// Calls on an open file: through the ring where the loop has one, else on its blocking pool. What `file` and the whole-file
// verbs are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <eddy/task.hpp>

#include "file_handle.hpp"

namespace eddy::detail {

task<handle_ptr> open_file(std::string path, int flags, unsigned permissions);
task<std::size_t> read_file_at_position(handle_ptr h, std::span<std::byte> out);
task<std::size_t> read_file_at(handle_ptr h, std::uint64_t offset, std::span<std::byte> out);
/// All of it; of what a cancelled one had written tells `partial()`.
task<std::size_t> write_file_at_position(handle_ptr h, std::span<const std::byte> bytes);
task<std::size_t> write_file_at(handle_ptr h, std::uint64_t offset, std::span<const std::byte> bytes);
task<> sync_file(handle_ptr h);
task<> datasync_file(handle_ptr h);
task<std::uint64_t> size_of_file(handle_ptr h);
task<std::chrono::system_clock::time_point> time_of_file(handle_ptr h);
/// To be shielded: the number is freed when it returns. Waits for calls that use the file.
task<> close_file(handle_ptr h);

/// The whole-file verbs on the ring; `ring_does_whole_files` says whether there is one that can.
[[nodiscard]] bool ring_does_whole_files() noexcept;
task<std::string> read_file_by_ring(std::string path);
task<> write_file_by_ring(std::string path, std::span<const std::byte> bytes);

} // namespace eddy::detail

// What the program, the fork server and the workers of a process_pool say to each other. All are the same program on one machine.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace eddy::detail {

/// `/proc/self/exe --eddy-fork-server SOCKET PAGE`: descriptors.
inline constexpr const char* fork_server_mark = "--eddy-fork-server";

// --- between the program and the fork server: one size for all

enum class server_word : std::uint32_t {
    start,   // to it, with the worker's end of a socketpair: fork a worker
    preload, // to it: call this function
    started, // from it, with a pidfd
    failed,  // from it: no worker, or not preloaded; `code` is an errno, or 0
    died,    // from it: how a worker ended
};
struct server_message {
    server_word word;
    std::uint32_t worker; // counted from 1; 0: the server itself
    std::uint32_t slot;   // the worker's place in the shared page
    std::int32_t pid;
    std::int32_t code;    // exit code, or the signal
    std::uint32_t by_signal;
    std::uint32_t core_dumped;
    std::uint32_t unused;
    std::uint64_t function;
};

// --- between the program and a worker: a header, and a body that follows it or comes as a memfd

enum class frame_kind : std::uint16_t { call, result, failure, progress, log };
struct frame_header {
    frame_kind kind;
    std::uint16_t in_memfd;
    std::uint32_t call;
    std::uint64_t size; // of the body
};
struct call_header {
    std::uint64_t function;
    std::uint64_t memory; // limit, or 0
    std::uint32_t items;
    std::uint32_t wants_progress; // or 0: nobody listens
};
inline constexpr std::size_t request_room = sizeof(frame_header) + sizeof(call_header);
/// Longer bodies come as a memfd.
inline constexpr std::size_t most_inline = 64 * 1024 - sizeof(frame_header);

// --- shared memory: one of these for each worker

/// Which call the worker shall stop. A store and a futex wake need no room in a socket, and do not wait behind arguments.
struct alignas(64) stop_slot {
    std::atomic<std::uint32_t> call;
};
static_assert(sizeof(stop_slot) == 64 && std::atomic<std::uint32_t>::is_always_lock_free);

/// In a forked worker. Does not return.
[[noreturn]] void work_for_pool(int socket, stop_slot& slot) noexcept;
/// Calls a registered function without arguments, whose exceptions are written to stderr; false if there was one.
bool call_preload(std::uint64_t function) noexcept;
/// All of it, or false.
bool write_all(int fd, const void* data, std::size_t size) noexcept;

} // namespace eddy::detail

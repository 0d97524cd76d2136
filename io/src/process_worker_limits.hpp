// What a worker does beside the function that it runs: it hears of stop requests, and limits memory.
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <mutex>
#include <stop_token>

#include "process_messages.hpp"

namespace eddy::detail {

/// A thread that sleeps until the caller names a call in the shared page. There is none before the first function with a token.
class stop_watch {
public:
    explicit stop_watch(stop_slot& slot) noexcept : slot_(&slot) {}
    /// Before the memory limit of a call: the thread needs a stack. Throws `std::system_error`.
    void start();
    void begin(std::uint32_t call, std::stop_source& source);
    void end();

private:
    [[noreturn]] void watch();
    stop_slot* slot_;
    std::mutex lock_;
    std::uint32_t call_ = 0;
    std::stop_source* source_ = nullptr;
    bool started_ = false;
};

/// While one lives, the process gets no more than so many further bytes; 0: no limit.
class memory_limit {
public:
    explicit memory_limit(std::uint64_t more);
    memory_limit(const memory_limit&) = delete;
    memory_limit& operator=(const memory_limit&) = delete;
    ~memory_limit();

private:
    rlimit before_{};
    bool set_ = false;
};

} // namespace eddy::detail

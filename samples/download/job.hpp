// One file, and how far it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <eddy/loop_clock.hpp>

namespace download_manager {

// Written by its task, read by the display: on one thread, so there is no lock.
struct job {
    enum class phase { waiting, running, checking, done, failed };
    std::string url;
    std::string name; // of the file, also for messages
    std::string path;
    std::optional<std::string> expected; // SHA-256 in lower case

    phase state = phase::waiting;
    std::uint64_t have = 0;
    std::optional<std::uint64_t> total;
    std::uint64_t resumed_at = 0;
    eddy::loop_clock::time_point started{};
    std::string digest;
};

} // namespace download_manager

// A disk that is full, as far as this process can tell.
#pragma once

#include <csignal>
#include <cstddef>
#include <stdexcept>

#include <signal.h>
#include <sys/resource.h>

namespace tests {

/// While it lives, no file that this process writes gets larger than `size`: the write that would is cut off there, and the next one
/// fails (EFBIG). For what else it writes into files, too.
class full_disk {
public:
    explicit full_disk(std::size_t size) {
        struct sigaction ignore {};
        ignore.sa_handler = SIG_IGN; // else the write kills the process
        rlimit limit{};
        const bool known = ::getrlimit(RLIMIT_FSIZE, &before_) == 0 && ::sigaction(SIGXFSZ, &ignore, &handler_) == 0;
        limit = before_;
        limit.rlim_cur = size;
        if (!known || ::setrlimit(RLIMIT_FSIZE, &limit) != 0) throw std::runtime_error("the size of files cannot be limited");
    }
    full_disk(const full_disk&) = delete;
    full_disk& operator=(const full_disk&) = delete;
    ~full_disk() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        ::sigaction(SIGXFSZ, &handler_, nullptr);
    }

private:
    rlimit before_{};
    struct sigaction handler_ {};
};

} // namespace tests

// io_uring, by liburing. See docs/design/engines.md.
#pragma once

#include <memory>

#include <eddy/detail/file_ring.hpp>

namespace eddy::detail {

class uring : public file_ring {
public:
    /// Becomes readable when there is something to collect.
    [[nodiscard]] virtual int descriptor() const noexcept = 0;
    /// Gives the kernel what was started and what is to be cancelled. False if it could not take all of that now.
    [[nodiscard]] virtual bool submit() noexcept = 0;
    /// Is something on its way to the kernel?
    [[nodiscard]] virtual bool has_backlog() const noexcept = 0;
    /// Is there something to collect?
    [[nodiscard]] virtual bool ready() const noexcept = 0;
    /// Completes what is through; how many events that were, with what `submit` had to refuse.
    virtual std::size_t collect() noexcept = 0;
};

/// Null where there is no ring to be had: `why` says so, in words; null too in a build without liburing, which never has one.
[[nodiscard]] std::unique_ptr<uring> make_uring(const char*& why) noexcept;

} // namespace eddy::detail

// The task-locals of one task, callback or thread: a map that is shared until somebody changes it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace eddy::detail {

struct local_map;

/// Values are immutable and shared; a change makes a new map unless nobody else has the old one. Copying a context is one
/// increment of a counter, of an empty one nothing. Counters are atomic, because `offload` carries contexts to workers;
/// each context object belongs to one thread at a time.
class local_context {
public:
    using value_ptr = std::shared_ptr<const void>;

    local_context() noexcept = default;
    local_context(const local_context& o) noexcept : map_(o.map_) {
        if (map_) retain(*map_);
    }
    local_context(local_context&& o) noexcept : map_(std::exchange(o.map_, nullptr)) {}
    local_context& operator=(local_context o) noexcept {
        std::swap(map_, o.map_);
        return *this;
    }
    ~local_context() {
        if (map_) release(*map_);
    }

    /// The value set for this key, or null. It stays until this context sets the key again.
    [[nodiscard]] const void* find(std::uint64_t key) const noexcept;
    /// Null: back to not set. Throws `std::bad_alloc`; nothing has changed then.
    void set(std::uint64_t key, value_ptr value);
    /// Sets the key to what it was in `before`. Out of memory, everything becomes what it was then.
    void restore(std::uint64_t key, const local_context& before) noexcept;

private:
    static void retain(local_map& m) noexcept;
    static void release(local_map& m) noexcept;
    [[nodiscard]] value_ptr share(std::uint64_t key) const noexcept;
    local_map* map_ = nullptr;
};

/// Has any task-local of the process ever been set? Until then spawning does not even look for a context.
inline constinit std::atomic<bool> locals_in_use{false};

[[nodiscard]] std::uint64_t next_local_key() noexcept;

/// The context of what runs on this thread: the task, else the callback or offloaded call, else the thread itself.
[[nodiscard]] local_context& current_locals() noexcept;
/// A copy of it, for what is being spawned or registered here.
[[nodiscard]] inline local_context inherited_locals() noexcept {
    return locals_in_use.load(std::memory_order_relaxed) ? current_locals() : local_context();
}

/// While it lives, what runs on this thread outside tasks has `c` as its context (R11).
class locals_entered {
public:
    explicit locals_entered(local_context& c) noexcept;
    locals_entered(const locals_entered&) = delete;
    locals_entered& operator=(const locals_entered&) = delete;
    ~locals_entered();

private:
    local_context* outer_;
};

} // namespace eddy::detail

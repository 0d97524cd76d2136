// Memory for what Asio allocates for an operation, kept where the operation is: in steady state nothing comes from the heap.
#pragma once

#include <array>
#include <cstddef>
#include <new>

namespace eddy::detail {

/// Room for `Slots` pieces of up to `Size` bytes; what is larger, or one too many, is from the heap.
template <std::size_t Size, std::size_t Slots = 1>
class operation_memory {
public:
    operation_memory() noexcept = default;
    operation_memory(const operation_memory&) = delete;
    operation_memory& operator=(const operation_memory&) = delete;

    [[nodiscard]] void* take(std::size_t n) {
        for (slot& s : slots_) {
            if (s.used || n > sizeof s.room) continue;
            s.used = true;
            return s.room;
        }
        return ::operator new(n);
    }
    void give(void* p) noexcept {
        for (slot& s : slots_) {
            if (p != s.room) continue;
            s.used = false;
            return;
        }
        ::operator delete(p);
    }

private:
    struct slot {
        alignas(std::max_align_t) std::byte room[Size];
        bool used = false;
    };
    std::array<slot, Slots> slots_;
};

/// A handler's associated allocator.
template <class T, class Memory>
class memory_allocator {
public:
    using value_type = T;
    explicit memory_allocator(Memory& m) noexcept : memory(&m) {}
    template <class U>
    memory_allocator(const memory_allocator<U, Memory>& o) noexcept : memory(o.memory) {}
    [[nodiscard]] T* allocate(std::size_t n) {
        static_assert(alignof(T) <= alignof(std::max_align_t));
        return static_cast<T*>(memory->take(n * sizeof(T)));
    }
    void deallocate(T* p, std::size_t) noexcept { memory->give(p); }
    friend bool operator==(const memory_allocator& a, const memory_allocator& b) noexcept { return a.memory == b.memory; }
    Memory* memory;
};

} // namespace eddy::detail

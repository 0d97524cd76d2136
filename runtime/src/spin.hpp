// Waiting awake for another thread, for as long as it would take to fall asleep and be woken.
#pragma once

namespace eddy::detail {

/// Asks `came` again and again, for 5 to 20 microseconds depending on the processor; true once it says so.
template <class Condition>
[[nodiscard]] bool spin_until(Condition came) noexcept {
    for (int i = 0; i < 400; ++i) {
        if (came()) return true;
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("isb");
#endif
    }
    return false;
}

} // namespace eddy::detail

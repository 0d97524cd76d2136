// A value that breaks when it is moved.
#pragma once

#include <stdexcept>

/// The moves of the one whose value is `armed` fail.
struct fragile {
    explicit fragile(int v) : value(v) {}
    fragile(fragile&& o) : value(o.value) {
        if (armed == value) throw std::runtime_error("broke");
    }
    fragile& operator=(fragile&&) = delete;
    int value;
    static inline int armed = 0;
};

// The small tasks that tests of tasks are made of.
#pragma once

#include <eddy/cancel_scope.hpp>
#include <eddy/errors.hpp>
#include <eddy/sleep.hpp>
#include <eddy/task.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

#include <chrono>
#include <stdexcept>
#include <string>

inline eddy::task<int> give(int value) {
    co_return value;
}
inline eddy::task<int> give(std::chrono::nanoseconds after, int value) {
    co_await eddy::sleep_for(after);
    co_return value;
}
inline eddy::task<std::string> give(std::chrono::nanoseconds after, const char* value) {
    co_await eddy::sleep_for(after);
    co_return value;
}

/// Has a result of that type only by name.
template <class T = void>
eddy::task<T> fail_after(std::chrono::nanoseconds after, const char* what) {
    co_await eddy::sleep_for(after);
    throw std::runtime_error(what);
}

/// Sleeps for ever and notes that it was cancelled, after some cleanup.
inline eddy::task<> sleeper(std::string& log, const char* name, std::chrono::nanoseconds cleanup = {}) {
    using namespace std::chrono_literals;
    try {
        co_await eddy::sleep_for(1h);
    } catch (const eddy::operation_cancelled&) {
        log += name;
    }
    if (cleanup > 0ns)
        co_await eddy::with_shield(cleanup + 1s, [&](eddy::cancel_scope&) -> eddy::task<> { co_await eddy::sleep_for(cleanup); });
    co_await eddy::this_task::checkpoint();
}
/// The same, with a result that it never has.
inline eddy::task<int> noting(std::string& log, const char* name, std::chrono::nanoseconds cleanup = {}) {
    co_await sleeper(log, name, cleanup);
    co_return 0;
}
/// Swallows its cancellation and returns a value.
inline eddy::task<int> stubborn(int value) {
    try {
        co_await eddy::sleep_for(std::chrono::hours(1));
    } catch (const eddy::operation_cancelled&) {
    }
    co_return value;
}

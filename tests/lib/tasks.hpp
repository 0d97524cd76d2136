#pragma once
// The small tasks that tests of tasks are made of.

#include <eddy/sleep.hpp>
#include <eddy/task.hpp>

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

inline eddy::task<int> fail(std::chrono::nanoseconds after, const char* what) {
    co_await eddy::sleep_for(after);
    throw std::runtime_error(what);
}
inline eddy::task<> fail_after(std::chrono::nanoseconds after, const char* what) {
    co_await eddy::sleep_for(after);
    throw std::runtime_error(what);
}

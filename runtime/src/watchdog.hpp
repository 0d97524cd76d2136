// The watchdog of debug mode: tells, while it lasts, that a step holds the loop.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <source_location>
#include <string>
#include <thread>
#include <vector>

namespace eddy::detail {

/// " at a.cpp:1, awaited at b.cpp:2": an await chain, innermost first, for a message.
[[nodiscard]] std::string describe_chain(const std::vector<std::source_location>& chain);

// The loop's thread says what it is about to run; another thread looks at the clock. Costs an uncontended lock a step, and
// exists in debug mode only.
class watchdog {
public:
    /// `say` is called on the watchdog's own thread.
    watchdog(std::chrono::nanoseconds limit, std::function<void(const std::string&)> say);
    watchdog(const watchdog&) = delete;
    watchdog& operator=(const watchdog&) = delete;
    ~watchdog();

    /// `chain`: its await sites, innermost first.
    void step_begins(const std::string& name, std::vector<std::source_location> chain);
    void step_ends();

private:
    using clock = std::chrono::steady_clock;
    void watch();
    void say(const std::string& text) noexcept;
    const std::chrono::nanoseconds limit_;
    const std::function<void(const std::string&)> say_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string name_;
    std::vector<std::source_location> chain_;
    clock::time_point begin_{};
    std::chrono::nanoseconds next_report_{};
    bool running_ = false;
    bool stop_ = false;
    std::thread thread_;
};

} // namespace eddy::detail

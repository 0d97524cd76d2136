#include "metrics_page.hpp"

#include <cstdint>

namespace http_service {

void metrics_page::family(std::string_view name, std::string_view type, std::string_view help) {
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void metrics_page::histogram(std::string_view name, std::string_view labels, const eddy::histogram& h, std::size_t first,
                             std::size_t last, double unit) {
    const std::string separator = labels.empty() ? "" : ",";
    const std::string bucket = std::string(name) + "_bucket";
    std::uint64_t below = 0;
    for (std::size_t n = 0; n <= last; ++n) {
        below += h.buckets()[n];
        if (n < first) continue;
        const double bound = static_cast<double>((std::uint64_t{1} << n) - 1) * unit;
        sample(bucket, fmt::format("{}{}le=\"{:.9g}\"", labels, separator, bound), below);
    }
    sample(bucket, fmt::format("{}{}le=\"+Inf\"", labels, separator), h.count());
    sample(std::string(name) + "_sum", labels, static_cast<double>(h.sum()) * unit);
    sample(std::string(name) + "_count", labels, h.count());
}

void write_loop_metrics(metrics_page& page, const eddy::loop_stats& s) {
    page.single("eddy_loop_ticks_total", "counter", "Rounds of the event loop.", s.ticks);
    page.single("eddy_loop_steps_total", "counter", "Callbacks and task steps that ran.", s.steps);
    page.single("eddy_loop_polls_total", "counter", "Times the kernel was asked for events.", s.polls);
    page.single("eddy_loop_posts_total", "counter", "Messages from other threads.", s.posts);
    page.single("eddy_loop_tasks", "gauge", "Tasks that are alive.", s.tasks);
    page.single("eddy_loop_timers", "gauge", "Timers that are set.", s.timers);
    page.single("eddy_loop_pending_operations", "gauge", "Operations that wait for the kernel.", s.pending_operations);
    page.single("eddy_loop_pool_jobs", "gauge", "Calls given to worker pools and not finished.", s.pool_jobs);
    page.family("eddy_loop_tick_seconds", "histogram", "How long a round kept all others waiting.");
    page.histogram("eddy_loop_tick_seconds", "", s.tick_time, 12, 30, 1e-9); // 4 µs to 1 s
}

} // namespace http_service

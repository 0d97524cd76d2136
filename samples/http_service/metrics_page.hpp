// Metrics as text, for Prometheus.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <eddy/event_loop.hpp>
#include <eddy/histogram.hpp>

namespace http_service {

/// The text format of Prometheus, version 0.0.4.
class metrics_page {
public:
    static constexpr const char* content_type = "text/plain; version=0.0.4; charset=utf-8";

    /// Comes before the samples of that name.
    void family(std::string_view name, std::string_view type, std::string_view help);
    /// `labels` as a="b", or nothing.
    template <class T>
    void sample(std::string_view name, std::string_view labels, T value) {
        text_ += fmt::format("{}{}{}{} {}\n", name, labels.empty() ? "" : "{", labels, labels.empty() ? "" : "}", value);
    }
    template <class T>
    void single(std::string_view name, std::string_view type, std::string_view help, T value) {
        family(name, type, help);
        sample(name, "", value);
    }
    /// A histogram with a bucket for each power of two from 2^first to 2^last, in units of `unit` seconds. A value is a
    /// whole number, and in a bucket if it is at most 2^n - 1: that is the bound to be told.
    void histogram(std::string_view name, std::string_view labels, const eddy::histogram& h, std::size_t first, std::size_t last,
                   double unit);
    [[nodiscard]] std::string take() && { return std::move(text_); }

private:
    std::string text_;
};

/// What the loop knows of itself.
void write_loop_metrics(metrics_page& page, const eddy::loop_stats& s);

} // namespace http_service

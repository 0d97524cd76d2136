// How things ended, as words: tests compare them with literals.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <eddy/event_loop.hpp>
#include <eddy/outcome.hpp>
#include <eddy/task.hpp>

namespace words {

/// "ok", "cancelled" or the message of the error.
template <class T>
[[nodiscard]] std::string of(const eddy::outcome<T>& o) {
    if (o.cancelled()) return "cancelled";
    return o.has_value() ? "ok" : eddy::detail::describe(o.exception());
}

/// Awaits something and says the same; for results that an outcome cannot hold.
template <class A>
[[nodiscard]] eddy::task<std::string> ending(A a) {
    try {
        static_cast<void>(co_await std::move(a));
        co_return "ok";
    } catch (const eddy::operation_cancelled&) {
        co_return "cancelled";
    } catch (...) {
        co_return eddy::detail::describe(std::current_exception());
    }
}

/// The same for a plain call.
template <class F>
[[nodiscard]] std::string of_call(F&& f) {
    try {
        static_cast<void>(f());
        return "ok";
    } catch (...) {
        return eddy::detail::describe(std::current_exception());
    }
}

template <class E, class F>
[[nodiscard]] bool throws(F&& f) {
    try {
        static_cast<void>(f());
    } catch (const E&) {
        return true;
    }
    return false;
}

/// What an exception pointer holds.
template <class E>
[[nodiscard]] bool holds(const std::exception_ptr& p) {
    try {
        if (p) std::rethrow_exception(p);
    } catch (const E&) {
        return true;
    } catch (...) {
    }
    return false;
}

/// Takes over the exception handler of a loop, so that a report is something to check and not the test's failure.
class reports {
public:
    reports() : reports(eddy::this_loop()) {}
    explicit reports(eddy::event_loop& loop) {
        loop.set_exception_handler([list = list_](const eddy::error_context& e) {
            std::string text = e.exception ? eddy::detail::describe(e.exception) : std::string(e.message);
            if (!e.task_name.empty()) text = std::string(e.task_name) + ": " + text;
            list->push_back(std::move(text));
        });
    }
    [[nodiscard]] std::size_t count() const { return list_->size(); }
    /// All of them, separated by "; ".
    [[nodiscard]] std::string text() const {
        std::string all;
        for (const std::string& r : *list_) all += all.empty() ? r : "; " + r;
        return all;
    }

private:
    std::shared_ptr<std::vector<std::string>> list_ = std::make_shared<std::vector<std::string>>();
};

} // namespace words

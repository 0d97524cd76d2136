// once<T>: a value that is made when it is first asked for, by one task for all.
//
//     once<config> settings;
//     const config& c = co_await settings.get(load_config);     // runs load_config() the first time only
#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <eddy/mutex.hpp>
#include <eddy/task.hpp>

namespace eddy {

/// After tokio's OnceCell. Loop thread only; must outlive those who ask.
template <class T>
class once {
public:
    once() = default;
    once(const once&) = delete;
    once& operator=(const once&) = delete;

    /// Awaitable: the value; if there is none yet, that of `co_await make()`. Who asks meanwhile waits. If `make` fails or the
    /// task that runs it is cancelled, that task gets the error, and the next one in the line makes the value. Checkpoint
    /// unless the value is there; cancelled while it waits, nothing happened.
    template <class F>
        requires awaitable<std::invoke_result_t<F&>>
    task<T&> get(F make) {
        if (!value_) {
            const mutex_guard making = co_await lock_.lock();
            if (!value_) value_.emplace(co_await std::invoke(make));
        }
        co_return *value_;
    }
    /// The value, or null.
    [[nodiscard]] T* try_get() noexcept { return value_ ? &*value_ : nullptr; }
    [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }

private:
    mutex lock_;
    std::optional<T> value_;
};

} // namespace eddy

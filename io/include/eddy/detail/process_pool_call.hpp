// One call of a process_pool on its way to a worker and back.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/detail/remote_function.hpp>
#include <eddy/queue.hpp>
#include <eddy/task.hpp>
#include <eddy/wire.hpp>

namespace eddy {

struct call_options;

/// Where the progress of one call goes. See `progress_to`; it refers to its target, which must outlive the call.
class progress_sink {
public:
    progress_sink() noexcept = default;

    // for the library
    using taker = void (*)(void* target, wire::reader& value);
    progress_sink(void* target, taker how, std::uint64_t type) noexcept : target_(target), take_(how), type_(type) {}
    [[nodiscard]] explicit operator bool() const noexcept { return take_ != nullptr; }
    [[nodiscard]] std::uint64_t type() const noexcept { return type_; }
    void take(wire::reader& value) const { take_(target_, value); }

private:
    void* target_ = nullptr;
    taker take_ = nullptr;
    std::uint64_t type_ = 0;
};

/// `this_call::progress(T)` goes into the queue; what a full one has no room for is left out.
template <class T>
[[nodiscard]] progress_sink progress_to(queue<T>& q) noexcept {
    const auto take = [](void* target, wire::reader& value) { static_cast<void>(static_cast<queue<T>*>(target)->try_push(value.read<T>())); };
    return {&q, take, detail::hash_of_type<T>()};
}
/// The same for a callable, `progress_to<double>(show)`: called on the loop while `run` is awaited. What it throws ends up with the caller.
template <class T, class F>
    requires std::is_invocable_v<F&, T>
[[nodiscard]] progress_sink progress_to(F& f) noexcept {
    const auto take = [](void* target, wire::reader& value) { static_cast<void>((*static_cast<F*>(target))(value.read<T>())); };
    return {&f, take, detail::hash_of_type<T>()};
}

namespace detail {

class process_pool_core;
class pool_worker;

/// A call, as bytes with room for a header in front.
class pool_request {
public:
    /// Throws `closed_resource`.
    pool_request(process_pool_core& core, const remote_function& f, const call_options& options);
    pool_request(pool_request&&) noexcept = default;
    pool_request& operator=(pool_request&&) = delete;
    ~pool_request() = default;
    [[nodiscard]] wire::writer arguments() noexcept { return wire::writer(bytes); }

    const remote_function* function;
    std::chrono::nanoseconds timeout;
    std::chrono::nanoseconds stop_grace;
    std::chrono::nanoseconds kill_grace;
    std::uint64_t memory;
    progress_sink progress;
    std::vector<std::byte> bytes;
    std::uint32_t items = 1;
};

/// The result as bytes, in the buffer of its worker, which is given back at the end of this object's life.
class pool_reply {
public:
    pool_reply(std::shared_ptr<process_pool_core> core, pool_worker* w, std::span<const std::byte> result) noexcept
        : core_(std::move(core)), worker_(w), result_(result) {}
    pool_reply(pool_reply&& o) noexcept : core_(std::move(o.core_)), worker_(std::exchange(o.worker_, nullptr)), result_(o.result_) {}
    pool_reply& operator=(pool_reply&&) = delete;
    ~pool_reply();
    [[nodiscard]] wire::reader reader() const noexcept { return wire::reader(result_); }

private:
    std::shared_ptr<process_pool_core> core_;
    pool_worker* worker_;
    std::span<const std::byte> result_;
};

/// Awaitable: the call's result; throws what it failed with.
task<pool_reply> perform(std::shared_ptr<process_pool_core> core, pool_request request, std::source_location site);
[[nodiscard]] std::size_t usual_in_flight(const process_pool_core& core) noexcept;

template <class F>
struct map_result {
    using type = std::vector<remote_result_t<F>>;
};
template <class F>
    requires std::is_void_v<remote_result_t<F>>
struct map_result<F> {
    using type = void;
};
template <class F>
using map_result_t = typename map_result<F>::type;

template <class R>
task<R> await_reply(std::shared_ptr<process_pool_core> core, pool_request request, std::source_location site) {
    const pool_reply reply = co_await perform(std::move(core), std::move(request), site);
    wire::reader in = reply.reader();
    if constexpr (std::is_void_v<R>) {
        in.expect_end();
    } else {
        R value = in.read<R>();
        in.expect_end();
        co_return value;
    }
}

} // namespace detail
} // namespace eddy

// in_loop: from a function on a worker thread, run something on the loop and wait for it.
//
//     auto digest = co_await offload([&](const page& p) {
//         in_loop([&] { ++pages_seen; });                             // loop state, without a lock
//         auto more = in_loop([&] { return fetch(p.next); });         // a task: the worker waits until it is done
//         …
//     }, page);
//
// The worker blocks meanwhile. If every worker of a pool waits for a task on the loop, and such a task waits for a call on
// the same pool, nothing moves: that is reported to the loop's exception handler by name, and a larger or second pool is
// the way out.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include <eddy/detail/mailbox.hpp>
#include <eddy/offload.hpp>
#include <eddy/spawn.hpp>

namespace eddy {

namespace detail {

/// A call on its way from a worker to the loop and back; shared by the two.
class loop_request : public remote_node, public ready_node, public std::enable_shared_from_this<loop_request> {
public:
    loop_request(const loop_request&) = delete;
    loop_request& operator=(const loop_request&) = delete;
    /// Worker: posts and waits. Throws what the function threw, or that the loop is closed.
    void run_and_wait();

protected:
    loop_request();
    ~loop_request() = default;
    /// Loop thread: calls the function. True if it is done, false if a task will settle it.
    virtual bool call() = 0;
    /// Loop thread: starts a task where the offloading task's cancellation reaches it.
    void launch_task(task<> t);
    void settle(std::exception_ptr error) noexcept;

private:
    enum class state : unsigned char { posted, started, withdrawn, settled };
    static void run_posted(remote_node& n);
    static void run_ready(ready_node& n);
    void start();
    [[nodiscard]] bool withdraw() noexcept;
    offload_call& caller_;
    std::shared_ptr<pool_core> pool_ = pool_of_this_worker();
    local_context locals_; // the worker's: what the function sets is not visible there
    std::shared_ptr<loop_request> self_; // while it is posted or runs
    std::mutex mutex_;
    std::condition_variable changed_;
    state state_ = state::posted;
    std::optional<blocked_worker> waiting_; // while a task runs for it
    std::exception_ptr error_;
};

template <class F>
struct in_loop_value {
    using type = std::invoke_result_t<F&>;
};
template <class F>
    requires is_task<std::invoke_result_t<F&>>
struct in_loop_value<F> {
    using type = typename std::invoke_result_t<F&>::value_type;
};

template <class F>
class typed_loop_request final : public loop_request {
public:
    using value = typename in_loop_value<F>::type;
    explicit typed_loop_request(F& f) : f_(f) {}
    value take() { return slot_.take(); }

private:
    bool call() override {
        if constexpr (is_task<std::invoke_result_t<F&>>) {
            launch_task(run_task());
            return false;
        } else if constexpr (std::is_void_v<value>) {
            std::invoke(f_);
            slot_.emplace();
            return true;
        } else {
            slot_.emplace(std::invoke(f_));
            return true;
        }
    }
    task<> run_task() {
        const auto keep = this->shared_from_this(); // the worker goes on as soon as we are settled
        std::exception_ptr error;
        try {
            if constexpr (std::is_void_v<value>) {
                co_await std::invoke(f_);
                slot_.emplace();
            } else {
                slot_.emplace(co_await std::invoke(f_));
            }
        } catch (...) {
            error = std::current_exception();
        }
        this->settle(std::move(error));
    }
    F& f_; // the worker's: it waits
    result_slot<value> slot_;
};

} // namespace detail

/// On a worker that runs an offloaded function: calls `f()` on that function's loop and returns its result or throws its
/// error here. If `f` returns a `task<T>` that is run to its end, inside the offloading task's cancel scopes (of the
/// loop's root group for `offload(abandon, …)`): its cancellation comes out as `operation_cancelled`. A plain `f` is called
/// even if the offloading task was cancelled. `f` sees the worker's task-locals; what it sets stays with it. Throws
/// `std::logic_error` on any other thread, `closed_resource` if the loop
/// or the worker's pool is shutting down.
template <class F>
auto in_loop(F&& f) -> typename detail::in_loop_value<std::remove_reference_t<F>>::type {
    const auto request = std::make_shared<detail::typed_loop_request<std::remove_reference_t<F>>>(f);
    request->run_and_wait();
    return request->take();
}

} // namespace eddy

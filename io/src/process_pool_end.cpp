// The end of a process_pool: closed, shut down, or destroyed.
#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include <eddy/cancel_scope.hpp>
#include <eddy/detail/external_work.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

#include "process_pool_core.hpp"

namespace eddy::detail {

void process_pool_core::use_is_over() noexcept {
    if (--calls_now_ > 0) return;
    no_calls_.set();
    if (reader_leaves_) server_socket_.abort();
}

void process_pool_core::kill_all() noexcept {
    killed_ = true;
    for (const auto& w : workers_) {
        w->spent = true;
        w->kill();
        w->started.set(); // who waits for it need not hear from the server; if it still comes to be, its socket is closed
    }
    if (preloading_) kill_server(server_); // it does not listen, and has no workers
}

task<> process_pool_core::stop_processes() {
    const mutex_guard one = co_await stopping_.lock(); // a second closer waits for the first
    const external_work ending(*current().loop);
    if (server_) co_await stop_idle();
    if (server_) co_await stop_server(); // else it has ended meanwhile, or the pool object has gone
    const std::vector<task_handle<>> collectors = std::move(collectors_);
    for (const task_handle<>& c : collectors) co_await c.join();
}

task<> process_pool_core::stop_server() {
    process server = std::move(*server_);
    server_.reset();
    server_socket_.abort();
    co_await server_reader_.join();
    auto wait = [&server](cancel_scope&) -> task<> {
        auto end = server.wait();
        co_await end;
    };
    co_await move_on_after(patience(), wait);
    if (server.running()) server.kill();
    auto end = server.wait();
    co_await end;
}

std::chrono::nanoseconds process_pool_core::patience() const noexcept {
    return std::max<std::chrono::nanoseconds>(options.kill_grace, std::chrono::milliseconds(100));
}

/// They end with their sockets, and may write what they have left to write. One that does not, because it is stopped, is killed.
task<> process_pool_core::stop_idle() {
    std::vector<pool_worker*> leaving = idle_;
    idle_.clear();
    for (pool_worker* const w : leaving) w->socket.abort();
    auto ends = [&leaving](cancel_scope&) -> task<> {
        for (pool_worker* const w : leaving) co_await w->ended.wait();
    };
    const auto one_left = [&leaving] { return !std::all_of(leaving.begin(), leaving.end(), [](const pool_worker* w) { return w->ended.is_set(); }); };
    co_await move_on_after(patience(), ends);
    if (one_left()) {
        for (pool_worker* const w : leaving) {
            if (!w->ended.is_set()) w->kill();
        }
        co_await move_on_after(patience(), ends);
    }
    if (one_left()) kill_server(server_); // it should have told
    for (pool_worker* const w : leaving) co_await w->ended.wait();
    for (pool_worker* const w : leaving) discard(*w);
}

task<> process_pool_core::close_within(std::shared_ptr<process_pool_core> self, std::optional<std::chrono::nanoseconds> deadline) {
    process_pool_core& pool = *self;
    pool.closed_ = true;
    co_await this_task::checkpoint();
    if (deadline && pool.calls_now_ > 0) {
        auto body = [&pool](cancel_scope&) -> task<> { co_await pool.no_calls_.wait(); };
        co_await move_on_after(*deadline, body);
        if (pool.calls_now_ > 0) {
            pool.kill_all();
            co_await move_on_after(pool.patience(), body);
        }
        if (pool.calls_now_ > 0) kill_server(pool.server_); // it should have told that their workers have ended
    }
    co_await pool.no_calls_.wait();
    co_await shielded(pool.stop_processes());
}

void process_pool_core::let_go() noexcept {
    closed_ = true;
    kill_all();
    for (const auto& w : workers_) w->socket.abort(); // who waits for it gets closed_resource
    if (server_reader_ && current().loop && bound_ && *loop_ == current().loop) server_reader_.cancel();
    server_ended();
}

} // namespace eddy::detail

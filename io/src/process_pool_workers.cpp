// The workers of a process_pool, seen from the program: which there are, and how another one is started.
#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>
#include <system_error>

#include <eddy/cancel_scope.hpp>
#include <eddy/detail/external_work.hpp>
#include <eddy/errors.hpp>
#include <eddy/this_task.hpp>

#include "process_pool_core.hpp"

namespace eddy::detail {

pool_worker* process_pool_core::worker_of(std::uint32_t number) noexcept {
    for (const auto& w : workers_) {
        if (w->number == number) return w.get();
    }
    return nullptr;
}

std::uint32_t process_pool_core::free_slot() const {
    for (std::uint32_t slot = 0;; ++slot) {
        if (std::none_of(workers_.begin(), workers_.end(), [slot](const auto& w) { return w->slot == slot; })) return slot;
    }
}

void process_pool_core::discard(pool_worker& w) noexcept {
    if (!w.ended.is_set() && w.spent) w.kill(); // else it ends with its socket
    std::erase_if(workers_, [&w](const auto& p) { return p.get() == &w; });
}

pool_worker* process_pool_core::take_idle() noexcept {
    if (idle_.empty()) return nullptr;
    pool_worker* const w = idle_.back();
    idle_.pop_back();
    ++busy_;
    return w;
}

void process_pool_core::give_back(pool_worker& w) noexcept {
    --busy_;
    ++w.calls;
    w.unmap();
    const bool retires = options.max_tasks_per_worker > 0 && w.calls >= options.max_tasks_per_worker;
    if (retires && !w.ended.is_set()) ++counted_.retired;
    if (w.ended.is_set() || w.spent || retires || killed_)
        discard(w);
    else
        idle_.push_back(&w); // there is room: see start_worker
    permits_.release();
}

task<pool_worker*> process_pool_core::start_worker(const char* function) {
    const external_work starting(*current().loop);
    pool_worker* w = co_await try_to_start_worker(function);
    if (!w) w = co_await try_to_start_worker(function); // the server had ended, and nobody knew
    if (!w) throw std::runtime_error("process_pool: the fork server ended before it had started a worker");
    co_return w;
}

/// Null if the server is gone.
task<pool_worker*> process_pool_core::try_to_start_worker(const char* function) {
    {
        const mutex_guard one = co_await starting_.lock();
        expect_alive(function);
        if (!server_) co_await start_server(function);
    }
    expect_alive(function);
    socket_ends ends = new_socket_pair();
    idle_.reserve(options.workers);
    workers_.push_back(std::make_unique<pool_worker>(next_worker_++, free_slot(), std::move(ends.ours)));
    pool_worker& w = *workers_.back();
    struct abandoned {
        process_pool_core& core;
        pool_worker* worker;
        ~abandoned() {
            if (!worker) return;
            worker->spent = true;
            core.discard(*worker);
        }
    } unless_done{*this, &w};
    server_message m{};
    m.word = server_word::start;
    m.worker = w.number;
    m.slot = w.slot;
    const std::array<int, 1> passed{ends.theirs.get()};
    const std::uint64_t generation = generation_;
    bool told = false;
    try {
        auto sending = server_socket_.send_descriptors(std::as_bytes(std::span(&m, 1)), passed);
        co_await shielded(std::move(sending));
        told = true;
    } catch (const std::system_error& e) {
        if (!peer_is_gone(e)) throw; // no memory, no descriptors: the others' calls go on
    } catch (const closed_resource&) {
    }
    if (!told) {
        if (generation == generation_) server_ended();
        expect_alive(function);
        co_return nullptr;
    }
    ends.theirs = {};
    co_await w.started.wait();
    expect_alive(function);
    if (w.start_error != 0) throw std::system_error(w.start_error, std::generic_category(), "process_pool: a worker cannot be started");
    if (w.pid == 0) co_return nullptr;
    ++counted_.started;
    if (options.warm_up) co_await warm_up(w);
    expect_alive(function);
    unless_done.worker = nullptr;
    ++busy_;
    co_return &w;
}

task<> process_pool_core::start_all(std::shared_ptr<process_pool_core> self) {
    process_pool_core& pool = *self;
    pool.expect_open("start");
    pool.bind();
    const counted_use counted(pool); // close and shutdown wait for it as for a call
    co_await this_task::checkpoint();
    std::vector<pool_worker*> fresh;
    fresh.reserve(pool.options.workers);
    struct give_all_back {
        process_pool_core& core;
        std::vector<pool_worker*>& workers;
        ~give_all_back() {
            for (pool_worker* const w : workers) {
                --w->calls; // it was none
                core.give_back(*w);
            }
        }
    } at_end{pool, fresh};
    // A worker for each permit that is free; who has one has a worker, or starts it.
    while (static_cast<std::ptrdiff_t>(pool.idle_.size()) < pool.permits_.available()) {
        std::optional<semaphore_permit> permit = pool.permits_.try_acquire();
        if (!permit) co_return; // others wait for it
        pool.expect_alive("start");
        pool_worker* const w = co_await pool.start_worker("start");
        permit->detach();
        fresh.push_back(w);
    }
}

} // namespace eddy::detail

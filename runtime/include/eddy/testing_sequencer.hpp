// testing::sequencer: forces an order on tasks, for tests of what happens in just that order. After trio's Sequencer.
//
//     testing::sequencer seq;
//     spawn([&]() -> task<> { { auto turn = co_await seq(0); …; }  { auto turn = co_await seq(2); …; } });
//     spawn([&]() -> task<> { auto turn = co_await seq(1); …; });
#pragma once

#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include <eddy/event.hpp>
#include <eddy/outcome.hpp>
#include <eddy/this_task.hpp>

namespace eddy::testing {

/// Steps 0, 1, 2, … run one after another, whichever tasks they are in. Loop thread only; must outlive its turns.
class sequencer {
public:
    /// One step; the next one begins when this goes.
    class [[nodiscard("the next step begins when this object goes: keep it in a variable")]] turn {
    public:
        turn(turn&& o) noexcept : owner_(std::exchange(o.owner_, nullptr)), step_(o.step_) {}
        turn& operator=(turn&&) = delete;
        ~turn() {
            if (owner_) owner_->begin(step_ + 1);
        }

    private:
        friend class sequencer;
        turn(sequencer& s, int step) noexcept : owner_(&s), step_(step) {}
        sequencer* owner_;
        int step_;
    };

    sequencer() = default;
    sequencer(const sequencer&) = delete;
    sequencer& operator=(const sequencer&) = delete;

    /// Awaitable: the turn of step `n`. Cancelled while it waits, the order cannot be kept any more: all steps that wait
    /// throw `std::logic_error`, and so do later ones; as does asking for a step twice.
    task<turn> operator()(int n) {
        if (!asked_.insert(n).second) throw std::logic_error("sequencer: step " + std::to_string(n) + " was asked for twice");
        if (n != now_) {
            const outcome<> waited = co_await as_result(starts_[n].wait());
            const outcome<> goes_on = co_await as_result(this_task::checkpoint()); // its turn and its cancellation can coincide (R2)
            if (waited.cancelled() || goes_on.cancelled()) break_off();
            co_await this_task::checkpoint();
        }
        if (broken_) throw std::logic_error("sequencer: step " + std::to_string(n) + " cannot come: a task that waited for its step was cancelled");
        co_return turn(*this, n);
    }

private:
    void begin(int step) noexcept {
        now_ = step;
        if (const auto it = starts_.find(step); it != starts_.end()) it->second.set();
    }
    void break_off() noexcept {
        broken_ = true;
        for (auto& [step, start] : starts_) start.set();
    }
    std::map<int, event> starts_;
    std::set<int> asked_;
    int now_ = 0;
    bool broken_ = false;
};

} // namespace eddy::testing

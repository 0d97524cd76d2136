// Randomised runs against plain reference models: the model says what the documentation says, in a few lines and
// without a loop; after each step both have to agree. The seed is EDDY_SHUFFLE_SEED, else fixed.
#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "lib/dice.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// How the operations of a run ended, by number: "=7" with a value, "ok", "cancelled" or the error's text.
using endings = std::map<int, std::string>;

/// A queue: items, who waits to push, who waits to pop, each first come first served.
class queue_model {
public:
    enum class order { fifo, smallest, newest };
    queue_model(order o, std::size_t capacity) : order_(o), capacity_(capacity) {}
    bool try_push(int item) {
        if (!poppers_.empty()) {
            ended[poppers_.front()] = "=" + std::to_string(item);
            poppers_.pop_front();
            return true;
        }
        if (items.size() == capacity_) return false;
        items.push_back(item);
        return true;
    }
    std::optional<int> try_pop() {
        if (items.empty()) return std::nullopt;
        auto at = items.begin();
        if (order_ == order::smallest) at = std::min_element(items.begin(), items.end());
        if (order_ == order::newest) at = items.end() - 1;
        const int item = *at;
        items.erase(at);
        if (!pushers_.empty()) {
            items.push_back(pushers_.front().second);
            ended[pushers_.front().first] = "ok";
            pushers_.pop_front();
        }
        return item;
    }
    void push(int id, int item) {
        if (closed)
            ended[id] = "the queue is closed";
        else if (try_push(item))
            ended[id] = "ok";
        else
            pushers_.emplace_back(id, item);
    }
    void pop(int id) {
        if (const auto item = try_pop())
            ended[id] = "=" + std::to_string(*item);
        else if (closed)
            ended[id] = "the queue is closed";
        else
            poppers_.push_back(id);
    }
    void cancel(int id) {
        if (std::erase(poppers_, id) + std::erase_if(pushers_, [&](const auto& p) { return p.first == id; }) > 0)
            ended[id] = "cancelled";
    }
    void close() {
        closed = true;
        for (const int id : poppers_) ended[id] = "the queue is closed";
        for (const auto& p : pushers_) ended[p.first] = "the queue is closed";
        poppers_.clear();
        pushers_.clear();
    }
    std::vector<int> items;
    bool closed = false;
    endings ended;

private:
    order order_;
    std::size_t capacity_;
    std::deque<std::pair<int, int>> pushers_;
    std::deque<int> poppers_;
};

template <class Queue>
task<> agrees_with(queue_model::order o) {
    dice d;
    for (int run = 0; run < 10; ++run) {
        Queue q(3);
        queue_model model(o, 3);
        endings ended;
        std::vector<task_handle<>> tasks; // number n is tasks[n]
        auto push = [&](int id, int item) -> task<> { ended[id] = words::of(co_await as_result(q.push(item))); };
        auto pop = [&](int id) -> task<> {
            const auto r = co_await as_result(q.pop());
            ended[id] = r.has_value() ? "=" + std::to_string(*r) : words::of(r);
        };
        for (int step = 0; step < 120; ++step) {
            const int id = static_cast<int>(tasks.size());
            const int item = 1000 * d(5) + step; // all different; equal keys do not occur
            const int what = d(10);
            if (what < 3) {
                tasks.push_back(spawn(push, id, item));
                model.push(id, item);
            } else if (what < 6) {
                tasks.push_back(spawn(pop, id));
                model.pop(id);
            } else if (what < 7 && !model.closed) {
                const bool pushed = q.try_push(item);
                CHECK(pushed == model.try_push(item));
            } else if (what < 8 && !(model.closed && model.items.empty())) {
                const std::optional<int> popped = q.try_pop();
                CHECK(popped == model.try_pop());
            } else if (what < 9 && !tasks.empty()) {
                const int victim = d(id);
                tasks[static_cast<std::size_t>(victim)].cancel();
                model.cancel(victim);
            } else if (step > 90 && !model.closed) {
                q.close();
                model.close();
            }
            // A new task acts at its first step; the rest acts at once, so that two things happen in one tick.
            if (what < 6 || d(2) == 0) {
                co_await testing::settle();
                REQUIRE(ended == model.ended);
                REQUIRE(q.size() == model.items.size());
            }
        }
        for (const task_handle<>& t : tasks) t.cancel();
        for (task_handle<>& t : tasks) co_await t.join();
    }
}

/// Permits: holders, and who waits, first come first served. A mutex is one permit.
class permits_model {
public:
    explicit permits_model(std::size_t n) : free(n) {}
    void acquire(int id) {
        if (free > 0 && waiting.empty()) {
            --free;
            holders.insert(id);
        } else {
            waiting.push_back(id);
        }
    }
    /// Whether it held one, waited or had gone before.
    void leave(int id) {
        std::erase(waiting, id);
        if (holders.erase(id) == 0) return;
        if (waiting.empty()) {
            ++free;
        } else {
            holders.insert(waiting.front());
            waiting.pop_front();
        }
    }
    std::size_t free;
    std::set<int> holders;
    std::deque<int> waiting;
};

/// `acquire()` awaits a guard; `free()` says how many could be had at once.
template <class Acquire, class Free>
task<> agrees_with(permits_model model, Acquire acquire, Free free) {
    dice d;
    std::set<int> holders;
    std::deque<promise<>> told; // number n holds its permit until told[n] is set
    std::vector<task_handle<>> tasks;
    struct inside {
        inside(std::set<int>& h, int i) : all(h), id(i) { all.insert(id); }
        inside(const inside&) = delete;
        inside& operator=(const inside&) = delete;
        ~inside() { all.erase(id); }
        std::set<int>& all;
        int id;
    };
    auto user = [&](int id) -> task<> {
        auto guard = co_await acquire();
        const inside here(holders, id);
        co_await told[static_cast<std::size_t>(id)].get_future();
    };
    const auto some_of = [&](const auto& ids) { return *std::next(ids.begin(), d(static_cast<int>(ids.size()))); };
    for (int step = 0; step < 400; ++step) {
        const int what = d(8);
        if (what < 3) {
            const int id = static_cast<int>(tasks.size());
            told.emplace_back();
            tasks.push_back(spawn(user, id));
            model.acquire(id);
        } else if (what < 5 && !model.holders.empty()) { // one lets go
            const int id = some_of(model.holders);
            told[static_cast<std::size_t>(id)].set_value();
            model.leave(id);
        } else if (what == 5 && !model.waiting.empty()) { // one that waits is cancelled
            const int id = some_of(model.waiting);
            tasks[static_cast<std::size_t>(id)].cancel();
            model.leave(id);
        } else if (what == 6 && !model.holders.empty()) { // one that holds is cancelled
            const int id = some_of(model.holders);
            tasks[static_cast<std::size_t>(id)].cancel();
            model.leave(id);
        } else if (what == 7 && !model.holders.empty() && !model.waiting.empty()) { // granted and cancelled in one tick
            const int id = some_of(model.holders);
            const int next = model.waiting.front();
            tasks[static_cast<std::size_t>(id)].cancel();
            co_await tasks[static_cast<std::size_t>(id)].join();
            tasks[static_cast<std::size_t>(next)].cancel();
            model.leave(id);
            model.leave(next);
        }
        co_await testing::settle();
        REQUIRE(holders == model.holders);
        REQUIRE(free() == model.free);
    }
    for (const task_handle<>& t : tasks) t.cancel();
    for (task_handle<>& t : tasks) co_await t.join();
}

/// A member of a group or race: what it does, by itself after `delay`, or once it is cancelled, after `cleanup`.
struct member {
    enum class kind { value, error, stubborn, cleans_up, fails_in_cleanup };
    kind what = kind::value;
    std::chrono::milliseconds delay{0};
    std::chrono::milliseconds cleanup{0};
    int id = 0;

    [[nodiscard]] bool ends_by_itself() const { return what == kind::value || what == kind::error; }
    task<int> run() const {
        const member self = *this;
        return body(self);
    }

private:
    static task<int> body(member self) {
        try {
            co_await sleep_for(self.ends_by_itself() ? self.delay : std::chrono::milliseconds(1h));
        } catch (const operation_cancelled&) {
            if (self.ends_by_itself()) throw;
        }
        if (self.what == kind::error) throw std::runtime_error("e" + std::to_string(self.id));
        if (self.ends_by_itself() || self.what == kind::stubborn) co_return self.id;
        const auto clean = [&self]() -> task<> { co_await sleep_for(self.cleanup); };
        co_await with_shield(clean);
        if (self.what == kind::fails_in_cleanup) throw std::runtime_error("c" + std::to_string(self.id));
        co_await this_task::checkpoint();
        co_return -1;
    }
};

std::vector<member> some_members(dice& d, int most) {
    const int n = 1 + d(most);
    std::vector<int> times(static_cast<std::size_t>(2 * n));
    for (std::size_t i = 0; i < times.size(); ++i) times[i] = static_cast<int>(i) + 1;
    d.shuffle(times); // no two at the same time: the model knows no order within a tick
    std::vector<member> all;
    for (int i = 0; i < n; ++i) {
        member m;
        m.what = static_cast<member::kind>(d(5));
        m.delay = std::chrono::milliseconds(10 * times[static_cast<std::size_t>(2 * i)]);
        m.cleanup = std::chrono::milliseconds(1000 * times[static_cast<std::size_t>(2 * i + 1)]);
        m.id = i;
        all.push_back(m);
    }
    return all;
}

/// What a group of these does: how each ended, which errors in which order, and when it was over.
struct group_outcome {
    std::vector<std::string> members;
    std::string errors;
    std::chrono::milliseconds end{0};
    bool cancelled = false;
};

group_outcome group_model(const std::vector<member>& members, std::optional<std::chrono::milliseconds> cancelled_at) {
    group_outcome o;
    std::optional<std::chrono::milliseconds> stop = cancelled_at;
    for (const member& m : members)
        if (m.what == member::kind::error && (!stop || m.delay < *stop)) stop = m.delay;
    std::map<std::chrono::milliseconds, std::string> errors;
    bool any_is_stopped = false;
    for (const member& m : members) {
        const std::string id = std::to_string(m.id);
        const bool by_itself = m.ends_by_itself() && (!stop || m.delay <= *stop);
        std::chrono::milliseconds end = by_itself                                                ? m.delay
                                        : m.ends_by_itself() || m.what == member::kind::stubborn ? *stop
                                                                                                 : *stop + m.cleanup;
        any_is_stopped = any_is_stopped || !by_itself;
        std::string ended = by_itself || m.what == member::kind::stubborn ? "=" + id : "cancelled";
        if (by_itself && m.what == member::kind::error) ended = errors[end] = "e" + id;
        if (m.what == member::kind::fails_in_cleanup) ended = errors[end] = "c" + id;
        o.members.push_back(ended);
        o.end = std::max(o.end, end);
    }
    for (const auto& [when, text] : errors) o.errors += text + " ";
    o.cancelled = o.errors.empty() && cancelled_at && any_is_stopped;
    return o;
}

} // namespace

EDDY_TEST("model: a queue is a list with two lines of waiters", "[model]") {
    co_await agrees_with<queue<int>>(queue_model::order::fifo);
}
EDDY_TEST("model: a priority_queue gives the smallest item", "[model]") {
    co_await agrees_with<priority_queue<int>>(queue_model::order::smallest);
}
EDDY_TEST("model: a stack_queue gives the newest item", "[model]") {
    co_await agrees_with<stack_queue<int>>(queue_model::order::newest);
}

EDDY_TEST("model: a mutex is one permit, first come first served", "[model]") {
    mutex m;
    auto lock = [&] { return m.lock(); };
    auto free = [&]() -> std::size_t { return m.locked() ? 0 : 1; };
    co_await agrees_with(permits_model(1), lock, free);
}
EDDY_TEST("model: a semaphore is so many permits, first come first served", "[model]") {
    semaphore s(3);
    auto acquire = [&] { return s.acquire(); };
    auto free = [&] { return static_cast<std::size_t>(s.available()); };
    co_await agrees_with(permits_model(3), acquire, free);
}
EDDY_TEST("model: a capacity_limiter is so many permits, first come first served", "[model]") {
    capacity_limiter l(3);
    auto acquire = [&] { return l.acquire(); };
    auto free = [&] { return static_cast<std::size_t>(l.available()); };
    co_await agrees_with(permits_model(3), acquire, free);
}

EDDY_TEST("model: a task_group ends as its first error or its cancellation makes it", "[model]") {
    dice d;
    for (int run = 0; run < 200; ++run) {
        std::vector<member> members = some_members(d, 6);
        std::optional<std::chrono::milliseconds> stop;
        if (d(2) == 0) stop = std::chrono::milliseconds(10 * d(13) + 5);
        const bool endless =
            std::any_of(members.begin(), members.end(), [](const member& m) { return !m.ends_by_itself(); });
        const bool fails =
            std::any_of(members.begin(), members.end(), [](const member& m) { return m.what == member::kind::error; });
        if (endless && !fails && !stop) stop = 500ms;
        const auto start = loop_clock::now();
        group_outcome got;
        std::vector<task_handle<int>> handles;
        auto h = spawn([&]() -> task<> {
            try {
                co_await with_task_group([&](task_group& g) -> task<> {
                    for (const member& m : members) handles.push_back(g.spawn(m.run()));
                    co_return;
                });
            } catch (const exception_group& e) {
                for (const auto& p : e.errors()) got.errors += eddy::detail::describe(p) + " ";
            }
            got.end = std::chrono::duration_cast<std::chrono::milliseconds>(loop_clock::now() - start);
        });
        callback_handle killer;
        if (stop) killer = this_loop().call_later(*stop, [&] { h.cancel(); });
        co_await h.join();
        killer.cancel();
        if (h.cancelled()) {
            got.cancelled = true;
            got.end = std::chrono::duration_cast<std::chrono::milliseconds>(loop_clock::now() - start);
        }
        for (auto& c : handles) {
            if (c.cancelled())
                got.members.push_back("cancelled");
            else
                got.members.push_back(c.exception() ? eddy::detail::describe(c.exception())
                                                    : "=" + std::to_string(c.result()));
        }
        const group_outcome expected = group_model(members, stop);
        INFO("run " << run);
        CHECK(got.members == expected.members);
        CHECK(got.errors == expected.errors);
        CHECK(got.end == expected.end);
        CHECK(got.cancelled == expected.cancelled);
    }
}

EDDY_TEST("model: a race is decided by the first that ends by itself", "[model]") {
    dice d;
    const words::reports reports;
    for (int run = 0; run < 200; ++run) {
        std::vector<member> m = some_members(d, 4);
        while (m.size() < 3)
            m.push_back(member{member::kind::value, 200ms + 10ms * static_cast<int>(m.size()), 1ms,
                               static_cast<int>(m.size())});
        m[2].what = d(2) == 0 ? member::kind::value : member::kind::error; // one ends by itself
        // The first that ends by itself decides; then the others have their cleanups.
        const member* first = nullptr;
        for (std::size_t i = 0; i < 3; ++i)
            if (m[i].ends_by_itself() && (!first || m[i].delay < first->delay)) first = &m[i];
        // Whether the value of a stubborn one would count then is another test (RC-04).
        if (first->what == member::kind::error)
            for (std::size_t i = 0; i < 3; ++i)
                if (m[i].what == member::kind::stubborn) m[i].what = member::kind::cleans_up;
        std::chrono::milliseconds end = first->delay;
        std::size_t unheard = 0;
        for (std::size_t i = 0; i < 3; ++i) {
            if (m[i].what == member::kind::cleans_up || m[i].what == member::kind::fails_in_cleanup)
                end = std::max(end, first->delay + m[i].cleanup);
            unheard += m[i].what == member::kind::fails_in_cleanup ? 1 : 0;
        }
        const std::size_t before = reports.count();
        const auto start = loop_clock::now();
        const auto r = co_await as_result(race(m[0].run(), m[1].run(), m[2].run()));
        INFO("run " << run);
        CHECK(loop_clock::now() - start == end);
        CHECK(reports.count() - before == unheard);
        if (first->what == member::kind::error) {
            CHECK(words::of(r) == "e" + std::to_string(first->id));
            continue;
        }
        REQUIRE(r.has_value());
        CHECK(r->index == static_cast<std::size_t>(first->id));
        const std::array<std::optional<int>, 3> values{r->get<0>(), r->get<1>(), r->get<2>()};
        for (std::size_t i = 0; i < 3; ++i) {
            const bool has = &m[i] == first || m[i].what == member::kind::stubborn;
            CHECK(values[i].has_value() == has);
            if (has && values[i]) CHECK(*values[i] == m[i].id);
        }
    }
}

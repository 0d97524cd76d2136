// The same work as bench_task on the least that coroutines can do with: no cancellation, no errors, no budget, no loop but a list of
// what is ready. How near to it a runtime comes is what its task layer costs.
#include <array>
#include <coroutine>
#include <cstdlib>
#include <exception>
#include <utility>

#include "count_allocations.hpp"

namespace {

constexpr int calls = 2'000'000;
constexpr int tasks = 1'000'000;
constexpr int rounds = 1'000'000;
constexpr double fib_calls = 635'621; // made by fib(27)

long sum = 0;

// Frames come from lists by size, as those of the library do.
constexpr std::size_t granule = 64;
std::array<void*, 32> free_frames{};

struct recycled {
    static void* operator new(std::size_t n) {
        const std::size_t k = (n + granule - 1) / granule;
        if (k >= free_frames.size()) return ::operator new(n);
        void* const p = free_frames[k];
        if (!p) return ::operator new(k * granule);
        free_frames[k] = *static_cast<void**>(p);
        return p;
    }
    static void operator delete(void* p, std::size_t n) noexcept {
        const std::size_t k = (n + granule - 1) / granule;
        if (k >= free_frames.size()) return ::operator delete(p);
        *static_cast<void**>(p) = free_frames[k];
        free_frames[k] = p;
    }
};

struct ready_node {
    std::coroutine_handle<> handle;
    ready_node* next = nullptr;
};
struct ready_list {
    ready_node* first = nullptr;
    ready_node** last = &first;

    void push(ready_node& n) noexcept {
        n.next = nullptr;
        *last = &n;
        last = &n.next;
    }
    void run() {
        while (ready_node* const n = first) {
            first = n->next;
            if (!first) last = &first;
            n->handle.resume();
        }
    }
};
ready_list ready;

/// A coroutine that its caller awaits at once: control goes there and back without the list.
class called {
public:
    struct promise_type : recycled {
        std::coroutine_handle<> caller;
        int value = 0;
        struct back {
            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) const noexcept { return h.promise().caller; }
            void await_resume() const noexcept {}
        };
        called get_return_object() noexcept { return called(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        back final_suspend() const noexcept { return {}; }
        void return_value(int v) noexcept { value = v; }
        [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
    };
    called(called&& o) noexcept : handle_(std::exchange(o.handle_, nullptr)) {}
    called& operator=(called&&) = delete;
    ~called() {
        if (handle_) handle_.destroy();
    }
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) const noexcept {
        handle_.promise().caller = caller;
        return handle_;
    }
    int await_resume() const noexcept { return handle_.promise().value; }

private:
    explicit called(std::coroutine_handle<promise_type> h) noexcept : handle_(h) {}
    std::coroutine_handle<promise_type> handle_;
};

/// A coroutine of its own: begins in its turn, can be awaited, frees itself when it has ended and its owner has let go.
class spawned {
public:
    struct promise_type : recycled {
        ready_node node;
        ready_node* awaited_by = nullptr;
        bool ended = false;
        bool owned = true;
        struct end {
            bool await_ready() const noexcept { return false; }
            void await_suspend(std::coroutine_handle<promise_type> h) const noexcept {
                promise_type& p = h.promise();
                p.ended = true;
                if (p.awaited_by) ready.push(*p.awaited_by);
                if (!p.owned) h.destroy();
            }
            void await_resume() const noexcept {}
        };
        spawned get_return_object() noexcept {
            node.handle = std::coroutine_handle<promise_type>::from_promise(*this);
            ready.push(node);
            return spawned(*this);
        }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        end final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
    };
    using handle = std::coroutine_handle<promise_type>;
    spawned(spawned&& o) noexcept : promise_(std::exchange(o.promise_, nullptr)) {}
    spawned& operator=(spawned&&) = delete;
    ~spawned() {
        if (!promise_) return;
        if (promise_->ended)
            handle::from_promise(*promise_).destroy();
        else
            promise_->owned = false;
    }
    bool await_ready() const noexcept { return promise_->ended; }
    void await_suspend(handle caller) const noexcept { promise_->awaited_by = &caller.promise().node; }
    void await_resume() const noexcept {}

private:
    explicit spawned(promise_type& p) noexcept : promise_(&p) {}
    promise_type* promise_;
};

struct yield {
    bool await_ready() const noexcept { return false; }
    void await_suspend(spawned::handle h) const noexcept { ready.push(h.promise().node); }
    void await_resume() const noexcept {}
};

/// For one waiter, which takes the signal.
struct signal {
    ready_node* waiter = nullptr;
    bool is_set = false;

    void set() noexcept {
        if (waiter)
            ready.push(*std::exchange(waiter, nullptr));
        else
            is_set = true;
    }
    bool await_ready() noexcept { return std::exchange(is_set, false); }
    void await_suspend(spawned::handle h) noexcept { waiter = &h.promise().node; }
    void await_resume() const noexcept {}
};

[[gnu::noinline]] called leaf(int i) {
    co_return i;
}
[[gnu::noinline]] called fib(int n) {
    if (n < 2) co_return n;
    const int a = co_await fib(n - 1);
    const int b = co_await fib(n - 2);
    co_return a + b;
}
spawned many_calls() {
    for (int i = 0; i < calls; ++i) sum += co_await leaf(i);
}
spawned fib_once() {
    sum += co_await fib(27);
}
spawned child() {
    ++sum;
    co_return;
}
spawned spawn_and_await() {
    for (int i = 0; i < tasks; ++i) {
        const spawned s = child();
        co_await s;
    }
}
spawned once() {
    co_await yield();
    ++sum;
}
spawned ping(signal& mine, signal& other) {
    for (int i = 0; i < rounds; ++i) {
        other.set();
        co_await mine;
    }
}
spawned pong(signal& mine, signal& other) {
    for (int i = 0; i < rounds; ++i) {
        co_await mine;
        other.set();
    }
}

void ping_pong() {
    signal a;
    signal b;
    ping(a, b);
    pong(b, a);
    ready.run();
}

} // namespace

int main() {
    bench::row("call", calls, [] {
        many_calls();
        ready.run();
    });
    bench::row("fib", fib_calls, [] {
        fib_once();
        ready.run();
    });
    bench::row("join", tasks, [] {
        spawn_and_await();
        ready.run();
    });
    bench::row("spawn", tasks, [] {
        for (int i = 0; i < tasks; ++i) once();
        ready.run();
    });
    bench::row("pingpong", rounds, ping_pong);
    return sum == 42;
}

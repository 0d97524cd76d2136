// loop_thread: a program of plain threads whose network is done by a loop on a thread of its own.
//
// Its threads know nothing of coroutines. They call `greeter`, a class whose functions block like those of any other library;
// behind it is one eddy::loop_thread, on which each call is a task. The tasks run side by side, thousands of them if need
// be, and what they share needs no lock: it belongs to the loop's thread alone.
//
// The services that are asked are in this program, too, on a second loop_thread: one greets whoever connects, one says nothing.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <eddy/errors.hpp>
#include <eddy/loop_thread.hpp>
#include <eddy/semaphore.hpp>
#include <eddy/serve.hpp>
#include <eddy/sleep.hpp>
#include <eddy/spawn.hpp>
#include <eddy/tcp.hpp>

namespace {

using namespace std::chrono_literals;

// --- the border between the threads and the loop

class greeter {
public:
    // From any thread, which it blocks: what a service says first. An error of the task comes out here.
    std::string greeting_of(const eddy::ip_endpoint& service) { return loop_.call(ask(service)); }

    // The same without waiting: the future does that, or gives up, or nobody asks.
    eddy::thread_future<std::string> start(const eddy::ip_endpoint& service) { return loop_.spawn(ask(service)); }

    // How many connections there were at the same time, at most. Not read from here: it belongs to the loop's thread.
    int most_connections() {
        return loop_.call([this]() -> eddy::task<int> { co_return most_; });
    }

private:
    // On the loop. No lock, no atomic: between two co_awaits nobody else runs here.
    eddy::task<std::string> ask(eddy::ip_endpoint service) {
        const auto place = co_await places_.acquire();
        const counted here(*this);
        eddy::tcp_stream stream = co_await eddy::tcp_connect(service);
        std::string text(100, '\0');
        const std::size_t n = co_await stream.read_some(std::as_writable_bytes(std::span(text)));
        text.resize(n);
        co_return text;
    }
    struct counted {
        explicit counted(greeter& g) : all(g) { all.most_ = std::max(all.most_, ++all.connections_); }
        counted(const counted&) = delete;
        counted& operator=(const counted&) = delete;
        ~counted() { --all.connections_; }
        greeter& all;
    };
    eddy::semaphore places_{8}; // so many connections at a time; further calls wait
    int connections_ = 0;
    int most_ = 0;
    eddy::loop_thread loop_; // the last member: it goes first, and cancels and joins the tasks that use the others
};

// --- the services

eddy::task<> greet(eddy::tcp_stream s) {
    co_await eddy::sleep_for(1ms); // it has something to do
    co_await s.write("hello");
}

eddy::task<> say_nothing(eddy::tcp_stream s) {
    std::array<std::byte, 1> none;
    static_cast<void>(co_await s.read_some(none)); // until the other side goes
}

using handler = eddy::task<> (*)(eddy::tcp_stream);

eddy::task<> serve_all(eddy::tcp_listener listener, handler each) {
    co_await eddy::serve(listener, each);
}

// Where it listens; from then on it serves, until the loop_thread goes.
eddy::task<eddy::ip_endpoint> offer(handler each) {
    eddy::tcp_listener listener = eddy::tcp_listener::bind({"127.0.0.1", 0});
    const eddy::ip_endpoint where = listener.local_endpoint();
    eddy::spawn(serve_all(std::move(listener), each));
    co_return where;
}

// Where nobody listens any more.
eddy::task<eddy::ip_endpoint> offer_nothing() {
    const eddy::tcp_listener listener = eddy::tcp_listener::bind({"127.0.0.1", 0});
    co_return listener.local_endpoint();
}

// --- the program: threads, and calls that block

void ask_from_many_threads(greeter& g, const eddy::ip_endpoint& service) {
    constexpr int calls = 25;
    std::array<int, 20> greeted{}; // by thread
    std::vector<std::thread> threads;
    for (int& mine : greeted) {
        threads.emplace_back([&] {
            try {
                for (int i = 0; i < calls; ++i) mine += g.greeting_of(service) == "hello" ? 1 : 0;
            } catch (const std::exception& e) {
                std::fprintf(stderr, "loop_thread: %s\n", e.what());
            }
        });
    }
    for (std::thread& t : threads) t.join();
    int all = 0;
    for (const int n : greeted) all += n;
    std::printf("%zu threads were greeted %d times\n", threads.size(), all);
    std::printf("never on more than 8 connections: %s\n", g.most_connections() <= 8 ? "true" : "false");
}

void ask_for_two_at_once(greeter& g, const eddy::ip_endpoint& service) {
    auto one = g.start(service);
    auto other = g.start(service); // both are under way
    const std::string first = one.get();
    std::printf("two at once: %s, %s\n", first.c_str(), other.get().c_str());
}

void ask_in_vain(greeter& g, const eddy::ip_endpoint& nobody, const eddy::ip_endpoint& silent) {
    try {
        static_cast<void>(g.greeting_of(nobody));
    } catch (const std::system_error& e) { // the task's error, of its type
        std::printf("nobody there: %s\n", e.code().message().c_str());
    }
    auto answer = g.start(silent);
    try {
        static_cast<void>(answer.get(50ms));
    } catch (const eddy::timeout_error&) { // the task is cancelled, its connection closed
        std::puts("no answer in time: given up");
    }
}

void run_program() {
    eddy::loop_thread services;
    const eddy::ip_endpoint greeting = services.call(offer(&greet));
    const eddy::ip_endpoint silent = services.call(offer(&say_nothing));
    const eddy::ip_endpoint nobody = services.call(offer_nothing());

    auto g = std::make_unique<greeter>();
    ask_from_many_threads(*g, greeting);
    ask_for_two_at_once(*g, greeting);
    ask_in_vain(*g, nobody, silent);

    auto left_over = g->start(silent);
    g.reset(); // with a task under way: cancelled and joined
    try {
        static_cast<void>(left_over.get());
    } catch (const eddy::child_cancelled&) {
        std::puts("what was left over has been cancelled");
    }
}

} // namespace

int main() {
    try {
        run_program();
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "loop_thread: %s\n", e.what());
        return 1;
    }
}

// embed_glib: tasks in a program whose loop is GLib's, as GTK's is. No thread is needed: a GSource watches the descriptor of
// eddy's loop, tells GLib when its next timer is due, and polls it.
//
//     embed_glib             greets, echoes some hundred times, cancels, and ends with tasks left over
//     embed_glib --nested    lets poll() throw: what becomes of its exception
#include <glib.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/buffered_reader.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/gather.hpp>
#include <eddy/offload.hpp>
#include <eddy/run.hpp>
#include <eddy/serve.hpp>
#include <eddy/sleep.hpp>
#include <eddy/tcp.hpp>

namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;

// --- the bridge: all there is to it

// Puts a loop into GLib's default context. Goes before the loop does.
class glib_bridge {
public:
    explicit glib_bridge(eddy::event_loop& loop) : loop_(loop) {
        source_ = g_source_new(&functions, sizeof(source));
        auto* const s = reinterpret_cast<source*>(source_);
        s->bridge = this;
        s->descriptor = g_source_add_unix_fd(source_, loop.native_handle(), G_IO_IN);
        g_source_attach(source_, nullptr);
    }
    glib_bridge(const glib_bridge&) = delete;
    glib_bridge& operator=(const glib_bridge&) = delete;
    ~glib_bridge() {
        g_source_destroy(source_);
        g_source_unref(source_);
        g_main_loop_unref(main_);
    }
    // GLib's main loop, until `quit`. Throws what left `poll()`: no task's error, but that of a loop which cannot go on.
    void run() {
        g_main_loop_run(main_);
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    }
    void quit() noexcept { g_main_loop_quit(main_); }

private:
    struct source {
        GSource base; // first: GLib allocates and casts
        glib_bridge* bridge;
        gpointer descriptor;
    };
    static const eddy::event_loop& loop_of(GSource* s) noexcept { return reinterpret_cast<source*>(s)->bridge->loop_; }

    // Before GLib sleeps, every time: what its own callbacks did to our loop in between counts as well.
    static gboolean prepare(GSource* s, gint* timeout) noexcept {
        const auto deadline = loop_of(s).next_deadline();
        *timeout = -1;
        if (!deadline) return FALSE;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - loop_of(s).now()).count();
        *timeout = static_cast<gint>(std::clamp<long long>(left, 0, G_MAXINT));
        return *timeout == 0;
    }
    static gboolean check(GSource* s) noexcept {
        if (g_source_query_unix_fd(s, reinterpret_cast<source*>(s)->descriptor) != 0) return TRUE;
        const auto deadline = loop_of(s).next_deadline();
        return deadline && *deadline <= loop_of(s).now();
    }
    // Who called this is C, and no exception may pass through it: it waits here until GLib's loop has returned.
    static gboolean dispatch(GSource* s, GSourceFunc, gpointer) noexcept {
        glib_bridge& b = *reinterpret_cast<source*>(s)->bridge;
        try {
            b.loop_.poll();
            return G_SOURCE_CONTINUE;
        } catch (...) {
            b.error_ = std::current_exception();
            b.quit();
            return G_SOURCE_REMOVE;
        }
    }
    static inline GSourceFuncs functions = {&prepare, &check, &dispatch, nullptr, nullptr, nullptr};

    eddy::event_loop& loop_;
    GMainLoop* main_ = g_main_loop_new(nullptr, FALSE);
    GSource* source_ = nullptr;
    std::exception_ptr error_;
};

// --- a program

// Counts those that are there: of a connection as of its task, in whatever way it ends.
class present {
public:
    explicit present(int& count) : count_(count) { ++count_; }
    present(const present&) = delete;
    present& operator=(const present&) = delete;
    ~present() { --count_; }

private:
    int& count_;
};

eddy::task<> echo(eddy::tcp_stream s, int& alive) {
    const present here(alive);
    std::array<std::byte, 4096> buffer;
    for (;;) {
        const std::size_t n = co_await s.read_some(buffer);
        if (n == 0) break;
        co_await s.write(std::span<const std::byte>(buffer).first(n));
    }
}

eddy::task<> serve_echo(eddy::tcp_listener listener, int& alive) {
    auto each = [&alive](eddy::tcp_stream s) { return echo(std::move(s), alive); };
    co_await eddy::serve(listener, each);
}

// How many lines came back as they were.
eddy::task<int> send_lines(eddy::ip_endpoint server, int lines) {
    eddy::tcp_stream s = co_await eddy::tcp_connect(server);
    eddy::buffered_reader answers{s};
    int same = 0;
    for (int i = 0; i < lines; ++i) {
        const std::string line = "line " + std::to_string(i) + '\n';
        co_await s.write(line);
        const std::string answer = co_await answers.read_line();
        if (answer == line) ++same;
    }
    co_return same;
}

// Waits for an answer to nothing.
eddy::task<> wait_for_ever(eddy::tcp_stream s, int& alive) {
    const present here(alive);
    std::array<std::byte, 1> none;
    static_cast<void>(co_await s.read_some(none));
}

eddy::task<> greet_and_compute() {
    const std::string greeting = co_await eddy::offload([] { return std::string("hello from a worker"); });
    std::puts(greeting.c_str());
    co_await eddy::sleep_for(20ms);
    std::puts("a timer has come");
}

// With others beside it: 50 connections at once, 10 lines on each.
eddy::task<> put_to_work(eddy::ip_endpoint server) {
    std::vector<eddy::task<int>> clients;
    for (int i = 0; i < 50; ++i) clients.push_back(send_lines(server, 10));
    const std::vector<int> same = co_await eddy::gather(std::move(clients));
    int all = 0;
    for (const int n : same) all += n;
    std::printf("%d lines were echoed\n", all);
}

eddy::task<> cancel_one(eddy::ip_endpoint server, int& alive) {
    eddy::tcp_stream s = co_await eddy::tcp_connect(server);
    auto waits = eddy::spawn(wait_for_ever(std::move(s), alive));
    co_await eddy::sleep_for(1ms);
    waits.cancel();
    co_await waits.join();
    std::puts(waits.cancelled() ? "a task was cancelled while it read" : "a task could not be cancelled");
}

// Ends with two tasks, or three, that still wait: the server, its side of a connection, and ours.
eddy::task<> work(glib_bridge& glib, int& alive) {
    struct ends_loop { // also when something here throws
        glib_bridge& bridge;
        ~ends_loop() { bridge.quit(); }
    } const at_end{glib};
    eddy::tcp_listener listener = eddy::tcp_listener::bind({"127.0.0.1", 0});
    const eddy::ip_endpoint server = listener.local_endpoint();
    eddy::spawn(serve_echo(std::move(listener), alive));

    co_await greet_and_compute();
    co_await put_to_work(server);
    co_await cancel_one(server, alive);

    eddy::tcp_stream s = co_await eddy::tcp_connect(server);
    eddy::spawn(wait_for_ever(std::move(s), alive));
    co_await eddy::sleep_for(1ms);
}

gboolean beat(gpointer count) {
    ++*static_cast<int*>(count);
    return G_SOURCE_CONTINUE;
}

void run_program() {
    int alive = 0;
    int beats = 0;
    eddy::event_loop loop;
    glib_bridge bridge(loop);
    const guint beating = g_timeout_add(1, &beat, &beats); // a source of the program's own
    auto h = loop.spawn(work(bridge, alive));
    bridge.run();
    h.result(); // throws what `work` threw
    g_source_remove(beating);
    std::puts(beats > 0 ? "GLib's own timer ran beside it" : "GLib's own timer was held up");

    const bool left_over = alive > 0;
    loop.close(); // cancels and joins them; GLib need not run for that
    std::puts(left_over && alive == 0 ? "tasks were left over, and have ended" : "tasks are still there");
}

// A GLib loop that runs inside a task of another eddy loop, on the same thread: our loop refuses to run there.
eddy::task<> run_nested(glib_bridge& bridge) {
    bridge.run();
    co_return;
}

void run_in_vain() {
    eddy::event_loop loop;
    glib_bridge bridge(loop);
    loop.call_soon([] {}); // something to do
    eddy::run(run_nested(bridge));
}

} // namespace

int main(int argc, char** argv) {
    try {
        if (argc > 1 && argv[1] == "--nested"sv)
            run_in_vain();
        else
            run_program();
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "embed_glib: %s\n", e.what());
        return 1;
    }
}

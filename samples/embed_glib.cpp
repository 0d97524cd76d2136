// embed_glib: tasks in a program whose loop is GLib's, as GTK's is. No thread is needed: a GSource watches the descriptor of
// eddy's loop, tells GLib when its next timer is due, and polls it.
#include <glib.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <system_error>

#include <eddy/event_loop.hpp>
#include <eddy/offload.hpp>
#include <eddy/sleep.hpp>
#include <eddy/tcp.hpp>

namespace {

using namespace std::chrono_literals;

// --- the bridge: all there is to it

struct bridge {
    GSource source; // first: GLib allocates and casts
    eddy::event_loop* loop;
    gpointer descriptor;
};

eddy::event_loop& loop_of(GSource* s) {
    return *reinterpret_cast<bridge*>(s)->loop;
}

// Before GLib sleeps, every time: what its own callbacks did to our loop in between counts as well.
gboolean prepare(GSource* s, gint* timeout) {
    const auto deadline = loop_of(s).next_deadline();
    *timeout = -1;
    if (!deadline) return FALSE;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - loop_of(s).now()).count();
    *timeout = static_cast<gint>(std::clamp<long long>(left, 0, G_MAXINT));
    return *timeout == 0;
}

gboolean check(GSource* s) {
    if (g_source_query_unix_fd(s, reinterpret_cast<bridge*>(s)->descriptor) != 0) return TRUE;
    const auto deadline = loop_of(s).next_deadline();
    return deadline && *deadline <= loop_of(s).now();
}

gboolean dispatch(GSource* s, GSourceFunc, gpointer) {
    loop_of(s).poll();
    return G_SOURCE_CONTINUE;
}

GSourceFuncs functions = {prepare, check, dispatch, nullptr, nullptr, nullptr};

GSource* attach(eddy::event_loop& loop, GMainContext* context) {
    GSource* const s = g_source_new(&functions, sizeof(bridge));
    auto* const b = reinterpret_cast<bridge*>(s);
    b->loop = &loop;
    b->descriptor = g_source_add_unix_fd(s, loop.native_handle(), G_IO_IN);
    g_source_attach(s, context);
    return s;
}

// --- a program

eddy::task<> answer_one(eddy::tcp_listener& listener) {
    eddy::tcp_stream s = co_await listener.accept();
    co_await s.write("hello from a task\n");
    co_await s.close();
}

eddy::task<> work(GMainLoop* glib) {
    struct ends_loop { // also when something here throws
        GMainLoop* loop;
        ~ends_loop() { g_main_loop_quit(loop); }
    } const at_end{glib};
    eddy::tcp_listener listener = eddy::tcp_listener::bind({"127.0.0.1", 0});
    auto server = eddy::spawn(answer_one(listener));
    const eddy::ip_endpoint where = listener.local_endpoint();
    eddy::tcp_stream c = co_await eddy::tcp_connect(where);
    std::string text(100, '\0');
    const std::size_t n = co_await c.read_some(std::as_writable_bytes(std::span(text)));
    std::fwrite(text.data(), 1, n, stdout);
    co_await server;

    const int sum = co_await eddy::offload([](int a, int b) { return a + b; }, 20, 22);
    std::printf("a worker says %d\n", sum);
    co_await eddy::sleep_for(20ms);
    std::puts("a timer has come");
}

gboolean beat(gpointer count) {
    ++*static_cast<int*>(count);
    return G_SOURCE_CONTINUE;
}

} // namespace

int main() {
    eddy::event_loop loop;
    GMainLoop* const glib = g_main_loop_new(nullptr, FALSE);
    GSource* const source = attach(loop, nullptr);
    int beats = 0;
    g_timeout_add(1, &beat, &beats);

    auto h = loop.spawn(work(glib));
    g_main_loop_run(glib);
    loop.poll();
    std::puts(beats > 0 ? "GLib's own timer ran beside it" : "GLib's own timer was held up");

    g_source_destroy(source);
    g_source_unref(source);
    g_main_loop_unref(glib);
    if (h.done() && !h.exception()) return 0;
    std::fputs("embed_glib: the task failed\n", stderr);
    return 1;
}

// The same echo on libuv: one buffer for all, what the socket does not take at once is copied.  usage: bench_peer_uv_echo PORT
#include <sys/resource.h>
#include <uv.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

std::array<char, 65536> buffer;

struct rest {
    uv_write_t request{};
    std::vector<char> bytes;
};

uv_stream_t* stream(uv_tcp_t* t) {
    return reinterpret_cast<uv_stream_t*>(t);
}
uv_tcp_t* tcp(void* handle) {
    return static_cast<uv_tcp_t*>(handle);
}

void give_buffer(uv_handle_t*, std::size_t, uv_buf_t* b) {
    *b = uv_buf_init(buffer.data(), static_cast<unsigned>(buffer.size()));
}

void send_rest(uv_stream_t* s, const char* from, std::size_t n) {
    auto* const r = new rest;
    r->request.data = r;
    r->bytes.assign(from, from + n);
    const uv_buf_t b = uv_buf_init(r->bytes.data(), static_cast<unsigned>(n));
    uv_write(&r->request, s, &b, 1, [](uv_write_t* w, int) { delete static_cast<rest*>(w->data); });
}

void came(uv_stream_t* s, ssize_t n, const uv_buf_t* b) {
    if (n < 0) {
        uv_close(reinterpret_cast<uv_handle_t*>(s), [](uv_handle_t* h) { delete tcp(h); });
        return;
    }
    const uv_buf_t out = uv_buf_init(b->base, static_cast<unsigned>(n));
    const int sent = uv_try_write(s, &out, 1);
    if (sent == n) return;
    const int done = sent < 0 ? 0 : sent;
    send_rest(s, b->base + done, static_cast<std::size_t>(n - done));
}

void connected(uv_stream_t* listener, int error) {
    if (error) return;
    auto* const t = new uv_tcp_t;
    uv_tcp_init(listener->loop, t);
    if (uv_accept(listener, stream(t)) != 0) {
        uv_close(reinterpret_cast<uv_handle_t*>(t), [](uv_handle_t* h) { delete tcp(h); });
        return;
    }
    uv_tcp_nodelay(t, 1);
    uv_read_start(stream(t), give_buffer, came);
}

} // namespace

int main(int argc, char** argv) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    uv_tcp_t listener;
    uv_tcp_init(uv_default_loop(), &listener);
    sockaddr_in address{};
    uv_ip4_addr("127.0.0.1", argc > 1 ? std::atoi(argv[1]) : 9000, &address);
    int r = uv_tcp_bind(&listener, reinterpret_cast<const sockaddr*>(&address), 0);
    if (r == 0) r = uv_listen(stream(&listener), 4096, connected);
    if (r != 0) {
        std::fprintf(stderr, "bench_peer_uv_echo: %s\n", uv_strerror(r));
        return 1;
    }
    std::puts("READY");
    std::fflush(stdout);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

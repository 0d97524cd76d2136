// The component redis: a client that finds nobody at the other end.
#include <eddy/eddy.hpp>
#include <eddy/redis.hpp>

#include <cstdio>
#include <string>

namespace {

eddy::task<> main_task() {
    const eddy::redis::script script("return 1");
    eddy::tcp_listener listener = eddy::tcp_listener::bind({"127.0.0.1", 0});
    const std::string url = "redis://127.0.0.1:" + std::to_string(listener.local_endpoint().port());
    {
        const eddy::tcp_listener gone = std::move(listener);
    }
    bool refused = false;
    try {
        eddy::redis::client client = co_await eddy::redis::connect(url);
    } catch (const eddy::connect_error&) {
        refused = true;
    }
    std::printf("redis %s\n", refused && script.sha1().size() == 40 ? "ok" : "wrong");
}

}  // namespace

int main() { return eddy::run_main(main_task()); }

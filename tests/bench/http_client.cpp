// Asks for a URL again and again, some at a time.  usage: bench_http_client URL REQUESTS AT-A-TIME
#include <cstdio>
#include <cstdlib>
#include <string>

#include <eddy/http/client.hpp>
#include <eddy/run.hpp>
#include <eddy/task_group.hpp>

using namespace eddy;

namespace {

task<> ask(http::client& c, std::string url, int& left, int& failed) {
    while (left > 0) {
        --left;
        const http::response r = co_await c.get(url);
        if (r.status != 200) ++failed;
    }
}

task<int> ask_all(std::string url, int requests, int at_a_time) {
    http::client c;
    int left = requests, failed = 0;
    co_await with_task_group([&](task_group& g) -> task<> {
        for (int i = 0; i < at_a_time; ++i) g.spawn(ask(c, url, left, failed));
        co_return;
    });
    if (failed > 0) std::fprintf(stderr, "%d requests were not answered with 200\n", failed);
    co_return failed > 0 ? 1 : 0;
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4) return std::fputs("usage: bench_http_client URL REQUESTS AT-A-TIME\n", stderr), 2;
    return run_main(ask_all(argv[1], std::atoi(argv[2]), std::atoi(argv[3])));
}

// The component jobs: a job that is sent and run in one program.
#include <eddy/eddy.hpp>
#include <eddy/jobs.hpp>

#include <cstdio>

namespace {

eddy::task<> main_task() {
    eddy::jobs::worker w{"memory:"};
    w.add("add", [](int a, int b) { return a + b; });
    auto serving = eddy::spawn(w.serve());
    eddy::jobs::client c = co_await eddy::jobs::connect("memory:");
    const int five = co_await c.call<int>("add", 2, 3);
    w.shutdown();
    co_await serving;
    std::printf("jobs %s\n", five == 5 ? "ok" : "wrong");
}

}  // namespace

int main() { return eddy::run_main(main_task()); }

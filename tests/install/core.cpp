// What a first program does: tasks, time, a worker thread, a file.
#include <eddy/eddy.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

namespace {

int square(int x) { return x * x; }

eddy::task<int> later(int x) {
    co_await eddy::sleep_for(1ms);
    co_return x;
}

eddy::task<> main_task() {
    int sum = co_await eddy::with_task_group([](eddy::task_group& g) -> eddy::task<int> {
        auto two = g.spawn(later(2));
        auto three = g.spawn(later(3));
        int a = co_await two;
        int b = co_await three;
        co_return a + b;
    });
    int result = co_await eddy::offload(square, sum);
    co_await eddy::write_file("user_core.txt", std::to_string(result));
    std::string text = co_await eddy::read_file("user_core.txt");
    std::remove("user_core.txt");
    std::printf("core %s\n", text == "25" ? "ok" : "wrong");
}

}  // namespace

int main() { return eddy::run_main(main_task()); }

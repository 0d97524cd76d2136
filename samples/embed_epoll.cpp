// embed_epoll: tasks in a program that has an epoll loop of its own. The loop watches one descriptor more, eddy's, and before
// it sleeps asks when eddy's next timer is due.
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <system_error>

#include <eddy/event_loop.hpp>
#include <eddy/future.hpp>
#include <eddy/sleep.hpp>

namespace {

using namespace std::chrono_literals;

// The program's own event: a kernel timer that fires once.
class alarm_clock {
public:
    explicit alarm_clock(std::chrono::milliseconds after) : fd_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
        if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "timerfd_create");
        itimerspec t{};
        t.it_value.tv_nsec = std::chrono::nanoseconds(after).count();
        ::timerfd_settime(fd_, 0, &t, nullptr);
    }
    alarm_clock(const alarm_clock&) = delete;
    alarm_clock& operator=(const alarm_clock&) = delete;
    ~alarm_clock() { ::close(fd_); }
    [[nodiscard]] int fd() const noexcept { return fd_; }

private:
    int fd_;
};

void watch(int set, int fd) {
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.fd = fd;
    if (::epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) != 0) throw std::system_error(errno, std::generic_category(), "epoll_ctl");
}

// In epoll_wait's terms; rounded up, so that it is not asked in vain.
int time_to_sleep(const eddy::event_loop& loop) {
    const auto deadline = loop.next_deadline();
    if (!deadline) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - loop.now()).count();
    return static_cast<int>(std::clamp<long long>(left, 0, 1'000'000));
}

eddy::task<int> work(eddy::future<int> from_program) {
    co_await eddy::sleep_for(5ms);
    std::puts("the task has slept");
    const int value = co_await from_program;
    std::printf("the program's event brought %d\n", value);
    co_return value;
}

int drive() {
    const int set = ::epoll_create1(EPOLL_CLOEXEC);
    if (set < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
    eddy::event_loop loop;
    const alarm_clock alarm(30ms);
    watch(set, alarm.fd());
    watch(set, loop.native_handle());

    eddy::promise<int> value;
    auto h = loop.spawn(work(value.get_future()));
    while (!h.done()) {
        std::array<epoll_event, 8> events;
        const int n = ::epoll_wait(set, events.data(), static_cast<int>(events.size()), time_to_sleep(loop));
        for (int i = 0; i < n; ++i) {
            if (events[static_cast<std::size_t>(i)].data.fd != alarm.fd()) continue;
            std::uint64_t times = 0;
            if (::read(alarm.fd(), &times, sizeof times) > 0) value.set_value(42); // an event of the program's own
        }
        loop.poll();
    }
    ::close(set);
    return h.result() == 42 ? 0 : 1;
}

} // namespace

int main() {
    try {
        return drive();
    } catch (const std::exception& e) {
        std::fprintf(stderr, "embed_epoll: %s\n", e.what());
        return 1;
    }
}

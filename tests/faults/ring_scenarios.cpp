// Files on a loop that has a ring; the same where it is refused in the middle.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/eddy.hpp>

#include "faults/fault.hpp"
#include "faults/scenarios.hpp"
#include "io/file_bytes.hpp"
#include "io/support.hpp"

namespace faults {
namespace {

using namespace eddy;
using namespace std::string_view_literals;

/// More than the ring has places, all at once.
task<> many_reads(std::string folder) {
    constexpr std::size_t count = 150;
    const std::string path = folder + "/file";
    std::string numbers;
    for (std::size_t i = 0; i < count; ++i) numbers += static_cast<char>('a' + i % 26);
    const fault::armed here;
    co_await write_file(path, numbers);
    file f = co_await file::open(path);
    std::string got(count, ' ');
    const auto read_one = [&](std::size_t i) -> task<> {
        const std::string one = co_await io_test::bytes_from(f, i, 1);
        got[i] = one.at(0);
    };
    std::vector<task<>> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(read_one(i));
    auto end = co_await as_result(gather(std::move(all)));
    co_await f.close();
    static_cast<void>(end.value());
    expect(got, numbers);
}

/// What a pipe without a writer's end has, without waiting.
std::string left_in(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    std::array<char, 64> text{};
    const ssize_t n = ::read(fd, text.data(), text.size());
    ::fcntl(fd, F_SETFL, flags);
    return std::string(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
}

/// All of it, whatever the plan.
void put(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t n = ::write(fd, text.data(), text.size());
        if (n < 0 && errno != EINTR) throw wrong("a pipe with a reader takes nothing");
        if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
    }
}

/// A read that waits is cancelled while its data comes: it has them, or leaves them.
task<> cancelled_read(std::string folder) {
    file f;
    std::string got;
    outcome<> end;
    int number = -1;
    bool was_cancelled = false;
    {
        const std::string path = folder + "/pipe";
        if (::mkfifo(path.c_str(), 0600) != 0) throw wrong("no pipe");
        const fault::armed here;
        f = co_await file::open(path, file::mode::read_write);
        number = f.native_handle();
        auto reading = spawn([&]() -> task<> { got = co_await io_test::next_bytes(f, 64); });
        for (int i = 0; i < 5; ++i) co_await this_task::yield();
        reading.cancel();
        for (int i = 0; i < 5; ++i) co_await this_task::yield();
        put(number, "data");
        co_await reading.join();
        was_cancelled = reading.cancelled();
        if (!was_cancelled) end = co_await as_result(std::move(reading));
    }
    const std::string rest = left_in(number);
    co_await f.close();
    static_cast<void>(end.value());
    expect(got + rest, "data");
    if (was_cancelled) expect(got, "");
}

constexpr std::array ring_list{
    scenario{"many_reads", &many_reads},
    scenario{"cancelled_read", &cancelled_read},
};

} // namespace

std::span<const scenario> ring_scenarios() noexcept {
    return ring_list;
}

} // namespace faults

// The ring by itself: what the loop's engine gives to operations on files. Left out where the kernel or the build has none.
#include <eddy/event_loop.hpp>
#include <eddy/testing.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include <eddy/detail/engine.hpp>
#include <eddy/detail/file_ring.hpp>
#include <eddy/detail/scheduler.hpp>
#include <eddy/this_task.hpp>

using namespace eddy;
using detail::ring_opcode;

namespace {

/// An operation that counts how often it is completed.
struct counted_operation : detail::ring_operation {
    counted_operation() {
        complete = [](ring_operation& op) noexcept { ++static_cast<counted_operation&>(op).completions; };
    }
    int completions = 0;
};

/// A pipe of which a read stays in the kernel until something is written.
class silent_pipe {
public:
    silent_pipe() {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) std::abort();
        in_ = ends[0];
        out_ = ends[1];
    }
    silent_pipe(const silent_pipe&) = delete;
    silent_pipe& operator=(const silent_pipe&) = delete;
    ~silent_pipe() {
        ::close(in_);
        ::close(out_);
    }
    [[nodiscard]] int in() const noexcept { return in_; }
    [[nodiscard]] bool feed(std::size_t n) const {
        const std::string text(n, 'x');
        return ::write(out_, text.data(), n) == static_cast<ssize_t>(n);
    }

private:
    int in_ = -1;
    int out_ = -1;
};

detail::file_ring* ring_here() {
    return detail::engine_of(*detail::current().loop)->files();
}

void begin_read(counted_operation& op, int fd, char& byte) {
    op.opcode = ring_opcode::read;
    op.fd = fd;
    op.buffer = &byte;
    op.length = 1;
    ring_here()->start(op);
}

task<> until_none_pending() {
    while (ring_here()->pending() > 0) co_await this_task::yield();
}

task<> until_submitted() {
    const std::uint64_t before = ring_here()->submissions();
    while (ring_here()->submissions() == before) co_await this_task::yield();
}

} // namespace

EDDY_TEST("only the native engine has a ring, and a loop that does not ask for it has none") {
    CHECK(this_loop().stats().files == file_back_end::pool);
    CHECK(detail::engine_of(*detail::current().loop)->made_files() == nullptr);
    const bool ring = ring_here() != nullptr;
    if (this_loop().stats().engine == engine_kind::asio) CHECK(!ring);
    CHECK((this_loop().stats().files == file_back_end::ring) == ring);
    CHECK(this_loop().stats().ring_submissions == 0);
    co_return;
}

EDDY_TEST("an operation that the kernel has not got is detached by a cancel, and can be started again") {
    if (!ring_here()) co_return;
    const silent_pipe p;
    char byte = 0;
    counted_operation op;
    begin_read(op, p.in(), byte);
    CHECK(this_loop().stats().ring_operations == 1);
    CHECK(ring_here()->cancel(op));
    CHECK(this_loop().stats().ring_operations == 0);
    co_await this_task::yield();
    CHECK(op.completions == 0);
    CHECK(p.feed(1));
    begin_read(op, p.in(), byte);
    co_await until_none_pending();
    CHECK(op.completions == 1);
    CHECK(op.result == 1);
    CHECK(byte == 'x');
}

EDDY_TEST("the completion of a cancelled operation comes once, and says that nothing happened") {
    if (!ring_here()) co_return;
    const silent_pipe p;
    char byte = 0;
    counted_operation op;
    begin_read(op, p.in(), byte);
    co_await until_submitted();
    CHECK(op.completions == 0);
    CHECK(!ring_here()->cancel(op));
    co_await until_none_pending();
    CHECK(op.completions == 1);
    CHECK(op.result == -ECANCELED);
    CHECK(byte == 0);
}

EDDY_TEST("more operations than both queues hold: all complete, once, also when their completions overflow") {
    if (!ring_here()) co_return;
    const silent_pipe p;
    std::vector<counted_operation> all(3000);
    std::vector<char> bytes(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) begin_read(all[i], p.in(), bytes[i]);
    co_await until_submitted();
    CHECK(p.feed(all.size() / 2));
    while (ring_here()->pending() > all.size() / 2) co_await this_task::yield();
    std::size_t read = 0;
    for (counted_operation& op : all) {
        read += op.completions > 0 && op.result == 1 ? 1 : 0;
        if (op.completions == 0) CHECK(!ring_here()->cancel(op));
    }
    CHECK(read == all.size() / 2);
    co_await until_none_pending();
    std::size_t cancelled = 0;
    for (const counted_operation& op : all) {
        if (op.completions != 1) FAIL_CHECK("completed " + std::to_string(op.completions) + " times");
        cancelled += op.result == -ECANCELED ? 1 : 0;
    }
    CHECK(cancelled == all.size() - read);
}

EDDY_TEST("what is started in one tick goes to the kernel in one call") {
    if (!ring_here()) co_return;
    const silent_pipe p;
    CHECK(p.feed(32));
    std::vector<counted_operation> all(32);
    std::vector<char> bytes(all.size());
    const std::uint64_t before = this_loop().stats().ring_submissions;
    for (std::size_t i = 0; i < all.size(); ++i) begin_read(all[i], p.in(), bytes[i]);
    co_await until_none_pending();
    CHECK(this_loop().stats().ring_submissions - before == 1);
}

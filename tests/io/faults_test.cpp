#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdio>
#include <set>
#include <string>
#include <thread>

#include "io/support.hpp"
#include "lib/left_out.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

/// A small file system in memory, if this process may mount one.
class small_disk {
public:
    small_disk() {
        std::filesystem::create_directory(folder_.file("disk"));
        mounted_ = ::mount("tmpfs", path().c_str(), "tmpfs", 0, "size=64k") == 0;
    }
    small_disk(const small_disk&) = delete;
    small_disk& operator=(const small_disk&) = delete;
    ~small_disk() {
        if (mounted_) ::umount2(path().c_str(), MNT_DETACH);
    }
    [[nodiscard]] bool mounted() const { return mounted_; }
    [[nodiscard]] std::string path() const { return folder_.file("disk"); }

private:
    temporary_folder folder_;
    bool mounted_ = false;
};

/// The peer goes without a word, as when its machine loses power; false if this process may not do that.
bool vanish(tcp_stream& s) {
    const int fd = s.native_handle();
    int on = 1;
    socklen_t size = sizeof on;
    if (::setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, size) != 0) return false;
    if (::getsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, &size) != 0 || on != 1) return false;
    s.abort();
    return true;
}

std::atomic<int> signals_handled{0};

/// So many signals for the thread that makes it, each as soon as the one before was handled. They interrupt its system calls, which
/// are not restarted.
class signal_storm {
public:
    explicit signal_storm(int count) {
        signals_handled = 0;
        struct sigaction interrupt {};
        interrupt.sa_handler = [](int) { ++signals_handled; };
        ::sigaction(SIGUSR1, &interrupt, &before_);
        sender_ = std::thread([this, count, victim = ::pthread_self()] {
            for (int i = 0; i < count && !stopped_; ++i) {
                ::pthread_kill(victim, SIGUSR1);
                while (signals_handled <= i && !stopped_) std::this_thread::yield();
            }
            over_ = true;
        });
    }
    signal_storm(const signal_storm&) = delete;
    signal_storm& operator=(const signal_storm&) = delete;
    ~signal_storm() {
        stopped_ = true;
        sender_.join();
        ::sigaction(SIGUSR1, &before_, nullptr);
    }
    [[nodiscard]] bool over() const noexcept { return over_; }

private:
    struct sigaction before_ {};
    std::atomic<bool> stopped_{false};
    std::atomic<bool> over_{false};
    std::thread sender_;
};

std::set<int> descriptors() {
    std::set<int> all;
    for (const auto& e : std::filesystem::directory_iterator("/proc/self/fd")) all.insert(std::stoi(e.path().filename().string()));
    return all;
}

} // namespace

// --- system errors

EDDY_TEST("a port in use is an error that names the endpoint") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const std::string name = l.local_endpoint().to_string();
    CHECK(words::of_call([&] { return tcp_listener::bind(l.local_endpoint()); }) == "bind to " + name + ": Address already in use");
    co_return;
}

EDDY_TEST("an address that is not this machine's is an error that names it") {
    CHECK(words::of_call([] { return tcp_listener::bind({"192.0.2.1", 80}); }) == "bind to 192.0.2.1:80: Cannot assign requested address");
    co_return;
}

EDDY_TEST("permission denied is an error that names the file") {
    temporary_folder folder;
    const std::string path = folder.file("secret");
    co_await write_file(path, std::string("x"));
    std::filesystem::permissions(path, std::filesystem::perms::none);
    std::string end = co_await words::ending(read_file(path));
    if (::geteuid() == 0) // root may read everything, but not write to a program that runs
        end = co_await words::ending(file::open("/proc/self/exe", file::mode::write));
    const bool named = end == "cannot open '" + path + "': Permission denied" || end == "cannot open '/proc/self/exe': Text file busy";
    CHECK(named);
}

EDDY_TEST("F-10 a full device is an error of the write, and the file can still be closed") {
    file f = co_await file::open("/dev/full", file::mode::write);
    std::string end = co_await words::ending(f.write("x"sv));
    CHECK(end == "cannot write '/dev/full': No space left on device");
    end = co_await words::ending(f.write_at(0, "x"sv));
    CHECK(end == "cannot write '/dev/full': No space left on device");
    co_await f.close();
    end = co_await words::ending(write_file("/dev/full", std::string("x")));
    CHECK(end == "cannot write '/dev/full': No space left on device");
}

EDDY_TEST("F-10 a disk that fills up during a write is an error, and room that is made is used again") {
    const small_disk disk;
    if (!disk.mounted()) {
        tests::left_out("this process may not mount a small tmpfs");
        co_return;
    }
    const std::string path = disk.path() + "/x";
    const std::string much(1'000'000, 'x');
    std::string end = co_await words::ending(write_file(path, much));
    CHECK(end == "cannot write '" + path + "': No space left on device");
    co_await write_file(path, std::string("small"));
    std::string got = co_await read_file(path);
    CHECK(got == "small");
}

// --- peers that reset (during a write: ST-21; after data: ST-14)

EDDY_TEST("a peer that resets before it is accepted costs nothing but its own connection") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    tcp_stream gone = co_await tcp_connect(l.local_endpoint());
    gone.abort();
    tcp_stream c = co_await tcp_connect(l.local_endpoint());
    for (;;) { // Linux hands the dead connection out, other systems drop it
        tcp_stream s = co_await l.accept();
        outcome<> written = co_await as_result(s.write("x"sv));
        if (!written) continue;
        std::string got = co_await read_text(c);
        CHECK(got == "x");
        break;
    }
}

EDDY_TEST("a peer that resets during a read is an error that names it") {
    connection p = co_await connected();
    const std::string peer = p.client.remote_endpoint().to_string();
    auto reading = spawn(words::ending(read_text(p.client)));
    co_await testing::settle();
    p.server.abort();
    std::string end = co_await std::move(reading);
    CHECK(end == "read from " + peer + ": Connection reset by peer");
    co_await p.client.close();
}

EDDY_TEST("a peer that resets after our half-close is an error of the read, not an end") {
    connection p = co_await connected();
    co_await p.client.shutdown_write();
    auto reading = spawn(words::ending(read_text(p.client)));
    co_await testing::settle();
    p.server.abort();
    std::string end = co_await std::move(reading);
    CHECK(end.ends_with("Connection reset by peer"));
}

EDDY_TEST("a peer that resets while we read and write is an error of both") {
    connection p = co_await connected();
    auto reading = spawn(words::ending(read_text(p.client)));
    auto writing = spawn(words::ending(write_text(p.client, std::string(10'000'000, 'x'))));
    co_await testing::settle();
    p.server.abort();
    std::string read = co_await std::move(reading);
    std::string write = co_await std::move(writing);
    CHECK(read != "ok");
    CHECK(write != "ok");
    co_await p.client.close();
}

EDDY_TEST("a server goes on when its clients reset at once, in the middle and at the end") {
    words::reports reports;
    server srv{tcp_listener::bind({"127.0.0.1", 0}), echo};
    srv.start();
    for (int i = 0; i < 30; ++i) {
        tcp_stream c = co_await tcp_connect(srv.local_endpoint());
        if (i % 3 > 0) co_await c.write("hello"sv);
        if (i % 3 > 1) static_cast<void>(co_await read_text(c));
        c.abort();
    }
    tcp_stream c = co_await tcp_connect(srv.local_endpoint());
    co_await c.write("hello"sv);
    std::string answer = co_await read_text(c);
    CHECK(answer == "hello");
    co_await srv.shutdown(0s);
    CHECK(reports.text().find("logic") == std::string::npos); // resets are the handlers' errors, and reported as such
}

EDDY_TEST("a half-open peer, gone without a word, is noticed by what is written next") {
    connection p = co_await connected();
    auto reading = spawn(words::ending(read_text(p.client)));
    co_await testing::settle();
    if (!vanish(p.server)) {
        tests::left_out("this process may not use TCP_REPAIR");
        co_await reading.cancel_and_join();
        co_return;
    }
    co_await testing::settle();
    CHECK(!reading.done());
    co_await p.client.write("x"sv); // the kernel takes it; the machine that is back knows nothing of the connection
    std::string end = co_await std::move(reading);
    CHECK(end.ends_with("Connection reset by peer"));
}

// --- descriptors that others close

EDDY_TEST("a descriptor that was closed under a stream is an error of what is done next, and its close does no harm") {
    connection p = co_await connected();
    co_await p.client.write("x"sv); // it has been in use
    ::close(p.client.native_handle());
    std::string end = co_await words::ending(read_text(p.client));
    CHECK(end.ends_with("Bad file descriptor"));
    end = co_await words::ending(write_text(p.client, "y"));
    CHECK(end != "ok");
    co_await p.client.close();
    CHECK(!p.client.is_open());
}

EDDY_TEST("a read whose descriptor was closed under it can be cancelled, and the loop goes on") {
    connection p = co_await connected();
    auto reading = spawn(read_text(p.client));
    co_await testing::settle();
    ::close(p.client.native_handle()); // of which the kernel tells nobody
    co_await testing::settle();
    reading.cancel();
    co_await reading.join();
    CHECK(reading.cancelled());
    co_await p.client.close();
    connection next = co_await connected(); // with the same number, probably
    co_await next.client.write("hello"sv);
    std::string got = co_await read_text(next.server);
    CHECK(got == "hello");
}

EDDY_TEST("a listener whose descriptor was closed under it says so") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    ::close(l.native_handle());
    std::string end = co_await words::ending(l.accept());
    CHECK(end.find("Bad file descriptor") != std::string::npos);
    co_await l.close();
    CHECK(!l.is_open());
}

// --- signals (each system call on its own: tests/faults)

EDDY_TEST("a storm of signals is not seen: transfers, files and worker functions go on") {
    const temporary_folder folder;
    const std::string path = folder.file("x");
    connection p = co_await connected();
    signal_storm storm(2000);
    int rounds = 0;
    int wrong = 0;
    do {
        const std::string number = std::to_string(++rounds);
        auto reading = spawn(read_text(p.server));
        co_await this_task::yield(); // the read waits before there is something
        co_await p.client.write(number);
        std::string received = co_await std::move(reading);
        co_await write_file(path, number);
        std::string kept = co_await read_file(path);
        if (received != number || kept != number) ++wrong;
    } while (!storm.over());
    CHECK(wrong == 0);
    CHECK(signals_handled == 2000);
}

// --- exceptions in callbacks

EDDY_TEST("an exception in a callback of any kind reaches the exception handler once, and the loop goes on") {
    words::reports reports;
    event_loop& loop = this_loop();
    loop.call_soon([] { throw std::runtime_error("soon"); });
    co_await testing::settle();
    loop.call_later(1s, [] { throw std::runtime_error("later"); });
    co_await sleep_for(2s);
    loop.call_at(loop.now() + 1s, [] { throw std::runtime_error("at"); });
    co_await sleep_for(2s);
    loop.call_soon_threadsafe([] { throw std::runtime_error("threadsafe"); });
    co_await testing::settle();
    std::thread([&loop] { loop.call_soon_threadsafe([] { throw std::runtime_error("from a thread"); }); }).join();
    co_await testing::settle();
    promise<int> p;
    future<int> f = p.get_future();
    f.on_done([] { throw std::runtime_error("on_done"); });
    p.set_value(1);
    co_await testing::settle();
    spawn([]() -> task<> { throw std::runtime_error("a task"); co_return; }, {.name = "t"});
    co_await testing::settle();
    loop.call_soon([] { throw 42; });
    co_await testing::settle();
    CHECK(reports.count() == 8);
    CHECK(reports.text().starts_with("soon; later; at; threadsafe; from a thread; on_done; t: a task; "));
}

EDDY_TEST("an exception handler that throws does not end the loop") {
    int calls = 0;
    this_loop().set_exception_handler([&](const error_context&) {
        ++calls;
        throw std::runtime_error("the handler itself");
    });
    std::fputs("(two reports follow that a test asked for)\n", stderr);
    this_loop().call_soon([] { throw std::runtime_error("asked for"); });
    co_await testing::settle();
    CHECK(calls == 1);
    this_loop().set_exception_handler({});
}

EDDY_TEST("O-02 a worker function that throws throws at the await, whatever it throws") {
    const auto fail = [] { throw std::runtime_error("on the worker"); };
    std::string end = co_await words::ending(offload(fail));
    CHECK(end == "on the worker");
    const auto odd = [] { throw 42; };
    outcome<> number = co_await as_result(offload(odd));
    CHECK(words::holds<int>(number.exception()));
}

// --- descriptors

EDDY_TEST("every descriptor that the library opens is close-on-exec") {
    temporary_folder folder;
    const std::set<int> before = descriptors();
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    tcp_listener six;
    try {
        six = tcp_listener::bind({"::1", 0});
    } catch (const std::system_error&) { // no IPv6 here
    }
    tcp_stream c = co_await tcp_connect(l.local_endpoint());
    tcp_stream s = co_await l.accept();
    file f = co_await file::open(folder.file("x"), file::mode::write | file::mode::create);
    auto reading = spawn(words::ending(read_text(c)));
    co_await testing::settle();
    const int number = c.native_handle();
    auto watching = spawn([number]() -> task<> { co_await wait_readable(number); });
    co_await testing::settle();
    std::size_t seen = 0;
    for (const int fd : descriptors()) {
        const int flags = ::fcntl(fd, F_GETFD);
        if (flags < 0 || before.contains(fd)) continue; // less than 0: the folder that was being listed
        ++seen;
        CHECK((flags & FD_CLOEXEC) != 0);
    }
    CHECK(seen >= 5);
    watching.cancel();
    reading.cancel();
    co_await watching.join();
    co_await reading.join();
    co_await f.close();
}

TEST_CASE("the descriptors of a loop itself are close-on-exec") {
    const std::set<int> before = descriptors();
    event_loop loop;
    std::size_t seen = 0;
    for (const int fd : descriptors()) {
        const int flags = ::fcntl(fd, F_GETFD);
        if (flags < 0 || before.contains(fd)) continue;
        ++seen;
        CHECK((flags & FD_CLOEXEC) != 0);
    }
    CHECK(seen >= 1);
}

// Descriptors that somebody else in the program closes, before an operation on them and while it waits, and puts something else in the
// place of. Nothing can be right then; what must not happen is that a task waits for good, that the object cannot be closed, or that
// the loop or another connection is harmed. Between such a close and our own no number is handed out: it would be closed twice.
#include <eddy/eddy.hpp>
#include <eddy/fs_watcher.hpp>
#include <eddy/testing.hpp>

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/file_back_end.hpp"
#include "io/file_bytes.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace io_test::closed_under_us {
namespace {

constexpr std::size_t more_than_fits = 50'000'000;

/// Something with a descriptor, and an operation on it that waits.
class victim {
public:
    victim() = default;
    victim(const victim&) = delete;
    victim& operator=(const victim&) = delete;
    virtual ~victim() = default;
    [[nodiscard]] virtual task<> make() = 0;
    /// The descriptor that is closed.
    [[nodiscard]] virtual int number() const = 0;
    [[nodiscard]] virtual task<> use() = 0;
    [[nodiscard]] virtual task<> close() = 0;
    /// Until `use` waits.
    [[nodiscard]] virtual task<> waits() { co_await testing::settle(); }
    /// Lets an end come that a cancellation cannot bring: a worker's.
    virtual void let_go() {}
    /// Does `use` open descriptors? Then a number that is free before would become one of them.
    [[nodiscard]] virtual bool opens_descriptors() const { return false; }
};

/// A victim that is one object with the usual verbs.
template <class Object>
class simple_victim : public victim {
public:
    int number() const override { return object_->native_handle(); }
    task<> close() override { co_await object_->close(); }

protected:
    std::optional<Object> object_;
};

// --- sockets

class reading_tcp final : public simple_victim<tcp_stream> {
public:
    task<> make() override {
        connection p = co_await connected();
        object_.emplace(std::move(p.client));
        peer_ = std::move(p.server);
    }
    task<> use() override { static_cast<void>(co_await read_text(*object_)); }

private:
    tcp_stream peer_;
};

class writing_tcp final : public simple_victim<tcp_stream> {
public:
    task<> make() override {
        connection p = co_await connected();
        object_.emplace(std::move(p.client));
        peer_ = std::move(p.server);
    }
    task<> use() override { co_await object_->write(much_); }

private:
    tcp_stream peer_;
    std::string much_ = std::string(more_than_fits, 'x');
};

class accepting final : public simple_victim<tcp_listener> {
public:
    task<> make() override {
        object_.emplace(tcp_listener::bind({"127.0.0.1", 0}));
        co_return;
    }
    task<> use() override { static_cast<void>(co_await object_->accept()); }
};

class accepting_unix final : public simple_victim<unix_listener> {
public:
    task<> make() override {
        object_.emplace(unix_listener::bind(abstract_name()));
        co_return;
    }
    task<> use() override { static_cast<void>(co_await object_->accept()); }
};

class reading_unix final : public simple_victim<unix_stream> {
public:
    task<> make() override {
        unix_streams pair = unix_stream_pair();
        object_.emplace(std::move(pair.a));
        peer_ = std::move(pair.b);
        co_return;
    }
    task<> use() override {
        std::array<std::byte, 16> buffer{};
        static_cast<void>(co_await object_->read_some(buffer));
    }

private:
    unix_stream peer_;
};

class receiving_udp final : public simple_victim<udp_socket> {
public:
    task<> make() override {
        object_.emplace(udp_socket::bind({"127.0.0.1", 0}));
        co_return;
    }
    task<> use() override {
        std::array<std::byte, 16> buffer{};
        static_cast<void>(co_await object_->receive_from(buffer));
    }
};

class receiving_unix_datagram final : public simple_victim<unix_datagram_socket> {
public:
    task<> make() override {
        unix_datagram_sockets pair = unix_datagram_pair();
        object_.emplace(std::move(pair.a));
        peer_.emplace(std::move(pair.b));
        co_return;
    }
    task<> use() override {
        std::array<std::byte, 16> buffer{};
        static_cast<void>(co_await object_->receive_from(buffer));
    }

private:
    std::optional<unix_datagram_socket> peer_;
};

/// Until there is room with the peer.
class sending_unix_datagrams final : public simple_victim<unix_datagram_socket> {
public:
    task<> make() override {
        unix_datagram_sockets pair = unix_datagram_pair();
        object_.emplace(std::move(pair.a));
        peer_.emplace(std::move(pair.b));
        co_return;
    }
    task<> use() override {
        for (;;) co_await object_->send("datagram"sv);
    }

private:
    std::optional<unix_datagram_socket> peer_;
};

// --- pipes and terminals

class reading_pipe final : public simple_victim<readable_pipe> {
public:
    task<> make() override {
        pipe_pair ends = make_pipe();
        object_.emplace(std::move(ends.reader));
        other_.emplace(std::move(ends.writer));
        co_return;
    }
    task<> use() override {
        std::array<std::byte, 16> buffer{};
        static_cast<void>(co_await object_->read_some(buffer));
    }

private:
    std::optional<writable_pipe> other_;
};

class writing_pipe final : public simple_victim<writable_pipe> {
public:
    task<> make() override {
        pipe_pair ends = make_pipe();
        object_.emplace(std::move(ends.writer));
        other_.emplace(std::move(ends.reader));
        co_return;
    }
    task<> use() override { co_await object_->write(much_); }

private:
    std::optional<readable_pipe> other_;
    std::string much_ = std::string(1'000'000, 'x');
};

class reading_terminal final : public victim {
public:
    task<> make() override {
        command c("cat");
        c.terminal();
        child_.emplace(co_await process::spawn(std::move(c)));
    }
    int number() const override { return child_->terminal().native_handle(); }
    task<> use() override {
        std::array<std::byte, 16> buffer{};
        static_cast<void>(co_await child_->terminal().read_some(buffer));
    }
    task<> close() override {
        co_await child_->terminal().close(); // hangs up, as the loss of the descriptor has
        static_cast<void>(co_await child_->wait());
    }

private:
    mutable std::optional<process> child_;
};

// --- files

/// A pipe with a name: the ring can be told to give it up, a worker gets what `let_go` writes.
class reading_fifo final : public simple_victim<file> {
public:
    task<> make() override {
        const std::string path = fifo_in(folder_);
        object_.emplace(co_await file::open(path, file::mode::read_write));
        other_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    }
    ~reading_fifo() override { ::close(other_); }
    task<> use() override { static_cast<void>(co_await next_bytes(*object_, 16)); }
    task<> waits() override { co_await call_is_in_kernel(); }
    void let_go() override { REQUIRE(::write(other_, "x", 1) == 1); }

private:
    temporary_folder folder_;
    int other_ = -1;
};

enum class file_call { read, read_at, write, write_at, sync, size, last_write_time, truncate };

/// What does not wait.
class using_file final : public simple_victim<file> {
public:
    explicit using_file(file_call c) : call_(c) {}
    task<> make() override {
        const std::string path = folder_.file("x");
        co_await write_file(path, std::string("text"));
        object_.emplace(co_await file::open(path, file::mode::read_write));
    }
    task<> use() override {
        switch (call_) {
        case file_call::read: static_cast<void>(co_await next_bytes(*object_, 16)); break;
        case file_call::read_at: static_cast<void>(co_await bytes_from(*object_, 1, 16)); break;
        case file_call::write: co_await object_->write("more"sv); break;
        case file_call::write_at: co_await object_->write_at(1, "more"sv); break;
        case file_call::sync: co_await object_->sync(); break;
        case file_call::size: static_cast<void>(co_await object_->size()); break;
        case file_call::last_write_time: static_cast<void>(co_await object_->last_write_time()); break;
        case file_call::truncate: co_await object_->truncate(1); break;
        }
    }

private:
    file_call call_;
    temporary_folder folder_;
};

class watching_files final : public victim {
public:
    task<> make() override {
        watcher_.emplace();
        co_await watcher_->add(folder_.file(""));
        for (const auto& e : std::filesystem::directory_iterator("/proc/self/fd")) {
            std::error_code gone;
            if (std::filesystem::read_symlink(e.path(), gone) == "anon_inode:inotify") number_ = std::stoi(e.path().filename());
        }
        REQUIRE(number_ >= 0);
    }
    int number() const override { return number_; }
    task<> use() override { static_cast<void>(co_await watcher_->next()); }
    task<> close() override { co_await watcher_->close(); }

private:
    temporary_folder folder_;
    std::optional<fs::watcher> watcher_;
    int number_ = -1;
};

// --- from one to the other

enum class end_of_transfer { from, to };

/// The peer does not read: what is sent waits for room.
class sending_file final : public victim {
public:
    explicit sending_file(end_of_transfer e) : end_(e) {}
    task<> make() override {
        const std::string path = folder_.file("x");
        std::ofstream(path) << "x";
        std::filesystem::resize_file(path, more_than_fits);
        from_.emplace(co_await file::open(path));
        pair_.emplace(co_await connected());
    }
    int number() const override { return end_ == end_of_transfer::from ? from_->native_handle() : pair_->client.native_handle(); }
    task<> use() override { static_cast<void>(co_await send_file(pair_->client, *from_)); }
    bool opens_descriptors() const override { return end_ == end_of_transfer::from; } // a second number of the socket
    task<> close() override {
        co_await pair_->client.close();
        co_await from_->close();
    }

private:
    end_of_transfer end_;
    temporary_folder folder_;
    std::optional<file> from_;
    std::optional<connection> pair_;
};

/// Waits for bytes to move, or for room for them.
class splicing final : public victim {
public:
    splicing(end_of_transfer e, bool has_bytes) : end_(e), has_bytes_(has_bytes) {}
    task<> make() override {
        from_.emplace(co_await connected());
        to_.emplace(co_await connected());
        if (has_bytes_) feeding_ = spawn(words::ending(write_text(from_->client, std::string(more_than_fits, 'x'))));
    }
    int number() const override { return end_ == end_of_transfer::from ? from_->server.native_handle() : to_->client.native_handle(); }
    task<> use() override { static_cast<void>(co_await splice(from_->server, to_->client)); }
    bool opens_descriptors() const override { return true; }
    task<> close() override {
        if (feeding_) co_await feeding_.cancel_and_join();
        co_await from_->server.close();
        co_await to_->client.close();
    }

private:
    end_of_transfer end_;
    bool has_bytes_;
    std::optional<connection> from_;
    std::optional<connection> to_;
    task_handle<std::string> feeding_;
};

// --- the table

struct entry {
    std::string name;
    std::function<std::unique_ptr<victim>()> make;
    bool waits = true; // the operation, for something from elsewhere
};

template <class V, class... A>
entry an(std::string name, A... args) {
    return {std::move(name), [args...]() -> std::unique_ptr<victim> { return std::make_unique<V>(args...); }};
}

entry of_file(std::string name, file_call c) {
    entry e = an<using_file>(std::move(name), c);
    e.waits = false;
    return e;
}

std::vector<entry> all_victims() {
    std::vector<entry> all;
    all.push_back(an<reading_tcp>("a read from TCP"));
    all.push_back(an<writing_tcp>("a write to TCP"));
    all.push_back(an<accepting>("accept"));
    all.push_back(an<accepting_unix>("accept of a Unix socket"));
    all.push_back(an<reading_unix>("a read from a Unix socket"));
    all.push_back(an<receiving_udp>("a receive of UDP"));
    all.push_back(an<receiving_unix_datagram>("a receive of Unix datagrams"));
    all.push_back(an<sending_unix_datagrams>("a send of Unix datagrams"));
    all.push_back(an<reading_pipe>("a read from a pipe"));
    all.push_back(an<writing_pipe>("a write to a pipe"));
    all.push_back(an<reading_terminal>("a read from a terminal"));
    all.push_back(an<watching_files>("a watcher of files"));
    all.push_back(an<sending_file>("send_file, the file", end_of_transfer::from));
    all.push_back(an<sending_file>("send_file, the stream", end_of_transfer::to));
    all.push_back(an<splicing>("splice that waits for bytes, the source", end_of_transfer::from, false));
    all.push_back(an<splicing>("splice that waits for bytes, the target", end_of_transfer::to, false));
    all.push_back(an<splicing>("splice that waits for room, the source", end_of_transfer::from, true));
    all.push_back(an<splicing>("splice that waits for room, the target", end_of_transfer::to, true));
    return all;
}

std::vector<entry> all_files() {
    std::vector<entry> all;
    all.push_back(an<reading_fifo>("a read from a pipe with a name"));
    all.push_back(of_file("read", file_call::read));
    all.push_back(of_file("read_at", file_call::read_at));
    all.push_back(of_file("write", file_call::write));
    all.push_back(of_file("write_at", file_call::write_at));
    all.push_back(of_file("sync", file_call::sync));
    all.push_back(of_file("size", file_call::size));
    all.push_back(of_file("last_write_time", file_call::last_write_time));
    all.push_back(of_file("truncate", file_call::truncate));
    return all;
}

enum class manner { closed, replaced };

/// As somebody in the program may who takes the number for his own. That a worker uses it at the same time is what this is about, and
/// ThreadSanitizer need not see it.
void take_away(int number, manner how) {
    if (how == manner::closed) {
        REQUIRE(::syscall(SYS_close, number) == 0);
        return;
    }
    const int other = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    REQUIRE(::syscall(SYS_dup3, other, number, O_CLOEXEC) == number);
    ::close(other);
}

[[nodiscard]] bool is_bad_descriptor(const std::string& end) {
    return end.ends_with("Bad file descriptor");
}

/// The object can be closed, its number is free afterwards, and others are as well as before.
task<> check_afterwards(victim& v, const std::string& what) {
    const int number = v.number();
    std::string end = co_await words::ending(v.close());
    if (end != "ok" && !is_bad_descriptor(end)) FAIL_CHECK(what + ": its close: " + end);
    if (descriptor_is_open(number)) FAIL_CHECK(what + ": its number stays open");
    connection p = co_await connected();
    co_await p.client.write("hello"sv);
    std::string got = co_await read_text(p.server);
    if (got != "hello") FAIL_CHECK(what + ": another connection gets '" + got + "'");
}

task<> check_before(const entry& e, manner how) {
    const std::string what = e.name + (how == manner::closed ? ", closed before" : ", replaced before");
    const std::unique_ptr<victim> v = e.make();
    if (how == manner::closed && v->opens_descriptors()) co_return;
    co_await v->make();
    take_away(v->number(), how);
    auto use = spawn(words::ending(v->use()));
    if (e.waits) co_await testing::settle();
    const bool waited = e.waits && !use.done();
    if (waited) use.cancel();
    std::string end = co_await std::move(use);
    // What came instead may say what it wants. Of a number that is free, everything says so that does not wait.
    if (how == manner::closed && !is_bad_descriptor(end) && !(end == "cancelled" && waited)) FAIL_CHECK(what + ": " + end);
    co_await check_afterwards(*v, what);
}

task<> check_meanwhile(const entry& e, manner how) {
    const std::string what = e.name + (how == manner::closed ? ", closed meanwhile" : ", replaced meanwhile");
    const std::unique_ptr<victim> v = e.make();
    co_await v->make();
    auto use = spawn(words::ending(v->use()));
    co_await v->waits();
    if (use.done()) FAIL_CHECK(what + ": it does not wait");
    take_away(v->number(), how);
    for (int i = 0; i < 10; ++i) co_await this_task::yield(); // the loop looks at what it has
    use.cancel();
    const bool by_worker = this_loop().blocking_pool().running() > 0;
    if (by_worker) v->let_go();
    std::string end = co_await std::move(use);
    if (end != "cancelled" && !(end == "ok" && by_worker) && !is_bad_descriptor(end)) FAIL_CHECK(what + ": " + end);
    co_await check_afterwards(*v, what);
}

task<> check_all(std::vector<entry> all) {
    for (const entry& e : all) {
        for (const manner how : {manner::closed, manner::replaced}) {
            co_await check_before(e, how);
            if (e.waits) co_await check_meanwhile(e, how);
        }
    }
}

} // namespace

EDDY_TEST("descriptors closed or replaced under sockets, pipes, terminals, watchers and what moves bytes between them") {
    co_await check_all(all_victims());
    CHECK(this_loop().stats().pending_operations == 0);
}

EDDY_TEST("descriptors closed or replaced under files") {
    co_await check_all(all_files());
    CHECK(this_loop().stats().ring_operations == 0);
}

EDDY_TEST("descriptors closed or replaced under files that workers read and write") {
    const without_ring on_workers;
    co_await check_all(all_files());
    CHECK(this_loop().blocking_pool().running() == 0);
}

EDDY_TEST("a number that was closed under a stream and is another's now: what is cancelled of the first does the other no harm") {
    connection first = co_await connected();
    auto reading = spawn(words::ending(read_text(first.client)));
    co_await testing::settle();
    const int number = first.client.native_handle();
    REQUIRE(::close(number) == 0);
    connection second = co_await connected(); // the lowest number that is free
    tcp_stream& heir = second.client.native_handle() == number ? second.client : second.server;
    tcp_stream& peer = &heir == &second.client ? second.server : second.client;
    auto waiting = spawn(read_text(heir));
    co_await testing::settle();
    reading.cancel();
    std::string end = co_await std::move(reading);
    CHECK(end == "cancelled");
    co_await peer.write("for the heir"sv);
    std::string got = co_await std::move(waiting);
    CHECK(got == "for the heir");
    const int spare = ::dup(heir.native_handle()); // the number is closed by the first, and must be somebody's when the second closes it
    co_await first.client.close();
    REQUIRE(::dup3(spare, number, O_CLOEXEC) == number);
    ::close(spare);
}

} // namespace io_test::closed_under_us

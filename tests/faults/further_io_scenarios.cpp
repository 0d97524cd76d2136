// Parts of the io layer that fewer programs need.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <eddy/eddy.hpp>
#include <eddy/fs.hpp>

#include "faults/fault.hpp"
#include "faults/scenarios.hpp"

namespace faults {
namespace {

using namespace eddy;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

using small_room = std::array<std::byte, 64>;

std::string text_in(const small_room& room, std::size_t size) {
    return {reinterpret_cast<const char*>(room.data()), size};
}

// --- sockets

/// Without a class of their own: messages over a connection.
task<> raw_sockets(std::string folder) {
    const fault::armed here;
    const unix_endpoint at(folder + "/socket");
    raw_socket l(AF_UNIX, SOCK_SEQPACKET);
    l.bind(at);
    l.listen();
    raw_socket c(AF_UNIX, SOCK_SEQPACKET);
    co_await c.connect(at);
    raw_socket s = co_await l.accept();
    s.set_option(SOL_SOCKET, SO_SNDBUF, 50'000);
    if (s.option(SOL_SOCKET, SO_TYPE) != SOCK_SEQPACKET) throw wrong("an accepted socket is of another type");
    small_room room{};
    co_await c.send("ping"sv);
    auto got = co_await s.receive(room);
    expect(text_in(room, got.size), "ping");
    co_await s.send("pong"sv);
    got = co_await c.receive(room);
    expect(text_in(room, got.size), "pong");
    co_await c.shutdown_write();
    got = co_await s.receive(room);
    expect(text_in(room, got.size), "");
}

task<> unix_datagrams(std::string folder) {
    const fault::armed here;
    unix_datagram_options o;
    o.permissions = 0600;
    o.cleanup = true;
    o.replace_stale = true;
    unix_datagram_socket u = unix_datagram_socket::bind(folder + "/receiver", o);
    unix_datagram_socket c = unix_datagram_socket::connect(folder + "/receiver", folder + "/sender", o);
    small_room room{};
    co_await c.send("ping"sv);
    auto got = co_await u.receive_from(room);
    expect(text_in(room, got.size), "ping");
    expect(got.from.to_string(), folder + "/sender");
    co_await u.send_to("pong"sv, got.from);
    auto answer = co_await c.receive(room);
    expect(text_in(room, answer.size), "pong");
    unix_datagram_sockets pair = unix_datagram_pair();
    co_await pair.a.send("by pair"sv);
    answer = co_await pair.b.receive(room);
    expect(text_in(room, answer.size), "by pair");
}

/// The end of a pipe goes from one process to another, so to speak.
task<> passing_descriptors(std::string) {
    const fault::armed here;
    unix_streams pair = unix_stream_pair();
    pipe_pair ends = make_pipe();
    const std::array<int, 1> passed{ends.writer.native_handle()};
    co_await pair.a.send_descriptors("x"sv, passed);
    small_room room{};
    received_descriptors got = co_await pair.b.receive_descriptors(room);
    if (got.descriptors.size() != 1) throw wrong(std::to_string(got.descriptors.size()) + " descriptors came");
    co_await ends.writer.close();
    const int number = got.descriptors[0];
    writable_pipe w(number); // it stays the list's if that throws
    static_cast<void>(got.descriptors.take(0));
    co_await w.write("through"sv);
    co_await w.close();
    buffered_reader r{ends.reader};
    std::string text = co_await r.read_to_end();
    expect(text, "through");
}

task<> names(std::string) {
    const fault::armed here;
    resolved_name n = co_await resolve_name(ip_endpoint("127.0.0.1", 80));
    if (n.host.empty() || n.service.empty()) throw wrong("127.0.0.1:80 has no name");
}

// --- readiness

/// The reading end of a pipe, which the library does not know.
class foreign_pipe {
public:
    foreign_pipe() {
        std::array<int, 2> ends{-1, -1};
        if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) throw std::system_error(errno, std::generic_category(), "a pipe of a test");
        reader_ = ends[0];
        writer.emplace(ends[1]);
    }
    foreign_pipe(const foreign_pipe&) = delete;
    foreign_pipe& operator=(const foreign_pipe&) = delete;
    ~foreign_pipe() { ::close(reader_); }
    [[nodiscard]] int reader() const noexcept { return reader_; }
    std::optional<writable_pipe> writer;

private:
    int reader_ = -1;
};

task<> readiness(std::string) {
    foreign_pipe p;
    const fault::armed here;
    co_await wait_writable(p.writer->native_handle());
    auto waiting = spawn([&p]() -> task<> { co_await wait_readable(p.reader()); });
    outcome<> asleep = co_await as_result(sleep_for(1ms));
    outcome<> written = co_await as_result(p.writer->write("x"sv));
    p.writer.reset(); // whatever failed: it is ready then
    outcome<> ready = co_await as_result(std::move(waiting));
    for (outcome<>* end : {&asleep, &written, &ready}) static_cast<void>(end->value());
}

// --- files

task<> file_attributes(std::string folder) {
    const std::string path = folder + "/file";
    const std::chrono::system_clock::time_point then(1'000'000'000s);
    const fault::armed here;
    file f = co_await file::open(path, file::mode::read_write | file::mode::create);
    co_await f.allocate(0, 4096);
    co_await f.write_at(0, "text"sv);
    co_await f.datasync();
    co_await f.advise(file::advice::sequential);
    co_await f.last_write_time(then);
    const auto noted = co_await f.last_write_time();
    if (noted != then) throw wrong("the file has another time than it was given");
    if (f.seek_end() != 4096) throw wrong("a file has another size than was allocated");
    f.seek(0);
    small_room room{};
    const std::size_t n = co_await f.read(std::span<std::byte>(room).first(4));
    if (n > 4) throw wrong("a read gave more than there was room for");
    co_await f.close();
    co_await fs::last_write_time(path, then + 1s);
    const auto changed = co_await fs::last_write_time(path);
    if (changed != then + 1s) throw wrong("the path has another time than it was given");
}

/// What fails leaves the old file as it was, or the new one as a whole under the name it is renamed to.
task<> moving_and_copying(std::string folder) {
    const std::string text(300, 'x');
    std::filesystem::create_directory(folder + "/from");
    std::ofstream(folder + "/from/a") << text;
    std::filesystem::create_symlink("a", folder + "/from/link");
    const fault::armed here;
    co_await fs::rename(folder + "/from/a", folder + "/from/b");
    co_await fs::rename(folder + "/from/b", folder + "/from/a");
    const bool copied = co_await fs::copy_file(folder + "/from/a", folder + "/copy");
    if (!copied) throw wrong("nothing was copied");
    co_await fs::copy(folder + "/from", folder + "/to", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    fault::armed::disarm();
    for (const char* name : {"/copy", "/to/a", "/to/link"}) {
        std::ifstream in(folder + name, std::ios::binary);
        expect(std::string(std::istreambuf_iterator<char>(in), {}), text);
    }
}

// --- processes

task<> signals_to_processes(std::string) {
    const fault::armed here;
    command in_group("cat");
    in_group.stdin_pipe().new_process_group();
    process p = co_await process::spawn(std::move(in_group));
    p.signal(SIGCONT);
    p.signal_group(SIGCONT);
    exit_status status = co_await p.stop(10s);
    if (status.unknown()) throw wrong("nobody knows how a process has ended");
    command alone("cat");
    alone.stdin_pipe();
    process q = co_await process::spawn(std::move(alone));
    status = co_await q.stop(10s);
    if (status.unknown()) throw wrong("nobody knows how a process has ended");
}

constexpr std::array further_io_list{
    scenario{"raw_sockets", &raw_sockets},
    scenario{"unix_datagrams", &unix_datagrams},
    scenario{"passing_descriptors", &passing_descriptors},
    scenario{"names", &names},
    scenario{"readiness", &readiness},
    scenario{"file_attributes", &file_attributes},
    scenario{"moving_and_copying", &moving_and_copying},
    scenario{"signals_to_processes", &signals_to_processes, testing::test_time::real},
};

} // namespace

std::span<const scenario> further_io_scenarios() noexcept {
    return further_io_list;
}

} // namespace faults

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <eddy/eddy.hpp>
#include <eddy/fs.hpp>
#include <eddy/fs_watcher.hpp>

#include "faults/fault.hpp"
#include "faults/scenarios.hpp"
#include "io/support.hpp"

namespace faults {
namespace {

using namespace eddy;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

/// Some text, and more than the shortest transfers move at once.
std::string some_text() {
    std::string text;
    for (int i = 0; i < 60; ++i) text += "line " + std::to_string(i) + "\n";
    return text;
}

/// What is in a file, without the library. Nothing if there is none.
std::string contents(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
}

template <class Stream>
task<> expect_from(Stream& s, std::string text) {
    buffered_reader r{s};
    std::string got = co_await r.read_exactly(text.size());
    expect(got, text);
}

template <class Stream>
task<> echo_back(Stream s) {
    std::array<std::byte, 256> buffer{};
    for (;;) {
        const std::size_t n = co_await s.read_some(buffer);
        if (n == 0) co_return;
        co_await s.write(std::span<const std::byte>(buffer).first(n));
    }
}

// --- sockets

task<> tcp_echo(std::string) {
    const fault::armed here;
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const ip_endpoint at = l.local_endpoint();
    server srv{std::move(l), &echo_back<tcp_stream>};
    srv.start();
    tcp_stream c = co_await tcp_connect(at);
    const std::array<std::string, 2> texts{"hello", some_text()};
    for (const std::string& text : texts) {
        co_await c.write(text);
        co_await expect_from(c, text);
    }
    co_await c.shutdown_write();
    std::string rest = co_await io_test::read_text(c);
    expect(rest, "");
    co_await c.close();
    co_await srv.shutdown(1s);
}

task<> tcp_options(std::string) {
    const fault::armed here;
    listen_options o;
    o.reuse_port = true;
    o.send_buffer_size = 100'000;
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0}, o);
    tcp_stream c = co_await tcp_connect("localhost", l.local_endpoint().port());
    tcp_stream s = co_await l.accept();
    c.set_nodelay(false);
    c.set_keep_alive(true);
    expect(c.remote_endpoint().to_string(), l.local_endpoint().to_string());
    co_await c.write("hello"sv);
    co_await expect_from(s, "hello");
}

task<> udp_exchange(std::string) {
    const fault::armed here;
    udp_socket u = udp_socket::bind({"127.0.0.1", 0});
    udp_socket c = udp_socket::connect(u.local_endpoint());
    std::array<std::byte, 64> buffer{};
    co_await c.send("ping"sv);
    auto got = co_await u.receive_from(buffer);
    expect(std::string(reinterpret_cast<const char*>(buffer.data()), got.size), "ping");
    co_await u.send_to("pong"sv, got.from);
    auto answer = co_await c.receive(buffer);
    expect(std::string(reinterpret_cast<const char*>(buffer.data()), answer.size), "pong");
}

task<> udp_batches(std::string) {
    const fault::armed here;
    udp_socket u = udp_socket::bind({"127.0.0.1", 0});
    udp_socket c = udp_socket::connect(u.local_endpoint());
    const std::array<std::string_view, 3> texts{"one"sv, "two"sv, "three"sv};
    std::array<udp_socket::outgoing, 3> out{};
    for (std::size_t i = 0; i < out.size(); ++i) out[i].bytes = std::as_bytes(std::span(texts[i]));
    co_await c.send_many(out);
    std::array<std::array<std::byte, 16>, 3> rooms{};
    std::array<udp_socket::incoming, 3> in{};
    for (std::size_t i = 0; i < in.size(); ++i) in[i].buffer = rooms[i];
    for (std::size_t have = 0; have < in.size();) {
        const std::size_t n = co_await u.receive_many(std::span(in).subspan(have));
        have += n;
    }
    for (std::size_t i = 0; i < in.size(); ++i) expect(std::string(reinterpret_cast<const char*>(rooms[i].data()), in[i].size), texts[i]);
}

task<> unix_sockets(std::string folder) {
    const std::string path = folder + "/socket";
    const fault::armed here;
    unix_listen_options o;
    o.permissions = 0600;
    o.cleanup = true;
    o.replace_stale = true;
    unix_listener l = unix_listener::bind(path, o);
    server srv{std::move(l), &echo_back<unix_stream>};
    srv.start();
    unix_stream c = co_await unix_connect(path);
    co_await c.write("hello"sv);
    co_await expect_from(c, "hello");
    co_await c.close();
    co_await srv.shutdown(1s);
    unix_streams pair = unix_stream_pair();
    co_await pair.a.write("by pair"sv);
    co_await expect_from(pair.b, "by pair");
}

task<> resolving(std::string) {
    const fault::armed here;
    std::vector<ip_endpoint> one = co_await resolve("127.0.0.1", "80");
    expect(one.at(0).to_string(), "127.0.0.1:80");
    std::vector<ip_endpoint> all = co_await resolve("localhost", "80");
    if (all.empty()) throw wrong("localhost has no address");
}

// --- several writers

/// Reads to the end. Where that fails, it closes: nobody is to wait for room.
template <class Reader>
task<> collect(std::optional<Reader>& r, std::string& got) {
    std::array<std::byte, 512> buffer;
    for (;;) {
        outcome<std::size_t> n = co_await as_result(r->read_some(buffer));
        if (!n) r.reset();
        const std::size_t size = n.value();
        if (size == 0) co_return;
        got.append(reinterpret_cast<const char*>(buffer.data()), size);
    }
}

template <class Writer>
task<> write_by_parts(std::optional<Writer>& w, const std::string& text) {
    const std::array<std::span<const std::byte>, 2> parts{bytes_of(text).first(100), bytes_of(text).subspan(100)};
    if constexpr (requires { w->write(parts); })
        co_await w->write(parts);
    else
        co_await w->write(bytes_of(text));
}

template <class Writer>
task<> write_whole(std::optional<Writer>& w, const std::string& text) {
    co_await w->write(bytes_of(text));
}

/// An injected loss leaves the connection as it was, so that what follows arrives.
bool is_pretended_loss(const outcome<>& end) {
    return end.error() == std::errc::connection_reset;
}

/// Two that write more than there is room for. Whatever fails: nothing arrives behind half of the first. Both ends go.
template <class Writer, class Reader>
task<> write_in_turn(std::optional<Writer>& w, std::optional<Reader>& r) {
    const std::string a(20'000, 'a');
    const std::string b(20'000, 'b');
    std::string got;
    auto first = spawn_eager(write_by_parts(w, a));
    auto second = spawn_eager(write_whole(w, b));
    auto reading = spawn_eager(collect(r, got));
    outcome<> first_end = co_await as_result(std::move(first));
    outcome<> second_end = co_await as_result(std::move(second));
    w.reset();
    outcome<> reading_end = co_await as_result(std::move(reading));
    const std::size_t of_first = std::min(got.find('b'), got.size());
    if (of_first > 0 && of_first < a.size() && of_first < got.size() && !is_pretended_loss(first_end))
        throw wrong("something followed " + std::to_string(of_first) + " bytes of a message of " + std::to_string(a.size()));
    if (first_end && second_end && reading_end) expect(got, a + b);
    for (outcome<>* end : {&first_end, &second_end, &reading_end}) static_cast<void>(end->value());
}

/// As small as the kernel lets it be.
std::array<int, 2> small_pipe() {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "a pipe of a test");
    ::fcntl(ends[1], F_SETPIPE_SZ, 4096);
    return ends;
}

task<> writers_of_a_pipe(std::string) {
    const std::array<int, 2> ends = small_pipe();
    std::optional<readable_pipe> r(std::in_place, ends[0]);
    std::optional<writable_pipe> w(std::in_place, ends[1]);
    const fault::armed here;
    co_await write_in_turn(w, r);
}

task<> writers_of_a_socket(std::string) {
    unix_streams pair = unix_stream_pair();
    const int size = 4096;
    ::setsockopt(pair.a.native_handle(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    std::optional<unix_stream> w(std::move(pair.a));
    std::optional<unix_stream> r(std::move(pair.b));
    const fault::armed here;
    co_await write_in_turn(w, r);
}

/// A stream of a descriptor that is shared, and the descriptor.
template <class Stream>
class shared_end {
public:
    shared_end(int fd, std::string_view name) : stream_(fd, name), fd_(fd) {}
    shared_end(const shared_end&) = delete;
    shared_end& operator=(const shared_end&) = delete;
    ~shared_end() { ::close(fd_); }
    task<> write(std::span<const std::byte> bytes) { return stream_.write(bytes); }
    task<std::size_t> read_some(std::span<std::byte> buffer) { return stream_.read_some(buffer); }

private:
    Stream stream_;
    int fd_;
};

task<> writers_of_standard_output(std::string) {
    const std::array<int, 2> ends = small_pipe();
    std::optional<shared_end<standard_input_stream>> r(std::in_place, ends[0], "input");
    std::optional<shared_end<standard_output_stream>> w(std::in_place, ends[1], "output");
    const fault::armed here;
    co_await write_in_turn(w, r);
}

/// A worker writes it.
task<> standard_output_to_a_file(std::string folder) {
    const std::string path = folder + "/out";
    const std::string text = some_text();
    const std::string last = "end";
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    std::optional<shared_end<standard_output_stream>> w(std::in_place, fd, "output");
    std::exception_ptr failure;
    {
        const fault::armed here;
        outcome<> first = co_await as_result(write_whole(w, text));
        outcome<> second = co_await as_result(write_whole(w, last));
        failure = first.exception() ? first.exception() : second.exception();
    }
    w.reset();
    const std::string got = contents(path);
    if (!failure) expect(got, text + last);
    if (got != last && got != text + last && got.ends_with(last)) throw wrong("something followed half a message");
    if (failure) std::rethrow_exception(failure);
}

// --- pipes and files

task<> pipes(std::string) {
    const fault::armed here;
    pipe_pair ends = make_pipe();
    const std::string text = some_text();
    co_await ends.writer.write(text);
    co_await expect_from(ends.reader, text);
    co_await ends.writer.close();
    std::array<std::byte, 16> buffer{};
    const std::size_t n = co_await ends.reader.read_some(buffer);
    if (n != 0) throw wrong("a closed pipe has no end");
}

task<> file_round_trip(std::string folder) {
    const std::string path = folder + "/file";
    const std::string text = some_text();
    const fault::armed here;
    file f = co_await file::open(path, file::mode::read_write | file::mode::create);
    co_await f.write(text);
    co_await f.write_at(0, "LINE"sv);
    co_await f.sync();
    const std::uint64_t size = co_await f.size();
    if (size != text.size()) throw wrong("the file has " + std::to_string(size) + " bytes");
    std::string got(4, '\0');
    for (std::size_t have = 0; have < got.size();) {
        const std::size_t n = co_await f.read_at(have, std::as_writable_bytes(std::span(got)).subspan(have));
        if (n == 0) throw wrong("the file ends after " + std::to_string(have));
        have += n;
    }
    expect(got, "LINE");
    co_await f.truncate(4);
    co_await f.close();
    fault::armed::disarm();
    expect(contents(path), "LINE");
}

task<> whole_files(std::string folder) {
    const std::string path = folder + "/file";
    const fault::armed here;
    co_await write_file(path, some_text());
    std::string got = co_await read_file(path);
    expect(got, some_text());
}

/// Whatever fails: the old contents or the new, and nothing beside it.
task<> atomic_files(std::string folder) {
    std::filesystem::create_directory(folder + "/real");
    const std::string path = folder + "/real/file";
    const std::string link = folder + "/link";
    std::ofstream(path) << "old";
    std::filesystem::permissions(path, std::filesystem::perms(0640));
    std::filesystem::create_symlink("real/file", link);
    std::exception_ptr failure;
    {
        const fault::armed here;
        try {
            co_await write_file_atomically(link, std::string("new"));
        } catch (const std::exception&) {
            failure = std::current_exception();
        }
    }
    const std::string now = contents(path);
    if (!failure || now != "old") expect(now, "new");
    if (!std::filesystem::is_symlink(link)) throw wrong("the link was replaced, not what it leads to");
    if (std::filesystem::status(path).permissions() != std::filesystem::perms(0640)) throw wrong("the permissions were lost");
    for (const auto& e : std::filesystem::directory_iterator(folder + "/real")) expect(e.path().filename().string(), "file");
    if (failure) std::rethrow_exception(failure);
}

task<> temporary_files(std::string folder) {
    const fault::armed here;
    temp_options o;
    o.directory = folder;
    temp_file kept = co_await temp_file::create(o);
    co_await kept.file().write("kept"sv);
    co_await kept.keep(folder + "/kept");
    temp_file removed = co_await temp_file::create(o);
    co_await removed.remove();
    file unnamed = co_await temp_file::open_unnamed(o);
    co_await unnamed.write("x"sv);
    co_await unnamed.close();
    temp_directory d = co_await temp_directory::create(o);
    co_await write_file(d.path() + "/inside", std::string("x"));
    co_await d.remove();
    fault::armed::disarm();
    expect(contents(folder + "/kept"), "kept");
}

task<> locks(std::string folder) {
    const fault::armed here;
    file f = co_await file::open(folder + "/lock", file::mode::read_write | file::mode::create);
    {
        file_lock held = co_await f.lock(lock_kind::exclusive);
    }
    co_await f.close();
}

task<> walking(std::string folder) {
    std::filesystem::create_directories(folder + "/a/b");
    std::ofstream(folder + "/a/one") << "1";
    std::ofstream(folder + "/a/b/two") << "2";
    std::filesystem::create_symlink("one", folder + "/a/link");
    const fault::armed here;
    std::size_t found = 0;
    fs::walk_options o;
    o.follow_symlinks = true;
    async_generator<fs::entry> all = fs::walk(folder, o);
    for (;;) {
        std::optional<fs::entry> e = co_await all.next();
        if (!e) break;
        ++found;
    }
    if (found != 5) throw wrong("the walk found " + std::to_string(found) + " entries");
    std::vector<fs::entry> listed = co_await fs::list(folder + "/a");
    if (listed.size() != 3) throw wrong("the list has " + std::to_string(listed.size()) + " entries");
    fs::file_info info = co_await fs::status(folder + "/a/one");
    if (info.size != 1) throw wrong("a file of one byte has " + std::to_string(info.size));
    const std::uintmax_t removed = co_await fs::remove_all(folder + "/a");
    if (removed != 5) throw wrong("remove_all removed " + std::to_string(removed));
}

task<> watching(std::string folder) {
    const fault::armed here;
    fs::watcher w;
    co_await w.add(folder);
    co_await write_file(folder + "/file", std::string("x"));
    for (;;) {
        fs::event e = co_await w.next();
        if (e.kind() == fs::change::written) break;
    }
    co_await w.close();
}

task<> sending_files(std::string folder) {
    const std::string path = folder + "/file";
    const std::string text = some_text();
    std::ofstream(path) << text;
    const fault::armed here;
    io_test::connection p = co_await io_test::connected();
    file f = co_await file::open(path);
    const std::size_t sent = co_await send_file(p.client, f);
    if (sent != text.size()) throw wrong("send_file sent " + std::to_string(sent));
    co_await p.client.close();
    std::string got = co_await io_test::read_all(p.server);
    expect(got, text);
    co_await f.close();
}

/// Through what the kernel moves by itself, which it may refuse at any step.
task<> splicing(std::string) {
    const std::string text = some_text();
    const fault::armed here;
    io_test::connection a = co_await io_test::connected();
    io_test::connection b = co_await io_test::connected();
    co_await a.client.write(text);
    co_await a.client.close();
    const std::uint64_t moved = co_await splice(a.server, b.client);
    if (moved != text.size()) throw wrong("splice moved " + std::to_string(moved));
    co_await b.client.close();
    std::string got = co_await io_test::read_all(b.server);
    expect(got, text);
}

// --- processes and signals

task<> processes(std::string folder) {
    const std::string text = some_text();
    const fault::armed here;
    run_process_options o;
    o.input = text;
    completed_process done = co_await run_process(command("cat"), o);
    expect(done.out, text);
    command to_file("sh", "-c", "echo hello");
    to_file.stdout_file(folder + "/out");
    process p = co_await process::spawn(std::move(to_file));
    exit_status status = co_await p.wait();
    expect(status.to_string(), "exit code 0");
    fault::armed::disarm();
    expect(contents(folder + "/out"), "hello\n");
}

task<> terminals(std::string) {
    const fault::armed here;
    command c("sh", "-c", "test -t 0 && test -t 1 && echo terminal");
    c.terminal();
    process p = co_await process::spawn(std::move(c));
    buffered_reader r{p.terminal()};
    std::string line = co_await r.read_until("\n");
    expect(line, "terminal\r\n");
    exit_status status = co_await p.wait();
    expect(status.to_string(), "exit code 0");
}

task<> signals(std::string) {
    const fault::armed here;
    signal_set s{SIGUSR1};
    auto waiting = spawn([&s]() -> task<int> { co_return co_await s.next(); });
    co_await sleep_for(1ms); // the loop looks for what has come
    ::raise(SIGUSR1);
    const int got = co_await waiting;
    if (got != SIGUSR1) throw wrong("signal " + std::to_string(got));
}

task<> timers_and_workers(std::string) {
    const fault::armed here;
    co_await sleep_for(1ms);
    const int two = co_await offload([] { return 2; });
    if (two != 2) throw wrong("a worker gave " + std::to_string(two));
}

constexpr std::array io_list{
    scenario{"tcp_echo", &tcp_echo},
    scenario{"tcp_options", &tcp_options},
    scenario{"udp_exchange", &udp_exchange},
    scenario{"udp_batches", &udp_batches},
    scenario{"unix_sockets", &unix_sockets},
    scenario{"resolving", &resolving},
    scenario{"writers_of_a_pipe", &writers_of_a_pipe},
    scenario{"writers_of_a_socket", &writers_of_a_socket},
    scenario{"writers_of_standard_output", &writers_of_standard_output},
    scenario{"standard_output_to_a_file", &standard_output_to_a_file},
    scenario{"pipes", &pipes},
    scenario{"file_round_trip", &file_round_trip},
    scenario{"whole_files", &whole_files},
    scenario{"atomic_files", &atomic_files},
    scenario{"temporary_files", &temporary_files},
    scenario{"locks", &locks},
    scenario{"walking", &walking},
    scenario{"watching", &watching},
    scenario{"sending_files", &sending_files},
    scenario{"splicing", &splicing},
    scenario{"processes", &processes, testing::test_time::real},
    scenario{"terminals", &terminals, testing::test_time::real},
    scenario{"signals", &signals},
    scenario{"timers_and_workers", &timers_and_workers},
};

} // namespace

std::span<const scenario> io_scenarios() noexcept {
    return io_list;
}

} // namespace faults

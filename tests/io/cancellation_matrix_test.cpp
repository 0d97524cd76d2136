// The awaitables of io in the cancellation matrix.
#include "lib/cancellation_matrix.hpp"

#include <eddy/fs_watcher.hpp>
#include <eddy/io.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace eddy;
using namespace std::chrono_literals;
using matrix::promise_of;
using matrix::subject;

namespace {

class of_a_connection : public subject {
protected:
    std::optional<tcp_stream> near_;
    std::optional<tcp_stream> far_;
    task<> prepare() override {
        tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
        near_ = co_await tcp_connect(l.local_endpoint());
        far_ = co_await l.accept();
    }
};
/// Takes up to so many bytes. Who sends may be over, and the connection be reset, before all was read.
task<> drain(tcp_stream from, std::size_t left) {
    std::string sink(1 << 20, '\0');
    while (left > 0) {
        const outcome<std::size_t> n = co_await as_result(from.read_some(std::as_writable_bytes(std::span(sink))));
        if (!n || *n == 0) co_return;
        left -= *n;
    }
}
class reads final : public of_a_connection {
    std::array<std::byte, 16> buffer_{};
    task<> await_it() override { static_cast<void>(co_await near_->read_some(buffer_)); }
    void complete() override { static_cast<void>(::write(far_->native_handle(), "x", 1)); }
};
class borrows final : public of_a_connection {
    task<> await_it() override { static_cast<void>(co_await near_->read_borrowed()); }
    void complete() override { static_cast<void>(::write(far_->native_handle(), "x", 1)); }
};
class waits_for_bytes final : public of_a_connection {
    task<> await_it() override { co_await near_->wait_readable(); }
    void complete() override { static_cast<void>(::write(far_->native_handle(), "x", 1)); }
};
class writes final : public of_a_connection {
    std::string much_ = std::string(32 << 20, 'x');
    task<> await_it() override { co_await near_->write(much_); }
    void complete() override { // nobody reads any more than this: enough for a write that is waited for
        spawn(&drain, std::move(*far_), much_.size());
    }
};
class gathers final : public of_a_connection {
    std::string much_ = std::string(16 << 20, 'x');
    std::array<std::span<const std::byte>, 2> parts_{bytes_of(much_), bytes_of(much_)};
    task<> await_it() override { co_await near_->write(parts_); }
    void complete() override {
        spawn(&drain, std::move(*far_), 2 * much_.size());
    }
};
class accepts final : public subject {
    tcp_listener l_ = tcp_listener::bind({"127.0.0.1", 0});
    task<> await_it() override { tcp_stream s = co_await l_.accept(); }
    void complete() override { // we may be gone before it knows that it is connected
        spawn([](ip_endpoint to) -> task<> { static_cast<void>(co_await as_result(tcp_connect(to))); }, l_.local_endpoint());
    }
};
class connects final : public subject {
    tcp_listener l_ = tcp_listener::bind({"127.0.0.1", 0});
    task<> await_it() override { tcp_stream s = co_await tcp_connect(l_.local_endpoint()); }
    void complete() override {}
};
class looks_up final : public subject {
    std::shared_ptr<event> known_ = std::make_shared<event>();
    resolver_cache names_{{}, [known = known_](std::string, std::string) { return look_up(known); }};
    static task<std::vector<ip_endpoint>> look_up(std::shared_ptr<event> known) { // it outlives us
        co_await known->wait();
        co_return std::vector<ip_endpoint>(1, ip_endpoint("127.0.0.1", 80));
    }
    task<> await_it() override { static_cast<void>(co_await names_.resolve("a.test", "80")); }
    void complete() override { known_->set(); }

public:
    ~looks_up() override { known_->set(); }
};
class closes final : public of_a_connection {
    task<> await_it() override { co_await near_->close(); }
    void complete() override {}
};
class receives : public subject {
protected:
    udp_socket near_ = udp_socket::bind({"127.0.0.1", 0});
    std::array<std::byte, 16> buffer_{};
    task<> await_it() override { static_cast<void>(co_await near_.receive_from(buffer_)); }
    void complete() override {
        udp_socket far = udp_socket::connect(near_.local_endpoint());
        REQUIRE(far.try_send("x"));
    }
};
class receives_many final : public receives {
    task<> await_it() override {
        std::array<udp_socket::incoming, 2> in{};
        for (udp_socket::incoming& i : in) i.buffer = buffer_;
        static_cast<void>(co_await near_.receive_many(in));
    }
};
class sends : public subject {
protected:
    udp_socket near_;
    udp_socket far_;
    std::string block_ = std::string(1000, 'x');
    task<> prepare() override { // UDP always has room over loopback
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends.data()) == 0);
        near_ = udp_socket::adopt(ends[0]);
        far_ = udp_socket::adopt(ends[1]);
        near_.set_send_buffer_size(8192);
        while (near_.try_send(block_)) {}
        co_return;
    }
    task<> await_it() override { co_await near_.send(block_); }
    void complete() override {
        std::array<std::byte, 1000> room;
        while (far_.try_receive_from(room)) {}
    }
};
class sends_many final : public sends {
    task<> await_it() override {
        const std::array<udp_socket::outgoing, 2> batch{{{bytes_of(block_)}, {bytes_of(block_)}}};
        co_await near_.send_many(batch);
    }
};
class of_a_unix_pair : public subject {
protected:
    unix_streams ends_ = unix_stream_pair();
    std::array<int, 1> passed_{0};
    std::array<std::byte, 16> buffer_{};
};
class sends_descriptors final : public of_a_unix_pair {
    task<> prepare() override {
        const std::string block(1 << 16, 'x');
        while (::send(ends_.a.native_handle(), block.data(), block.size(), MSG_NOSIGNAL) > 0) {}
        co_return;
    }
    task<> await_it() override { co_await ends_.a.send_descriptors("x", passed_); }
    void complete() override {
        std::string sink(1 << 16, '\0');
        while (::recv(ends_.b.native_handle(), sink.data(), sink.size(), 0) > 0) {}
    }
};
class writes_some final : public of_a_unix_pair {
    task<> prepare() override {
        const std::string block(1 << 16, 'x');
        while (::send(ends_.a.native_handle(), block.data(), block.size(), MSG_NOSIGNAL) > 0) {}
        co_return;
    }
    task<> await_it() override { static_cast<void>(co_await ends_.a.write_some("x")); }
    void complete() override {
        std::string sink(1 << 16, '\0');
        while (::recv(ends_.b.native_handle(), sink.data(), sink.size(), 0) > 0) {}
    }
};
class receives_descriptors final : public of_a_unix_pair {
    task<> await_it() override { static_cast<void>(co_await ends_.a.receive_descriptors(buffer_)); }
    void complete() override { static_cast<void>(::write(ends_.b.native_handle(), "x", 1)); }
};
class sends_to_full final : public subject {
    unix_endpoint to_{"@eddy-matrix-datagrams-" + std::to_string(::getpid())};
    unix_datagram_socket far_ = unix_datagram_socket::bind(to_.path());
    unix_datagram_socket near_ = unix_datagram_socket::bind(to_.path() + "-near");
    task<> prepare() override {
        while (near_.try_send_to("x", to_)) {}
        co_return;
    }
    task<> await_it() override { co_await near_.send_to("x", to_); }
    void complete() override {
        std::array<std::byte, 8> room;
        while (far_.try_receive_from(room)) {}
    }
};
class connects_unix final : public subject {
    std::string path_ = "@eddy-matrix-" + std::to_string(::getpid());
    unix_listener l_ = unix_listener::bind(path_, {.backlog = 0});
    std::optional<unix_stream> first_;
    task<> prepare() override { first_ = co_await unix_connect(path_); } // its queue is full
    task<> await_it() override { unix_stream s = co_await unix_connect(path_); }
    void complete() override {
        for (int fd = 0; fd >= 0;) {
            fd = ::accept4(l_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC);
            if (fd >= 0) ::close(fd);
        }
    }
};
class connects_raw final : public subject {
    tcp_listener l_ = tcp_listener::bind({"127.0.0.1", 0});
    task<> await_it() override {
        raw_socket s(AF_INET, SOCK_STREAM);
        co_await s.connect(l_.local_endpoint());
    }
    void complete() override {}
};
class connects_raw_local final : public subject {
    unix_endpoint name_{"@eddy-matrix-raw-" + std::to_string(::getpid())};
    raw_socket l_{AF_UNIX, SOCK_SEQPACKET};
    raw_socket first_{AF_UNIX, SOCK_SEQPACKET};
    task<> prepare() override {
        l_.bind(name_);
        l_.listen(0);
        co_await first_.connect(name_); // the queue is full
    }
    task<> await_it() override {
        raw_socket s(AF_UNIX, SOCK_SEQPACKET);
        co_await s.connect(name_);
    }
    void complete() override {
        for (int fd = 0; fd >= 0;) {
            fd = ::accept4(l_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC);
            if (fd >= 0) ::close(fd);
        }
    }
};
class accepts_raw final : public subject {
    raw_socket l_{AF_INET, SOCK_STREAM};
    task<> prepare() override {
        l_.bind(ip_endpoint("127.0.0.1", 0));
        l_.listen();
        co_return;
    }
    task<> await_it() override { raw_socket s = co_await l_.accept(); }
    void complete() override { // we may be gone before it knows that it is connected
        spawn([](ip_endpoint to) -> task<> { static_cast<void>(co_await as_result(tcp_connect(to))); }, l_.local_address().ip().value());
    }
};
class of_a_raw_pair : public subject {
protected:
    raw_sockets ends_ = raw_socket_pair(AF_UNIX, SOCK_SEQPACKET);
    std::array<std::byte, 1000> buffer_{};
};
class receives_raw final : public of_a_raw_pair {
    task<> await_it() override { static_cast<void>(co_await ends_.a.receive(buffer_)); }
    void complete() override { static_cast<void>(::send(ends_.b.native_handle(), "x", 1, MSG_NOSIGNAL)); }
};
class sends_raw final : public of_a_raw_pair {
    task<> prepare() override {
        while (::send(ends_.a.native_handle(), buffer_.data(), buffer_.size(), MSG_NOSIGNAL) > 0) {}
        co_return;
    }
    task<> await_it() override { co_await ends_.a.send(buffer_); }
    void complete() override {
        while (::recv(ends_.b.native_handle(), buffer_.data(), buffer_.size(), 0) > 0) {}
    }
};
class in_memory : public subject {
protected:
    testing::memory_streams ends_ = testing::memory_stream_pair({.capacity = 4});
    std::array<std::byte, 16> buffer_{};
};
class reads_memory final : public in_memory {
    task<> await_it() override { static_cast<void>(co_await ends_.a.read_some(buffer_)); }
    void complete() override { spawn(ends_.b.write("x")); }
};
class writes_memory final : public in_memory {
    task<> await_it() override { co_await ends_.a.write("01234567"); }
    void complete() override { spawn(ends_.b.read_some(buffer_)); }
};
class shuts_memory_down final : public in_memory {
    task<> await_it() override { co_await ends_.a.shutdown_write(); }
    void complete() override {}
};
class closes_memory final : public in_memory {
    task<> await_it() override { co_await ends_.a.close(); }
    void complete() override {}
};
class writes_buffered : public in_memory {
protected:
    std::optional<buffered_writer<testing::memory_stream>> w_;
    task<> prepare() override {
        w_.emplace(ends_.a, buffered_writer_options{.high = 4, .low = 1});
        co_await w_->write("01234567"); // more than the stream takes
    }
    void complete() override { // its own, for we may be gone before it has read
        spawn([](testing::memory_stream from) -> task<> {
            std::array<std::byte, 16> sink;
            for (std::size_t n = 1; n > 0;) n = co_await from.read_some(sink);
        }, std::move(ends_.b));
    }
};
class writes_to_full_buffer final : public writes_buffered {
    task<> await_it() override { co_await w_->write("8"); }
};
class flushes final : public writes_buffered {
    task<> await_it() override { co_await w_->flush(); }
};
class of_a_pipe : public subject {
protected:
    pipe_pair ends_ = make_pipe();
};
class reads_pipe final : public of_a_pipe {
    std::array<std::byte, 16> buffer_{};
    task<> await_it() override { static_cast<void>(co_await ends_.reader.read_some(buffer_)); }
    void complete() override { static_cast<void>(::write(ends_.writer.native_handle(), "x", 1)); }
};
class waits_for_process final : public subject {
    process cat_;
    task<> prepare() override { cat_ = co_await process::spawn(command("cat").stdin_pipe()); }
    task<> await_it() override { static_cast<void>(co_await cat_.wait()); }
    void complete() override { cat_.stdin_stream().abort(); }

public:
    ~waits_for_process() override {
        cat_.detach(); // its stdin is closed with it
    }
};
class waits_until_readable final : public subject {
    std::array<int, 2> ends_{-1, -1};
    task<> prepare() override {
        REQUIRE(::pipe2(ends_.data(), O_CLOEXEC) == 0);
        co_return;
    }
    task<> await_it() override { co_await wait_readable(ends_[0]); }
    void complete() override { static_cast<void>(::write(ends_[1], "x", 1)); }

public:
    ~waits_until_readable() override {
        for (const int fd : ends_) ::close(fd);
    }
};

class of_shared_pipe : public subject {
protected:
    std::array<int, 2> ends_{-1, -1};
    task<> prepare() override {
        REQUIRE(::pipe2(ends_.data(), O_CLOEXEC) == 0);
        co_return;
    }

public:
    ~of_shared_pipe() override {
        for (const int fd : ends_) ::close(fd);
    }
};
class reads_shared_pipe final : public of_shared_pipe {
    std::array<std::byte, 16> buffer_{};
    task<> await_it() override {
        standard_input_stream in(ends_[0], "a shared pipe");
        static_cast<void>(co_await in.read_some(buffer_));
    }
    void complete() override { static_cast<void>(::write(ends_[1], "x", 1)); }
};
class writes_shared_pipe final : public of_shared_pipe {
    task<> prepare() override {
        co_await of_shared_pipe::prepare();
        const std::string block(1 << 16, 'x'); // as much as a pipe takes
        REQUIRE(::write(ends_[1], block.data(), block.size()) == 1 << 16);
    }
    task<> await_it() override {
        standard_output_stream out(ends_[1], "a shared pipe");
        co_await out.write("x");
    }
    void complete() override {
        std::array<char, 1 << 12> sink;
        static_cast<void>(::read(ends_[0], sink.data(), sink.size()));
    }
};

/// To a peer that does not read, until it waits for room.
class sends_file final : public of_a_connection {
    file file_;
    task<> prepare() override {
        co_await of_a_connection::prepare();
        file_ = co_await temp_file::open_unnamed();
        co_await file_.truncate(32 << 20);
    }
    task<> await_it() override { static_cast<void>(co_await send_file(*near_, file_)); }
    task<> until_it_waits() override {
        while (this_loop().stats().pending_operations == 0) co_await this_task::yield();
    }
    void complete() override {
        spawn(&drain, std::move(*far_), std::size_t(32) << 20);
    }
};
/// Behind a write that the peer does not read.
class waits_for_its_turn final : public of_a_connection {
    file file_;
    std::string much_ = std::string(32 << 20, 'x');
    task_handle<> before_;
    task<> prepare() override {
        co_await of_a_connection::prepare();
        file_ = co_await temp_file::open_unnamed();
        before_ = spawn([](tcp_stream& to, std::string_view text) -> task<> { static_cast<void>(co_await as_result(to.write(text))); }, std::ref(*near_),
                        std::string_view(much_)); // until the stream is aborted
        while (this_loop().stats().pending_operations == 0) co_await this_task::yield();
    }
    task<> await_it() override { static_cast<void>(co_await send_file(*near_, file_)); }
    void complete() override {
        spawn(&drain, std::move(*far_), much_.size());
    }

public:
    ~waits_for_its_turn() override {
        if (near_) near_->abort();
    }
};
class watches_files final : public subject {
    std::optional<temp_directory> folder_;
    std::optional<fs::watcher> w_;
    task<> prepare() override {
        folder_ = co_await temp_directory::create();
        w_.emplace();
        co_await w_->add(folder_->path(), fs::change::created);
    }
    task<> await_it() override { static_cast<void>(co_await w_->next()); }
    void complete() override {
        ::close(::open((folder_->path() + "/" + std::to_string(++made_)).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    }
    int made_ = 0;
};
class locks_file final : public subject {
    std::optional<temp_file> file_;
    file other_;
    file_lock held_;
    task<> prepare() override {
        file_ = co_await temp_file::create();
        other_ = co_await file::open(file_->path());
        held_ = co_await file_->file().lock();
    }
    task<> await_it() override { const file_lock ours = co_await other_.lock(); }
    void complete() override { held_.unlock(); }
};

const std::vector<matrix::row>& rows() {
    using matrix::of;
    constexpr promise_of by_the_kernel{.at_once = false};
    static const std::vector<matrix::row> all{
        of<reads>("read_operation", "tcp_stream::read_some", by_the_kernel),
        of<borrows>("borrowed_read_operation", "tcp_stream::read_borrowed", by_the_kernel),
        of<waits_for_bytes>("wait_readable_operation", "tcp_stream::wait_readable", by_the_kernel),
        of<writes>("write_operation", "tcp_stream::write", {.at_once = false, .again = false}), // R4: broken after half a write
        of<gathers>("gather_write_operation", "tcp_stream::write of several buffers", {.at_once = false, .again = false}), // R4
        of<writes_some>("write_some_operation", "unix_stream::write_some", by_the_kernel),
        of<accepts>("accept_operation", "tcp_listener::accept", by_the_kernel),
        of<connects>("connect_operation", "tcp_connect", {.waits = false}),
        of<looks_up>("event_wait", "resolver_cache::resolve", {.at_once = false}),
        of<closes>("close_operation", "tcp_stream::close", {.waits = false, .again = false}), // R13: frees the handle, then throws
        of<receives>("receive_operation", "udp_socket::receive_from", by_the_kernel),
        of<receives_many>("receive_many_operation", "udp_socket::receive_many", by_the_kernel),
        of<sends>("send_operation", "udp_socket::send", by_the_kernel),
        of<sends_many>("send_many_operation", "udp_socket::send_many", by_the_kernel),
        of<sends_descriptors>("send_descriptors_operation", "unix_stream::send_descriptors", by_the_kernel),
        of<receives_descriptors>("receive_descriptors_operation", "unix_stream::receive_descriptors", by_the_kernel),
        of<sends_to_full>("send_to", "unix_datagram_socket::send_to", {.at_once = false}),
        of<connects_unix>("unix_connect", "unix_connect", {.at_once = false}),
        of<connects_raw>("raw_connect_operation", "raw_socket::connect", {.waits = false}),
        of<connects_raw_local>("sleep_operation", "raw_socket::connect to AF_UNIX", {.at_once = false}),
        of<accepts_raw>("accept_operation", "raw_socket::accept", by_the_kernel),
        of<receives_raw>("receive_operation", "raw_socket::receive", by_the_kernel),
        of<sends_raw>("send_operation", "raw_socket::send", by_the_kernel),
        of<reads_memory>("event_wait", "memory_stream::read_some", {.at_once = false}),
        of<writes_memory>("event_wait", "memory_stream::write", {.at_once = false, .again = false}), // R4
        of<shuts_memory_down>("mutex_lock", "memory_stream::shutdown_write", {.waits = false}),
        of<closes_memory>("checkpoint_operation", "memory_stream::close", {.waits = false, .again = false}), // R13
        of<writes_to_full_buffer>("buffer_wait", "buffered_writer::write", {.at_once = false}),
        of<flushes>("buffer_wait", "buffered_writer::flush", {.at_once = false}),
        of<reads_pipe>("read_operation", "readable_pipe::read_some", by_the_kernel),
        of<waits_for_process>("process_wait", "process::wait", by_the_kernel),
        of<waits_for_its_turn>("turn_operation", "send_file, behind a write", {.at_once = false, .again = false}),
        of<sends_file>("turn_wait", "send_file", {.at_once = false, .again = false}), // R4
        of<watches_files>("read_operation", "fs::watcher::next", by_the_kernel),
        of<locks_file>("offload_operation", "file::lock", {.at_once = false}),
        of<reads_shared_pipe>("readiness_operation", "standard_input_stream::read_some", by_the_kernel),
        of<writes_shared_pipe>("readiness_operation", "standard_output_stream::write", by_the_kernel),
        of<waits_until_readable>("readiness_operation", "wait_readable", by_the_kernel),
    };
    return all;
}

} // namespace

#include "lib/cancellation_matrix_tests.hpp"

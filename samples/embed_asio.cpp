// embed_asio: tasks in a program that is written with Asio. Both share one io_context and one thread.
//
// The program has a clock that ticks, in callbacks, and a server of Asio's that answers every line with its length. A task
// looks that server up and talks to it with Asio's own resolver and socket, and awaits what Asio gives by `use_eddy`. Another task asks a
// thermometer on a serial line now and then, by Asio's timer and descriptor. (Asio's TLS: embed_asio_tls.cpp.)
#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <eddy/asio.hpp>
#include <eddy/gather.hpp>
#include <eddy/sleep.hpp>
#include <eddy/timeout.hpp>

namespace {

using asio::ip::tcp;
using eddy::use_eddy;
using namespace std::chrono_literals;

// --- what was there before: callbacks

class ticking_clock {
public:
    explicit ticking_clock(asio::io_context& io) : timer_(io) { next(); }
    [[nodiscard]] int ticks() const noexcept { return ticks_; }
    void stop() { timer_.cancel(); }

private:
    void next() {
        timer_.expires_after(1ms);
        timer_.async_wait([this](std::error_code e) {
            if (e) return;
            ++ticks_;
            next();
        });
    }
    asio::steady_timer timer_;
    int ticks_ = 0;
};

// One connection of the server; lives as long as a handler of it is on its way.
class counting_session : public std::enable_shared_from_this<counting_session> {
public:
    explicit counting_session(tcp::socket s) : socket_(std::move(s)) {}
    void read() {
        asio::async_read_until(socket_, asio::dynamic_buffer(line_), '\n', [self = shared_from_this()](std::error_code e, std::size_t n) {
            if (!e) self->answer(n);
        });
    }

private:
    void answer(std::size_t n) {
        answer_ = std::to_string(n - 1) + "\n";
        line_.erase(0, n);
        asio::async_write(socket_, asio::buffer(answer_), [self = shared_from_this()](std::error_code e, std::size_t) {
            if (!e) self->read();
        });
    }
    tcp::socket socket_;
    std::string line_;
    std::string answer_;
};

void accept_next(tcp::acceptor& acceptor) {
    acceptor.async_accept([&acceptor](std::error_code e, tcp::socket s) {
        if (e) return;
        std::make_shared<counting_session>(std::move(s))->read();
        accept_next(acceptor);
    });
}

// --- a device on a serial line, which is the end of a pseudo-terminal here

/// Answers each '?' with a temperature; "off" with nothing ever again.
class thermometer {
public:
    explicit thermometer(asio::io_context& io) : wire_(io, ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
        const int fd = wire_.native_handle();
        if (::grantpt(fd) != 0 || ::unlockpt(fd) != 0) throw std::system_error(errno, std::generic_category(), "a pseudo-terminal");
        listen();
    }
    /// What a program opens, as it would /dev/ttyUSB0.
    [[nodiscard]] const char* path() { return ::ptsname(wire_.native_handle()); }
    void stop() { wire_.close(); }

private:
    void listen() {
        asio::async_read_until(wire_, asio::dynamic_buffer(asked_), '\n', [this](std::error_code e, std::size_t n) {
            if (!e) answer(n);
        });
    }
    void answer(std::size_t n) {
        const bool wants_one = asked_.substr(0, n) == "?\n";
        asked_.erase(0, n);
        if (!wants_one) return listen();
        answer_ = std::to_string(20 + ++answers_) + ".5\n";
        asio::async_write(wire_, asio::buffer(answer_), [this](std::error_code e, std::size_t) {
            if (!e) listen();
        });
    }
    asio::posix::stream_descriptor wire_;
    std::string asked_;
    std::string answer_;
    int answers_ = 0;
};

/// Bytes as they are: the line changes none and echoes none.
asio::posix::stream_descriptor open_serial_line(asio::io_context& io, const char* path) {
    asio::posix::stream_descriptor line(io, ::open(path, O_RDWR | O_NOCTTY | O_CLOEXEC));
    termios settings{};
    if (::tcgetattr(line.native_handle(), &settings) != 0) throw std::system_error(errno, std::generic_category(), path);
    ::cfmakeraw(&settings);
    if (::tcsetattr(line.native_handle(), TCSANOW, &settings) != 0) throw std::system_error(errno, std::generic_category(), path);
    return line;
}

// --- what is new: tasks

template <class Descriptor>
eddy::task<std::string> line_from(Descriptor& d) {
    std::string answer;
    const std::size_t n = co_await asio::async_read_until(d, asio::dynamic_buffer(answer), '\n', use_eddy);
    co_return answer.substr(0, n - 1);
}

eddy::task<> measure(asio::posix::stream_descriptor line) {
    asio::steady_timer pause(eddy::this_loop().io_context());
    for (int i = 0; i < 3; ++i) {
        pause.expires_after(2ms);
        co_await pause.async_wait(use_eddy);
        co_await asio::async_write(line, asio::buffer("?\n", 2), use_eddy);
        const std::string degrees = co_await line_from(line);
        std::printf("the thermometer says %s\n", degrees.c_str());
    }
    // Limits reach these, too: a device that does not answer, a timer that is far.
    co_await asio::async_write(line, asio::buffer("off\n", 4), use_eddy);
    const auto answer = co_await eddy::move_on_after(5ms, [&](eddy::cancel_scope&) -> eddy::task<std::string> {
        co_return co_await line_from(line);
    });
    std::puts(answer ? "the thermometer goes on" : "the thermometer is silent: cancelled");
    pause.expires_after(1h);
    const bool rang = co_await eddy::move_on_after(5ms, [&](eddy::cancel_scope&) -> eddy::task<> { co_await pause.async_wait(use_eddy); });
    std::puts(rang ? "an hour is over" : "the timer is far: cancelled");
}

eddy::task<std::string> ask(tcp::socket& s, std::string line) {
    line += '\n';
    co_await asio::async_write(s, asio::buffer(line), use_eddy);
    co_return co_await line_from(s);
}

eddy::task<> client(std::string port, const ticking_clock& clock) {
    asio::io_context& io = eddy::this_loop().io_context();
    tcp::resolver resolver(io);
    tcp::socket s(io);
    const tcp::resolver::results_type found = co_await resolver.async_resolve(tcp::v4(), "localhost", port, use_eddy);
    const tcp::endpoint server = co_await asio::async_connect(s, found, use_eddy); // to the first that answers
    std::printf("connected to %s\n", server.address().to_string().c_str());
    for (const char* word : {"one", "three", "seventeen"}) {
        const std::string length = co_await ask(s, word);
        std::printf("%s has %s letters\n", word, length.c_str());
    }
    const int before = clock.ticks();
    while (clock.ticks() < before + 3) co_await eddy::sleep_for(1ms); // the callbacks go on meanwhile
    std::puts("the clock ticked while the task slept");

    // A time limit reaches into Asio: the read is cancelled, and the socket is as good as before.
    std::array<char, 100> rest;
    const auto none = co_await eddy::move_on_after(5ms, [&](eddy::cancel_scope&) -> eddy::task<std::size_t> {
        co_return co_await s.async_read_some(asio::buffer(rest), use_eddy);
    });
    std::puts(none ? "there was something to read" : "nothing to read: cancelled");
    const std::string length = co_await ask(s, "again");
    std::printf("again has %s letters\n", length.c_str());
}

eddy::task<> everything(std::string port, const ticking_clock& clock, const char* device) {
    auto measuring = measure(open_serial_line(eddy::this_loop().io_context(), device));
    auto talking = client(std::move(port), clock);
    co_await eddy::gather(std::move(measuring), std::move(talking)); // beside each other
}

} // namespace

int main() {
    try {
        asio::io_context io;
        tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
        accept_next(acceptor);
        ticking_clock clock(io);
        thermometer device(io);

        eddy::event_loop loop{io};
        const std::string port = std::to_string(acceptor.local_endpoint().port());
        loop.run_until_complete(everything(port, clock, device.path())); // instead of io.run()
        device.stop();
        acceptor.close();
        clock.stop();
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "embed_asio: %s\n", e.what());
        return 1;
    }
}

// <eddy/asio.hpp>: a serial port. The other end of the line is a pseudo-terminal's.
#include <fcntl.h>
#include <stdlib.h>

#include <eddy/asio.hpp>
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

#if defined(ASIO_HAS_SERIAL_PORT)

using namespace eddy;
using namespace std::string_view_literals;

namespace {

class serial_line {
public:
    explicit serial_line(asio::io_context& io) : device(io), port(io) {
        const int fd = ::posix_openpt(O_RDWR | O_NOCTTY);
        if (fd < 0) throw std::system_error(errno, std::generic_category(), "posix_openpt");
        device.assign(fd);
        std::array<char, 64> name{};
        if (::grantpt(fd) != 0 || ::unlockpt(fd) != 0 || ::ptsname_r(fd, name.data(), name.size()) != 0)
            throw std::system_error(errno, std::generic_category(), "pseudo-terminal");
        port.open(name.data()); // Asio makes it raw
        port.set_option(asio::serial_port::baud_rate(115'200));
    }
    asio::posix::stream_descriptor device; // what the port is connected to
    asio::serial_port port;
};

} // namespace

EDDY_TEST_REAL("row 198 a serial port: a command and its answer") {
    serial_line s(this_loop().io_context());
    co_await asio::async_write(s.port, asio::buffer("AT\r\n"sv), use_eddy);
    std::string command;
    static_cast<void>(co_await asio::async_read_until(s.device, asio::dynamic_buffer(command), '\n', use_eddy));
    co_await asio::async_write(s.device, asio::buffer("OK\r\n"sv), use_eddy);
    std::string answer;
    static_cast<void>(co_await asio::async_read_until(s.port, asio::dynamic_buffer(answer), '\n', use_eddy));
    CHECK(command == "AT\r\n");
    CHECK(answer == "OK\r\n");
}

EDDY_TEST_REAL("R4 a serial port: a read that is cancelled half-way tells how much came, and the next one goes on") {
    serial_line s(this_loop().io_context());
    std::array<char, 8> data{};
    std::size_t partial = 0;
    auto reading = spawn([&]() -> task<> {
        try {
            static_cast<void>(co_await asio::async_read(s.port, asio::buffer(data), use_eddy));
        } catch (const operation_cancelled& c) {
            partial = c.partial();
            throw;
        }
    });
    co_await asio::async_write(s.device, asio::buffer("abc"sv), use_eddy);
    while (data[2] == '\0') co_await this_task::yield();
    reading.cancel();
    co_await reading.join();
    CHECK(reading.cancelled());
    CHECK(partial == 3);
    co_await asio::async_write(s.device, asio::buffer("defgh"sv), use_eddy);
    const std::size_t more = co_await asio::async_read(s.port, asio::buffer(data) + 3, use_eddy);
    CHECK(more == 5);
    CHECK(std::string_view(data.data(), data.size()) == "abcdefgh");
}

EDDY_TEST_REAL("a serial port whose other end goes away ends the read") {
    serial_line s(this_loop().io_context());
    std::array<char, 8> data;
    bool started = false;
    auto reading = spawn([&]() -> task<std::size_t> {
        started = true;
        co_return co_await s.port.async_read_some(asio::buffer(data), use_eddy);
    });
    while (!started) co_await this_task::yield();
    s.device.close();
    const outcome<std::size_t> o = co_await as_result(reading);
    const std::error_code end = o.error();
    const bool hung_up = end == asio::error::eof || end == std::errc::io_error;
    CHECK(hung_up);
}

#endif

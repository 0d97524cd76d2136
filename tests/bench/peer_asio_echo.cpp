// The same echo on plain Asio callbacks, to stand beside bench_echo.  usage: bench_peer_asio_echo PORT
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/write.hpp>

using asio::ip::tcp;

namespace {

class session : public std::enable_shared_from_this<session> {
public:
    explicit session(tcp::socket s) : socket_(std::move(s)), buffer_(new char[16384]) {}
    void read() {
        socket_.async_read_some(asio::buffer(buffer_.get(), 16384), [self = shared_from_this()](const asio::error_code& e, std::size_t n) {
            if (!e) self->write(n);
        });
    }

private:
    void write(std::size_t n) {
        asio::async_write(socket_, asio::buffer(buffer_.get(), n), [self = shared_from_this()](const asio::error_code& e, std::size_t) {
            if (!e) self->read();
        });
    }
    tcp::socket socket_;
    std::unique_ptr<char[]> buffer_; // what is never used takes no memory
};

void accept_next(tcp::acceptor& a) {
    a.async_accept([&a](const asio::error_code& e, tcp::socket s) {
        if (!e) {
            s.set_option(tcp::no_delay(true));
            std::make_shared<session>(std::move(s))->read();
        }
        accept_next(a);
    });
}

} // namespace

int main(int argc, char** argv) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    asio::io_context io(1);
    const auto port = static_cast<asio::ip::port_type>(argc > 1 ? std::atoi(argv[1]) : 9000);
    tcp::acceptor a(io, tcp::endpoint(asio::ip::address_v4::loopback(), port));
    accept_next(a);
    std::puts("READY");
    std::fflush(stdout);
    io.run();
}

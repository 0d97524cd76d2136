// echo_server: sends back what it is sent.
//
//     echo_server --port N [--engine asio]
//
// Prints "PORT n" and then "READY" when it listens; N = 0 lets the kernel pick a port. Try it with: nc 127.0.0.1 PORT.
// Ctrl-C ends it.
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include <eddy/run.hpp>
#include <eddy/serve.hpp>
#include <eddy/tcp.hpp>

namespace {

struct options {
    std::uint16_t port = 0;
    eddy::engine_kind engine = eddy::engine_kind::automatic;
};

// One connection, from its first byte to its end; each is a task of its own. An ordinary loop, although a thousand of
// them run side by side: at each co_await the others go on.
eddy::task<> echo(eddy::tcp_stream stream) {
    try {
        for (;;) {
            const eddy::borrowed_bytes got = co_await stream.read_borrowed(); // who waits holds no buffer
            if (got.empty()) break; // the other side has said all it had to say
            co_await stream.write(got);
        }
    } catch (const std::system_error&) {
        // The other side is gone in the middle of it. That is its business: the next one is served all the same.
    }
}

eddy::task<> serve_echo(std::uint16_t port) {
    const eddy::ip_endpoint where("0.0.0.0", port);
    eddy::tcp_listener listener = eddy::tcp_listener::bind(where);
    std::printf("PORT %d\nREADY\n", int{listener.local_endpoint().port()});
    std::fflush(stdout); // somebody may be reading this through a pipe
    // Accepts until it is cancelled, which Ctrl-C does; then it cancels the connections and waits for them.
    co_await eddy::serve(listener, echo);
}

std::uint16_t parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size())
        throw std::invalid_argument("--port: '" + std::string(text) + "' is no number from 0 to 65535");
    return port;
}

eddy::engine_kind parse_engine(std::string_view text) {
    if (text == "asio") return eddy::engine_kind::asio;
    if (text == "automatic") return eddy::engine_kind::automatic;
    throw std::invalid_argument("--engine: there is no engine '" + std::string(text) + "'; known: automatic, asio");
}

options parse_options(std::span<char*> arguments) {
    options o;
    std::optional<std::uint16_t> port;
    while (!arguments.empty()) {
        const std::string_view name = arguments.front();
        if (arguments.size() < 2)
            throw std::invalid_argument("'" + std::string(name) + "' needs a value, or is no option");
        const std::string_view value = arguments[1];
        arguments = arguments.subspan(2);
        if (name == "--port")
            port = parse_port(value);
        else if (name == "--engine")
            o.engine = parse_engine(value);
        else
            throw std::invalid_argument("there is no option '" + std::string(name) + "'");
    }
    if (!port) throw std::invalid_argument("--port is missing");
    o.port = *port;
    return o;
}

} // namespace

int main(int argc, char** argv) {
    try {
        const options o = parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
        return eddy::run_main(serve_echo(o.port), {.engine = o.engine});
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "echo_server: %s\nusage: echo_server --port N [--engine asio]\n", e.what());
        return 2;
    }
}

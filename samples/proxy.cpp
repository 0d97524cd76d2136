// proxy: passes connections on, to one place or to wherever a SOCKS5 client asks for.
//
//     proxy --port N --forward HOST:PORT                 everything that comes in goes to HOST:PORT
//     proxy --port N --socks5 [--user NAME]              RFC 1928; with --user clients have to log in by RFC 1929
//     and: [--address A] [--max-connections N] [--idle-timeout S] [--connect-timeout S] [--grace S]
//     (a timeout or a number of 0: no limit)
//
// Prints "PORT n" and then "READY" when it listens, on 127.0.0.1 unless told otherwise; N = 0 lets the kernel pick a
// port. Ctrl-C or SIGTERM: no more connections are taken, those that are there may end within the grace period, and
// then it tells what it has done. A second one ends it at once.
//
// The password is in the environment variable PROXY_PASSWORD: command lines can be read by every user of the machine.
//
// Try it with: curl --socks5-hostname 127.0.0.1:PORT http://example.org/
//
// What it needs for a connection is known beforehand: one task with two more inside it, two sockets, and a pipe each way, in
// which the kernel keeps what is under way (64 KiB at most; where descriptors run out, a buffer of that size). A side that
// does not read holds the other side up, instead of filling memory here.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <eddy/buffered_reader.hpp>
#include <eddy/gather.hpp>
#include <eddy/outcome.hpp>
#include <eddy/resolve.hpp>
#include <eddy/run.hpp>
#include <eddy/serve.hpp>
#include <eddy/splice.hpp>
#include <eddy/tcp.hpp>
#include <eddy/timeout.hpp>
#include <eddy/with_cleanup.hpp>

namespace {

using namespace std::chrono_literals;

struct target {
    std::string host;
    std::uint16_t port = 0;
    [[nodiscard]] std::string to_string() const {
        const bool literal_v6 = host.find(':') != std::string::npos;
        return (literal_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
    }
};

struct options {
    std::string address = "127.0.0.1"; // an open proxy is not to be had by forgetting an option
    std::uint16_t port = 0;
    std::optional<target> forward; // else SOCKS5
    std::optional<std::string> user;
    std::string password;
    std::size_t max_connections = 1000;
    std::chrono::nanoseconds idle_timeout = 5min;
    std::chrono::nanoseconds connect_timeout = 10s;
    std::chrono::nanoseconds grace = 5s;
};

constexpr std::chrono::seconds negotiation_timeout = 10s; // for all that a SOCKS client says before it is connected

struct counters {
    std::size_t connections = 0;
    std::size_t at_once = 0;
    std::size_t most_at_once = 0;
    std::size_t refused = 0;     // bad SOCKS, wrong password, a command we do not have
    std::size_t unreachable = 0; // the target could not be connected to
    std::size_t idle = 0;        // ended by the idle timeout
    std::size_t broken = 0;      // ended by an error on either side
    std::size_t completed = 0;   // both sides had said all they had to say
    std::uint64_t bytes_up = 0;  // client to target
    std::uint64_t bytes_down = 0;
};

// --- relay

// The deadline of a connection on which nothing moves: every transfer, either way, moves it on.
class idle_limit {
public:
    idle_limit(eddy::cancel_scope& scope, std::chrono::nanoseconds limit) : scope_(scope), limit_(limit) { touch(); }
    void touch() {
        if (scope_.expired()) return; // in the same tick: too late
        scope_.reschedule(limit_ == 0ns ? std::nullopt : std::optional(eddy::loop_clock::now() + limit_));
    }

private:
    eddy::cancel_scope& scope_;
    std::chrono::nanoseconds limit_;
};

// One direction, until its end, which is passed on as what it is: the end of one direction. (TCP calls it half-close: a
// client may have said all it has to say and still wait for the answer.) Nothing more is taken until what was is handed on, so
// a slow receiver slows the sender down.
eddy::task<> pump(eddy::tcp_stream& from, eddy::tcp_stream& to, idle_limit& idle, std::uint64_t& bytes) {
    eddy::splice_buffer between;
    while (const std::size_t n = co_await eddy::splice_some(from, to, between)) {
        idle.touch();
        bytes += n;
    }
    co_await to.shutdown_write();
}

// Both directions at once, until both have ended. The first error ends both: `gather` cancels the other pump and waits
// for it, so that nothing refers to the streams any more when it throws. Throws `timeout_error` if nothing moved for too long.
eddy::task<> relay(eddy::tcp_stream& client, eddy::tcp_stream& server, std::chrono::nanoseconds idle_timeout, counters& numbers) {
    const std::chrono::nanoseconds at_first = idle_timeout == 0ns ? std::chrono::nanoseconds::max() : idle_timeout;
    co_await eddy::with_timeout(at_first, [&](eddy::cancel_scope& scope) -> eddy::task<> {
        idle_limit idle(scope, idle_timeout);
        co_await eddy::gather(pump(client, server, idle, numbers.bytes_up), pump(server, client, idle, numbers.bytes_down));
    });
}

// --- SOCKS5

namespace socks {

constexpr std::uint8_t version = 5;

enum class method : std::uint8_t { none = 0, password = 2, no_acceptable = 0xff };

enum class reply : std::uint8_t {
    succeeded = 0,
    general_failure = 1,
    not_allowed = 2,
    network_unreachable = 3,
    host_unreachable = 4,
    connection_refused = 5,
    command_not_supported = 7,
    address_type_not_supported = 8
};

// The client asked for what it does not get. It has been told so, as far as the protocol has words for it.
class refusal : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

using reader = eddy::buffered_reader<eddy::tcp_stream>;

std::uint8_t byte_at(std::string_view text, std::size_t i) {
    return static_cast<std::uint8_t>(text[i]);
}

eddy::task<std::uint8_t> read_byte(reader& in) {
    const std::string one = co_await in.read_exactly(1);
    co_return byte_at(one, 0);
}

// A byte that says how many follow, and those.
eddy::task<std::string> read_counted(reader& in) {
    const std::size_t size = co_await read_byte(in);
    co_return co_await in.read_exactly(size);
}

// Takes as long whichever letter is the first wrong one.
bool same_secret(std::string_view a, std::string_view b) {
    unsigned difference = a.size() == b.size() ? 0 : 1;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
        difference |= unsigned{byte_at(a, i)} ^ byte_at(b, i);
    return difference == 0;
}

eddy::task<> send_method(eddy::tcp_stream& out, method m) {
    const std::array<char, 2> answer{static_cast<char>(version), static_cast<char>(m)};
    co_await out.write(std::string_view(answer.data(), answer.size()));
}

// RFC 1929.
eddy::task<> check_password(reader& in, eddy::tcp_stream& out, const options& o) {
    const std::uint8_t sub_version = co_await read_byte(in);
    if (sub_version != 1) throw refusal("version " + std::to_string(sub_version) + " of the password negotiation");
    const std::string name = co_await read_counted(in);
    const std::string password = co_await read_counted(in);
    const bool right_name = same_secret(name, *o.user);
    const bool right = same_secret(password, o.password) && right_name;
    const std::array<char, 2> answer{1, static_cast<char>(right ? 0 : 1)};
    co_await out.write(std::string_view(answer.data(), answer.size()));
    if (!right) throw refusal("wrong user or password");
}

eddy::task<> agree_on_method(reader& in, eddy::tcp_stream& out, const options& o) {
    const std::uint8_t v = co_await read_byte(in);
    // SOCKS4, HTTP, …: there is nothing to answer that it would understand.
    if (v != version) throw refusal("this is not SOCKS5: its first byte is " + std::to_string(v));
    const std::string offered = co_await read_counted(in);
    const method wanted = o.user ? method::password : method::none;
    if (offered.find(static_cast<char>(wanted)) == std::string::npos) {
        co_await send_method(out, method::no_acceptable);
        throw refusal(o.user ? "the client does not offer a password"
                             : "the client does not offer to do without authentication");
    }
    co_await send_method(out, wanted);
    if (o.user) co_await check_password(in, out, o);
}

// VER REP RSV ATYP BND.ADDR BND.PORT
std::string reply_bytes(reply code, const eddy::ip_endpoint& bound) {
    std::string text{static_cast<char>(version), static_cast<char>(code), 0, static_cast<char>(bound.is_v6() ? 4 : 1)};
    std::array<char, 16> raw{};
    inet_pton(bound.is_v6() ? AF_INET6 : AF_INET, bound.address().c_str(), raw.data());
    text.append(raw.data(), bound.is_v6() ? 16 : 4);
    text += static_cast<char>(bound.port() >> 8U);
    text += static_cast<char>(bound.port() & 0xffU);
    return text;
}

eddy::task<> send_reply(eddy::tcp_stream& out, reply code, eddy::ip_endpoint bound = {}) {
    const std::string bytes = reply_bytes(code, bound);
    co_await out.write(bytes);
}

std::string literal(int family, const std::string& raw) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(family, raw.data(), text.data(), text.size());
    return text.data();
}

// The request: whom to connect to. The address is read also for a command we do not have: the answer comes after the
// request.
eddy::task<target> read_request(reader& in, eddy::tcp_stream& out) {
    const std::string head = co_await in.read_exactly(4); // VER CMD RSV ATYP
    if (byte_at(head, 0) != version) throw refusal("the request is of version " + std::to_string(byte_at(head, 0)));
    target to;
    const std::uint8_t kind = byte_at(head, 3);
    if (kind == 1) {
        const std::string raw = co_await in.read_exactly(4);
        to.host = literal(AF_INET, raw);
    } else if (kind == 4) {
        const std::string raw = co_await in.read_exactly(16);
        to.host = literal(AF_INET6, raw);
    } else if (kind == 3) {
        to.host = co_await read_counted(in);
    } else {
        co_await send_reply(out, reply::address_type_not_supported);
        throw refusal("address type " + std::to_string(kind));
    }
    const std::string port = co_await in.read_exactly(2);
    to.port = static_cast<std::uint16_t>(byte_at(port, 0) << 8U | byte_at(port, 1));
    if (byte_at(head, 1) != 1) {
        co_await send_reply(out, reply::command_not_supported);
        throw refusal("command " + std::to_string(byte_at(head, 1)));
    }
    if (to.host.empty() || to.host.find('\0') != std::string::npos) {
        co_await send_reply(out, reply::general_failure);
        throw refusal("a host name that cannot be one");
    }
    co_return to;
}

reply code_for(const std::error_code& e) {
    if (e == std::errc::connection_refused) return reply::connection_refused;
    if (e == std::errc::network_unreachable) return reply::network_unreachable;
    if (e == std::errc::host_unreachable || e == std::errc::timed_out) return reply::host_unreachable;
    if (e == std::errc::permission_denied || e == std::errc::operation_not_permitted) return reply::not_allowed;
    return reply::general_failure;
}

// What became of the connection, in the words of RFC 1928.
reply code_for(const std::exception_ptr& why) {
    try {
        std::rethrow_exception(why);
    } catch (const eddy::connect_error& e) { // the last address is as good as any other
        return e.attempts().empty() ? reply::general_failure : code_for(e.attempts().back().error);
    } catch (const eddy::resolve_error&) {
        return reply::host_unreachable;
    } catch (const eddy::timeout_error&) {
        return reply::host_unreachable;
    } catch (const std::exception&) {
        return reply::general_failure;
    }
}

} // namespace socks

// --- proxy

class proxy {
public:
    explicit proxy(const options& o) : options_(o) {}

    // One connection, from its first byte to its end. What goes wrong is its own business: it is told, and the others
    // go on.
    eddy::task<> handle(eddy::tcp_stream client) {
        const leaves_when_gone counted(numbers_);
        std::string who = "a client that is gone already";
        try {
            who = client.remote_endpoint().to_string();
            if (options_.forward)
                co_await forward(client, who);
            else
                co_await negotiate_and_relay(client, who);
        } catch (const socks::refusal& e) {
            ++numbers_.refused;
            complain(who, e.what());
        } catch (const std::exception& e) { // not a cancellation: that is none
            ++numbers_.broken;
            complain(who, e.what());
        }
    }

    [[nodiscard]] const counters& numbers() const noexcept { return numbers_; }

private:
    class leaves_when_gone {
    public:
        explicit leaves_when_gone(counters& c) : counters_(c) {
            ++c.connections;
            c.most_at_once = std::max(c.most_at_once, ++c.at_once);
        }
        leaves_when_gone(const leaves_when_gone&) = delete;
        leaves_when_gone& operator=(const leaves_when_gone&) = delete;
        ~leaves_when_gone() { --counters_.at_once; }

    private:
        counters& counters_;
    };

    static void complain(const std::string& who, const char* what) {
        std::fprintf(stderr, "proxy: %s: %s\n", who.c_str(), what);
    }

    // The target's connection, or the error, which a SOCKS client is told.
    eddy::task<eddy::outcome<eddy::tcp_stream>> connect(const target& to, const std::string& who) {
        eddy::outcome<eddy::tcp_stream> got =
            co_await eddy::as_result(eddy::tcp_connect(to.host, to.port, {.timeout = options_.connect_timeout}));
        if (const std::exception_ptr why = got.exception()) {
            ++numbers_.unreachable;
            try {
                std::rethrow_exception(why);
            } catch (const std::exception& e) {
                complain(who, e.what());
            }
        }
        co_return got;
    }

    eddy::task<> forward(eddy::tcp_stream& client, const std::string& who) {
        eddy::outcome<eddy::tcp_stream> server = co_await connect(*options_.forward, who);
        if (server)
            co_await run_relay(client, *server, who);
        else
            client.abort(); // there are no words for it but a reset
    }

    eddy::task<target> negotiate(socks::reader& in, eddy::tcp_stream& client) {
        auto talk = [&](eddy::cancel_scope&) -> eddy::task<target> {
            co_await socks::agree_on_method(in, client, options_);
            co_return co_await socks::read_request(in, client);
        };
        try {
            co_return co_await eddy::with_timeout(negotiation_timeout, talk);
        } catch (const eddy::timeout_error&) {
            throw socks::refusal("it takes too long to say where to");
        } catch (const eddy::incomplete_read&) {
            throw socks::refusal("it left before it said where to");
        }
    }

    eddy::task<> negotiate_and_relay(eddy::tcp_stream& client, const std::string& who) {
        socks::reader in(client, {.chunk = 512});
        const target to = co_await negotiate(in, client);
        eddy::outcome<eddy::tcp_stream> server = co_await connect(to, who);
        if (!server) {
            if (!server.cancelled()) co_await socks::send_reply(client, socks::code_for(server.exception()));
            co_return;
        }
        co_await socks::send_reply(client, socks::reply::succeeded, server->local_endpoint());
        co_await run_relay(client, *server, who, in.buffered()); // what a client says before it is answered is the target's
    }

    eddy::task<> run_relay(eddy::tcp_stream& client, eddy::tcp_stream& server, const std::string& who, std::string_view read_ahead = {}) {
        try {
            co_await server.write(read_ahead);
            numbers_.bytes_up += read_ahead.size();
            co_await relay(client, server, options_.idle_timeout, numbers_);
            ++numbers_.completed;
        } catch (const eddy::timeout_error&) {
            ++numbers_.idle;
            complain(who, "nothing came either way for too long");
        } catch (const std::system_error& e) {
            ++numbers_.broken;
            complain(who, e.what());
            // What one side has lost the other side must not take for a proper end.
            client.abort();
            server.abort();
        }
    }

    const options& options_;
    counters numbers_;
};

void print_summary(const counters& c) {
    std::printf("connections %zu, at most %zu at once\n", c.connections, c.most_at_once);
    std::printf("completed %zu, broken %zu, idle %zu, unreachable %zu, refused %zu\n", c.completed, c.broken, c.idle,
                c.unreachable, c.refused);
    std::printf("bytes up %" PRIu64 ", down %" PRIu64 "\n", c.bytes_up, c.bytes_down);
    std::fflush(stdout);
}

eddy::task<> serve_proxy(const options& o) {
    proxy p(o);
    const eddy::ip_endpoint where(o.address, o.port);
    eddy::tcp_listener listener = eddy::tcp_listener::bind(where);
    std::printf("PORT %d\nREADY\n", int{listener.local_endpoint().port()});
    std::fflush(stdout);

    // Above the limit nobody is refused: they wait in the kernel's queue until somebody has left.
    eddy::server server(std::move(listener), [&p](eddy::tcp_stream client) { return p.handle(std::move(client)); },
                        {.max_connections = o.max_connections});
    server.start();
    // Ctrl-C cancels this task, and that alone: the server is a task of its own. So the wait ends, and the cleanup lets
    // the connections end, too; those that do not are cancelled. Everything has ended when it is over.
    auto finish = [&]() -> eddy::task<> {
        co_await server.shutdown(o.grace);
        print_summary(p.numbers());
    };
    co_await eddy::with_cleanup([&] { return server.join(); }, finish, o.grace + 2s);
}

// --- options

template <class T>
T parse_number(std::string_view name, std::string_view text, T most) {
    T value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value > most)
        throw std::invalid_argument(std::string(name) + ": '" + std::string(text) + "' is no number from 0 to " +
                                    std::to_string(most));
    return value;
}

std::chrono::seconds parse_seconds(std::string_view name, std::string_view text) {
    return std::chrono::seconds(parse_number<std::uint32_t>(name, text, 1'000'000));
}

// HOST:PORT, [V6]:PORT.
target parse_target(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0)
        throw std::invalid_argument("--forward: '" + std::string(text) + "' is not HOST:PORT");
    std::string_view host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    return {std::string(host), parse_number<std::uint16_t>("--forward", text.substr(colon + 1), 65535)};
}

void set_option(options& o, std::string_view name, std::string_view value) {
    if (name == "--port")
        o.port = parse_number<std::uint16_t>(name, value, 65535);
    else if (name == "--address")
        o.address = value;
    else if (name == "--forward")
        o.forward = parse_target(value);
    else if (name == "--user")
        o.user = value;
    else if (name == "--max-connections")
        o.max_connections = parse_number<std::uint32_t>(name, value, 1'000'000);
    else if (name == "--idle-timeout")
        o.idle_timeout = parse_seconds(name, value);
    else if (name == "--connect-timeout")
        o.connect_timeout = parse_seconds(name, value);
    else if (name == "--grace")
        o.grace = parse_seconds(name, value);
    else
        throw std::invalid_argument("there is no option '" + std::string(name) + "'");
}

options parse_options(std::span<char*> arguments) {
    options o;
    bool port_given = false;
    bool socks5 = false;
    while (!arguments.empty()) {
        const std::string_view name = arguments.front();
        if (name == "--socks5") {
            socks5 = true;
            arguments = arguments.subspan(1);
            continue;
        }
        if (arguments.size() < 2)
            throw std::invalid_argument("'" + std::string(name) + "' needs a value, or is no option");
        set_option(o, name, arguments[1]);
        port_given = port_given || name == "--port";
        arguments = arguments.subspan(2);
    }
    if (!port_given) throw std::invalid_argument("--port is missing");
    if (socks5 == o.forward.has_value()) throw std::invalid_argument("either --forward HOST:PORT or --socks5");
    if (o.user) {
        if (!socks5) throw std::invalid_argument("--user is for --socks5");
        const char* password = std::getenv("PROXY_PASSWORD");
        if (!password)
            throw std::invalid_argument("--user: the password is expected in the environment variable PROXY_PASSWORD");
        o.password = password;
    }
    static_cast<void>(eddy::ip_endpoint(o.address, o.port)); // throws, naming the text, if it is no address
    return o;
}

constexpr const char* usage =
    "usage: proxy --port N (--forward HOST:PORT | --socks5 [--user NAME]) [--address A] [--max-connections N]\n"
    "             [--idle-timeout S] [--connect-timeout S] [--grace S]\n";

} // namespace

int main(int argc, char** argv) {
    try {
        const options o = parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
        // What we wait for is bounded by our own grace period, which is shorter than that of the loop.
        return eddy::run_main(serve_proxy(o), {.grace = o.grace + 5s});
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "proxy: %s\n%s", e.what(), usage);
        return 2;
    }
}

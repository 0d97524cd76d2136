#include "proxy.hpp"

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <system_error>

#include <eddy/resolve.hpp>
#include <eddy/timeout.hpp>

#include "relay.hpp"

namespace port_proxy {

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::seconds negotiation_timeout = 10s; // for all that a SOCKS client says before it is connected

void complain(const std::string& who, const char* what) {
    std::fprintf(stderr, "proxy: %s: %s\n", who.c_str(), what);
}

} // namespace

eddy::task<> proxy::handle(eddy::tcp_stream client) {
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

// The target's connection, or the error, which a SOCKS client is told.
eddy::task<eddy::outcome<eddy::tcp_stream>> proxy::connect(const target& to, const std::string& who) {
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

eddy::task<> proxy::forward(eddy::tcp_stream& client, const std::string& who) {
    eddy::outcome<eddy::tcp_stream> server = co_await connect(*options_.forward, who);
    if (server)
        co_await run_relay(client, *server, who);
    else
        client.abort(); // there are no words for it but a reset
}

eddy::task<target> proxy::negotiate(socks::reader& in, eddy::tcp_stream& client) {
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

eddy::task<> proxy::negotiate_and_relay(eddy::tcp_stream& client, const std::string& who) {
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

eddy::task<> proxy::run_relay(eddy::tcp_stream& client, eddy::tcp_stream& server, const std::string& who,
                             std::string_view read_ahead) {
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

} // namespace port_proxy

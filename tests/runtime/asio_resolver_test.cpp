// <eddy/asio.hpp>: Asio's look-up of names, which its own thread does, and connecting to what was found.
#include <eddy/asio.hpp>
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <string>
#include <utility>
#include <vector>

using namespace eddy;

namespace {

using name_resolver = asio::ip::tcp::resolver;

/// Counts what it found.
task<> look_up(name_resolver& r, int& started, int& found) {
    ++started;
    const name_resolver::results_type all = co_await r.async_resolve("127.0.0.1", "80", use_eddy);
    if (all.size() == 1) ++found;
}

/// So many at once, all of them under way. The thread takes one after the other: few have ended yet.
task<std::vector<task_handle<void>>> many_look_ups(name_resolver& r, int& found) {
    constexpr int wanted = 20;
    int started = 0;
    std::vector<task_handle<void>> all;
    for (int i = 0; i < wanted; ++i) all.push_back(spawn(look_up(r, started, found)));
    while (started < wanted) co_await this_task::yield();
    co_return all;
}

} // namespace

EDDY_TEST_REAL("row 198 a literal address is resolved and connected to") {
    asio::io_context& io = this_loop().io_context();
    asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    const std::string port = std::to_string(acceptor.local_endpoint().port());
    name_resolver r(io);
    const name_resolver::results_type found = co_await r.async_resolve("127.0.0.1", port, use_eddy);
    REQUIRE(found.size() == 1);
    CHECK((found.begin()->endpoint() == acceptor.local_endpoint()));
    asio::ip::tcp::socket client(io);
    const asio::ip::tcp::endpoint where = co_await asio::async_connect(client, found, use_eddy);
    const asio::ip::tcp::socket server = co_await acceptor.async_accept(use_eddy);
    CHECK((where == acceptor.local_endpoint()));
    CHECK((server.remote_endpoint() == client.local_endpoint()));
}

EDDY_TEST_REAL("row 198 localhost is resolved to loopback addresses") {
    name_resolver r(this_loop().io_context());
    const name_resolver::results_type found = co_await r.async_resolve("localhost", "80", use_eddy);
    CHECK_FALSE(found.empty());
    for (const auto& entry : found) {
        CHECK(entry.endpoint().address().is_loopback());
        CHECK(entry.endpoint().port() == 80);
        CHECK(entry.host_name() == "localhost");
    }
}

EDDY_TEST_REAL("what cannot be resolved is an error of Asio's") {
    name_resolver r(this_loop().io_context());
    const auto flags = name_resolver::numeric_host; // no question to anybody
    const outcome<name_resolver::results_type> o = co_await as_result(r.async_resolve("no address", "80", flags, use_eddy));
    CHECK(o.error() == asio::error::host_not_found);
}

EDDY_TEST_REAL("R2 a look-up has no slot: when it is cancelled it is waited for, and what it found is delivered") {
    name_resolver r(this_loop().io_context());
    int found = 0;
    auto all = co_await many_look_ups(r, found);
    for (auto& h : all) h.cancel();
    for (auto& h : all) co_await h.join();
    CHECK(found == 20);
    CHECK(this_loop().stats().pending_operations == 0);
}

EDDY_TEST_REAL("row 198 a resolver that gives up: what had not begun is an error, and the end of a task that was cancelled") {
    name_resolver r(this_loop().io_context());
    int found = 0;
    int given_up = 0;
    auto all = co_await many_look_ups(r, found);
    r.cancel();
    for (auto& h : all) {
        const outcome<void> o = co_await as_result(h);
        if (o.error() == asio::error::operation_aborted) ++given_up;
    }
    CHECK(found + given_up == 20);

    found = 0;
    int cancelled = 0;
    all = co_await many_look_ups(r, found);
    for (auto& h : all) h.cancel();
    r.cancel();
    for (auto& h : all) {
        co_await h.join();
        if (h.cancelled()) ++cancelled;
    }
    CHECK(found + cancelled == 20);
    CHECK(this_loop().stats().pending_operations == 0);
}

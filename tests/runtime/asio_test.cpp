// <eddy/asio.hpp>: Asio's operations, awaited.
#include <fcntl.h>
#include <unistd.h>

#include <eddy/asio.hpp>
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <asio/experimental/channel.hpp>

#include "runtime/asio_pending.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using asio_test::pending;

namespace {

/// Completes at once, from within the call that starts it.
template <class Signature, class... A>
auto at_once(A... args) {
    return asio::async_initiate<const use_eddy_t, Signature>([](auto handler, auto... parts) { std::move(handler)(std::move(parts)...); }, use_eddy,
                                                             std::move(args)...);
}

class counts_itself {
public:
    explicit counts_itself(int& alive) noexcept : alive_(&alive) { ++*alive_; }
    counts_itself(counts_itself&& o) noexcept : alive_(o.alive_) { ++*alive_; }
    counts_itself& operator=(counts_itself&&) noexcept { return *this; } // both count on
    ~counts_itself() { --*alive_; }

private:
    int* alive_;
};

/// Ends when it is cancelled, with this, as if three bytes had been moved.
template <class Error>
auto until_cancelled(Error error) {
    return asio::async_initiate<const use_eddy_t, void(std::tuple<Error, std::size_t>)>(
        [](auto handler, const Error& e) {
            auto slot = asio::get_associated_cancellation_slot(handler);
            slot.assign([e, h = std::make_shared<decltype(handler)>(std::move(handler))](asio::cancellation_type_t) {
                auto called = std::move(*h);
                std::move(called)(std::tuple<Error, std::size_t>(e, 3));
            });
        },
        use_eddy, std::move(error));
}

std::string error_of(const std::exception_ptr& e) {
    try {
        std::rethrow_exception(e);
    } catch (const std::exception& x) {
        return x.what();
    }
}

} // namespace

EDDY_TEST_REAL("row 198 a timer of Asio's is awaited") {
    asio::steady_timer timer{this_loop().io_context(), 1ms};
    co_await timer.async_wait(use_eddy);
    CHECK(timer.expiry() <= asio::steady_timer::clock_type::now());
}

EDDY_TEST("values come back, several as a tuple") {
    const int one = co_await at_once<void(std::error_code, int)>(std::error_code(), 7);
    const std::unique_ptr<int> owner = co_await at_once<void(std::unique_ptr<int>)>(std::make_unique<int>(5));
    const std::tuple<int, std::string> two = co_await at_once<void(std::error_code, int, std::string)>(std::error_code(), 1, std::string("x"));
    co_await at_once<void()>();
    co_await at_once<void(std::error_code)>(std::error_code());
    const long widened = co_await at_once<void(std::exception_ptr, long)>(std::exception_ptr(), 3);
    CHECK(one == 7);
    CHECK(*owner == 5);
    CHECK(two == std::tuple<int, std::string>(1, "x"));
    CHECK(widened == 3);
}

EDDY_TEST("an error is thrown: error codes as std::system_error, exceptions as they are") {
    std::error_code code;
    std::string text;
    try {
        static_cast<void>(co_await at_once<void(std::error_code, int)>(std::error_code(asio::error::connection_refused), 0));
    } catch (const std::system_error& e) {
        code = e.code();
        text = e.what();
    }
    CHECK(code == asio::error::connection_refused);
    CHECK(text == "Asio: Connection refused");
    text.clear();
    try {
        co_await at_once<void(std::exception_ptr)>(std::make_exception_ptr(std::domain_error("d")));
    } catch (const std::domain_error& e) {
        text = e.what();
    }
    CHECK(text == "d");
    const outcome<int> o = co_await as_result(at_once<void(std::error_code, int)>(std::error_code(asio::error::eof), 0));
    CHECK(o.error() == asio::error::eof);
}

EDDY_TEST("nothing starts before the await, and arguments live once") {
    int alive = 0;
    bool started = false;
    {
        counts_itself argument(alive);
        auto op = asio::async_initiate<const use_eddy_t, void(int)>([&](auto handler, counts_itself a) {
            started = true;
            const counts_itself moved(std::move(a));
            std::move(handler)(3);
        }, use_eddy, std::move(argument));
        CHECK_FALSE(started);
        auto other = std::move(op);
        const int v = co_await other;
        CHECK(v == 3);
    }
    CHECK(alive == 0);
    // a temporary, with arguments that own something, within the expression (trap T1)
    const int v = co_await asio::async_initiate<const use_eddy_t, void(int)>(
        [](auto handler, const counts_itself&, const std::string& s) { std::move(handler)(static_cast<int>(s.size())); }, use_eddy,
        counts_itself(alive), std::string(100, 'x'));
    CHECK(v == 100);
    CHECK(alive == 0);
}

EDDY_TEST("an operation that is never awaited never starts") {
    bool started = false;
    {
        auto op = asio::async_initiate<const use_eddy_t, void()>([&](auto) { started = true; }, use_eddy);
        static_cast<void>(op);
    }
    co_await this_task::yield();
    CHECK_FALSE(started);
}

EDDY_TEST("what the call that starts it throws comes out of the await") {
    std::string text;
    try {
        co_await asio::async_initiate<const use_eddy_t, void()>([](auto) { throw std::runtime_error("cannot start"); }, use_eddy);
    } catch (const std::runtime_error& e) {
        text = e.what();
    }
    CHECK(text == "cannot start");
    CHECK(this_loop().stats().pending_operations == 0);
}

EDDY_TEST("a handler that is dropped ends the wait") {
    pending p;
    auto h = spawn([&]() -> task<int> { co_return co_await p.async_wait(use_eddy); });
    co_await testing::settle();
    CHECK(this_loop().stats().pending_operations == 1);
    p.drop();
    const outcome<int> o = co_await as_result(h);
    CHECK(error_of(o.exception()) == "an Asio operation was dropped: its handler was destroyed without having been called");
    CHECK(this_loop().stats().pending_operations == 0);
}

EDDY_TEST_REAL("row 198 a cancelled wait ends cancelled, and the object works on") {
    asio::steady_timer timer{this_loop().io_context(), 1h};
    const bool in_time = co_await move_on_after(1ms, [&](cancel_scope&) -> task<> { co_await timer.async_wait(use_eddy); });
    CHECK_FALSE(in_time);
    timer.expires_after(0ms);
    co_await timer.async_wait(use_eddy);
}

EDDY_TEST("row 198 the slot is asked for all it supports; what cannot be stopped is waited for") {
    pending p;
    p.deaf = true;
    std::string log;
    auto h = spawn([&]() -> task<> {
        const int v = co_await p.async_wait(use_eddy);
        log += std::to_string(v);
        co_await this_task::checkpoint();
        log += " not here";
    });
    co_await testing::settle();
    h.cancel();
    co_await testing::settle();
    CHECK(p.waits());
    CHECK(p.asked == asio::cancellation_type_t::all);
    p.complete({}, 8);
    co_await h.join();
    CHECK(log == "8"); // R2
    CHECK(h.cancelled());
}

EDDY_TEST("R2 an error that is not ours beats the cancellation; operation_aborted without one is an error") {
    pending p;
    p.deaf = true;
    auto h = spawn([&]() -> task<int> { co_return co_await p.async_wait(use_eddy); });
    co_await testing::settle();
    h.cancel();
    p.complete(asio::error::connection_reset, 0);
    const outcome<int> o = co_await as_result(h);
    CHECK(o.error() == asio::error::connection_reset);

    auto other = spawn([&]() -> task<int> { co_return co_await p.async_wait(use_eddy); });
    co_await testing::settle();
    p.complete(asio::error::operation_aborted, 0);
    const outcome<int> aborted = co_await as_result(other);
    CHECK(aborted.error() == asio::error::operation_aborted);
}

EDDY_TEST("R4 a cancelled transfer tells how much it moved") {
    asio_test::pipe p(this_loop().io_context());
    static_cast<void>(::fcntl(p.out.native_handle(), F_SETPIPE_SZ, 4096));
    const std::string much(100'000, 'x');
    std::size_t partial = 0;
    auto h = spawn([&]() -> task<> {
        try {
            static_cast<void>(co_await asio::async_write(p.out, asio::buffer(much), use_eddy));
        } catch (const operation_cancelled& c) {
            partial = c.partial();
            throw;
        }
    });
    co_await testing::settle();
    h.cancel();
    co_await h.join();
    CHECK(h.cancelled());
    CHECK(partial > 0);
    CHECK(partial < much.size());
}

EDDY_TEST("row 198 a cancellation between two steps of an operation reaches the next one, once that is under way") {
    pending p;
    p.between_steps = true;
    auto h = spawn([&]() -> task<int> { co_return co_await p.async_wait(use_eddy); });
    co_await testing::settle();
    h.cancel();
    co_await testing::settle();
    CHECK(p.waits());
    p.listen();
    CHECK(p.waits()); // not from within the call that starts it
    co_await h.join();
    CHECK(h.cancelled());
    CHECK(p.asked == asio::cancellation_type_t::all);
}

EDDY_TEST("row 198 a step that was too late to be cancelled: the one after it is told again") {
    pending p;
    p.deaf = true;
    auto h = spawn([&]() -> task<int> { co_return co_await p.async_wait(use_eddy); });
    co_await testing::settle();
    h.cancel();
    co_await testing::settle();
    CHECK(p.waits());
    p.deaf = false;
    p.listen();
    co_await h.join();
    CHECK(h.cancelled());
}

EDDY_TEST("R2 a step that began after the cancellation and completes first delivers its value") {
    pending p;
    p.between_steps = true;
    int value = 0;
    auto h = spawn([&]() -> task<> { value = co_await p.async_wait(use_eddy); });
    co_await testing::settle();
    h.cancel();
    p.listen();
    p.complete({}, 5);
    co_await h.join();
    CHECK(value == 5);
    CHECK(p.asked == asio::cancellation_type_t::none);
    CHECK(this_loop().stats().pending_operations == 0);
}

EDDY_TEST("R4 an operation that gives a tuple, as with as_tuple, ends cancelled, too, and tells how much it moved") {
    std::size_t partial = 0;
    auto code = spawn([&]() -> task<> {
        auto op = until_cancelled(std::error_code(asio::error::operation_aborted));
        try {
            static_cast<void>(co_await op);
        } catch (const operation_cancelled& c) {
            partial = c.partial();
            throw;
        }
    });
    auto exception = spawn([]() -> task<> {
        auto op = until_cancelled(std::make_exception_ptr(std::system_error(std::error_code(asio::error::operation_aborted))));
        static_cast<void>(co_await op);
    });
    co_await testing::settle();
    code.cancel();
    exception.cancel();
    co_await code.join();
    co_await exception.join();
    CHECK(code.cancelled());
    CHECK(partial == 3);
    CHECK(exception.cancelled());
}

EDDY_TEST("bytes through a pipe, composed and basic") {
    asio_test::pipe p(this_loop().io_context());
    auto reader = spawn([&]() -> task<std::string> {
        std::string line;
        const std::size_t n = co_await asio::async_read_until(p.in, asio::dynamic_buffer(line), '\n', use_eddy);
        co_return line.substr(0, n);
    });
    const std::size_t sent = co_await asio::async_write(p.out, asio::buffer(std::string_view("hello\n")), use_eddy);
    const std::string& line = co_await reader;
    CHECK(sent == 6);
    CHECK(line == "hello\n");
    p.out.close();
    std::array<char, 8> rest;
    const outcome<std::size_t> end = co_await as_result(p.in.async_read_some(asio::buffer(rest), use_eddy));
    CHECK(end.error() == asio::error::eof);
}

EDDY_TEST("sockets whose executor is type-erased: connect, accept, resolve") {
    asio::io_context& io = this_loop().io_context();
    asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    asio::ip::tcp::socket client(io);
    auto accepted = spawn([&]() -> task<asio::ip::tcp::socket> { co_return co_await acceptor.async_accept(use_eddy); });
    co_await client.async_connect(acceptor.local_endpoint(), use_eddy);
    asio::ip::tcp::socket server = co_await std::move(accepted);
    std::array<char, 8> data{};
    static_cast<void>(co_await client.async_write_some(asio::buffer("hi", 2), use_eddy));
    const std::size_t n = co_await server.async_read_some(asio::buffer(data), use_eddy);
    CHECK(std::string_view(data.data(), n) == "hi");
}

EDDY_TEST_REAL("a channel of Asio's between a task and a handler") {
    asio::experimental::channel<void(std::error_code, int)> c(this_loop().io_context());
    auto got = spawn([&]() -> task<int> { co_return co_await c.async_receive(use_eddy); });
    co_await c.async_send(std::error_code(), 4, use_eddy);
    const int v = co_await got;
    CHECK(v == 4);
}

#if defined(ASIO_HAS_CO_AWAIT)
EDDY_TEST_REAL("a coroutine of Asio's is awaited, and cancelled") {
    asio::io_context& io = this_loop().io_context();
    const int v = co_await asio::co_spawn(io, []() -> asio::awaitable<int> { co_return 3; }, use_eddy);
    CHECK(v == 3);
    auto wait = []() -> asio::awaitable<void> {
        asio::steady_timer t(co_await asio::this_coro::executor, 1h);
        co_await t.async_wait(asio::use_awaitable);
    };
    const bool in_time = co_await move_on_after(1ms, [&](cancel_scope&) -> task<> { co_await asio::co_spawn(io, wait, use_eddy); });
    CHECK_FALSE(in_time);
}
#endif

EDDY_TEST_REAL("a completion on another thread comes back to the loop's") {
    std::thread worker;
    const auto here = std::this_thread::get_id();
    auto op = asio::async_initiate<const use_eddy_t, void(std::thread::id)>([&](auto handler) {
        worker = std::thread([h = std::move(handler)]() mutable { std::move(h)(std::this_thread::get_id()); });
    }, use_eddy);
    const std::thread::id there = co_await op;
    worker.join();
    CHECK(there != here);
    CHECK(std::this_thread::get_id() == here);
    asio::thread_pool pool(1);
    co_await asio::post(pool, use_eddy);
    CHECK(std::this_thread::get_id() == here);
    pool.join();
}

EDDY_TEST("an operation of Asio's in a race: the loser is cancelled") {
    pending p;
    pending q;
    auto h = spawn([&]() -> task<std::size_t> {
        auto won = co_await race(p.async_wait(use_eddy), q.async_wait(use_eddy));
        co_return won.index;
    });
    co_await testing::settle();
    q.complete({}, 1);
    const std::size_t index = co_await h;
    CHECK(index == 1);
    CHECK_FALSE(p.waits());
}

TEST_CASE("a loop that ends cancels what waits for Asio") {
    pending p;
    bool unwound = false;
    run([](pending& q, bool& u) -> task<> {
        spawn([](pending& r, bool& v) -> task<> {
            struct note {
                bool& flag;
                ~note() { flag = true; }
            } n{v};
            static_cast<void>(co_await r.async_wait(use_eddy));
        }, std::ref(q), std::ref(u));
        for (int i = 0; i < 3; ++i) co_await this_task::yield();
    }(p, unwound), {.handle_signals = false});
    CHECK(unwound);
    CHECK_FALSE(p.waits());
}

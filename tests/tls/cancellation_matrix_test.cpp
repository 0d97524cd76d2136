// The awaitables of tls in the cancellation matrix.
#include "lib/cancellation_matrix.hpp"

#include "tls/support.hpp"

#include <optional>

using namespace tls_tests;
using matrix::promise_of;
using matrix::subject;

namespace {

/// Reads all there is, until it ends somehow.
task<> drain(memory_tls s) {
    std::string sink(65536, '\0');
    for (;;) {
        const auto n = co_await as_result(s.read_some(std::as_writable_bytes(std::span(sink))));
        if (!n || *n == 0) co_return;
    }
}

class of_a_connection : public subject {
protected:
    std::optional<memory_tls> near_;
    std::optional<memory_tls> far_;
    task<> prepare() override {
        auto c = co_await in_memory({.capacity = 4096});
        near_.emplace(std::move(c.client));
        far_.emplace(std::move(c.server));
    }
    task<> until_it_waits() override {
        for (int i = 0; i < 40; ++i) co_await this_task::yield();
    }
    void complete() override {
        if (far_) spawn(drain(std::move(*far_)));
        far_.reset();
    }
    /// Leaves no room for a record.
    task<> fill() {
        const std::string filling(4096 - 22, 'x');
        co_await near_->write(filling);
    }
};
class reads final : public of_a_connection {
    task<> await_it() override { static_cast<void>(co_await read_text(*near_)); }
    void complete() override { spawn(write_text(*far_, "x")); }
};
class borrows final : public of_a_connection {
    task<> await_it() override { static_cast<void>(co_await near_->read_borrowed()); }
    void complete() override { spawn(write_text(*far_, "x")); }
};
class writes final : public of_a_connection {
    task<> prepare() override {
        co_await of_a_connection::prepare();
        co_await fill();
    }
    task<> await_it() override { co_await near_->write("one more"); }
};
class shuts_down final : public of_a_connection {
    task<> prepare() override {
        co_await of_a_connection::prepare();
        co_await fill();
    }
    task<> await_it() override { co_await near_->shutdown_write(); }
};
class closes final : public of_a_connection {
    task<> await_it() override { co_await near_->close(); }
    void complete() override {}
};
/// A new pair of streams for each await.
class shakes_hands : public subject {
protected:
    std::optional<testing::memory_streams> ends_;
    void start_anew() { ends_.emplace(testing::memory_stream_pair()); }
    task<> until_it_waits() override {
        for (int i = 0; i < 40; ++i) co_await this_task::yield();
    }
};
class upgrades final : public shakes_hands {
    task<> await_it() override {
        start_anew();
        memory_tls t = co_await tls_upgrade(std::move(ends_->a), client_context(), "localhost");
    }
    void complete() override {
        spawn([](shakes_hands& self, std::optional<testing::memory_streams>& ends) -> task<> {
            static_cast<void>(self);
            static_cast<void>(co_await as_result(tls_accept(std::move(ends->b), server_context())));
        }, std::ref(static_cast<shakes_hands&>(*this)), std::ref(ends_));
    }
};
class accepts final : public shakes_hands {
    task<> await_it() override {
        start_anew();
        memory_tls t = co_await tls_accept(std::move(ends_->b), server_context());
    }
    void complete() override {
        spawn([](std::optional<testing::memory_streams>& ends) -> task<> {
            static_cast<void>(co_await as_result(tls_upgrade(std::move(ends->a), client_context(), "localhost")));
        }, std::ref(ends_));
    }
};
class connects final : public subject {
    tcp_listener l_ = tcp_listener::bind({"127.0.0.1", 0});
    task<> await_it() override { tls_stream t = co_await tls_connect("127.0.0.1", l_.local_endpoint().port(), client_context()); }
    task<> until_it_waits() override {
        for (int i = 0; i < 200; ++i) co_await this_task::yield();
    }
    void complete() override { // earlier ones that were cancelled come first
        spawn([](tcp_listener from) -> task<> {
            for (;;) {
                tcp_stream s = co_await from.accept();
                auto accepting = tls_accept(std::move(s), server_context());
                outcome<tls_stream> t = co_await as_result(std::move(accepting));
                if (t.cancelled() || t) co_return;
            }
        }, std::move(l_));
    }
};

const std::vector<matrix::row>& rows() {
    using matrix::of;
    constexpr promise_of by_turns{.at_once = false};
    static const std::vector<matrix::row> all{
        of<reads>("", "tls_stream::read_some", by_turns),
        of<borrows>("", "tls_stream::read_borrowed", by_turns),
        of<writes>("", "tls_stream::write", {.at_once = false, .again = false}), // a record that was begun: ST-25
        of<shuts_down>("", "tls_stream::shutdown_write", {.at_once = false, .again = false}),
        of<closes>("", "tls_stream::close", {.waits = false, .again = false}), // R13
        of<upgrades>("", "tls_upgrade", by_turns),
        of<accepts>("", "tls_accept", by_turns),
        of<connects>("", "tls_connect", by_turns),
    };
    return all;
}

} // namespace

#include "lib/cancellation_matrix_tests.hpp"

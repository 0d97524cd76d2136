// An asynchronous operation in Asio's style that the test completes by hand.
#pragma once

#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include <eddy/asio.hpp>

namespace asio_test {

class pending {
public:
    /// `void(error_code, int)`; a cancellation ends it with operation_aborted at once, unless it is `deaf`.
    template <class Token>
    auto async_wait(Token&& token) {
        return asio::async_initiate<Token, void(std::error_code, int)>(start(*this), token);
    }
    void complete(std::error_code e, int value) {
        if (const auto c = std::move(call_)) c->complete(e, value);
    }
    void drop() { call_.reset(); }
    [[nodiscard]] bool waits() const noexcept { return call_ != nullptr; }
    /// As a composed operation whose next step begins.
    void listen() { call_->listen(*this); }
    bool deaf = false;
    bool between_steps = false; // does not listen to cancellations from the start
    asio::cancellation_type_t asked = asio::cancellation_type_t::none;

private:
    struct call {
        virtual ~call() = default;
        virtual void complete(std::error_code e, int value) = 0;
        virtual void listen(pending& p) = 0;
    };
    template <class Handler>
    struct held final : call {
        explicit held(Handler h) : handler(std::move(h)) {}
        void complete(std::error_code e, int value) override { std::move(handler)(e, value); }
        void listen(pending& p) override {
            auto slot = asio::get_associated_cancellation_slot(handler);
            if (!slot.is_connected()) return;
            slot.assign([owner = &p](asio::cancellation_type_t type) {
                owner->asked = type;
                if (!owner->deaf) owner->complete(asio::error::operation_aborted, 0);
            });
        }
        Handler handler;
    };
    struct start {
        explicit start(pending& p) noexcept : owner(&p) {}
        template <class Handler>
        void operator()(Handler handler) const {
            owner->call_ = std::make_unique<held<Handler>>(std::move(handler));
            if (!owner->between_steps) owner->listen();
        }
        pending* owner;
    };
    std::unique_ptr<call> call_;
};

/// Both ends of a pipe.
class pipe {
public:
    explicit pipe(asio::io_context& io) : in(io), out(io) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
        in.assign(ends[0]);
        out.assign(ends[1]);
    }
    asio::posix::stream_descriptor in;
    asio::posix::stream_descriptor out;
};

} // namespace asio_test

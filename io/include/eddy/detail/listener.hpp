// What tcp_listener and unix_listener have in common.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <eddy/detail/stream_core.hpp>
#include <eddy/errors.hpp>

namespace eddy::detail {

template <class Stream>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] accept_operation final : public incoming_operation {
public:
    explicit accept_operation(stream_core& core) noexcept : incoming_operation(core, io_opcode::accept) {}
    accept_operation(accept_operation&&) noexcept = default;
    [[nodiscard]] bool try_now() const {
        expect_open("accept on");
        return false;
    }
    bool begin() override { return try_now() || start(); }
    [[nodiscard]] Stream take() const {
        check("accept on");
        return Stream::accepted(static_cast<int>(result), *core_);
    }
    [[nodiscard]] outcome<Stream> take_outcome() const noexcept {
        if (std::exception_ptr e = error_pointer("accept on")) return outcome<Stream>(std::move(e));
        try {
            return outcome<Stream>(take());
        } catch (...) { // no memory for it
            return outcome<Stream>(std::current_exception());
        }
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "accept"; }
};

/// A socket that listens. Closes itself; whoever waits in `accept` gets `closed_resource`.
template <class Stream>
class listening_socket {
public:
    using stream_type = Stream;

    /// Awaitable: the next connection. Checkpoint; cancelled, none was taken. Throws `std::system_error` (EMFILE, …),
    /// `busy_resource` while another task accepts, `closed_resource`.
    accept_operation<Stream> accept() { return accept_operation<Stream>(core()); }
    /// Awaitable: frees the descriptor at once. A cancellation that was there before is thrown after that (R13).
    close_operation close() noexcept { return close_operation(any_core()); }
    void close_now() noexcept {
        if (any_core()) any_core()->close();
    }
    /// False while a server has it.
    [[nodiscard]] bool is_open() const noexcept { return core_ && core_->is_open(); }
    [[nodiscard]] int native_handle() const noexcept { return any_core() ? any_core()->fd() : -1; }

protected:
    listening_socket(const char* kind, core_owner c) noexcept : core_(std::move(c)), kind_(kind) {}
    listening_socket(listening_socket&&) noexcept = default;
    listening_socket& operator=(listening_socket&&) noexcept = default;
    ~listening_socket() = default;

    [[nodiscard]] stream_core& core() const {
        if (!core_) throw closed_resource(std::string("this ") + kind_ + (lent_ ? " belongs to a server" : " has no socket"));
        return *core_;
    }
    /// The socket for a server. This object can still close it, but does not own it any more.
    [[nodiscard]] core_owner lend_core() noexcept {
        if (core_) lent_ = core_.ref();
        return std::exchange(core_, core_owner());
    }

private:
    [[nodiscard]] const core_ref& any_core() const noexcept { return core_ ? core_.ref() : lent_; }
    core_owner core_;
    core_ref lent_;
    const char* kind_; // for messages
};

} // namespace eddy::detail

// Tasks and Asio on one thread: await any operation of Asio's, and share an asio::io_context with code that uses it.
//
//     asio::steady_timer timer{this_loop().io_context(), 1s};
//     co_await timer.async_wait(use_eddy);
//     std::size_t n = co_await socket.async_read_some(asio::buffer(data), use_eddy);
//
//     asio::io_context io;                           // one that Asio code uses as well
//     event_loop loop{io};
//     loop.run_until_complete(main_task());          // runs that code's handlers, too
//
// `use_eddy` is a completion token. The call gives an operation that starts when it is awaited: what it refers to (the I/O
// object, the buffers) must live until then and until it ends; an I/O object must be gone before its loop is.
// `void(std::error_code, T…)` gives the T, or throws `std::system_error`; `void(std::exception_ptr, T…)` gives the T, or throws
// that; several Ts come as a `std::tuple` (name it before taking it apart, trap T12). The handler runs on the loop's thread, or
// brings the result there from where it was called.
//
// Cancellation: the handler's cancellation slot is asked for everything it supports (total, partial or terminal), and the
// completion is waited for. If it then is `asio::error::operation_aborted`, the await ends cancelled, with the bytes moved
// as `partial()`; whatever else it is, value or error, is delivered (R2). What no slot can stop, such as a resolver's look-up, is
// waited for. Every step of a composed operation that begins after the cancellation is told, too, so one between two steps is
// not lost; shield an `asio::awaitable` that cleans up after `reset_cancellation_state`. A cancelled `async_read_until` has what
// it read in its buffer, with a `partial()` of 0. A terminal cancellation (asio::ssl) leaves an object that can only be closed.
// `operation_aborted` that we did not ask for, because somebody closed the object, say, is an error like others. `as_tuple` and
// `asio::redirect_error(use_eddy, ec)` work as well, but the latter hides the code from us: what was cancelled is delivered as
// a value, with `operation_aborted` in ec.
//
// The slot is called on the loop's thread, and Asio's slots are not for several threads: an operation that runs its steps on
// another executor (`bind_executor`, `co_spawn` on a pool) must be shielded (`with_shield`), or dispatch its cancellation to that
// executor itself.
//
// A basic operation allocates nothing: its memory is in the awaiting frame. A handler that is destroyed without having been
// called: `broken_promise`. In a scope that is cancelled already nothing is started.
//
// Sharing: `event_loop loop{io}` takes no thread of its own, and io must be run by nobody else while the loop runs. It is the
// loop that drives: instead of `io.run()` call `loop.run_forever()` or `run_until_complete`; `io.stop()` is then `loop.stop()`.
// What a handler throws goes to the loop's exception handler, and both go on (R10). When the loop has gone, io is as it was,
// with the handlers of others still in it.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <string_view>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

#include <asio.hpp>

#include <eddy/detail/asio_signal.hpp>
#include <eddy/detail/engine.hpp>
#include <eddy/detail/mailbox.hpp>
#include <eddy/detail/operation_memory.hpp>
#include <eddy/detail/promise.hpp>
#include <eddy/errors.hpp>
#include <eddy/event_loop.hpp>

namespace eddy {

/// A completion token: the asynchronous call gives an operation to await. See above.
class use_eddy_t {
public:
    constexpr use_eddy_t() noexcept {}
};
inline constexpr use_eddy_t use_eddy{};

// --- implementation

template <>
inline constexpr bool detail::is_asio_context<asio::io_context> = true;

template <class Context>
    requires detail::is_asio_context<Context>
event_loop::event_loop(Context& context, const loop_options& options) : event_loop(options, std::addressof(context)) {}

inline auto& event_loop::io_context() {
    return *static_cast<asio::io_context*>(require_io_context());
}

namespace detail {

template <class... P>
struct asio_value {
    using type = std::tuple<P...>;
};
template <>
struct asio_value<> {
    using type = void;
};
template <class P>
struct asio_value<P> {
    using type = P;
};

/// What a handler of this signature is called with: perhaps an error, then values.
template <class... P>
struct asio_parts : asio_value<P...> {};
template <class... P>
struct asio_parts<std::error_code, P...> : asio_value<P...> {};
template <class... P>
struct asio_parts<std::exception_ptr, P...> : asio_value<P...> {};

template <class Op, class... P>
class asio_call {
public:
    void operator()(P... args) { static_cast<typename Op::handler&>(*this).take_operation()->deliver(std::forward<P>(args)...); }
};
template <class Signature>
struct asio_signature;
template <class R, class... P>
struct asio_signature<R(P...)> : asio_parts<std::decay_t<P>...> {
    template <class Op>
    using call = asio_call<Op, std::decay_t<P>...>;
};
template <class R, class... P>
struct asio_signature<R(P...) &> : asio_signature<R(P...)> {};
template <class R, class... P>
struct asio_signature<R(P...) &&> : asio_signature<R(P...)> {};
template <class R, class... P>
struct asio_signature<R(P...) noexcept> : asio_signature<R(P...)> {};
template <class R, class... P>
struct asio_signature<R(P...) & noexcept> : asio_signature<R(P...)> {};
template <class R, class... P>
struct asio_signature<R(P...) && noexcept> : asio_signature<R(P...)> {};

/// Did the operation end because it was asked to?
[[nodiscard]] inline bool asio_aborted(const std::error_code& e) noexcept {
    return e == asio::error::operation_aborted;
}
[[nodiscard]] inline bool asio_aborted(const std::exception_ptr& e) noexcept {
    if (!e) return false;
    try {
        std::rethrow_exception(e);
    } catch (const std::system_error& s) {
        return asio_aborted(s.code());
    } catch (const operation_cancelled&) {
        return true;
    } catch (...) {
        return false;
    }
}

using asio_operation_memory = operation_memory<320>;

/// What needs no types: completion, on whatever thread, and the way back to the loop's.
class asio_operation_base : private remote_node, private asio_signal::owner {
public:
    [[nodiscard]] asio_operation_memory& memory() noexcept { return memory_; }
    [[nodiscard]] asio_signal& signal() noexcept { return signal_; }
    [[nodiscard]] asio::io_context& context() const noexcept { return *context_; }

protected:
    asio_operation_base() noexcept : remote_node(&run_returned), signal_(*this), repeat_(*this) {}
    asio_operation_base(const asio_operation_base&) = delete;
    asio_operation_base& operator=(const asio_operation_base&) = delete;
    ~asio_operation_base() { repeat_.unlink(); }
    /// Loop thread.
    void begin(task_context& t) {
        context_ = &this_loop().io_context();
        loop_ = &t.loop();
        starting_ = true;
        engine_of(*loop_)->foreign_operation_started();
    }
    /// True if it has completed already.
    bool begun() noexcept {
        starting_ = false;
        return arrived_;
    }
    void not_begun() noexcept {
        starting_ = false;
        if (!arrived_) engine_of(*loop_)->foreign_operation_ended();
    }
    /// Any thread, when the result is in place; nothing here may be touched after it.
    void came() noexcept {
        if (loop_->on_own_thread())
            came_back();
        else
            static_cast<void>(mailbox_of(*loop_)->post(*this));
    }
    /// Loop thread: asks the operation to end.
    void ask() noexcept {
        try {
            signal_.emit(asio::cancellation_type_t::all);
        } catch (...) { // it goes on, and we wait for it
            loop_->report({.message = "the cancellation of an Asio operation threw", .exception = std::current_exception()});
        }
    }
    virtual void resume() noexcept = 0;

private:
    struct repeat final : ready_node {
        explicit repeat(asio_operation_base& o) noexcept : ready_node(&run_it), op(o) {}
        static void run_it(ready_node& n) { static_cast<repeat&>(n).op.ask(); }
        asio_operation_base& op;
    };
    void listens_late() noexcept override {
        if (loop_->on_own_thread()) loop_->make_ready(repeat_);
    }
    static void run_returned(remote_node& n) { static_cast<asio_operation_base&>(n).came_back(); }
    void came_back() noexcept {
        repeat_.unlink();
        engine_of(*loop_)->foreign_operation_ended();
        if (starting_)
            arrived_ = true;
        else
            resume();
    }
    asio_operation_memory memory_;
    asio_signal signal_;
    repeat repeat_; // the cancellation, to a step that began after it
    asio::io_context* context_ = nullptr;
    scheduler* loop_ = nullptr;
    bool starting_ = false;
    bool arrived_ = false; // before the call that started it returned
};

template <class Initiation, class Arguments, class... Signatures>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] asio_operation final
    : public leaf<asio_operation<Initiation, Arguments, Signatures...>>, private asio_operation_base {
    using first_signature = asio_signature<std::tuple_element_t<0, std::tuple<Signatures...>>>;
    using value = typename first_signature::type;
    static_assert((std::is_same_v<value, typename asio_signature<Signatures>::type> && ...),
                  "use_eddy: the ways in which this operation completes have different values");

public:
    /// What Asio gets. Destroyed without having been called, it says so.
    class handler : public asio_signature<Signatures>::template call<asio_operation>... {
    public:
        using allocator_type = memory_allocator<void, asio_operation_memory>;
        using executor_type = asio::io_context::executor_type;
        using cancellation_slot_type = asio_slot;

        explicit handler(asio_operation& op) noexcept : op_(&op) {}
        handler(handler&& o) noexcept : op_(o.op_), armed_(std::exchange(o.armed_, false)) {}
        handler& operator=(handler&& o) noexcept {
            std::swap(op_, o.op_);
            std::swap(armed_, o.armed_);
            return *this;
        }
        ~handler() {
            if (armed_) op_->dropped();
        }
        using asio_signature<Signatures>::template call<asio_operation>::operator()...;
        [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type(op_->memory()); }
        [[nodiscard]] executor_type get_executor() const noexcept { return op_->context().get_executor(); }
        [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept { return asio_slot(op_->signal()); }
        [[nodiscard]] asio_operation* take_operation() noexcept {
            armed_ = false;
            return op_;
        }

    private:
        asio_operation* op_; // stays: Asio asks handlers that it has moved from, too
        bool armed_ = true;
    };

    template <class I, class... A>
    explicit asio_operation(std::in_place_t, I&& initiation, A&&... args)
        : initiation_(std::forward<I>(initiation)), arguments_(std::forward<A>(args)...) {}
    asio_operation(asio_operation&& o) // only before it is awaited
        : leaf<asio_operation>(std::move(o)), asio_operation_base(), initiation_(std::move(o.initiation_)), arguments_(std::move(o.arguments_)) {}

    [[nodiscard]] bool try_now() const noexcept { return false; }
    bool start() {
        this->asio_operation_base::begin(this->task());
        try {
            std::apply([this](auto&... args) { std::move(initiation_)(handler(*this), std::move(args)...); }, arguments_);
        } catch (...) {
            not_begun();
            throw;
        }
        return begun();
    }
    bool abort() noexcept override {
        this->ask();
        return false;
    }
    value take() {
        if (dropped_)
            throw broken_promise("an Asio operation was dropped: its handler was destroyed without having been called");
        if (failure_) std::rethrow_exception(failure_);
        if (error_) throw std::system_error(error_, "Asio");
        return value_.take();
    }
    [[nodiscard]] std::size_t partial() const noexcept { return partial_; }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "an Asio operation"; }

    /// What the handler was called with.
    template <class... P>
    void deliver(P&&... parts) {
        try {
            keep(std::forward<P>(parts)...);
        } catch (...) { // a value that could not be moved
            failure_ = std::current_exception();
        }
        came();
    }

private:
    template <class... P>
    void keep(P&&... values) {
        value_.emplace(std::forward<P>(values)...);
    }
    template <class... P>
    void keep(std::error_code&& error, P&&... values) {
        error_ = error;
        aborted_ = asio_aborted(error);
        note_moved(values...);
        if (!error) value_.emplace(std::forward<P>(values)...);
    }
    template <class... P>
    void keep(std::exception_ptr&& error, P&&... values) {
        failure_ = std::move(error);
        aborted_ = asio_aborted(failure_);
        if (!failure_) value_.emplace(std::forward<P>(values)...);
    }
    template <class... P>
    void keep(std::tuple<std::error_code, P...>&& parts) { // as_tuple
        aborted_ = asio_aborted(std::get<0>(parts));
        std::apply([this](const std::error_code&, const P&... values) { note_moved(values...); }, parts);
        value_.emplace(std::move(parts));
    }
    template <class... P>
    void keep(std::tuple<std::exception_ptr, P...>&& parts) {
        aborted_ = asio_aborted(std::get<0>(parts));
        value_.emplace(std::move(parts));
    }
    void note_moved() noexcept {}
    template <class P, class... Rest>
    void note_moved(const P& first, const Rest&... /*rest*/) noexcept {
        if constexpr (std::is_same_v<P, std::size_t>) partial_ = first;
    }
    void dropped() noexcept {
        dropped_ = true;
        came();
    }
    void resume() noexcept override {
        if (this->aborting() && aborted_)
            this->finish_cancelled();
        else
            this->finish();
    }
    Initiation initiation_;
    Arguments arguments_;
    result_slot<value> value_;
    std::exception_ptr failure_;
    std::error_code error_;
    std::size_t partial_ = 0;
    bool aborted_ = false;
    bool dropped_ = false;
};

/// On GCC 12, for what must have a name when it is awaited (trap T1): Asio's functions return `auto`, which drops the const
/// that tells the two apart elsewhere.
template <class Op>
class named_asio_operation {
public:
    template <class... A>
    explicit named_asio_operation(std::in_place_t, A&&... args) : op_(std::in_place, std::forward<A>(args)...) {}
    [[nodiscard]] leaf_awaiter<Op> make_awaiter(promise_base& p) & noexcept { return leaf_awaiter<Op>(op_, p); }
    [[nodiscard]] leaf_awaiter<Op> make_awaiter(promise_base& p) && noexcept {
        static_assert(!std::is_class_v<Op>, "GCC before 13 destroys this temporary twice (it owns a closure or an aggregate): give "
                                            "the operation a name first, as in `auto op = asio::async_…(…, use_eddy); co_await op;`");
        return leaf_awaiter<Op>(op_, p);
    }

private:
    Op op_;
};

} // namespace detail
} // namespace eddy

namespace asio {

template <class... Signatures>
class async_result<eddy::use_eddy_t, Signatures...> {
public:
    template <class Initiation, class... Args>
    static auto initiate(Initiation&& initiation, eddy::use_eddy_t, Args&&... args) {
        using operation = eddy::detail::asio_operation<std::decay_t<Initiation>, std::tuple<std::decay_t<Args>...>, Signatures...>;
        constexpr bool hazardous = eddy::detail::compiler_destroys_temporaries_twice &&
                                   (eddy::detail::hazardous_part<Initiation> || ... || eddy::detail::hazardous_part<Args>);
        using result = std::conditional_t<hazardous, eddy::detail::named_asio_operation<operation>, operation>;
        return result(std::in_place, std::forward<Initiation>(initiation), std::forward<Args>(args)...);
    }
};

} // namespace asio

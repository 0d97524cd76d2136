// The tasks of a server's connections, and how a handler is called: in the task of its connection.
#pragma once

#include <cstddef>
#include <exception>
#include <new>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include <eddy/detail/child_set.hpp>
#include <eddy/detail/scheduler.hpp>
#include <eddy/detail/stream_core.hpp>
#include <eddy/detail/task_state.hpp>
#include <eddy/event.hpp>

namespace eddy::detail {

/// Makes a task the current one for a call in the middle of another one's step.
class acting_as {
public:
    explicit acting_as(task_context& t) noexcept : outer_(std::exchange(current().task, &t)) {}
    acting_as(const acting_as&) = delete;
    acting_as& operator=(const acting_as&) = delete;
    ~acting_as() { current().task = outer_; }

private:
    task_context* outer_;
};

// It is launched before it has a coroutine: a handler may be a plain function that does something before it returns one, and whatever
// that asks of its task, names, sets, cancels or throws is its connection's, and not the accepting task's.
class connection_task : public task_state<void> {
public:
    explicit connection_task(core_ref s) noexcept : socket_(std::move(s)) {}
    /// The first step runs what the handler returns. What it throws is the end of the task, here and now, but for a lack of memory: then
    /// the task ends without a word, and this is what went wrong; else null.
    template <class F, class Stream>
    [[nodiscard]] std::exception_ptr call(F& handler, Stream&& stream) noexcept {
        std::exception_ptr failure = failure_of_call(handler, std::forward<Stream>(stream));
        if (!failure) return nullptr;
        unsaid_ = is_shortage(failure);
        std::exception_ptr shortage = unsaid_ ? failure : nullptr;
        end_with(std::move(failure));
        return shortage;
    }
    void abort() noexcept {
        if (socket_) socket_->abort();
    }
    /// Is how it ended somebody else's to report?
    [[nodiscard]] bool unsaid() const noexcept { return unsaid_; }

protected:
    void destroy_frame() noexcept override;

private:
    [[nodiscard]] std::string_view default_name() const noexcept override { return "connection"; }
    template <class F, class Stream>
    [[nodiscard]] std::exception_ptr failure_of_call(F& handler, Stream&& stream) noexcept {
        const acting_as me(*this);
        try {
            task<> coroutine = handler(std::forward<Stream>(stream));
            go_on_with(std::move(coroutine));
            return nullptr;
        } catch (...) {
            return std::current_exception();
        }
    }
    void go_on_with(task<>&& coroutine);
    [[nodiscard]] static bool is_shortage(const std::exception_ptr& failure) noexcept;
    /// It may be gone after this.
    void end_with(std::exception_ptr failure) noexcept;
    void collect() noexcept override;
    core_ref socket_;
    bool unsaid_ = false;
    bool never_began_ = false;
};

/// One whose handler may have its stream by reference: it is there until the handler's coroutine is gone.
template <class Stream>
class keeping_connection_task final : public connection_task {
    static_assert(alignof(Stream) <= alignof(std::max_align_t), "serve: streams are not over-aligned (trap T17)");

public:
    keeping_connection_task(core_ref s, Stream&& accepted) noexcept : connection_task(std::move(s)), stream_(std::move(accepted)) {}
    template <class F>
    [[nodiscard]] std::exception_ptr call(F& handler) noexcept {
        return connection_task::call(handler, std::move(*stream_));
    }

private:
    void destroy_frame() noexcept override {
        connection_task::destroy_frame();
        stream_.reset();
    }
    std::optional<Stream> stream_;
};

template <class Stream, class R>
std::true_type by_value(R (*)(Stream));
template <class Stream, class R, class C>
std::true_type by_value(R (C::*)(Stream));
template <class Stream, class R, class C>
std::true_type by_value(R (C::*)(Stream) const);

/// Is the handler known to take its stream by value? Then nothing has to keep it. Templates and overloads cannot be asked.
template <class F, class Stream>
concept takes_by_value = requires(F f) { by_value<Stream>(f); } || requires { by_value<Stream>(&F::operator()); };

/// The tasks of a server's connections: a failure is reported and concerns nobody else.
class connection_set final : public child_set {
public:
    connection_set() noexcept = default;
    ~connection_set() = default;

    /// Its handler is to be called at once.
    template <class Task>
    [[nodiscard]] Task& launched(Task* t) {
        launch(t);
        return *t;
    }
    /// Resets the connections that are left, whatever their handlers are doing.
    void abort_sockets() noexcept;
    /// Set when a connection ended.
    event one_ended;

private:
    void launch(connection_task* t);
    void child_ended(task_context& child) noexcept override;
    [[nodiscard]] std::string_view kind() const noexcept override { return "server"; }
};

} // namespace eddy::detail

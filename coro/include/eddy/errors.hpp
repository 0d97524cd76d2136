// The exceptions of the task machine.
//
// Cancellation is a third kind of outcome beside values and errors, so `operation_cancelled` is deliberately not a
// `std::exception`: code that handles "any error" must not swallow it by accident (rule R5). All other classes here are
// ordinary exceptions whose message says what happened and what to do about it.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace eddy {

/// Thrown by every checkpoint of a task that is inside a cancelled scope. Catch it only to clean up, and rethrow.
class operation_cancelled {
public:
    operation_cancelled() noexcept = default;
    explicit operation_cancelled(std::shared_ptr<const std::string> reason, std::size_t partial = 0) noexcept
        : reason_(std::move(reason)), partial_(partial) {}

    /// The text given to `cancel("…")`; empty if there was none. The first reason of a scope stands.
    [[nodiscard]] std::string_view reason() const noexcept {
        return reason_ ? std::string_view(*reason_) : std::string_view();
    }
    /// Bytes that an interrupted write had already handed to the kernel (rule R4); 0 for all other operations.
    [[nodiscard]] std::size_t partial() const noexcept { return partial_; }

private:
    std::shared_ptr<const std::string> reason_;
    std::size_t partial_ = 0;
};

/// An awaited task was cancelled by somebody else; the awaiting task itself was not.
class child_cancelled : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A one-shot object (a promise, a started operation) was settled or used a second time.
class invalid_state : public std::logic_error {
public:
    using std::logic_error::logic_error;
};

/// A second reader used something that serves one at a time; the first one is unharmed.
class busy_resource : public std::logic_error {
public:
    using std::logic_error::logic_error;
};

/// The object was closed on our own side, before or while the operation waited.
class closed_resource : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The other side is gone, or an interrupted operation left the object unusable.
class broken_resource : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A `promise` was destroyed without a value.
class broken_promise : public std::logic_error {
public:
    using std::logic_error::logic_error;
};

/// `push` on a closed queue, or `pop` on a closed and drained one.
class queue_closed : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A barrier was reset or aborted while somebody waited.
class broken_barrier : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The deadline of one `with_timeout`, `wait_for` or `as_completed` passed.
class timeout_error : public std::runtime_error {
public:
    /// `what`: what took too long, where there is a name for it ("connect to localhost:80").
    timeout_error(std::chrono::nanoseconds limit, std::source_location site, std::string_view what = {});
    /// Which verb it was: where it was called. An inner timeout never looks like an outer one.
    [[nodiscard]] std::source_location where() const noexcept { return site_; }
    [[nodiscard]] std::chrono::nanoseconds limit() const noexcept { return limit_; }

private:
    std::chrono::nanoseconds limit_;
    std::source_location site_;
};

/// What a task group throws: every error of its children, in the order they happened, then the body's.
/// Always a group, even for a single error, so that code that works with one failure works with two.
class exception_group : public std::exception {
public:
    explicit exception_group(std::vector<std::exception_ptr> errors, std::string_view what = "task group");

    [[nodiscard]] const char* what() const noexcept override { return what_->c_str(); }
    [[nodiscard]] const std::vector<std::exception_ptr>& errors() const noexcept { return *errors_; }

    /// Calls `f(E&)` for each error of type E, in nested groups too; returns how many there were. A nested group is none itself, unless
    /// groups are asked for: then it is one, and those in it are not looked for.
    template <class E, class F>
    std::size_t for_each(F&& f) const;

    /// Throws the error itself if there is exactly one (looking through nested groups of one); returns otherwise.
    void rethrow_if_single() const;

private:
    std::shared_ptr<const std::vector<std::exception_ptr>> errors_;
    std::shared_ptr<const std::string> what_;
};

namespace detail {
/// One line for a log: the exception's message, its type for foreign ones.
[[nodiscard]] std::string describe(const std::exception_ptr& error);
[[noreturn]] void throw_logic_error(const char* sentence);
} // namespace detail

// --- implementation

template <class E, class F>
std::size_t exception_group::for_each(F&& f) const {
    std::size_t n = 0;
    for (const std::exception_ptr& p : *errors_) {
        if constexpr (!std::is_base_of_v<exception_group, E>) { // before E, which may be std::exception: a group is one too
            try {
                std::rethrow_exception(p);
            } catch (const exception_group& g) {
                n += g.for_each<E>(f);
                continue;
            } catch (...) { // no group
            }
        }
        try {
            std::rethrow_exception(p);
        } catch (E& e) {
            f(e);
            ++n;
        } catch (...) { // of another type: not what the caller asked for
        }
    }
    return n;
}

} // namespace eddy

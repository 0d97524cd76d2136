// Leaf operations: what a task can be suspended on.
#pragma once

#include <coroutine>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

namespace eddy::detail {

class task_context;
class promise_base;

// A leaf operation completes at once, or starts and completes later, and can be aborted in between:
//
//   idle ──► done                        it could finish at once
//   idle ──► deferred ──► (as idle)      no budget left: one trip through the ready list before it takes anything (R12)
//   idle ──► deferred ──► cancelled      its task is inside a cancelled scope (R1)
//   idle ──► waiting ──► done            completed by `finish()`
//            waiting ──► cancelled       `abort()` returned true: detached, and nothing happened
//            waiting ──► deferred         by `begin_again()`: there is something to take, in its task's turn; `finish()` still ends it
//            waiting ──► aborting ──► done | cancelled    `abort()` returned false: its completion still comes
//
// The operation lives in the awaiting coroutine's frame (or wherever the user named it) and may be moved until started.
// All of this happens on the loop thread.
class operation {
public:
    enum class state : std::uint8_t { idle, deferred, waiting, aborting, done, cancelled, failed };

    operation(const operation&) = delete;
    operation& operator=(const operation&) = delete;

    /// Tries to finish now, else starts; true if it finished. Called when a deferral is over.
    virtual bool begin() = 0;
    /// Called at most once, while waiting: true if the operation is detached and nothing happened.
    virtual bool abort() noexcept = 0;
    /// Called instead of `begin` when the task was cancelled before its turn came. `cancelled` if that is all, `done` if it has happened
    /// even so (R2), `aborting` if its completion still comes.
    [[nodiscard]] virtual state cancelled_unstarted() noexcept { return state::cancelled; }
    /// What a task list prints: "mutex", "tcp read", …
    [[nodiscard]] virtual std::string_view waits_for() const noexcept = 0;
    /// Does it wait for the end of `t`? For call graphs.
    [[nodiscard]] virtual bool awaits(const task_context& /*t*/) const noexcept { return false; }

protected:
    operation() noexcept = default;
    operation(operation&&) noexcept {} // only idle operations are moved
    ~operation() = default;

    /// Completes a waiting operation: its task resumes on a later turn of the ready list (R11).
    void finish() noexcept { settle(state::done); }
    /// Completes an aborted operation that turned out not to have happened.
    void finish_cancelled() noexcept { settle(state::cancelled); }

    /// Goes from waiting back to deferred: what it waited for can be taken now, and is in its task's turn, by `begin`.
    void begin_again() noexcept;

    [[nodiscard]] task_context& task() const noexcept { return *task_; }
    [[nodiscard]] bool aborting() const noexcept { return state_ == state::aborting; }

private:
    friend class task_context;
    template <class Op>
    friend class leaf_awaiter;
    void settle(state s) noexcept;

    task_context* task_ = nullptr;
    state state_ = state::idle;
};

/// Base of concrete operations. `Op` provides
///   bool try_now();            finish without suspending, if possible
///   bool start();              begin to wait; true if it finished after all (abort and finish are then not called)
///   bool abort() noexcept;     see above
///   R take();                  the result, or throws
/// and may provide `static constexpr bool shielded = true` (no checkpoint: neither cancelled nor deferred),
/// `std::size_t partial() const` (for operation_cancelled) and `outcome<R> take_outcome() noexcept`.
template <class Op>
class leaf : public operation {
public:
    bool begin() final {
        Op& op = static_cast<Op&>(*this);
        return op.try_now() || op.start();
    }

protected:
    leaf() noexcept = default;
    leaf(leaf&&) noexcept = default;
    ~leaf() = default;
};

template <class T>
concept leaf_operation = std::is_base_of_v<operation, std::remove_cvref_t<T>>;

template <class Op>
concept shielded_operation = requires { requires Op::shielded; };

/// Things that are awaited through an operation made on the spot (handles, futures): `as_operation()` returns it.
template <class T>
concept has_operation = requires(T&& t) { std::forward<T>(t).as_operation(); };

// --- trap T1
//
// GCC before 13 destroys some temporaries of a `co_await` expression twice: closures with captures that own something,
// and aggregates with such members. An operation made from one may exist, but must be named before it is awaited.
// Functions that make operations therefore return `hazard_t<Op, Parts...>`: `const Op` if a part is such a temporary.
// A prvalue keeps its const, `auto op = …` drops it, and so `await_transform` can tell the two apart and refuse the
// first with a sentence. On other compilers `hazard_t<Op, …>` is `Op`.

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
inline constexpr bool compiler_destroys_temporaries_twice = true;
#else
inline constexpr bool compiler_destroys_temporaries_twice = false;
#endif

/// Parts are deduced as forwarding references are: a non-reference type is an rvalue. Function types and callables
/// that can be assigned (std::function) have constructors and are safe; a closure with captures cannot.
template <class T>
inline constexpr bool hazardous_part =
    (std::is_class_v<T> && !std::is_trivially_destructible_v<T> && !leaf_operation<T> &&
     (std::is_aggregate_v<T> || !std::is_move_assignable_v<T>)) ||
    (std::is_class_v<T> && std::is_const_v<T>); // the result of a hazardous call, handed on

template <class R, class... Parts>
using hazard_t = std::conditional_t<compiler_destroys_temporaries_twice && (hazardous_part<Parts> || ...), const R, R>;

/// An rvalue that is const only because of `hazard_t` is a temporary of ours: it may be moved from.
template <class T>
[[nodiscard]] constexpr std::remove_const_t<T>&& move_out(T& t) noexcept {
    return static_cast<std::remove_const_t<T>&&>(const_cast<std::remove_const_t<T>&>(t));
}

} // namespace eddy::detail

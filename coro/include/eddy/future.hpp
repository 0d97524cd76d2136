// promise<T> and future<T>: a one-shot cell between callbacks and tasks.
//
//     promise<int> p;
//     future<int> f = p.get_future();
//     p.set_value(1);                   // from any callback on the loop's thread
//     int v = co_await f;               // as often as you like, from several tasks
#pragma once

#include <concepts>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <eddy/detail/local_context.hpp>
#include <eddy/detail/promise.hpp>
#include <eddy/detail/scheduler.hpp>
#include <eddy/detail/wait_queue.hpp>
#include <eddy/errors.hpp>

namespace eddy {

namespace detail {

/// What waits for a future: tasks (operations) and callbacks, in one order of registration (T-09).
class future_listener {
public:
    virtual void settled() noexcept = 0;
    list_link<future_listener> link;

protected:
    ~future_listener() = default;
};

class future_cell {
public:
    future_cell() noexcept = default;
    future_cell(const future_cell&) = delete;
    future_cell& operator=(const future_cell&) = delete;
    ~future_cell();
    [[nodiscard]] bool settled() const noexcept { return settled_; }
    void check_unset() const;
    void settle() noexcept;
    void add(future_listener& l) noexcept { listeners_.push_back(l); }
    /// Throws `std::logic_error` if a task of another loop waits already.
    void require_one_loop(const scheduler& loop);
    void remove(future_listener& l) noexcept { listeners_.erase(l); }
    /// `f` runs from the ready list once the cell is settled; an exception of it goes to the exception handler.
    template <class F>
    void on_done(F&& f);

    std::exception_ptr error;
    bool seen = true; // the error, by somebody; nobody has to look at `broken_promise`

private:
    intrusive_list<future_listener, &future_listener::link> listeners_;
    const scheduler* home_ = nullptr; // of those that wait
    bool settled_ = false;
};

template <class T>
class typed_cell final : public future_cell {
public:
    result_slot<T> slot;
};

template <class T, bool Moves>
class future_wait;

} // namespace detail

/// The reading end; copies share the cell. Loop thread only.
template <class T = void>
class future {
public:
    using value_type = T;
    future() noexcept = default;

    [[nodiscard]] bool valid() const noexcept { return cell_ != nullptr; }
    /// Is there a value or an error?
    [[nodiscard]] bool ready() const noexcept { return cell_ && cell_->settled(); }
    /// Calls `f()` from the ready list when the cell is settled; in a later tick if it is already. It runs with a copy
    /// of the task-locals of the place that registered it (R11).
    template <class F>
    void on_done(F&& f) const {
        cell().on_done(std::forward<F>(f));
    }
    /// `co_await f` gives `const T&` (T& for references), a temporary or `co_await std::move(f)` a T: a copy, or if there is
    /// none the value itself, moved out of the cell. Both throw the error set. Checkpoint; cancelled, nothing happened, and
    /// the value stays. Does not suspend if the cell is settled, within the budget.
    detail::future_wait<T, false> as_operation() const& { return detail::future_wait<T, false>(cell_ptr()); }
    detail::future_wait<T, true> as_operation() && { return detail::future_wait<T, true>(cell_ptr()); }

    explicit future(std::shared_ptr<detail::typed_cell<T>> c) noexcept : cell_(std::move(c)) {} // for the library

private:
    [[nodiscard]] const std::shared_ptr<detail::typed_cell<T>>& cell_ptr() const {
        if (!cell_) detail::throw_logic_error("this future is empty; get one from promise::get_future()");
        return cell_;
    }
    [[nodiscard]] detail::typed_cell<T>& cell() const { return *cell_ptr(); }
    std::shared_ptr<detail::typed_cell<T>> cell_;
};

/// The writing end; move-only. Destroyed unset, its waiters get `broken_promise`. Listeners are posted in the order they
/// registered, never called inline (R11). Loop thread only.
template <class T = void>
class promise {
public:
    promise() : cell_(std::make_shared<detail::typed_cell<T>>()) {}
    promise(promise&&) noexcept = default;
    promise& operator=(promise&& o) noexcept {
        promise(std::move(o)).cell_.swap(cell_);
        return *this;
    }
    ~promise() {
        if (!cell_ || cell_->settled()) return;
        cell_->error = std::make_exception_ptr(broken_promise("the promise was destroyed without a value"));
        cell_->settle();
    }

    [[nodiscard]] future<T> get_future() const { return future<T>(cell()); }
    /// Throws `invalid_state` if the promise was settled before; the first outcome stays.
    template <class... A>
    void set_value(A&&... a) {
        cell()->check_unset();
        cell_->slot.emplace(std::forward<A>(a)...);
        cell_->settle();
    }
    /// The same for an error. If nobody awaits it, it goes to the exception handler when the last future and the promise
    /// have gone (R10). Throws `std::invalid_argument` for a null pointer.
    void set_exception(std::exception_ptr e) {
        cell()->check_unset();
        if (!e) throw std::invalid_argument("promise::set_exception: there is no exception in it");
        cell_->error = std::move(e);
        cell_->seen = false;
        cell_->settle();
    }
    [[nodiscard]] bool settled() const { return cell()->settled(); }

private:
    [[nodiscard]] const std::shared_ptr<detail::typed_cell<T>>& cell() const {
        if (!cell_) detail::throw_logic_error("this promise is empty (it was moved from)");
        return cell_;
    }
    std::shared_ptr<detail::typed_cell<T>> cell_;
};

// --- implementation

namespace detail {

template <class F>
class future_callback final : public future_listener, public ready_node {
public:
    template <class G>
    future_callback(loop_link loop, G&& f) : ready_node(&run_it), loop_(std::move(loop)), f_(std::forward<G>(f)) {}
    // The promise may outlive the loop; the callback is then dropped.
    void settled() noexcept override {
        scheduler* const loop = *loop_;
        if (loop && !loop->closed())
            loop->make_ready(*this);
        else
            delete this;
    }

private:
    static void run_it(ready_node& n) {
        const std::unique_ptr<future_callback> self(&static_cast<future_callback&>(n));
        try {
            const locals_entered here(self->locals_);
            self->f_();
        } catch (...) {
            (*self->loop_)->report({.message = "exception in a future's callback", .exception = std::current_exception()});
        }
    }
    loop_link loop_;
    local_context locals_ = inherited_locals();
    F f_;
};

template <class F>
void future_cell::on_done(F&& f) {
    auto* l = new future_callback<std::decay_t<F>>(require_loop("future::on_done").link(), std::forward<F>(f));
    if (settled_)
        l->settled();
    else
        add(*l);
}

template <class T, bool Moves>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] future_wait final : public leaf<future_wait<T, Moves>>, private future_listener {
public:
    explicit future_wait(std::shared_ptr<typed_cell<T>> c) noexcept : cell_(std::move(c)) {}
    future_wait(future_wait&& o) noexcept : leaf<future_wait>(std::move(o)), future_listener(), cell_(std::move(o.cell_)) {}
    [[nodiscard]] bool try_now() const noexcept { return cell_->settled(); }
    bool start() {
        cell_->require_one_loop(this->task().loop());
        cell_->add(*this);
        return false;
    }
    bool abort() noexcept override {
        cell_->remove(*this);
        return true;
    }
    decltype(auto) take() {
        if (cell_->error) {
            cell_->seen = true;
            std::rethrow_exception(cell_->error);
        }
        if constexpr (std::is_void_v<T>)
            return;
        else if constexpr (std::is_reference_v<T>)
            return static_cast<T>(cell_->slot.value());
        else if constexpr (Moves && std::copy_constructible<T>)
            return T(std::as_const(cell_->slot.value())); // others may await it, too
        else if constexpr (Moves)
            return T(cell_->slot.take());
        else
            return static_cast<const T&>(cell_->slot.value());
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "future"; }

private:
    void settled() noexcept override { this->finish(); }
    std::shared_ptr<typed_cell<T>> cell_;
};

} // namespace detail
} // namespace eddy

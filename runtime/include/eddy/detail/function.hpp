// A move-only callable of one signature; lighter to compile than std::function, and takes move-only callables.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace eddy::detail {

template <class Signature>
class unique_function;

template <class R, class... A>
class unique_function<R(A...)> {
public:
    unique_function() noexcept = default;
    template <class F>
        requires(!std::same_as<std::remove_cvref_t<F>, unique_function> && std::is_invocable_r_v<R, std::decay_t<F>&, A...>)
    unique_function(F&& f) : impl_(std::make_unique<holder<std::decay_t<F>>>(std::forward<F>(f))) {}

    [[nodiscard]] explicit operator bool() const noexcept { return impl_ != nullptr; }
    R operator()(A... a) const { return impl_->call(std::forward<A>(a)...); }

private:
    struct base {
        base() noexcept = default;
        base(const base&) = delete;
        base& operator=(const base&) = delete;
        virtual ~base() = default;
        virtual R call(A... a) = 0;
    };
    template <class F>
    struct holder final : base {
        template <class G>
        explicit holder(G&& g) : f(std::forward<G>(g)) {}
        R call(A... a) override { return static_cast<R>(f(std::forward<A>(a)...)); }
        F f;
    };
    std::unique_ptr<base> impl_;
};

} // namespace eddy::detail

// The templates of process_pool.
#pragma once

#include <algorithm>
#include <iterator>
#include <optional>

#include <eddy/process_pool.hpp>
#include <eddy/task_group.hpp>

namespace eddy {

namespace detail {

template <class F>
[[nodiscard]] const remote_function& remote_for(F* f) {
    return remote_at(reinterpret_cast<void (*)()>(f));
}

template <class... P, class Item>
void write_item(wire::writer& out, parameter_list<P...> parameters, Item&& item) {
    static_assert(sizeof...(P) == 1, "process_pool::map: the function has to take one argument (besides a std::stop_token)");
    write_arguments(out, parameters, std::forward<Item>(item));
}

/// What the tasks of one `map` share: each takes the next items, until there are none.
template <class F, class Iterator, class End>
class map_work {
    using value = remote_result_t<F>;
    static constexpr bool has_value = !std::is_void_v<value>;

public:
    map_work(std::shared_ptr<process_pool_core> core, const remote_function& f, const map_options& options, Iterator next, End end)
        : core_(std::move(core)), function_(&f), options_(options), next_(std::move(next)), end_(std::move(end)) {
        options_.chunk = std::max(options_.chunk, std::size_t(1));
    }
    map_work(const map_work&) = delete;
    map_work& operator=(const map_work&) = delete;
    ~map_work() = default;

    [[nodiscard]] bool at_end() { return !(next_ != end_); }
    task<> work() {
        while (!at_end()) {
            const std::size_t first = results_.size();
            pool_request request = next_request();
            const std::size_t items = request.items;
            results_.resize(first + items);
            const pool_reply reply = co_await perform(core_, std::move(request), options_.call.site);
            wire::reader in = reply.reader();
            if constexpr (has_value) {
                for (std::size_t i = 0; i < items; ++i) results_[first + i].emplace(in.read<value>());
            }
            in.expect_end();
        }
    }
    [[nodiscard]] auto take() {
        std::vector<value> all;
        all.reserve(results_.size());
        for (auto& r : results_) all.push_back(std::move(*r));
        return all;
    }

private:
    struct nothing {};
    pool_request next_request() {
        pool_request request(*core_, *function_, options_.call);
        wire::writer out = request.arguments();
        request.items = 0;
        for (; request.items < options_.chunk && !at_end(); ++request.items) {
            write_item(out, typename remote_traits<F>::parameters(), *next_);
            ++next_;
        }
        return request;
    }
    std::shared_ptr<process_pool_core> core_;
    const remote_function* function_;
    map_options options_;
    Iterator next_;
    End end_;
    std::vector<std::conditional_t<has_value, std::optional<std::conditional_t<has_value, value, nothing>>, nothing>> results_;
};

template <class F, class Range>
task<map_result_t<F>> map_all(std::shared_ptr<process_pool_core> core, const remote_function& f, Range range, map_options options) {
    using std::begin;
    using std::end;
    map_work<F, decltype(begin(range)), decltype(end(range))> work(core, f, options, begin(range), end(range));
    const std::size_t most = options.in_flight > 0 ? options.in_flight : usual_in_flight(*core);
    auto body = [&work, most](task_group& group) -> task<> {
        using work_type = std::remove_reference_t<decltype(work)>;
        for (std::size_t i = 0; i < most; ++i) group.spawn(&work_type::work, &work);
        co_return;
    };
    std::exception_ptr failed;
    try {
        co_await with_task_group(body);
    } catch (const exception_group& g) {
        failed = g.errors().front();
    }
    if (failed) std::rethrow_exception(failed);
    if constexpr (!std::is_void_v<map_result_t<F>>) co_return work.take();
}

} // namespace detail

template <class F, class... A>
    requires std::is_function_v<F>
task<detail::remote_result_t<F>> process_pool::run(call_options options, F* f, A&&... args) {
    detail::pool_request request(core(), detail::remote_for(f), options);
    wire::writer out = request.arguments();
    detail::write_arguments(out, typename detail::remote_traits<F>::parameters(), std::forward<A>(args)...);
    return detail::await_reply<detail::remote_result_t<F>>(core_, std::move(request), options.site);
}

template <class F, class Range>
    requires std::is_function_v<F>
auto process_pool::map(F* f, Range&& range, map_options options) -> task<detail::map_result_t<F>> {
    static_cast<void>(core());
    // An lvalue is referred to, a temporary is moved into the task.
    return detail::map_all<F, Range>(core_, detail::remote_for(f), std::forward<Range>(range), options);
}

template <class F, class... A>
task<detail::remote_result_t<F>> detail::call_in_process(process_pool& pool, F* fn, A&... args) {
    const std::shared_ptr<report_target> target = current_report_target();
    auto pass_on = [&](const process_report& r) { target->report(std::get<0>(r), std::get<1>(r), std::get<2>(r)); };
    call_options options;
    if (target) options.progress = progress_to<process_report>(pass_on);
    auto running = pool.run(options, fn, args...);
    if (!target) co_return co_await std::move(running);
    auto heard = with_reports_heard<remote_result_t<F>>(std::move(running), target);
    co_return co_await std::move(heard);
}

} // namespace eddy

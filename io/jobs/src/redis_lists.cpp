#include "redis_lists.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

#include <eddy/cancel_scope.hpp>
#include <eddy/event.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/task_group.hpp>

#include "text.hpp"

namespace eddy::jobs::detail {

namespace {

task<> watch_list(redis::client from, std::string list, std::string_view end, event& arrived, std::exception_ptr& failed) {
    try {
        for (;;) {
            auto moving = from.blmove(list, list, end, end, std::chrono::seconds(5));
            const std::optional<std::string> there = co_await std::move(moving);
            if (there) break;
        }
    } catch (const std::exception&) {
        failed = std::current_exception();
    }
    arrived.set();
}

} // namespace

/// BLMOVE from the end of a list to the same end leaves it as it is: nothing is taken by a command whose reply may be lost. It takes
/// one list at a time, so there is a connection for each.
task<> wait_for_item(redis::client from, std::vector<std::string> lists, std::string_view end) {
    event arrived;
    std::exception_ptr failed;
    const auto watch_all = [&](task_group& g) -> task<> {
        for (const std::string& list : lists) g.spawn(watch_list(from, list, end, arrived, failed));
        co_await arrived.wait();
        g.cancel("there is an item");
    };
    co_await with_task_group(watch_all);
    if (failed) std::rethrow_exception(failed);
}

claim_note::claim_note(std::string_view prefix) : key_(std::string(prefix) + "eddy.claim." + make_uuid()) {}

task<redis::value> claim_note::reply_to(task<redis::value> claiming) {
    const bool before = std::exchange(lost_, true); // until the reply is there
    redis::value reply;
    try {
        reply = co_await shielded(std::move(claiming));
    } catch (const redis::error&) { // a reply, too: what was claimed before is not lost by it
        lost_ = before;
        throw;
    } catch (const redis::connection_lost& e) {
        if (!e.maybe_executed()) lost_ = before; // the server has not seen it
        throw;
    }
    lost_ = false;
    co_return reply;
}

task<> redis_ear::listen() {
    subscription_.emplace(co_await client_.subscribe(channel_));
}
task<std::string> redis_ear::next() {
    for (;;) {
        std::optional<redis::message> m = co_await subscription_->next();
        if (!m) co_await listen();
        else if (!m->gap) co_return std::move(m->payload);
        else eddy::detail::current().loop->report({.message = "jobs: the connection to the broker was lost, and is there again"});
    }
}

void check_all(const std::vector<redis::value>& replies) {
    for (const redis::value& v : replies) v.check();
}
std::string whole_seconds(std::chrono::nanoseconds d) {
    return std::to_string(std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(d).count()));
}
std::int64_t whole_milliseconds(std::chrono::nanoseconds d) noexcept {
    return std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::milliseconds>(d).count());
}
std::string unix_text(double seconds) {
    std::array<char, 40> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), seconds, std::chars_format::fixed, 6);
    return {text.data(), end.ptr};
}

} // namespace eddy::jobs::detail

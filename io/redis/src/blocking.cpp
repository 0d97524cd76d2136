// Commands that wait at the server, each on a connection of its own.
#include "client_core.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <eddy/outcome.hpp>
#include <eddy/redis/error.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

namespace eddy::redis::detail {
namespace {

using namespace std::chrono_literals;

// For the last word of a server whom we have told that we wait no longer.
constexpr std::chrono::nanoseconds patience = 1s;
// The server may see CLIENT UNBLOCK before the command that it is to end: both are on their way.
constexpr std::chrono::nanoseconds until_next_word = 20ms;

/// While one waits on a connection, `close` finds it.
class listed {
public:
    listed(std::vector<link*>& list, link& l) : list_(list), link_(l) { list.push_back(&l); }
    listed(const listed&) = delete;
    listed& operator=(const listed&) = delete;
    ~listed() { std::erase(list_, &link_); }

private:
    std::vector<link*>& list_;
    link& link_;
};

} // namespace

task<link_pointer> client_core::borrow(core_pointer core, std::string what) {
    core->require_open();
    if (core->settings_->over == transport::given)
        throw std::logic_error(what + " needs a connection of its own, and this redis::client has one stream only (connect_over)");
    while (!core->idle_.empty()) {
        link_pointer l = std::move(core->idle_.back());
        core->idle_.pop_back();
        if (l->is_quiet()) co_return l;
    }
    std::exception_ptr failure;
    try {
        co_return co_await dial_patiently(core->settings_, purpose::blocking);
    } catch (const operation_cancelled&) {
        throw;
    } catch (...) {
        failure = std::current_exception();
    }
    std::rethrow_exception(loss_of(*core->settings_, what, failure, false));
}

void client_core::put_back(link_pointer l) noexcept {
    if (closed_ || idle_.size() >= settings_->max_idle) return;
    try {
        idle_.push_back(std::move(l));
    } catch (const std::bad_alloc&) { // it is closed instead
    }
}

task<value> client_core::converse(link& l, std::string_view wire, std::chrono::nanoseconds limit, bool& sent) {
    co_await l.write(wire);
    sent = true;
    if (limit.count() == 0) co_return co_await l.read();
    auto limited = move_on_after(limit, [&l](cancel_scope&) { return l.read(); });
    std::optional<value> v = co_await std::move(limited);
    if (!v) throw timeout_error(limit, settings_->site, "silence of the server");
    co_return std::move(*v);
}

/// Tells the server that we wait no longer for `l`, until it says something there.
task<value> client_core::last_word(core_pointer core, link& l) {
    for (;;) {
        std::string unblock = core->take_buffer();
        append_command(unblock, "CLIENT", "UNBLOCK", l.id);
        static_cast<void>(co_await send(core, std::move(unblock)));
        auto reading = move_on_after(until_next_word, [&l](cancel_scope&) { return l.read(); });
        std::optional<value> v = co_await std::move(reading);
        if (v) co_return std::move(*v);
    }
}

/// The last word of the server to who was cancelled, if it is one that would be lost: nil means that nothing has happened.
task<std::optional<value>> client_core::rescue(core_pointer core, link_pointer& l) {
    auto asking = with_shield(patience, [&](cancel_scope&) { return last_word(core, *l); });
    outcome<std::optional<value>> last = co_await as_result(std::move(asking));
    if (!last || !last->has_value()) co_return std::nullopt; // the server is silent: the connection goes
    value word = std::move(**last);
    core->put_back(std::move(l));
    if (word.is_nil() || word.is_error()) co_return std::nullopt;
    co_return word;
}

task<value> client_core::send_blocking(core_pointer core, std::string wire, std::chrono::nanoseconds limit) {
    const std::string name(command_of(wire));
    link_pointer l = co_await borrow(core, name);
    bool sent = false;
    bool cancelled = false;
    std::exception_ptr failure;
    {
        const listed while_it_waits(core->blocked_, *l);
        try {
            value reply = co_await core->converse(*l, wire, limit, sent);
            core->put_back(std::move(l));
            if (reply.is_error()) throw error(name, reply.error_text());
            co_return reply;
        } catch (const error&) {
            throw;
        } catch (const operation_cancelled&) {
            cancelled = true;
            failure = std::current_exception();
        } catch (...) {
            failure = std::current_exception();
        }
    }
    if (cancelled && sent && l->id != 0 && !core->closed_) {
        std::optional<value> rescued = co_await rescue(core, l);
        if (rescued) co_return std::move(*rescued); // R2: it has completed
    }
    if (cancelled) std::rethrow_exception(failure);
    core->require_open();
    std::rethrow_exception(loss_of(*core->settings_, name, failure, true));
}

task<> client_core::quit(core_pointer core) {
    std::exception_ptr cancelled;
    try {
        const std::chrono::nanoseconds limit = core->settings_->timeout.count() != 0 ? core->settings_->timeout : std::chrono::nanoseconds(1h);
        auto waiting = move_on_after(limit, [&core](cancel_scope&) -> task<> {
            while (core->live_ > 0) {
                core->settled_.clear();
                co_await core->settled_.wait();
            }
        });
        static_cast<void>(co_await std::move(waiting));
        co_await this_task::checkpoint();
    } catch (const operation_cancelled&) {
        cancelled = std::current_exception();
    }
    core->close();
    if (cancelled) std::rethrow_exception(cancelled);
}

} // namespace eddy::redis::detail

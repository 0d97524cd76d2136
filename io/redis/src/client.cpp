#include <eddy/redis/client.hpp>

#include <stdexcept>
#include <utility>

#include <eddy/redis/error.hpp>

#include "client_core.hpp"
#include "replies.hpp"
#include "session_core.hpp"
#include "subscription_core.hpp"

namespace eddy::redis {
namespace {

[[nodiscard]] std::string wire_of(std::span<const std::string> words) {
    if (words.empty()) throw std::invalid_argument("redis: a command without a word");
    std::string wire;
    detail::append_command(wire, words.front(), words.subspan(1));
    return wire;
}

/// A client of a connection that is there.
[[nodiscard]] client start(std::shared_ptr<const detail::settings> s, detail::link_pointer l) {
    auto handle = std::make_shared<detail::client_handle>(std::make_shared<detail::client_core>(std::move(s)));
    handle->core->start_with(std::move(l));
    return client(std::move(handle));
}

[[nodiscard]] task<client> connect_with(std::shared_ptr<const detail::settings> s) {
    detail::link_pointer l = co_await detail::dial(s, detail::purpose::commands);
    co_return start(std::move(s), std::move(l));
}

[[nodiscard]] task<client> connect_with(std::shared_ptr<const detail::settings> s, any_stream stream) {
    detail::link_pointer l = co_await detail::introduce(s, std::move(stream), -1, detail::purpose::commands);
    co_return start(std::move(s), std::move(l));
}

[[nodiscard]] task<std::optional<std::vector<value>>> run_transaction(detail::core_pointer core, std::string wire, std::size_t commands) {
    std::vector<value> replies = co_await detail::client_core::send_all(std::move(core), std::move(wire), commands + 2);
    co_return detail::transaction_replies(std::move(replies));
}

// EVALSHA, and EVAL if the server does not know the script.
[[nodiscard]] task<value> run_script(detail::core_pointer core, script s, std::size_t words, std::string tail) {
    std::string by_digest = core->take_buffer();
    detail::append_array(by_digest, 2 + words);
    detail::append_word(by_digest, "EVALSHA");
    detail::append_word(by_digest, s.sha1());
    by_digest += tail;
    try {
        value v = co_await detail::client_core::send(core, std::move(by_digest));
        core->give_back(std::move(tail));
        co_return v;
    } catch (const error& e) {
        if (e.code() != "NOSCRIPT") throw;
    }
    std::string whole;
    detail::append_array(whole, 2 + words);
    detail::append_word(whole, "EVAL");
    detail::append_word(whole, s.source());
    whole += tail;
    co_return co_await detail::client_core::send(std::move(core), std::move(whole));
}

[[nodiscard]] task<> load_script(detail::core_pointer core, script s) {
    std::string wire;
    detail::append_command(wire, "SCRIPT", "LOAD", s.source());
    static_cast<void>(co_await detail::client_core::send(std::move(core), std::move(wire)));
}

/// Redis takes seconds, and 0 as "for ever": a shorter time than its smallest is rounded up.
[[nodiscard]] double seconds_of(std::chrono::nanoseconds wait) {
    if (wait.count() < 0) throw std::invalid_argument("redis: a blocking command cannot wait for a negative time");
    constexpr std::chrono::nanoseconds smallest = std::chrono::milliseconds(1);
    if (wait.count() == 0) return 0;
    return std::chrono::duration<double>(std::max(wait, smallest)).count();
}

/// For the server's answer to a command that waits so long.
[[nodiscard]] std::chrono::nanoseconds limit_of(std::chrono::nanoseconds wait, const detail::settings& s) {
    return wait.count() == 0 || s.timeout.count() == 0 ? std::chrono::nanoseconds(0) : wait + s.timeout;
}

[[nodiscard]] task<std::optional<popped>> pop(detail::core_pointer core, std::string wire, std::chrono::nanoseconds wait) {
    const std::chrono::nanoseconds limit = limit_of(wait, *core->config());
    value v = co_await detail::client_core::send_blocking(std::move(core), std::move(wire), limit);
    if (v.is_nil()) co_return std::nullopt;
    std::vector<value> parts = v.take_array();
    if (parts.size() != 2) throw type_mismatch("the reply to a pop has not two items");
    std::string key = parts[0].take_string();
    co_return popped(std::move(key), parts[1].take_string());
}

[[nodiscard]] task<std::optional<std::string>> move_item(detail::core_pointer core, std::string wire, std::chrono::nanoseconds wait) {
    const std::chrono::nanoseconds limit = limit_of(wait, *core->config());
    value v = co_await detail::client_core::send_blocking(std::move(core), std::move(wire), limit);
    if (v.is_nil()) co_return std::nullopt;
    co_return v.take_string();
}

[[nodiscard]] task<redis::session> open_session(detail::core_pointer core) {
    detail::link_pointer l = co_await detail::client_core::borrow(core, "a session");
    co_return redis::session(std::make_shared<detail::session_core>(core->config(), std::move(l)));
}

[[nodiscard]] task<redis::subscription> open_subscription(detail::core_pointer core, std::vector<std::string> names, bool patterns) {
    if (names.empty()) throw std::invalid_argument("redis: a subscription without a channel");
    detail::link_pointer l = co_await detail::client_core::borrow(core, "a subscription");
    auto s = std::make_shared<detail::subscription_core>(core->config(), std::move(l));
    co_await detail::subscription_core::open(s, std::move(names), patterns);
    co_return redis::subscription(std::move(s));
}

[[nodiscard]] async_generator<std::string> scan_keys(detail::core_pointer core, std::string pattern, std::size_t count) {
    std::string cursor = "0";
    do {
        std::string wire;
        detail::append_command(wire, "SCAN", cursor, "MATCH", pattern, "COUNT", count);
        value v = co_await detail::client_core::send(core, std::move(wire));
        std::vector<value> parts = v.take_array();
        if (parts.size() != 2) throw type_mismatch("the reply to SCAN has not two items");
        cursor = parts[0].take_string();
        std::vector<std::string> keys = parts[1].take_strings();
        for (std::string& key : keys) co_yield std::move(key);
    } while (cursor != "0");
}

} // namespace

client::client(std::shared_ptr<detail::client_handle> handle) noexcept : handle_(std::move(handle)) {}
client::client(const client&) noexcept = default;
client::client(client&&) noexcept = default;
client& client::operator=(client o) noexcept {
    handle_.swap(o.handle_);
    return *this;
}
client::~client() = default;

detail::client_core& client::core() const {
    return *shared_core();
}
const std::shared_ptr<detail::client_core>& client::shared_core() const {
    if (!handle_) throw closed_resource("this redis::client is empty (it was moved from)");
    return handle_->core;
}

std::string client::buffer() const {
    return core().take_buffer();
}
task<value> client::send(std::string wire) const {
    return detail::client_core::send(shared_core(), std::move(wire));
}
task<value> client::send_blocking(std::string wire, std::chrono::nanoseconds limit) const {
    return detail::client_core::send_blocking(shared_core(), std::move(wire), limit);
}
task<value> client::evaluate(script s, std::size_t words, std::string tail) const {
    return run_script(shared_core(), std::move(s), words, std::move(tail));
}

task<value> client::command(std::vector<std::string> words) {
    return send(wire_of(words));
}

task<std::vector<value>> client::run(const pipeline& commands) {
    if (commands.empty()) return detail::no_replies();
    return detail::client_core::send_all(shared_core(), std::string(commands.wire()), commands.size());
}

task<std::optional<std::vector<value>>> client::transaction(const pipeline& commands) {
    return run_transaction(shared_core(), detail::transaction_wire(commands), commands.size());
}

task<> client::load(script s) {
    return load_script(shared_core(), std::move(s));
}

task<value> client::blocking_command(std::vector<std::string> words) {
    return send_blocking(wire_of(words), std::chrono::nanoseconds(0));
}

task<std::optional<popped>> client::blpop(std::vector<std::string> keys, std::chrono::nanoseconds wait) {
    std::string wire;
    detail::append_command(wire, "BLPOP", keys, seconds_of(wait));
    return pop(shared_core(), std::move(wire), wait);
}
task<std::optional<popped>> client::brpop(std::vector<std::string> keys, std::chrono::nanoseconds wait) {
    std::string wire;
    detail::append_command(wire, "BRPOP", keys, seconds_of(wait));
    return pop(shared_core(), std::move(wire), wait);
}
task<std::optional<std::string>> client::blmove(std::string source, std::string target, std::string_view from, std::string_view to,
                                                std::chrono::nanoseconds wait) {
    std::string wire;
    detail::append_command(wire, "BLMOVE", source, target, from, to, seconds_of(wait));
    return move_item(shared_core(), std::move(wire), wait);
}

task<redis::subscription> client::subscribe(std::vector<std::string> channels) {
    return open_subscription(shared_core(), std::move(channels), false);
}
task<redis::subscription> client::psubscribe(std::vector<std::string> patterns) {
    return open_subscription(shared_core(), std::move(patterns), true);
}
task<redis::session> client::session() {
    return open_session(shared_core());
}

async_generator<std::string> client::scan(std::string pattern, std::size_t count) {
    return scan_keys(shared_core(), std::move(pattern), count);
}

task<> client::quit() {
    return detail::client_core::quit(shared_core());
}
void client::close() noexcept {
    if (handle_) handle_->core->close();
}
bool client::is_open() const noexcept {
    return handle_ && handle_->core->is_open();
}
statistics client::stats() const noexcept {
    return handle_ ? handle_->core->stats() : statistics();
}
const std::string& client::endpoint() const {
    return core().config()->endpoint;
}

task<client> connect(std::string url, options options, std::source_location site) {
    return connect_with(std::make_shared<const detail::settings>(detail::settings_of(url, options, site)));
}
task<client> connect_over(any_stream stream, std::string name, options options, std::source_location site) {
    auto s = std::make_shared<const detail::settings>(detail::settings_of_stream(std::move(name), options, site));
    return connect_with(std::move(s), std::move(stream));
}

} // namespace eddy::redis

#include "link.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

#include <eddy/detail/jitter.hpp>
#include <eddy/detail/task_context.hpp>
#include <eddy/redis/detail/words.hpp>
#include <eddy/redis/error.hpp>
#include <eddy/sleep.hpp>
#include <eddy/tcp.hpp>
#include <eddy/timeout.hpp>
#include <eddy/tls_stream.hpp>
#include <eddy/unix.hpp>

namespace eddy::redis::detail {
namespace {

/// Words that a reply to PING may begin with while nothing is wrong with the connection.
[[nodiscard]] bool is_only_busy(std::string_view reply) noexcept {
    const std::string_view code = reply.substr(0, reply.find(' '));
    return code == "LOADING" || code == "MASTERDOWN" || code == "BUSY" || code == "NOPERM";
}

/// An error that another attempt may not meet.
[[nodiscard]] bool may_pass(const error& e) noexcept {
    return is_only_busy(e.reply()) || e.reply().find("max number of clients") != std::string::npos;
}

class introduction {
public:
    introduction(const settings& s, purpose p) : endpoint_(s.endpoint) {
        if (!s.password.empty()) {
            if (s.user.empty())
                add("AUTH", s.password);
            else
                add("AUTH", s.user, s.password);
        }
        if (s.database != 0) add("SELECT", s.database);
        if (!s.client_name.empty()) add("CLIENT", "SETNAME", s.client_name);
        if (p == purpose::blocking) add("CLIENT", "ID");
        add("PING"); // whatever else there is to say: the other end is a server, and lets us in
    }
    [[nodiscard]] std::string_view wire() const noexcept { return wire_; }
    [[nodiscard]] std::size_t commands() const noexcept { return names_.size(); }

    void take(std::size_t i, const value& reply, link& l) const {
        const std::string_view name = names_[i];
        if (reply.is_error()) {
            if (name == "PING" && is_only_busy(reply.error_text())) return;
            if (name == "CLIENT") return; // an older server, or one that does not let us: it works without
            throw error(name, reply.error_text(), endpoint_);
        }
        if (reply.kind() == kind::integer) l.id = reply.as_integer();
    }

private:
    template <class... A>
    void add(std::string_view name, const A&... arguments) {
        append_command(wire_, name, arguments...);
        names_.push_back(name);
    }
    std::string endpoint_;
    std::string wire_;
    std::vector<std::string_view> names_;
};

[[nodiscard]] task<link_pointer> connect_and_introduce(std::shared_ptr<const settings> s, purpose p) {
    if (s->over == transport::unix_socket) {
        unix_stream u = co_await unix_connect(s->host);
        const int descriptor = u.native_handle();
        co_return co_await introduce(s, any_stream(std::move(u)), descriptor, p);
    }
    tcp_stream t = co_await tcp_connect(s->host, s->port);
    t.set_keep_alive(keep_alive_options());
    const int descriptor = t.native_handle();
    if (s->over == transport::tcp) co_return co_await introduce(s, any_stream(std::move(t)), descriptor, p);
    auto upgrading = tls_upgrade(std::move(t), *s->tls, s->host);
    tls_stream encrypted = co_await std::move(upgrading);
    co_return co_await introduce(s, any_stream(std::move(encrypted)), descriptor, p);
}

[[nodiscard]] std::string cause_text(const std::exception_ptr& cause) {
    return cause ? eddy::detail::describe(cause) : std::string("the server has closed the connection");
}

[[nodiscard]] std::error_code code_of(const std::exception_ptr& cause) noexcept {
    try {
        if (cause) std::rethrow_exception(cause);
    } catch (const std::system_error& e) {
        return e.code();
    } catch (const timeout_error&) {
        return std::make_error_code(std::errc::timed_out);
    } catch (const std::bad_alloc&) {
        return std::make_error_code(std::errc::not_enough_memory);
    } catch (const protocol_error&) {
        return std::make_error_code(std::errc::protocol_error);
    } catch (...) { // without a code of its own
    }
    return std::make_error_code(std::errc::not_connected);
}

/// Is there no use in trying again?
[[nodiscard]] bool is_final(const std::exception_ptr& e) {
    try {
        std::rethrow_exception(e);
    } catch (const error& refused) {
        return !may_pass(refused);
    } catch (const std::logic_error&) {
        return true;
    } catch (...) {
        return false;
    }
}

} // namespace

link::link(any_stream stream, int descriptor, const settings& s)
    : stream_(std::move(stream)), descriptor_(descriptor), encrypted_(s.over == transport::tls), parser_(s.max_reply) {}

task<> link::write(std::string_view bytes) {
    return stream_.write(bytes);
}

task<> link::fill() {
    const std::size_t n = co_await stream_.read_some(buffer_);
    if (n == 0)
        throw std::system_error(std::make_error_code(std::errc::connection_reset),
                                parser_.in_the_middle() ? "the server has closed the connection in the middle of a reply"
                                                        : "the server has closed the connection");
    parser_.feed({reinterpret_cast<const char*>(buffer_.data()), n});
}

task<value> link::read() {
    for (;;) {
        if (std::optional<value> v = next()) co_return std::move(*v);
        co_await fill();
    }
}

bool link::is_quiet() const noexcept {
    if (!stream_.is_open() || parser_.in_the_middle()) return false;
    if (descriptor_ < 0) return true;
    char byte = 0;
    const ssize_t n = ::recv(descriptor_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0) return encrypted_; // a ticket of TLS, perhaps
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

task<link_pointer> introduce(std::shared_ptr<const settings> s, any_stream stream, int descriptor, purpose p) {
    link_pointer l = std::make_unique<link>(std::move(stream), descriptor, *s);
    const introduction words(*s, p);
    co_await l->write(words.wire());
    for (std::size_t i = 0; i < words.commands(); ++i) {
        const value reply = co_await l->read();
        words.take(i, reply, *l);
    }
    co_return l;
}

task<link_pointer> dial(std::shared_ptr<const settings> s, purpose p) {
    if (s->connect_timeout.count() == 0) co_return co_await connect_and_introduce(s, p);
    auto connecting = connect_and_introduce(s, p);
    auto limited = move_on_after(s->connect_timeout, [&](cancel_scope&) -> task<link_pointer> { return std::move(connecting); });
    std::optional<link_pointer> l = co_await std::move(limited);
    if (!l) throw timeout_error(s->connect_timeout, s->site, "connect to " + s->endpoint);
    co_return std::move(*l);
}

task<link_pointer> dial_patiently(std::shared_ptr<const settings> s, purpose p) {
    eddy::detail::task_context& self = co_await eddy::detail::this_context();
    eddy::detail::retry_course course(s->reconnect, self.loop().now());
    for (;;) {
        std::exception_ptr failure;
        try {
            co_return co_await dial(s, p);
        } catch (const operation_cancelled&) {
            throw;
        } catch (...) {
            failure = std::current_exception();
        }
        if (is_final(failure)) std::rethrow_exception(failure);
        const std::chrono::nanoseconds pause = course.pause_after(failure, self);
        failure = nullptr;
        co_await sleep_for(pause);
    }
}

std::exception_ptr loss_of(const settings& s, std::string_view command, const std::exception_ptr& cause, bool maybe_executed) {
    if (cause && !maybe_executed && is_final(cause)) return cause;
    return std::make_exception_ptr(connection_lost(s.endpoint, command, cause_text(cause), code_of(cause), maybe_executed));
}

std::string_view command_of(std::string_view wire) noexcept {
    const std::size_t length = wire.find('$');
    const std::size_t start = wire.find('\n', length);
    if (length == std::string_view::npos || start == std::string_view::npos) return {};
    std::size_t size = 0;
    std::from_chars(wire.data() + length + 1, wire.data() + start, size);
    return wire.substr(start + 1, size);
}

} // namespace eddy::redis::detail

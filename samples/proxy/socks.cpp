#include "socks.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <eddy/resolve.hpp>
#include <eddy/timeout.hpp>

namespace port_proxy::socks {

namespace {

using size_function = std::size_t (*)(std::string_view beginning) noexcept;

eddy::task<std::string> read_message(reader& in, size_function size) {
    std::string message;
    while (const std::size_t missing = size(message) - message.size()) {
        const std::string more = co_await in.read_exactly(missing);
        message += more;
    }
    co_return message;
}

// Takes as long whichever letter is the first wrong one.
bool same_secret(std::string_view a, std::string_view b) {
    unsigned difference = a.size() == b.size() ? 0 : 1;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
        difference |= unsigned{static_cast<unsigned char>(a[i])} ^ static_cast<unsigned char>(b[i]);
    return difference == 0;
}

eddy::task<> check_password(reader& in, eddy::tcp_stream& out, const options& o) {
    const std::string message = co_await read_message(in, &login_size);
    const login given = parse_login(message);
    const bool right_name = same_secret(given.name, *o.user);
    const bool right = same_secret(given.password, o.password) && right_name;
    const std::string answer = login_answer_bytes(right);
    co_await out.write(answer);
    if (!right) throw refusal("wrong user or password");
}

} // namespace

eddy::task<> agree_on_method(reader& in, eddy::tcp_stream& out, const options& o) {
    const std::string greeting = co_await read_message(in, &greeting_size);
    const method wanted = o.user ? method::password : method::none;
    const bool offered = offers(greeting, wanted);
    const std::string answer = method_bytes(offered ? wanted : method::no_acceptable);
    co_await out.write(answer);
    if (!offered)
        throw refusal(o.user ? "the client does not offer a password"
                             : "the client does not offer to do without authentication");
    if (o.user) co_await check_password(in, out, o);
}

eddy::task<> send_reply(eddy::tcp_stream& out, reply code, eddy::ip_endpoint bound) {
    const std::string bytes = reply_bytes(code, bound);
    co_await out.write(bytes);
}

eddy::task<target> read_request(reader& in, eddy::tcp_stream& out) {
    const std::string message = co_await read_message(in, &request_size);
    std::optional<refusal> refused;
    try {
        co_return parse_request(message);
    } catch (const refusal& e) {
        refused = e;
    }
    if (refused->answer()) co_await send_reply(out, *refused->answer());
    throw refusal(*refused);
}

namespace {

reply code_for(const std::error_code& e) {
    if (e == std::errc::connection_refused) return reply::connection_refused;
    if (e == std::errc::network_unreachable) return reply::network_unreachable;
    if (e == std::errc::host_unreachable || e == std::errc::timed_out) return reply::host_unreachable;
    if (e == std::errc::permission_denied || e == std::errc::operation_not_permitted) return reply::not_allowed;
    return reply::general_failure;
}

} // namespace

reply code_for(const std::exception_ptr& why) {
    try {
        std::rethrow_exception(why);
    } catch (const eddy::connect_error& e) { // the last address is as good as any other
        return e.attempts().empty() ? reply::general_failure : code_for(e.attempts().back().error);
    } catch (const eddy::resolve_error&) {
        return reply::host_unreachable;
    } catch (const eddy::timeout_error&) {
        return reply::host_unreachable;
    } catch (const std::exception&) {
        return reply::general_failure;
    }
}

} // namespace port_proxy::socks

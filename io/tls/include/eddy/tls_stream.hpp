// TLS over TCP or any other byte stream: tls_connect, tls_upgrade, tls_accept, tls_stream.
//
//     tls_context tc = tls_context::client();
//     tls_stream s = co_await tls_connect("localhost", 443, tc);
//     co_await s.write("hello"sv);
//     std::size_t n = co_await s.read_some(buffer);                     // 0: the peer has said that it is the end
//
//     auto up = co_await tls_upgrade(std::move(s), tc, "localhost");    // goes on in TLS, as after STARTTLS
//
//     co_await serve(listener, [&](tcp_stream s) -> task<> {            // server side
//         tls_stream t = co_await tls_accept(std::move(s), context);
//         …
//     });
//
// A TLS stream is a byte stream itself: `buffered_reader`, `buffered_writer` and TLS once more can be put on it.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <eddy/buffered_reader.hpp>
#include <eddy/detail/tls_link.hpp>
#include <eddy/tcp.hpp>

namespace eddy {

/// What TLS can be spoken over. `close()` of the stream, if it has one, frees what it has before it waits, and its waiters
/// are told; the same goes for its destruction. `tcp_stream`, `testing::memory_stream` and `tls_stream` are such streams.
template <class S>
concept tls_transport = async_read_stream<S> && async_write_stream<S> && std::movable<S>;

/// The texts are copied by the call that takes the options. A time of 0: no limit.
struct tls_options {
    std::chrono::nanoseconds handshake_timeout = std::chrono::seconds(60);
    std::chrono::nanoseconds shutdown_timeout = std::chrono::seconds(30); // for `close` to send its close_notify
    std::chrono::nanoseconds connect_timeout{0};                          // `tls_connect`: look-up and TCP
    std::string_view server_name = {}; // client: asked for and checked instead of the host that was connected to
    std::string_view received = {};    // `tls_upgrade`, `tls_accept`: what was read from the stream already, and is TLS
};

static_assert(std::is_trivially_destructible_v<tls_options>); // it is written into co_await expressions (trap T1)

/// A TLS connection over `Stream`. Move-only; loop thread only. One task may read while another writes. Reads are served one at
/// a time (`busy_resource`), writes queue first come first served and are never torn.
template <tls_transport Stream>
class basic_tls_stream {
public:
    basic_tls_stream() noexcept = default;
    basic_tls_stream(basic_tls_stream&&) noexcept = default;
    basic_tls_stream& operator=(basic_tls_stream o) noexcept {
        std::swap(link_, o.link_);
        return *this;
    }
    /// Closes the stream below, without a close_notify: the peer gets `truncated`. Whoever waits gets `closed_resource`.
    ~basic_tls_stream() {
        if (link_) link_->close_now();
    }

    /// Awaitable: the number of bytes read, at least one; 0 once the peer has sent its close_notify, and for an empty buffer.
    /// Checkpoint; cancelled, nothing was read: what has come meanwhile is there for the next read (R4). Throws `truncated` at an
    /// end without close_notify, `tls_error`, what the stream below throws, `busy_resource` while another task reads,
    /// `closed_resource` after or on a close on our side. Does not wait for room to write: what TLS wants to be sent because of
    /// what was read is sent by a task of the loop's root group.
    task<std::size_t> read_some(std::span<std::byte> buffer) { return detail::tls_link<Stream>::read(link(), buffer); }
    /// The same into memory that is taken when something has come; empty at the end (<eddy/borrowed_bytes.hpp>).
    task<borrowed_bytes> read_borrowed() { return detail::tls_link<Stream>::read_borrowed(link()); }
    /// Awaitable: until the stream below has taken all of it. Checkpoint; cancelled before its turn, nothing was written. Cancelled
    /// after that, later writes throw `broken_resource`, because a record that was begun can neither be taken back nor repeated, as
    /// they do after one that failed half-way; `partial()` is how many bytes had gone down for certain. Throws `tls_error`, what the
    /// stream below throws, `closed_resource`, `std::logic_error` after shutdown_write.
    task<> write(std::span<const std::byte> bytes) { return detail::tls_link<Stream>::write(link(), detail::tls_parts(bytes)); }
    task<> write(std::string_view text) { return write(bytes_of(text)); }
    task<> write(const char* text) { return write(std::string_view(text)); }
    /// The same with several buffers, in their order and as one write. Each is a record of its own at least; they go down together.
    /// (There is no write_some: a record that was begun has to be sent.)
    task<> write(std::span<const std::span<const std::byte>> buffers) {
        return detail::tls_link<Stream>::write(link(), detail::tls_parts(buffers));
    }
    /// Awaitable: sends our close_notify after the writes that are queued. The stream below stays open, and we can still read.
    /// Checkpoint; cancelled after it had its turn, the writing side is broken. A peer that speaks TLS 1.2 may answer by closing.
    task<> shutdown_write() { return detail::tls_link<Stream>::shutdown_write(link()); }
    /// Awaitable: sends our close_notify, for at most `shutdown_timeout`, and closes the stream below. Not waited for is the peer's
    /// close_notify; read to the end first if you want it. If a write is in progress, there is no close_notify. Whoever waits gets
    /// `closed_resource`. In a task that was cancelled before, it closes at once and then throws (R13, ST-36); cancelled
    /// meanwhile, it stops sending, closes, and returns. Twice does no harm; a peer that is gone is no error.
    task<> close() { return detail::tls_link<Stream>::close(link_); }
    /// Drops what was not sent yet; TCP is reset.
    void abort() noexcept {
        if (link_) link_->abort();
    }

    [[nodiscard]] bool is_open() const noexcept { return link_ && link_->is_open(); }
    /// What was agreed on in the handshake. Throws `closed_resource` for a stream that is empty; works after `close`.
    [[nodiscard]] tls_session_info tls_info() const { return link()->session.info(); }
    /// "h2"; empty if nothing was agreed on.
    [[nodiscard]] std::string alpn_protocol() const { return link()->session.alpn_protocol(); }

    /// The stream below, for its settings. Reading or writing there ruins the connection. Throws `closed_resource` if it is gone.
    [[nodiscard]] Stream& transport() const {
        if (!link()->below) throw closed_resource("this TLS stream was closed");
        return *link()->below;
    }
    /// As the stream below gives them: an `ip_endpoint`, a `unix_endpoint`, …
    [[nodiscard]] auto local_endpoint() const
        requires requires(const Stream& s) { s.local_endpoint(); }
    {
        return transport().local_endpoint();
    }
    [[nodiscard]] auto remote_endpoint() const
        requires requires(const Stream& s) { s.remote_endpoint(); }
    {
        return transport().remote_endpoint();
    }
    /// -1 when closed. Still owned by the stream.
    [[nodiscard]] int native_handle() const noexcept
        requires requires(const Stream& s) { s.native_handle(); }
    {
        return link_ && link_->below ? link_->below->native_handle() : -1;
    }

    explicit basic_tls_stream(std::shared_ptr<detail::tls_link<Stream>> l) noexcept : link_(std::move(l)) {} // for the library

private:
    [[nodiscard]] const std::shared_ptr<detail::tls_link<Stream>>& link() const {
        if (!link_) throw closed_resource("this TLS stream is empty (it was moved from)");
        return link_;
    }
    std::shared_ptr<detail::tls_link<Stream>> link_;
};

using tls_stream = basic_tls_stream<tcp_stream>;

/// Connects by TCP and shakes hands. Checkpoint; cancelled, no socket is left. Throws what `tcp_connect` throws (`timeout_error`
/// after `connect_timeout`), `timeout_error` after `handshake_timeout`, `tls_error`, `truncated` if the peer closes meanwhile; the
/// socket is then closed. The call itself throws `std::invalid_argument` for what cannot be a name, and for a server's context.
task<tls_stream> tls_connect(std::string host, std::uint16_t port, tls_context context, tls_options options = {},
                             std::source_location site = std::source_location::current());

/// Goes on in TLS on a stream that is there, as the client: after STARTTLS, through a proxy, over anything. `host` is what the
/// certificate has to name. The stream is the new one's from now on: closed, whatever happens. Otherwise as `tls_connect`.
template <tls_transport Stream>
[[nodiscard]] task<basic_tls_stream<Stream>> tls_upgrade(Stream stream, tls_context context, std::string host, tls_options options = {},
                                                         std::source_location site = std::source_location::current());
/// The same for a stream that a reader has read ahead on. Takes the stream away from it, with what it holds.
template <tls_transport Stream>
[[nodiscard]] task<basic_tls_stream<Stream>> tls_upgrade(buffered_reader<Stream>& reader, tls_context context, std::string host,
                                                         tls_options options = {}, std::source_location site = std::source_location::current());

/// The server's side. A client that does not keep up with `handshake_timeout` costs its connection and nothing else.
template <tls_transport Stream>
[[nodiscard]] task<basic_tls_stream<Stream>> tls_accept(Stream stream, tls_context context, tls_options options = {},
                                                        std::source_location site = std::source_location::current());
template <tls_transport Stream>
[[nodiscard]] task<basic_tls_stream<Stream>> tls_accept(buffered_reader<Stream>& reader, tls_context context, tls_options options = {},
                                                        std::source_location site = std::source_location::current());

// --- implementation

namespace detail {

/// The name of the peer of a stream; `otherwise` if it has none.
template <class Stream>
[[nodiscard]] std::string peer_of(const Stream& s, std::string otherwise) {
    if constexpr (requires { { s.remote_endpoint() } -> std::same_as<ip_endpoint>; }) { // of a Unix socket, a client has no name
        try {
            return s.remote_endpoint().to_string();
        } catch (const std::exception&) { // it is gone
        }
    }
    return otherwise;
}

template <class Stream>
[[nodiscard]] std::string name_with_port(const Stream& s, std::string host) {
    if constexpr (requires { { s.remote_endpoint() } -> std::same_as<ip_endpoint>; }) {
        try {
            return host + ":" + std::to_string(s.remote_endpoint().port());
        } catch (const std::exception&) { // it is gone
        }
    }
    return host;
}

template <class Stream>
task<basic_tls_stream<Stream>> establish(std::shared_ptr<tls_link<Stream>> link, std::chrono::nanoseconds limit, std::source_location site) {
    basic_tls_stream<Stream> stream(link); // closes it if the handshake fails
    if (limit.count() <= 0) {
        co_await tls_link<Stream>::shake_hands(link);
        co_return stream;
    }
    const auto body = [&link](cancel_scope&) { return tls_link<Stream>::shake_hands(link); };
    const bool in_time = co_await move_on_after(limit, body);
    if (!in_time) throw timeout_error(limit, site, "TLS handshake with " + link->session.peer());
    co_return stream;
}

template <class Stream>
[[nodiscard]] task<basic_tls_stream<Stream>> begin_tls(Stream stream, tls_session session, const tls_options& options, std::source_location site) {
    session.received(options.received);
    auto link = std::make_shared<tls_link<Stream>>(std::move(stream), std::move(session), options.shutdown_timeout);
    return establish<Stream>(std::move(link), options.handshake_timeout, site);
}

} // namespace detail

template <tls_transport Stream>
task<basic_tls_stream<Stream>> tls_upgrade(Stream stream, tls_context context, std::string host, tls_options options, std::source_location site) {
    std::string peer = detail::name_with_port(stream, host);
    const std::string name = options.server_name.empty() ? std::move(host) : std::string(options.server_name);
    return detail::begin_tls(std::move(stream), detail::tls_session::client(context, name, std::move(peer)), options, site);
}

template <tls_transport Stream>
task<basic_tls_stream<Stream>> tls_accept(Stream stream, tls_context context, tls_options options, std::source_location site) {
    std::string peer = detail::peer_of(stream, "a client");
    return detail::begin_tls(std::move(stream), detail::tls_session::server(context, std::move(peer)), options, site);
}

template <tls_transport Stream>
task<basic_tls_stream<Stream>> tls_upgrade(buffered_reader<Stream>& reader, tls_context context, std::string host, tls_options options,
                                           std::source_location site) {
    options.received = reader.buffered();
    return tls_upgrade(std::move(reader.stream()), std::move(context), std::move(host), options, site);
}

template <tls_transport Stream>
task<basic_tls_stream<Stream>> tls_accept(buffered_reader<Stream>& reader, tls_context context, tls_options options, std::source_location site) {
    options.received = reader.buffered();
    return tls_accept(std::move(reader.stream()), std::move(context), options, site);
}

} // namespace eddy

#include "websocket_link.hpp"

#include <eddy/outcome.hpp>
#include <eddy/spawn.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>
#include <utility>

#include "websocket_handshake.hpp"

namespace eddy::http::detail {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t frame_piece = 16 * 1024;        // written together with the head, and masked, at a time
constexpr std::size_t longest_piece = 64 * 1024;      // what `write_timeout` applies to
constexpr std::size_t kept_piece = 4 * 1024;          // what an idle connection keeps for the next frame
constexpr std::size_t keys_at_once = 64;
constexpr std::size_t longest_drain = 1024 * 1024;    // bytes that we discard so that our close frame arrives
constexpr std::chrono::nanoseconds forever = 24h * 365 * 100;

class websocket_mark {
public:
    explicit websocket_mark(bool& b) noexcept : mark_(b) { mark_ = true; }
    websocket_mark(const websocket_mark&) = delete;
    websocket_mark& operator=(const websocket_mark&) = delete;
    ~websocket_mark() { mark_ = false; }

private:
    bool& mark_;
};

[[nodiscard]] std::string code_only(std::uint16_t code) {
    return {static_cast<char>(code >> 8U), static_cast<char>(code & 0xFFU)};
}

} // namespace

websocket_link::websocket_link(any_stream stream, websocket_side side, std::string peer, std::string subprotocol,
                               const websocket_options& options)
    : stream_(std::move(stream)),
      side_(side),
      peer_(std::move(peer)),
      subprotocol_(std::move(subprotocol)),
      close_timeout_(options.close_timeout),
      ping_interval_(options.ping_interval),
      pong_timeout_(options.pong_timeout),
      write_timeout_(options.write_timeout),
      decoder_(side == websocket_side::server, options.max_message > 0 ? options.max_message : std::numeric_limits<std::size_t>::max()),
      heard_(loop_clock::now()) {}

void websocket_link::received(std::string_view bytes) {
    const std::span<std::byte> room = decoder_.room();
    const std::span<const std::byte> from = bytes_of(bytes);
    std::copy(from.begin(), from.end(), room.begin());
    decoder_.received(from.size());
}

std::chrono::nanoseconds websocket_link::close_limit() const noexcept {
    return close_timeout_.count() > 0 ? close_timeout_ : forever;
}

// --- reading

task<std::optional<websocket_message>> websocket_link::read(pointer l) {
    co_await this_task::checkpoint();
    if (l->reading_) throw busy_resource("another task is already reading from the WebSocket of " + l->peer_);
    const websocket_mark mark(l->reading_);
    const mutex_guard turn = co_await l->receiving_.lock();
    const bool got = co_await next_message(l);
    if (got) {
        std::optional<websocket_message> message;
        message.emplace(l->decoder_.message_is_text(), l->decoder_.take_message());
        co_return message;
    }
    co_await answer_end(l);
    if (l->failure_) std::rethrow_exception(l->failure_);
    co_return std::nullopt;
}

/// Until the decoder has a message; false if none comes any more: the peer has closed, or failed. The caller has `receiving_`.
task<bool> websocket_link::next_message(pointer l) {
    using event = frame_decoder::event;
    for (;;) {
        if (l->close_received_ || l->failure_) co_return false;
        if (!l->open_) throw closed_resource("read from the WebSocket of " + l->peer_ + ": it was closed on our side");
        switch (l->decoder_.next()) {
            case event::message: co_return true;
            case event::ping:
                l->pong_due_ = l->decoder_.control_payload(); // only the latest ping needs an answer (5.5.3)
                flush_soon(l);
                break;
            case event::pong: ++l->pongs_; break;
            case event::close: l->note_close(); break;
            case event::violation: l->fail(l->decoder_.code(), l->decoder_.reason()); break;
            case event::needs_input: co_await fill(l); break;
        }
    }
}

void websocket_link::note_close() {
    close_received_ = true;
    close_code_ = decoder_.code();
    close_reason_ = decoder_.reason();
}

void websocket_link::fail(std::uint16_t code, std::string_view reason) {
    failure_ = std::make_exception_ptr(websocket_error(code, "WebSocket with " + peer_ + ": " + std::string(reason)));
    failure_code_ = code;
}

/// Reads once, and pings when nothing comes.
task<> websocket_link::fill(pointer l) {
    const std::span<std::byte> room = l->decoder_.room();
    bool in_time = true;
    std::size_t n = 0;
    try {
        n = co_await l->read_within(l->patience(), room, in_time);
    } catch (const closed_resource&) {
        if (!l->failure_) throw;
        co_return; // a write has given the peer up
    }
    if (in_time && n > 0) {
        l->decoder_.received(n);
        if (l->ping_interval_.count() > 0) l->heard_ = loop_clock::now();
        l->pinged_.reset();
    } else if (in_time) {
        l->fail(close_codes::abnormal, "it ended without a close frame");
    } else if (l->pinged_) {
        l->fail(close_codes::abnormal, "it gave no sign of life after a ping");
    } else {
        l->pinged_ = loop_clock::now();
        l->ping_due_ = true;
        flush_soon(l);
    }
}

/// How long a read may wait now.
std::chrono::nanoseconds websocket_link::patience() {
    if (ping_interval_.count() <= 0 || close_sent_) return forever; // a ping that cannot be sent has no answer: that ends it, too
    if (pinged_ && pong_timeout_.count() <= 0) return forever;
    const loop_clock::time_point until = pinged_ ? *pinged_ + pong_timeout_ : heard_ + ping_interval_;
    return std::max<std::chrono::nanoseconds>(until - loop_clock::now(), 1ms); // a read that begins late finds what has come
}

task<std::size_t> websocket_link::read_within(std::chrono::nanoseconds limit, std::span<std::byte> room, bool& in_time) {
    if (limit == forever) co_return co_await stream_.read_some(room);
    std::size_t n = 0;
    const auto wait = [&](cancel_scope&) -> task<> { n = co_await stream_.read_some(room); };
    in_time = co_await move_on_after(limit, wait);
    co_return n;
}

// --- writing

void websocket_link::require_writable() const {
    const std::string what = "write to the WebSocket of " + peer_;
    if (close_received_) throw broken_resource(what + ": it has closed");
    if (failure_) std::rethrow_exception(failure_);
    if (!open_ || close_sent_) throw closed_resource(what + ": it was closed on our side");
    if (lost_) std::rethrow_exception(lost_);
    if (torn_) throw broken_resource(what + ": an earlier write was cancelled half-way");
}

task<> websocket_link::send(pointer l, websocket_opcode kind, std::span<const std::byte> payload) {
    const mutex_guard turn = co_await l->sending_.lock();
    if (kind == websocket_opcode::text && !is_utf8({reinterpret_cast<const char*>(payload.data()), payload.size()}))
        throw std::invalid_argument("a text for the WebSocket of " + l->peer_ + " is not UTF-8; send_binary takes any bytes");
    l->require_writable();
    co_await l->write_frame(kind, payload);
}

task<> websocket_link::send_kept(pointer l, websocket_opcode kind, std::string payload) {
    co_await send(std::move(l), kind, bytes_of(payload));
}

/// The peer does not take what is sent: there is nothing that could be said to it.
void websocket_link::give_up_writing() {
    fail(close_codes::abnormal, "it took too long to take a message");
    lost_ = failure_;
    abort();
    std::rethrow_exception(failure_);
}

task<> websocket_link::write_piece(std::span<const std::byte> bytes) {
    if (write_timeout_.count() <= 0) {
        co_await stream_.write(bytes);
        co_return;
    }
    const auto write = [this, bytes](cancel_scope&) -> task<> { co_await stream_.write(bytes); };
    const bool in_time = co_await move_on_after(write_timeout_, write);
    if (!in_time) give_up_writing();
}

/// The caller has `sending_`. The head and a small payload are one write. Large ones are not copied, but by a
/// client, piece by piece, to be masked.
task<> websocket_link::write_frame(websocket_opcode kind, std::span<const std::byte> payload) {
    const eddy::detail::task_context& self = co_await eddy::detail::this_context();
    const bool masks = side_ == websocket_side::client;
    const mask_key key = masks ? next_key() : mask_key{};
    const frame_head head(kind, payload.size(), masks ? &key : nullptr);
    std::size_t copied = std::min(payload.size(), frame_piece);
    std::size_t written = 0;
    out_.assign(head.bytes().begin(), head.bytes().end());
    out_.insert(out_.end(), payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(copied));
    if (masks) apply_mask(std::span(out_).subspan(head.bytes().size()), key, 0);
    try {
        co_await write_piece(std::span<const std::byte>(out_));
        written = out_.size();
        while (copied < payload.size()) {
            std::span<const std::byte> piece = payload.subspan(copied);
            piece = piece.first(std::min(piece.size(), masks ? frame_piece : longest_piece));
            if (masks) {
                out_.assign(piece.begin(), piece.end());
                apply_mask(out_, key, copied);
            }
            const std::span<const std::byte> next = masks ? std::span<const std::byte>(out_) : piece;
            co_await write_piece(next);
            copied += piece.size();
            written += piece.size();
        }
    } catch (const operation_cancelled& c) {
        written += c.partial();
        torn_ = torn_ || written > 0;
        throw operation_cancelled(self.scope().effective_reason(), written);
    } catch (...) {
        lost_ = std::current_exception();
        throw;
    }
    if (out_.capacity() > kept_piece) out_ = {};
}

mask_key websocket_link::next_key() {
    if (keys_.empty()) {
        keys_.resize(keys_at_once);
        fill_random(std::as_writable_bytes(std::span(keys_)));
    }
    const mask_key key = keys_.back();
    keys_.pop_back();
    return key;
}

/// What a read wants to be sent is sent by a task of its own: two peers that both send much would else wait for each other.
void websocket_link::flush_soon(const pointer& l) noexcept {
    if (l->flushing_ || !l->can_write()) return;
    try {
        eddy::spawn(flush(l), {.name = "websocket pong"});
    } catch (...) { // no memory: the next ping is answered
        return;
    }
    l->flushing_ = true;
}

task<> websocket_link::flush(pointer l) {
    const websocket_mark mark(l->flushing_);
    const mutex_guard turn = co_await l->sending_.lock();
    try {
        while (l->can_write() && (l->pong_due_ || l->ping_due_)) {
            std::string pong;
            const bool answers = l->pong_due_.has_value();
            if (answers) {
                pong = std::move(*l->pong_due_);
                l->pong_due_.reset();
            } else {
                l->ping_due_ = false;
            }
            co_await l->write_frame(answers ? websocket_opcode::pong : websocket_opcode::ping, bytes_of(pong));
        }
    } catch (const operation_cancelled&) {
        throw;
    } catch (...) { // the next write throws it
    }
}

// --- the end

task<> websocket_link::send_close(std::string payload) {
    const mutex_guard turn = co_await sending_.lock();
    if (!can_write()) co_return;
    co_await write_frame(websocket_opcode::close, bytes_of(payload));
    close_sent_ = true;
}

/// Discards what comes until the peer ends.
task<> websocket_link::drain() {
    std::vector<std::byte> sink(16 * 1024);
    const std::span<std::byte> space(sink);
    std::size_t total = 0;
    std::size_t n = 1;
    while (n > 0 && total < longest_drain) {
        n = co_await stream_.read_some(space);
        total += n;
    }
}

void websocket_link::over() noexcept {
    open_ = false;
    if (!close_received_) close_code_ = close_codes::abnormal;
}

task<> websocket_link::end() {
    if (!open_) co_return;
    over();
    co_await stream_.close();
}

/// After the peer's close frame, or what it must not do: our close frame, and the end of the stream. It is the server that ends it
/// first (7.1.1); after a violation more may be on its way, and closing with that unread would destroy our close frame. Cancelled, it
/// goes on in the next read.
task<> websocket_link::answer_end(pointer l) {
    if (!l->open_) co_return;
    const bool mute = l->failure_ && l->failure_code_ == close_codes::abnormal;
    const std::uint16_t code = l->failure_ ? l->failure_code_ : l->close_code_;
    const std::string payload = code == close_codes::none ? std::string() : code_only(code);
    const auto talk = [&l, &payload](cancel_scope&) -> task<> {
        co_await l->send_close(payload);
        if (l->failure_) co_await l->stream_.shutdown_write();
        if (l->failure_ || l->side_ == websocket_side::client) co_await l->drain();
    };
    if (!mute) {
        try {
            co_await move_on_after(l->close_limit(), talk);
        } catch (const operation_cancelled&) {
            throw;
        } catch (...) { // the peer is gone already
        }
    }
    co_await l->end();
}

/// Our close frame, and then whatever comes up to the peer's.
task<> websocket_link::say_goodbye(pointer l, std::string payload) {
    const auto talk = [&l, &payload](cancel_scope&) -> task<> {
        co_await l->send_close(payload);
        const mutex_guard turn = co_await l->receiving_.lock(); // a read that waits may bring the peer's
        bool more = l->open_ && l->close_sent_;
        while (more) {
            more = co_await next_message(l);
            if (more) static_cast<void>(l->decoder_.take_message());
        }
        if (l->open_ && l->close_received_ && l->side_ == websocket_side::client) co_await l->drain();
    };
    co_await move_on_after(l->close_limit(), talk);
}

task<> websocket_link::close(pointer l, std::string payload) {
    if (!l) co_return; // of a websocket that is empty
    const eddy::detail::task_context& self = co_await eddy::detail::this_context();
    const bool was_cancelled = self.cancel_pending();
    if (l->open_ && !was_cancelled) {
        l->closing_ = true;
        try {
            co_await say_goodbye(l, std::move(payload));
        } catch (...) { // the peer is gone, or we were cancelled: it is closed in any case, and a cancellation stays (R1)
        }
    }
    try {
        co_await l->end();
    } catch (...) { // it is closed; a cancellation is thrown below, or at the next checkpoint
    }
    if (was_cancelled) co_await this_task::checkpoint();
}

void websocket_link::abort() noexcept {
    if (!open_) return;
    over();
    stream_.abort();
}

} // namespace eddy::http::detail

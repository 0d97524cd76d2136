// any_stream: a byte stream of any type, TCP or TLS or one of yours, behind one type.
//
//     any_stream s = tls ? any_stream(co_await tls_accept(std::move(tcp), context)) : any_stream(std::move(tcp));
//     co_await talk(std::move(s));                       // compiled once, whatever is below
//
// Costs an allocation for the stream and a virtual call for each operation.
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>

#include <eddy/errors.hpp>
#include <eddy/stream.hpp>
#include <eddy/task.hpp>
#include <eddy/write_parts.hpp>

namespace eddy {

namespace detail {

/// What an any_stream shares with the operations that are under way, which may outlive it.
class stream_model {
public:
    stream_model() = default;
    stream_model(const stream_model&) = delete;
    stream_model& operator=(const stream_model&) = delete;
    virtual ~stream_model() = default;
    virtual task<std::size_t> read_some(std::span<std::byte> buffer) = 0;
    virtual task<borrowed_bytes> read_borrowed() = 0;
    virtual task<> write(std::span<const std::byte> bytes) = 0;
    virtual task<> write_parts(std::span<const std::span<const std::byte>> buffers) = 0;
    virtual task<> shutdown_write() = 0;
    virtual task<> close() = 0;
    virtual void abort() noexcept = 0;
    /// Destroys the stream.
    virtual void drop() noexcept = 0;
    [[nodiscard]] virtual bool is_open() const noexcept = 0;
    [[nodiscard]] virtual bool lends() const noexcept = 0;
    [[nodiscard]] virtual void* target(const void* type) noexcept = 0;
};

/// An address for each type.
template <class T>
inline constexpr char type_tag = 0;

template <class S>
class stream_holder final : public stream_model {
public:
    explicit stream_holder(S s) : stream_(std::move(s)) {}
    // What is asked of the stream is asked when the task runs; it may be gone then.
    task<std::size_t> read_some(std::span<std::byte> buffer) override { co_return co_await stream().read_some(buffer); }
    task<borrowed_bytes> read_borrowed() override {
        borrowed_bytes got;
        if constexpr (async_borrow_stream<S>) {
            got = co_await stream().read_borrowed();
        } else {
            got = borrowed_bytes::with_room();
            const std::span<std::byte> room = got.room();
            const std::size_t n = co_await stream().read_some(room);
            got.set_size(n);
        }
        co_return got;
    }
    task<> write(std::span<const std::byte> bytes) override { co_await stream().write(bytes); }
    task<> write_parts(std::span<const std::span<const std::byte>> buffers) override {
        if constexpr (async_gather_stream<S>) {
            co_await stream().write(buffers);
        } else {
            co_await write_one_by_one([](void* h, std::span<const std::byte> bytes) { return static_cast<stream_holder*>(h)->write(bytes); },
                                      this, buffers);
        }
    }
    task<> shutdown_write() override {
        if constexpr (requires(S& s) { s.shutdown_write(); })
            co_await stream().shutdown_write();
        else
            throw std::logic_error("any_stream::shutdown_write: the stream below cannot end its writing side only");
        co_return;
    }
    task<> close() override {
        if constexpr (requires(S& s) { s.close(); }) {
            if (stream_) co_await stream_->close();
        } else {
            stream_.reset();
        }
        co_return;
    }
    void abort() noexcept override {
        if constexpr (requires(S& s) { s.abort(); }) {
            if (stream_) stream_->abort();
        } else {
            stream_.reset();
        }
    }
    void drop() noexcept override { stream_.reset(); }
    [[nodiscard]] bool is_open() const noexcept override {
        if constexpr (requires(const S& s) { s.is_open(); })
            return stream_ && stream_->is_open();
        else
            return stream_.has_value();
    }
    [[nodiscard]] bool lends() const noexcept override { return stream_ && eddy::lends(*stream_); }
    [[nodiscard]] void* target(const void* type) noexcept override {
        if (!stream_) return nullptr;
        if (type == &type_tag<S>) return static_cast<void*>(&*stream_);
        if constexpr (requires(S& s) { s.target_of(type); }) return stream_->target_of(type);
        return nullptr;
    }

private:
    [[nodiscard]] S& stream() {
        if (!stream_) throw closed_resource("this stream was closed");
        return *stream_;
    }
    std::optional<S> stream_;
};

} // namespace detail

/// Owns a stream. Move-only; belongs to the loop and the thread that the stream below belongs to. Whatever an operation does when it
/// is cancelled, two of them meet or the stream is closed, it does as that stream's: the rules are those of what is below.
class any_stream {
public:
    any_stream() noexcept = default;
    /// Takes the stream over. Whoever waits on it when it is destroyed is told as that stream tells it.
    template <class S>
        requires(!std::same_as<S, any_stream> && async_read_stream<S> && async_write_stream<S> && std::movable<S>)
    explicit any_stream(S stream) : model_(std::make_shared<detail::stream_holder<S>>(std::move(stream))) {}
    any_stream(any_stream&&) noexcept = default;
    any_stream& operator=(any_stream o) noexcept {
        std::swap(model_, o.model_);
        return *this;
    }
    ~any_stream() {
        if (model_) model_->drop();
    }

    /// Awaitable: at least one byte, at most the buffer; 0 at the end of the stream, and for an empty buffer. All of these throw
    /// `closed_resource` if the stream is empty, besides what the stream below throws.
    task<std::size_t> read_some(std::span<std::byte> buffer) { return forward(model(), &detail::stream_model::read_some, buffer); }
    /// Awaitable: the same into memory that is taken when something has come, if the stream below can that; empty at the end. One that
    /// cannot has a buffer of 32 KiB while it waits (<eddy/borrowed_bytes.hpp>).
    task<borrowed_bytes> read_borrowed() { return forward(model(), &detail::stream_model::read_borrowed); }
    /// Awaitable: until the stream below has taken all of it.
    task<> write(std::span<const std::byte> bytes) { return forward(model(), &detail::stream_model::write, bytes); }
    task<> write(std::string_view text) { return write(bytes_of(text)); }
    task<> write(const char* text) { return write(std::string_view(text)); }
    /// The same with several buffers, in their order; as one write if the stream below can that, else as `write_parts` does it.
    task<> write(std::span<const std::span<const std::byte>> buffers) { return forward(model(), &detail::stream_model::write_parts, buffers); }
    /// Awaitable: the peer reads an end, after what was written. `std::logic_error` if the stream below has no such thing.
    task<> shutdown_write() { return forward(model(), &detail::stream_model::shutdown_write); }
    /// Awaitable: closes the stream below, or destroys it if it has no `close`. Twice does no harm.
    task<> close() { return model_ ? forward(model_, &detail::stream_model::close) : nothing(); }
    /// Drops what was not sent yet; destroys the stream below if it has no `abort`.
    void abort() noexcept {
        if (model_) model_->abort();
    }
    [[nodiscard]] bool is_open() const noexcept { return model_ && model_->is_open(); }
    /// Can the stream below do `read_borrowed` itself, so that it holds no memory while it waits?
    [[nodiscard]] bool lends() const noexcept { return model_ && model_->lends(); }

    /// The stream below, for its settings; null if it is not an S.
    template <class S>
    [[nodiscard]] S* target() noexcept {
        return static_cast<S*>(target_of(&detail::type_tag<S>));
    }
    /// For the library: a stream that only watches another passes this on.
    [[nodiscard]] void* target_of(const void* type) noexcept { return model_ ? model_->target(type) : nullptr; }

private:
    using shared_model = std::shared_ptr<detail::stream_model>;
    [[nodiscard]] const shared_model& model() const {
        if (!model_) throw closed_resource("this stream is empty (it was moved from)");
        return model_;
    }
    static task<> nothing() { co_return; }
    /// Keeps the model while the operation runs.
    template <class T, class... A>
    static task<T> forward(shared_model m, task<T> (detail::stream_model::*operation)(A...), A... arguments) {
        task<T> running = ((*m).*operation)(arguments...);
        co_return co_await std::move(running);
    }

    shared_model model_;
};

} // namespace eddy

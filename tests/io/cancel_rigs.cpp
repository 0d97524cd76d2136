#include "io/cancel_rigs.hpp"

#include <array>
#include <optional>

#include "io/support.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace io_test {
namespace {

constexpr std::size_t rig_size = 10'000'000;

class accept_rig final : public rig {
public:
    task<> prepare() override {
        listener_ = tcp_listener::bind({"127.0.0.1", 0});
        co_return;
    }
    task<> wait() override { static_cast<void>(co_await listener_.accept()); }
    task<> release() override { // a plain connect: the accept alone is an operation of the loop
        const ip_endpoint where = listener_.local_endpoint();
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (::connect(fd, where.data(), static_cast<socklen_t>(where.size())) != 0) throw std::runtime_error("connect failed");
        clients_.emplace_back(fd);
        co_return;
    }

private:
    tcp_listener listener_;
    std::vector<tcp_stream> clients_;
};

/// Something that waits for bytes from the peer.
class incoming_rig : public rig {
public:
    task<> prepare() override { pair_.emplace(co_await connected()); }
    task<> release() override { co_await pair_->server.write("data\n"sv); }

protected:
    std::optional<connection> pair_;
};

class read_rig final : public incoming_rig {
public:
    task<> wait() override { static_cast<void>(co_await read_text(pair_->client)); }
};

class reader_rig final : public incoming_rig {
public:
    enum class what { some, exactly, exactly_text, until, line };
    explicit reader_rig(what w) : what_(w) {}
    task<> prepare() override {
        co_await incoming_rig::prepare();
        reader_.emplace(pair_->client);
    }
    task<> wait() override {
        switch (what_) {
        case what::some: static_cast<void>(co_await reader_->read_some(buffer_)); break;
        case what::exactly: co_await reader_->read_exactly(buffer_); break;
        case what::exactly_text: static_cast<void>(co_await reader_->read_exactly(5)); break;
        case what::until: static_cast<void>(co_await reader_->read_until("\n")); break;
        case what::line: static_cast<void>(co_await reader_->read_line()); break;
        }
    }

private:
    what what_;
    std::optional<buffered_reader<tcp_stream>> reader_;
    std::array<std::byte, 5> buffer_{};
};

class read_to_end_rig final : public incoming_rig {
public:
    task<> wait() override { static_cast<void>(co_await read_all(pair_->client)); }
    task<> release() override { co_await pair_->server.close(); }
};

class readable_rig final : public incoming_rig {
public:
    task<> wait() override { co_await wait_readable(pair_->client.native_handle()); }
};

/// Something that waits for room to write.
class outgoing_rig : public rig {
public:
    task<> prepare() override {
        pair_.emplace(co_await connected());
        co_await fill();
    }
    task<> release() override {
        std::string chunk(1 << 20, '\0');
        for (;;) {
            const auto read = [&](cancel_scope&) { return read_into(chunk); };
            const auto n = co_await move_on_after(1ms, read);
            if (!n || *n == 0) co_return;
        }
    }

protected:
    /// Leaves no room.
    virtual task<> fill() {
        const int fd = pair_->client.native_handle();
        const std::string block(1 << 20, 'x');
        while (::send(fd, block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {}
        co_return;
    }
    std::optional<connection> pair_;

private:
    task<std::size_t> read_into(std::string& chunk) {
        co_return co_await pair_->server.read_some(std::as_writable_bytes(std::span(chunk)));
    }
};

class write_rig final : public outgoing_rig {
public:
    task<> wait() override { co_await pair_->client.write("one more"sv); }
};

class partial_write_rig final : public outgoing_rig {
public:
    task<> wait() override { co_await pair_->client.write(text_); }

private:
    task<> fill() override { co_return; }
    std::string text_ = std::string(rig_size, 'x');
};

class shutdown_write_rig final : public outgoing_rig {
public:
    ~shutdown_write_rig() override { first_.cancel(); }
    task<> wait() override { co_await pair_->client.shutdown_write(); }

private:
    task<> fill() override {
        co_await outgoing_rig::fill();
        first_ = spawn(write_text(pair_->client, "before the end"));
        while (this_loop().stats().pending_operations == 0) co_await this_task::yield();
    }
    task_handle<> first_;
};

class writable_rig final : public outgoing_rig {
public:
    task<> wait() override { co_await wait_writable(pair_->client.native_handle()); }
};

class connect_rig final : public rig {
public:
    task<> prepare() override { peer_.emplace(co_await silent_peer::make()); }
    task<> wait() override { static_cast<void>(co_await tcp_connect(peer_->endpoint())); }
    task<> release() override { co_return; }

private:
    std::optional<silent_peer> peer_;
};

class connect_with_timeout_rig final : public rig {
public:
    task<> prepare() override { peer_.emplace(co_await silent_peer::make()); }
    task<> wait() override { static_cast<void>(co_await tcp_connect(peer_->endpoint(), {.timeout = 1h})); }
    task<> release() override { co_return; }

private:
    std::optional<silent_peer> peer_;
};

class raw_receive_rig final : public rig {
public:
    task<> prepare() override {
        ends_.emplace(raw_socket_pair(AF_UNIX, SOCK_SEQPACKET));
        co_return;
    }
    task<> wait() override { static_cast<void>(co_await ends_->a.receive(buffer_)); }
    task<> release() override { co_await ends_->b.send("data"sv); }

private:
    std::optional<raw_sockets> ends_;
    std::array<std::byte, 16> buffer_{};
};

class raw_connect_rig final : public rig {
public:
    task<> prepare() override { peer_.emplace(co_await silent_peer::make()); }
    task<> wait() override {
        raw_socket s(AF_INET, SOCK_STREAM);
        co_await s.connect(peer_->endpoint());
    }
    task<> release() override { co_return; }

private:
    std::optional<silent_peer> peer_;
};

class serve_rig final : public rig {
public:
    task<> prepare() override { co_return; }
    task<> wait() override { co_await serve(tcp_listener::bind({"127.0.0.1", 0}), echo); }
    task<> release() override { co_return; }
};

class join_rig final : public rig {
public:
    task<> prepare() override {
        server_.emplace(tcp_listener::bind({"127.0.0.1", 0}), echo);
        server_->start();
        co_return;
    }
    task<> wait() override { co_await server_->join(); }
    task<> release() override {
        server_->stop_accepting();
        co_return;
    }

private:
    std::optional<server> server_;
};

class shutdown_rig final : public rig {
public:
    task<> prepare() override {
        server_.emplace(tcp_listener::bind({"127.0.0.1", 0}), echo);
        server_->start();
        client_ = co_await tcp_connect(server_->local_endpoint());
        co_await client_.write("x"sv);
        static_cast<void>(co_await read_text(client_));
    }
    task<> wait() override { co_await server_->shutdown(1000h); }
    task<> release() override { co_await client_.close(); }

private:
    std::optional<server> server_;
    tcp_stream client_;
};

template <class R, class... A>
rig_entry entry(std::string name, rig_kind kind, bool by_kernel, A... args) {
    return {std::move(name), kind, by_kernel, [args...] { return std::make_shared<R>(args...); }};
}

std::vector<rig_entry> make_rigs() {
    using enum rig_kind;
    std::vector<rig_entry> all;
    all.push_back(entry<accept_rig>("accept", repeatable, true));
    all.push_back(entry<read_rig>("read_some", repeatable, true));
    all.push_back(entry<reader_rig>("reader.read_some", repeatable, true, reader_rig::what::some));
    all.push_back(entry<reader_rig>("reader.read_exactly(span)", repeatable, true, reader_rig::what::exactly));
    all.push_back(entry<reader_rig>("reader.read_exactly(n)", repeatable, true, reader_rig::what::exactly_text));
    all.push_back(entry<reader_rig>("reader.read_until", repeatable, true, reader_rig::what::until));
    all.push_back(entry<reader_rig>("reader.read_line", repeatable, true, reader_rig::what::line));
    all.push_back(entry<read_to_end_rig>("reader.read_to_end", repeatable, true));
    all.push_back(entry<readable_rig>("wait_readable", repeatable, true));
    all.push_back(entry<write_rig>("write", repeatable, false));
    all.push_back(entry<partial_write_rig>("write, partly done", once, false));
    all.push_back(entry<shutdown_write_rig>("shutdown_write behind a write", repeatable, false));
    all.push_back(entry<writable_rig>("wait_writable", repeatable, false));
    all.push_back(entry<connect_rig>("tcp_connect", endless, true));
    all.push_back(entry<connect_with_timeout_rig>("tcp_connect with a timeout", endless, true));
    all.push_back(entry<raw_receive_rig>("raw_socket.receive", repeatable, true));
    all.push_back(entry<raw_connect_rig>("raw_socket.connect", endless, true));
    all.push_back(entry<serve_rig>("serve", endless, true));
    all.push_back(entry<join_rig>("server.join", repeatable, false));
    all.push_back(entry<shutdown_rig>("server.shutdown", once, false));
    return all;
}

} // namespace

const std::vector<rig_entry>& rigs() {
    static const std::vector<rig_entry> all = make_rigs();
    return all;
}

} // namespace io_test

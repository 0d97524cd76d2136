// What was there before: callbacks, in C++17, with what Asio calls deprecated. See samples/CMakeLists.txt.
#include "echo_server.hpp"

#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include <websocketpp/config/asio_no_tls.hpp>
#include <websocketpp/server.hpp>

class echo_server::impl {
public:
    explicit impl(asio::io_context& io) {
        server_.clear_access_channels(websocketpp::log::alevel::all);
        server_.clear_error_channels(websocketpp::log::elevel::all);
        server_.init_asio(&io);
        server_.set_open_handler([this](const connection& c) { connections_.insert(c); });
        server_.set_close_handler([this](const connection& c) { closed(c); });
        server_.set_message_handler([this](const connection& c, const server::message_ptr& m) { send_back(c, m); });
        server_.listen(asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0));
        std::error_code e;
        port_ = server_.get_local_endpoint(e).port();
        if (e) throw std::system_error(e, "the port of the WebSocket server");
        server_.start_accept();
    }
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] std::size_t connections() const noexcept { return connections_.size(); }
    void stop(std::function<void()> then) {
        std::error_code e;
        server_.stop_listening(e);
        then_ = std::move(then);
        const std::vector<connection> all(connections_.begin(), connections_.end());
        for (const connection& c : all) server_.close(c, websocketpp::close::status::going_away, "", e); // else it is closing
        tell_if_idle();
    }

private:
    using server = websocketpp::server<websocketpp::config::asio>;
    using connection = websocketpp::connection_hdl;

    void send_back(const connection& c, const server::message_ptr& m) {
        std::error_code e;
        server_.send(c, m->get_payload(), m->get_opcode(), e); // one that is closing gets no answer
    }
    void closed(const connection& c) {
        connections_.erase(c);
        tell_if_idle();
    }
    void tell_if_idle() {
        if (!connections_.empty() || !then_) return;
        std::exchange(then_, nullptr)();
    }

    server server_;
    std::set<connection, std::owner_less<connection>> connections_;
    std::function<void()> then_; // once it is stopping
    std::uint16_t port_ = 0;
};

echo_server::echo_server(asio::io_context& io) : impl_(std::make_unique<impl>(io)) {}
echo_server::~echo_server() = default;

std::uint16_t echo_server::port() const noexcept {
    return impl_->port();
}

std::size_t echo_server::connections() const noexcept {
    return impl_->connections();
}

void echo_server::stop(std::function<void()> then) {
    impl_->stop(std::move(then));
}

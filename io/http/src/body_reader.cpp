#include <eddy/http/body_reader.hpp>

#include <eddy/errors.hpp>
#include <eddy/http/request_error.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

#include "connection.hpp"
#include "request_parser.hpp"
#include "server_state.hpp"

namespace eddy::http {

using parser_state = detail::request_parser::state;

request_error::request_error(int status, const std::string& reason) : std::runtime_error(reason), status_(status) {
    if (status < 400 || status > 499)
        throw std::invalid_argument("http::request_error: the status must be 400 to 499, not " + std::to_string(status));
}

/// Keeps a second reader out.
class body_reader::turn {
public:
    explicit turn(body_reader& b) : reader_(b) {
        if (b.busy_) throw busy_resource("another task is already reading the body of this request");
        b.busy_ = true;
    }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
    ~turn() { reader_.busy_ = false; }

private:
    body_reader& reader_;
};

body_reader::body_reader(std::string body) noexcept
    : waiting_(std::move(body)), length_(waiting_.size()), received_(waiting_.size()), complete_(true) {}

body_reader::body_reader(detail::connection& c) : connection_(&c) {
    complete_ = c.parser_.current() == parser_state::ready;
    length_ = complete_ ? 0 : c.parser_.announced_length();
}

void body_reader::begin(std::uint64_t limit) {
    if (complete_) return;
    connection_->parser_.begin_body(limit);
    pull();
}

/// Takes over what the parser has.
void body_reader::pull() {
    detail::request_parser& parser = connection_->parser_;
    if (parser.has_body()) {
        std::string came = parser.take_body();
        received_ += came.size();
        if (read_ == waiting_.size()) {
            waiting_ = std::move(came);
            read_ = 0;
        } else {
            waiting_.append(came);
        }
    }
    complete_ = parser.current() == parser_state::ready;
}

/// Waits until something comes, within `limit`. Throws if what comes is wrong.
task<> body_reader::fill(std::chrono::nanoseconds limit) {
    detail::connection& c = *connection_;
    const std::uint64_t before = received_;
    const auto waits = [&] { return received_ == before && !complete_ && c.parser_.current() != parser_state::refused; };
    auto read = [&](cancel_scope&) -> task<> {
        co_await c.invite();
        while (waits()) {
            const bool connected = co_await c.receive();
            if (!connected) throw broken_resource("the client left in the middle of the body of " + c.subject_);
            pull();
        }
    };
    bool in_time = true;
    if (waits()) {
        try {
            in_time = co_await move_on_after(detail::limit_of(limit), read);
        } catch (const operation_cancelled&) {
            throw;
        } catch (...) {
            c.lost_ = detail::is_of_connection(std::current_exception());
            throw;
        }
    }
    if (!in_time && waits()) throw request_error(408, "the request took too long");
}

task<std::size_t> body_reader::read_some(std::span<std::byte> buffer) {
    const turn mine(*this);
    co_await this_task::checkpoint();
    begin(std::numeric_limits<std::uint64_t>::max());
    if (read_ == waiting_.size() && !complete_ && !buffer.empty()) co_await fill(connection_->server_.options.body_timeout);
    const std::size_t n = std::min(buffer.size(), waiting_.size() - read_);
    if (n == 0 && !complete_ && !buffer.empty()) throw request_error(connection_->parser_.why().status, std::string(connection_->parser_.why().reason));
    if (n > 0) std::memcpy(buffer.data(), waiting_.data() + read_, n);
    read_ += n;
    co_return n;
}

task<std::string> body_reader::read_all() {
    return read_all(connection_ ? connection_->server_.max_body() : std::numeric_limits<std::uint64_t>::max());
}

task<std::string> body_reader::read_all(std::uint64_t limit) {
    const turn mine(*this);
    co_await this_task::checkpoint();
    begin(limit);
    const auto check = [&] {
        if (waiting_.size() - read_ > limit) throw request_error(413, "the body is too large");
        const detail::refusal why = complete_ ? detail::refusal() : connection_->parser_.why();
        if (why) throw request_error(why.status, std::string(why.reason));
    };
    auto read = [&](cancel_scope&) -> task<> {
        for (check(); !complete_; check()) co_await fill(std::chrono::nanoseconds(0));
    };
    const std::chrono::nanoseconds most = connection_ ? connection_->server_.options.body_timeout : std::chrono::nanoseconds(0);
    check();
    if (!complete_) {
        const bool in_time = co_await move_on_after(detail::limit_of(most), read);
        if (!in_time && !complete_) throw request_error(408, "the request took too long");
    }
    std::string all = std::exchange(waiting_, std::string());
    all.erase(0, std::exchange(read_, 0));
    co_return all;
}

bool body_reader::take_whole(std::string& body) {
    if (!complete_) {
        connection_->parser_.begin_body(connection_->server_.max_body());
        pull();
    }
    if (!complete_) return false;
    body = std::exchange(waiting_, std::string()); // nobody has read from it
    return true;
}

} // namespace eddy::http

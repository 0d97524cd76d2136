#include "request_parser.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/optional.hpp>

namespace eddy::http::detail {
namespace {

namespace bhttp = boost::beast::http;

constexpr std::size_t max_chunk_line = 4096; // a chunk's size with its extensions, and the trailer
constexpr std::size_t shortest_last_chunk = std::string_view("0\r\n\r\n").size();

[[nodiscard]] std::string_view view(boost::beast::string_view s) noexcept {
    return {s.data(), s.size()};
}

// As Beast's string_body, but it does not believe an announced length (memory is taken for what has come), and what has come
// can be taken before the end.
struct growing_body {
    using value_type = std::string;
    class reader {
    public:
        template <bool IsRequest, class Fields>
        reader(bhttp::header<IsRequest, Fields>&, value_type& body) noexcept : body_(body) {}
        void init(const boost::optional<std::uint64_t>&, boost::system::error_code& error) { error = {}; }
        template <class Buffers>
        std::size_t put(const Buffers& buffers, boost::system::error_code& error) {
            error = {};
            std::size_t n = 0;
            for (auto it = boost::asio::buffer_sequence_begin(buffers); it != boost::asio::buffer_sequence_end(buffers); ++it) {
                const boost::asio::const_buffer part = *it;
                body_.append(static_cast<const char*>(part.data()), part.size());
                n += part.size();
            }
            return n;
        }
        void finish(boost::system::error_code& error) { error = {}; }

    private:
        value_type& body_;
    };
};

// Beast (1.74) looks for the closing quote of a chunk's extension past the end of its line, and would wait for it; what stands in
// another line cannot close it. `input` begins with the chunk's line, or with the line end that belongs to the chunk before.
[[nodiscard]] bool has_open_quote(std::string_view input) noexcept {
    if (input.starts_with("\r\n")) input.remove_prefix(2);
    const std::string_view size = input.substr(0, input.find_first_not_of("0123456789abcdefABCDEF"));
    const bool last_chunk = size.find_first_not_of('0') == std::string_view::npos;
    return input.find(last_chunk ? "\r\n\r\n" : "\r\n") != std::string_view::npos; // all there is to come has come
}

} // namespace

class request_parser::beast {
public:
    explicit beast(std::size_t max_header) {
        parser.header_limit(static_cast<std::uint32_t>(std::min<std::size_t>(max_header, std::size_t{1} << 30U) + max_chunk_line));
        parser.body_limit(std::numeric_limits<std::uint64_t>::max()); // see begin_body
    }
    /// How many bytes it used.
    std::size_t put(std::string_view bytes) { return parser.put(boost::asio::buffer(bytes.data(), bytes.size()), error); }

    bhttp::request_parser<growing_body> parser;
    boost::system::error_code error;
};

request_parser::request_parser(std::size_t max_header) : max_header_(max_header) {}
request_parser::~request_parser() = default;

void request_parser::refuse(int status, std::string_view reason) noexcept {
    refusal_ = refusal(status, reason);
    state_ = state::refused;
    keep_alive_ = false;
}

void request_parser::feed(std::string_view bytes) {
    input_.append(bytes);
    parse();
}

void request_parser::next() {
    state_ = state::head;
    request_ = request();
    beast_.reset();
    scanner_.reset();
    expectation_ = false;
    body_begun_ = false;
    parse();
}

void request_parser::parse() {
    if (state_ == state::head) parse_head();
    if (state_ == state::body && body_begun_) parse_body();
}

void request_parser::parse_head() {
    if (!scanner_.in_fields()) { // empty lines before a request are left over from what some clients send after a body
        std::size_t blank = 0;
        while (std::string_view(input_).substr(blank).starts_with("\r\n")) blank += 2;
        if (blank > 0) {
            input_.erase(0, blank);
            scanner_.reset();
        }
        if (input_ == "\r") return;
    }
    const head_scanner::result found = scanner_.scan(input_);
    if (found == head_scanner::result::bad) return refuse(400, "a control character or half a line end in the head");
    if (scanner_.request_line() > max_header_) return refuse(414, "the request line is too long");
    if (scanner_.size() > max_header_) return refuse(431, "the headers are too large");
    if (found == head_scanner::result::complete) head_complete();
}

void request_parser::head_complete() {
    const std::string_view head = std::string_view(input_).substr(0, scanner_.size());
    if (const refusal r = check_head(head)) return refuse(r.status, r.reason);
    beast_ = std::make_unique<beast>(max_header_);
    const std::size_t used = beast_->put(head);
    if (beast_->error) return refuse(400, "the head is malformed");

    const auto& message = beast_->parser.get();
    request_.method = view(message.method_string());
    request_.target = view(message.target());
    request_.minor_version = message.version() == 10 ? 0 : 1;
    for (const auto& field : message) request_.headers.add(view(field.name_string()), view(field.value()));
    if (const refusal r = check_framing(request_.headers, request_.minor_version)) return refuse(r.status, r.reason);

    keep_alive_ = !request_.headers.has_token("Connection", "close") &&
                  (request_.minor_version > 0 || request_.headers.has_token("Connection", "keep-alive"));
    const std::string& expected = request_.headers.get("Expect");
    if (!expected.empty() && request_.minor_version > 0 && !equal_names(expected, "100-continue"))
        return refuse(417, "the only expectation here is 100-continue");
    expectation_ = !expected.empty() && request_.minor_version > 0 && !beast_->parser.is_done();
    input_.erase(0, used);
    state_ = beast_->parser.is_done() ? state::ready : state::body;
}

void request_parser::begin_body(std::uint64_t limit) {
    if (state_ != state::body || body_begun_) return;
    if (announced_length().value_or(0) > limit) return refuse(413, "the body is too large");
    beast_->parser.body_limit(limit);
    beast_->parser.eager(true);
    body_begun_ = true;
    parse_body();
}

void request_parser::parse_body() {
    expectation_ = expectation_ && input_.empty(); // who sends without waiting needs no invitation
    while (!input_.empty() && !beast_->parser.is_done()) {
        // Beast (1.74) asserts that it sees a last chunk whole; any chunk that begins like one is followed by more.
        if (beast_->parser.chunked() && input_.front() == '0' && input_.size() < shortest_last_chunk) return;
        const std::size_t used = beast_->put(input_);
        input_.erase(0, used);
        if (beast_->error == bhttp::error::need_more) {
            if (has_open_quote(input_)) refuse(400, "a chunk extension has a quote that does not close");
            else if (input_.size() > max_chunk_line) refuse(400, "a chunk header or trailer is too long");
            return;
        }
        if (beast_->error == bhttp::error::body_limit) return refuse(413, "the body is too large");
        if (beast_->error) return refuse(400, "the chunked body is malformed");
    }
    if (beast_->parser.is_done()) state_ = state::ready;
}

bool request_parser::take_expectation() noexcept {
    return std::exchange(expectation_, false);
}

std::string request_parser::take_body() {
    return beast_ ? std::exchange(beast_->parser.get().body(), std::string()) : std::string();
}

bool request_parser::has_body() const noexcept {
    return beast_ && !beast_->parser.get().body().empty();
}

std::optional<std::uint64_t> request_parser::announced_length() const {
    if (!beast_) return std::nullopt;
    const boost::optional<std::uint64_t> length = beast_->parser.content_length();
    return length ? std::optional<std::uint64_t>(*length) : std::nullopt;
}

} // namespace eddy::http::detail

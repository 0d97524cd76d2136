#include "reply_parser.hpp"

#include <algorithm>
#include <new>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <hiredis/read.h>

#include <eddy/redis/error.hpp>

namespace eddy::redis::detail {
namespace {

// hiredis keeps its buffer from one reply to the next if it is not larger than this.
constexpr std::size_t kept_buffer = std::size_t{256} << 10;
// Of a status, an error, a number or a length. hiredis looks through an unfinished line each time that more of it comes.
constexpr std::size_t longest_line = std::size_t{64} << 10;

[[nodiscard]] bool is_endless_line(std::string_view unread) noexcept {
    return unread.size() > longest_line && unread.substr(0, longest_line).find('\r') == std::string_view::npos;
}

} // namespace

/// What hiredis calls while it parses: objects are values in place. The one outside is `root_`, those inside live in the array that
/// contains them; that one does not grow, and move them, while one of them is being built. Nothing is thrown through hiredis: a
/// null pointer tells it that memory was out.
struct reply_parser::sink {
    [[nodiscard]] static value* place(const redisReadTask* t, value v) noexcept {
        auto& self = *static_cast<reply_parser*>(t->privdata);
        try {
            if (t->parent == nullptr) {
                self.begun_ = true;
                self.root_ = std::move(v);
                return &self.root_;
            }
            auto& items = *std::get_if<std::vector<value>>(&static_cast<value*>(t->parent->obj)->content_);
            items.push_back(std::move(v));
            return &items.back();
        } catch (const std::bad_alloc&) {
            return nullptr;
        }
    }

    static void* create_string(const redisReadTask* t, char* text, std::size_t size) {
        try {
            const kind k = t->type == REDIS_REPLY_ERROR ? kind::error : t->type == REDIS_REPLY_STATUS ? kind::status : kind::string;
            return place(t, value(std::string(text, size), k));
        } catch (const std::exception&) { // out of memory, or a length that no string has
            return nullptr;
        }
    }
    // The announced length reserves nothing much: the items have to come first. Its type differs between versions of hiredis.
    template <class N>
    static void* create_array(const redisReadTask* t, N announced) {
        constexpr std::size_t most_reserved = 64;
        try {
            std::vector<value> items;
            items.reserve(std::min(static_cast<std::size_t>(announced), most_reserved));
            return place(t, value(std::move(items)));
        } catch (const std::bad_alloc&) {
            return nullptr;
        }
    }
    static void* create_integer(const redisReadTask* t, long long n) { return place(t, value(n)); }
    static void* create_nil(const redisReadTask* t) { return place(t, value()); }
    static void free_object(void*) {} // root_ is the parser's

    /// Those of RESP3 stay null: it is not asked for.
    [[nodiscard]] static redisReplyObjectFunctions* functions() noexcept {
        static redisReplyObjectFunctions all = [] {
            redisReplyObjectFunctions f{};
            f.createString = &create_string;
            f.createArray = &create_array;
            f.createInteger = &create_integer;
            f.createNil = &create_nil;
            f.freeObject = &free_object;
            return f;
        }();
        return &all;
    }
};

void reply_parser::reader_deleter::operator()(redisReader* r) const noexcept {
    redisReaderFree(r);
}

reply_parser::reply_parser(std::size_t most) : reader_(redisReaderCreateWithFunctions(sink::functions())), most_(most) {
    if (!reader_) throw std::bad_alloc();
    reader_->privdata = this;
    reader_->maxbuf = kept_buffer;
}

reply_parser::~reply_parser() = default;

bool reply_parser::in_the_middle() const noexcept {
    return begun_ || reader_->len > reader_->pos;
}

void reply_parser::feed(std::string_view bytes) {
    fed_ += bytes.size();
    if (most_ != 0 && fed_ > most_ && in_the_middle())
        throw protocol_error("a reply of more than " + std::to_string(most_) + " bytes (options::max_reply)");
    if (redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK) throw std::bad_alloc();
}

std::optional<value> reply_parser::next() {
    void* complete = nullptr;
    if (redisReaderGetReply(reader_.get(), &complete) != REDIS_OK) {
        if (reader_->err == REDIS_ERR_OOM) throw std::bad_alloc();
        throw protocol_error(std::string("what came is no RESP2: ") + reader_->errstr);
    }
    const std::size_t unread = reader_->len - reader_->pos;
    if (complete == nullptr) {
        if (is_endless_line({reader_->buf + reader_->pos, unread})) throw protocol_error("what came is no RESP2: a line without end");
        return std::nullopt;
    }
    fed_ = unread;
    if (!begun_) throw protocol_error("what came is no RESP2: a reply of a kind that it does not have");
    begun_ = false;
    return std::exchange(root_, value());
}

} // namespace eddy::redis::detail

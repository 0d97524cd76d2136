#include "download.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <limits>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include <curl/curl.h>

#include <eddy/cancel_scope.hpp>
#include <eddy/errors.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/file.hpp>
#include <eddy/offload.hpp>

#include "client_core.hpp"
#include "content_range.hpp"
#include "decimal.hpp"

namespace eddy::http::detail {
namespace {

constexpr std::size_t piece_size = std::size_t{128} << 10;
constexpr std::string_view first_line = "eddy-part 1";

/// FNV-1a: the same in every build.
[[nodiscard]] std::string hash_of(std::string_view text) {
    std::uint64_t h = 14695981039346656037U;
    for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211U;
    return std::to_string(h);
}

// RFC 9110, 13.1.5: a weak ETag must not be used, a date only if the answer was sent later than that.
[[nodiscard]] std::string validator_of(const header_list& headers) {
    const std::string& etag = headers.get("ETag");
    if (etag.size() >= 2 && etag.front() == '"') return etag;
    const std::string& modified = headers.get("Last-Modified");
    const std::time_t changed = curl_getdate(modified.c_str(), nullptr);
    const std::time_t sent = curl_getdate(headers.get("Date").c_str(), nullptr);
    return changed >= 0 && sent > changed ? modified : std::string();
}

// --- on workers

/// Is the open file still the one of that name? Another download may have finished it meanwhile.
bool has_name(int fd, const std::string& path) {
    struct stat open {};
    struct stat named {};
    return ::fstat(fd, &open) == 0 && ::lstat(path.c_str(), &named) == 0 && open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

[[noreturn]] void fail(const char* what, const std::string& path) {
    throw std::system_error(errno, std::system_category(), std::string(what) + " '" + path + "'");
}

void sync_folder_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    int fd = 0;
    do fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return; // it may be written and not read: then there is nothing to be done
    int result = 0;
    do result = ::fsync(fd);
    while (result != 0 && errno == EINTR);
    const int error = errno;
    ::close(fd);
    errno = error;
    if (result != 0 && error != EINVAL && error != EROFS) fail("cannot sync the folder", folder);
}

void put_in_place(const std::string& part, const std::string& note, const std::string& path) {
    if (std::rename(part.c_str(), path.c_str()) != 0) fail("cannot rename a finished download to", path);
    ::unlink(note.c_str());
    sync_folder_of(path);
}

} // namespace

// --- what is remembered

part_note::part_note(std::string_view url, const header_list& headers) : url_hash(hash_of(url)), validator(validator_of(headers)) {
    if (!headers.contains("Transfer-Encoding")) total = parse_decimal(headers.get("Content-Length"));
}

part_note part_note::parse(std::string_view text) {
    part_note n;
    if (text.substr(0, text.find('\n')) != first_line) return n; // not one of another version either
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (line.starts_with("url ")) n.url_hash = line.substr(4);
        if (line.starts_with("if-range ") && is_field_value(line)) n.validator = trim(line.substr(9)); // it goes into a header
        if (line.starts_with("size ")) n.total = parse_decimal(line.substr(5));
    }
    return n;
}

std::string part_note::text() const {
    std::string t(first_line);
    t += "\nurl " + url_hash + "\nif-range " + validator + "\n";
    if (total) t += "size " + std::to_string(*total) + "\n";
    return t;
}

request_spec download_spec(std::string url, request_options options, const client_options& defaults) {
    options.max_body = options.max_body.value_or(0);
    request_spec spec("GET", std::move(url), {}, options, defaults);
    for (const char* const ours : {"Range", "If-Range", "Accept-Encoding"}) {
        if (spec.headers.contains(ours))
            throw std::invalid_argument(std::string("http: the header ") + ours + " is the download's business");
    }
    spec.headers.set("Accept-Encoding", "identity"); // a range is one of the bytes as they are stored
    spec.as_sent = true;
    return spec;
}

// --- the download

namespace {

/// Is it another file than the one that we have a part of? A server that disregards If-Range is found by its ETag or date.
[[nodiscard]] bool is_another(const streamed_response& r, const part_note& note) {
    const char* const name = note.validator.front() == '"' ? "ETag" : "Last-Modified";
    return r.headers.contains(name) && r.header(name) != note.validator;
}

class download {
public:
    download(std::shared_ptr<client_core> core, request_spec spec, std::string path, download_options options)
        : core_(std::move(core)),
          spec_(std::move(spec)),
          options_(options),
          path_(std::move(path)),
          part_path_(path_ + ".part"),
          note_path_(path_ + ".part.note") {}
    download(const download&) = delete;
    download& operator=(const download&) = delete;
    ~download();
    task<download_result> run();

private:
    task<> finish();
    void remove_nothing() noexcept;
    task<> let_part_go();
    task<> open_part();
    task<part_note> read_note();
    enum class got : std::uint8_t { all, part, nothing_of_use };
    task<got> attempt(bool resume);
    task<streamed_response> ask(std::uint64_t from, const part_note& note);
    [[nodiscard]] bool continues(const streamed_response& r, const part_note& note, std::uint64_t& end);
    [[nodiscard]] bool is_complete(const streamed_response& r, const part_note& note) const;
    task<> begin_anew(const streamed_response& r);
    task<> store(streamed_response& r, std::uint64_t end);
    [[nodiscard]] error failure(error_kind kind, const std::string& url, const std::string& text, int status = 0) const {
        return error(kind, spec_.method, url, text, 0, status);
    }
    void show() const noexcept;

    std::shared_ptr<client_core> core_;
    request_spec spec_;
    download_options options_;
    std::string path_;
    std::string part_path_;
    std::string note_path_;
    file part_;
    std::optional<file_lock> lock_;
    std::uint64_t had_ = 0; // bytes of earlier attempts
    std::uint64_t size_ = 0;
    bool measured_ = false; // the size is known
    std::optional<std::uint64_t> total_;
    download_result result_;
};

// An attempt that has got nothing leaves nothing; a write that failed may have got a part of its bytes. Three system calls on this
// thread: the task cannot wait any more.
void download::remove_nothing() noexcept {
    if (!measured_ || !lock_ || size_ != 0) return;
    struct stat written {};
    if (::fstat(part_.native_handle(), &written) != 0 || written.st_size != 0) return;
    ::unlink(part_path_.c_str());
    ::unlink(note_path_.c_str());
}
download::~download() {
    remove_nothing();
}

/// What there is of the file stays, for the next attempt: closed in order, since its close may tell that it is not all there. Who waits
/// for the download is told why that failed.
task<> download::let_part_go() {
    remove_nothing();
    try {
        co_await part_.close();
    } catch (const std::system_error&) {
        const std::string text = "closing '" + part_path_ + "', which is kept for another attempt";
        this_loop().call_exception_handler({.message = text, .exception = std::current_exception()});
    }
}

task<download_result> download::run() {
    std::exception_ptr failure;
    try {
        co_await finish();
    } catch (...) {
        failure = std::current_exception();
    }
    if (!failure) co_return std::move(result_);
    co_await shielded(let_part_go());
    std::rethrow_exception(failure);
}

task<> download::finish() {
    co_await open_part();
    had_ = size_ = co_await part_.size();
    measured_ = true;
    got now = co_await attempt(options_.resume);
    while (now == got::part) now = co_await attempt(true); // each has brought something
    if (now == got::nothing_of_use) {
        now = co_await attempt(false);
        if (now != got::all) throw failure(error_kind::protocol, spec_.url, "a range is answered that was not asked for");
    }
    co_await part_.sync();
    co_await offload(this_loop().blocking_pool(), put_in_place, part_path_, note_path_, path_);
    lock_.reset(); // the part has become the file: it stays even if it is empty
    result_.size = size_;
    result_.resumed_from = had_;
    co_await shielded(part_.close()); // a cancellation comes too late
}

task<> download::open_part() {
    for (;;) {
        part_ = co_await file::open(part_path_, file::mode::read_write | file::mode::create | file::mode::no_follow);
        std::optional<file_lock> lock = co_await part_.try_lock();
        if (!lock) throw busy_resource("'" + part_path_ + "' is being written by another download");
        const bool ours = co_await offload(this_loop().blocking_pool(), has_name, part_.native_handle(), part_path_);
        if (!ours) continue;
        lock_ = std::move(lock);
        co_return;
    }
}

task<part_note> download::read_note() {
    try {
        const std::string text = co_await read_file(note_path_);
        co_return part_note::parse(text);
    } catch (const std::system_error&) { // there is none
    }
    co_return part_note();
}

/// A server may give less of the rest than it is asked for: then what it gives is kept, and it is asked for what follows (RFC 9110 15.3.7).
/// Nothing of use: start over.
task<download::got> download::attempt(bool resume) {
    part_note note;
    if (resume && size_ > 0) note = co_await read_note();
    const bool usable = !note.validator.empty() && note.url_hash == hash_of(spec_.url);
    streamed_response r = co_await ask(usable ? size_ : 0, note);
    result_.url = r.url;
    if (usable && r.status == 416) {
        total_ = size_;
        show();
        const bool complete = is_complete(r, note);
        result_.headers = std::move(r.headers);
        co_return complete ? got::all : got::nothing_of_use;
    }
    std::uint64_t end = std::numeric_limits<std::uint64_t>::max(); // of what this answer is to bring
    if (r.status == 206) {
        if (!usable || !continues(r, note, end)) co_return got::nothing_of_use;
    } else if (r.status == 200) {
        co_await begin_anew(r);
    } else {
        throw failure(error_kind::bad_status, r.url, std::to_string(r.status) + " " + std::string(reason_phrase(r.status)), r.status);
    }
    co_await store(r, end);
    const bool is_part = r.status == 206 && end < *total_;
    if (is_part ? size_ != end : total_ && size_ != *total_)
        throw failure(error_kind::truncated, r.url, std::to_string(size_) + " of " + std::to_string(*total_) + " bytes have come");
    result_.headers = std::move(r.headers);
    co_return is_part ? got::part : got::all;
}

task<streamed_response> download::ask(std::uint64_t from, const part_note& note) {
    request_spec spec = spec_;
    if (from > 0) {
        spec.headers.set("Range", "bytes=" + std::to_string(from) + "-");
        spec.headers.set("If-Range", note.validator);
    }
    auto t = std::make_shared<transfer>(core_, std::move(spec));
    t->stream_body(options_.request.stream_buffer);
    return transfer::head_of(std::move(t));
}

/// Does this go on where what we have ends? Up to `end`. Of a file whose size nobody tells, nobody knows when all of it is there.
bool download::continues(const streamed_response& r, const part_note& note, std::uint64_t& end) {
    const std::optional<content_range> range = content_range::parse(r.header("Content-Range"));
    if (!range || range->first != size_ || is_another(r, note)) return false;
    if (note.total && range->total && *note.total != *range->total) return false;
    const std::optional<std::uint64_t> total = range->total ? range->total : note.total;
    if (!total || *range->last >= *total) return false;
    total_ = total;
    end = *range->last + 1;
    return true;
}

/// There are no more bytes than we have: has an earlier attempt been interrupted just before its end?
bool download::is_complete(const streamed_response& r, const part_note& note) const {
    const std::optional<content_range> range = content_range::parse(r.header("Content-Range"));
    return range && range->total == size_ && note.total == size_ && !is_another(r, note);
}

// In this order: a note must never describe bytes of something else.
task<> download::begin_anew(const streamed_response& r) {
    had_ = size_ = 0;
    co_await part_.truncate(0);
    const part_note note(spec_.url, r.headers);
    total_ = note.total;
    file f = co_await file::open(note_path_, file::mode::write | file::mode::create | file::mode::truncate | file::mode::no_follow);
    co_await f.write(note.text());
    co_await f.close();
}

// More bytes than the answer itself has announced are no bytes of the file, and nobody knows which of them are the wrong ones.
task<> download::store(streamed_response& r, std::uint64_t end) {
    const std::uint64_t begin = size_;
    part_.seek(size_);
    std::vector<std::byte> buffer(piece_size);
    show();
    for (;;) {
        const std::size_t n = co_await r.body.read_some(buffer);
        if (n == 0) co_return;
        if (n > end - size_) {
            size_ = begin;
            co_await part_.truncate(begin);
            throw failure(error_kind::protocol, r.url, "more bytes have come than its Content-Range says");
        }
        co_await part_.write(std::span<const std::byte>(buffer).first(n));
        size_ += n;
        show();
    }
}

void download::show() const noexcept {
    if (!options_.progress) return;
    options_.progress->received = size_;
    options_.progress->resumed_from = had_;
    options_.progress->total = total_;
}

} // namespace

task<download_result> run_download(std::shared_ptr<client_core> core, request_spec spec, std::string path, download_options options) {
    download d(std::move(core), std::move(spec), std::move(path), options);
    co_return co_await d.run();
}

} // namespace eddy::http::detail

// download: a download manager.
//
//     download [option…] URL [--sha256 HEX] [URL [--sha256 HEX]]…
//         --directory D      where the files go (default: here)
//         --parallel N       how many at a time (4)
//         --piece BYTES      how much is asked for at once (1048576)
//         --max-whole BYTES  the most that a server may send in one answer (67108864); see below
//         --attempts N       for each piece (5); in between pauses, from --pause MS (500) on, each twice as long
//         --timeout S        for each piece (60)
//
// Each file is fetched in pieces, by Range requests, into NAME.part, and gets its name when it is complete, on the disk
// and, if its checksum was given, found right: whoever looks sees all of it or nothing. What is broken off, by an error
// or by Ctrl-C, is taken up again by the next call, if the server confirms that the file is still the same one
// (If-Range; the server's mark of it is kept in NAME.part.info).
//
// The HTTP client gives whole bodies. Pieces are what bounds the memory that takes: --parallel times --piece. A server
// that knows no ranges, or no mark to tell versions of a file by, sends it whole; then --max-whole is the bound, and
// there is no resuming.
//
// On a terminal there is a bar for each file, else a line when something happens. In the end there is a line for each
// file, its checksum first, as sha256sum has it. Exit status: 0 if all files are there, 1 if not, 130 after Ctrl-C.
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <optional>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <eddy/file.hpp>
#include <eddy/fs.hpp>
#include <eddy/http/client.hpp>
#include <eddy/offload.hpp>
#include <eddy/retry.hpp>
#include <eddy/run.hpp>
#include <eddy/semaphore.hpp>
#include <eddy/sleep.hpp>
#include <eddy/task_group.hpp>
#include <eddy/with_cleanup.hpp>

namespace {

namespace http = eddy::http;
using namespace std::chrono_literals;

// One file, and how far it is. Written by its task, read by the display: on one thread, so there is no lock.
struct job {
    enum class phase { waiting, running, checking, done, failed };
    std::string url;
    std::string name; // of the file, also for messages
    std::string path;
    std::optional<std::string> expected; // SHA-256 in lower case

    phase state = phase::waiting;
    std::uint64_t have = 0;
    std::optional<std::uint64_t> total;
    std::uint64_t resumed_at = 0;
    eddy::loop_clock::time_point started{};
    std::string digest;
};

struct options {
    std::vector<job> jobs;
    std::string directory = ".";
    std::ptrdiff_t parallel = 4;
    std::uint64_t piece = std::uint64_t{1} << 20U;
    std::size_t max_whole = std::size_t{64} << 20U;
    int attempts = 5;
    std::chrono::milliseconds pause = 500ms;
    std::chrono::seconds timeout = 60s;
};

template <class T>
std::optional<T> to_number(std::string_view text) {
    T value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// --- SHA-256

// FIPS 180-4.
class sha256 {
public:
    void add(std::span<const unsigned char> bytes) {
        size_ += bytes.size();
        while (!bytes.empty()) {
            const std::size_t n = std::min(bytes.size(), block_.size() - fill_);
            std::copy_n(bytes.begin(), n, block_.begin() + static_cast<std::ptrdiff_t>(fill_));
            fill_ += n;
            bytes = bytes.subspan(n);
            if (fill_ == block_.size()) digest_block();
        }
    }
    [[nodiscard]] std::string finish() {
        const std::uint64_t bits = size_ * 8;
        const std::array<unsigned char, 1> one{0x80};
        const std::array<unsigned char, 1> zero{0};
        add(one);
        while (fill_ != 56) add(zero);
        std::array<unsigned char, 8> length{};
        for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<unsigned char>(bits >> (56 - 8 * i));
        add(length);
        std::string hex;
        for (const std::uint32_t h : state_) hex += fmt::format("{:08x}", h);
        return hex;
    }

private:
    void digest_block() {
        static constexpr std::array<std::uint32_t, 64> k{
            0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
            0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
            0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
            0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
            0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
            0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
            0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
            0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
        std::array<std::uint32_t, 64> w{};
        for (std::size_t i = 0; i < 16; ++i)
            for (std::size_t b = 0; b < 4; ++b) w[i] = w[i] << 8U | block_[4 * i + b];
        for (std::size_t i = 16; i < 64; ++i) {
            const std::uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ w[i - 15] >> 3U;
            const std::uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ w[i - 2] >> 10U;
            w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        auto [a, b, c, d, e, f, g, h] = state_;
        for (std::size_t i = 0; i < 64; ++i) {
            const std::uint32_t t1 =
                h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + w[i];
            const std::uint32_t t2 =
                (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
            h = std::exchange(g, std::exchange(f, std::exchange(e, d + t1)));
            d = std::exchange(c, std::exchange(b, std::exchange(a, t1 + t2)));
        }
        const std::array<std::uint32_t, 8> add{a, b, c, d, e, f, g, h};
        for (std::size_t i = 0; i < 8; ++i) state_[i] += add[i];
        fill_ = 0;
    }

    std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<unsigned char, 64> block_{};
    std::size_t fill_ = 0;
    std::uint64_t size_ = 0;
};

// Of an open file, from its start. On a worker thread: it may block and compute as long as it likes, but looks at the
// token.
std::string checksum(std::stop_token stop, int fd) {
    sha256 digest;
    std::vector<unsigned char> buffer(std::size_t{256} << 10U);
    for (off_t at = 0;;) {
        if (stop.stop_requested()) throw eddy::operation_cancelled();
        const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw std::system_error(errno, std::generic_category(), "read for the checksum");
        if (n == 0) return digest.finish();
        digest.add(std::span<const unsigned char>(buffer).first(static_cast<std::size_t>(n)));
        at += n;
    }
}

// --- display

// Lines, and on a terminal bars below them, which are drawn anew ten times a second.
class display {
public:
    display(const std::vector<job>& jobs, bool terminal) : jobs_(jobs), terminal_(terminal) {}

    void line(const job& j, std::string_view text) {
        erase();
        fmt::print("{}: {}\n", j.name, text);
        std::fflush(stdout);
        draw();
    }
    // Until it is cancelled.
    eddy::task<> run() {
        if (!terminal_) co_return;
        for (;;) {
            erase();
            draw();
            co_await eddy::sleep_for(100ms);
        }
    }
    void erase() {
        if (drawn_ > 0) fmt::print("\x1b[{}A\x1b[J", drawn_); // up, and clear all below
        drawn_ = 0;
    }

private:
    void draw() {
        if (!terminal_) return;
        winsize size{};
        const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
        const std::size_t columns = known ? size.ws_col : 80;
        for (const job& j : jobs_) {
            if (j.state != job::phase::running && j.state != job::phase::checking) continue;
            fmt::print("{}\n", bar(j).substr(0, columns - 1)); // a line that wraps could not be taken back
            ++drawn_;
        }
        std::fflush(stdout);
    }
    static std::string bar(const job& j) {
        const std::string name = fmt::format("{:<24.24}", j.name);
        if (j.state == job::phase::checking) return name + " checking";
        const double seconds = std::chrono::duration<double>(eddy::loop_clock::now() - j.started).count();
        const double rate =
            seconds > 0 ? static_cast<double>(j.have - std::min(j.resumed_at, j.have)) / seconds / 1e6 : 0;
        if (!j.total) return fmt::format("{} {:>10} bytes {:8.2f} MB/s", name, j.have, rate);
        const double share = *j.total > 0 ? static_cast<double>(j.have) / static_cast<double>(*j.total) : 1;
        constexpr std::size_t width = 24;
        const auto full = static_cast<std::size_t>(share * width);
        return fmt::format("{} [{}{}] {:3.0f} % {:8.2f} MB/s", name, std::string(full, '#'),
                           std::string(width - full, '.'), share * 100, rate);
    }

    const std::vector<job>& jobs_;
    bool terminal_;
    std::size_t drawn_ = 0;
};

// --- part files

// NAME.part, locked, and NAME.part.info, which says what it is a part of.
class part_file {
public:
    part_file(eddy::file f, eddy::file_lock l, std::string p) noexcept
        : file_(std::move(f)), lock_(std::move(l)), path_(std::move(p)) {}

    // Throws if another process is at it.
    static eddy::task<part_file> open(std::string target) {
        const std::string path = target + ".part";
        for (;;) {
            eddy::file f = co_await eddy::file::open(path, eddy::file::mode::read_write | eddy::file::mode::create);
            std::optional<eddy::file_lock> lock = co_await f.try_lock();
            if (!lock) throw std::runtime_error(path + " is being written by another download");
            // Who had it locked before may have given it its name meanwhile. Then it is none of ours: once more.
            if (is_at(f.native_handle(), path)) co_return part_file(std::move(f), std::move(*lock), path);
        }
    }
    struct remains {
        std::string mark; // the server's, see version_mark
        std::uint64_t size = 0;
    };
    // What there is of this URL. What is of anything else is thrown away.
    eddy::task<remains> look(const std::string& url) {
        std::string info;
        try {
            info = co_await eddy::read_file(info_path());
        } catch (const std::system_error& e) {
            if (e.code() != std::errc::no_such_file_or_directory) throw;
        }
        const std::string start = url + "\n";
        const std::uint64_t size = co_await file_.size();
        remains found;
        if (size > 0 && info.starts_with(start) && info.size() > start.size() + 1) {
            found.mark = info.substr(start.size(), info.size() - start.size() - 1);
            found.size = size;
        } else {
            co_await clear();
        }
        co_return found;
    }
    // The mark is removed before the bytes that it stands for, and written before those that follow: whenever we are
    // killed, bytes are never taken for those of another version.
    eddy::task<> begin(const std::string& url, const std::string& mark) {
        co_await clear();
        std::string info = url + "\n" + mark + "\n";
        co_await eddy::write_file_atomically(info_path(), std::move(info));
    }
    eddy::task<> clear() {
        co_await eddy::fs::remove(info_path());
        co_await file_.truncate(0);
    }
    eddy::task<> write_at(std::uint64_t offset, std::string_view bytes) { co_await file_.write_at(offset, bytes); }
    // The file gets its name.
    eddy::task<> finish(const std::string& target) {
        co_await file_.sync();
        co_await eddy::fs::rename(path_, target);
        co_await eddy::fs::remove(info_path());
        co_await file_.close();
        std::string folder = eddy::fs::path(target).parent_path().string();
        if (folder.empty()) folder = ".";
        eddy::file above = co_await eddy::file::open(folder);
        co_await above.sync(); // else a loss of power may take the name back
        co_await above.close();
    }
    [[nodiscard]] int descriptor() const noexcept { return file_.native_handle(); }

private:
    [[nodiscard]] std::string info_path() const { return path_ + ".info"; }
    // One call for the name's inode: no reason to go to the pool.
    static bool is_at(int fd, const std::string& path) {
        struct stat a {};
        struct stat b {};
        return ::fstat(fd, &a) == 0 && ::stat(path.c_str(), &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
    }
    eddy::file file_;
    eddy::file_lock lock_;
    std::string path_;
};

// --- transfers

// An answer that says no.
class refused : public std::runtime_error {
public:
    explicit refused(const http::response& r)
        : std::runtime_error(fmt::format("{} answered {} {}", r.url, r.status, http::reason_phrase(r.status))),
          status_(r.status) {}
    [[nodiscard]] int status() const noexcept { return status_; }

private:
    int status_;
};

// The server has its moods, too.
bool may_pass(int status) {
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

// What another attempt may cure.
bool may_pass(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const refused& e) {
        return may_pass(e.status());
    } catch (const http::error& e) {
        using enum http::error_kind;
        return e.kind() == connect || e.kind() == timeout || e.kind() == disconnected || e.kind() == truncated;
    } catch (...) {
        return false;
    }
}

struct content_range {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint64_t total = 0;
};

// "bytes 0-99/1000", of status 206. Nothing if it is anything else, or makes no sense.
std::optional<content_range> parse_content_range(std::string_view text) {
    if (!text.starts_with("bytes ")) return std::nullopt;
    text.remove_prefix(6);
    const std::size_t dash = text.find('-');
    const std::size_t slash = text.find('/');
    if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) return std::nullopt;
    const auto first = to_number<std::uint64_t>(text.substr(0, dash));
    const auto last = to_number<std::uint64_t>(text.substr(dash + 1, slash - dash - 1));
    const auto total = to_number<std::uint64_t>(text.substr(slash + 1));
    if (!first || !last || !total || *last < *first || *total <= *last) return std::nullopt;
    return content_range{*first, *last, *total};
}

// By what the server tells one version of a file from another. A weak ETag does not mean the same bytes.
std::string version_mark(const http::response& r) {
    const std::string& tag = r.header("ETag");
    if (!tag.empty() && !tag.starts_with("W/")) return tag;
    return r.header("Last-Modified");
}

class downloader {
public:
    downloader(options& o, display& d) : options_(o), display_(d), client_(client_options(o)), places_(o.parallel) {}

    // All of them. One that fails is told and concerns no other.
    eddy::task<> run() {
        co_await eddy::with_task_group([&](eddy::task_group& g) -> eddy::task<> {
            for (job& j : options_.jobs) g.spawn(run_one(j));
            co_return;
        });
    }

private:
    static http::client_options client_options(const options& o) {
        http::client_options result;
        result.timeout = o.timeout;
        result.max_body = o.max_whole;
        result.max_connections = 0; // there are as many requests as places
        result.compression = false; // ranges count the bytes of the file, and so do we
        result.user_agent = "eddy-download/1.0";
        return result;
    }

    eddy::task<> run_one(job& j) {
        const eddy::semaphore_permit place = co_await places_.acquire();
        j.state = job::phase::running;
        j.started = eddy::loop_clock::now();
        std::string failure;
        try {
            co_await download(j);
            j.state = job::phase::done;
            display_.line(j, fmt::format("done, {} bytes", j.have));
        } catch (const std::exception& e) { // not a cancellation: what that leaves is a part, for the next time
            j.state = job::phase::failed;
            failure = e.what();
        }
        if (j.state == job::phase::failed) display_.line(j, "failed: " + failure);
    }

    eddy::task<> download(job& j) {
        part_file part = co_await part_file::open(j.path);
        const part_file::remains found = co_await part.look(j.url);
        j.have = j.resumed_at = found.size;
        if (found.size > 0) display_.line(j, fmt::format("goes on at byte {}", found.size));
        co_await transfer(j, part, found.mark);

        j.state = job::phase::checking;
        j.digest = co_await eddy::offload(checksum, part.descriptor());
        if (j.expected && *j.expected != j.digest) {
            co_await part.clear(); // there is nothing in it to go on with
            throw std::runtime_error(fmt::format("its SHA-256 is {}, expected {}", j.digest, *j.expected));
        }
        co_await part.finish(j.path);
    }

    // Piece by piece until it is complete. `mark` is that of what is there already.
    eddy::task<> transfer(job& j, part_file& part, std::string mark) {
        bool in_pieces = true;
        for (int restarts = 0; restarts < 4;) {
            std::optional<http::response> r = co_await ask(j, in_pieces, mark);
            if (r && r->status == 206 && in_pieces) {
                const std::optional<content_range> range = parse_content_range(r->header("Content-Range"));
                if (!range || range->first != j.have || range->last - range->first + 1 != r->body.size())
                    throw std::runtime_error(fmt::format("{} answered with another part than was asked for", r->url));
                const std::string its_mark = version_mark(*r);
                if (j.have == 0 && its_mark.empty()) { // its parts might be those of different files
                    in_pieces = false;
                    continue;
                }
                const bool same = (its_mark.empty() || its_mark == mark) && (!j.total || *j.total == range->total);
                if (j.have == 0 || same) {
                    if (j.have == 0) co_await part.begin(j.url, its_mark);
                    if (j.have == 0) mark = its_mark;
                    co_await part.write_at(j.have, r->body);
                    j.have += r->body.size();
                    j.total = range->total;
                    if (j.have == j.total) co_return;
                    continue;
                }
            } else if (r && r->status == 416 && in_pieces) {
                if (j.have > 0 && r->header("Content-Range") == fmt::format("bytes */{}", j.have))
                    co_return;     // it was complete
                if (j.have == 0) { // there is nothing in it to ask a part of
                    in_pieces = false;
                    continue;
                }
            } else if (r && r->status == 200) { // no ranges here, or the file is another one now
                co_await part.clear();
                co_await part.write_at(0, r->body);
                j.have = r->body.size();
                j.total = j.have;
                j.resumed_at = 0;
                co_return;
            } else if (r) {
                throw refused(*r);
            }
            // What we have is of another version.
            display_.line(j, "has changed on the server; begins anew");
            co_await part.clear();
            j.have = j.resumed_at = 0;
            j.total.reset();
            ++restarts;
        }
        throw std::runtime_error(j.url + " changes while it is being fetched");
    }

    // The next piece, or all of it; several times if need be. Nothing if what comes is too large to be a piece: the
    // file has changed, and the server sends the new one.
    eddy::task<std::optional<http::response>> ask(job& j, bool in_pieces, const std::string& mark) {
        http::header_list headers;
        if (in_pieces) headers.add("Range", fmt::format("bytes={}-{}", j.have, j.have + options_.piece - 1));
        if (in_pieces && j.have > 0) headers.add("If-Range", mark);
        const eddy::retry_policy policy{.attempts = options_.attempts,
                                        .first_delay = options_.pause,
                                        .max_delay = 30s,
                                        .jitter = 0.2,
                                        .retry_if = [](const std::exception_ptr& e) { return may_pass(e); }};
        auto attempt = [&](int number) -> eddy::task<http::response> {
            try {
                http::response r = co_await client_.get(j.url, {.headers = headers});
                if (may_pass(r.status)) throw refused(r);
                co_return r;
            } catch (const std::exception& e) {
                if (number < options_.attempts && may_pass(std::current_exception()))
                    display_.line(j,
                                  fmt::format("{}; attempt {} of {} follows", e.what(), number + 1, options_.attempts));
                throw;
            }
        };
        try {
            co_return co_await eddy::retry(policy, attempt);
        } catch (const http::error& e) {
            if (e.kind() != http::error_kind::too_large) throw;
            if (j.have == 0)
                throw std::runtime_error(fmt::format("{} sends it whole, and that is more than --max-whole {} bytes",
                                                     j.url, options_.max_whole));
        }
        co_return std::nullopt;
    }

    options& options_;
    display& display_;
    http::client client_;
    eddy::semaphore places_;
};

void print_summary(const std::vector<job>& jobs) {
    for (const job& j : jobs) {
        if (j.state == job::phase::done)
            fmt::print("{}  {}\n", j.digest, j.path);
        else if (j.state == job::phase::failed)
            fmt::print("failed  {}\n", j.path);
        else
            fmt::print("not finished  {}\n", j.path);
    }
    std::fflush(stdout);
}

eddy::task<int> download_all(options& o) {
    display shown(o.jobs, isatty(STDOUT_FILENO) != 0);
    downloader d(o, shown);
    auto work = [&]() -> eddy::task<> {
        co_await eddy::with_task_group([&](eddy::task_group& g) -> eddy::task<> {
            g.spawn(shown.run());
            co_await d.run();
            g.cancel("all is done");
        });
    };
    auto tell = [&]() -> eddy::task<> { // also after Ctrl-C; then all tasks have ended before
        shown.erase();
        print_summary(o.jobs);
        co_return;
    };
    co_await eddy::with_cleanup(work, tell);
    const bool all =
        std::all_of(o.jobs.begin(), o.jobs.end(), [](const job& j) { return j.state == job::phase::done; });
    co_return all ? 0 : 1;
}

// --- options

template <class T>
T parse_number(std::string_view name, std::string_view text, T least, T most) {
    const std::optional<T> value = to_number<T>(text);
    if (!value || *value < least || *value > most)
        throw std::invalid_argument(fmt::format("{}: '{}' is no number from {} to {}", name, text, least, most));
    return *value;
}

std::string parse_sha256(std::string_view text) {
    std::string hex(text);
    for (char& c : hex)
        if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    if (hex.size() != 64 || hex.find_first_not_of("0123456789abcdef") != std::string::npos)
        throw std::invalid_argument(fmt::format("--sha256: '{}' is not 64 hexadecimal digits", text));
    return hex;
}

// The last part of the path; never one that leads out of the directory, nor one that confuses a terminal.
std::string file_name(std::string_view url) {
    const std::size_t scheme = url.find("://");
    if (scheme == std::string_view::npos) throw std::invalid_argument(fmt::format("'{}' is no URL and no option", url));
    url.remove_prefix(scheme + 3);
    url = url.substr(0, url.find_first_of("?#"));
    const std::size_t slash = url.rfind('/');
    std::string name(slash == std::string_view::npos ? std::string_view() : url.substr(slash + 1));
    for (char& c : name)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '_';
    return name.empty() || name == "." || name == ".." ? "index.html" : name;
}

void set_option(options& o, std::string_view name, std::string_view value) {
    if (name == "--directory")
        o.directory = value;
    else if (name == "--parallel")
        o.parallel = parse_number<std::ptrdiff_t>(name, value, 1, 1000);
    else if (name == "--piece")
        o.piece = parse_number<std::uint64_t>(name, value, 1, std::uint64_t{1} << 30U);
    else if (name == "--max-whole")
        o.max_whole = parse_number<std::size_t>(name, value, 1, std::size_t{1} << 40U);
    else if (name == "--attempts")
        o.attempts = parse_number<int>(name, value, 1, 1000);
    else if (name == "--pause")
        o.pause = std::chrono::milliseconds(parse_number<int>(name, value, 0, 3'600'000));
    else if (name == "--timeout")
        o.timeout = std::chrono::seconds(parse_number<int>(name, value, 1, 86'400));
    else if (name == "--sha256" && o.jobs.empty())
        throw std::invalid_argument("--sha256 comes behind its URL");
    else if (name == "--sha256")
        o.jobs.back().expected = parse_sha256(value);
    else
        throw std::invalid_argument(fmt::format("there is no option '{}'", name));
}

options parse_options(std::span<char*> arguments) {
    options o;
    while (!arguments.empty()) {
        const std::string_view name = arguments.front();
        arguments = arguments.subspan(1);
        if (name.starts_with("--")) {
            if (arguments.empty())
                throw std::invalid_argument(fmt::format("'{}' needs a value, or is no option", name));
            set_option(o, name, arguments.front());
            arguments = arguments.subspan(1);
        } else {
            job& j = o.jobs.emplace_back();
            j.url = name;
            j.name = file_name(name);
        }
    }
    if (o.jobs.empty()) throw std::invalid_argument("there is no URL");
    if (o.max_whole < o.piece) throw std::invalid_argument("--max-whole is less than --piece");
    for (job& j : o.jobs) {
        j.path = o.directory + "/" + j.name;
        for (const job& other : o.jobs)
            if (&other != &j && other.name == j.name)
                throw std::invalid_argument(fmt::format("'{}' and '{}' would be one file", other.url, j.url));
    }
    return o;
}

constexpr const char* usage = "usage: download [--directory D] [--parallel N] [--piece BYTES] [--max-whole BYTES]\n"
                              "                [--attempts N] [--pause MS] [--timeout S] URL [--sha256 HEX]…\n";

} // namespace

int main(int argc, char** argv) {
    try {
        options o = parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
        return eddy::run_main(download_all(o));
    } catch (const std::invalid_argument& e) {
        fmt::print(stderr, "download: {}\n{}", e.what(), usage);
        return 2;
    }
}

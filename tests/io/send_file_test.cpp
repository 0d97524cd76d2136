#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>

#include "io/blocked_pool.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

std::string numbers(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + (i >> 10));
    return text;
}

/// More than the buffers of a connection hold.
constexpr std::size_t large_size = 20'000'000;

/// A file with contents, and a connection to send it over.
class sending {
public:
    task<> prepare(std::string contents) {
        co_await write_file(path(), std::move(contents));
        f = co_await file::open(path());
        pair.emplace(co_await connected());
    }
    [[nodiscard]] std::string path() const { return folder_.file("x"); }
    tcp_stream& near() { return pair->client; }
    tcp_stream& far() { return pair->server; }
    file f;
    std::optional<connection> pair;

private:
    temporary_folder folder_;
};

task<> send_and_note(tcp_stream& s, file& f, std::string& log) {
    const std::size_t n = co_await send_file(s, f);
    log += "file " + std::to_string(n) + " ";
}

task<> write_and_note(tcp_stream& s, std::string text, std::string& log) {
    co_await s.write(text);
    log += "write ";
}

/// How sending ended, with what had gone.
task<std::string> ending_with_partial(tcp_stream& s, file& f, std::size_t& partial) {
    try {
        static_cast<void>(co_await send_file(s, f));
        co_return "ok";
    } catch (const operation_cancelled& c) {
        partial = c.partial();
        co_return "cancelled " + std::string(c.reason());
    } catch (const std::exception& e) {
        co_return e.what();
    }
}

} // namespace

EDDY_TEST("a file is sent as it is, whole and in parts, and its position is left alone") {
    sending s;
    const std::string contents = numbers(3'000'000);
    co_await s.prepare(contents);
    std::size_t n = 0;
    auto all = spawn([&]() -> task<> {
        n = co_await send_file(s.near(), s.f);
        n += co_await send_file(s.near(), s.f, 1000, 50);
        n += co_await send_file(s.near(), s.f, 2'999'990);       // up to the end
        n += co_await send_file(s.near(), s.f, 2'999'990, 1000); // no more than there is
        n += co_await send_file(s.near(), s.f, 3'000'000);       // nothing
        n += co_await send_file(s.near(), s.f, 9'000'000, 10);
        n += co_await send_file(s.near(), s.f, 0, 0);
        co_await s.near().close();
    });
    std::string got = co_await read_all(s.far());
    co_await all;
    CHECK(n == 3'000'000 + 50 + 10 + 10);
    CHECK((got == contents + contents.substr(1000, 50) + contents.substr(2'999'990) + contents.substr(2'999'990)));
    CHECK(s.f.seek_end() == 3'000'000);
    s.f.seek(5);
    std::array<std::byte, 2> two{};
    static_cast<void>(co_await s.f.read(two));
    CHECK(two[0] == static_cast<std::byte>(contents[5]));
    co_await s.f.close();
}

EDDY_TEST("R13 a file and the writes before and after it go out in order and are never torn") {
    sending s;
    const std::string contents = numbers(large_size);
    co_await s.prepare(contents);
    std::string log;
    const std::string before(8'000'000, 'b'); // is waiting for room when the file is sent
    auto one = spawn_eager(write_and_note(s.near(), before, log));
    auto two = spawn_eager(send_and_note(s.near(), s.f, log));
    auto three = spawn_eager(write_and_note(s.near(), "between", log));
    auto four = spawn_eager(send_and_note(s.near(), s.f, log));
    auto five = spawn_eager([&]() -> task<> { co_await s.near().shutdown_write(); });
    std::string got = co_await read_all(s.far());
    CHECK((got == before + contents + "between" + contents));
    for (auto* h : {&one, &two, &three, &four, &five}) co_await h->join();
    CHECK(log == "write file 20000000 write file 20000000 ");
    co_await s.f.close();
}

EDDY_TEST("a write that comes while a file waits for room goes after it") {
    sending s;
    const std::string contents = numbers(large_size);
    co_await s.prepare(contents);
    std::string log;
    auto first = spawn(send_and_note(s.near(), s.f, log));
    co_await testing::settle(); // the peer reads nothing yet
    auto second = spawn_eager(write_and_note(s.near(), "after", log));
    auto end = spawn_eager([&]() -> task<> { co_await s.near().shutdown_write(); });
    co_await testing::settle();
    CHECK(log == "");
    std::string got = co_await read_all(s.far());
    CHECK((got == contents + "after"));
    co_await first;
    co_await second;
    co_await end;
    CHECK(log == "file 20000000 write ");
    co_await s.f.close();
}

EDDY_TEST("R4 cancelled half-way it says how much has gone, and the stream is broken for later writes") {
    sending s;
    const std::string contents = numbers(large_size);
    co_await s.prepare(contents);
    std::size_t partial = 0;
    auto h = spawn(ending_with_partial(s.near(), s.f, partial));
    co_await testing::settle();
    auto queued = spawn(words::ending(write_text(s.near(), "later")));
    co_await testing::settle();
    h.cancel("enough");
    std::string end = co_await std::move(h);
    CHECK(end == "cancelled enough");
    CHECK(partial > 0);
    CHECK(partial < large_size);
    const std::string broken = "write to " + s.near().remote_endpoint().to_string() + ": an earlier write was cancelled half-way";
    std::string later = co_await std::move(queued);
    CHECK(later == broken);
    later = co_await words::ending(send_file(s.near(), s.f));
    CHECK(later == broken);
    co_await s.near().close();
    std::string got = co_await read_all(s.far());
    CHECK((got == contents.substr(0, partial)));
    co_await s.f.close();
}

EDDY_TEST("R4 cancelled while it waits for its turn or a worker, nothing has gone and the stream is as before") {
    sending s;
    co_await s.prepare("file");
    std::string log;
    auto first = spawn_eager(write_and_note(s.near(), std::string(large_size, 'x'), log));
    std::size_t partial = 9;
    auto waiting = spawn_eager(ending_with_partial(s.near(), s.f, partial));
    co_await testing::settle();
    auto after = spawn(write_and_note(s.near(), "after", log));
    co_await testing::settle();
    waiting.cancel();
    std::string end = co_await std::move(waiting);
    CHECK(end == "cancelled ");
    CHECK(partial == 0);

    auto reading = spawn(read_all(s.far()));
    co_await first;
    co_await after;
    blocked_pool pool;
    co_await pool.block();
    auto without_worker = spawn(ending_with_partial(s.near(), s.f, partial));
    co_await some_turns();
    without_worker.cancel();
    end = co_await std::move(without_worker);
    CHECK(end == "cancelled ");
    CHECK(partial == 0);
    co_await pool.release();
    co_await s.near().write("!");
    co_await s.near().close();
    std::string got = co_await std::move(reading);
    CHECK((got == std::string(large_size, 'x') + "after!"));
    co_await s.f.close();
}

EDDY_TEST("R13 a stream that is closed meanwhile ends the sending, and the peer sees the end") {
    sending s;
    co_await s.prepare(numbers(large_size));
    const std::string peer = s.near().remote_endpoint().to_string();
    auto h = spawn(words::ending(send_file(s.near(), s.f)));
    auto queued = spawn(words::ending(send_file(s.near(), s.f)));
    co_await testing::settle();
    co_await s.near().close();
    std::string end = co_await std::move(h);
    CHECK(end == "write to " + peer + ": it was closed on our side");
    end = co_await std::move(queued);
    CHECK(end == "write to " + peer + ": it was closed on our side");
    std::string got = co_await read_all(s.far());
    CHECK(got.size() < large_size);
    end = co_await words::ending(send_file(s.near(), s.f));
    CHECK(end == "write to " + peer + ": it was closed on our side");
    co_await s.f.close();
}

EDDY_TEST("R13 a stream that is closed while a worker sends is freed when that is through") {
    sending s;
    co_await s.prepare("x");
    blocked_pool pool;
    co_await pool.block();
    auto h = spawn(words::ending(send_file(s.near(), s.f)));
    co_await some_turns();
    co_await s.near().close();
    co_await pool.release();
    std::string end = co_await std::move(h);
    CHECK(end.ends_with("it was closed on our side"));
    std::string got = co_await read_all(s.far());
    CHECK((got == "x" || got == ""));
    co_await s.f.close();
}

EDDY_TEST("R13 a stream object that is destroyed while a file is sent ends the sending") {
    sending s;
    co_await s.prepare(numbers(large_size));
    auto h = spawn(words::ending(send_file(s.near(), s.f)));
    co_await testing::settle();
    { const tcp_stream gone = std::move(s.near()); }
    std::string end = co_await std::move(h);
    CHECK(end.ends_with("it was closed on our side"));
    co_await s.f.close();
}

EDDY_TEST("R13 a file that is closed meanwhile ends the sending and leaves the stream broken") {
    sending s;
    co_await s.prepare(numbers(large_size));
    auto h = spawn(words::ending(send_file(s.near(), s.f)));
    co_await testing::settle();
    co_await s.f.close();
    auto reading = spawn(read_all(s.far()));
    std::string end = co_await std::move(h);
    CHECK(end == "the file '" + s.path() + "' was closed by another task");
    end = co_await words::ending(write_text(s.near(), "x"));
    CHECK(end.ends_with("an earlier write failed half-way"));
    co_await s.near().close();
    std::string got = co_await std::move(reading);
    CHECK(got.size() < large_size);
    end = co_await words::ending(send_file(s.near(), s.f));
    CHECK(end == "this file is not open");
}

EDDY_TEST("a peer that is gone is an error that names file and peer, and no SIGPIPE") {
    sending s;
    co_await s.prepare(numbers(large_size));
    const std::string peer = s.near().remote_endpoint().to_string();
    s.far().abort();
    std::string end = co_await words::ending(send_file(s.near(), s.f));
    CHECK(end.starts_with("sending '" + s.path() + "' to " + peer + ": "));
    end = co_await words::ending(send_file(s.near(), s.f)); // the second time it would be SIGPIPE
    CHECK(end == "sending '" + s.path() + "' to " + peer + ": Broken pipe");
    co_await s.f.close();
}

EDDY_TEST("a file that the kernel cannot send by itself is read and written") {
    sending s;
    co_await s.prepare("");
    file status = co_await file::open("/proc/self/status");
    const std::size_t n = co_await send_file(s.near(), status);
    co_await s.near().close();
    std::string got = co_await read_all(s.far());
    CHECK(got.size() == n);
    CHECK(got.starts_with("Name:"));
    CHECK(got.find("\nThreads:") != std::string::npos);
    co_await status.close();
    co_await s.f.close();
}

EDDY_TEST("what has no offsets cannot be sent, and nothing is lost with it") {
    sending s;
    co_await s.prepare("");
    const temporary_folder folder;
    const std::string path = folder.file("fifo");
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    file fifo = co_await file::open(path, file::mode::read_write);
    co_await fifo.write("in the pipe"sv);
    std::string end = co_await words::ending(send_file(s.near(), fifo));
    CHECK(end.starts_with("sending '" + path + "' to "));
    co_await s.near().write("as before");
    std::string got = co_await read_text(s.far());
    CHECK(got == "as before");
    co_await fifo.close();
    co_await s.f.close();
}

EDDY_TEST("to a stream without a descriptor of ours the file is read and written") {
    sending s;
    const std::string contents = numbers(300'000);
    co_await s.prepare(contents);
    auto ends = testing::memory_stream_pair();
    std::size_t n = 0;
    auto h = spawn([&]() -> task<> {
        n = co_await send_file(ends.a, s.f);
        n += co_await send_file(ends.a, s.f, 299'990, 100);
        co_await ends.a.close();
    });
    buffered_reader r{ends.b};
    std::string got = co_await r.read_to_end();
    co_await h;
    CHECK(n == 300'010);
    CHECK((got == contents + contents.substr(299'990)));
    co_await s.f.close();
}

EDDY_TEST("R4 cancelled, sending to such a stream says how large_size it has taken") {
    sending s;
    co_await s.prepare(numbers(300'000));
    auto ends = testing::memory_stream_pair({.capacity = 100'000});
    std::size_t partial = 0;
    auto h = spawn([&]() -> task<> {
        try {
            static_cast<void>(co_await send_file(ends.a, s.f));
        } catch (const operation_cancelled& c) {
            partial = c.partial();
            throw;
        }
    });
    co_await testing::settle();
    co_await h.cancel_and_join();
    CHECK(partial == 100'000);
    co_await s.f.close();
}

EDDY_TEST("the loop goes on while a file waits for room") {
    sending s;
    co_await s.prepare(numbers(large_size));
    auto h = spawn(words::ending(send_file(s.near(), s.f)));
    co_await testing::settle();
    CHECK(!h.done());
    CHECK(this_loop().blocking_pool().running() == 0); // no worker waits with it
    co_await sleep_for(1h);
    co_await h.cancel_and_join();
    co_await s.f.close();
}
